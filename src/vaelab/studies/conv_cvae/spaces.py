"""The latent space in numbers: classes and prior (C8, C12, C17), and whether another training finds it again (C9)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import combinations, permutations
from typing import Any

import torch
from torch import Tensor

from vaelab import plots
from vaelab.applications.latent import Encoded, encode, procrustes, some_rows
from vaelab.applications.style import fit_style, image_styles
from vaelab.errors import DataError
from vaelab.metrics import Metric
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.studies.conv_cvae.plane import neighbours
from vaelab.tasks.latent import study_latent_space
from vaelab.tasks.latent_metrics import agreement_metrics

SHOWN = 2_000
"""Points in each panel of the figure of the seeds."""


def measure(ctx: Context) -> Mapping[str, Any]:
    """The space of the run ``options["run"]``: what `study_latent_space` finds, classes, variance between classes.

    ``options``: ``limit`` images of each split, ``gaps`` sought (0: none).
    """
    run, limit, seed = ctx.run(ctx.options["run"]), ctx.options["limit"], ctx.settings.seed
    report = study_latent_space(run, gaps=ctx.options["gaps"], limit=limit, seed=seed, progress=ctx.progress)
    figure = run.folder.figures / "aggregate-posterior.png"
    data = run.split("test")
    rows = some_rows(len(data), limit, seed)
    encoded = encode(run.model, data.take(rows), run.config.data.variant, seed=seed)
    train = run.split("train")
    fitted = encode(run.model, train.take(some_rows(len(train), limit, seed)), run.config.data.variant, seed=seed)
    return {
        **report.metrics,
        **classes_of(fitted, encoded),
        "style": styles_of(encoded, data.take(rows).images, seed),
        "borders": report.borders,
        "notes": report.notes,
        "drawn": figure.exists(),
        "latent": run.model.latent,
        "images": len(encoded),
    }


def classes_of(fitted: Encoded, asked: Encoded) -> dict[str, Any]:
    """How the classes lie in z: the largest class's share, the neighbours of each class, the variance between classes.

    ``fitted``: training images, ``asked``: others.
    """
    assert fitted.labels is not None
    assert asked.labels is not None
    names = list(asked.class_names)
    known = asked.labels >= 0
    z, labels = asked.means[known], asked.labels[known]
    largest = int(torch.bincount(fitted.labels[fitted.labels >= 0], minlength=len(names)).argmax())
    shares, _ = neighbours(fitted.means, fitted.labels, z, len(names))
    table = [_row(shares[labels == label]) for label in range(len(names))]
    return {
        "class_names": names,
        "majority": Metric.mean((labels == largest).double(), "share of images", "always the largest training class"),
        "majority_class": names[largest],
        "neighbours": table,
        "between": [between(z[:, j], labels) for j in range(z.shape[1])],
        "between_all": between_all(z, labels),
    }


def styles_of(encoded: Encoded, images: Tensor, seed: int) -> dict[str, dict[str, float] | None]:
    """How much z tells of each measure of style among images of one class: R², its error; None where nothing varies.

    Within classes, because the class itself has a style: a 1 is narrow.
    """
    found: dict[str, dict[str, float] | None] = {}
    for name, values in image_styles(images).items():
        try:
            fit = fit_style(encoded.means, values, encoded.labels, seed=seed)
        except DataError:
            found[name] = None
            continue
        found[name] = {"r2": fit.r2, "error": fit.r2_error, "chance": fit.chance}
    return found


def _row(shares: Tensor) -> list[float] | None:
    return None if not len(shares) else [float(value) for value in shares.mean(0)]


def between(values: Tensor, labels: Tensor) -> float:
    """η²: the share of the variance of ``values (n,)`` that lies between the classes' means; 0 if all are equal.

    >>> between(torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 1]))
    1.0
    """
    return between_all(values[:, None], labels)


def between_all(z: Tensor, labels: Tensor) -> float:
    """The same of all dimensions of ``z (n, latent)`` together: of the mean squared distance from the mean."""
    points = z.double()
    centred = points - points.mean(0)
    total = float(centred.square().sum())
    groups = [centred[labels == label] for label in torch.bincount(labels).nonzero().flatten()]
    parts = sum(len(group) * float(group.mean(0).square().sum()) for group in groups)
    return parts / total if total > 0 else 0.0


def measure_seeds(ctx: Context) -> Mapping[str, Any]:
    """The VAE of several seeds over the same test images: ``options["runs"]``, the study's own first."""
    names, limit, seed = ctx.options["runs"], ctx.options["limit"], ctx.settings.seed
    runs = {name: ctx.run(name) for name in names}
    data = runs[names[0]].split("test")
    data = data.take(some_rows(len(data), limit, seed))
    found = {name: encode(run.model, data, run.config.data.variant, seed=seed) for name, run in runs.items()}
    pairs = [pair(found[a], found[b], a, b, seed) for a, b in combinations(names, 2)]
    losses = [ctx.values(name)["negative_elbo"]["value"] for name in names]
    middle = sum(losses) / len(losses)
    spread = math.sqrt(sum((one - middle) ** 2 for one in losses) / (len(losses) - 1)) if len(losses) > 1 else None
    if runs[names[0]].model.latent == 2:
        _draw(ctx, runs, found, data.labels)
    return {
        "seeds": [run.config.training.seed for run in runs.values()],
        "names": list(names),
        "losses": losses,
        "losses_error": [ctx.values(name)["negative_elbo"]["standard_error"] for name in names],
        "mean": middle,
        "spread": spread,
        "active": [ctx.values(name).get("active_units", {}).get("value") for name in names],
        "pairs": pairs,
        "images": len(data),
        "latent": runs[names[0]].model.latent,
    }


