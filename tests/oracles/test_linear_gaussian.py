"""Bounds against the exact log p(x) of a linear-Gaussian model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vaelab.objectives import ELBO, IWAE, draw, importance_bound


def mismatch(model) -> None:
    """Make q wrong: too wide, and off its mean."""
    with torch.no_grad():
        model.posterior.spread.bias += torch.tensor([0.4, 0.7])
        model.posterior.mean.bias += torch.tensor([0.2, -0.3])


def many_draws(model, image: Tensor, samples: int, repeats: int, seed: int) -> Tensor:
    """log-weights ``(samples, repeats)`` of one image."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        return draw(model, image.expand(repeats, -1, -1, -1), samples=samples, generator=generator).log_weights()


def test_with_the_exact_posterior_every_sample_weighs_exactly_the_likelihood(linear_gaussian):
    generator = torch.Generator().manual_seed(1)
    log_weights = draw(linear_gaussian.model, linear_gaussian.x, samples=50, generator=generator).log_weights()
    expected = linear_gaussian.log_px.float().expand(50, -1)
    torch.testing.assert_close(log_weights, expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("samples", [1, 7])
@pytest.mark.parametrize("doubly", [False, True])
def test_with_the_exact_posterior_the_importance_weighted_bound_has_no_variance(linear_gaussian, samples, doubly):
    for seed in range(5):
        terms = IWAE(samples=samples, doubly=doubly)(
            linear_gaussian.model, linear_gaussian.x, generator=torch.Generator().manual_seed(seed)
        )
        torch.testing.assert_close(terms.bound.double(), linear_gaussian.log_px, atol=2e-4, rtol=0)


def test_with_the_exact_posterior_the_elbo_is_the_likelihood(linear_gaussian, standard_error):
    model, x = linear_gaussian.model, linear_gaussian.x
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        bounds = torch.stack([ELBO(samples=100)(model, x, generator=generator).bound for _ in range(40)])
    assert ((bounds.mean(0) - linear_gaussian.log_px).abs() < 5 * standard_error(bounds)).all()
    assert (standard_error(bounds) < 0.1).all()


def test_one_sample_weighs_log_px_plus_log_pz_minus_log_qz(linear_gaussian):
    mismatch(linear_gaussian.model)
    model, x = linear_gaussian.model, linear_gaussian.x
    drawn = draw(model, x, samples=1, generator=torch.Generator().manual_seed(0))
    qz = model.encode(x)
    z = drawn.z[0]
    expected = (
        torch.distributions.Normal(model.decode(z).mean, model.likelihood.log_std.exp()).log_prob(x).sum((1, 2, 3))
        + torch.distributions.Normal(0, 1).log_prob(z).sum(1)
        - torch.distributions.Normal(qz.mean, qz.log_std.exp()).log_prob(z).sum(1)
    )
    torch.testing.assert_close(drawn.log_weights()[0], expected, atol=1e-4, rtol=0)
    terms = IWAE(samples=1)(model, x, generator=torch.Generator().manual_seed(0))
    assert torch.equal(terms.bound, drawn.log_weights()[0])


def test_the_importance_weighted_bound_rises_with_the_samples_from_the_elbo_to_the_likelihood(
    linear_gaussian, standard_error
):
    mismatch(linear_gaussian.model)
    model, image, log_px = linear_gaussian.model, linear_gaussian.x[:1], linear_gaussian.log_px[0]
    bounds = {k: importance_bound(many_draws(model, image, k, 4000, seed=k)) for k in (1, 2, 5, 20)}
    means = {k: float(values.mean()) for k, values in bounds.items()}
    errors = {k: float(standard_error(values)) for k, values in bounds.items()}

    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        elbo = ELBO(samples=4000)(model, image, generator=generator)
    spread = float(many_draws(model, image, 4000, 1, seed=9).std()) / 4000**0.5
    assert abs(means[1] - float(elbo.bound)) < 5 * (errors[1] + spread)

    for fewer, more in ((1, 2), (2, 5), (5, 20)):
        assert means[more] - means[fewer] > 5 * (errors[more] ** 2 + errors[fewer] ** 2) ** 0.5
        assert means[more] < float(log_px) + 5 * errors[more]

    limit = importance_bound(many_draws(model, image, 100_000, 1, seed=3))
    assert float(limit) == pytest.approx(float(log_px), abs=0.02)


def test_the_gap_of_the_elbo_is_the_divergence_of_q_from_the_exact_posterior(linear_gaussian):
    model, x = linear_gaussian.model, linear_gaussian.x
    exact = model.encode(x).detach()
    mismatch(model)
    wrong = model.encode(x).detach()
    # Sigma points: their mean is 0 and their covariance I, so that averages of quadratics are exact.
    points = 2**0.5 * torch.cat([torch.eye(2), -torch.eye(2)])[:, None, :].expand(-1, len(x), -1)
    drawn = draw(model, x, samples=4, noise=points)
    elbo = drawn.log_px.mean(0) - drawn.kl
    gap = wrong.kl_per_dimension(exact).sum(-1)
    torch.testing.assert_close(elbo.double(), linear_gaussian.log_px - gap.double(), atol=3e-4, rtol=0)


def test_the_doubly_reparameterised_gradient_vanishes_at_the_exact_posterior(linear_gaussian):
    model, x = linear_gaussian.model, linear_gaussian.x
    norms = {}
    for doubly in (False, True):
        model.zero_grad()
        IWAE(samples=4, doubly=doubly)(model, x, generator=torch.Generator().manual_seed(0)).loss.backward()
        norms[doubly] = float(model.posterior.mean.weight.grad.norm())
    assert norms[True] < 1e-4
    assert norms[False] > 1e-2
