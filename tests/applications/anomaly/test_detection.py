"""AUROC and its kin against scikit-learn; errors, intervals and thresholds against what they claim."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from vaelab.applications.anomaly import auroc, average_precision, detect, fpr_at_95, roc_curve, threshold
from vaelab.errors import DataError, UsageError

SCORES = st.lists(st.integers(-5, 5).map(float) | st.floats(-1e6, 1e6), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES)
def test_scikit_learn_agrees(normal, anomalous):
    truth, scores = [0] * len(normal) + [1] * len(anomalous), normal + anomalous
    assert auroc(normal, anomalous) == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert average_precision(normal, anomalous) == pytest.approx(metrics.average_precision_score(truth, scores))
    false, true, _ = metrics.roc_curve(truth, scores, drop_intermediate=False)
    assert fpr_at_95(normal, anomalous) == pytest.approx(false[true >= 0.95 - 1e-9].min())
    ours = roc_curve(normal, anomalous)
    np.testing.assert_allclose(ours[0], false)
    np.testing.assert_allclose(ours[1], true)


@settings(max_examples=30, deadline=None)
@given(SCORES, SCORES)
def test_the_mirror_image_of_an_auroc_is_one_less_it(normal, anomalous):
    assert auroc(normal, anomalous) == pytest.approx(1 - auroc(anomalous, normal))
    assert auroc(normal, normal) == pytest.approx(0.5)


def test_delongs_error_is_the_spread_over_samples():
    source = np.random.default_rng(0)
    drawn = [(source.normal(size=60), source.normal(size=40) + 1) for _ in range(400)]
    areas = [auroc(*pair) for pair in drawn]
    claimed = [detect(*pair, 0.0, resamples=1).auroc.standard_error for pair in drawn[:50]]
    assert np.mean(claimed) == pytest.approx(np.std(areas), rel=0.15)


def test_intervals_cover_as_often_as_they_say():
    source, truth = np.random.default_rng(1), 0.5 * math.erfc(-0.5)  # P(N(1, 1) > N(0, 1)) = Φ(1/√2)
    hits, rates = 0, []
    for _ in range(100):
        found = detect(source.normal(size=80), source.normal(size=80) + 1, 1.0, resamples=200)
        hits += found.auroc.low <= truth <= found.auroc.high
        rates.append(found.detection_rate.low <= 0.5 <= found.detection_rate.high)
    assert hits >= 87
    assert sum(rates) >= 87


def test_bootstrap_and_delong_agree():
    source = np.random.default_rng(2)
    normal, anomalous = source.normal(size=300), source.normal(size=200) + 0.7
    found = detect(normal, anomalous, 0.0, resamples=1000)
    assert (found.auroc.high - found.auroc.low) / (2 * 1.96) == pytest.approx(found.auroc.standard_error, rel=0.1)
    assert found.average_precision.low < found.average_precision.value < found.average_precision.high


def test_a_resample_is_one_of_each_set():
    """The interval of a statistic that resampling cannot change is a point."""
    found = detect([1.0, 1.0, 1.0], [2.0, 2.0], 1.5)
    for estimate in (found.auroc, found.average_precision):
        assert (estimate.value, estimate.low, estimate.high, estimate.standard_error) == (1, 1, 1, 0)
    assert (found.detection_rate.value, found.false_alarm_rate.value, found.fpr_at_95.value) == (1, 0, 0)


def test_equal_seeds_give_equal_intervals():
    values = np.arange(9.0), np.arange(4.0, 12.0)
    assert detect(*values, 5.0) == detect(*values, 5.0)
    assert detect(*values, 5.0) != detect(*values, 5.0, seed=1)
    assert detect(*values, 5.0).auroc.value == detect(*values, 5.0, seed=-1).auroc.value


def test_many_images_are_quick():
    source = np.random.default_rng(3)
    normal, anomalous = source.normal(size=10_000), source.normal(size=10_000) + 1
    start = time.process_time()
    detect(normal, anomalous, 1.0, resamples=100)
    assert time.process_time() - start < 2  # a tenth of what a report makes


@pytest.mark.parametrize("false_alarms", [0.01, 0.05, 0.2])
def test_a_threshold_keeps_its_rate_on_new_images(false_alarms):
    source = np.random.default_rng(4)
    rates = [(source.exponential(size=200) > threshold(source.exponential(size=199), false_alarms)).mean()
             for _ in range(300)]  # fmt: skip
    error = np.std(rates) / math.sqrt(len(rates))
    assert np.mean(rates) <= false_alarms + 4 * error
    assert np.mean(rates) >= false_alarms - 4 * error  # 199 + 1 images: no smaller than need be


def test_too_few_images_have_no_threshold():
    assert threshold([3.0], 0.05) == math.inf
    assert threshold(np.arange(19.0), 0.05) == 18
    found = detect([1.0], [2.0], math.inf)
    assert (found.detection_rate.value, found.false_alarm_rate.value) == (0, 0)
    assert found.auroc.standard_error is None
    assert found.average_precision.standard_error is None


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5])
def test_a_rate_is_between_0_and_1(rate):
    with pytest.raises(UsageError, match="between 0 and 1, got"):
        threshold([1.0, 2.0], rate)


def test_refusals():
    with pytest.raises(DataError, match="at least one image"):
        auroc([], [1.0])
    with pytest.raises(DataError, match="finite scores, got others for 1 of 2"):
        auroc([1.0, math.nan], [1.0])
    with pytest.raises(UsageError, match="at least 1 resample, got 0"):
        detect([1.0], [2.0], 1.0, resamples=0)
