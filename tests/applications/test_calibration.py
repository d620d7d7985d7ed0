"""Prior, Bayes' rule, temperature and calibration error against hand counts, scikit-learn and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss

from vaelab.applications.calibration import (
    TEMPERATURES,
    calibration_error,
    class_log_prior,
    confusion,
    correct,
    fit_temperature,
    given_log_prior,
    log_posterior,
    negative_log_likelihood,
    reliability,
)
from vaelab.errors import DataError, UsageError

UNIFORM = class_log_prior(None, 4)


def scores(n: int, seed: int = 0, spread: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities up to a constant, and labels drawn from them."""
    source = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, 4, generator=source, dtype=torch.float64) * spread
    return logits, torch.multinomial(logits.softmax(1), 1, generator=source)[:, 0]


def nll(bounds, prior, labels, temperature):
    return float(negative_log_likelihood(log_posterior(bounds, prior, temperature), labels).mean())


def test_class_prior_counts_and_smooths():
    labels = torch.tensor([2, 2, 2, 0, -1, -1])
    torch.testing.assert_close(class_log_prior(labels, 4).exp(), torch.tensor([2, 1, 4, 1]).double() / 8)
    torch.testing.assert_close(class_log_prior(labels[4:], 4), UNIFORM)
    with pytest.raises(DataError, match="labels in 0…1, got 2"):
        class_log_prior(labels, 2)


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ([0.5, 0.5], "4 class probabilities"),
        ([0.5, 0.5, 0.0, 0.0], "above 0, got 0"),
        ([0.5, 0.5, 0.5, 0.5], "sum is 1, got 2"),
        ([math.nan] * 4, "above 0"),
    ],
)
def test_given_prior_is_checked(given_, words):
    with pytest.raises(UsageError, match=words):
        given_log_prior(given_, 4)


def test_given_prior_loses_its_rounding():
    torch.testing.assert_close(given_log_prior([0.333] * 3, 3).exp().sum(), torch.tensor(1.0, dtype=torch.float64))


def test_posterior_is_bayes_rule():
    bounds, prior = torch.tensor([[-900.0, -901.0]]), given_log_prior([0.2, 0.8], 2)
    odds = math.exp(1.0) * 0.2 / 0.8
    torch.testing.assert_close(
        log_posterior(bounds, prior).exp()[0, 0], torch.tensor(odds / (1 + odds), dtype=torch.float64)
    )
    with pytest.raises(UsageError, match="temperature above 0, got 0"):
        log_posterior(bounds, prior, 0)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 40.0])
def test_temperature_is_recovered(temperature):
    logits, labels = scores(20_000)
    assert fit_temperature(logits * temperature, UNIFORM, labels) == pytest.approx(temperature, rel=0.03)


@given(st.integers(0, 10**6), st.floats(0.05, 200.0), st.integers(5, 60))
@settings(max_examples=25, deadline=None)
def test_no_temperature_is_better(seed, scale, n):
    logits, labels = scores(n, seed)
    prior = class_log_prior(labels, 4)
    found = fit_temperature(logits * scale, prior, labels)
    best = nll(logits * scale, prior, labels, found)
    low, high = (math.log(limit) for limit in TEMPERATURES)
    other = minimize_scalar(
        lambda t: nll(logits * scale, prior, labels, math.exp(t)), bounds=(low, high), method="bounded"
    )
    assert best <= other.fun + 1e-9
    for near in (found * 1.01, found / 1.01):
        assert best <= nll(logits * scale, prior, labels, min(max(near, TEMPERATURES[0]), TEMPERATURES[1])) + 1e-12


def test_temperature_does_not_see_what_is_common_to_all_labels():
    logits, labels = scores(200)
    shifted = logits + torch.linspace(-1e6, -1e3, 200)[:, None]
    assert fit_temperature(shifted, UNIFORM, labels) == pytest.approx(
        fit_temperature(logits, UNIFORM, labels), rel=1e-6
    )


