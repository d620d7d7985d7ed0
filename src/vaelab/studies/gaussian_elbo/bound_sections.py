"""The sections of the report about the bound: D1 to D3."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Formula, Table, Text
from vaelab.studies.gaussian_elbo.words import nats, shape, written
from vaelab.studies.results import Results
from vaelab.studies.words import counted, metric


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
        _positive(values),
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


def _positive(values: Mapping[str, Any]) -> Answer:
    """Why the ELBO is above 0, whether it could be, or why it cannot."""
    elbo, largest = metric(values, "elbo").value, values["largest"]
    density = (
        f"that of a normal distribution with σ = {values['sigma']:g} is {math.exp(values['per_pixel']):.2f} at its mean"
    )
    end = (
        "the number depends on the unit of the pixels: on a scale of 0 to 256 instead of 0 to 1 it would be "
        f"{values['levels']:.3f} nats less for each pixel. With this σ no model can pass {largest:.1f} nats, where "
        f"every pixel of the decoder mean equals the image and the KL is 0. This model reaches {elbo:.1f} nats."
    )
    if elbo > 0:
        start = (
            f"A density, unlike a probability, may exceed 1: {density}. So its logarithm is positive here, and {end}"
        )
        return Answer("Why is the ELBO above 0?", start)
    if largest > 0:
        start = (
            f"A density, unlike a probability, may exceed 1: {density}. So its logarithm could be positive, and {end}"
        )
        return Answer("Can the ELBO be above 0?", f"Yes, though it is not here. {start}")
    start = (
        f"A density, unlike a probability, may exceed 1, but {density}. So its logarithm is never positive, and {end}"
    )
    return Answer("Can the ELBO be above 0?", f"Not with this σ. {start}")


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
        f"reconstructed test image is {written(error, 2)}, that is {math.sqrt(error.value / values['dimensions']):.4f} "
        f"for a pixel (root mean square). The σ that fits this best is that number, {relation} the sheet's; with it, "
        f"and these networks as they are, the ELBO would change by {gain:+.1f} nats. Training with another σ would "
        "weigh the two terms otherwise: a smaller σ asks for better reconstructions at the cost of a larger KL."
    )
