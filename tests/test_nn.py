"""Sheet C's networks layer by layer (C1, C13), against a plain PyTorch reference; and what networks refuse."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vaelab import presets
from vaelab.building import build_model
from vaelab.errors import UsageError
from vaelab.layers import FromPlanes, ToPlanes
from vaelab.nn import DECODERS, ENCODERS, NetworkShape
from vaelab.specs import Spec
from vaelab.vae import VAE

C1_SHAPES = {
    "encoder.first.conv": (32, 1, 3, 3),
    "encoder.convolutions.1": (64, 32, 3, 3),
    "encoder.linear.0": (16, 3136),
    "posterior.mean": (2, 16),
    "posterior.spread": (2, 16),
    "decoder.first.linear": (3136, 2),
    "decoder.convolutions.0": (64, 32, 3, 3),
    "decoder.convolutions.2": (32, 1, 3, 3),
}
C1_BIASES = {
    "decoder.convolutions.0": 32,
    "decoder.convolutions.2": 1,
}  # transposed: the second dimension is the output
C1_COUNTS = {"encoder": 320 + 18_496 + 50_192, "posterior": 34 + 34, "decoder": 9_408 + 18_464 + 289}
C13_SHAPES = {"encoder.first.condition": (32 * 14 * 14, 10), "decoder.first.condition": (3136, 10)}
C13_COUNTS = {"encoder": C1_COUNTS["encoder"] + 68_992, "posterior": 68, "decoder": C1_COUNTS["decoder"] + 34_496}

LABELS = torch.tensor([3, 1, 4, 1])


def build(preset: str) -> VAE:
    model = build_model(presets.get(preset).model)
    assert isinstance(model, VAE)
    with torch.no_grad():  # biases away from 0, so that a missing one is seen
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    return model


def copied(layer: nn.Module, source: nn.Module) -> nn.Module:
    layer.load_state_dict(source.state_dict())
    return layer


@pytest.mark.parametrize(
    ("preset", "shapes", "counts"),
    [("conv-vae", C1_SHAPES, C1_COUNTS), ("conv-cvae", C1_SHAPES | C13_SHAPES, C13_COUNTS)],
)
def test_the_sheets_networks_have_exactly_these_parameters(preset, shapes, counts):
    model = build(preset)
    expected = {f"{name}.weight": shape for name, shape in shapes.items()}
    expected |= {f"{name}.bias": (C1_BIASES.get(name, shape[0]),) for name, shape in shapes.items()}
    assert {name: tuple(parameter.shape) for name, parameter in model.named_parameters()} == expected
    for part, count in counts.items():
        assert sum(parameter.numel() for parameter in model.get_submodule(part).parameters()) == count


def by_channels(layer: FromPlanes | ToPlanes) -> nn.Linear:
    """The sheet's linear layer, whose planes are flattened channel by channel; the package's are place by place."""
    plain = copied(nn.Linear(layer.in_features, layer.out_features), layer)
    channels, height, width = layer.planes
    with torch.no_grad():
        if isinstance(layer, FromPlanes):
            plain.weight.copy_(layer.weight.unflatten(1, (height, width, channels)).permute(0, 3, 1, 2).flatten(1))
        else:
            weight = layer.weight.unflatten(0, (height, width, channels)).permute(2, 0, 1, 3)
            plain.weight.copy_(weight.flatten(0, 2))
            plain.bias.copy_(layer.bias.view(height, width, channels).permute(2, 0, 1).flatten())
    return plain


class Reference(nn.Module):
    """C1 and C13 written down from the sheet, without the package's building blocks."""

    def __init__(self, model: VAE, conditional: bool) -> None:
        super().__init__()
        encoder, decoder = model.encoder, model.decoder
        self.first = copied(nn.Conv2d(1, 32, 3, stride=2, padding=1), encoder.first.conv)
        self.after = nn.Sequential(
            nn.ReLU(),
            copied(nn.Conv2d(32, 64, 3, stride=2, padding=1), encoder.convolutions[1]),
            nn.ReLU(),
            nn.Flatten(),
            by_channels(encoder.linear[0]),
            nn.ReLU(),
        )
        self.mean = copied(nn.Linear(16, 2), model.posterior.mean)
        self.log_variance = copied(nn.Linear(16, 2), model.posterior.spread)
        self.from_latent = by_channels(decoder.first.linear)
        self.up = nn.Sequential(
            nn.Unflatten(1, (64, 7, 7)),
            nn.ReLU(),
            copied(nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1), decoder.convolutions[0]),
            nn.ReLU(),
            copied(nn.ConvTranspose2d(32, 1, 3, stride=2, padding=1, output_padding=1), decoder.convolutions[2]),
            nn.Sigmoid(),
        )
        if conditional:
            self.label_to_image = by_channels(encoder.first.condition)
            self.label_to_latent = by_channels(decoder.first.condition)
        self.conditional = conditional

    def encode(self, x: Tensor, one_hot: Tensor) -> tuple[Tensor, Tensor]:
        h = self.first(x)
        if self.conditional:
            h = h + self.label_to_image(one_hot).reshape(-1, 32, 14, 14)
        features = self.after(h)
        return self.mean(features), self.log_variance(features)

    def decode(self, z: Tensor, one_hot: Tensor) -> Tensor:
        h = self.from_latent(z)
        if self.conditional:
            h = h + self.label_to_latent(one_hot)
        return self.up(h)