def test_temperature_at_the_ends():
    logits, _ = scores(50)
    assert fit_temperature(logits, UNIFORM, logits.argmax(1)) == pytest.approx(TEMPERATURES[0])
    assert fit_temperature(logits, UNIFORM, logits.argmin(1)) == pytest.approx(TEMPERATURES[1])
    assert fit_temperature(torch.full((3, 4), -7.0), UNIFORM, torch.tensor([0, 1, 2])) == 1.0
    assert fit_temperature(torch.full((3, 1), -7.0), class_log_prior(None, 1), torch.zeros(3, dtype=torch.int64)) == 1.0
    assert 0 < fit_temperature(logits[:1], UNIFORM, torch.tensor([1])) < math.inf


def test_scores_are_those_of_scikit_learn():
    logits, labels = scores(500)
    labels[labels == 3] = 2  # a class that never comes
    log_probabilities = log_posterior(logits, UNIFORM)
    told = log_probabilities.argmax(1)
    assert float(correct(log_probabilities, labels).mean()) == accuracy_score(labels, told)
    expected = log_loss(labels, log_probabilities.exp().numpy(), labels=range(4))
    assert float(negative_log_likelihood(log_probabilities, labels).mean()) == pytest.approx(expected)
    counts = confusion(log_probabilities, labels)
    np.testing.assert_array_equal(counts, confusion_matrix(labels, told, labels=range(4)))
    assert counts[3].sum() == 0
    assert counts.sum() == 500


def test_calibration_error_by_hand():
    """Two bins of 0.5: two images of confidence 0.6 and 0.8, one right; one of 0.5, right, in the lower bin."""
    log_probabilities = torch.tensor([[0.6, 0.4], [0.2, 0.8], [0.5, 0.5]], dtype=torch.float64).log()
    found = reliability(log_probabilities, torch.tensor([0, 0, 0]), bins=2)
    np.testing.assert_allclose(found.confidence, [0.5, 0.7])
    np.testing.assert_allclose(found.accuracy, [1.0, 0.5])
    assert found.count.tolist() == [1, 2]
    assert found.error == pytest.approx((1 * 0.5 + 2 * 0.2) / 3)


def test_calibration_error_of_the_truth_is_small_and_of_overconfidence_large():
    logits, labels = scores(20_000)
    right, spread = calibration_error(log_posterior(logits, UNIFORM), labels)
    assert right < 0.02
    assert spread is not None
    assert 0 < spread < 0.01
    over, _ = calibration_error(log_posterior(10 * logits, UNIFORM), labels)
    assert over > 0.15
    assert calibration_error(log_posterior(logits, UNIFORM), labels) == (right, spread)
    assert calibration_error(log_posterior(logits, UNIFORM), labels, seed=-1)[0] == right


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_calibration_error_is_the_plain_sum(seed, n, bins):
    logits, labels = scores(n, seed)
    log_probabilities = log_posterior(logits, UNIFORM)
    sure, told = log_probabilities.exp().max(1)
    total = 0.0
    for b in range(bins):
        members = (sure > b / bins) & (sure <= (b + 1) / bins)
        if members.any():
            total += abs(float((told == labels)[members].double().sum() - sure[members].sum())) / n
    assert reliability(log_probabilities, labels, bins).error == pytest.approx(total, abs=1e-9)


def test_bad_labels_are_refused():
    logits, labels = scores(4)
    for wrong in (labels + 4, labels - 4):
        with pytest.raises(DataError, match="labels in 0…3"):
            negative_log_likelihood(logits, wrong)
    with pytest.raises(DataError, match="at least one image"):
        fit_temperature(logits[:0], UNIFORM, labels[:0])
    with pytest.raises(DataError, match="got \\(4, 4\\) and \\(3,\\)"):
        correct(logits, labels[:3])
    with pytest.raises(UsageError, match="bins ≥ 1"):
        reliability(logits.log_softmax(1), labels, 0)
