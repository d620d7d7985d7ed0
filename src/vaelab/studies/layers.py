"""A measurement of any study: the layers of a model as they are built, with their outputs and numbers of weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vaelab.vae import VAE

PARTS = ("encoder", "posterior", "decoder")


@torch.no_grad()
def layers(model: VAE) -> list[dict[str, Any]]:
    """Every layer in the order in which one image passes it.

    Rows of: part, layer (`words`), stride (0 where there is none), output (shape of one image's), weights.
    """
    found: list[dict[str, Any]] = []
    handles = []
    for name, module in model.named_modules():
        part = name.partition(".")[0]
        if part in PARTS and not list(module.children()) and words(module):
            handles.append(module.register_forward_hook(_note(found, part)))
    device = next(model.parameters()).device
    c = torch.zeros(1, dtype=torch.int64, device=device) if model.classes else None
    try:
        qz = model.encode(torch.zeros(1, *model.image_shape, device=device), c)
        model.decode(qz.mean, c)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _note(found: list[dict[str, Any]], part: str) -> Callable[[nn.Module, Any, Tensor], None]:
    def note(module: nn.Module, inputs: Any, output: Tensor) -> None:
        found.append(
            {
                "part": part,
                "layer": words(module),
                "stride": module.stride[0] if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) else 0,
                "output": list(output.shape[1:]),
                "weights": sum(parameter.numel() for parameter in module.parameters()),
            }
        )

    return note


def words(module: nn.Module) -> str:
    """What a layer is: ``convolution 1→32, 3×3, stride 2, padding 1``; nothing for what only changes a shape.

    >>> words(nn.Linear(3136, 16)), words(nn.Conv2d(1, 32, 3, stride=2, padding=1)), words(nn.ReLU())
    ('linear 3136→16', 'convolution 1→32, 3×3, stride 2, padding 1', 'ReLU')
    """
    if isinstance(module, nn.Linear):
        return f"linear {module.in_features}→{module.out_features}"
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        kind = "transposed convolution" if isinstance(module, nn.ConvTranspose2d) else "convolution"
        sizes = f"{module.in_channels}→{module.out_channels}, {'×'.join(map(str, module.kernel_size))}"
        rest = f"stride {sides(module.stride)}, padding {sides(module.padding)}"
        more = f", output padding {sides(module.output_padding)}" if isinstance(module, nn.ConvTranspose2d) else ""
        return f"{kind} {sizes}, {rest}{more}"
    return "" if isinstance(module, nn.Flatten | nn.Unflatten | nn.Identity) else type(module).__name__


def sides(value: Sequence[int] | str) -> str:
    """``2`` of (2, 2), ``2×1`` of (2, 1): what a convolution has along each side.

    >>> sides((2, 2)), sides((2, 1)), sides("same")
    ('2', '2×1', 'same')
    """
    return value if isinstance(value, str) else "×".join(str(part) for part in dict.fromkeys(value))