def pair(first: Encoded, second: Encoded, a: str, b: str, seed: int) -> dict[str, Any]:
    """How two spaces of the same images agree: as they are, with axes changed about, after the best rotation.

    ``r2_plain``: 1 − ‖A − B‖²/‖B‖², negative where B's mean would be closer. ``correlations``: of A's axes (rows) with
    B's. ``axes``: the mean |correlation| of the best pairing of axes. ``angle``: degrees of the best rotation of a
    plane, ``mirrored``: whether it turns the plane over. ``shuffled``: R² where B's images are in another order.
    """
    x, y = first.means.double(), second.means.double()
    x, y = x - x.mean(0), y - y.mean(0)
    best = procrustes(x, y)
    found: dict[str, Any] = {"first": a, "second": b}
    metrics = agreement_metrics(first, second, _words, b, seed)
    found |= {name: metric.to_json() for name, metric in metrics.items()}
    correlation = (x / x.norm(dim=0).clamp(min=1e-12)).T @ (y / y.norm(dim=0).clamp(min=1e-12))
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    found |= {
        "r2_plain": float(1 - (x - y).square().sum() / y.square().sum()),
        "correlations": correlation.tolist(),
        "axes": axes_match(correlation),
        "rotation": best.rotation.tolist(),
        "mirrored": bool(torch.linalg.det(best.rotation) < 0),
        "shuffled": procrustes(x, y[order]).r2,
    }
    if len(best.rotation) == 2:
        found["angle"] = angle(best.rotation)
    return found


_words: Callable[..., str] = lambda *parts, seeded=True: ", ".join(["test split", *parts])  # noqa: E731


def angle(rotation: Tensor) -> float:
    """Degrees, −180 to 180, by which an orthogonal ``rotation (2, 2)`` (rows times it) turns the first axis.

    >>> angle(torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))
    90.0
    """
    return math.degrees(math.atan2(float(rotation[0, 1]), float(rotation[0, 0])))


def axes_match(correlation: Tensor) -> float:
    """The mean |correlation| over the axes in the pairing that makes it largest (of more than six axes, a greedy one).

    >>> round(axes_match(torch.tensor([[0.1, -0.9], [0.8, 0.0]])), 6)
    0.85
    """
    left = correlation.abs().double()
    size = len(left)
    if size <= 6:
        orders = permutations(range(size))
        return max(sum(float(left[i, j]) for i, j in enumerate(order)) / size for order in orders)
    total = 0.0
    for _ in range(size):
        best = int(left.argmax())
        total += float(left.flatten()[best])
        left[best // size], left[:, best % size] = -1.0, -1.0
    return total / size


def _draw(ctx: Context, runs: Mapping[str, Run], found: Mapping[str, Encoded], labels: Tensor | None) -> None:
    """Each seed's plane as it is; below, all but the first turned onto the first."""
    names = list(runs)
    rows = some_rows(len(found[names[0]]), SHOWN, ctx.settings.seed)
    colours = torch.zeros(len(rows), dtype=torch.int64) if labels is None else labels[rows].clamp(min=0)
    first = found[names[0]].means.double()
    panels = {f"seed {runs[name].config.training.seed}": found[name].means[rows].numpy() for name in names}
    turned = {}
    for name in names[1:]:
        best = procrustes(found[name].means, first)
        z = found[name].means.double()
        z = best.scale * (z - z.mean(0)) @ best.rotation + best.shift
        turned[f"seed {runs[name].config.training.seed}, turned onto seed {runs[names[0]].config.training.seed}"] = z[
            rows
        ].numpy()
    title = "the same test images in the planes of several seeds"
    class_names = runs[names[0]].class_names
    shown = panels | turned
    figure = plots.latent_panels(list(shown.values()), list(shown), colours.numpy(), class_names, title)
    ctx.figure("planes", figure)
