"""How classes lie in a latent space: which are neighbours, and how much of the spread is between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab.applications.latent import Encoded, encode, some_rows
from vaelab.applications.style import RESAMPLES, STYLES, StyleFit, fit_style
from vaelab.data.images import ImageData
from vaelab.errors import DataError
from vaelab.run import Run

NEIGHBOURS = 15


def encoded_part(run: Run, split: str, limit: int, seed: int) -> tuple[ImageData, Encoded]:
    """At most ``limit`` images of a split whose class is known, chosen by ``seed``, and their latents."""
    data = run.split(split)
    data = data.take(some_rows(len(data), limit, seed))
    assert data.labels is not None
    data = data.take(torch.nonzero(data.labels >= 0).flatten())
    return data, encode(run.model, data, run.config.data.variant, seed=seed)


def labels_of(encoded: Encoded) -> Tensor:
    """Of images that have some."""
    assert encoded.labels is not None
    return encoded.labels


def neighbour_shares(fitted: Encoded, asked: Encoded, k: int = NEIGHBOURS) -> Tensor:
    """Of each image of ``asked``: the share of every class among its ``k`` nearest of ``fitted``, ``(n, classes)``."""
    from sklearn.neighbors import NearestNeighbors  # slow to load, and reports do without

    search: Any = NearestNeighbors(n_neighbors=min(k, len(fitted))).fit(fitted.means.double().numpy())
    places = torch.from_numpy(search.kneighbors(asked.means.double().numpy(), return_distance=False))
    classes = torch.nn.functional.one_hot(labels_of(fitted), len(fitted.class_names)).double()
    return classes[places].mean(1)


def mixing(shares: Tensor, labels: Tensor, classes: int) -> list[list[float]]:
    """Row c: the mean shares around images of class c; zeros where it has none."""
    rows = [shares[labels == label] for label in range(classes)]
    return [row.mean(0).tolist() if len(row) else [0.0] * classes for row in rows]


def between(z: Tensor, labels: Tensor) -> float:
    """η²: the share of the mean squared distance of ``z (n, latent)`` from its mean that is between class means.

    >>> between(torch.tensor([[0.0], [0.0], [1.0], [1.0]]), torch.tensor([0, 0, 1, 1]))
    1.0
    """
    centred = z.double() - z.double().mean(0)
    total = float(centred.square().sum())
    parts = [centred[labels == label] for label in torch.unique(labels)]
    explained = sum(len(part) * float(part.mean(0).square().sum()) for part in parts)
    return explained / total if total > 0 else 0.0


def fit_json(fit: StyleFit) -> dict[str, Any]:
    """As plain values."""
    return {
        "correlations": fit.correlations.tolist(),
        "errors": fit.errors.tolist(),
        "r2": fit.r2,
        "r2_error": fit.r2_error,
        "chance": fit.chance,
        "direction": fit.direction.tolist(),
        "angle": fit.angle,
        "slope": fit.slope,
        "n": fit.n,
    }


def fits(
    z: Tensor, styles: dict[str, Tensor], labels: Tensor | None, seed: int, resamples: int = RESAMPLES
) -> dict[str, dict[str, Any] | None]:
    """Style → how z tells it (within classes, with ``labels``); None where too few images have it or all the same."""
    found: dict[str, dict[str, Any] | None] = {}
    for name in STYLES:
        try:
            found[name] = fit_json(fit_style(z, styles[name], labels, resamples=resamples, seed=seed))
        except DataError:
            found[name] = None
    return found


def without_class_means(values: Tensor, labels: Tensor) -> Tensor:
    """``values (n,)`` less the mean of their class; NaN stays NaN."""
    rest = values.clone()
    for label in torch.unique(labels):
        here = labels == label
        rest[here] -= values[here].nanmean()
    return rest


def spread_over(n: int, count: int) -> np.ndarray:
    """``count`` of ``n`` rows, evenly."""
    return np.unique(np.linspace(0, n - 1, min(n, count)).round().astype(int))
