"""The networks as they are built (D2): every layer with its output and weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vaelab.studies.context import Context
from vaelab.vae import VAE

_PARTS = {"encoder": "encoder", "posterior": "posterior", "decoder": "decoder"}


def measure(ctx: Context) -> Mapping[str, Any]:
    """Layers, number of weights, and the counts that the sheet asks for."""
    model = ctx.run("vae").model
    assert isinstance(model, VAE)
    found = layers(model)
    parts = {part: [row for row in found if row["part"] == part] for part in _PARTS}
    return {
        "layers": found,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "learned_in_prior": sum(parameter.numel() for parameter in model.prior.parameters()),
        "learned_in_likelihood": sum(parameter.numel() for parameter in model.likelihood.parameters()),
        "counts": {
            part: {kind: _count(rows, kind) for kind in ("convolution", "linear")} for part, rows in parts.items()
        },
        "strided": {part: sum(row["stride"] == 2 for row in rows) for part, rows in parts.items()},
        "output": list(model.sample(1).shape[1:]),
        "image": list(model.image_shape),
    }


@torch.no_grad()
def layers(model: VAE) -> list[dict[str, Any]]:
    """Every layer in the order in which one image passes it: part, words, stride, output shape, number of weights."""
    found: list[dict[str, Any]] = []
    handles = []
    for name, module in model.named_modules():
        part = name.partition(".")[0]
        if not list(module.children()) and part in _PARTS:
            handles.append(module.register_forward_hook(_note(found, part)))
    device = next(model.parameters()).device
    try:
        qz = model.encode(torch.zeros(1, *model.image_shape, device=device))
        model.decode(qz.mean)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _note(found: list[dict[str, Any]], part: str) -> Any:
    def note(module: nn.Module, inputs: Any, output: Tensor) -> None:
        stride = module.stride[0] if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) else 0
        weights = sum(parameter.numel() for parameter in module.parameters())
        shape = list(output.shape[1:])
        found.append({"part": part, "layer": words(module), "stride": stride, "output": shape, "weights": weights})

    return note


def words(module: nn.Module) -> str:
    """What a layer is.

    >>> words(nn.Linear(3136, 16)), words(nn.Conv2d(1, 32, 3, stride=2, padding=1)), words(nn.ReLU())
    ('linear 3136→16', 'convolution 1→32, 3×3, stride 2', 'ReLU')
    """
    if isinstance(module, nn.Linear):
        return f"linear {module.in_features}→{module.out_features}"
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        kind = "transposed convolution" if isinstance(module, nn.ConvTranspose2d) else "convolution"
        size = "×".join(map(str, module.kernel_size))
        return f"{kind} {module.in_channels}→{module.out_channels}, {size}, stride {module.stride[0]}"
    return type(module).__name__


def _count(rows: list[dict[str, Any]], kind: str) -> int:
    return sum(f"{kind} " in row["layer"] for row in rows)
