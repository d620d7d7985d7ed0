"""How well a score tells anomalous images from normal ones, and the threshold of a stated false-alarm rate.

Scores are higher the more anomalous an image is; anomalies are the positive class. Ties count one half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import DataError, UsageError

Array = NDArray[np.float64]

RECALL = 0.95
"""Share of the anomalies that is to be found, for `fpr_at_95`."""

LEVEL = 0.95
"""Of the bootstrap intervals."""

_CELLS = 2**20  # resamples × distinct scores at a time


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error (None where a set has a single image), and its bootstrap interval."""

    value: float
    standard_error: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Detection:
    """What a score does: three numbers for all thresholds together, and two for the stated threshold."""

    auroc: Estimate
    average_precision: Estimate
    fpr_at_95: Estimate
    threshold: float
    detection_rate: Estimate
    false_alarm_rate: Estimate


def auroc(normal: ArrayLike, anomalous: ArrayLike) -> float:
    """Area under the ROC curve: P(s_anomalous > s_normal) + ½ P(s_anomalous = s_normal).

    ``normal (n,)`` and ``anomalous (m,)`` are finite scores, n, m ≥ 1; `DataError` for others.

    >>> auroc([1, 2, 3], [2, 4])
    0.75
    """
    return float(_Ranked(normal, anomalous).statistics()[0])


def average_precision(normal: ArrayLike, anomalous: ArrayLike) -> float:
    """Σ_k (R_k − R_{k−1}) P_k over the thresholds: precision P_k where the recall rises to R_k.

    Arguments as in `auroc`. By chance it is m / (n + m), so it depends on how many images the two sets have.

    >>> average_precision([1, 2, 3], [2, 4])
    0.75
    """
    return float(_Ranked(normal, anomalous).statistics()[1])


def fpr_at_95(normal: ArrayLike, anomalous: ArrayLike) -> float:
    """The smallest share of false alarms among normal images at which 95 % of the anomalies or more are found.

    Arguments as in `auroc`.

    >>> fpr_at_95([1, 2, 3, 4], [3.5, 5])
    0.25
    """
    return float(_Ranked(normal, anomalous).statistics()[2])


def roc_curve(normal: ArrayLike, anomalous: ArrayLike) -> tuple[Array, Array]:
    """False-alarm and detection rates of every threshold, from (0, 0) to (1, 1); arguments as in `auroc`.

    >>> [rates.tolist() for rates in roc_curve([1, 2], [2, 3])]
    [[0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0]]
    """
    ranked = _Ranked(normal, anomalous)
    false, true = (counts[0, ::-1].cumsum() for counts in ranked.counts())
    return np.append(0.0, false / ranked.n), np.append(0.0, true / ranked.m)


def threshold(normal: ArrayLike, false_alarms: float) -> float:
    """The score above which an image is called anomalous, from ``normal (n,)`` held-out scores.

    The ⌈(n + 1)(1 − α)⌉-th smallest, α = ``false_alarms``: then a new normal image lies above it with a probability of
    at most α, whatever the distribution. Infinite for n + 1 < 1/α, too few images to promise α. Raises `UsageError`
    unless 0 < α < 1. Vovk, Gammerman & Shafer 2005, "Algorithmic learning in a random world" (conformal prediction).

    >>> threshold(range(1, 100), 0.05)
    95.0
    """
    if not 0 < false_alarms < 1:
        raise UsageError(f"expected a false-alarm rate between 0 and 1, got {false_alarms:g}")
    scores = np.sort(_scores(normal))
    place = math.ceil((len(scores) + 1) * (1 - false_alarms) - 1e-9)
    return float(scores[place - 1]) if place <= len(scores) else math.inf


def detect(
    normal: ArrayLike, anomalous: ArrayLike, threshold: float, *, resamples: int = 1000, seed: int = 0
) -> Detection:
    """AUROC, average precision, FPR at 95 % and the rates at a ``threshold``, each with error and interval.

    ``normal (n,)``, ``anomalous (m,)``: scores. The 95 % intervals are percentiles of ``resamples`` (≥ 1) bootstrap
    resamples of both sets, each with as many images as it has, drawn from ``seed``. The standard errors of average
    precision and FPR are the resamples' standard deviations; AUROC's is DeLong's, those of rates are binomial.

    Efron & Tibshirani 1993, "An introduction to the bootstrap"; DeLong, DeLong & Clarke-Pearson 1988, "Comparing the
    areas under two or more correlated receiver operating characteristic curves".

    >>> found = detect([1.0, 2.0, 3.0], [2.5, 4.0], threshold=3.0)
    >>> found.detection_rate.value, found.false_alarm_rate.value
    (0.5, 0.0)
    """
    if resamples < 1:
        raise UsageError(f"expected at least 1 resample, got {resamples}")
    ranked = _Ranked(normal, anomalous)
    values = ranked.statistics()
    drawn = ranked.resampled(resamples, seed)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    errors: list[float | None] = [None] * len(values)
    if min(ranked.n, ranked.m) > 1:
        errors = [float(error) for error in drawn.std(axis=1)]
        errors[0] = ranked.delong()
    area, precision, rate = (
        Estimate(float(value), error, float(lower), float(upper))
        for value, error, lower, upper in zip(values, errors, low, high, strict=True)
    )
    return Detection(
        area,
        precision,
        rate,
        threshold,
        _share(ranked.anomalous > threshold),
        _share(ranked.normal > threshold),
    )