@pytest.mark.parametrize(("preset", "conditional"), [("conv-vae", False), ("conv-cvae", True)])
def test_the_sheets_networks_compute_what_a_plain_reference_computes(preset, conditional):
    torch.manual_seed(0)
    model = build(preset)
    reference, c = Reference(model, conditional), LABELS if conditional else None
    one_hot = nn.functional.one_hot(LABELS, 10).float()
    x, z = torch.rand(4, 1, 28, 28), torch.randn(4, 2)
    mean, log_variance = reference.encode(x, one_hot)
    qz = model.encode(x, c)
    torch.testing.assert_close(qz.mean, mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(2 * qz.log_std, log_variance, atol=2e-3, rtol=0)  # softly bounded
    torch.testing.assert_close(model.decode(z, c).mean, reference.decode(z, one_hot), atol=1e-5, rtol=1e-5)


def test_sheet_ds_networks_halve_twice_and_come_back():
    model = build("gaussian-vae")
    assert model.encoder.convolutions(model.encoder.first(torch.rand(2, 1, 28, 28), None)).shape == (2, 32, 7, 7)
    strides = [layer.stride for layer in model.encoder.modules() if isinstance(layer, nn.Conv2d)]
    assert strides == [(2, 2), (2, 2), (1, 1)]
    assert sum(isinstance(layer, nn.Linear) for layer in model.encoder.modules()) == 2
    assert sum(isinstance(layer, nn.Linear) for layer in model.decoder.modules()) == 3
    assert model.decode(torch.randn(2, model.latent)).mean.shape == (2, 1, 28, 28)


def test_a_concatenated_condition_is_planes_beside_the_image():
    shape = NetworkShape((1, 8, 8), latent=2, classes=3)
    encoder = ENCODERS.build(Spec("conv"), shape)
    x, c = torch.rand(2, 1, 8, 8), torch.eye(3)[[2, 0]]
    planes = torch.zeros(2, 3, 8, 8)
    planes[0, 2] = planes[1, 0] = 1
    torch.testing.assert_close(encoder.first(x, c), encoder.first.conv(torch.cat([x, planes], dim=1)))


def test_residual_blocks_do_not_erase_what_is_in_a_single_pixel():
    encoder = ENCODERS.build(Spec.parse("residual:channels=8/8/8,hidden=16"), NetworkShape((1, 8, 8), latent=2))
    features = encoder(torch.rand(2, 1, 8, 8), None)
    assert not torch.allclose(features[0], features[1], atol=1e-6)


@pytest.mark.parametrize(
    ("registry", "spec", "sentence"),
    [
        (ENCODERS, "mlp:hidden=0", "whole numbers ≥ 1, got 0"),
        (ENCODERS, "mlp:hidden=/", "expected at least one hidden layer"),
        (ENCODERS, "conv:channels=4", "expected one stride for each of the channels, got 1 and 2"),
        (ENCODERS, "conv:channels=4/4,strides=2/3", "expected strides of 1 or 2, got 2/3"),
        (ENCODERS, "conv:chanels=4", "did you mean channels"),
        (ENCODERS, "linear:hidden=3", "it has no options"),
        (ENCODERS, "residual:channels=/", "whole numbers ≥ 2, got none"),
        (ENCODERS, "residual:blocks=0", "whole numbers ≥ 1"),
        (DECODERS, "conv:channels=-4/4", "whole numbers ≥ 1, got -4/4"),
        (DECODERS, "residual:channels=1/4", "whole numbers ≥ 2, got 1/4"),
        (DECODERS, "residual:hidden=1.5", "expected a value like 128, got 1.5"),
        (DECODERS, "cnv", "did you mean conv"),
    ],
)
def test_wrong_networks_are_refused_in_one_sentence(registry, spec, sentence):
    with pytest.raises(UsageError) as caught:
        registry.build(Spec.parse(spec), NetworkShape((1, 8, 8), latent=2))
    assert sentence in str(caught.value)
