"""Moments and tests of the aggregate posterior against scipy and known distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.applications.latent import energy_test, kolmogorov_smirnov, mardia, moments
from vaelab.applications.latent.aggregate import energy_distance, mean_distance
from vaelab.errors import DataError


def normal(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_moments_are_scipys():
    z = normal(500, 3).exp() * torch.tensor([1.0, -2.0, 0.1])
    found, array = moments(z), z.numpy()
    np.testing.assert_allclose(found.mean, array.mean(0))
    np.testing.assert_allclose(found.variance, array.var(0))
    np.testing.assert_allclose(found.skewness, scipy.stats.skew(array))
    np.testing.assert_allclose(found.kurtosis, scipy.stats.kurtosis(array))


def test_errors_of_moments_are_those_seen_over_many_data_sets():
    sets = [moments(-torch.rand(400, 1, generator=torch.Generator().manual_seed(k)).log()) for k in range(300)]
    for name, error in zip(("mean", "variance", "skewness"), sets[0].errors, strict=False):
        seen = torch.cat([getattr(found, name) for found in sets]).std()
        typical = torch.cat([found.errors[("mean", "variance", "skewness").index(name)] for found in sets]).mean()
        assert 0.7 < float(typical / seen) < 1.3, (name, float(error))


def test_a_constant_dimension_has_no_shape():
    found = moments(torch.full((5, 1), 0.3))
    assert found.variance.item() == pytest.approx(0, abs=1e-15)
    assert math.isnan(found.skewness.item())
    assert math.isnan(found.kurtosis.item())


@given(st.integers(0, 1000), st.floats(-0.5, 0.5), st.floats(0.5, 2))
@settings(max_examples=20, deadline=None)
def test_kolmogorov_smirnov_is_scipys(seed, shift, scale):
    z = normal(200, 1, seed) * scale + shift
    statistic, p = kolmogorov_smirnov(z)
    expected = scipy.stats.kstest(z[:, 0].numpy(), "norm")
    assert statistic.item() == pytest.approx(expected.statistic, abs=1e-12)
    assert p.item() == pytest.approx(expected.pvalue, abs=0.003 if expected.pvalue < 0.1 else 0.015)


def test_mardia_is_its_definition_and_holds_its_level():
    z = normal(60, 2).exp()
    centred = z - z.mean(0)
    g = centred @ torch.linalg.inv(centred.T @ centred / 60) @ centred.T
    found = mardia(z, memory=60 * 16 * 7)  # several blocks, the last a part
    assert found.skewness == pytest.approx(float(g.pow(3).mean()))
    assert found.kurtosis == pytest.approx(float(g.diagonal().square().mean()) - 8)
    assert found.skewness_p < 1e-6
    assert found.kurtosis_p < 1e-6
    rejected = [mardia(normal(300, 2, seed) * 3 + 1) for seed in range(200)]
    for name in ("skewness_p", "kurtosis_p"):
        assert 0.005 < np.mean([getattr(one, name) < 0.05 for one in rejected]) < 0.11


@pytest.mark.parametrize("z", [torch.ones(5, 2), normal(2, 3), torch.cat([normal(9, 1)] * 2, 1)], ids=str)
def test_mardia_refuses_a_singular_covariance(z):
    with pytest.raises(DataError, match=r"^expected images whose latents vary in all . dimensions, got .*; give"):
        mardia(z)


@pytest.mark.parametrize("d", [1, 2, 16])
@pytest.mark.parametrize("radius", [0.0, 1.0, 6.0, 39.9, 40.1])
def test_mean_distance_to_a_normal(d, radius):
    place = torch.zeros(d, dtype=torch.float64)
    place[0] = radius
    drawn = (normal(200_000, d) - place).norm(dim=1)
    error = float(drawn.std()) / math.sqrt(len(drawn))
    assert mean_distance(torch.tensor([radius**2]), d).item() == pytest.approx(float(drawn.mean()), abs=5 * error)


def test_mean_distance_is_smooth_where_the_expansion_begins():
    near, far = mean_distance(torch.tensor([1600.0 - 1e-6, 1600.0 + 1e-6], dtype=torch.float64), 5)
    assert near.item() == pytest.approx(far.item(), abs=1e-5)


def test_energy_distance_is_scipys_in_one_dimension():
    """Against a fine grid of the normal's quantiles; scipy's is √(E) of the distribution functions' distance."""
    z = normal(100, 1) * 1.5 + 0.3
    quantiles = scipy.stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    expected = scipy.stats.energy_distance(z[:, 0].numpy(), quantiles) ** 2
    assert energy_distance(z) == pytest.approx(expected, rel=1e-3)


def test_energy_test_holds_its_level_and_finds_a_ring():
    rejected = [energy_test(normal(30, 2, seed), draws=19, seed=seed).p <= 0.05 for seed in range(60)]
    assert np.mean(rejected) < 0.17
    ring = torch.nn.functional.normalize(normal(200, 2), dim=1) * math.sqrt(2)  # mean 0 and covariance I
    found = energy_test(ring, draws=39)
    assert found.p == 1 / 40
    assert found.distance > found.critical


def test_energy_test_takes_so_many_points():
    assert energy_test(normal(300, 1), points=100, draws=2).n == 100
    first, second = (energy_test(normal(300, 1), points=100, draws=9, seed=3) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("test", [moments, kolmogorov_smirnov, mardia, energy_test], ids=lambda test: test.__name__)
def test_a_single_image_is_refused(test):
    with pytest.raises(DataError, match=r"^expected at least 2 images to compare with the prior, got 1; give more"):
        test(torch.zeros(1, 2))
