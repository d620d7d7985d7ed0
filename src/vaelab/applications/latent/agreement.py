"""Whether two latent spaces are the same up to a rotation: Procrustes and linear CKA over the same images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.errors import DataError
from vaelab.randomness import generator


@dataclass(frozen=True)
class Procrustes:
    """``scale`` · (a − a's mean) @ ``rotation`` + ``shift`` comes closest to b.

    ``residual`` is the share of b's variance that remains, in [0, 1]; ``r2`` = 1 − residual. ``rotation (k, k)`` is
    orthogonal (a reflection is allowed), ``shift (k,)`` is b's mean, k the larger of the two latent sizes.
    """

    residual: float
    rotation: Tensor
    scale: float
    shift: Tensor

    @property
    def r2(self) -> float:
        """1 − residual: 1 for equal spaces."""
        return 1 - self.residual


def procrustes(a: Tensor, b: Tensor) -> Procrustes:
    """The orthogonal matrix and the scale that take ``a (n, latent)`` closest to ``b (n, latent)``, both centred.

    With the singular value decomposition aᵀb = U S Vᵀ: rotation U Vᵀ, scale tr S/‖a‖², residual 1 − (tr S)²/(‖a‖²
    ‖b‖²); the residual is the same in both directions. The smaller of two latent sizes is filled up with zeros. Raises
    `DataError` for unequal numbers of images or one point for all of them. Schönemann 1966, "A generalized solution of
    the orthogonal Procrustes problem".

    >>> a = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> found = procrustes(a, 3 * a.flip(1) + 1)
    >>> round(found.residual, 6), round(found.scale, 6)
    (0.0, 3.0)
    """
    first, second, shift = _pair(a, b)
    u, s, vh = torch.linalg.svd(first.T @ second)
    norms = first.square().sum() * second.square().sum()
    residual = (1 - s.sum().square() / norms).clamp(0, 1)
    return Procrustes(float(residual), u @ vh, float(s.sum() / first.square().sum()), shift)


def linear_cka(a: Tensor, b: Tensor) -> float:
    """‖bᵀa‖² / (‖aᵀa‖ ‖bᵀb‖) of centred ``a (n, latent)`` and ``b (n, latent)``, Frobenius norms; in [0, 1].

    Rotations and one scale of either do not change it, nor do unequal latent sizes matter; 1 for equal spaces. Raises
    `DataError` as `procrustes` does. Kornblith et al. 2019, arXiv:1905.00414.

    >>> a = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> round(linear_cka(a, 3 * a.flip(1) + 1), 6)
    1.0
    """
    first, second, _ = _pair(a, b)
    across = torch.linalg.matrix_norm(second.T @ first).square()
    own = torch.linalg.matrix_norm(first.T @ first) * torch.linalg.matrix_norm(second.T @ second)
    return float((across / own).clamp(0, 1))


def bootstrap_error(
    measure: Callable[[Tensor, Tensor], float], a: Tensor, b: Tensor, *, draws: int = 100, seed: int = 0
) -> float | None:
    """The standard deviation of ``measure(a, b)`` over ``draws`` sets of as many images, drawn with replacement.

    None where a drawn set cannot be measured. Efron 1979, "Bootstrap methods: another look at the jackknife".
    """
    source, values = generator(seed, "cpu", "bootstrap"), torch.empty(draws, dtype=torch.float64)
    for k in range(draws):
        rows = torch.randint(len(a), (len(a),), generator=source)
        try:
            values[k] = measure(a[rows], b[rows])
        except DataError:
            return None
    return float(values.std())


def _pair(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both centred, in float64 and of the larger latent size, and the mean of the second."""
    if len(a) != len(b) or len(a) < 2:
        raise DataError(
            f"expected the same images in both latent spaces, at least 2, got {len(a)} and {len(b)}; "
            "encode one data set with both models"
        )
    size = max(a.shape[1], b.shape[1])
    wide = [torch.nn.functional.pad(part.double(), (0, size - part.shape[1])) for part in (a, b)]
    centred = [part - part.mean(0) for part in wide]
    for part, whole in zip(centred, wide, strict=True):
        if float(part.abs().max()) <= 1e-12 * (1 + float(whole.abs().max())):
            raise DataError(
                "expected latents that differ between images, got the same one for all of them; "
                "give other images or a model whose encoder looks at them"
            )
    return centred[0], centred[1], wide[1].mean(0)
