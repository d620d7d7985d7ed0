"""The networks as they are built (C1, C13): every layer of a model with its output and weights, beside the sheet's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from vaelab.likelihoods import BernoulliLikelihood
from vaelab.studies.context import Context
from vaelab.vae import VAE

RELU, SIGMOID = "ReLU", "sigmoid"


def measure(ctx: Context) -> Mapping[str, Any]:
    """Layers of both models, and those that the sheet asks for."""
    return {name: describe(_vae(ctx.run(name).model)) for name in ("vae", "cvae")}


def describe(model: VAE) -> dict[str, Any]:
    """``layers``: rows of `layers`; ``sheet``: words of the sheet for this size; ``parameters``: of the whole model."""
    found = layers(model)
    return {
        "layers": found,
        "sheet": sheet_layers(model.image_shape, model.latent, model.classes),
        "image": list(model.image_shape),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


@torch.no_grad()
def layers(model: VAE) -> list[dict[str, Any]]:
    """Every layer in the order in which one image passes it: part, what it is, output shape, number of weights."""
    found: list[dict[str, Any]] = []
    handles = []
    for name, module in model.named_modules():
        if not list(module.children()) and words(module):
            handles.append(module.register_forward_hook(_note(found, name.partition(".")[0])))
    device = next(model.parameters()).device
    c = torch.zeros(1, dtype=torch.int64, device=device) if model.classes else None
    try:
        qz = model.encode(torch.zeros(1, *model.image_shape, device=device), c)
        px = model.decode(qz.mean, c)
    finally:
        for handle in handles:
            handle.remove()
    if isinstance(model.likelihood, BernoulliLikelihood):
        found.append({"part": "decoder", "layer": SIGMOID, "output": list(px.mean.shape[1:]), "weights": 0})
    return found


def _note(found: list[dict[str, Any]], part: str) -> Any:
    def note(module: nn.Module, inputs: Any, output: Tensor) -> None:
        weights = sum(parameter.numel() for parameter in module.parameters())
        found.append({"part": part, "layer": words(module), "output": list(output.shape[1:]), "weights": weights})

    return note


def words(module: nn.Module) -> str:
    """What a layer is: ``convolution 1→32, 3×3, stride 2, padding 1``; nothing for what is no layer.

    >>> words(nn.Linear(3136, 16)), words(nn.Conv2d(1, 32, 3, stride=2, padding=1))
    ('linear 3136→16', 'convolution 1→32, 3×3, stride 2, padding 1')
    """
    if isinstance(module, nn.Linear):
        return f"linear {module.in_features}→{module.out_features}"
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        kind = "transposed convolution" if isinstance(module, nn.ConvTranspose2d) else "convolution"
        sizes = f"{module.in_channels}→{module.out_channels}, {'×'.join(map(str, module.kernel_size))}"
        rest = f"stride {_one(module.stride)}, padding {_one(module.padding)}"
        more = f", output padding {_one(module.output_padding)}" if isinstance(module, nn.ConvTranspose2d) else ""
        return f"{kind} {sizes}, {rest}{more}"
    return RELU if isinstance(module, nn.ReLU) else ""


def _one(value: Sequence[int] | str) -> str:
    """``2`` of (2, 2), ``2×1`` of (2, 1)."""
    return value if isinstance(value, str) else "×".join(str(part) for part in dict.fromkeys(value))


def sheet_layers(image: Sequence[int], latent: int, classes: int = 0) -> list[str]:
    """The sheet's layers in words; sizes of other images than 28×28 follow from the same rule (a stride halves, up).

    >>> sheet_layers((1, 28, 28), 2)[4], sheet_layers((1, 28, 28), 2, 10)[1]
    ('linear 3136→16', 'linear 10→6272')
    """
    channels, *size = image
    half = [-(-side // 2) for side in size]
    quarter = [-(-side // 2) for side in half]
    flat = 64 * prod(quarter)
    label = [f"linear {classes}→{32 * prod(half)}"] if classes else []
    label_of_z = [f"linear {classes}→{flat}"] if classes else []
    pads = [
        [after - 2 * before + 1 for before, after in zip(*pair, strict=True)]
        for pair in ((quarter, half), (half, size))
    ]
    return [
        f"convolution {channels}→32, 3×3, stride 2, padding 1",
        *label,
        RELU,
        "convolution 32→64, 3×3, stride 2, padding 1",
        RELU,
        f"linear {flat}→16",
        RELU,
        f"linear 16→{latent}",
        f"linear 16→{latent}",
        f"linear {latent}→{flat}",
        *label_of_z,
        RELU,
        f"transposed convolution 64→32, 3×3, stride 2, padding 1, output padding {_one(pads[0])}",
        RELU,
        f"transposed convolution 32→{channels}, 3×3, stride 2, padding 1, output padding {_one(pads[1])}",
        SIGMOID,
    ]


def _vae(model: Any) -> VAE:
    assert isinstance(model, VAE)
    return model