def _share(found: NDArray[np.bool_]) -> Estimate:
    """A share with its binomial error and Wilson's interval, which stays within [0, 1]."""
    n, share, z = len(found), float(found.mean()), 1.959963984540054
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2) / (1 + z * z / n)
    error = math.sqrt(share * (1 - share) / (n - 1)) if n > 1 else None
    return Estimate(share, error, max(0.0, centre - half), min(1.0, centre + half))


def _scores(values: ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise DataError(f"expected one score for each of at least one image, got an array of shape {array.shape}")
    if not np.isfinite(array).all():
        raise DataError(f"expected finite scores, got others for {int((~np.isfinite(array)).sum())} of {array.size}")
    return array


class _Ranked:
    """Two sets of scores as counts of their distinct values, in ascending order."""

    def __init__(self, normal: ArrayLike, anomalous: ArrayLike) -> None:
        self.normal, self.anomalous = _scores(normal), _scores(anomalous)
        self.n, self.m = len(self.normal), len(self.anomalous)
        values, place = np.unique(np.concatenate([self.normal, self.anomalous]), return_inverse=True)
        self.distinct = len(values)
        self._places = place[: self.n], place[self.n :]

    def counts(self) -> tuple[Array, Array]:
        """How many normal and anomalous images have each distinct value, ``(1, distinct)``."""
        first, second = (np.bincount(place, minlength=self.distinct) for place in self._places)
        return first[None].astype(np.float64), second[None].astype(np.float64)

    def statistics(self) -> Array:
        """AUROC, average precision and FPR at 95 %, ``(3,)``."""
        return _statistics(*self.counts())[:, 0]

    def resampled(self, resamples: int, seed: int) -> Array:
        """The same of bootstrap resamples, ``(3, resamples)``."""
        source = np.random.default_rng(seed % 2**64)  # numpy takes none below 0
        step = max(1, _CELLS // self.distinct)
        parts = [
            _statistics(*(self._drawn(place, min(step, resamples - done), source) for place in self._places))
            for done in range(0, resamples, step)
        ]
        return np.concatenate(parts, axis=1)

    def _drawn(self, place: NDArray[np.intp], rows: int, source: np.random.Generator) -> Array:
        """Counts of as many images as there are, drawn with replacement ``rows`` times."""
        chosen = place[source.integers(0, len(place), (rows, len(place)))]
        chosen += self.distinct * np.arange(rows)[:, None]
        counts = np.bincount(chosen.ravel(), minlength=rows * self.distinct)
        return counts.reshape(rows, self.distinct).astype(np.float64)

    def delong(self) -> float:
        """DeLong's standard error of the AUROC, from the placements of each set's images in the other."""
        false, true = (counts[0] for counts in self.counts())
        normal, anomalous = self._places
        below = (false.cumsum() - false / 2) / self.n
        above = (self.m - true.cumsum() + true / 2) / self.m
        variance = below[anomalous].var(ddof=1) / self.m + above[normal].var(ddof=1) / self.n
        return math.sqrt(variance)


def _statistics(false: Array, true: Array) -> Array:
    """AUROC, average precision and FPR at 95 % ``(3, rows)`` from counts ``(rows, distinct)`` in ascending order."""
    n, m = false.sum(1, keepdims=True), true.sum(1, keepdims=True)
    up_to = false.cumsum(1)
    area = (true * (up_to - false / 2)).sum(1) / (n * m)[:, 0]
    alarms, found = n - up_to + false, m - true.cumsum(1) + true  # at this threshold or above
    precision = (true * found / np.maximum(alarms + found, 1)).sum(1) / m[:, 0]
    enough = found >= np.ceil(RECALL * m - 1e-9)
    rate = np.where(enough, alarms, np.inf).min(1) / n[:, 0]
    return np.stack([area, precision, rate])
