"""The latent plane: what the decoder shows there, and where images are encoded (C7, C10, C11, C15, C16)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.applications.latent import Encoded, encode, some_rows
from vaelab.data.progress import increments
from vaelab.metrics import Metric
from vaelab.pictures import decode_grid
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.studies.judging import judge_of

NEIGHBOURS = 15
"""Nearest encoded images that say which class a place of the plane belongs to."""
CLEAR = 0.8
"""Share of the neighbours from which on a place is inside a class and not at a border."""


def measure(ctx: Context) -> Mapping[str, Any]:
    """The plane of the VAE: grid and scatter, and how they fit each other.

    ``options``: ``cells`` along a side of the grid, its ``extent``, ``points`` of the interactive plane.
    """
    run, cells, extent = ctx.run("vae"), ctx.options["cells"], float(ctx.options["extent"])
    if run.model.latent != 2:
        return {"plane": False, "latent": run.model.latent} | _scatter(ctx, run)
    ctx.figure("grid", run.figure("latent-grid", cells=cells, extent=extent))
    encoded = encode_training(ctx, run)
    axis = np.linspace(-extent, extent, cells)
    z = torch.tensor(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2), dtype=torch.float32)
    images = torch.from_numpy(decode_grid(run, axis, None)).reshape(-1, *run.model.image_shape).float()
    back = run.model.embed(images.to(run.device)).cpu()
    distance = (back - z).norm(dim=1).double()
    inside = (encoded.means.abs() <= extent).all(1).double()
    found: dict[str, Any] = {
        "plane": True,
        "cells": cells,
        "extent": extent,
        "training_images": len(encoded),
        "prior_inside": math.erf(extent / math.sqrt(2)) ** 2,
        "inside": Metric.mean(inside, "share of images", "training images whose posterior mean is in the square"),
        "step": 2 * extent / (cells - 1),
        "back_median": float(distance.median()),
        "back_correlation": float(np.corrcoef(back.flatten().numpy(), z.flatten().numpy())[0, 1]),
    }
    judge = judge_of(ctx)
    return found | compare(encoded, z, distance, judge.probabilities(images)) | _scatter(ctx, run, encoded)


def compare(encoded: Encoded, z: Tensor, distance: Tensor, seen: Tensor) -> dict[str, Any]:
    """The class that the scatter says of every place ``z (k, 2)`` against the one seen in the decoded image.

    ``seen (k, classes)``: a judge's probabilities; ``distance (k,)`` from each place to the encoding of its image.
    """
    assert encoded.labels is not None
    classes = len(encoded.class_names)
    shares, nearest = neighbours(encoded.means, encoded.labels, z, classes)
    clear = shares.amax(1) >= CLEAR
    agree, sure = shares.argmax(1) == seen.argmax(1), seen.amax(1)
    found: dict[str, Any] = {
        "agreement": _share(agree, "cells whose decoded image is judged to be of the nearest images' class"),
        "clear_cells": int(clear.sum()),
        "border_cells": int((~clear).sum()),
        "area": torch.bincount(seen.argmax(1), minlength=classes).tolist(),
        "of_prior": _by_prior(z, seen.argmax(1), classes),
        "of_images": torch.bincount(encoded.labels[encoded.labels >= 0], minlength=classes).tolist(),
        "class_names": list(encoded.class_names),
    }
    if clear.any() and (~clear).any():
        found["agreement_clear"] = _share(agree[clear], "the same, of cells inside a class")
        found["agreement_border"] = _share(agree[~clear], "the same, of cells at borders")
        found["sure_clear"] = float(sure[clear].mean())
        found["sure_border"] = float(sure[~clear].mean())
    far = nearest > nearest.quantile(0.9)
    found |= {"back_near": float(distance[~far].median()), "back_far": float(distance[far].median())}
    return found


def _by_prior(z: Tensor, seen: Tensor, classes: int) -> list[float]:
    """Each class's share of the prior N(0, I) over equally spaced places ``z (k, 2)``."""
    weights = (-0.5 * z.double().square().sum(1)).exp()
    total = torch.zeros(classes, dtype=torch.float64).index_add_(0, seen, weights)
    shares: list[float] = (total / total.sum()).tolist()
    return shares


