"""E1–E7 and E14: the model, and its terms with the numbers that check them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Formula, Listing, Table, Text
from vaelab.studies.results import Results
from vaelab.studies.semi_supervised.steps import PLANES
from vaelab.studies.semi_supervised.words import TITLES, number, quantity, share, small
from vaelab.studies.words import counted, listed


def model(results: Results) -> Sequence[Block]:
    """E1, E2, E4: encoder, decoder, and why they look so."""
    found = results.values("terms")["networks"]["bernoulli"]
    weights, shapes = found["weights"], found["shapes"]
    total = sum(weights.values())
    hidden = list(results.settings["hidden"])
    kl = {name: results.metric(name, "kl") for name in PLANES}
    names = dict(zip(weights, _layers(weights), strict=True))
    rows = [[names[name], shapes.get(name, ""), f"{count:,}"] for name, count in weights.items()]
    config = results.config("bernoulli").training
    return [
        Text(
            "The encoder turns an image x into two numbers and their uncertainty: the mean μ and the log-variance "
            "log σ² of q(z|x) = N(μ, diag σ²), for each of 2 latent dimensions. The decoder turns a point z of the "
            "plane into one number for each pixel."
        ),
        Formula("x → (μ, v = log σ²) → z = μ + exp(v/2) · ε → η,    ε ~ N(0, I)"),
        Table(
            ["layer", "numbers in → out", "weights"],
            [*rows, ["all", "", f"{total:,}"]],
            "The layers of both VAEs with a latent plane. ReLU after each hidden layer, nothing after the two heads.",
            bold=[len(rows)],
        ),
        Answer(
            "Why this architecture? (E1, E2)",
            f"An image has {found['pixels']:,} values, few enough for fully connected layers, which assume nothing "
            f"about the pixels' places: {total:,} weights, and {counted(config.epochs, 'epoch')} took "
            f"{_spent(results)} in this run. The widths fall from {found['pixels']:,} over "
            f"{listed([str(width) for width in hidden])} to 2, so that the encoder has to find what distinguishes "
            "images; the decoder has the same widths in reverse, because a plane has to be unfolded into images as "
            "they were folded into it. Both heads stand on the same features: mean and spread describe one and the "
            f"same distribution. Two latent dimensions are chosen for the eye, and they cost something: z tells at "
            f"most the KL about an image, {_kls(kl)}, and all else has to be guessed by the decoder.",
        ),
        Answer(
            "What does the decoder give for a Bernoulli, what for a Gaussian? (E4)",
            f"The network is the same, one output η for each pixel, and in both models it goes through a sigmoid. For "
            "the Bernoulli the result π is the probability that the pixel is white, and also its mean. For the "
            f"Gaussian the result m is the mean of the pixel's grey level, and σ = {results.settings['sigma']:g} is "
            "fixed and the same for all pixels. So the two models differ in the likelihood alone, that is in how "
            "dear an error is.",
        ),
        Formula(
            "Bernoulli:  p(x_i = 1|z) = π_i = 1 / (1 + exp(−η_i));    Gaussian:  p(x_i|z) = N(x_i; m_i, σ²),  "
            "m_i = 1 / (1 + exp(−η_i))"
        ),
    ]


def _layers(weights: Mapping[str, int]) -> list[str]:
    """The layers' names in words."""
    heads = {"posterior.mean": "head of the mean μ", "posterior.spread": "head of the log-variance v"}
    found, hidden = [], {"encoder": 0, "decoder": 0}
    last = [name for name in weights if name.startswith("decoder")][-1]
    for name in weights:
        part = name.split(".")[0]
        if name in heads:
            found.append(f"encoder, {heads[name]}")
        elif name == last:
            found.append("decoder, output η")
        else:
            hidden[part] = hidden.get(part, 0) + 1
            found.append(f"{part}, hidden layer {hidden[part]}")
    return found


def _spent(results: Results) -> str:
    return listed([f"{results.seconds(name):,.0f} s" for name in PLANES])


def _kls(kl: Mapping[str, Any]) -> str:
    return listed([f"{quantity(value)} with the {name.capitalize()} likelihood" for name, value in kl.items()])


def log_variance(results: Results) -> Sequence[Block]:
    """E3."""
    found = results.values("terms")
    return [
        Answer("Why does the encoder give the log-variance and not the variance? (E3)", _reasons(found)),
        Formula("KL = ½ [μ² + σ² − log σ² − 1];    ∂KL/∂σ = σ − 1/σ,    ∂KL/∂v = ½ (exp(v) − 1) ≥ −½"),
        Table(
            ["σ", "", "∂KL/∂σ", "∂KL/∂v", "σ after a step in σ", "σ after a step in v"],
            [
                [
                    f"{row['sigma']:.4f}",
                    row["what"],
                    number(row["by_sigma"], 2),
                    number(row["by_v"], 4),
                    number(row["after_sigma"], 3),
                    f"{row['after_v']:.4f}",
                ]
                for row in found["gradients"]
            ],
            "Derivatives of the KL by automatic differentiation through the code that trains the models, and one step "
            "of gradient descent of size 0.1 on the KL alone, which wants σ = 1. Smallest, median and largest: of all "
            "test images; the median is the smaller of the two models'.",
        ),
        Text(
            "log σ would do as well, because v is twice that: ∂KL/∂log σ = σ² − 1, never below −1. The derivation is "
            "on the page “Why the log-variance” of vaelab's documentation."
        ),
    ]


