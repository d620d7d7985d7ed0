"""Every preset is complete, printable, valid and builds."""

from __future__ import annotations

import json

import pytest
import torch

from vaelab import presets
from vaelab.building import build_model, build_objective
from vaelab.config import RunConfig, check
from vaelab.errors import UsageError


@pytest.fixture(params=presets.names())
def config(request) -> RunConfig:
    return presets.get(request.param)


def test_every_preset_is_valid_and_is_described_in_one_line(config):
    check(config)
    assert config.preset in presets.names()
    assert presets.describe(config.preset).endswith(".")


def test_every_preset_survives_being_written_down(config):
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_every_preset_builds_and_gives_a_finite_loss_and_gradient(config):
    model = build_model(config.model)
    objective = build_objective(config.training.objective, model)
    x = torch.rand(2, *config.model.image_shape)
    c = torch.tensor([0, 9]) if config.model.conditional else None
    terms = objective(model, x, c, epoch=0.0, generator=torch.Generator().manual_seed(0))
    terms.loss.backward()
    assert terms.loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_every_presets_likelihood_takes_its_pixel_variant(config):
    assert config.data.variant in build_model(config.model).likelihood.measures


@pytest.mark.parametrize("name", ["conv-vae", "conv-cvae"])
def test_the_sheets_presets_train_as_the_sheet_says(name):
    config = presets.get(name)
    training = config.training
    assert (training.batch_size, training.lr, training.epochs, training.optimizer) == (32, 1e-3, 10, "adam")
    assert (training.objective, training.schedule, training.clip) == ("elbo", "constant", 0.0)
    assert (config.data.name, config.data.variant) == ("mnist", "grey")
    assert (config.model.latent, config.model.init, config.model.likelihood) == (2, "he-encoder", "bernoulli")


@pytest.mark.parametrize("ask", [presets.get, presets.describe])
def test_an_unknown_preset_is_refused_with_the_nearest_name(ask):
    with pytest.raises(UsageError, match="unknown preset 'conv-va'; did you mean conv-vae"):
        ask("conv-va")