def neighbours(
    z: Tensor, labels: Tensor, places: Tensor, classes: int, count: int = NEIGHBOURS
) -> tuple[Tensor, Tensor]:
    """Of the ``count`` encoded images nearest to each place: the classes' shares ``(k, classes)``; the distance to the
    nearest ``(k,)``.

    >>> z = torch.tensor([[0.0, 0.0], [0.1, 0.0], [3.0, 3.0]])
    >>> shares, nearest = neighbours(z, torch.tensor([0, 1, 1]), torch.zeros(1, 2), 2, count=2)
    >>> shares.tolist(), nearest.tolist()
    ([[0.5, 0.5]], [0.0])
    """
    from sklearn.neighbors import NearestNeighbors

    known = labels >= 0
    fitted = NearestNeighbors(n_neighbors=min(count, int(known.sum()))).fit(z[known].numpy())
    distance, index = fitted.kneighbors(places.numpy())
    found = labels[known][torch.from_numpy(index)]
    shares = torch.nn.functional.one_hot(found, classes).double().mean(1)
    return shares, torch.from_numpy(distance[:, 0]).double()


def measure_conditional(ctx: Context) -> Mapping[str, Any]:
    """The planes of the CVAE for ``options["classes"]``, and the scatter of all classes."""
    run = ctx.run("cvae")
    chosen = usable(ctx.options["classes"], len(run.class_names))
    found: dict[str, Any] = {"classes": chosen, "class_names": list(run.class_names), "plane": run.model.latent == 2}
    if run.model.latent != 2:
        return found | {"latent": run.model.latent} | _scatter(ctx, run)
    cells, extent = ctx.options["cells"], float(ctx.options["extent"])
    judge = judge_of(ctx)
    axis = np.linspace(-extent, extent, cells)
    for label in chosen:
        ctx.figure(f"grid-{label}", run.figure("latent-grid", cells=cells, extent=extent, label=label))
        images = torch.from_numpy(decode_grid(run, axis, label)).reshape(-1, *run.model.image_shape).float()
        words = f"cells of the plane decoded as {run.class_names[label]} that are judged to be of that class"
        found[f"judged_{label}"] = _share(judge.probabilities(images).argmax(1) == label, words)
    return found | {"cells": cells, "extent": extent} | _scatter(ctx, run)


def usable(classes: Sequence[int], count: int) -> list[int]:
    """The wanted classes that the data has; the first two where it has none of them.

    >>> usable((4, 8), 10), usable((4, 8), 3), usable((1, 8), 3)
    ([4, 8], [0, 1], [1])
    """
    found = [label for label in dict.fromkeys(classes) if 0 <= label < count]
    return found or list(range(min(2, count)))


def encode_training(ctx: Context, run: Run) -> Encoded:
    """The posteriors of the training images."""
    data = run.split("train")
    with ctx.progress("encoding", len(data)) as advance:
        return encode(run.model, data, run.config.data.variant, seed=ctx.settings.seed, progress=increments(advance))


def _scatter(ctx: Context, run: Run, encoded: Encoded | None = None) -> dict[str, Any]:
    """The scatter of the training images, and some of them as arrays for the interactive plane."""
    ctx.figure("scatter", run.figure("latent-scatter", split="train", legend="colorbar"))
    encoded = encoded or encode_training(ctx, run)
    data = run.split("train")
    rows = some_rows(len(data), max(2, ctx.options["points"]), ctx.settings.seed)
    assert encoded.labels is not None
    labels = encoded.labels[rows]
    rows, labels = rows[labels >= 0], labels[labels >= 0]
    ctx.arrays("plane", z=encoded.means[rows].numpy(), images=_levels(data.images[rows]), labels=labels.numpy())
    return {"points": len(rows), "scatter_images": len(data)}


def _levels(images: Tensor) -> NDArray[np.uint8]:
    """``(n, 1, h, w)`` as ``(n, h, w)``; colour images as they are."""
    array: NDArray[np.uint8] = images.cpu().numpy()
    return array[:, 0] if array.shape[1] == 1 else array


def _share(right: Tensor, protocol: str) -> Metric:
    return Metric.mean(right.double(), "share of cells", protocol)
