"""The Fréchet distance between two sets of images in the features of a classifier: samples against real images."""

from __future__ import annotations

import torch
from torch import Tensor

from vaelab.applications.judge import Judge
from vaelab.data.pixels import prepare_fixed
from vaelab.errors import DataError

_BATCH = 500  # images in the network at a time


@torch.no_grad()
def features(judge: Judge, images: Tensor) -> Tensor:
    """What the judge's last layer but one makes of ``images (n, channel, height, width)``: float64 ``(n, features)``.

    In [0, 1], or uint8, read as x/255.
    """
    x = prepare_fixed(images, "grey", 0) if images.dtype == torch.uint8 else images
    device = next(judge.network.parameters()).device
    parts = [judge.network.network(part.to(device).clamp(0, 1), None).cpu() for part in torch.split(x, _BATCH)]
    return torch.cat(parts).double()


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½) of two sets of features ``(n, features)`` and ``(m, features)``.

    The squared Wasserstein distance between two normal distributions with the sets' means and covariances: 0 where
    these agree, larger where samples are of other classes or shares, lack variety or look like nothing real. It grows
    with smaller sets, so only distances between sets of the same sizes can be compared. Raises `DataError` for fewer
    than 2 rows or other widths. Fréchet 1957; Heusel et al. 2017, arXiv:1706.08500 (with the features of another
    network; the numbers do not compare).

    >>> a = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    >>> round(frechet_distance(a, a + 1), 6)
    2.0
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        got = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise DataError(f"expected two sets of at least 2 rows of as many features, got {got}")
    first, second = a.double(), b.double()
    apart = (first.mean(0) - second.mean(0)).square().sum()
    one, other = (torch.cov(values.T).reshape(values.shape[1], -1) for values in (first, second))
    # (Σ_a Σ_b)^½ has the trace of (Σ_a^½ Σ_b Σ_a^½)^½, which is symmetric.
    values, vectors = torch.linalg.eigh(one)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    shared = torch.linalg.eigvalsh(root @ other @ root).clamp_min(0).sqrt().sum()
    return float((apart + one.trace() + other.trace() - 2 * shared).clamp_min(0))
