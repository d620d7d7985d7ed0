"""Closed-form KL against Monte Carlo, quadrature and PyTorch's own; the sheet's hand cases (C2, C4)."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vaelab.building import build_model
from vaelab.config import ModelConfig
from vaelab.distributions import DiagonalNormal, kl_per_dimension
from vaelab.objectives import ELBO, draw
from vaelab.posteriors import POSTERIORS
from vaelab.priors import PRIORS
from vaelab.specs import Spec
from vaelab.vae import VAE

means, log_stds = st.floats(-5, 5), st.floats(-3, 3)
pairs = st.lists(st.tuples(means, log_stds, means, log_stds), min_size=1, max_size=4)


def normals(values: list[tuple[float, float, float, float]]) -> tuple[DiagonalNormal, DiagonalNormal]:
    """Two normals of one image, in float64."""
    mean, log_std, other_mean, other_log_std = torch.tensor(values, dtype=torch.float64).T[:, None]
    return DiagonalNormal(mean, log_std), DiagonalNormal(other_mean, other_log_std)


def normal(mean: list[list[float]], log_variance: list[list[float]]) -> DiagonalNormal:
    return DiagonalNormal(torch.tensor(mean), 0.5 * torch.tensor(log_variance))


STANDARD = normal([[0.0, 0.0]], [[0.0, 0.0]])


@given(pairs)
@settings(deadline=None, max_examples=50)
def test_kl_of_normals_agrees_with_torch(values):
    q, p = normals(values)
    reference = torch.distributions.kl_divergence(
        torch.distributions.Normal(q.mean, q.log_std.exp()), torch.distributions.Normal(p.mean, p.log_std.exp())
    )
    torch.testing.assert_close(kl_per_dimension(q, p), reference, rtol=1e-9, atol=1e-12)
    assert (kl_per_dimension(q, p) >= -1e-12).all()


@given(pairs)
@settings(deadline=None, max_examples=20, derandomize=True)
def test_kl_of_normals_agrees_with_monte_carlo(values):
    q, p = normals(values)
    z = q.rsample(20_000, torch.Generator().manual_seed(0))
    ratio = q.log_prob(z) - p.log_prob(z)
    error = ratio.std(0) / len(z) ** 0.5
    assert ((ratio.mean(0) - kl_per_dimension(q, p).sum(-1)).abs() <= 6 * error + 1e-9).all()


PAIRS = list(itertools.product(POSTERIORS.names(), PRIORS.names()))


@pytest.mark.parametrize(("posterior", "prior"), PAIRS)
def test_the_kl_of_every_posterior_and_prior_agrees_with_quadrature(posterior, prior):
    """In one dimension; by closed form where there is one, else by the samples' mean."""
    torch.manual_seed(0)
    q_head = POSTERIORS.build(Spec(posterior), 3, 1)
    prior_head = PRIORS.build(Spec(prior), 1, (1, 8, 8), 0)
    features = torch.randn(4, 3)

    def encode(x: Tensor, c: Tensor | None) -> DiagonalNormal:
        return q_head(x[:, 0, 0, :3])

    with torch.no_grad():
        qz, pz = q_head(features), prior_head(4, None, encode)
        grid = torch.linspace(-20, 20, 20_001)[:, None, None].expand(-1, 4, -1)
        log_q, log_p = qz.log_prob(grid).double(), pz.log_prob(grid).double()
        exact = (log_q.exp() * (log_q - log_p)).sum(0) * (40 / 20_000)
        closed = kl_per_dimension(qz, pz)
        if closed is not None:
            torch.testing.assert_close(closed.sum(-1).double(), exact, atol=1e-4, rtol=1e-4)
        z = qz.rsample(20_000, torch.Generator().manual_seed(1))
        ratio = (qz.log_prob(z) - pz.log_prob(z)).double()
        assert ((ratio.mean(0) - exact).abs() < 5 * ratio.std(0) / len(z) ** 0.5 + 1e-6).all()


