"""B6: the images of the data against images of another kind, which no model has seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab import plots
from vaelab.applications.anomaly import anomaly_scores, detect, roc_curve
from vaelab.config import RunConfig
from vaelab.data.images import ImageData
from vaelab.data.pixels import prepare_fixed
from vaelab.data.splits import some_places
from vaelab.evaluation import evaluate_bounds
from vaelab.metrics import Metric
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.tasks.anomaly import POINTS, Anomalies, detect_anomalies
from vaelab.vae import VAE

SHOWN = 10
"""Images of each set, as the sheet asks."""

SCORES = ("reconstruction", "negative_elbo", "kl")
"""Of the model ``longest``."""

INVERTED = "images"
"""The name of their file."""


@dataclass(frozen=True)
class Detector:
    """A score of an image, the higher the more anomalous: ``normal (n,)``, ``anomalous (m,)``."""

    name: str
    title: str
    normal: Tensor
    anomalous: Tensor


def invert(ctx: Context) -> Mapping[str, Any]:
    """For where no other data set is at hand: the test images with dark and light exchanged, as a ``.npz`` file."""
    data = ctx.access.load(ctx.settings.config(ctx.step.name, RunConfig())).test
    arrays = {"images": 255 - data.images.numpy()}
    if data.labels is not None:
        arrays["labels"] = data.labels.numpy()
    path = ctx.arrays(INVERTED, **arrays)
    return {"file": path.name, "images": len(data)}


def measure(ctx: Context) -> Mapping[str, Any]:
    """Scores of all test images and all others, by several detectors; figures of the sheet's and beyond."""
    run = ctx.run("longest")
    against, note = _against(ctx, run)
    result = detect_anomalies(run, against, scores=SCORES, samples=1, figures=False)
    normal, anomalous = run.split("test"), other_images(run, against)
    detectors = [*_of_longest(result, run.config.training.epochs), *_of_others(ctx, normal, anomalous)]
    values = _areas(detectors, ctx.options["resamples"])
    inverted = against == _inverted(ctx)
    own, other = (Path(name).stem for name in result.names)
    names = [own, f"inverted {own}" if inverted else other]
    _draw_curves(ctx, detectors, result, names)
    ctx.arrays(
        "scores", **{f"{d.name}.{kind}": getattr(d, kind) for d in detectors for kind in ("normal", "anomalous")}
    )
    _draw_images(ctx, run, (normal, anomalous), result, names)
    return {
        **values,
        **{name: metric for name, metric in result.metrics.items() if name.endswith("_reconstruction")},
        **_means(detectors, names),
        **_brightness(result, (normal, anomalous)),
        "detectors": {detector.name: detector.title for detector in detectors},
        "names": names,
        "n": [len(normal), len(anomalous)],
        "wide": ctx.run("wide").model.latent,
        "inverted": inverted,
        "notes": [*note, *result.notes],
        "kept_epoch": kept_epoch(run),
        "classes": _by_class(result, anomalous),
    }


def _inverted(ctx: Context) -> str:
    return str(ctx.store.arrays_path("inverted", INVERTED).absolute())


def _against(ctx: Context, run: Run) -> tuple[str, list[str]]:
    """The other data, and a note where it does not fit, so that the inverted images take its place."""
    against = ctx.options["against"]
    if not against:
        return _inverted(ctx), []
    got = other_images(run, against).image_shape
    if got == run.model.image_shape:
        return against, []
    had, wanted = ("×".join(map(str, shape)) for shape in (got, run.model.image_shape))
    name = Path(against).stem
    return _inverted(ctx), [
        f"the images of {name} are {had} (channels × height × width) and these {wanted}, so inverted images are used"
    ]


def other_images(run: Run, against: str) -> ImageData:
    """The test part, or all, of the data set ``against``, in the size of the run's images."""
    _, height, width = run.model.image_shape
    return run.access.load_unseen(against, height if height == width else None)


def kept_epoch(run: Run) -> int:
    """The epoch whose weights are kept: the best on the validation images, or the last."""
    history = run.history().where(split="validation")
    if not history["epoch"]:
        return int(run.config.training.epochs)
    losses = [float(value) for value in history["loss"]]
    return int(history["epoch"][losses.index(min(losses))])


def _of_longest(result: Anomalies, epochs: int) -> list[Detector]:
    what = {"reconstruction": "reconstruction loss", "negative_elbo": "−ELBO", "kl": "KL"}
    return [
        Detector(name, f"VAE, {epochs} epochs: {what[name]}", result.normal[name], result.anomalous[name])
        for name in SCORES
    ]


def _of_others(ctx: Context, normal: ImageData, anomalous: ImageData) -> list[Detector]:
    """A wider latent space; the conditional model; and no model at all."""
    wide, conditional = ctx.run("wide"), ctx.run("cvae-sheet")
    both = (normal, anomalous)
    with ctx.progress("scoring", 3) as advance:
        found = [
            anomaly_scores(wide.model, data, wide.config.data.variant, scores=["reconstruction"], samples=1)
            for data in both
        ]
        advance(1)
        labelled = [every_label(conditional, data) for data in both]
        advance(1)
        brightness = [data.images.float().mean((1, 2, 3)).double() for data in both]
        usual = float(ctx.run("longest").data.train.images.float().mean())
        plain = [(values - usual).abs() / 255 for values in brightness]
        advance(1)
    latent = wide.model.latent
    return [
        Detector(
            "wide", f"VAE, {latent} latent dimensions: reconstruction loss", *(s["reconstruction"] for s in found)
        ),
        Detector("labelled", "CVAE, best of all labels: reconstruction loss", *labelled),
        Detector("brightness", "no model: unusual mean brightness", *plain),
    ]


