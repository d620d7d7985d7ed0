"""Sheet B: what the study asks for, and the sheet's loss."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from vaelab.building import build_model, build_objective
from vaelab.config import ModelConfig
from vaelab.randomness import generator
from vaelab.studies.loss_terms import STUDY
from vaelab.studies.loss_terms.names import MODELS
from vaelab.studies.loss_terms.steps import objective
from vaelab.studies.loss_terms.weights import layers, sheet_loss
from vaelab.studies.settings import Settings
from vaelab.studies.study import Measure, Train

X = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
C = torch.arange(6) % 3


def settings(quick: bool = True, **changes: Any) -> Settings:
    values = {name: option.quick if quick else option.value for name, option in STUDY.options.items()}
    name = "digits" if quick else "mnist"
    return Settings(**{"data": name, "other": name, "quick": quick, "values": values} | changes)


def model(latent: int = 2):
    parts = {"encoder": "mlp:hidden=16/", "decoder": "mlp:hidden=16/", "image_shape": (1, 8, 8)}
    return build_model(ModelConfig(latent=latent, conditional=True, classes=3, **parts))


# --- the steps


def test_every_row_of_the_sheet_is_in_a_part():
    assert [row for part in STUDY.parts for row in part.rows] == ["B1", "B2", "B3", "B4", "B5", "B6"]


def test_the_protocol_is_the_sheets():
    trained = {step.name: step.config for step in STUDY.steps(settings(quick=False)) if isinstance(step, Train)}
    assert set(trained) == {*MODELS, "longest", "wide"}
    for name in MODELS:
        config = trained[name]
        assert (config.training.epochs, config.training.lr, config.training.optimizer) == (5, 1e-3, "adam")
        assert config.model.conditional == name.startswith("cvae")
        assert config.model.latent == 2
    assert trained["cvae-sheet"].training.objective == "elbo:beta=0.0001,per_pixel=true"
    assert trained["longest"].training.epochs > 5
    assert not trained["longest"].model.conditional


def test_models_that_are_compared_differ_in_the_loss_and_the_label_alone():
    trained = [step.config for step in STUDY.steps(settings()) if isinstance(step, Train) and step.name in MODELS]
    same = {str(one.with_changes(model={"conditional": True}, training={"objective": "elbo"})) for one in trained}
    assert len(same) == 1


def test_a_second_data_set_is_made_where_there_is_none():
    def against(other: str) -> str:
        steps = {step.name: step for step in STUDY.steps(settings(other=other))}
        assert "inverted" in steps["anomalies"].needs
        return str(steps["anomalies"].options["against"])

    assert against("fashion-mnist") == "fashion-mnist"
    assert against("digits") == ""


def test_steps_come_after_what_they_need():
    seen: set[str] = set()
    for step in STUDY.steps(settings()):
        assert set(step.needs) <= seen
        assert isinstance(step, Train | Measure)
        seen.add(step.name)


@pytest.mark.parametrize(("loss", "beta"), [("reconstruction", 0), ("both", 1), ("sheet", 0.0001 * 64)])
def test_the_weight_of_the_kl(loss, beta):
    assert build_objective(objective(loss, 0.0001), model()).weight(math.inf) == pytest.approx(beta)


# --- the sheet's loss


@pytest.mark.parametrize("latent", [1, 2, 5])
def test_the_sheets_loss_times_the_pixels_is_the_objective(latent):
    network = model(latent)
    theirs = sheet_loss(network, X, C, 0.01, generator(0, "cpu", "z"))
    ours = build_objective("elbo:beta=0.01,per_pixel=true", network)(network, X, C, generator=generator(0, "cpu", "z"))
    torch.testing.assert_close(64 * theirs, ours.loss)


def test_layers_show_where_the_label_goes():
    rows = layers(model())
    assert rows[0] == ["encoder", rows[0][1], "67 → 16"]
    assert ["decoder", "5 → 16"] in [[row[0], row[2]] for row in rows]