def test_without_a_closed_form_the_kl_is_the_mean_over_the_samples():
    config = ModelConfig(encoder="mlp:hidden=8", decoder="mlp:hidden=8", prior="mixture", image_shape=(1, 8, 8))
    model = build_model(config)
    assert isinstance(model, VAE)
    drawn = draw(model, torch.rand(3, 1, 8, 8), samples=5)
    assert kl_per_dimension(drawn.qz, drawn.pz) is None
    by_sample = drawn.qz.log_prob(drawn.z) - drawn.pz.log_prob(drawn.z)
    torch.testing.assert_close(drawn.kl, by_sample.sum(0) / 5)


# The sheet's hand cases.


def test_c2_ten_thousand_draws_have_the_mean_and_log_variance_asked_for():
    qz = normal([[1.0, -2.0, 0.0]], [[0.0, -1.5, 2.0]])
    draws = qz.rsample(10_000, torch.Generator().manual_seed(0)).squeeze(1)
    log_variance = 2 * qz.log_std[0]
    assert ((draws.mean(0) - qz.mean[0]).abs() < 5 * (0.5 * log_variance).exp() / 100).all()
    assert ((draws.var(0).log() - log_variance).abs() < 5 * (2 / 10_000) ** 0.5).all()


def test_c2_the_noise_is_scaled_and_shifted():
    z = normal([[1.0, -2.0]], [[0.0, 2.0]]).rsample(noise=torch.tensor([[[0.5, -1.0]]]))
    torch.testing.assert_close(z, torch.tensor([[[1.5, -2.0 - 2.718281828]]]), atol=1e-5, rtol=0)


def test_c4_kl_is_zero_at_mean_zero_and_log_variance_zero():
    assert torch.equal(kl_per_dimension(STANDARD, STANDARD), torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("mean", "log_variance", "by_hand"),
    [
        (1.0, 0.0, 0.5),  # ½ μ²
        (-2.0, 0.0, 2.0),
        (0.0, 2.0, 0.5 * (7.38905609893065 - 1 - 2)),  # ½ (σ² − 1 − log σ²)
        (0.0, -2.0, 0.5 * (0.1353352832366127 - 1 + 2)),
    ],
)
def test_c4_kl_is_positive_elsewhere(mean, log_variance, by_hand):
    kl = kl_per_dimension(normal([[mean]], [[log_variance]]), normal([[0.0]], [[0.0]]))
    assert float(kl) == pytest.approx(by_hand, rel=1e-6)


def test_c4_kl_adds_over_dimensions_and_the_loss_averages_over_the_batch():
    model = build_model(ModelConfig(encoder="linear", decoder="linear", image_shape=(1, 8, 8)))
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.zero_()
        model.posterior.mean.weight[0, 0] = 1.0  # μ₁ is the first pixel
        model.posterior.mean.weight[1, 1] = 2.0  # μ₂ is twice the second
    x = torch.zeros(2, 1, 8, 8)
    x[1, 0, 0, 0] = x[1, 0, 0, 1] = 1.0
    terms = ELBO(reconstruction_weight=0)(model, x)
    torch.testing.assert_close(terms.kl, torch.tensor([0.0, 0.5 + 2.0]), atol=1e-6, rtol=0)
    assert float(terms.loss.detach()) == pytest.approx(1.25, abs=1e-6)


def test_c4_cross_entropy_is_summed_over_pixels_and_averaged_over_the_batch():
    model = build_model(ModelConfig(encoder="linear", decoder="linear", image_shape=(1, 8, 8)))
    with torch.no_grad():
        model.decoder.first.linear.weight.zero_()
        model.decoder.first.linear.bias.fill_(-1.3862943611)  # every pixel is 1 with probability 1/5
    x = torch.zeros(2, 1, 8, 8)
    x[1, 0, 0, :4] = 1.0
    terms = ELBO(beta=0)(model, x)
    dark, light = 0.22314355131, 1.60943791243  # −log 4/5 and −log 1/5
    by_hand = [64 * dark, 60 * dark + 4 * light]
    torch.testing.assert_close(terms.reconstruction, torch.tensor(by_hand), atol=1e-4, rtol=0)
    assert float(terms.loss.detach()) == pytest.approx(sum(by_hand) / 2, abs=1e-4)
