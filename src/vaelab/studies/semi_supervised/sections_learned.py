"""E11, E12: a VAE beside a denoising autoencoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.metrics import Metric
from vaelab.report.blocks import Answer, Block, Table, Text
from vaelab.studies.results import Results
from vaelab.studies.semi_supervised.steps import LEARNED
from vaelab.studies.semi_supervised.words import (
    TITLES,
    counted,
    differ,
    listed,
    metric,
    number,
    other_name,
    quantity,
    share,
    shares,
)

WAYS = {
    "vae-prior": "VAE, z from N(0, I)",
    "vae-fitted": "VAE, z from a Gaussian fitted to its draws of z",
    "denoising-prior": "denoising, z from N(0, I)",
    "denoising-fitted": "denoising, z from a Gaussian fitted to its codes",
}


def learned(results: Results) -> Sequence[Block]:
    """E11."""
    found = results.values("representations")
    configs = {name: results.config(name) for name in LEARNED}
    vae, denoising = (configs[name] for name in LEARNED)
    weights = found["networks"]
    rows = [
        [
            TITLES[name],
            f"{weights[name]:,}",
            str(config.model.latent),
            config.model.likelihood,
            config.training.corruption,
            " and ".join(
                f"{part} {'×'.join(map(str, shape))}" for part, shape in found["embedded"][name]["shapes"].items()
            ),
            found["embedded"][name]["file"],
        ]
        for name, config in configs.items()
    ]
    more = weights["vae"] - weights["denoising"]
    blocks: list[Block] = [
        Text(
            f"On {other_name(results)} a VAE and a denoising autoencoder were trained for "
            f"{counted(vae.training.epochs, 'epoch')} each, without labels, with the same encoder "
            f"(`{vae.model.encoder}`), the same decoder and {vae.model.latent} latent dimensions. The VAE has "
            f"{more:,} weights more: the head for its log-variance. The VAE's loss is the negative ELBO with the "
            f"likelihood `{vae.model.likelihood}`; the denoising autoencoder is given an image with noise "
            f"(`{denoising.training.corruption}`) and has to give the clean one, and it has neither a posterior nor "
            "a prior."
        ),
        Table(
            ["model", "weights", "latent", "likelihood", "corruption", "representations (images × numbers)", "file"],
            rows,
            "The representation of an image is the posterior mean of the VAE or the code of the denoising autoencoder, "
            "of the clean image, without randomness. All images are in the file, the labels beside them.",
        ),
    ]
    pictures = [
        results.picture(
            "representations",
            f"scatter-{name}",
            f"The test images' representations by the {TITLES[name]}: their first two principal components, "
            "coloured by label. The labels were not used in training.",
            f"Scatter plot of two principal components of the {TITLES[name]}'s representations.",
        )
        for name in LEARNED
    ]
    return [*blocks, *pictures]


def _shapes(shapes: Mapping[str, Sequence[int]]) -> str:
    return " and ".join(f"{part} {'×'.join(map(str, shape))}" for part, shape in shapes.items())


# --- E12 --------------------------------------------------------------------------------------------------------------


def compared(results: Results) -> Sequence[Block]:
    """E12."""
    return [
        results.picture(
            "representations",
            "reconstructions",
            "From above: test images, their reconstructions by both models; the same images with the noise that the "
            "denoising autoencoder was trained with, and what both models make of those.",
            "Six rows of ten images: originals, two reconstructions, noisy images, two reconstructions of these.",
        ),
        Table(
            ["images given", "VAE", "denoising autoencoder", "VAE, recognised (%)", "denoising, recognised (%)"],
            [_error_row(results, kind) for kind in ("clean", "noisy")],
            "Squared error against the clean test images (pixels from 0 to 1, mean over pixels and images, ± standard "
            "error), and how many reconstructions the classifier gives the class of their image.",
        ),
        Answer("Which one reconstructs better? (E12)", _reconstructs(results)),
        results.picture(
            "representations",
            "generated",
            "Images decoded from random codes, two rows of each kind, not chosen; the noise behind the codes is the "
            "same in all four.",
            "Eight rows of ten generated images: the VAE's and the denoising autoencoder's, from N(0, I) and from a "
            "Gaussian fitted to the codes.",
        ),
        Table(
            ["images", "one class with ≥ 0.9 (%)", "mean confidence", "classes met", "grey (%)"],
            _generated_rows(results),
            "The classifier's view of generated images, and for comparison of real ones and of reconstructions. "
            "Classes met: exp of the entropy of the shares of the classes that it sees. Grey: at most 0.8, among "
            "pixels that are not background (above 0.1). ± is the standard error.",
        ),
        Table(
            ["of the codes", "VAE (draws of z)", "denoising autoencoder", "N(0, I)"],
            _code_rows(results),
            "The codes of the test images against N(0, I). Energy distance: zero for equal distributions only, in "
            "brackets what 5 % of sets drawn from N(0, I) exceed.",
        ),
        Answer("Can the denoising autoencoder generate images? What is the difference? (E12)", _generates(results)),
    ]


def _error_row(results: Results, kind: str) -> list[str]:
    found = results.values("representations")
    what = "clean" if kind == "clean" else "with noise"
    errors = [quantity(metric(found["errors"][name], kind), 5, unit=False) for name in LEARNED]
    return [what, *errors, *(shares(metric(found["recognised"][name], kind)).removesuffix(" %") for name in LEARNED)]


def _reconstructs(results: Results) -> str:
    found = results.values("representations")
    sentences = []
    for kind, what in (("clean", "Of clean images"), ("noisy", "Of images with noise")):
        errors = {name: metric(found["errors"][name], kind) for name in LEARNED}
        low, high = sorted(errors, key=lambda name: errors[name].value)
        ratio = errors[high].value / max(errors[low].value, 1e-12)
        if differ(errors[low], errors[high]):
            sentences.append(
                f"{what} the {TITLES[low]} has the smaller squared error: {errors[low].value:.5f} against "
                f"{errors[high].value:.5f}, {ratio:.2f} times as much."
            )
        else:
            sentences.append(f"{what} neither is clearly better: {errors[low].value:.5f} and {errors[high].value:.5f}.")
    clean, noisy = (metric(found["errors"]["denoising"], kind) for kind in ("clean", "noisy"))
    if differ(clean, noisy) and clean.value > noisy.value:
        sentences.append(
            "The denoising autoencoder is worse on clean images than on noisy ones: clean ones are what it has never "
            "been given."
        )
    noise = Metric.from_json(found["noise"])
    removed = {name: 1 - metric(found["errors"][name], "noisy").value / noise.value for name in LEARNED}
    words = listed(
        [
            f"the {TITLES[name]} removes {share(part, 0)} of that"
            if part > 0
            else f"the {TITLES[name]} gives {share(-part, 0)} more"
            for name, part in removed.items()
        ]
    )
    sentences.append(f"The noisy images themselves have an error of {noise.value:.5f}; {words}.")
    vae, denoising = (results.config(name).model.likelihood for name in LEARNED)
    likelihoods = "" if vae == denoising else f", and the likelihoods differ (`{vae}` and `{denoising}`)"
    sentences.append(
        "The comparison is of two whole models: the VAE adds noise to the code and pays for what the code says, the "
        f"denoising autoencoder adds it to the image and pays nothing{likelihoods}."
    )
    return " ".join(sentences)


def _generated_rows(results: Results) -> list[list[str]]:
    found = results.values("representations")
    parts = [(words, found["generated"][name]) for name, words in WAYS.items()]
    parts += [(f"{TITLES[name]}, reconstructions", found["rebuilt"][name]) for name in LEARNED]
    parts += [("test images", found["real"])]
    return [
        [
            what,
            shares(metric(judged, "confident")).removesuffix(" %"),
            quantity(metric(judged, "confidence"), 3, unit=False),
            number(metric(judged, "classes").value, 1),
            shares(metric(judged, "grey")).removesuffix(" %"),
        ]
        for what, judged in parts
    ]


def _code_rows(results: Results) -> list[list[str]]:
    codes = results.values("representations")["codes"]
    both = [codes[name] for name in LEARNED]
    energy = [f"{found['energy']['distance']:.3f} (5 %: {found['energy']['critical']:.3f})" for found in both]
    return [
        ["largest mean of a dimension", *(number(found["mean"]) for found in both), "0"],
        [
            "variance of a dimension, least to largest",
            *(f"{number(found['variances'][0], 3)} to {number(found['variances'][2], 2)}" for found in both),
            "1",
        ],
        ["largest correlation of two dimensions", *(number(found["correlation"]) for found in both), "0"],
        [
            "variance along principal axes, least to largest",
            *(f"{number(found['axes'][0], 3)} to {number(found['axes'][1], 2)}" for found in both),
            "1",
        ],
        [
            "mean distance from the origin",
            *(quantity(Metric.from_json(found["length"]), 2, unit=False) for found in both),
            number(both[0]["normal_length"]),
        ],
        ["energy distance to N(0, I)", *energy, "0"],
    ]


def _generates(results: Results) -> str:
    found = results.values("representations")
    codes, made = found["codes"], found["generated"]
    confident = {name: metric(judged, "confident") for name, judged in made.items()}
    vae, denoising = codes["vae"], codes["denoising"]
    judge = metric(results.values("judge-other"), "judge_accuracy")
    closer = vae["energy"]["distance"] < denoising["energy"]["distance"]
    prior = (
        "The VAE was trained to have codes like N(0, I), and they are closer to it"
        if closer
        else "The VAE was trained to have codes like N(0, I), yet here they are not closer to it"
    )
    begin = (
        "A denoising autoencoder defines no distribution of codes, so there is nothing to draw z from; it can only be "
        "tried out."
    )
    spread = (
        f"{prior}: energy distance {vae['energy']['distance']:.3f} against {denoising['energy']['distance']:.3f}. The "
        f"denoising autoencoder's codes are on average {Metric.from_json(denoising['length']).value:.1f} from the "
        f"origin with variances of {number(denoising['axes'][0], 3)} to {number(denoising['axes'][1], 1)} along their "
        f"axes; N(0, I) expects {denoising['normal_length']:.1f} and 1."
    )
    classes = [number(metric(made[f"{name}-prior"], "classes").value, 1) for name in LEARNED]
    real = shares(metric(found["real"], "confident"))
    seen = (
        f"From N(0, I) the classifier (test accuracy {shares(judge)}) is sure of {shares(confident['vae-prior'])} of "
        f"the VAE's images and of {shares(confident['denoising-prior'])} of the denoising autoencoder's (of "
        f"real images, of {real}); it meets {listed(classes)} classes.{_doubt(made, confident)}"
    )
    return " ".join([begin, spread, seen, _fitted(confident)])


def _doubt(made: Mapping[str, Any], confident: Mapping[str, Metric]) -> str:
    """A classifier that is sure says little where all is of one class."""
    few = metric(made["denoising-prior"], "classes").value < 0.5 * metric(made["vae-prior"], "classes").value
    if few and confident["denoising-prior"].value > 0.3:
        return " So sure a verdict says little there: nearly all images are taken for the same few classes."
    return ""


def _fitted(confident: Mapping[str, Metric]) -> str:
    before, after = confident["denoising-prior"], confident["denoising-fitted"]
    vae, like = confident["vae-prior"], confident["vae-fitted"]
    if not differ(before, after):
        change = f"changes little: {shares(after)}"
    else:
        change = f"{'raises' if after.value > before.value else 'lowers'} that to {shares(after)}"
    text = (
        f"Drawing the denoising autoencoder's codes from a Gaussian fitted to its codes {change}; the VAE with a "
        f"Gaussian fitted to its own has {shares(like)}."
    )
    if not differ(after, vae):
        return f"{text} That is as much as the VAE reaches from its prior, within two standard errors."
    if after.value > vae.value:
        return (
            f"{text} That is more than the VAE reaches from its prior: with a distribution of codes fitted afterwards "
            "the denoising autoencoder generates, too, though nothing in its training asked for it."
        )
    return (
        f"{text} That is less than the VAE reaches from its prior ({shares(vae)}): a Gaussian is no good description "
        "of codes that no loss has made Gaussian."
    )
