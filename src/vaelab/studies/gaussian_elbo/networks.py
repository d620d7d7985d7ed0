"""The networks as they are built (D2): every layer with its output and weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaelab.studies.context import Context
from vaelab.studies.layers import PARTS, layers
from vaelab.vae import VAE


def measure(ctx: Context) -> Mapping[str, Any]:
    """Layers, number of weights, and the counts that the sheet asks for."""
    model = ctx.run("vae").model
    assert isinstance(model, VAE)
    found = layers(model)
    parts = {part: [row for row in found if row["part"] == part] for part in PARTS}
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


def _count(rows: list[dict[str, Any]], kind: str) -> int:
    return sum(f"{kind} " in row["layer"] for row in rows)
