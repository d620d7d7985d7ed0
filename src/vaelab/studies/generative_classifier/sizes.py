"""A2 to A4: reconstructions and samples of each number of latent dimensions, and how good they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab import plots
from vaelab.applications.classification import label_bounds
from vaelab.applications.frechet import features, frechet_distance
from vaelab.applications.judge import Judge, confident_share
from vaelab.applications.latent import some_rows
from vaelab.data.images import ImageData
from vaelab.data.pixels import prepare_fixed
from vaelab.metrics import Metric
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.studies.generative_classifier.classes import NEIGHBOURS, encoded_part, labels_of, neighbour_shares
from vaelab.studies.judging import grey_share, judge_of
from vaelab.tasks.transfer import in_turn

SHOWN = 10
"""Images in a row of a sheet."""

SHARE = "share of images"
KINDS = {"vae": "VAE", "cvae": "CVAE"}


def measure(ctx: Context) -> Mapping[str, Any]:
    """Each model's samples and reconstructions, judged and drawn; ``options["runs"]``: (kind, size, name)."""
    judge, found, real = judge_of(ctx), {}, _real(ctx, judge_of(ctx))
    rows: dict[str, dict[int, tuple[Tensor, Tensor]]] = {kind: {} for kind in KINDS}
    runs = ctx.options["runs"]
    with ctx.progress("judging samples", len(runs)) as advance:
        for kind, size, name in runs:
            run = ctx.run(name)
            found[name] = {"kind": kind, "size": size, **_quality(ctx, run, judge, real.test)}
            inputs, outputs, samples = _shown(run, ctx.settings.seed)
            rows[kind][size] = outputs, samples
            advance(1)
    for kind, sheets in rows.items():
        _sheets(ctx, kind, sheets, inputs)
    largest = max(size for _, size, _ in runs)
    for name in dict.fromkeys(("cvae-2", f"cvae-{largest}")):
        ctx.figure(f"per-class-{name}", ctx.run(name).figure("samples-per-class", count=SHOWN, seed=ctx.settings.seed))
    _curves(ctx, found, real.distance)
    models = {name: {key: _plain(value) for key, value in values.items()} for name, values in found.items()}
    return {
        "models": models,
        "real_distance": real.distance,
        "samples": ctx.options["samples"],
        "images": ctx.options["images"],
    }


def _plain(value: Any) -> Any:
    return value.to_json() if isinstance(value, Metric) else value


@dataclass(frozen=True)
class _Real:
    """Features of as many test images as there are samples, and their distance from as many training images."""

    test: Tensor
    distance: float


def _real(ctx: Context, judge: Judge) -> _Real:
    data = ctx.run(ctx.options["runs"][0][2]).data
    n, seed = ctx.options["samples"], ctx.settings.seed
    test, train = (features(judge, part.take(some_rows(len(part), n, seed)).images) for part in (data.test, data.train))
    return _Real(test, frechet_distance(train, test))


def _quality(ctx: Context, run: Run, judge: Judge, real: Tensor) -> dict[str, Any]:
    """What the judge sees in samples and in reconstructions of test images."""
    n, seed = ctx.options["samples"], ctx.settings.seed
    samples = run.sample(n, seed=seed)
    seen = judge.probabilities(samples)
    kind = "labels in turn" if run.model.classes else "all classes"
    protocol = f"{n} samples from the prior, {kind}, decoder's mean, seed {seed}, by the judge"
    values: dict[str, Any] = {
        "confident": confident_share(seen, protocol),
        "frechet": _distance(judge, samples, real),
        "grey": Metric.mean(grey_share(samples), "share of pixels", f"between 0.25 and 0.75, {n} samples, seed {seed}"),
        "class_shares": torch.bincount(seen.argmax(1), minlength=seen.shape[1]).double().div(n).tolist(),
    }
    if run.model.classes:
        asked = torch.arange(n) % run.model.classes
        right = (seen.argmax(1) == asked).double()
        values["label_accuracy"] = Metric.mean(right, SHARE, f"shows the label asked for; {protocol}")
    data = run.split("test")
    data = data.take(some_rows(len(data), ctx.options["images"], seed))
    known = data.take(torch.nonzero(data.labels >= 0).flatten()) if data.labels is not None else data
    x, c = _inputs(run, known)
    assert known.labels is not None
    values["knn"] = _told(ctx, run)
    if run.model.classes:
        bounds = label_bounds(run.model, known, run.config.data.variant, bound="elbo", samples=1, seed=seed)
        words = f"argmax of the ELBO over the labels, 1 sample of z, {len(known)} test images"
        values["bayes_accuracy"] = Metric.mean((bounds.argmax(1) == known.labels.cpu()).double(), SHARE, words)
    outputs = run.model.reconstruct(x, c).clamp(0, 1).cpu()
    right = (judge.log_probabilities(outputs).argmax(1) == known.labels.cpu()).double()
    words = f"reconstruction at the posterior mean shows the image's class; {len(known)} test images, by the judge"
    return values | {"recognised": Metric.mean(right, SHARE, words)}