def _reasons(found: Mapping[str, Any]) -> str:
    spreads, rows = found["spreads"], found["gradients"]
    tiny, least, largest = rows[0], rows[1], rows[-1]
    ranges = [
        f"from {spread['least']:.4f} to {spread['largest']:.3f} (median {spread['middle']:.3f}) in the {TITLES[name]}"
        for name, spread in spreads.items()
    ]
    factor = max(spread["largest"] / spread["least"] for spread in spreads.values())
    negative = listed([f"{share(spread['negative'])} ({TITLES[name]})" for name, spread in spreads.items()])
    return (
        "For three reasons.\n\n"
        "- A spread is positive, a linear layer gives any number. Of the log-variances of all test images "
        f"{negative} are negative. A layer that gave σ² or σ itself would have to be kept from that, because the KL "
        "contains log σ.\n"
        f"- Spreads differ by factors. Over the test images σ goes {listed(ranges)}: a factor of up to {factor:.3g}, "
        f"which for v is a range of {number(2 * math.log(factor))}.\n"
        "- The gradient keeps its size. From the largest to the smallest of these spreads the KL's derivative by σ "
        f"goes from {number(largest['by_sigma'], 2)} to {number(least['by_sigma'], 1)}, its derivative by v from "
        f"{number(largest['by_v'], 2)} to {number(least['by_v'], 2)}; the latter is never below −½. Were σ = "
        f"{tiny['sigma']:g}, as an unlucky step may leave it, they would be {number(tiny['by_sigma'], 0)} and "
        f"{number(tiny['by_v'], 2)}: a step of gradient descent of size 0.1 would throw σ to "
        f"{number(tiny['after_sigma'], 0)} in the first case and move it to {tiny['after_v']:.5f} in the second."
    )


def reparameterisation(results: Results) -> Sequence[Block]:
    """E5."""
    found = results.values("terms")
    return [
        Text(
            "The draw of z is a layer of its own with no weights: it is given μ, log σ and noise ε ~ N(0, I), and "
            "gives z. In the code it is `DiagonalNormal.rsample` in `vaelab/distributions.py`; encoder and decoder "
            "know nothing of it."
        ),
        Formula("z = μ + σ ε = μ + exp(v/2) · ε,   ε ~ N(0, I);     ∂z/∂μ = 1,    ∂z/∂v = ½ σ ε"),
        Listing(found["source"], "What it does, as it is in the code; `log_std` is log σ = v/2, `noise` is ε."),
        Answer("Does the gradient pass through the draw? (E5)", _passes(found["layer"])),
        _derivatives(found["layer"]),
    ]


def _passes(layers: Mapping[str, Mapping[str, float]]) -> str:
    """With the layer the heads learn from the reconstruction, without it they do not."""
    exact = max(max(row["mean_error"], row["v_error"]) for row in layers.values())
    flows = all(row["gradient"] > 0 and row["detached"] == 0 for row in layers.values())
    through, cut = (listed([f"{row[key]:.3g}" for row in layers.values()]) for key in ("gradient", "detached"))
    return (
        f"{'Yes' if flows else 'Not as it should'}. The noise is an input, so z is an ordinary function of μ and v. "
        f"Over a batch of test images the derivatives that automatic differentiation finds {_distance(exact)}. With "
        f"this layer the reconstruction term has a gradient for the weights of both heads (length {through} nats per "
        f"unit of weight); where z is cut off, as a number drawn elsewhere would be, it is {cut}, and the encoder "
        "could learn from the KL alone."
    )


def _derivatives(layers: Mapping[str, Mapping[str, float]]) -> Table:
    rows = [
        [
            TITLES[name],
            str(row["images"]),
            small(row["mean_error"]),
            small(row["v_error"]),
            f"{row['v_largest']:.3f}",
            f"{row['gradient']:.3g}",
            f"{row['detached']:.3g}",
        ]
        for name, row in layers.items()
    ]
    return Table(
        [
            "model",
            "images",
            "largest |∂z/∂μ − 1|",
            "largest |∂z/∂v − ½σε|",
            "largest |∂z/∂v|",
            "gradient, through the layer",
            "gradient, z cut off",
        ],
        rows,
        "The layer in the trained models: derivatives by automatic differentiation, and the length of the "
        "reconstruction term's gradient by the weights of both heads.",
    )


