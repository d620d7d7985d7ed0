"""How far feature vectors lie from the training images': Mahalanobis, COPOD's tail probabilities, a normal mixture.

Each detector is a pair: `fit` features ``(n, k)`` to a state of plain arrays, `score` features by it. A vector's
score depends on it and on the state alone.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

Array = NDArray[np.float64]
State = Mapping[str, NDArray[np.float64]]

SHRINKAGE = 1e-3
"""Weight of the identity in the correlation matrix, so that rounding is not blown up where features nearly repeat."""

FLOOR = 1e-3
"""A feature's spread counts as at least this part of the largest one in its group."""

TOLERANCE = 1e-5
"""Features that differ by less, relative to their size, may be equal but for rounding."""

COMPONENTS = 10
"""Of the normal mixture, where there are images enough."""

MIXTURE_IMAGES = 20_000
"""A normal mixture is fitted to at most so many training images, evenly spaced: more are slow and change little."""

_ROWS = 4096  # feature vectors in float64 at a time


class Detector(Protocol):
    """What a detector offers; ``groups`` ``(k,)`` numbers the features that have one unit in common."""

    def fit(self, features: NDArray[np.float32], groups: NDArray[np.int64]) -> dict[str, Array]:
        """The state, from training images' features ``(n, k)``, n ≥ 1."""
        ...

    def score(self, features: NDArray[np.float32], state: State) -> Array:
        """``(n, k)`` → ``(n,)``, higher where farther from the training images."""
        ...


class Mahalanobis:
    """√(zᵀ C⁻¹ z), z_j = (f_j − m_j) / s_j; C is the features' correlation matrix, shrunk by 0.1 % to the identity.

    m and s are means and standard deviations over the training images; s_j is at least 0.1 % of the largest one of its
    group (1 where all features of a group are constant). Mahalanobis 1936, "On the generalised distance in statistics".

    >>> corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=np.float32)
    >>> state = Mahalanobis().fit(corners, np.zeros(2, dtype=np.int64))
    >>> Mahalanobis().score(np.array([[3.0, 4.0]], dtype=np.float32), state).tolist()
    [5.0]
    """

    def fit(self, features: NDArray[np.float32], groups: NDArray[np.int64]) -> dict[str, Array]:
        """See `Detector`."""
        n, k = features.shape
        mean, spread = _scale(features, groups)
        products = np.zeros((k, k))
        for part in _parts(features):
            standard = (part - mean) / spread
            products += standard.T @ standard
        shrunk = (1 - SHRINKAGE) * products / n + SHRINKAGE * np.eye(k)
        return {"mean": mean, "spread": spread, "whiten": np.linalg.inv(np.linalg.cholesky(shrunk))}

    def score(self, features: NDArray[np.float32], state: State) -> Array:
        """See `Detector`."""
        whitened = (
            ((part - state["mean"]) / state["spread"]) @ np.asarray(state["whiten"]).T for part in _parts(features)
        )
        distances: Array = np.concatenate([np.sqrt(np.square(part).sum(1)) for part in whitened])
        return distances


class Copod:
    """max(Σ_j −log F_j(f_j), Σ_j −log G_j(f_j), Σ_j skewness-corrected): tails of empirical distribution functions.

    F_j and G_j are the shares, of n + 1, of training images with a feature of at most and at least f_j, interpolated
    between training values and 1/(n + 1) beyond all of them: a term is at most log(n + 1). The third sum takes of each
    feature the tail to which it is skewed: F where its skewness is below 0, else G. Li, Zhao, Botta, Ionescu & Hu 2020,
    arXiv:2009.09463 (who rank the tested images among each other, too; here each stands alone).

    >>> state = Copod().fit(np.arange(1.0, 10.0, dtype=np.float32)[:, None], np.zeros(1, dtype=np.int64))
    >>> np.exp(-Copod().score(np.array([[0.0], [5.0], [99.0]], dtype=np.float32), state)).round(2).tolist()
    [0.1, 0.5, 0.1]
    """

    def fit(self, features: NDArray[np.float32], groups: NDArray[np.int64]) -> dict[str, Array]:
        """See `Detector`; ``groups`` do not matter."""
        values = np.sort(features.astype(np.float64), axis=0)
        centred = values - values.mean(0)
        spread = np.sqrt(np.square(centred).mean(0))
        skewness = (centred**3).mean(0) / np.where(spread > 0, spread, 1) ** 3
        return {"values": values, "skewness": skewness}

    def score(self, features: NDArray[np.float32], state: State) -> Array:
        """See `Detector`."""
        values = state["values"]
        columns = features.astype(np.float64).T
        left = np.stack([_tail(column, known) for column, known in zip(columns, values.T, strict=True)])
        right = np.stack([_tail(-column, -known[::-1]) for column, known in zip(columns, values.T, strict=True)])
        towards = np.where(state["skewness"][:, None] < 0, left, right)
        largest: Array = np.stack([left.sum(0), right.sum(0), towards.sum(0)]).max(0)
        return largest


