"""What every posterior must do. A new one adds a row."""

from __future__ import annotations

import pytest
import torch

from vaelab.posteriors import POSTERIORS
from vaelab.specs import Spec

ROWS = ["normal", "normal:head=log-std"]
FEATURES, LATENT = 6, 2


@pytest.fixture(params=ROWS)
def posterior(request):
    return POSTERIORS.build(Spec.parse(request.param), FEATURES, LATENT)


def test_every_posterior_has_a_row(assert_every_name_has_a_row):
    assert_every_name_has_a_row(POSTERIORS, ROWS)


def test_shapes_of_samples_and_densities(posterior):
    qz = posterior(torch.randn(5, FEATURES))
    z = qz.rsample(3)
    assert z.shape == (3, 5, LATENT)
    assert qz.log_prob(z).shape == (3, 5)
    assert qz.mean.shape == (5, LATENT)


def test_draws_depend_on_the_generator_alone(posterior):
    qz = posterior(torch.randn(5, FEATURES))
    first, second = (qz.rsample(3, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, qz.rsample(3, torch.Generator().manual_seed(8)))


def test_gradients_reach_every_parameter_through_the_sample(posterior, assert_gradients_reach_every_parameter):
    z = posterior(torch.randn(8, FEATURES)).rsample(2)
    assert_gradients_reach_every_parameter(posterior, z.square().sum())


def test_an_image_is_independent_of_its_batch(posterior):
    features, z = torch.randn(7, FEATURES), torch.randn(1, 7, LATENT)
    together = posterior(features).log_prob(z)
    alone = torch.cat([posterior(features[i : i + 1]).log_prob(z[:, i : i + 1]) for i in range(7)], dim=1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_state_dict_round_trip(posterior, assert_state_dict_round_trip):
    features, z = torch.randn(2, FEATURES), torch.randn(1, 2, LATENT)
    assert_state_dict_round_trip(posterior, lambda module: module(features).log_prob(z))


def test_the_density_integrates_to_one_in_two_dimensions(posterior):
    qz = posterior(torch.randn(1, FEATURES)).detach()
    width = 10 * float(qz.log_std.exp().max())
    axis = torch.linspace(-width, width, 401)
    grid = torch.cartesian_prod(axis, axis)[:, None] + qz.mean
    cell = (axis[1] - axis[0]).double() ** 2
    assert float(qz.log_prob(grid).double().exp().sum() * cell) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("value", [0.0, 1e6, -1e6, 1e12, -1e12])
def test_extreme_features_give_finite_samples_densities_and_gradients(posterior, value):
    features = torch.full((3, FEATURES), value, requires_grad=True)
    qz = posterior(features)
    z = qz.rsample(4)
    log_q = qz.log_prob(z)
    assert z.isfinite().all()
    assert log_q.isfinite().all()
    (z.sum() + log_q.sum()).backward()
    assert features.grad.isfinite().all()
