"""E11, E12: a VAE beside a denoising autoencoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.config import RunConfig
from vaelab.metrics import Metric
from vaelab.report.blocks import Answer, Block, Table, Text
from vaelab.studies.results import Results
from vaelab.studies.semi_supervised.planes import BRIGHT, INK
from vaelab.studies.semi_supervised.steps import LEARNED
from vaelab.studies.semi_supervised.words import TITLES, number, other_name, part, quantity, share, shares
from vaelab.studies.words import apart, counted, listed, metric

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
            part(config.model.likelihood),
            part(config.training.corruption),
            " and ".join(
                f"{split} {'×'.join(map(str, shape))}" for split, shape in found["embedded"][name]["shapes"].items()
            ),
            found["embedded"][name]["file"],
        ]
        for name, config in configs.items()
    ]
    blocks: list[Block] = [
        Text(
            f"On {other_name(results)} a VAE and a denoising autoencoder were trained for {_epochs(vae, denoising)}, "
            f"without labels, with {_networks(vae, denoising, weights)} The VAE's loss is the negative ELBO "
            f"(likelihood: {part(vae.model.likelihood)}); the denoising autoencoder is given an image with noise "
            f"({part(denoising.training.corruption)}) and has to give the clean one (likelihood: "
            f"{part(denoising.model.likelihood)}), and it has neither a posterior nor a prior."
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


def _epochs(vae: RunConfig, denoising: RunConfig) -> str:
    first, second = (counted(config.training.epochs, "epoch") for config in (vae, denoising))
    return f"{first} each" if first == second else f"{first} and {second}"


def _networks(vae: RunConfig, denoising: RunConfig, weights: Mapping[str, int]) -> str:
    """What both have in common, and what not where the configuration was changed."""
    names = ("encoder", "decoder", "latent")
    if all(getattr(vae.model, name) == getattr(denoising.model, name) for name in names):
        return (
            f"the same encoder ({part(vae.model.encoder)}), the same decoder and {vae.model.latent} latent dimensions. "
            f"The VAE has {weights['vae'] - weights['denoising']:,} weights more: the head for its log-variance."
        )
    return (
        f"different networks: encoders {part(vae.model.encoder)} and {part(denoising.model.encoder)}, "
        f"{vae.model.latent} and {denoising.model.latent} latent dimensions."
    )


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
            ["images", "one class with ≥ 0.9 (%)", "mean confidence", "effective classes", "faint (%)"],
            _generated_rows(results),
            "The classifier's view of generated images, and for comparison of real ones and of reconstructions. "
            "Effective classes: the exponential of the entropy of the shares of the classes that it sees; so many "
            f"equally frequent classes would be as varied. Faint: the share of the pixels of the ink (above {INK}) "
            f"that are at most {BRIGHT}. ± is the standard error.",
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
        if apart(errors[low], errors[high]):
            sentences.append(
                f"{what} the {TITLES[low]} has the smaller squared error: {errors[low].value:.5f} against "
                f"{errors[high].value:.5f}, {ratio:.2f} times as much."
            )
        else:
            sentences.append(f"{what} neither is clearly better: {errors[low].value:.5f} and {errors[high].value:.5f}.")
    clean, noisy = (metric(found["errors"]["denoising"], kind) for kind in ("clean", "noisy"))
    if apart(clean, noisy) and clean.value > noisy.value:
        sentences.append(
            "The denoising autoencoder is worse on clean images than on noisy ones: clean ones are what it has never "
            "been given."
        )
    noise = Metric.from_json(found["noise"])
    removed = {name: 1 - metric(found["errors"][name], "noisy").value / noise.value for name in LEARNED}
    words = listed(
        [
            f"the {TITLES[name]} removes {share(less, 0)} of that"
            if less > 0
            else f"the {TITLES[name]} gives {share(-less, 0)} more"
            for name, less in removed.items()
        ]
    )
    sentences.append(f"The noisy images themselves have an error of {noise.value:.5f}; {words}.")
    vae, denoising = (results.config(name).model.likelihood for name in LEARNED)
    likelihoods = "" if vae == denoising else f", and the likelihoods differ ({part(vae)}; {part(denoising)})"
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
    confident = {name: metric(judged, "confident") for name, judged in found["generated"].items()}
    begin = (
        "A denoising autoencoder defines no distribution of codes, so there is nothing to draw z from; it can only be "
        "tried out."
    )
    return " ".join([begin, _spread(found["codes"]), _seen(results, confident), _fitted(confident)])


def _spread(codes: Mapping[str, Any]) -> str:
    """How far both models' codes are from N(0, I)."""
    vae, denoising = (codes[name]["energy"] for name in LEARNED)
    closer = "and they are" if vae["distance"] < denoising["distance"] else "yet here they are not"
    beyond = "within" if vae["distance"] <= vae["critical"] else "yet beyond"
    least, largest = codes["denoising"]["axes"]
    return (
        f"The VAE was trained to have codes like N(0, I), {closer} closer to it: energy distance "
        f"{vae['distance']:.3f} ({beyond} the {vae['critical']:.3f} that 5 % of sets drawn from N(0, I) exceed) "
        f"against {denoising['distance']:.3f}. The denoising autoencoder's codes are on average "
        f"{Metric.from_json(codes['denoising']['length']).value:.1f} from the origin with variances of "
        f"{number(least, 3)} to {number(largest, 1)} along their axes; N(0, I) expects "
        f"{codes['denoising']['normal_length']:.1f} and 1."
    )


def _seen(results: Results, confident: Mapping[str, Metric]) -> str:
    """What the classifier says of images decoded from N(0, I)."""
    found = results.values("representations")
    made, judge = found["generated"], metric(results.values("judge-other"), "judge_accuracy")
    classes = [number(metric(made[f"{name}-prior"], "classes").value, 1) for name in LEARNED]
    return (
        f"Of images from N(0, I) the classifier (test accuracy {shares(judge)}) is sure of "
        f"{shares(confident['vae-prior'])} of the VAE's and of {shares(confident['denoising-prior'])} of the denoising "
        f"autoencoder's (of real images, of {shares(metric(found['real'], 'confident'))}); it sees an effective number "
        f"of {listed(classes)} classes.{_doubt(made, confident)}"
    )


def _doubt(made: Mapping[str, Any], confident: Mapping[str, Metric]) -> str:
    """A classifier that is sure says little where all is of one class."""
    few = metric(made["denoising-prior"], "classes").value < 0.5 * metric(made["vae-prior"], "classes").value
    if few and confident["denoising-prior"].value > 0.3:
        return " So sure a verdict says little there: nearly all images are taken for the same few classes."
    return ""


def _fitted(confident: Mapping[str, Metric]) -> str:
    before, after = confident["denoising-prior"], confident["denoising-fitted"]
    vae, like = confident["vae-prior"], confident["vae-fitted"]
    if not apart(before, after):
        change = f"changes little: {shares(after)}"
    else:
        change = f"{'raises' if after.value > before.value else 'lowers'} that to {shares(after)}"
    text = (
        f"Drawing the denoising autoencoder's codes from a Gaussian fitted to its codes {change}; the VAE with a "
        f"Gaussian fitted to its own has {shares(like)}."
    )
    if not apart(after, vae):
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
