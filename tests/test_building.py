"""Building is a function of configuration and seed; initialisation keeps the scale of activations."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from vaelab.building import INITS, build_model, he_init
from vaelab.config import ModelConfig
from vaelab.errors import UsageError, VaelabError

SMALL = ModelConfig(encoder="mlp:hidden=16", decoder="mlp:hidden=16", prior="mixture", image_shape=(1, 8, 8))


def small(**changes) -> ModelConfig:
    return dataclasses.replace(SMALL, **changes)


def weights(config: ModelConfig, seed: int = 0) -> torch.Tensor:
    return torch.cat([value.flatten() for value in build_model(config, seed).state_dict().values()])


@pytest.mark.parametrize("init", INITS)
def test_weights_are_a_function_of_configuration_and_seed_alone(init):
    config = small(init=init)
    torch.manual_seed(1)
    first = weights(config)
    torch.manual_seed(2)
    torch.rand(10)
    before = torch.get_rng_state()
    second = weights(config)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, second)
    assert not torch.equal(first, weights(config, seed=1))


def test_building_leaves_the_generators_of_other_devices_alone(monkeypatch):
    monkeypatch.setattr(torch, "manual_seed", lambda seed: pytest.fail("this reseeds every device"))
    build_model(SMALL)


def test_he_weights_have_the_variance_asked_for_and_biases_are_zero():
    model = build_model(ModelConfig(conditional=True, condition="add", init="he"))
    expected = {
        "encoder.first.conv": 2 / 9,
        "encoder.convolutions.1": 2 / (32 * 9),
        "encoder.linear.0": 2 / 3136,
        "posterior.mean": 1 / 16,
        "posterior.spread": 1 / 16,
        "decoder.first.linear": 2 / 2,
        "decoder.convolutions.0": 2 / (64 * 9 / 4),
        "decoder.convolutions.2": 1 / (32 * 9 / 4),
    }
    for name, variance in expected.items():
        weight = model.get_parameter(f"{name}.weight").detach()
        assert abs(float(weight.square().mean()) / variance - 1) < 6 * (2 / weight.numel()) ** 0.5, name
    assert all(not value.any() for name, value in model.state_dict().items() if name.endswith("bias"))


def test_he_encoder_leaves_the_decoder_to_pytorch_and_starts_labels_at_zero():
    config = ModelConfig(conditional=True, condition="add")
    model, pytorchs = (
        build_model(dataclasses.replace(config, init=init)).state_dict() for init in ("he-encoder", "torch")
    )
    assert abs(float(model["encoder.linear.0.weight"].square().mean()) * 3136 / 2 - 1) < 0.05
    assert abs(float(model["posterior.mean.weight"].square().mean()) * 16 - 1) < 6 * (2 / 32) ** 0.5
    for name, value in model.items():
        if ".condition." in name:
            assert not value.any(), name
        elif name.startswith("decoder."):
            assert torch.equal(value, pytorchs[name]), name


def second_moments(layers: list[nn.Module], x: torch.Tensor) -> list[float]:
    """Of each layer's output; ReLU between them."""
    he_init(nn.Sequential(*layers))
    found = []
    with torch.no_grad():
        for layer in layers:
            x = layer(torch.relu(x))
            found.append(float(x.square().mean()))
    return found


@pytest.mark.parametrize(
    ("layers", "x_shape"),
    [
        ([nn.Linear(512, 512) for _ in range(6)], (64, 512)),
        ([nn.Conv2d(64, 64, 3, padding=1, padding_mode="circular") for _ in range(6)], (2, 64, 12, 12)),
        ([nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1, output_padding=1) for _ in range(4)], (2, 64, 6, 6)),
        ([nn.ConvTranspose2d(64, 64, 3, stride=1, padding=1) for _ in range(3)], (2, 64, 24, 24)),
    ],
)
def test_he_initialisation_keeps_the_second_moment_through_a_deep_stack(layers, x_shape):
    torch.manual_seed(0)
    first, *_, last = second_moments(layers, torch.randn(x_shape))
    assert 0.5 < first < 2
    assert 0.5 < last / first < 2


def test_the_default_initialisation_shrinks_the_signal():
    torch.manual_seed(0)
    x = torch.randn(64, 256)
    with torch.no_grad():
        for layer in [nn.Linear(256, 256) for _ in range(8)]:
            x = layer(torch.relu(x))
    assert x.square().mean() < 0.1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": "gan"}, "unknown model kind 'gan'; known: autoencoder, m1+m2, m2, vae"),
        ({"condition": "ad"}, "unknown condition 'ad'; did you mean add?"),
        ({"init": "hee"}, "unknown init 'hee'; did you mean he?"),
        ({"latent": 0}, "expected latent ≥ 1, got 0"),
        ({"encoder": "convolution"}, "unknown encoder 'convolution'"),
        ({"encoder": "mlp:hiden=3"}, "encoder 'mlp' has no option 'hiden'; did you mean hidden?"),
        ({"decoder": "mpl"}, "unknown decoder 'mpl'; did you mean mlp?"),
        ({"posterior": "normal:head=std"}, "expected head=log-variance or head=log-std, got std"),
        ({"prior": "vampire"}, "unknown prior 'vampire'; did you mean vamp?"),
        ({"prior": "mixture:components=0"}, "expected components ≥ 1, got 0"),
        ({"prior": "mixture:per_class=true"}, "per_class needs a model with a condition"),
        ({"prior": "vamp:components=0"}, "expected components ≥ 1, got 0"),
        ({"likelihood": "bernouli"}, "did you mean bernoulli"),
        ({"likelihood": "normal:std=0"}, "expected std between 0.0001 and 10000, got 0"),
        ({"likelihood": "normal:std=nan"}, "expected std between 0.0001 and 10000, got nan"),
        ({"likelihood": "normal:mean=tanh"}, "expected mean=sigmoid or mean=identity, got tanh"),
        ({"likelihood": "normal:std=big"}, "expected a value like 0.1, got big"),
        ({"likelihood": "normal:learned=1"}, "expected a value like false, got 1"),
        ({"likelihood": "logistic:components=0"}, "expected components ≥ 1, got 0"),
        ({"image_shape": (2, 8, 8)}, "expected images of 1 or 3 channels and at least 8×8 pixels, got 2×8×8"),
        ({"image_shape": (1, 7, 8)}, "got 1×7×8"),
        ({"image_shape": (28, 28)}, "got 28×28"),
        ({"conditional": True, "classes": 0}, "a conditional model needs labelled data"),
        ({"encoder": ""}, "expected NAME or NAME:option=value"),
    ],
)
def test_a_wrong_model_is_refused_in_one_sentence(changes, sentence):
    with pytest.raises(UsageError) as caught:
        build_model(small(**changes))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "change",
    [
        {"latent": 10**11},
        {"latent": 10**18},
        {"latent": 10**20},
        {"encoder": "mlp:hidden=100000000/100000000"},
        {"prior": "mixture:components=1000000000000"},
    ],
    ids=str,
)
def test_a_model_larger_than_the_memory(change):
    with pytest.raises(VaelabError, match="memory; lower --latent, or make --encoder, --decoder or --prior smaller"):
        build_model(ModelConfig(**change))


def test_other_failures_are_not_taken_for_a_full_memory(monkeypatch):
    def fail(config):
        raise RuntimeError("something else")

    monkeypatch.setattr("vaelab.building._assemble", fail)
    with pytest.raises(RuntimeError, match="something else"):
        build_model(ModelConfig())
