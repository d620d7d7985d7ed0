"""Ways from one latent to another: the straight line, and the arc of a great circle."""

from __future__ import annotations

import torch
from torch import Tensor

from vaelab.evaluation.draws import at_least
from vaelab.specs import choice

PATHS = {"linear": "the line", "spherical": "the arc"}
"""Name → what a figure calls it."""


def interpolate(start: Tensor, end: Tensor, steps: int, path: str = "linear") -> Tensor:
    """``steps`` ≥ 2 latents ``(steps, latent)`` from ``start (latent,)`` to ``end (latent,)``, both included.

    linear: (1 − t) a + t b. spherical: [sin((1 − t) Ω) a + sin(t Ω) b] / sin Ω, Ω the angle between the two, so that
    the norm stays that of the ends where it is the same, as it nearly is among draws of a prior of many dimensions.
    Where Ω is 0 or 180°, or an end is 0, no arc is marked out, and the line is taken. Raises `UsageError` for another
    path or number. Shoemake 1985, "Animating rotation with quaternion curves"; White 2016, arXiv:1609.04468.

    >>> interpolate(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 3, "spherical")[1]
    tensor([0.7071, 0.7071])
    """
    choice("path", path, tuple(PATHS))
    at_least("steps", steps, 2)
    t = torch.linspace(0, 1, steps, device=start.device, dtype=torch.float64)[:, None]
    a, b = start.double(), end.double()
    line = (1 - t) * a + t * b
    norms = a.norm() * b.norm()
    if path == "spherical" and float(norms) > 0:
        cosine = ((a * b).sum() / norms).clamp(-1, 1)
        angle = torch.arccos(cosine)
        if float(angle.sin()) > 1e-6:
            line = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
    return line.to(start.dtype)