def _distance(exact: float) -> str:
    return f"differ from 1 and from ½σε by at most {small(exact)}" if exact else "are 1 and ½σε to the last digit"


def loss_terms(results: Results) -> Sequence[Block]:
    """E6, E7, E14."""
    found = results.values("terms")
    constant, sigma = found["constant"], results.settings["sigma"]
    return [
        Text("With D pixels and 2 latent dimensions, in nats per image and with all constants (E14):"),
        Formula("−log p(x|z) = −Σ_i [x_i log π_i + (1 − x_i) log(1 − π_i)]      (Bernoulli)"),
        Formula("−log p(x|z) = D/2 log 2π + D log σ + Σ_i (x_i − m_i)² / (2σ²)      (Gaussian, σ fixed)"),
        Formula("KL(q(z|x) ‖ N(0, I)) = ½ Σ_j [μ_j² + σ_j² − log σ_j² − 1]"),
        Formula("loss = −ELBO = −log p(x|z) + KL(q(z|x) ‖ p(z)),   z ~ q(z|x),  mean over the batch"),
        Text(
            "The same formulas with their derivation are in vaelab's documentation, on the pages “Objectives” (Written "
            "out), “Likelihoods” (Bernoulli, Gaussian) and “Posteriors” (The KL term)."
        ),
        _cases(found["cases"]),
        Answer("Are the terms right? (E6, E7)", _right(found)),
        _written_out(found["losses"]),
        Text(
            f"With σ = {sigma:g} and D = {constant['pixels']:,} the Gaussian's constant part is "
            f"{number(constant['nats'], 1)} nats: the log-likelihood of an image that is met exactly. It does not "
            f"matter for the gradient, but without it the number would not be a log-likelihood. {_best_sigma(results)}"
        ),
    ]


def _worst(cases: Sequence[Mapping[str, Any]]) -> float:
    return max(abs(float(case["found"] - case["expected"])) for case in cases)


def _cases(cases: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        ["term", "case", "by hand", "= (nats)", "the code (nats)"],
        [
            [case["term"], case["what"], case["by_hand"], number(case["expected"], 6), number(case["found"], 6)]
            for case in cases
        ],
        f"Small cases computed by hand and by the code that trains the models; the largest difference is "
        f"{small(_worst(cases))} nats. A grey pixel costs log 2 at π = ½, too: with grey pixels the cross entropy is "
        "no normalised likelihood. The Gaussian's term may be negative, because a density may exceed 1.",
    )


def _right(found: Mapping[str, Any]) -> str:
    """Hand cases, all images of two pixels, the KL by draws, both losses written out."""
    cases, losses, kl = found["cases"], found["losses"], found["kl"]
    off = max(max(row["reconstruction_difference"], row["kl_difference"]) for row in losses.values())
    away = abs(kl["mean"] - kl["closed"]) / kl["error"]
    return (
        f"The {len(cases)} cases agree to {small(_worst(cases))} nats. The Bernoulli's probabilities of all four "
        f"images of two black or white pixels add up to {found['whole']:.6f}. The KL of N(1, ½²) from N(0, 1) is "
        f"{kl['closed']:.4f} nats in closed form and {kl['mean']:.4f} ± {kl['error']:.4f} as the mean of log q(z) − "
        f"log p(z) over 100,000 draws: {away:.1f} standard errors apart"
        f"{'.' if away < 3 else ', more than chance explains.'} And the losses of the trained models on a batch of "
        f"test images, written out again from μ, σ and the decoder's means, differ from the code's by at most "
        f"{small(off)} nats for any image."
    )


def _written_out(losses: Mapping[str, Mapping[str, float]]) -> Table:
    return Table(
        ["model", "images", "−log p(x|z), code", "by the formula", "KL, code", "by the formula"],
        [
            [
                TITLES[name],
                str(row["images"]),
                number(row["reconstruction"], 3),
                number(row["reconstruction_by_hand"], 3),
                number(row["kl"], 4),
                number(row["kl_by_hand"], 4),
            ]
            for name, row in losses.items()
        ],
        "Both terms of both losses on the same draws of z, in nats per image, mean over the images.",
    )


def _best_sigma(results: Results) -> str:
    """The fixed σ beside the errors that the model makes."""
    constant, sigma = results.values("terms")["constant"], results.settings["sigma"]
    pixels = constant["pixels"]
    loss = results.metric("gaussian", "reconstruction").value
    squared = (2 * sigma**2 / pixels) * (loss - pixels * (0.5 * math.log(2 * math.pi) + math.log(sigma)))
    better = squared**0.5
    gain = loss - pixels * (0.5 * math.log(2 * math.pi) + math.log(better) + 0.5)
    return (
        f"The trained model's error, root mean square over all pixels of the test images, is {better:.3f}; a σ of "
        f"that size would make its reconstruction term smaller by {number(gain, 1)} nats without any other change"
        + (", so the fixed one is as good as the best." if gain < 1 else ".")
    )
