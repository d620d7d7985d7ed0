"""What stands between a table and a model: standardised features, or values checked to lie in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]

_NUMBERS = 2**20  # converted at a time, so that no fresh memory of a table's size is touched, several times over
_LINE = 16  # features side by side in a line of the cache: fewer at a time would read the table again and again


@dataclass(frozen=True)
class Scaling:
    """u = (x − mean) / scale of each feature, ``(features,)``; fitted once, then fixed.

    It changes densities: log p(x) = log p(u) − Σ_j log scale_j.

    >>> scaling = Scaling.standardising(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> scaling.forward(np.array([[3.0, 6.0]])).tolist(), scaling.log_volume
    ([[1.0, 1.0]], 0.0)
    """

    mean: Array
    scale: Array

    @classmethod
    def standardising(cls, X: Array) -> Scaling:
        """Mean 0 and standard deviation 1 on ``X (n, features)``; a feature that is constant there is only shifted."""
        features = max(_LINE, _NUMBERS // len(X))
        parts = [cls._of_features(X[:, first : first + features]) for first in range(0, X.shape[1], features)]
        return cls(np.concatenate([part.mean for part in parts]), np.concatenate([part.scale for part in parts]))

    @classmethod
    def _of_features(cls, X: Array) -> Scaling:
        X = np.ascontiguousarray(X, dtype=np.float64)
        # By the largest value first, so that the squares of large numbers do not overflow.
        unit = np.maximum(np.abs(X).max(axis=0), np.finfo(np.float64).tiny)
        X = X / unit
        mean, std = X.mean(axis=0) * unit, X.std(axis=0) * unit
        # Of a constant, too, rounding leaves a spread: far below one in a million of its size.
        return cls(mean, np.where(std > 1e-12 * unit, std, 1.0))

    @classmethod
    def identity(cls, features: int) -> Scaling:
        """Nothing is changed."""
        return cls(np.zeros(features), np.ones(features))

    def forward(self, X: Array) -> Array:
        """x → u."""
        return (X - self.mean) / self.scale

    def forward_into(self, X: Array, rows: Tensor) -> None:
        """`forward` into ``rows``, of X's shape and any type."""
        count = max(1, _NUMBERS // X.shape[1])
        for first in range(0, len(X), count):
            rows[first : first + count] = torch.from_numpy(self.forward(X[first : first + count]))

    def inverse(self, U: Array) -> Array:
        """u → x."""
        return U * self.scale + self.mean

    @property
    def log_volume(self) -> float:
        """Σ_j log scale_j."""
        return float(np.log(self.scale).sum())


def check_unit_range(X: Array, likelihood: str) -> None:
    """Raise `ValueError` where a value of ``X`` is not in [0, 1]."""
    low, high = float(X.min()), float(X.max())
    if low < 0 or high > 1:
        wrong = low if low < 0 else high
        raise ValueError(
            f"expected values in [0, 1] for the likelihood {likelihood!r}, got {wrong:g}; scale them (MinMaxScaler, or "
            f"divide pixels by 255) or use likelihood='normal:mean=identity,learned=true,std=1'"
        )
