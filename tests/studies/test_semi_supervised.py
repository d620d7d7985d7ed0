"""Sheet E's study: its steps, and its measuring functions on small cases."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from vaelab import build_model, presets
from vaelab.applications.latent import Encoded
from vaelab.data.images import ImageData
from vaelab.metrics import Metric
from vaelab.pictures import PictureOptions
from vaelab.randomness import generator
from vaelab.studies import get
from vaelab.studies.asking import Asked, settings_of
from vaelab.studies.judging import judged
from vaelab.studies.semi_supervised import (
    few_labels,
    planes,
    representations,
    terms,
)
from vaelab.studies.semi_supervised.sections_terms import _layers
from vaelab.studies.semi_supervised.steps import OPTIONS, steps
from vaelab.studies.study import Measure, Train
from vaelab.vae import VAE

STUDY = get("semi-supervised")


# --- steps ------------------------------------------------------------------------------------------------------------


def test_every_row_of_the_sheet_has_a_section() -> None:
    rows = {row for part in STUDY.parts for row in part.rows}
    assert rows == {f"E{place}" for place in range(1, 15)}


@pytest.mark.parametrize("quick", [False, True])
def test_steps_need_what_comes_before_them(quick: bool) -> None:
    done: set[str] = set()
    for step in steps(settings_of(STUDY, Asked(quick=quick))):
        assert set(step.needs) <= done
        done.add(step.name)


def test_the_sheets_protocol_is_the_default() -> None:
    trained = {step.name: step.config for step in steps(settings_of(STUDY, Asked())) if isinstance(step, Train)}
    for name, likelihood in (("bernoulli", "bernoulli"), ("gaussian", "normal:std=0.2")):
        config = trained[name]
        assert (config.data.name, config.model.latent, config.model.likelihood) == ("mnist", 2, likelihood)
        assert (config.training.epochs, config.training.batch_size) == (50, 100)
    vae, denoising = trained["vae"], trained["denoising"]
    assert vae.data.name == denoising.data.name == "fashion-mnist"
    assert (vae.model.encoder, vae.model.decoder) == (denoising.model.encoder, denoising.model.decoder)
    assert denoising.model.kind == "autoencoder"
    assert denoising.training.corruption != "none"
    assert vae.model.latent == denoising.model.latent > 2


def test_options_reach_the_models() -> None:
    asked = Asked(assignments=["epochs=3", "sigma=0.1", "hidden=40", "labels=10/20"])
    found = {step.name: step for step in steps(settings_of(STUDY, asked))}
    gaussian, measured = found["gaussian"], found["few-labels"]
    assert isinstance(gaussian, Train)
    assert isinstance(measured, Measure)
    assert gaussian.config.model.likelihood == "normal:std=0.1"
    assert gaussian.config.model.encoder == "mlp:hidden=40/"
    assert gaussian.config.training.epochs == 3
    assert measured.options["labels"] == (10, 20)
    build_model(gaussian.config.model)


def test_all_labels_are_among_the_default_numbers() -> None:
    labels = OPTIONS["labels"].value
    assert isinstance(labels, tuple)
    assert 0 in labels
    assert len(labels) >= 3
    assert few_labels.counts(labels, 60_000)[-1] == 60_000


# --- E3–E7 ------------------------------------------------------------------------------------------------------------


def test_hand_cases_cover_the_three_terms_and_agree() -> None:
    cases = terms.hand_cases()
    assert {case.term for case in cases} == {"Bernoulli", "Gaussian", "KL"}
    for case in cases:
        assert case.found == pytest.approx(case.expected, abs=1e-7)


def test_binary_images_have_total_probability_one() -> None:
    assert terms._every_binary_image() == pytest.approx(1)


def test_gradients_by_sigma_and_by_the_log_variance() -> None:
    spread = {"least": 0.02, "middle": 0.1, "largest": 0.8}
    for row in terms.gradients([spread]):
        sigma = row["sigma"]
        assert row["by_sigma"] == pytest.approx(sigma - 1 / sigma)
        assert row["by_v"] == pytest.approx(0.5 * (sigma**2 - 1))
        assert row["after_sigma"] == pytest.approx(sigma - 0.1 * (sigma - 1 / sigma))
        assert 2 * math.log(row["after_v"]) == pytest.approx(2 * math.log(sigma) - 0.1 * row["by_v"])


def test_kl_by_draws_is_within_its_error() -> None:
    found = terms.kl_by_draws(seed=0)
    assert abs(found["mean"] - found["closed"]) < 4 * found["error"]


@pytest.fixture(scope="module")
def model() -> VAE:
    found = build_model(replace(presets.get("digits-vae").model, image_shape=(1, 8, 8)))
    assert isinstance(found, VAE)
    return found


def test_the_layer_lets_the_gradient_through(model: VAE) -> None:
    found = terms.layer(model, torch.rand(6, 1, 8, 8, generator=generator(0)), seed=0)
    assert found["mean_error"] < 1e-6
    assert found["v_error"] < 1e-6
    assert found["gradient"] > 0
    assert found["detached"] == 0


def test_written_out_losses_agree(model: VAE) -> None:
    found = terms._written_out(model, torch.rand(6, 1, 8, 8, generator=generator(0)), seed=0)
    assert found["reconstruction_difference"] < 1e-4
    assert found["kl_difference"] < 1e-5


def test_layers_are_named_in_order() -> None:
    names = ["encoder.a", "encoder.b", "posterior.mean", "posterior.spread", "decoder.a", "decoder.b"]
    weights = dict.fromkeys(names, 1)
    assert _layers(weights) == [
        "encoder, hidden layer 1",
        "encoder, hidden layer 2",
        "encoder, head of the mean μ",
        "encoder, head of the log-variance v",
        "decoder, hidden layer 1",
        "decoder, output η",
    ]


# --- E8–E10 -----------------------------------------------------------------------------------------------------------


def test_curves_of_a_history() -> None:
    history: dict[str, list[Any]] = {
        "split": ["train", "test", "train", "test", "train", "test"],
        "epoch": [1, 1, 2, 2, 3, 3],
        "negative_elbo": [9.0, 8.0, 7.0, 5.0, 6.0, 5.5],
    }
    found = planes.curves(history)
    assert found["epochs"] == 3
    assert (found["first"], found["last"], found["train"]) == (8.0, 5.5, 6.0)
    assert (found["best"], found["best_epoch"]) == (5.0, 2)
    assert (found["middle"], found["middle_epoch"]) == (5.0, 2)


def test_neighbours_count_known_labels_alone() -> None:
    means = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1]])
    encoded = Encoded(means, labels=torch.tensor([0, 1, -1]), class_names=("a", "b"))
    assert planes.neighbours(encoded, torch.zeros(1, 2)).tolist() == [[0.5, 0.5]]


def test_faint_share_of_an_empty_image_is_none() -> None:
    assert planes.faint_share(torch.zeros(2, 1, 8, 8))["value"] == 0


def test_judged_classes() -> None:
    one = torch.tensor([[1.0, 0.0]]).repeat(4, 1)
    assert judged(one, "")["classes"].value == pytest.approx(1)


# --- E11, E12 ---------------------------------------------------------------------------------------------------------


def test_fitted_normal_has_the_codes_moments() -> None:
    source = generator(0)
    codes = (
        torch.randn(5000, 3, generator=source) @ torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.1]]) + 3
    )
    drawn = representations.fitted_normal(codes, torch.randn(5000, 3, generator=source))
    assert torch.allclose(drawn.mean(0), codes.mean(0), atol=0.1)
    assert torch.allclose(torch.cov(drawn.T), torch.cov(codes.T), atol=0.3)


def test_fitted_normal_of_one_dimension() -> None:
    codes = torch.tensor([[0.0], [2.0]])
    assert representations.fitted_normal(codes, torch.ones(1, 1)).abs().item() == pytest.approx(1 + math.sqrt(2), abs=2)


def test_statistics_of_normal_codes() -> None:
    z = torch.randn(2000, 4, generator=generator(0))
    found = representations.statistics(Encoded(z, torch.zeros(2000, 4), z), seed=0)
    assert found["kind"] == "draws"
    assert found["energy"]["distance"] < found["energy"]["critical"] * 3
    assert found["normal_length"] == pytest.approx(Metric.from_json(found["length"]).value, abs=0.1)


def test_one_of_each_takes_the_classes_in_turn() -> None:
    images = torch.zeros(12, 1, 8, 8, dtype=torch.uint8)
    data = ImageData("made up", images, torch.arange(12) % 3, ("a", "b", "c"))
    chosen = representations.one_of_each(data, PictureOptions(count=3))
    assert data.labels is not None
    assert data.labels[chosen].tolist() == [0, 1, 2]


# --- E13 --------------------------------------------------------------------------------------------------------------


def test_counts_leave_out_what_the_data_does_not_have() -> None:
    assert few_labels.counts((100, 5000, 0), 60_000) == (100, 5000, 60_000)
    assert few_labels.counts((100, 500), 90) == (90,)
