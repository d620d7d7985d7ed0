"""Mahalanobis distances, COPOD and normal mixtures on cases that a hand can check."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from scipy.spatial.distance import mahalanobis
from sklearn.mixture import GaussianMixture

from vaelab.applications.anomaly import DETECTORS, Copod, Mahalanobis, Mixture
from vaelab.applications.anomaly.outliers import SHRINKAGE


def vectors(n: int, k: int, seed: int = 0) -> np.ndarray:
    source = np.random.default_rng(seed)
    return (source.normal(size=(n, k)) @ source.normal(size=(k, k))).astype(np.float32)


def test_mahalanobis_is_scipys_but_for_the_shrinkage():
    known, new = vectors(500, 3), vectors(20, 3, seed=1)
    groups = np.arange(3)
    found = Mahalanobis().score(new, Mahalanobis().fit(known, groups))
    spread = np.diag(known.std(0))
    correlation = np.linalg.inv(spread) @ np.cov(known.T, bias=True) @ np.linalg.inv(spread)
    shrunk = spread @ ((1 - SHRINKAGE) * correlation + SHRINKAGE * np.eye(3)) @ spread
    expected = [mahalanobis(row, known.mean(0), np.linalg.inv(shrunk)) for row in new]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_mahalanobis_does_not_depend_on_units():
    known, new, scale = vectors(200, 3), vectors(9, 3, seed=1), np.float32([1e-3, 1, 64])
    plain, scaled = (
        Mahalanobis().score(new * s, Mahalanobis().fit(known * s, np.arange(3))) for s in (np.float32(1), scale)
    )
    np.testing.assert_allclose(plain, scaled, rtol=1e-4)


@pytest.mark.parametrize("detector", DETECTORS.values())
def test_constant_features_and_a_single_image_can_be_fitted(detector):
    constant = np.full((30, 2), 3.0, dtype=np.float32)
    for known in (constant, constant[:1]):
        state = detector.fit(known, np.zeros(2, dtype=np.int64))
        same, other = detector.score(np.array([[3, 3], [5, 3]], dtype=np.float32), state)
        assert np.isfinite([same, other]).all()
        assert other > same or (len(known) == 1 and other == same)  # COPOD learns nothing from one image


def test_a_feature_that_hardly_varies_does_not_drown_its_group():
    known = vectors(400, 2)
    known[:, 1] *= 1e-9
    state = Mahalanobis().fit(known, np.zeros(2, dtype=np.int64))
    assert Mahalanobis().score(np.array([[0, 1e-6]], dtype=np.float32), state) < 0.5


def test_copod_by_hand():
    """Left tails of 9 known values: i/10; skewed to the right, so the corrected sum takes right tails."""
    known = np.array([1, 2, 3, 4, 5, 6, 7, 8, 30], dtype=np.float32)[:, None]
    state = Copod().fit(known, np.zeros(1, dtype=np.int64))
    new = np.array([1, 4.5, 8, 30, 31, 0], dtype=np.float32)[:, None]
    left = np.array([0.1, 0.45, 0.8, 0.9, 0.9, 0.1])
    right = np.array([0.9, 0.55, 0.2, 0.1, 0.1, 0.9])
    np.testing.assert_allclose(np.exp(-Copod().score(new, state)), np.minimum(left, right), rtol=1e-6)
    assert state["skewness"][0] == pytest.approx(scipy.stats.skew(known[:, 0]))


def test_copod_takes_the_largest_of_three_sums():
    known = np.stack([np.arange(1, 10), -(np.arange(1, 10) ** 3)], axis=1).astype(np.float32)
    state = Copod().fit(known, np.zeros(2, dtype=np.int64))
    assert state["skewness"][1] < 0
    low_and_low = np.array([[1, -729]], dtype=np.float32)  # both at the left end: the left sum
    low_and_high = np.array([[1, -1]], dtype=np.float32)  # one at each end
    assert Copod().score(low_and_low, state) == pytest.approx(2 * np.log(10))
    assert Copod().score(low_and_high, state) == pytest.approx(np.log(10) + np.log(10 / 9))


def test_copod_far_outside_is_bounded():
    known = vectors(99, 2)
    far = np.full((1, 2), 1e9, dtype=np.float32)
    assert Copod().score(far, Copod().fit(known, np.arange(2))) == pytest.approx(2 * np.log(100))


def test_the_mixture_is_scikit_learns_density_of_the_standardised_features():
    known, new = vectors(400, 3), vectors(20, 3, seed=1)
    state = Mixture().fit(known, np.arange(3))
    mixture = GaussianMixture(10, reg_covar=SHRINKAGE, random_state=0)
    mixture.fit((known.astype(float) - known.mean(0, dtype=float)) / known.std(0, dtype=float))
    expected = -mixture.score_samples((new - known.mean(0, dtype=float)) / known.std(0, dtype=float))
    np.testing.assert_allclose(Mixture().score(new, state), expected, rtol=1e-3)


def test_one_normal_distribution_is_left_where_there_are_few_images():
    assert len(Mixture().fit(vectors(7, 3), np.arange(3))["constant"]) == 1
    assert len(Mixture().fit(vectors(24, 3), np.arange(3))["constant"]) == 4


@pytest.mark.parametrize("detector", DETECTORS.values())
def test_a_little_more_is_little_more(detector):
    """So that rounding changes scores by rounding alone: also those of the training images themselves."""
    known = vectors(300, 3)
    state = detector.fit(known, np.arange(3))
    first, second = (detector.score((known * f).astype(np.float32), state) for f in (1, np.float32(1 + 3e-7)))
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("detector", DETECTORS.values())
def test_each_vector_is_scored_alone(detector):
    known, new = vectors(50, 3), vectors(5000, 3, seed=1)
    state = detector.fit(known, np.zeros(3, dtype=np.int64))
    whole = detector.score(new, state)
    np.testing.assert_allclose(detector.score(new[::-1], state)[::-1], whole, rtol=1e-12)
    np.testing.assert_allclose(detector.score(new[7:8], state), whole[7:8], rtol=1e-12)
