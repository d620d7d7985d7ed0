"""The section of the report about training and the test bound: D4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Formula, Table, Text
from vaelab.studies.gaussian_elbo.words import above, nats, written
from vaelab.studies.results import Results
from vaelab.studies.words import metric


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
                ["ELBO", written(metric(values, "elbo"), 2)],
                ["reconstruction log-likelihood", written(metric(values, "log_likelihood"), 2)],
                ["KL", written(metric(values, "kl"), 2)],
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
    return written(metric(run, "bits_per_dimension"), 4) if "bits_per_dimension" in run else "–"


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
    last, best = rows[-1], best_epoch(rows)
    gap = train[-1]["elbo"] - last["elbo"]
    end = (
        "It was the last epoch, so a longer training may still improve it."
        if best["epoch"] == last["epoch"]
        else f"The epochs after it did not improve it: at the end it was {last['elbo']:.1f} nats."
    )
    return (
        f"{_movement(rows[0], last)} The best epoch is epoch {best['epoch']:.0f} of {last['epoch']:.0f} with "
        f"{best['elbo']:.1f} nats on the validation images. {end} In the last epoch the training images had "
        f"{train[-1]['elbo']:.1f} nats, {abs(gap):.1f} nats {'more' if gap > 0 else 'less'} than the validation images "
        "(the training images' mean is taken while the weights still change)."
    )


def _movement(first: Mapping[str, float], last: Mapping[str, float]) -> str:
    """How the two terms of the validation images went from the first epoch to the last, and what that means."""
    if first["epoch"] == last["epoch"]:
        return (
            "There was one epoch, so nothing moves between epochs: after it the validation images' reconstruction "
            f"log-likelihood is {last['log_likelihood']:.1f} nats and their KL {last['kl']:.1f} nats."
        )
    better, dearer = last["log_likelihood"] > first["log_likelihood"], last["kl"] > first["kl"]
    bound = last["elbo"] > first["elbo"]
    meaning = (
        "the better reconstructions are paid for with a larger KL"
        + ("" if bound else ", by more than they gain, so that the bound gets worse")
        if better and dearer
        else "the better bound is one of reconstructions, and comes without a larger KL"
        if better
        else "the reconstructions get worse, and the bound with them"
        if not bound
        else "the reconstructions get worse, and the bound is better by the smaller KL alone"
    )
    return (
        f"On the validation images the reconstruction log-likelihood goes from {first['log_likelihood']:.1f} nats "
        f"after the first epoch to {last['log_likelihood']:.1f} nats after the last, and the KL "
        f"{_goes(first['kl'], last['kl'])}: {meaning}."
    )


def _goes(first: float, last: float) -> str:
    """``rises from 3.0 to 5.0 nats``, as far as it can be read."""
    if round(first, 1) == round(last, 1):
        return f"stays at {last:.1f} nats"
    return f"{'rises' if last > first else 'falls'} from {first:.1f} to {last:.1f} nats"


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
        [row["name"], *(written(metric(row, name), 1) for name in ("elbo", "log_likelihood", "kl"))]
        for row in values["classes"]
    ]
    return Table(("class", "ELBO", "reconstruction", "KL"), rows, "Test images of each class, nats per image.")


def _class_words(values: Mapping[str, Any]) -> str:
    rows = values["classes"]
    if len(rows) < 2:
        return "The test images are of one class."
    by = {name: sorted(rows, key=lambda row: metric(row, name).value) for name in ("elbo", "kl")}
    low, high, least = by["elbo"][0], by["elbo"][-1], by["kl"][0]
    ends = f"class {high['name']} ({nats(high, 'elbo')})", f"class {low['name']} ({nats(low, 'elbo')})"
    start = (
        f"On average those of {ends[0]}; those of {ends[1]} have the lowest."
        if above(metric(high, "elbo"), metric(low, "elbo"))
        else f"Of no class beyond chance: the means lie between {ends[1]} and {ends[0]}."
    )
    also = (
        f" Class {high['name']} also has the smallest KL."
        if least is high
        else f" Class {least['name']} has the smallest KL."
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
    return f"{start}{also} {bright}"
