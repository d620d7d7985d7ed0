"""Densities against SciPy and PyTorch, and the soft bound."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vaelab.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    DiagonalNormal,
    DiscretisedLogistic,
    Normal,
    NormalMixture,
    soft_bound,
)

GRID = torch.linspace(-60, 60, 1201, dtype=torch.float64)


def pixels(values: Tensor) -> Tensor:
    """A vector as one-pixel images."""
    return values[:, None, None, None]


# soft_bound


@given(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30))
def test_soft_bound_is_monotone_and_bounded(a, b):
    low, high = soft_bound(torch.tensor([min(a, b), max(a, b)]), -10.0, 10.0)
    assert -10 <= low <= high <= 10


@given(st.floats(-3, 3))
def test_soft_bound_is_close_to_the_identity_in_the_middle(value):
    bounded = float(soft_bound(torch.tensor(value, dtype=torch.float64), -10.0, 10.0))
    assert bounded == pytest.approx(value, abs=1e-3)


@given(st.floats(-60, 60))
def test_soft_bound_has_a_gradient_where_a_value_may_stray(value):
    x = torch.tensor(value, requires_grad=True)
    soft_bound(x, -10.0, 10.0).backward()
    assert 0 < x.grad <= 1


@given(st.sampled_from([float("inf"), -float("inf"), 1e38, -1e38]))
def test_soft_bound_of_an_overflow_is_the_bound_with_a_finite_gradient(value):
    x = torch.tensor(value, requires_grad=True)
    bounded = soft_bound(x, -10.0, 10.0)
    bounded.backward()
    assert float(bounded.detach()) == (10 if value > 0 else -10)
    assert x.grad.isfinite()


def test_soft_bound_strictly_rises():
    assert (soft_bound(GRID[400:801], -10.0, 10.0).diff() > 0).all()


# Latents


def test_diagonal_normal_agrees_with_scipy():
    mean, log_std = torch.tensor([[0.3, -1.0]]).double(), torch.tensor([[-3.0, 2.0]]).double()
    z = torch.tensor([[[0.25, 4.0]], [[0.5, -9.0]]]).double()
    expected = scipy.stats.norm(mean, log_std.exp()).logpdf(z.numpy()).sum(-1)
    np.testing.assert_allclose(DiagonalNormal(mean, log_std).log_prob(z).numpy(), expected, rtol=1e-12)


def test_normal_mixture_agrees_with_torch():
    torch.manual_seed(0)
    logits, mean, log_std = torch.randn(3, 4), torch.randn(3, 4, 2), torch.randn(3, 4, 2)
    mixture = NormalMixture(logits.log_softmax(-1), mean, log_std)
    components = torch.distributions.Independent(torch.distributions.Normal(mean, log_std.exp()), 1)
    reference = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=logits), components)
    z = mixture.rsample(7)
    torch.testing.assert_close(mixture.log_prob(z), reference.log_prob(z))


def test_a_mixture_draws_its_components_as_often_as_they_weigh():
    weights = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    centres = torch.tensor([0.0, 100.0, 200.0])[None, :, None].expand(2, -1, 1)
    draws = NormalMixture(weights.log(), centres, torch.zeros(2, 3, 1)).rsample(10_000).squeeze(-1)
    shares = torch.stack([((draws - centre).abs() < 50).float().mean(0) for centre in (0, 100, 200)], dim=1)
    assert ((shares - weights).abs() < 5 * (0.25 / 10_000) ** 0.5).all()


# Pixels


@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(0, 1)), min_size=1, max_size=6))
def test_bernoulli_on_grey_pixels_is_torchs_cross_entropy(values):
    logits, x = (pixels(part) for part in torch.tensor(values).T)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    torch.testing.assert_close(Bernoulli(logits).log_prob(x), -expected.flatten())


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 7, 9), (3, 8, 8), (1, 28, 28), (1, 64, 64)])
@pytest.mark.parametrize("scale", [0.1, 5.0, 100.0])
def test_bernoulli_of_images_of_any_size(size, scale):
    torch.manual_seed(0)
    logits, x = scale * torch.randn(20, *size), torch.rand(20, *size)
    expected = (torch.nn.functional.logsigmoid(logits.double()) + (x - 1).double() * logits.double()).flatten(1).sum(1)
    tolerance = 1e-6 * float((scale * torch.ones(size)).sum()) + 1e-5
    assert float((Bernoulli(logits).log_prob(x) - expected).abs().max()) < tolerance


def test_bernoulli_in_half_precision_does_not_underflow():
    value = Bernoulli(torch.zeros(1, 8, 8).half()).log_prob(torch.zeros(1, 8, 8).half())
    assert float(value) == pytest.approx(-64 * np.log(2), rel=1e-3)


def test_bernoulli_loses_nothing_where_a_clamped_probability_would():
    assert float(Bernoulli(torch.full((1, 1, 1), 200.0)).log_prob(torch.zeros(1, 1, 1))) == -200


def test_normal_agrees_with_scipy():
    x = pixels(torch.linspace(0, 1, 11).double())
    px = Normal(torch.full_like(x, 0.3), torch.tensor(0.1, dtype=torch.float64).log())
    expected = scipy.stats.norm(0.3, 0.1).logpdf(x.flatten().numpy())
    np.testing.assert_allclose(px.log_prob(x).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-9)])
@pytest.mark.parametrize("x", [0.0, 0.25, 1.0])
def test_continuous_bernoulli_is_its_formula(kind, tolerance, x):
    logits = GRID[GRID != 0].numpy().astype(np.longdouble)
    expected = (logits * x - np.log(np.expm1(logits) / logits)).astype(np.float64)
    px = ContinuousBernoulli(pixels(GRID[GRID != 0]).to(kind))
    seen = px.log_prob(torch.full_like(px.logits, x)).numpy()
    np.testing.assert_allclose(seen, expected, atol=tolerance, rtol=tolerance)


def test_continuous_bernoulli_is_uniform_at_zero():
    flat = ContinuousBernoulli(torch.zeros(1, 1, 1))
    assert float(flat.log_prob(torch.full((1, 1, 1), 0.25))) == 0
    assert float(flat.mean) == 0.5


def test_continuous_bernoulli_keeps_its_precision_for_large_logits():
    px = ContinuousBernoulli(torch.full((1, 1, 1), 1e4))
    assert float(px.log_prob(torch.ones(1, 1, 1))) == pytest.approx(np.log(1e4), rel=1e-6)


def test_continuous_bernoulli_is_smooth_where_its_two_forms_meet():
    logits = torch.linspace(-0.4, 0.4, 801, dtype=torch.float64)
    px = ContinuousBernoulli(pixels(logits))
    for values in (px.log_prob(torch.full_like(px.logits, 0.7)), px.mean.flatten()):
        assert values.diff().diff().abs().max() < 1e-6


def logistic_mass(location: float, scale: float) -> np.ndarray:
    """The mass of the 256 levels by SciPy, from whichever tail is exact."""
    edges = (np.arange(1, 256) - 0.5) / 255
    logistic = scipy.stats.logistic(location, scale)
    below = np.diff(logistic.cdf(np.r_[-np.inf, edges, np.inf]))
    above = -np.diff(logistic.sf(np.r_[-np.inf, edges, np.inf]))
    return np.where(np.arange(256) / 255 < location, below, above)


@pytest.mark.parametrize(("location", "log_scale"), [(0.5, -2.0), (-0.1, -4.0), (1.1, -5.0), (0.2, 2.0), (0.77, -6.0)])
@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-9)])
def test_discretised_logistic_agrees_with_scipy(location, log_scale, kind, tolerance):
    levels = pixels(torch.arange(256).to(kind) / 255)
    like = levels.unsqueeze(1)
    px = DiscretisedLogistic(torch.full_like(like, location), torch.full_like(like, log_scale), torch.zeros_like(like))
    mass = logistic_mass(location, np.exp(log_scale))
    seen = mass > 1e-200
    np.testing.assert_allclose(px.log_prob(levels).numpy()[seen], np.log(mass[seen]), rtol=tolerance, atol=tolerance)


def test_discretised_logistic_mixes_by_its_weights():
    levels = pixels(torch.arange(256).double() / 255)
    location, log_scale = (
        torch.tensor(v, dtype=torch.float64)[None, :, None, None, None] for v in ([0.2, 0.8], [-4.0, -3.0])
    )
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)[None, :, None, None, None].log()
    px = DiscretisedLogistic(*(part.expand(256, -1, -1, -1, -1) for part in (location, log_scale, weights)))
    expected = 0.3 * logistic_mass(0.2, np.exp(-4)) + 0.7 * logistic_mass(0.8, np.exp(-3))
    np.testing.assert_allclose(px.log_prob(levels).exp().numpy(), expected, atol=1e-12)
    assert float(px.mean[0].squeeze()) == pytest.approx(float(expected @ np.arange(256)) / 255, abs=1 / 510)
