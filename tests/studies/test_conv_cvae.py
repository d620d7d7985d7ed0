"""Sheet C's study: what it measures, on cases with known answers."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from vaelab import build_model, presets
from vaelab.applications.latent import Encoded
from vaelab.data.images import ImageData, Splits
from vaelab.distributions import DiagonalNormal
from vaelab.studies.conv_cvae import (
    PARTS,
    STUDY,
    draws,
    hand_cases,
    heads,
    labels,
    losses,
    networks,
    plane,
    report_model,
    report_space,
    spaces,
)
from vaelab.studies.conv_cvae.steps import OPTIONS, latent_runs, steps
from vaelab.studies.settings import Settings
from vaelab.studies.study import Measure, Train


def settings(**changes: Any) -> Settings:
    models = changes.pop("models", {})
    values = {name: option.quick for name, option in OPTIONS.items()} | changes
    return Settings(data="digits", quick=True, values=values, changes=models)


def noise(n: int = 64, classes: int = 2) -> ImageData:
    images = torch.randint(256, (n, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ImageData("noise", images, torch.arange(n) % classes, tuple("abcdefghij"[:classes]))


def test_every_row_of_the_sheet_has_a_section() -> None:
    assert [row for part in PARTS for row in part.rows] == [f"C{i}" for i in range(1, 21)]
    assert len({part.id for part in PARTS}) == len(PARTS)
    assert STUDY.sheet == "C"


@pytest.mark.parametrize("changes", [{}, {"seeds": 1, "latents": (2,)}, {"seeds": 4, "latents": (16, 4, 4)}])
def test_steps_come_after_those_they_need_and_no_training_is_done_twice(changes: dict[str, Any]) -> None:
    found = steps(settings(**changes))
    names = [step.name for step in found]
    assert len(set(names)) == len(names)
    for place, step in enumerate(found):
        assert set(step.needs) <= set(names[:place])
    trainings = [str(step.config) for step in found if isinstance(step, Train)]
    assert len(set(trainings)) == len(trainings)
    assert all(step.cost > 0 for step in found)


def test_the_sheets_protocol_is_the_default() -> None:
    values = {name: option.value for name, option in OPTIONS.items()}
    found = {step.name: step for step in steps(Settings(values=values))}
    for name in ("vae", "cvae", "vae-seed-1", "vae-seed-2", "vae-latent-16"):
        step = found[name]
        assert isinstance(step, Train)
        training = step.config.training
        assert (training.batch_size, training.epochs, training.lr, training.optimizer) == (32, 10, 1e-3, "adam")
        assert step.config.data.variant == "grey"
        assert step.config.model.latent == (16 if name.endswith("16") else 2)
    grid = found["plane"]
    assert isinstance(grid, Measure)
    assert (grid.options["cells"], grid.options["extent"]) == (31, 2.0)


def test_a_users_latent_size_is_the_studys_own() -> None:
    changed = settings(models={"vae": {"model": {"latent": 8}}}, latents=(4, 8))
    assert latent_runs(changed) == [(4, "vae-latent-4"), (8, "vae")]


# --- the model and its loss -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["conv-vae", "conv-cvae"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 8, 8), (3, 9, 13)])
def test_layers_are_read_from_the_model_and_are_the_sheets(preset: str, shape: tuple[int, int, int]) -> None:
    model = build_model(presets.get(preset).with_changes(model={"image_shape": list(shape)}).model)
    found = networks.describe(model)
    assert [row["layer"] for row in found["layers"]] == found["sheet"]
    assert sum(row["weights"] for row in found["layers"]) == found["parameters"]
    assert found["layers"][-1]["output"] == list(shape)


def test_another_network_is_not_taken_for_the_sheets() -> None:
    config = presets.get("conv-vae").with_changes(model={"encoder": "conv:channels=16/64"})
    found = networks.describe(build_model(config.model))
    assert [row["layer"] for row in found["layers"]] != found["sheet"]
    assert "differ from the sheet's" in report_model._verdict(found)
    table = report_model._table(found, "it")
    assert all(len(row) == len(table.columns) == 5 for row in table.rows)


def test_the_sheets_sizes() -> None:
    assert "linear 10→6272" in networks.sheet_layers((1, 28, 28), 2, 10)
    assert networks.sheet_layers((1, 28, 28), 2).count("linear 16→2") == 2


@pytest.mark.parametrize("case", hand_cases.CASES, ids=lambda case: case.what)
def test_the_objective_is_right_on_hand_cases(case: hand_cases.Case) -> None:
    found = hand_cases.check(case)
    assert found["found"] == pytest.approx(found["expected"], abs=5e-6)
    assert found["loss_is_the_sum"]


def test_the_least_kl_is_positive_and_near_the_smallest_possible() -> None:
    assert 0 < hand_cases.least_kl(300, 0) < 1e-4


def test_draws_pass_and_a_wrong_sampler_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    mean, log_variance = torch.tensor([0.0, 2.0]), torch.tensor([0.0, -3.0])
    assert draws.check_draws(mean, log_variance, 5000, 0)["p"] > 0.001
    assert draws.gradient_error(0) < 1e-5

    def variance_for_deviation(self: DiagonalNormal, samples: int = 1, generator: Any = None) -> Tensor:
        noise = torch.randn(samples, *self.mean.shape, generator=generator)
        return self.mean + (2 * self.log_std).exp() * noise

    monkeypatch.setattr(DiagonalNormal, "rsample", variance_for_deviation)
    assert draws.check_draws(mean, log_variance, 5000, 0)["p"] < 1e-6


def test_gradients_of_the_kl_are_the_formulas() -> None:
    for row in heads.gradients():
        assert row["by_sigma"] == pytest.approx(row["sigma"] - 1 / row["sigma"])
        assert row["by_log_variance"] == pytest.approx(0.5 * (row["sigma"] ** 2 - 1))


@pytest.mark.parametrize("head", heads.HEADS)
def test_a_standard_deviation_as_output_fails_and_positive_functions_of_it_do_not(head: str) -> None:
    config = presets.get("conv-vae").with_changes(model={"image_shape": [1, 8, 8]}, training={"batch_size": 16})
    data = noise()
    run: Any = SimpleNamespace(config=config, device=torch.device("cpu"), data=Splits(data, None, data))
    found = heads.train(run, head, 6, seed=0)
    fails = head in ("σ", "σ by ReLU")
    assert found["stopped"] == (1 if fails else None)
    assert len(found["losses"]) == (0 if fails else 6)
    assert 0 < found["not_positive"] < 1


# --- losses, plane, space ---------------------------------------------------------------------------------------------


def test_the_sheets_unit_counts_the_short_last_batch_as_a_full_one() -> None:
    nats = torch.full((10_000,), 155.9)
    assert losses.as_the_sheet(nats, 32) == pytest.approx(155.9 * 313 / 10_000)


def test_a_plane_whose_images_are_of_the_nearest_class() -> None:
    z = torch.cat([torch.randn(200, 2) * 0.1 - 1, torch.randn(200, 2) * 0.1 + 1])
    encoded = Encoded(z, labels=torch.arange(400) // 200, class_names=("a", "b"))
    places = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [-1.2, -1.0], [1.2, 1.0]])
    seen = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.9, 0.1]])
    found = plane.compare(encoded, places, torch.tensor([0.1, 0.1, 0.1, 2.0]).double(), seen)
    assert found["agreement"].value == 0.75
    assert found["area"] == [3, 1]
    assert sum(found["of_prior"]) == pytest.approx(1)
    assert (found["clear_cells"], found["border_cells"]) == (4, 0)
    assert "agreement_border" not in found


def test_the_variance_between_classes() -> None:
    same = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    number = torch.arange(1000) % 4
    assert spaces.between_all(same, number) < 0.02
    assert spaces.between_all(same * 0.01 + number[:, None], number) > 0.99


def test_a_turned_space_is_the_same_after_the_best_rotation() -> None:
    z = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.5])
    turn = math.radians(30)
    rotation = torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    found = spaces.pair(Encoded(z), Encoded(z @ rotation), "a", "b", 0)
    assert found["procrustes"]["value"] == pytest.approx(1, abs=1e-5)
    assert found["angle"] == pytest.approx(30, abs=0.1)
    assert not found["mirrored"]
    assert found["r2_plain"] < 0.9
    assert found["shuffled"] < 0.05
    mirrored = spaces.pair(Encoded(z), Encoded(z * torch.tensor([-1.0, 1.0])), "a", "b", 0)
    assert mirrored["mirrored"]
    assert mirrored["axes"] == pytest.approx(1, abs=1e-3)


def test_pairing_axes_does_not_use_one_twice() -> None:
    correlation = torch.tensor([[0.9, 0.8], [0.95, 0.1]])
    assert spaces.axes_match(correlation) == pytest.approx((0.8 + 0.95) / 2)
    assert spaces.axes_match(torch.eye(8)) == pytest.approx(1)


def test_neighbours_say_which_classes_mix() -> None:
    z = torch.tensor([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [5.1, 5.0]]).repeat(20, 1)
    encoded = Encoded(z, labels=torch.tensor([0, 1, 2, 2]).repeat(20), class_names=("a", "b", "c"))
    found = spaces.classes_of(encoded, encoded)
    assert found["neighbours"][2][2] == 1.0
    assert {pair[:2] for pair in report_space.mixtures(found)} <= {("a", "b"), ("b", "a")}
    assert found["majority"].value == 0.5


# --- labels -----------------------------------------------------------------------------------------------------------


def test_style_that_goes_with_the_source_is_kept_and_other_is_not() -> None:
    thick = torch.arange(2, 26, 2)
    images = torch.zeros(12, 3, 1, 28, 28)
    for i, width in enumerate(thick):
        images[i, ..., 2:26, 2 : 2 + int(width)] = 1.0
    number = torch.zeros(12, dtype=torch.int64)
    kept = labels.style_kept(images, images[:, 0], number, 0)["style"]
    assert kept["ink"]["kept"] == pytest.approx(1)
    assert kept["ink"]["source"] == pytest.approx(1)
    assert kept["ink"]["shuffled"] < 0.7
    apart = labels.style_kept(images, images[:, 0], torch.arange(12), 0)["style"]
    assert apart["ink"]["source"] == 0  # each source is a class of its own: nothing is left within


def test_a_judge_is_asked_for_new_old_and_own_labels() -> None:
    images = torch.arange(3.0)[None, :, None, None, None].expand(4, 3, 1, 8, 8) / 3  # label c is drawn as grey c/3

    class Judge:
        def log_probabilities(self, x: Tensor) -> Tensor:
            return torch.eye(3, dtype=torch.float64)[(x[:, 0, 0, 0] * 3).round().long()].log()

    found = labels.judged(Judge(), images, torch.tensor([0, 1, 2, 0]))  # type: ignore[arg-type]
    assert [found[name].value for name in ("judged_new", "judged_old", "judged_own")] == [1.0, 0.0, 1.0]


def test_a_search_lowers_the_loss_of_every_image() -> None:
    model = build_model(presets.get("conv-vae").with_changes(model={"image_shape": [1, 8, 8]}).model)
    x = noise(5).images.float() / 255
    start, end, first, last = labels.search(model, x, 20, 0, lambda done: None)  # type: ignore[arg-type]
    assert start.shape == end.shape == (5, 2)
    assert bool((last < first).all())
