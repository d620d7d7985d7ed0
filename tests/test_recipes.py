"""A recipe changes how a model is trained, says so in the configuration, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import vaelab
from vaelab import presets, recipes
from vaelab.cli.train import configuration
from vaelab.config import RunConfig, check
from vaelab.errors import UsageError


@pytest.mark.parametrize("name", sorted(recipes.RECIPES))
def test_contract(name: str) -> None:
    recipe = recipes.RECIPES[name]
    assert recipe.about.endswith(".")
    for preset in recipe.presets:
        before, after = presets.get(preset), recipes.apply(presets.get(preset), name)
        assert (after.data, after.model, after.preset) == (before.data, before.model, preset)
        assert after.recipe == name
        assert after.training != before.training
        check(after)
        assert RunConfig.from_dict(after.to_dict()) == after


def test_what_it_was_not_tuned_for_is_refused() -> None:
    with pytest.raises(UsageError, match="tuned for the presets conv-vae, conv-cvae, not for mlp-vae"):
        recipes.apply(presets.get("mlp-vae"), "fast")
    with pytest.raises(UsageError, match="not for a configuration of your own"):
        recipes.apply(RunConfig(), "fast")
    with pytest.raises(UsageError, match="recipe"):
        recipes.apply(presets.get("conv-vae"), "faster")


def test_flags_win_over_the_file_that_over_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('preset = "conv-vae"\nrecipe = "fast"\n[training]\nlr = 0.005\nepochs = 4\n')
    chosen = configuration(None, file, {"training": {"epochs": 5}})
    assert (chosen.recipe, chosen.training.schedule) == ("fast", "linear")
    assert (chosen.training.lr, chosen.training.epochs) == (0.005, 5)
    assert (
        configuration("conv-cvae", None, {}, "fast").training
        == recipes.apply(presets.get("conv-cvae"), "fast").training
    )


def test_it_stands_in_the_run(tmp_path: Path) -> None:
    images = tmp_path / "few.npz"
    import numpy as np

    pixels = np.random.default_rng(0).integers(0, 256, (200, 8, 8), dtype=np.uint8)
    np.savez(images, images=pixels, labels=np.arange(200) % 2)
    run = vaelab.train("conv-vae", recipe="fast", data=str(images), out=tmp_path / "run", training={"epochs": 1})
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert written["recipe"] == "fast"
    assert written["training"]["schedule"] == "linear"
    assert run.config.training.epochs == 1