class Mixture:
    """−log Σ_k w_k N(f; m_k, C_k) of the standardised features: a mixture of normals fitted by EM.

    Features are standardised as in `Mahalanobis`; `COMPONENTS` components (fewer where they would have less than two
    images a feature) with full covariances, 0.1 % added to their diagonals; the density is of the standardised
    features. It follows a training set that has clusters, which one normal distribution does not. Dempster, Laird &
    Rubin 1977, "Maximum likelihood from incomplete data via the EM algorithm".

    >>> rng = np.random.default_rng(0)
    >>> two = np.concatenate([rng.normal(-5, 1, (200, 1)), rng.normal(5, 1, (200, 1))]).astype(np.float32)
    >>> between, within = Mixture().score(np.array([[0.0], [5.0]], np.float32), Mixture().fit(two, np.zeros(1, int)))
    >>> bool(between > within + 3)
    True
    """

    def fit(self, features: NDArray[np.float32], groups: NDArray[np.int64]) -> dict[str, Array]:
        """See `Detector`."""
        mean, spread = _scale(features, groups)
        n, k = features.shape
        chosen = np.linspace(0, n - 1, min(max(n, 2), MIXTURE_IMAGES)).round().astype(np.int64)
        standard = (features[chosen].astype(np.float64) - mean) / spread
        components = max(1, min(COMPONENTS, len(chosen) // (2 * k)))
        mixture = GaussianMixture(components, reg_covar=SHRINKAGE, max_iter=100, random_state=0)
        with warnings.catch_warnings():  # a mixture that still moves after 100 rounds is as good a score
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(standard)
        whiten = np.asarray(mixture.precisions_cholesky_, dtype=np.float64)
        log_det = np.log(np.diagonal(whiten, axis1=1, axis2=2)).sum(1)
        constant = np.log(mixture.weights_) + log_det - 0.5 * k * math.log(2 * math.pi)
        return {"mean": mean, "spread": spread, "centres": mixture.means_, "whiten": whiten, "constant": constant}

    def score(self, features: NDArray[np.float32], state: State) -> Array:
        """See `Detector`."""
        return np.concatenate([self._score(part, state) for part in _parts(features)])

    def _score(self, part: Array, state: State) -> Array:
        standard = (part - state["mean"]) / state["spread"]
        components = zip(state["centres"], state["whiten"], state["constant"], strict=True)
        logs = np.stack([c - 0.5 * np.square((standard - m) @ w).sum(1) for m, w, c in components])
        highest = logs.max(0)
        density: Array = highest + np.log(np.exp(logs - highest).sum(0))
        return -density


def _scale(features: NDArray[np.float32], groups: NDArray[np.int64]) -> tuple[Array, Array]:
    """Mean and standard deviation of each feature, the latter not too far below the largest one of its group."""
    mean = features.mean(0, dtype=np.float64)
    zero = np.zeros(features.shape[1])
    spread = np.sqrt(sum((np.square(part - mean).sum(0) for part in _parts(features)), zero) / len(features))
    for group in np.unique(groups):
        largest = spread[groups == group].max()
        floor = FLOOR * largest if largest > 1e-9 * max(1.0, np.abs(mean[groups == group]).max()) else 1.0
        spread[groups == group] = spread[groups == group].clip(floor)
    return mean, spread


def _tail(column: Array, known: Array) -> Array:
    """−log of the share of the sorted ``known (n,)`` that is at or below each of ``column``."""
    distinct, counts = np.unique(known, return_counts=True)
    share = np.interp(column, distinct, counts.cumsum()) / (len(known) + 1)
    # Where many are equal to the smallest, one below it by rounding alone counts as equal.
    below = column < distinct[0] - TOLERANCE * max(1.0, abs(float(distinct[0])))
    tail: Array = -np.log(np.where(below, 1 / (len(known) + 1), share))
    return tail


def _parts(features: NDArray[np.float32]) -> Iterator[Array]:
    """Blocks of rows, in float64."""
    return (features[i : i + _ROWS].astype(np.float64) for i in range(0, len(features), _ROWS))


DETECTORS: dict[str, Detector] = {"mahalanobis": Mahalanobis(), "copod": Copod(), "mixture": Mixture()}
"""Names of detectors, as the option ``detector`` of a score takes them."""
