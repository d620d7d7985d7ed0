"""The networks as they are built (C1, C13): every layer of a model with its output and weights, beside the sheet's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from vaelab.likelihoods import BernoulliLikelihood
from vaelab.studies.context import Context
from vaelab.studies.layers import layers, sides
from vaelab.vae import VAE

RELU, SIGMOID = "ReLU", "sigmoid"


def measure(ctx: Context) -> Mapping[str, Any]:
    """Layers of both models, and those that the sheet asks for."""
    return {name: describe(_vae(ctx.run(name).model)) for name in ("vae", "cvae")}


def describe(model: VAE) -> dict[str, Any]:
    """``layers``: rows of `layers` and the pixels' sigmoid; ``sheet``: its words for this size; ``parameters``: all."""
    found = layers(model)
    if isinstance(model.likelihood, BernoulliLikelihood):
        found.append({"part": "decoder", "layer": SIGMOID, "output": list(model.image_shape), "weights": 0})
    return {
        "layers": found,
        "sheet": sheet_layers(model.image_shape, model.latent, model.classes),
        "image": list(model.image_shape),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


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
        f"transposed convolution 64→32, 3×3, stride 2, padding 1, output padding {sides(pads[0])}",
        RELU,
        f"transposed convolution 32→{channels}, 3×3, stride 2, padding 1, output padding {sides(pads[1])}",
        SIGMOID,
    ]


def _vae(model: Any) -> VAE:
    assert isinstance(model, VAE)
    return model
