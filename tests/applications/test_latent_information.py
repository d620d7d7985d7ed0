"""Marginal KL and mutual information against Gaussians whose values are known."""

from __future__ import annotations

import math

import pytest
import torch

from tests.applications.latent_models import SHAPE, model_of, noise
from vaelab.applications.latent import (
    Encoded,
    MarginalPrior,
    elbo_surgery,
    encode,
    marginal_kl_per_dimension,
    mixture_log_prob,
)
from vaelab.data.images import ImageData
from vaelab.distributions import DiagonalNormal
from vaelab.errors import DataError, UsageError


def channel(n: int, latent: int, std: float, seed: int = 0) -> Encoded:
    """Posteriors N(μ_i, s²) with μ_i ~ N(0, 1 − s²): q(z) is N(0, I), the information ½ log(1/s²) a dimension."""
    source = torch.Generator().manual_seed(seed)
    means = math.sqrt(1 - std**2) * torch.randn(n, latent, generator=source)
    z = means + std * torch.randn(n, latent, generator=source)
    return Encoded(means, torch.full((n, latent), math.log(std)), z)


def prior(latent: int, **changes: object) -> MarginalPrior:
    return MarginalPrior.of(model_of(latent=latent, **changes), Encoded(torch.zeros(2, latent)))


def test_posteriors_equal_to_the_prior_hold_nothing():
    encoded = Encoded(torch.zeros(50, 3), torch.zeros(50, 3), torch.randn(50, 3))
    found = elbo_surgery(encoded, prior(3))
    for values in (found.marginal_kl, found.mutual_information, found.mutual_information_left_out):
        torch.testing.assert_close(values, torch.zeros(50, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("latent", [1, 2])
def test_a_gaussian_channel_has_its_information_and_no_marginal_kl(latent):
    found = elbo_surgery(channel(3000, latent, 0.5), prior(latent))
    exact, error = latent * 0.5 * math.log(4), float(found.mutual_information.std()) / math.sqrt(3000)
    assert float(found.mutual_information.mean()) == pytest.approx(exact, abs=4 * error + 0.01)
    assert float(found.marginal_kl.mean()) == pytest.approx(0, abs=0.02)


def test_a_shifted_aggregate_has_its_marginal_kl():
    one = channel(3000, 1, 0.5)
    assert one.z is not None
    found = elbo_surgery(Encoded(one.means + 2, one.log_stds, one.z + 2), prior(1))
    assert float(found.marginal_kl.mean()) == pytest.approx(2.0, abs=4 * float(found.marginal_kl.std()) / 50)


def test_information_is_at_most_log_n_and_lies_between_the_two_estimates():
    encoded = channel(200, 8, 0.05)  # 24 nats, far more than log 200
    found = elbo_surgery(encoded, prior(8))
    assert bool((found.mutual_information <= math.log(200) + 1e-9).all())
    assert float(found.mutual_information.mean()) == pytest.approx(math.log(200), abs=0.01)
    exact = 8 * math.log(20)
    assert float(found.mutual_information.mean()) < exact < float(found.mutual_information_left_out.mean())


def test_the_mixture_is_its_definition_whatever_the_memory():
    z, qz = torch.randn(13, 2).double(), DiagonalNormal(torch.randn(13, 2).double(), 0.3 * torch.randn(13, 2).double())
    each = qz.log_prob(z[:, None])
    aggregate, left_out = mixture_log_prob(z, qz, memory=32 * 13 * 5, leave_out=True)
    torch.testing.assert_close(aggregate, each.logsumexp(1) - math.log(13))
    others = each.masked_fill(torch.eye(13, dtype=torch.bool), -torch.inf)
    torch.testing.assert_close(left_out, others.logsumexp(1) - math.log(12))
    torch.testing.assert_close(mixture_log_prob(z[:3], qz)[0], aggregate[:3])


def test_each_dimension_has_its_own_marginal_kl():
    one = channel(1500, 2, 0.5)
    assert one.z is not None
    shift = torch.tensor([0.0, 1.0])
    kl = marginal_kl_per_dimension(Encoded(one.means + shift, one.log_stds, one.z + shift), points=1000)
    assert kl.shape == (1000, 2)
    torch.testing.assert_close(kl.mean(0), torch.tensor([0.0, 0.5]).double(), atol=0.12, rtol=0)


def test_a_class_prior_is_weighed_by_the_shares_of_the_classes():
    model = model_of(latent=2, conditional=True, prior="mixture:components=2,per_class=true")
    encoded = Encoded(torch.zeros(4, 2), conditions=torch.tensor([0, 0, 0, 2]))
    p, z = MarginalPrior.of(model, encoded), torch.randn(5, 2)
    with torch.no_grad():
        each = [model.pz(5, torch.full((5,), c)).log_prob(z[None])[0].double() for c in (0, 2)]
    expected = torch.logaddexp(each[0] + math.log(0.75), each[1] + math.log(0.25))
    torch.testing.assert_close(p.log_prob(z), expected)
    drawn = p.sample(2000, 3, "test")
    assert torch.equal(drawn, p.sample(2000, 3, "test"))
    with torch.no_grad():
        means = [model.pz(1, torch.tensor([c])).rsample(4000)[:, 0].mean(0) for c in (0, 2)]
    torch.testing.assert_close(drawn.mean(0), 0.75 * means[0] + 0.25 * means[1], atol=0.15, rtol=0)


# --- encoding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("variant", ["grey", "dynamic"])
def test_an_image_is_encoded_the_same_whatever_is_beside_it(conditional, variant):
    model, data = model_of(conditional=conditional), noise(11)
    whole = encode(model, data, variant, seed=5)
    order = torch.randperm(11)
    shuffled = encode(model, data.take(order), variant, seed=5, batch_size=3)
    for name in ("means", "log_stds", "z"):
        torch.testing.assert_close(getattr(shuffled, name), getattr(whole, name)[order], rtol=1e-5, atol=1e-6)
    assert whole.labels is not None
    assert shuffled.labels is not None
    assert torch.equal(shuffled.labels, whole.labels[order])
    assert not torch.equal(encode(model, data, variant, seed=6).z, whole.z)


def test_draws_follow_the_posterior():
    model, data = model_of(latent=2), noise(2000)
    encoded = encode(model, data, "grey")
    assert encoded.z is not None
    assert encoded.log_stds is not None
    standard = (encoded.z - encoded.means) / encoded.log_stds.exp()
    torch.testing.assert_close(standard.mean(0), torch.zeros(2), atol=0.1, rtol=0)
    torch.testing.assert_close(standard.std(0), torch.ones(2), atol=0.1, rtol=0)


def test_m2_infers_labels_that_are_not_known():
    model, data = model_of(kind="m2"), noise(6)
    assert data.labels is not None
    x = data.images.float() / 255
    inferred = model.likeliest(x)
    hidden = ImageData("noise", data.images, torch.where(torch.arange(6) < 3, -1, data.labels), data.class_names)
    expected = model.embed(x, torch.where(torch.arange(6) < 3, inferred, data.labels))
    encoded = encode(model, hidden, "grey")
    torch.testing.assert_close(encoded.means, expected, rtol=1e-5, atol=1e-6)
    assert encoded.conditions is not None
    assert torch.equal(encoded.conditions, torch.where(torch.arange(6) < 3, inferred, data.labels))
    torch.testing.assert_close(
        encode(model, ImageData("bare", data.images), "grey").means, model.embed(x), rtol=1e-5, atol=1e-6
    )


def test_an_autoencoder_has_codes_alone():
    model = model_of(kind="autoencoder")
    encoded = encode(model, noise(3), "grey")
    assert encoded.z is None
    with pytest.raises(UsageError, match=r"^an autoencoder has no prior .*; train a VAE$"):
        MarginalPrior.of(model, encoded)
    with pytest.raises(UsageError, match=r"^an autoencoder has no posterior.*; train a VAE$"):
        marginal_kl_per_dimension(encoded)


def test_a_broken_encoder_and_a_single_image_are_refused():
    model = model_of(latent=2)
    with pytest.raises(DataError, match=r"^expected at least 2 images to tell apart, got 1; give more images$"):
        elbo_surgery(encode(model, noise(1), "grey"), prior(2))
    with torch.no_grad():
        model.posterior.mean.bias.fill_(math.nan)
    with pytest.raises(DataError, match=r"^expected finite codes, got NaN or infinity from the encoder for images"):
        encode(model, noise(2), "grey")


def test_colour_images():
    data = ImageData("colour", torch.randint(256, (4, 3, *SHAPE[1:]), dtype=torch.uint8))
    encoded = encode(model_of(image_shape=(3, *SHAPE[1:])), data, "grey")
    assert bool(elbo_surgery(encoded, prior(3)).mutual_information.isfinite().all())
