"""What is particular to each prior."""

from __future__ import annotations

import pytest
import torch

from vaelab.building import build_model
from vaelab.config import ModelConfig
from vaelab.distributions import NormalMixture
from vaelab.objectives import ELBO
from vaelab.vae import VAE


def build(prior: str, **changes) -> VAE:
    config = ModelConfig(
        encoder="mlp:hidden=8", decoder="mlp:hidden=8", prior=prior, image_shape=(1, 8, 8), classes=3, **changes
    )
    model = build_model(config)
    assert isinstance(model, VAE)
    return model


def test_the_standard_normal_has_nothing_learned_and_nothing_saved():
    prior = build("normal").prior
    assert not list(prior.parameters())
    assert not prior.state_dict()


def test_a_fresh_mixture_of_one_component_is_a_normal_of_unit_scale():
    mixture = build("mixture:components=1").pz(1)
    assert isinstance(mixture, NormalMixture)
    torch.testing.assert_close(mixture.log_std.exp(), torch.ones(1, 1, 2))
    torch.testing.assert_close(mixture.log_weights, torch.zeros(1, 1))


@pytest.mark.parametrize("conditional", [False, True])
def test_the_vamp_prior_is_the_mean_of_the_posteriors_at_its_pseudo_inputs(conditional):
    model = build("vamp:components=4", conditional=conditional)
    c = torch.tensor([2, 0]) if conditional else None
    z = torch.randn(5, 2, 2)
    by_hand = []
    for image in range(2):
        label = None if c is None else c[image].expand(4)
        qz = model.encode(model.prior.inputs.sigmoid(), label)
        log_q = torch.stack(
            [
                torch.distributions.Normal(m, s.exp()).log_prob(z[:, image]).sum(1)
                for m, s in zip(qz.mean, qz.log_std, strict=True)
            ]
        )
        by_hand.append(log_q.exp().mean(0).log())
    torch.testing.assert_close(model.pz(2, c).log_prob(z), torch.stack(by_hand, dim=1))


def test_the_pseudo_inputs_learn_and_so_does_the_encoder_through_them():
    model = build("vamp:components=4")
    z = torch.randn(3, 2, 2)
    (-model.pz(2).log_prob(z).sum()).backward()
    assert model.prior.inputs.grad.any()
    assert model.encoder.first.linear.weight.grad.any()


@pytest.mark.parametrize("prior", ["mixture:components=5", "vamp:components=5"])
def test_a_learned_prior_moves_to_the_aggregate_posterior(prior):
    """Trained by the KL alone with the posterior fixed, it beats the standard normal."""
    torch.manual_seed(0)
    model, standard = build(prior), build("normal")
    with torch.no_grad():
        model.posterior.mean.weight.mul_(2)
    for part in (model.encoder, model.posterior):
        part.requires_grad_(False)
    x = torch.rand(64, 1, 8, 8)
    optimizer = torch.optim.Adam(model.prior.parameters(), lr=0.05)
    objective, generator = ELBO(reconstruction_weight=0, samples=8), torch.Generator().manual_seed(0)
    before = float(objective(model, x, generator=generator).loss.detach())
    for _ in range(60):
        optimizer.zero_grad()
        loss = objective(model, x, generator=generator).loss
        loss.backward()
        optimizer.step()
    standard.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("prior")})
    assert float(loss.detach()) < before
    assert float(loss.detach()) < float(objective(standard, x, generator=generator).loss.detach())
