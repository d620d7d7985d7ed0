"""The style of an image in numbers, from its moments, and which latent direction encodes it.

Slant, width, height, thickness of the strokes and amount of ink describe how something is written, not what. Which of
them a latent space encodes, and along which direction, is a question of linear regression.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vaelab.errors import DataError

STYLES: dict[str, str] = {
    "slant": "pixels to the right for each pixel upwards",
    "width": "pixels",
    "height": "pixels",
    "thickness": "pixels",
    "ink": "share of the image's area",
}
"""What is measured, and its unit."""

RESAMPLES = 200

_CHUNK = 5000  # images at a time, whose gradients fit well into memory


def image_styles(images: Tensor, background: float | None = None) -> dict[str, Tensor]:
    """Slant, width, height, thickness and ink of images: float64 ``(n,)`` each, in the units of `STYLES`.

    ``images (n, channel, height, width)``, uint8 or float in [0, 1]; channels are averaged. Ink is what differs from
    the background: w = |x − b|, b = ``background`` in [0, 1] (None: `background_level` of these images). With x to
    the right, y upwards, and central moments μ_pq = Σ w (x − x̄)^p (y − ȳ)^q / Σ w:

    slant: the shear μ₁₁/μ₀₂; 0 upright, positive where the top leans to the right. width: √(μ₂₀ − μ₁₁²/μ₀₂), the
    standard deviation across once the slant is taken out. height: √μ₀₂. thickness: 2 Σw / Σ‖∇w‖, that is twice the area
    over the perimeter, a long stroke's thickness; the perimeter of grey images is their total variation (coarea
    formula), so that soft edges do not matter (below about 2 pixels it is too large, but still grows). ink: the mean of
    w. Of an image without ink the first four are NaN, and so are slant and width of one without height.
    Flusser & Suk 1993, "Pattern recognition by affine moment invariants"; Rudin, Osher & Fatemi 1992 (total variation).

    >>> bar = torch.zeros(1, 1, 28, 28)
    >>> bar[..., 4:24, 12:15] = 1
    >>> styles = image_styles(bar)
    >>> round(float(styles["slant"]), 3), round(float(styles["height"]), 2), round(float(styles["thickness"]), 1)
    (0.0, 5.77, 2.6)
    """
    if images.ndim != 4 or not len(images):
        raise DataError(f"expected images (n, channel, height, width), n ≥ 1, got {tuple(images.shape)}")
    level = background_level(images) if background is None else background
    parts = [_styles((_grey(part) - level).abs()) for part in torch.split(images, _CHUNK)]
    return {name: torch.cat([part[name] for part in parts]) for name in STYLES}


def _grey(images: Tensor) -> Tensor:
    """``(n, height, width)`` in [0, 1], float64."""
    return images.cpu().double().mean(1) / (255 if images.dtype == torch.uint8 else 1)


def background_level(images: Tensor) -> float:
    """The median of the border pixels of ``images (n, channel, height, width)``, uint8 or in [0, 1]: in [0, 1].

    >>> background_level(torch.ones(2, 1, 8, 8))
    1.0
    """
    few = _grey(images[:: max(1, len(images) // _CHUNK)])
    border = torch.ones(few.shape[1:], dtype=torch.bool)
    border[1:-1, 1:-1] = False
    return float(few[:, border].median())


def _styles(w: Tensor) -> dict[str, Tensor]:
    _, height, width = w.shape
    total = w.sum((1, 2))
    share = w / total[:, None, None]  # NaN without ink
    x = torch.arange(width, dtype=w.dtype)[None, None]
    y = -torch.arange(height, dtype=w.dtype)[None, :, None]
    right = x - (share * x).sum((1, 2))[:, None, None]
    up = y - (share * y).sum((1, 2))[:, None, None]
    m20, m11, m02 = ((share * product).sum((1, 2)) for product in (right**2, right * up, up**2))
    shear = torch.where(m02 > 0, m11 / m02, torch.nan)
    padded = torch.nn.functional.pad(w, (1, 1, 1, 1))  # ink at the edge of the image ends there
    across, along = padded.diff(dim=2)[:, :-1], padded.diff(dim=1)[:, :, :-1]
    return {
        "slant": shear,
        "width": (m20 - shear * m11).clamp_min(0).sqrt(),
        "height": m02.sqrt(),
        "thickness": 2 * total / (across**2 + along**2).sqrt().sum((1, 2)),
        "ink": total / (height * width),
    }


@dataclass(frozen=True)
class StyleFit:
    """How well z tells a number by least squares, of ``n`` images.

    ``correlations (latent,)``: r of each dimension with it, with standard ``errors (latent,)`` (1 − r²)/√(n − 3) after
    Fisher. ``r2``: the squared multiple correlation, the share of the variance that z explains; ``r2_error``: its
    standard error by the bootstrap; ``chance``: what it is, about, where there is no relation, latent/(n − 1).
    ``direction (latent,)``: the unit vector along which the prediction rises fastest; ``slope``: by how much for one
    unit of z.
    """

    correlations: Tensor
    errors: Tensor
    r2: float
    r2_error: float
    chance: float
    direction: Tensor
    slope: float
    n: int

    @property
    def angle(self) -> float:
        """Of the direction in a plane, degrees from the first axis, counter-clockwise, −180 to 180."""
        return math.degrees(math.atan2(float(self.direction[1]), float(self.direction[0])))


def fit_style(
    z: Tensor, values: Tensor, labels: Tensor | None = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> StyleFit:
    """The linear relation of ``z (n, latent)`` to ``values (n,)``, where values are finite.

    With ``labels (n,)`` it is the relation within classes: each class's mean is taken out of z and values first, and
    one direction is sought for all classes. Raises `DataError` where fewer than latent + 3 images are left, or nothing
    varies.

    >>> z = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> found = fit_style(z, 3 * z[:, 1])
    >>> round(found.r2, 3), round(found.angle), round(found.slope, 2)
    (1.0, 90, 3.0)
    """
    known = values.isfinite()
    points, target = z[known].double().numpy(), values[known].double().numpy()
    n, latent = points.shape
    if n < latent + 3:
        raise DataError(f"expected at least {latent + 3} images to relate style and latents, got {n}")
    if labels is not None:
        points, target = _without_means(points, target, labels[known].numpy())
    if not np.ptp(target) or not np.ptp(points, axis=0).all():
        raise DataError("expected latents and style that vary over the images, got some that do not")
    r2, gradient = _fit(points, target)
    source = np.random.default_rng(seed % 2**64)  # numpy takes none below 0
    draws = (source.integers(n, size=n) for _ in range(resamples))
    spread = float(np.std([_fit(points[rows], target[rows])[0] for rows in draws], ddof=1))
    r = np.array([np.corrcoef(column, target)[0, 1] for column in points.T])
    slope = float(np.linalg.norm(gradient))
    direction = gradient / slope if slope else gradient
    return StyleFit(
        torch.from_numpy(r),
        torch.from_numpy((1 - r**2) / math.sqrt(n - 3)),
        r2,
        spread,
        latent / (n - 1),
        torch.from_numpy(direction),
        slope,
        n,
    )


def _without_means(points: np.ndarray, target: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points, target = points.copy(), target.copy()
    for label in np.unique(labels):
        here = labels == label
        points[here] -= points[here].mean(0)
        target[here] -= target[here].mean()
    return points, target


def _fit(points: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """R² and the gradient of the least-squares plane."""
    centred, aim = points - points.mean(0), target - target.mean()
    gradient = np.linalg.lstsq(centred, aim, rcond=None)[0]
    total = float(aim @ aim)
    rest = aim - centred @ gradient
    return (1 - float(rest @ rest) / total if total else 0.0), gradient
