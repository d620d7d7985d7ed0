"""The sections of the report about the bound: D1 to D4."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Formula, Table, Text
from vaelab.studies.gaussian_elbo.words import counted, metric, nats, shape
from vaelab.studies.results import Results, written


def bound(results: Results) -> Sequence[Block]:
    """D1: the bound is a normalised log-density, term by term; sampling needs a number alone."""
    values = results.values("bound")
    hand, sampling, inside = values["by_hand"], values["sampling"], values["inside"]
    return [
        Text(
            "For an image x with posterior q(z|x) = N(μ(x), diag σ(x)²), prior p(z) = N(0, I) and decoder mean m(z), "
            "the bound on the log-density of the image is the expected reconstruction log-likelihood minus the KL "
            "divergence. The expectation is estimated with one draw z = μ + σ·ε; the KL has a closed form."
        ),
        Formula("ELBO(x) = E_q[ log p(x|z) ] − KL( q(z|x) ‖ p(z) ) ≤ log p(x)"),
        Formula("log p(x|z) = −(D/2)·log(2πσ²) − ‖x − m(z)‖² / (2σ²),   σ constant, D = number of pixel values"),
        Formula("KL( q(z|x) ‖ p(z) ) = Σ_j ½·(μ_j² + σ_j² − 1) − log σ_j"),
        Answer("Is it a normalised log-density, or a loss up to a constant?", _normalised(values, hand)),
        Table(
            ("term", "formula", "value"),
            _terms(values),
            "The bound of the test images put together. Nothing is left out that does not depend on the networks.",
        ),
        Answer("Why is the ELBO above 0?", _positive(values)),
        Answer("Where does the density lie?", _inside(inside)),
        Answer(
            "What does sampling need?",
            "`sample(n)` needs the number of images and nothing else: it draws z from N(0, I) and decodes it. "
            f"`sample({sampling['asked']})` gave an array of shape {shape(sampling['shape'])} with values from "
            f"{sampling['least']:.3f} to {sampling['largest']:.3f}: the decoder means, which a sigmoid keeps between 0 "
            f"and 1. With `draw=True`, `run.sample({sampling['asked']}, draw=True)` adds the pixels' noise of σ = "
            f"{values['sigma']:g} (cut off at 0 and 1 to be shown).",
        ),
    ]


def _normalised(values: Mapping[str, Any], hand: Mapping[str, Any]) -> str:
    close = abs(hand["integral"] - 1) < 1e-6
    same = max(hand["reconstruction_difference"], hand["kl_difference"]) < 0.05
    drawn, error = hand["kl_drawn"], hand["kl_drawn_error"]
    fits = abs(drawn - hand["kl_closed"]) <= 3 * error
    return (
        f"{'It is normalised' if close else 'It is not normalised'}: the integral of one pixel's density over all real "
        f"numbers is {hand['integral']:.6f} (trapezoidal rule). The constant −½·log(2πσ²) = {values['per_pixel']:+.4f} "
        f"nats of each pixel is part of it; over {values['dimensions']} pixels it is {values['largest']:+.1f} nats, "
        "which the mean squared error as a loss leaves out.\n\nBoth terms were computed a second time for "
        f"{counted(hand['images'], 'test image')} from the formulas above, in double precision without the library: "
        f"the largest differences of an image are {hand['reconstruction_difference']:.1e} nats (reconstruction) and "
        f"{hand['kl_difference']:.1e} nats (KL), "
        f"{'which is rounding' if same else 'which is more than rounding and should not be'}. For the first of these "
        f"images the KL by the closed form is {hand['kl_closed']:.2f} nats, and {drawn:.2f} ± {error:.2f} nats as the "
        f"mean of log q(z|x) − log p(z) over {hand['kl_draws']:,} draws: they {'agree' if fits else 'do not agree'}."
    )


def _terms(values: Mapping[str, Any]) -> list[list[str]]:
    error = metric(values, "squared_error")
    factor = 1 / (2 * values["sigma"] ** 2)
    return [
        ["constant", "−(D/2)·log(2πσ²)", f"{values['largest']:+.2f} nats"],
        [
            "squared error",
            "−E_q ‖x − m(z)‖² / (2σ²)",
            f"{-factor * error.value:+.2f} ± {factor * (error.standard_error or 0):.2f} nats",
        ],
        ["reconstruction log-likelihood", "E_q log p(x|z)", nats(values, "log_likelihood", 2)],
        ["KL", "KL(q(z|x) ‖ p(z))", nats(values, "kl", 2)],
        ["ELBO", "the difference of the last two", nats(values, "elbo", 2)],
    ]


def _positive(values: Mapping[str, Any]) -> str:
    elbo = metric(values, "elbo").value
    sign = "is" if elbo > 0 else "could be"
    top = f"{values['largest']:.1f} nats, where every pixel of the decoder mean equals the image and the KL is 0"
    return (
        f"A density, unlike a probability, may exceed 1: that of a normal distribution with σ = {values['sigma']:g} is "
        f"{math.exp(values['per_pixel']):.2f} at its mean. So the logarithm {sign} positive, and the number depends on "
        f"the unit of the pixels: on a scale of 0 to 256 instead of 0 to 1 it would be {values['levels']:.3f} nats "
        f"less for each pixel. With this σ no model can pass {top}. This model reaches {elbo:.1f} nats."
    )


def _inside(inside: Mapping[str, Any]) -> str:
    return (
        f"A normal distribution reaches over all real numbers, the pixels lie in [0, 1]. {100 * inside['edge']:.1f} % "
        "of the reconstructed pixels' means lie within σ of 0 or 1, so that up to half of such a density lies outside: "
        f"over all pixels {100 * inside['mass']:.1f} % of the mass lies inside. A normal distribution cut off at 0 and "
        f"1 with the same means would give {inside['nats']:.0f} nats more for an image. The sheet asks for the plain "
        "one, and all numbers here are of it."
    )


def networks(results: Results) -> Sequence[Block]:
    """D2: the layers as they are built."""
    values = results.values("network")
    rows = [
        [row["part"], row["layer"], shape(row["output"]), f"{row['weights']:,}" if row["weights"] else "–"]
        for row in values["layers"]
    ]
    prior, likelihood = values["learned_in_prior"], values["learned_in_likelihood"]
    return [
        Text(_network_text(values)),
        Table(
            ("part", "layer", "output of one image", "weights"),
            rows,
            f"All layers in the order in which an image passes them, as they ran; {values['parameters']:,} weights. "
            "The two linear layers of the posterior are the mean and the log standard deviation.",
        ),
        Answer(
            "What is learned in the prior and in the likelihood?",
            ("Nothing in the prior: it is N(0, I). " if not prior else f"The prior has {prior:,} learned numbers. ")
            + (
                f"Nothing in the likelihood either: its σ = {results.values('bound')['sigma']:g} is a constant."
                if not likelihood
                else f"The likelihood has {likelihood:,} learned numbers."
            ),
        ),
        Answer(
            "Why the logarithm of the standard deviation?",
            "A linear map gives any real number, a standard deviation must be positive. exp of the map's output is "
            "positive whatever the weights are, and equal steps of it are equal ratios of σ. The library bounds it "
            "softly to ± 20, so that exp cannot overflow.",
        ),
    ]


def _network_text(values: Mapping[str, Any]) -> str:
    counts, strided = values["counts"], values["strided"]
    encoder, decoder = counts["encoder"], counts["decoder"]
    same = values["output"] == values["image"]
    fits = encoder["convolution"] >= 2 and strided["encoder"] == 2 and encoder["linear"] >= 2
    mirrored = decoder["convolution"] >= 1 and decoder["linear"] >= 2
    return (
        f"The encoder has {counted(encoder['convolution'], 'convolution')}, {strided['encoder']} of them with stride "
        f"2, then {counted(encoder['linear'], 'linear layer')}; two more linear layers give the mean and the log "
        f"standard deviation of the posterior. {'This is' if fits else 'With these settings it is not'} what the sheet "
        f"asks for.\n\nThe decoder has {counted(decoder['linear'], 'linear layer')}, then "
        f"{counted(decoder['convolution'], 'transposed convolution')}; its output of {shape(values['output'])} "
        f"{'has' if same else 'does not have'} the size of the "
        f"input{', as the sheet asks' if same and mirrored else ''}. A sigmoid makes the output a mean between 0 and 1."
    )


def pixels(results: Results) -> Sequence[Block]:
    """D3: dequantised pixels and the Gaussian with one σ."""
    values = results.values("bound")
    found = values["pixels"]
    exact = found["read_back"] == 1.0
    return [
        Formula("x = (v + u) / 256,   v ∈ {0, …, 255} the pixel's level, u uniform in [0, 1)"),
        Table(
            ("what", "value"),
            [
                ["different levels v in the images", f"{found['levels']:,}"],
                ["different values x", f"{found['values']:,}"],
                ["least and largest x", f"{found['least']:.6f} to {found['largest']:.6f}"],
                ["least and largest noise 256·x − v", f"{found['noise_least']:.6f} to {found['noise_largest']:.6f}"],
                ["mean of the noise (uniform: 0.5)", f"{found['noise_mean']:.4f}"],
                ["variance of the noise (uniform: 0.0833)", f"{found['noise_variance']:.4f}"],
                ["pixels whose level is the whole part of 256·x", f"{100 * found['read_back']:.2f} %"],
                ["pixels that another seed gives another value", f"{100 * found['other_seed']:.2f} %"],
            ],
            f"Dequantisation as it was done, measured on {counted(found['images'], 'test image')}.",
        ),
        Answer(
            "What is the noise for?",
            "A density at the discrete levels alone is no likelihood of them: a density that is narrow around the "
            "levels would have no largest value. With the noise the data are continuous, and the mean log-density is "
            "at most the log-probability of the level (Jensen's inequality), so that it means something for the 8-bit "
            "image. "
            + (
                "Nothing is lost: every level can be read back from the noisy pixel. "
                if exact
                else f"{100 * (1 - found['read_back']):.2f} % of the levels cannot be read back, by rounding. "
            )
            + "In training the noise is drawn anew for every batch; in evaluation it belongs to the image, so that the "
            "numbers do not depend on the batches.",
        ),
        Answer("Does σ fit?", _sigma(values)),
    ]


def _sigma(values: Mapping[str, Any]) -> str:
    error, sigma, best = metric(values, "squared_error"), values["sigma"], values["best_sigma"]
    gain = values["elbo_at_best_sigma"] - metric(values, "elbo").value
    relation = "smaller than" if best < 0.98 * sigma else "larger than" if best > 1.02 * sigma else "about"
    return (
        f"The same σ = {sigma:g} holds for all pixels: {256 * sigma:.1f} of the 256 levels. The squared error of a "
        f"reconstructed test image is {written(error, 2, unit=False)}, that is "
        f"{math.sqrt(error.value / values['dimensions']):.4f} for a pixel (root mean square). The σ that fits this "
        f"best is that number, {relation} the sheet's; with it, and these networks as they are, the ELBO would change "
        f"by {gain:+.1f} nats. Training with another σ would weigh the two terms otherwise: a smaller σ asks for "
        "better reconstructions at the cost of a larger KL."
    )


def training(results: Results) -> Sequence[Block]:
    """D4: splits, curves, the best epoch, the test bound in nats and bits."""
    values, run = results.values("bound"), results.values("vae")
    return [
        Text(_splits(results)),
        results.picture(
            "bound",
            "curves",
            "−ELBO, reconstruction (−log p(x|z)) and KL of each epoch, training and validation; lower is better for "
            "the first two. Single steps are faint.",
            "Three panels of curves over the epochs: −ELBO, reconstruction and KL, for training and validation images.",
        ),
        Answer("How do the two terms move?", _curve_words(results)),
        Table(
            ("test images", "nats per image"),
            [
                ["ELBO", written(metric(values, "elbo"), 2, unit=False)],
                ["reconstruction log-likelihood", written(metric(values, "log_likelihood"), 2, unit=False)],
                ["KL", written(metric(values, "kl"), 2, unit=False)],
                ["bits per dimension", _bits(run)],
            ],
            f"Means over {metric(values, 'elbo').n:,} test images ± standard error; one draw of z for each image, the "
            "best validation epoch's weights. The last row is in bits per dimension.",
            bold=(0,),
        ),
        Answer("How do nats become bits per dimension?", _conversion(values, run)),
        Formula("bits/dim = ( −ELBO/D + log 256 ) / log 2"),
        _class_table(values),
        Answer("Which images have a high bound?", _class_words(values)),
        results.picture(
            "bound",
            "extremes",
            "The test images with the lowest and with the highest ELBO.",
            "Two rows of test images with their ELBO below.",
        ),
        results.picture(
            "bound",
            "reconstructions",
            "Test images, with their noise, above their reconstructions at the posterior mean; below, −log p(x|z) in "
            "nats.",
            "Pairs of rows: test images and their reconstructions.",
        ),
    ]


def _bits(run: Mapping[str, Any]) -> str:
    return written(metric(run, "bits_per_dimension"), 4, unit=False) if "bits_per_dimension" in run else "–"


def _splits(results: Results) -> str:
    environment, config = results.environment("vae"), results.config("vae")
    training = config.training
    return (
        f"{environment['train']:,} images for training, {environment['validation']:,} for validation, "
        f"{environment['test']:,} for testing. {training.epochs} epochs with batches of {training.batch_size}, Adam "
        f"with a {training.schedule} learning rate of {training.lr:g}; {results.seconds('vae'):.0f} s with the "
        "evaluation. After each epoch the validation images' ELBO is measured; the weights of the best epoch are kept. "
        "The test images take part in neither."
    )


def epochs(results: Results, split: str) -> list[dict[str, float]]:
    """Epoch, ELBO, reconstruction log-likelihood and KL of each epoch of ``split``."""
    history = results.history("vae")
    columns = ("epoch", "split", "negative_elbo", "reconstruction", "kl")
    rows = zip(*(history[name] for name in columns), strict=True)
    return [
        {"epoch": int(epoch), "elbo": -float(bound), "log_likelihood": -float(error), "kl": float(kl)}
        for epoch, name, bound, error, kl in rows
        if name == split
    ]


def best_epoch(rows: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """The one with the highest ELBO, the first of equals."""
    return max(rows, key=lambda row: row["elbo"])


def _curve_words(results: Results) -> str:
    rows, train = epochs(results, "validation"), epochs(results, "train")
    if not rows:
        return "No images were held out for validation, so the last epoch's weights are kept."
    first, last, best = rows[0], rows[-1], best_epoch(rows)
    at_end = best["epoch"] == last["epoch"]
    gap = train[-1]["elbo"] - last["elbo"]
    kl = "rises" if last["kl"] > first["kl"] else "falls"
    end = (
        "It was the last epoch, so a longer training may still improve it."
        if at_end
        else f"The epochs after it did not improve it: at the end it was {last['elbo']:.1f} nats."
    )
    return (
        f"On the validation images the reconstruction log-likelihood goes from {first['log_likelihood']:.1f} nats "
        f"after the first epoch to {last['log_likelihood']:.1f} nats after the last, and the KL {kl} from "
        f"{first['kl']:.1f} to {last['kl']:.1f} nats: "
        + (
            "the better reconstructions are paid for with more information in z. "
            if last["kl"] > first["kl"] and last["log_likelihood"] > first["log_likelihood"]
            else "here more information in z is not what the better bound comes from. "
        )
        + f"The best epoch is epoch {best['epoch']:.0f} of {last['epoch']:.0f} with {best['elbo']:.1f} nats on the "
        f"validation images. {end} In the last epoch the training images had {train[-1]['elbo']:.1f} nats, "
        f"{abs(gap):.1f} nats {'more' if gap > 0 else 'less'} than the validation images (the training images' mean is "
        "taken while the weights still change)."
    )


def _conversion(values: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    elbo, dimensions = metric(values, "elbo"), values["dimensions"]
    return (
        f"The ELBO bounds the log-density of x in [0, 1] for {dimensions} pixel values together. A level of the 8-bit "
        "image is an interval of width 1/256, so its log-probability is about the log-density minus log 256 = "
        f"{values['levels']:.4f} nats, and never less than its mean over the noise. For each pixel: "
        f"(−{elbo.value:.2f}/{dimensions} + {values['levels']:.4f}) / log 2 = {_bits(run)} bits. The image file "
        "without any model has 8 bits for a pixel. The fixed σ sets a limit: even perfect means and a KL of 0 give "
        f"{values['least_bits']:.3f} bits per dimension, because σ = {values['sigma']:g} spreads a pixel over "
        f"{256 * values['sigma']:.1f} levels (standard deviation)."
    ).replace("−-", "")


def _class_table(values: Mapping[str, Any]) -> Table:
    rows = [
        [row["name"], *(written(metric(row, name), 1, unit=False) for name in ("elbo", "log_likelihood", "kl"))]
        for row in values["classes"]
    ]
    return Table(("class", "ELBO", "reconstruction", "KL"), rows, "Test images of each class, nats per image.")


def _class_words(values: Mapping[str, Any]) -> str:
    rows = values["classes"]
    if len(rows) < 2:
        return "The test images are of one class."
    elbos = [metric(row, "elbo").value for row in rows]
    high, low = rows[elbos.index(max(elbos))], rows[elbos.index(min(elbos))]
    kls = [metric(row, "kl").value for row in rows]
    least = rows[kls.index(min(kls))]["name"]
    also = (
        f" The class {high['name']} also has the smallest KL."
        if least == high["name"]
        else f" The smallest KL has {least}."
    )
    r = values["brightness"]
    bright = (
        f"Bright images tend to have a lower bound (correlation of the ELBO with the mean pixel {r:+.2f}), so it is no "
        "measure of how typical an image is: few bright pixels are easier to predict than many."
        if r < -0.2
        else f"The bound has little to do with how bright an image is (correlation with the mean pixel {r:+.2f})."
        if r < 0.2
        else f"Bright images tend to have a higher bound (correlation of the ELBO with the mean pixel {r:+.2f})."
    )
    return (
        f"Those of the class {high['name']} ({nats(high, 'elbo')}), and the lowest those of {low['name']} "
        f"({nats(low, 'elbo')}).{also} {bright}"
    )
