"""Ways between posterior samples of two images (D6): decoded in order, and what a judge sees along them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab import plots
from vaelab.applications.judge import CONFIDENT
from vaelab.applications.latent import decode_at, encode, interpolate
from vaelab.data.images import ImageData
from vaelab.errors import DataError
from vaelab.metrics import Metric
from vaelab.randomness import generator
from vaelab.studies.context import Context
from vaelab.studies.gaussian_elbo.samples import caption
from vaelab.studies.judging import judge_of


@dataclass(frozen=True)
class Ways:
    """``z (pairs, points, latent)`` on straight lines; ``probabilities (pairs, points, classes)`` of the judge.

    ``labels (pairs, 2)``: classes of the two images of each pair.
    """

    z: Tensor
    probabilities: Tensor
    labels: Tensor


def measure(ctx: Context) -> Mapping[str, Any]:
    """The first pairs as a picture; many of them as numbers."""
    run, judge, seed, points = ctx.run("vae"), judge_of(ctx), ctx.settings.seed, ctx.options["points"]
    data = run.split("test")
    pairs = pairs_of_classes(data, max(ctx.options["pairs"], ctx.options["ways"]), seed)
    both = data.take(pairs.flatten())
    assert both.labels is not None
    # One draw of each posterior, whose noise is the image's own.
    encoded = encode(run.model, both, run.config.data.variant, seed=seed)
    assert encoded.z is not None
    ends = encoded.z.view(len(pairs), 2, -1)
    z = torch.stack([interpolate(start, end, points) for start, end in ends])
    images = decode_at(run.model, z.flatten(0, 1))
    probabilities = torch.unflatten(judge.probabilities(images), 0, (len(pairs), points))
    images = torch.unflatten(images, 0, (len(pairs), points))
    ways = Ways(z, probabilities, both.labels.cpu().view(-1, 2))
    overlay = judge.probabilities((images[:, 0] + images[:, -1]) / 2)
    shown = ctx.options["pairs"]
    _draw(ctx, images[:shown], ways, judge.class_names)
    ctx.arrays("ways", images=(255 * images[:shown]).round().to(torch.uint8), pairs=pairs[:shown], z=z[:shown])
    return {
        "points": points,
        "shown": [_way(ways, i, pairs[i], judge.class_names) for i in range(shown)],
        "along": along(ways),
        "overlay_confidence": Metric.mean(
            overlay.amax(-1), "mean probability", "mean of the two decoded ends"
        ).to_json(),
        "overlay_share": Metric.mean((overlay.amax(-1) >= CONFIDENT).double(), "share of pairs", "overlays").to_json(),
    }


def pairs_of_classes(data: ImageData, count: int, seed: int) -> Tensor:
    """``count`` pairs of images of different classes, int64 ``(count, 2)``: the classes in turn, images at random.

    Raises `DataError` where the images are of fewer than two classes.

    >>> data = ImageData("zeros", torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 0, 1, 1]), ("a", "b"))
    >>> pairs = pairs_of_classes(data, 3, seed=0)
    >>> pairs.shape, bool((data.labels[pairs[:, 0]] != data.labels[pairs[:, 1]]).all())
    (torch.Size([3, 2]), True)
    """
    labels = torch.full((len(data),), -1) if data.labels is None else data.labels.cpu()
    classes = torch.unique(labels[labels >= 0])
    if len(classes) < 2:
        raise DataError(f"expected images of at least 2 classes to go between, got {len(classes)}")
    source = generator(seed, "cpu", "ways")
    chosen: list[int] = []
    while len(chosen) < 2 * count:
        turn = classes[torch.randperm(len(classes), generator=source)]
        chosen += turn[: len(turn) // 2 * 2].tolist()
    members = {int(label): torch.nonzero(labels == label)[:, 0] for label in classes}
    places = [members[label][torch.randint(len(members[label]), (), generator=source)] for label in chosen[: 2 * count]]
    return torch.stack(places).view(count, 2)


def along(ways: Ways) -> dict[str, Any]:
    """Over all pairs: at each point the judge's confidence and class, and ‖z‖; what is passed on the way."""
    confidence, label = ways.probabilities.max(-1)
    clear = confidence >= CONFIDENT
    first, second = ways.labels[:, :1], ways.labels[:, 1:]
    third = (label != first) & (label != second)
    middle, norms = _middle(label.shape[1]), ways.z.norm(dim=-1)
    inner_third = (third & clear)[:, 1:-1].any(1) if label.shape[1] > 2 else torch.zeros(len(label), dtype=torch.bool)
    return {
        "pairs": len(label),
        "clear": _shares(clear),
        "confidence": confidence.mean(0).tolist(),
        "first": _shares(label == first),
        "second": _shares(label == second),
        "third": _shares(third),
        "norm": norms.mean(0).tolist(),
        "nearer": _metric((norms[:, [0, -1]] < norms[:, middle].mean()).double().mean(1)),
        "clear_at_ends": _metric(clear[:, [0, -1]].double().mean(1)),
        "clear_in_the_middle": _metric(clear[:, middle].double().mean(1)),
        "third_in_the_middle": _metric(third[:, middle].double().mean(1)),
        "clear_third": _metric(inner_third.double()),
        "changes": _metric((label[:, 1:] != label[:, :-1]).double().sum(1)),
    }


def _middle(points: int) -> list[int]:
    """The one or two points in the middle.

    >>> _middle(10), _middle(5)
    ([4, 5], [2])
    """
    return sorted({(points - 1) // 2, points // 2})


def _shares(true: Tensor) -> list[float]:
    found: list[float] = true.double().mean(0).tolist()
    return found


def _metric(values: Tensor) -> dict[str, Any]:
    return Metric.mean(values, "mean over pairs", "pairs of test images of different classes").to_json()


def _way(ways: Ways, i: int, pair: Tensor, names: tuple[str, ...]) -> dict[str, Any]:
    """One pair: its images, and what the judge sees at each point."""
    confidence, label = ways.probabilities[i].max(-1)
    return {
        "images": pair.tolist(),
        "names": [names[int(one)] for one in ways.labels[i]],
        "labels": ways.labels[i].tolist(),
        "seen": [names[int(one)] for one in label],
        "confidence": confidence.tolist(),
        "norm": ways.z[i].norm(dim=-1).tolist(),
    }


def _draw(ctx: Context, images: Tensor, ways: Ways, names: tuple[str, ...]) -> None:
    places = [f"{place:.2f}".rstrip("0").rstrip(".") for place in np.linspace(0, 1, images.shape[1])]
    captions = [[caption(one, names) for one in ways.probabilities[i]] for i in range(len(images))]
    rows = [" → ".join(names[int(one)] for one in ways.labels[i]) for i in range(len(images))]
    figure = plots.captioned_images(
        images,
        captions,
        rows,
        places,
        title=f"{ctx.run('vae').title()}: the line between two posterior samples, decoded",
        columns_name="position on the line (0: first image, 1: second)",
    )
    ctx.figure("ways", figure)