def _told(ctx: Context, run: Run) -> Metric:
    """How often nearest neighbours tell the class from z."""
    limit, seed = ctx.options["images"], ctx.settings.seed
    (_, fitted), (_, asked) = (encoded_part(run, split, limit, seed) for split in ("train", "test"))
    right = neighbour_shares(fitted, asked).argmax(1) == labels_of(asked)
    words = f"{NEIGHBOURS} nearest neighbours among the posterior means of {len(fitted)} training images"
    return Metric.mean(right.double(), SHARE, words)


def _distance(judge: Judge, samples: Tensor, real: Tensor) -> Metric:
    words = f"Fréchet distance of {len(samples)} samples from {len(real)} test images in the judge's features"
    return Metric(frechet_distance(features(judge, samples), real), None, "squared units of the features", len(samples),
                  words)  # fmt: skip


def _inputs(run: Run, data: ImageData) -> tuple[Tensor, Tensor | None]:
    x = prepare_fixed(data.images, run.config.data.variant, 0).to(run.device)
    return x, None if data.labels is None or not run.model.classes else data.labels.to(run.device)


def _shown(run: Run, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """A run's rows of the sheets: test images, their reconstructions, samples (of a CVAE one for each class)."""
    data = run.split("test")
    data = data.take(in_turn(data, SHOWN, seed))
    x, c = _inputs(run, data)
    outputs = run.model.reconstruct(x, c).clamp(0, 1).cpu()
    return x.cpu(), outputs, run.sample(min(SHOWN, run.model.classes) if run.model.classes else SHOWN, seed=seed)


def _sheets(ctx: Context, kind: str, rows: Mapping[int, tuple[Tensor, Tensor]], inputs: Tensor) -> None:
    """A row for each size: the same images reconstructed, and samples."""
    names = [f"{size} dim{'s' if size > 1 else ''}" for size in rows]
    outputs = torch.cat([inputs, *(reconstructions for reconstructions, _ in rows.values())])
    title = f"{KINDS[kind]}: test images and their reconstructions"
    ctx.figure(f"reconstructions-{kind}", plots.image_grid(outputs, len(inputs), ["test image", *names], title=title))
    samples = torch.cat([drawn for _, drawn in rows.values()])
    columns = len(samples) // len(rows)
    classes = ctx.values("judge")["class_names"][:columns] if kind == "cvae" else None
    title = f"{KINDS[kind]}: samples from the prior" + (", one for each class" if classes else "")
    ctx.figure(f"samples-{kind}", plots.image_grid(samples, columns, names, classes, title=title))


def _curves(ctx: Context, found: Mapping[str, Mapping[str, Any]], real_distance: float) -> None:
    """A4: everything against the number of latent dimensions, drawn and as a table."""
    sizes = sorted({size for _, size, _ in ctx.options["runs"]})
    merged = {name: {**ctx.values(name), **{key: _plain(value) for key, value in values.items()}}
              for name, values in found.items()}  # fmt: skip
    judge, real = ctx.values("judge"), "real test images"
    accuracy, sure, grey = judge["judge_accuracy"]["value"], judge["judge_confident"]["value"], judge["grey"]
    panels = [
        _panel("−ELBO", "nats per image", sizes, merged, "negative_elbo"),
        _panel("reconstruction", "nats per image", sizes, merged, "reconstruction"),
        _panel("KL", "nats per image", sizes, merged, "kl"),
        _panel("active units", "dimensions", sizes, merged, "active_units", {"all": sizes}),
        _panel("recognised reconstructions", "% of images", sizes, merged, "recognised", {real: 100 * accuracy}),
        _panel("clear samples", "% of samples", sizes, merged, "confident", {real: 100 * sure}),
        _panel("grey pixels of samples", "% of pixels", sizes, merged, "grey", {real: 100 * grey}),
        _panel("samples' distance from images", "Fréchet distance", sizes, merged, "frechet", {real: real_distance}),
        _panel("labels by Bayes' rule", "% of images", sizes, merged, "bayes_accuracy"),
    ]
    ctx.figure("curves", plots.sweep(sizes, panels, title="What the number of latent dimensions changes, test images"))
    columns = ["negative_elbo", "reconstruction", "kl", "active_units", "recognised", "confident", "grey", "frechet"]
    table = [[name, *(merged[name][column]["value"] for column in columns)] for name in merged]
    ctx.table("sizes", ["model", *columns], table)


def _panel(
    title: str,
    unit: str,
    sizes: Sequence[int],
    merged: Mapping[str, Mapping[str, Any]],
    metric: str,
    guides: Mapping[str, Any] | None = None,
) -> plots.Panel:
    """One metric of both kinds; a share in per cent."""
    lines, scale = {}, 100.0 if unit.startswith("%") else 1.0
    for kind, words in KINDS.items():
        points = [merged[f"{kind}-{size}"].get(metric) or {} for size in sizes]
        if any(points):
            values = [point.get("value") for point in points]
            errors = [point.get("standard_error") or 0.0 for point in points]
            lines[words] = (
                scale * np.array([np.nan if value is None else value for value in values]),
                scale * np.array(errors),
            )
    return plots.Panel(title, unit, lines, guides or {})
