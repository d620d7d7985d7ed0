"""The losses of the objectives against hand-computed ones, while the logged terms stay the plain ones."""

from __future__ import annotations

import pytest
import torch

from vaelab.building import build_model, build_objective
from vaelab.config import ModelConfig
from vaelab.distributions import kl_per_dimension
from vaelab.errors import UsageError
from vaelab.objectives import ELBO, IWAE, Terms, draw, importance_bound
from vaelab.vae import VAE

CONFIG = ModelConfig(latent=3, encoder="mlp:hidden=8", decoder="mlp:hidden=8", image_shape=(1, 8, 8))
X = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model() -> VAE:
    built = build_model(CONFIG)
    assert isinstance(built, VAE)
    return built


def call(model: VAE, objective, **options) -> Terms:
    with torch.no_grad():
        return objective(model, X, generator=torch.Generator().manual_seed(1), **options)


@pytest.fixture(scope="module")
def plain(model) -> Terms:
    return call(model, ELBO())


def assert_logged_terms_are_plain(terms: Terms, plain: Terms) -> None:
    assert torch.equal(terms.reconstruction, plain.reconstruction)
    assert torch.equal(terms.kl, plain.kl)
    assert torch.equal(terms.bound, plain.bound)


def test_the_elbo_is_minus_reconstruction_minus_kl_by_hand(model, plain):
    qz = model.encode(X)
    z = qz.rsample(1, torch.Generator().manual_seed(1))[0]
    logits = model.decode(z).logits
    by_hand = torch.nn.functional.binary_cross_entropy_with_logits(logits, X, reduction="none").sum((1, 2, 3))
    kl = 0.5 * (qz.mean**2 + (2 * qz.log_std).exp() - 1 - 2 * qz.log_std).sum(1)
    torch.testing.assert_close(plain.reconstruction, by_hand)
    torch.testing.assert_close(plain.kl, kl)
    torch.testing.assert_close(plain.bound, -by_hand - kl)
    torch.testing.assert_close(plain.loss, (by_hand + kl).mean())


@pytest.mark.parametrize(("beta", "weight"), [(4.0, 1.0), (0.5, 2.0), (0.0, 1.0), (1.0, 0.0)])
def test_weights_change_the_loss_alone(model, plain, beta, weight):
    terms = call(model, ELBO(beta=beta, reconstruction_weight=weight))
    torch.testing.assert_close(terms.loss, weight * plain.reconstruction.mean() + beta * plain.kl.mean())
    assert terms.beta == beta
    assert_logged_terms_are_plain(terms, plain)


def test_a_weight_beside_a_mean_over_pixels_is_as_many_times_larger_as_there_are_pixels(model, plain):
    objective = build_objective("elbo:beta=0.01,per_pixel=true", model)
    pixels = X[0].numel()
    assert objective.weight(0) == pytest.approx(0.01 * pixels)
    terms = call(model, objective)
    mean_over_pixels = plain.reconstruction.mean() / pixels + 0.01 * plain.kl.mean()
    torch.testing.assert_close(terms.loss, pixels * mean_over_pixels)
    assert terms.beta == pytest.approx(0.01 * pixels)
    assert_logged_terms_are_plain(terms, plain)


@pytest.mark.parametrize(("epoch", "beta"), [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (4.0, 4.0), (100.0, 4.0)])
def test_beta_rises_linearly_over_the_warm_up(model, plain, epoch, beta):
    terms = call(model, ELBO(beta=4, warmup=4), epoch=epoch)
    assert terms.beta == pytest.approx(beta)
    torch.testing.assert_close(terms.loss, plain.reconstruction.mean() + beta * plain.kl.mean())
    assert_logged_terms_are_plain(terms, plain)


def test_outside_training_the_warm_up_is_over(model):
    assert call(model, ELBO(beta=4, warmup=4)).beta == 4


@pytest.mark.parametrize("free_bits", [0.01, 0.3, 50.0])
def test_free_bits_bound_the_batch_mean_of_each_dimension_from_below(model, plain, free_bits):
    qz = model.encode(X)
    by_dimension = kl_per_dimension(qz, model.pz(len(X))).mean(0)
    by_hand = sum(max(free_bits, float(value)) for value in by_dimension.detach())
    terms = call(model, ELBO(free_bits=free_bits))
    torch.testing.assert_close(terms.loss, plain.reconstruction.mean() + by_hand)
    assert_logged_terms_are_plain(terms, plain)


def test_free_bits_give_no_gradient_to_a_dimension_below_them(model):
    model.zero_grad()
    ELBO(reconstruction_weight=0, free_bits=50)(model, X).loss.backward()
    assert not model.posterior.mean.weight.grad.any()


def test_without_a_closed_form_free_bits_hold_for_the_sum():
    model = build_model(ModelConfig(**{**vars(CONFIG), "prior": "mixture"}))
    loss = call(model, ELBO(reconstruction_weight=0, free_bits=50)).loss
    assert float(loss) == 150


def test_more_samples_average_the_reconstruction(model):
    many = call(model, ELBO(samples=4))
    drawn = draw(model, X, samples=4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(many.reconstruction, -drawn.log_px.mean(0))


def test_the_importance_weighted_bound_by_hand(model):
    drawn = draw(model, X, samples=3, generator=torch.Generator().manual_seed(1))
    weights = drawn.log_weights().double().exp().mean(0)
    terms = call(model, IWAE(samples=3))
    torch.testing.assert_close(terms.bound, weights.log().float())
    torch.testing.assert_close(terms.loss, -terms.bound.mean())
    torch.testing.assert_close(terms.kl, kl_per_dimension(drawn.qz, drawn.pz).sum(1))
    torch.testing.assert_close(terms.reconstruction, -drawn.log_px.mean(0))


def test_the_importance_bound_does_not_underflow():
    log_weights = torch.tensor([[-5000.0], [-5001.0]])
    torch.testing.assert_close(importance_bound(log_weights), torch.tensor([-5000.0 - 0.6931472 + 0.3132617]))


def test_noise_given_to_draw_is_the_noise_used(model):
    noise = torch.randn(2, 5, 3)
    drawn = draw(model, X, samples=2, noise=noise)
    torch.testing.assert_close(drawn.z, drawn.qz.mean + drawn.qz.log_std.exp() * noise)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("elbo:beta=-1", "expected a finite beta ≥ 0, got -1"),
        ("elbo:beta=inf", "expected a finite beta ≥ 0, got inf"),
        ("elbo:warmup=nan", "expected a finite warmup ≥ 0, got nan"),
        ("elbo:free_bits=-0.1", "expected a finite free_bits ≥ 0"),
        ("elbo:samples=0", "expected a finite samples ≥ 1, got 0"),
        ("elbo:samples=1.5", "expected a value like 1, got 1.5"),
        ("elbo:beta=0,reconstruction_weight=0", "nothing is left to learn"),
        ("iwae:samples=0", "expected a finite samples ≥ 1, got 0"),
        ("iwae:doubly=1", "expected a value like false, got 1"),
        ("iwae:sample=3", "did you mean samples"),
        ("elb", "did you mean elbo"),
        ("reconstruction:beta=1", "it has no options"),
    ],
)
def test_a_wrong_objective_is_refused_in_one_sentence(model, spec, sentence):
    with pytest.raises(UsageError) as caught:
        build_objective(spec, model)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