def every_label(run: Run, data: ImageData) -> Tensor:
    """min over y of −E_q(z|x,y) log p(x|z,y), one draw of z: ``(n,)`` nats. Nobody knows the label of an anomaly."""
    assert isinstance(run.model, VAE)
    names = tuple(run.class_names)
    scores = torch.full((len(data),), math.inf, dtype=torch.float64)
    for label in range(run.model.classes):
        labels = torch.full((len(data),), label)
        given = replace(data, labels=labels, class_names=names)
        scores = torch.minimum(scores, evaluate_bounds(run.model, given, run.config.data.variant).reconstruction)
    return scores


def _areas(detectors: list[Detector], resamples: int) -> dict[str, Metric]:
    """The area under each ROC curve, and the false alarms at which 95 % of the anomalies are found."""
    metrics = {}
    for one in detectors:
        found = detect(one.normal.numpy(), one.anomalous.numpy(), math.inf, resamples=resamples)
        count = len(one.normal) + len(one.anomalous)
        area, rate = found.auroc, found.fpr_at_95
        words = f"{one.title}; 95 % interval {area.low:.4f} to {area.high:.4f}"
        metrics[f"{one.name}.auroc"] = Metric(area.value, area.standard_error, "share of pairs", count, words)
        metrics[f"{one.name}.fpr"] = Metric(
            rate.value, rate.standard_error, "share of normal images", count, f"{one.title}; 95 % detected"
        )
    return metrics


def _means(detectors: list[Detector], names: list[str]) -> dict[str, Metric]:
    """Of each score that is in nats."""
    found = {}
    for one in detectors:
        for kind, name in zip(("normal", "anomalous"), names, strict=True):
            if one.name != "brightness":
                found[f"{one.name}.{kind}"] = Metric.mean(getattr(one, kind), "nats per image", f"{one.title}, {name}")
    return found


def _brightness(result: Anomalies, sets: tuple[ImageData, ImageData]) -> dict[str, float]:
    """Correlation of an image's loss with its mean brightness, in each set; 0 where one of them does not vary."""
    found = {}
    for kind, data in zip(("normal", "anomalous"), sets, strict=True):
        values = getattr(result, kind)["reconstruction"]
        pair = torch.stack([values, data.images.cpu().float().mean((1, 2, 3)).double()])
        varies = bool((pair.std(1) > 0).all())
        found[f"correlation.{kind}"] = float(torch.corrcoef(pair)[0, 1]) if varies else 0.0
    return found


def _by_class(result: Anomalies, anomalous: ImageData) -> list[list[Any]]:
    """Name, images, share found at the threshold, median loss of each class of the other set."""
    if anomalous.labels is None:
        return []
    scores, rows = result.anomalous["reconstruction"], []
    cut = result.detections["reconstruction"].threshold
    for label, name in enumerate(anomalous.class_names):
        of_class = scores[anomalous.labels.cpu() == label]
        if len(of_class):
            rows.append([name, len(of_class), float((of_class > cut).double().mean()), float(of_class.median())])
    return rows


def _draw_curves(ctx: Context, detectors: list[Detector], result: Anomalies, names: list[str]) -> None:
    found = result.detections["reconstruction"]
    head = f"reconstruction loss · AUROC {found.auroc.value:.4f}"
    both = (result.normal["reconstruction"].numpy()[None], result.anomalous["reconstruction"].numpy()[None])
    figure = plots.score_histograms(*both, [head], [found.threshold], names, "nats per image")
    ctx.figure("histogram", figure)
    curves = [np.interp(POINTS, *roc_curve(one.normal.numpy(), one.anomalous.numpy())) for one in detectors]
    title = f"{names[0]} against {names[1]}"
    ctx.figure("roc", plots.roc_curves(np.stack(curves), POINTS, [one.title for one in detectors], title))


def _draw_images(
    ctx: Context, run: Run, sets: tuple[ImageData, ImageData], result: Anomalies, names: list[str]
) -> None:
    """Ten of each at random, and the ones that are hardest: the anomalies of least and the images of largest loss."""
    scores = result.normal["reconstruction"], result.anomalous["reconstruction"]
    for kind, data, values, name in zip(("normal", "anomalous"), sets, scores, names, strict=True):
        places = some_places(len(data), SHOWN, 0)
        _reconstructions(ctx, run, data, places, values, kind, f"{len(places)} test images of {name}")
    hardest = scores[0].argsort(descending=True)[:SHOWN]
    _reconstructions(ctx, run, sets[0], hardest, scores[0], "hard-normal", f"{names[0]}: the largest losses")
    missed = scores[1].argsort()[:SHOWN]
    _reconstructions(ctx, run, sets[1], missed, scores[1], "hard-anomalous", f"{names[1]}: the smallest losses")


@torch.no_grad()
def _reconstructions(
    ctx: Context, run: Run, data: ImageData, places: Tensor, values: Tensor, name: str, title: str
) -> None:
    x = prepare_fixed(data.take(places).images.to(run.device), run.config.data.variant, 0)
    outputs = run.model.decode(run.model.embed(x)).mean.clamp(0, 1).cpu()
    ctx.figure(name, plots.reconstructions(x.cpu(), outputs, values[places].numpy(), title=title))
