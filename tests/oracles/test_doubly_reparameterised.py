"""The doubly reparameterised gradient: the importance-weighted bound's gradient, with less noise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vaelab.building import build_model
from vaelab.config import ModelConfig
from vaelab.objectives import IWAE

SAMPLES, REPEATS = 8, 8000


def model_and_image(prior: str = "normal"):
    """A small nonlinear model, its posterior well off, and one image."""
    config = ModelConfig(
        encoder="mlp:hidden=8",
        decoder="mlp:hidden=8",
        prior=prior,
        posterior="normal:head=log-std",
        likelihood="normal:std=2,mean=identity",
        image_shape=(1, 8, 8),
    )
    model = build_model(config, seed=3)
    return model, torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def gradients(doubly: bool, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    """∂bound/∂(μ, log σ) of each of many independent draws for one image, and the gradients of all parameters."""
    model, image = model_and_image()
    kept: list[Tensor] = []

    def keep(module, inputs, qz):
        for values in (qz.mean, qz.log_std):
            values.retain_grad()
            kept.append(values)

    model.posterior.register_forward_hook(keep)
    terms = IWAE(samples=SAMPLES, doubly=doubly)(
        model, image.expand(REPEATS, -1, -1, -1), generator=torch.Generator().manual_seed(seed)
    )
    terms.loss.backward()
    by_draw = -REPEATS * torch.cat([values.grad for values in kept[:2]], dim=1)
    return by_draw, {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.fixture(scope="module")
def both() -> dict[bool, tuple[Tensor, dict[str, Tensor]]]:
    return {doubly: gradients(doubly, seed=1) for doubly in (False, True)}


def test_the_encoder_gradients_have_the_same_expectation(both):
    other, _ = gradients(doubly=True, seed=2)
    plain, _ = both[False]
    error = ((plain.var(0) + other.var(0)) / REPEATS).sqrt()
    assert (plain.mean(0).abs() > 5 * error).any()  # else the test would say nothing
    assert ((plain.mean(0) - other.mean(0)).abs() < 5 * error).all()


def test_the_encoder_gradients_have_less_variance(both):
    assert (both[True][0].var(0) < 0.8 * both[False][0].var(0)).all()


def test_the_decoder_gradients_are_the_plain_ones(both):
    for name, plain in both[False][1].items():
        if name.startswith("decoder"):
            torch.testing.assert_close(both[True][1][name], plain, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("prior", ["normal", "mixture:components=3", "vamp:components=3"])
def test_the_bound_is_the_same_number(prior):
    model, image = model_and_image(prior)
    plain, doubly = (
        IWAE(samples=5, doubly=doubly)(model, image, generator=torch.Generator().manual_seed(0))
        for doubly in (False, True)
    )
    for name in ("bound", "reconstruction", "kl"):
        assert torch.equal(getattr(plain, name), getattr(doubly, name))


def test_it_can_be_evaluated_without_a_graph():
    model, image = model_and_image()
    with torch.no_grad():
        assert IWAE(samples=3, doubly=True)(model, image).bound.isfinite().all()
