"""Recipes: settings of the training that reach a model's quality sooner than the preset's own.

A preset says what a sheet asks for; a recipe changes how it is trained, never what is trained. Everything it changes
stands in the run's configuration, under the keys that it changes, beside the recipe's name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from vaelab.config import RunConfig
from vaelab.errors import UsageError
from vaelab.specs import choice


@dataclass(frozen=True)
class Recipe:
    """``about``: a sentence. ``presets``: what it was tuned for. ``training``: keys of `TrainingConfig` it sets."""

    about: str
    presets: tuple[str, ...]
    training: Mapping[str, Any]


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        # Each value's gain, on held-out training images, is in docs/performance.md.
        "fast": Recipe(
            "Sheet C's networks in two epochs instead of ten: Muon's orthogonalised steps, far and then ever shorter.",
            ("conv-vae", "conv-cvae"),
            MappingProxyType(
                {
                    "epochs": 2,
                    "batch_size": 128,
                    "optimizer": "muon",
                    "schedule": "linear",
                    "lr": 0.05,
                    "beta2": 0.95,
                    "average": 0.0,
                }
            ),
        )
    }
)


def apply(config: RunConfig, name: str) -> RunConfig:
    """``config`` with the settings of the recipe ``name``; `UsageError` for an unknown one or another preset's.

    >>> from vaelab import presets
    >>> apply(presets.get("conv-vae"), "fast").training.schedule
    'linear'
    """
    choice("recipe", name, tuple(RECIPES))
    recipe = RECIPES[name]
    if config.preset not in recipe.presets:
        raise UsageError(
            f"the recipe {name} is tuned for the presets {', '.join(recipe.presets)}, not for "
            f"{config.preset or 'a configuration of your own'}; leave it out or choose one of them"
        )
    return dataclasses.replace(config.with_changes(training=recipe.training), recipe=name)
