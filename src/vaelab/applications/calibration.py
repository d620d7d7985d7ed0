"""From bounds to calibrated probabilities: the class prior, Bayes' rule, the temperature, and how well they do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.errors import DataError, UsageError

TEMPERATURES = (1e-3, 1e4)
"""The range in which a temperature is sought."""

BINS = 15
"""Of the expected calibration error, as in Guo et al. 2017."""

_HALVINGS = 60  # of the range of log T: to about 1e-17 of it


def class_log_prior(labels: Tensor | None, classes: int) -> Tensor:
    """log p(y), float64 ``(classes,)``: from labels ``(n,)`` with add-one smoothing, or uniform where they are None.

    p(y) = (n_y + 1) / (n + classes), so that a class without images keeps a probability. Labels of −1 (not known) do
    not count. Raises `DataError` for labels that are out of range, `UsageError` for less than one class.

    >>> class_log_prior(torch.tensor([0, 0, 1]), 2).exp().tolist()
    [0.6, 0.4]
    """
    if classes < 1:
        raise UsageError(f"expected classes ≥ 1, got {classes}")
    if labels is None:
        return torch.full((classes,), -math.log(classes), dtype=torch.float64)
    known = labels[labels >= 0].cpu()
    if known.numel() and int(known.max()) >= classes:
        raise DataError(f"expected labels in 0…{classes - 1}, got {int(known.max())}")
    counts = torch.bincount(known, minlength=classes).double() + 1
    return (counts / counts.sum()).log()


def given_log_prior(probabilities: Sequence[float], classes: int) -> Tensor:
    """log p(y) of given probabilities, one for each class, float64 ``(classes,)``.

    Raises `UsageError` where their number is another, one is not above 0, or their sum is not 1 (± 0.005; the rest of
    rounding is divided out).

    >>> given_log_prior([0.5, 0.25, 0.25], 3).exp().tolist()
    [0.5, 0.25, 0.25]
    """
    values = torch.tensor([float(value) for value in probabilities], dtype=torch.float64)
    if len(values) != classes:
        raise UsageError(f"expected {classes} class probabilities, one for each class, got {len(values)}")
    if not bool((values > 0).all() and values.isfinite().all()):
        raise UsageError(f"expected class probabilities above 0, got {float(values.min()):g}")
    if abs(float(values.sum()) - 1) > 0.005:
        raise UsageError(f"expected class probabilities whose sum is 1, got {float(values.sum()):g}")
    return (values / values.sum()).log()


def log_posterior(bounds: Tensor, log_prior: Tensor, temperature: float = 1.0) -> Tensor:
    """log p(y|x) = bound(x|y) / T + log p(y), less its log-sum over y: float64 ``(n, classes)``.

    ``bounds (n, classes)`` from `label_bounds`, ``log_prior (classes,)``. At T = ``temperature`` = 1 it is Bayes' rule.
    Raises `UsageError` for a temperature that is not above 0.

    >>> log_posterior(torch.tensor([[-3.0, -3.0]]), given_log_prior([0.75, 0.25], 2)).exp().round(decimals=6).tolist()
    [[0.75, 0.25]]
    """
    if not 0 < temperature < math.inf:
        raise UsageError(f"expected a temperature above 0, got {temperature}")
    return (bounds.double() / temperature + log_prior.double()).log_softmax(-1)


def fit_temperature(bounds: Tensor, log_prior: Tensor, labels: Tensor) -> float:
    """The T of least −Σ_i log p(y_i|x_i), p as in `log_posterior`.

    The sum is convex in β = 1/T with the derivative Σ_i [Σ_y p(y|x_i) bound(x_i|y) − bound(x_i|y_i)], which rises with
    β; its zero is found by halving an interval of log T. Where the best T lies outside 0.001…10,000 (labels told
    perfectly, or worse than by chance) the end of that range is returned; 1 where no image's bounds differ.
    ``bounds`` and ``labels (n,)`` are of held-out images. Raises `DataError` without images or with a label out of
    range. Guo et al. 2017, arXiv:1706.04599.

    >>> bounds = torch.tensor([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [4.0, 0.0]])
    >>> T = fit_temperature(bounds, class_log_prior(None, 2), torch.tensor([0, 0, 0, 1]))
    >>> log_posterior(bounds, class_log_prior(None, 2), T)[0].exp().round(decimals=6).tolist()
    [0.75, 0.25]
    """
    chosen = _chosen(bounds, labels)
    # Of an image only the differences of its bounds matter; near 0 they lose nothing to rounding.
    exact = bounds.double() - bounds.double().gather(1, chosen)
    if not bool(exact.any()):
        return 1.0
    low, high = (math.log(limit) for limit in TEMPERATURES)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        probabilities = log_posterior(exact, log_prior, math.exp(middle)).exp()
        if float((probabilities * exact).sum()) > 0:  # rising with β: the zero is at a smaller β, a larger T
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def negative_log_likelihood(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """−log p(y_i|x_i) of each image, nats, ``(n,)``.

    >>> negative_log_likelihood(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([1])).tolist()
    [0.6931471824645996]
    """
    return -log_probabilities.gather(1, _chosen(log_probabilities, labels))[:, 0]


def correct(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """1 where the most probable label is the image's own, else 0: float64 ``(n,)``; their mean is the accuracy.

    >>> correct(torch.tensor([[0.9, 0.1], [0.9, 0.1]]).log(), torch.tensor([0, 1])).tolist()
    [1.0, 0.0]
    """
    return (log_probabilities.argmax(-1) == _chosen(log_probabilities, labels)[:, 0]).double()


def confusion(log_probabilities: Tensor, labels: Tensor) -> NDArray[np.int64]:
    """Counts ``(classes, classes)``: rows are the images' labels, columns the most probable ones.

    >>> confusion(torch.tensor([[0.9, 0.1], [0.9, 0.1]]).log(), torch.tensor([0, 1])).tolist()
    [[1, 0], [1, 0]]
    """
    right, classes = _chosen(log_probabilities, labels)[:, 0], log_probabilities.shape[1]
    counts = torch.bincount(right * classes + log_probabilities.argmax(-1), minlength=classes**2)
    matrix: NDArray[np.int64] = counts.view(classes, classes).numpy()
    return matrix


@dataclass(frozen=True)
class Reliability:
    """The images sorted by their confidence max_y p(y|x) into bins of equal width; empty bins are left out.

    ``confidence`` and ``accuracy``: means of each bin, ``count``: its images; all float64 ``(bins,)``.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error Σ_b (n_b/n) |accuracy_b − confidence_b|, from 0 to 1."""
        weights = self.count / self.count.sum()
        return float((weights * np.abs(self.accuracy - self.confidence)).sum())


def reliability(log_probabilities: Tensor, labels: Tensor, bins: int = BINS) -> Reliability:
    """Confidence beside accuracy, in ``bins`` bins ((b−1)/bins, b/bins] of the confidence.

    Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning"; Guo et al. 2017,
    arXiv:1706.04599.

    >>> log_probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]]).log()
    >>> found = reliability(log_probabilities, torch.tensor([0, 1, 1]))
    >>> found.accuracy.tolist(), round(found.error, 3)
    ([1.0, 0.5], 0.4)
    """
    return _binned(*_confidence(log_probabilities, labels, bins), bins)


def calibration_error(
    log_probabilities: Tensor, labels: Tensor, *, bins: int = BINS, resamples: int = 200, seed: int = 0
) -> tuple[float, float | None]:
    """The expected calibration error and its standard error by the bootstrap over images (None for a single one).

    >>> calibration_error(torch.tensor([[0.9, 0.1]]).log(), torch.tensor([1]))[1] is None
    True
    """
    confidence, right, place = _confidence(log_probabilities, labels, bins)
    error, n = _binned(confidence, right, place, bins).error, len(confidence)
    if n < 2:
        return error, None
    source = np.random.default_rng(seed % 2**64)  # numpy takes none below 0
    draws = (source.integers(n, size=n) for _ in range(resamples))
    errors = [_binned(confidence[chosen], right[chosen], place[chosen], bins).error for chosen in draws]
    return error, float(np.std(errors, ddof=1))


def _confidence(
    log_probabilities: Tensor, labels: Tensor, bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Of each image: confidence, whether its label was told, its bin."""
    if bins < 1:
        raise UsageError(f"expected bins ≥ 1, got {bins}")
    right = correct(log_probabilities, labels).numpy()
    confidence = log_probabilities.double().amax(-1).exp().numpy()
    place = (np.ceil(confidence * bins) - 1).clip(0, bins - 1).astype(np.int64)
    return confidence, right, place


def _binned(
    confidence: NDArray[np.float64], right: NDArray[np.float64], place: NDArray[np.int64], bins: int
) -> Reliability:
    count = np.bincount(place, minlength=bins).astype(np.float64)
    sums = [np.bincount(place, weights=values, minlength=bins)[count > 0] for values in (confidence, right)]
    kept = count[count > 0]
    return Reliability(sums[0] / kept, sums[1] / kept, kept)


def _chosen(scores: Tensor, labels: Tensor) -> Tensor:
    """The labels as a column ``(n, 1)``, checked."""
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not len(labels):
        got = f"{tuple(scores.shape)} and {tuple(labels.shape)}"
        raise DataError(f"expected scores (n, classes) and labels (n,) of at least one image, got {got}")
    low, high = (int(value) for value in torch.aminmax(labels))
    if low < 0 or high >= scores.shape[1]:
        raise DataError(f"expected labels in 0…{scores.shape[1] - 1}, got {low if low < 0 else high}")
    return labels[:, None]
