"""Sheet E: its sentences follow the numbers, whatever these are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vaelab import presets
from vaelab.applications.representations import Summary
from vaelab.metrics import Metric
from vaelab.studies.semi_supervised import (
    few_labels,
    sections_labels,
    sections_learned,
    sections_planes,
    sections_training,
)
from vaelab.studies.semi_supervised import summary as head
from vaelab.studies.semi_supervised.steps import PLANES
from vaelab.studies.semi_supervised.words import number, part, share, small
from vaelab.studies.words import apart, counted, listed
from vaelab.tasks.semi_supervised import summaries_json


def metric(value: float, error: float | None = 0.01, n: int = 100) -> dict[str, Any]:
    return Metric(value, error, "share of images", n, "made up").to_json()


def summary(representation: str, method: str, labels: int, *accuracies: float) -> Summary:
    mean = sum(accuracies) / len(accuracies)
    spread = torch.tensor(accuracies).std().item() if len(accuracies) > 1 else None
    seeds = tuple(range(len(accuracies)))
    return Summary(
        representation, method, labels, "stratified", mean, spread, 0.004, 10_000, len(seeds), seeds, accuracies
    )


# --- E8


def course(late: float, *, best: int = 50, epochs: int = 50) -> dict[str, Any]:
    return {"epochs": epochs, "first": 170.0, "middle": 140.0 + late, "middle_epoch": 25, "last": 140.0, "best": 140.0,
            "best_epoch": best, "train": 139.0}  # fmt: skip


@pytest.mark.parametrize(
    ("late", "says"),
    [
        ((0.5, 1.0), "Yes: the second half of the epochs still brought 0.50 ± 0.70 nats to the Bernoulli VAE"),
        ((3.0, 9.0), "No: the second half of the epochs still brought 3.00 ± 0.70 nats to the Bernoulli VAE"),
        ((0.5, 9.0), "For the Bernoulli VAE yes, for the Gaussian VAE no:"),
        ((-0.3, -0.1), "Yes: the second half of the epochs still brought −0.30 ± 0.70 nats"),
    ],
)
def test_whether_the_epochs_were_enough(late: tuple[float, float], says: str) -> None:
    curves = dict(zip(PLANES, map(course, late), strict=True))
    text = sections_training.enough(curves, dict.fromkeys(PLANES, 0.7))
    assert text.startswith(says)
    assert ("the best epoch was the last" in text) == (max(late) > 1.4)


def test_an_early_best_epoch_is_not_called_the_last() -> None:
    curves = {name: course(3.0, best=40) for name in PLANES}
    assert "though the best epoch was not the last" in sections_training.enough(curves, dict.fromkeys(PLANES, 0.7))
    once = {name: course(0.0, epochs=1) for name in PLANES}
    assert sections_training.enough(once, dict.fromkeys(PLANES, 0.7)) == "After one epoch that cannot be said."


# --- E10


@pytest.mark.parametrize(
    ("confidence", "faint", "words"),
    [
        (0.5, 0.9, "blends"),
        (0.5, 0.5, "not clearly fainter"),
        (0.8, 0.9, "not clearly less like a class"),
        (0.8, 0.5, "no clear difference"),
    ],
)
def test_what_lies_in_the_gaps_follows_from_the_numbers(confidence: float, faint: float, words: str) -> None:
    values = {
        "samples": {"confidence": metric(0.8)},
        "grey": {"rebuilt": metric(0.5)},
        "gaps": {"judged": {"confidence": metric(confidence), "confident": metric(0.2, n=10)}, "grey": metric(faint)},
    }
    assert words in sections_planes._blends(values)


def test_the_prior_is_said_to_be_met_only_where_it_is() -> None:
    assert "as far as can be seen" in sections_planes._prior({"marginal_kl": metric(0.01, 0.01)})
    assert "not exactly" in sections_planes._prior({"marginal_kl": metric(0.4, 0.01)})
    assert "clearly not" in sections_planes._prior({"marginal_kl": metric(0.9, 0.01)})


# --- E11, E12


def test_networks_are_the_same_only_where_they_are() -> None:
    vae, denoising = (presets.get(name) for name in ("representation-vae", "denoising"))
    weights = {"vae": 1100, "denoising": 1000}
    text = sections_learned._networks(vae, denoising, weights)
    assert "the same encoder (convolutional, 128 hidden units)" in text
    assert "100 weights more" in text
    wide = denoising.with_changes(model={"latent": 8})
    assert sections_learned._networks(vae, wide, weights).startswith("different networks:")
    assert sections_learned._epochs(vae, vae.with_changes(training={"epochs": 7})) == "5 epochs and 7 epochs"


@pytest.mark.parametrize(
    ("distance", "words"),
    [(0.5, "closer to it: energy distance 0.500 (yet beyond"), (0.005, "within"), (9, "not closer")],
)
def test_codes_are_called_near_the_prior_only_where_they_are(distance: float, words: str) -> None:
    rest = {"length": metric(5.0), "normal_length": 5.6, "axes": [0.1, 2.0]}
    codes = {
        "vae": {"energy": {"distance": distance, "critical": 0.01}, **rest},
        "denoising": {"energy": {"distance": 3.0, "critical": 0.01}, **rest},
    }
    assert words in sections_learned._spread(codes)


@pytest.mark.parametrize(
    ("prior", "fitted", "vae", "words"),
    [
        (0.1, 0.5, 0.5, "as much as the VAE"),
        (0.1, 0.8, 0.5, "generates, too"),
        (0.1, 0.3, 0.5, "no good description"),
        (0.3, 0.3, 0.5, "changes little"),
        (0.5, 0.3, 0.3, "lowers that"),
    ],
)
def test_the_sentence_about_fitted_codes_follows_from_the_numbers(
    prior: float, fitted: float, vae: float, words: str
) -> None:
    found = {"denoising-prior": prior, "denoising-fitted": fitted, "vae-prior": vae, "vae-fitted": 0.6}
    assert words in sections_learned._fitted({name: Metric.from_json(metric(value)) for name, value in found.items()})


# --- E13


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    summaries = [
        summary("vae", "svm", 100, 0.70, 0.71, 0.72),
        summary("vae", "mlp", 100, 0.69, 0.69, 0.69),
        summary("denoising", "svm", 100, 0.60, 0.61, 0.62),
        summary("denoising", "mlp", 100, 0.66, 0.66, 0.66),
        summary("raw", "mlp", 100, 0.65, 0.66, 0.67),
        summary("vae", "svm", 1000, 0.80, 0.80, 0.81),
        summary("denoising", "svm", 1000, 0.80, 0.81, 0.80),
        summary("raw", "mlp", 1000, 0.80, 0.80, 0.80),
        summary("vae", "mlp", 1000, 0.79, 0.80, 0.80),
        summary("vae", "svm", 60_000, 0.86),
        summary("vae", "mlp", 60_000, 0.85),
        summary("denoising", "svm", 60_000, 0.87),
        summary("raw", "mlp", 60_000, 0.90),
    ]
    return {
        "best": few_labels.best(summaries),
        "summaries": [dict(row) for row in summaries_json(summaries)],
        "known": 60_000,
    }


def test_best_of_each_number_of_labels(found: dict[str, Any]) -> None:
    assert [row["labels"] for row in found["best"]] == [100, 1000, 60_000]
    assert [row["first"]["representation"] for row in found["best"]] == ["vae", "vae", "denoising"]
    assert [row["gain"]["clear"] for row in found["best"]] == [True, False, True]
    assert [row["raw_needs"] for row in found["best"]] == [1000, 60_000, 60_000]


def test_the_same_method_is_compared_on_both_sides(found: dict[str, Any]) -> None:
    differences = sections_labels.same_method(found)
    assert {name: sorted(rows) for name, rows in differences.items()} == {
        "vae": [100, 1000, 60_000],
        "denoising": [100],
    }
    assert differences["vae"][100].mean == pytest.approx(0.03)
    text = sections_labels._by_same_method(found)
    assert text.startswith(
        "With the same method on both sides, an MLP, the unlabelled images helped with 100; made no clear difference "
        "with 1,000; did harm with 60,000 labels."
    )
    assert "- VAE: +3.0 ± 1.0 (clear) with 100, −0.3 ± 0.6 with 1,000, −5.0 (clear) with 60,000 labels" in text
    assert "- denoising autoencoder: 0.0 ± 1.0 with 100 labels" in text


def test_without_the_same_method_nothing_is_said_of_it(found: dict[str, Any]) -> None:
    others = [row for row in found["summaries"] if row["method"] != "mlp" or row["representation"] == "raw"]
    assert "cannot be told apart" in sections_labels._by_same_method({**found, "summaries": others})


def test_the_best_is_said_to_be_chosen_with_the_test_images(found: dict[str, Any]) -> None:
    text = sections_labels._by_best(found)
    assert "chosen with the test images in view" in text
    assert "helped with 100; made no clear difference with 1,000; did harm with 60,000 labels" in text


@pytest.mark.parametrize(("method", "says"), [("svm", "+3.0 ± 1.0 percentage points, clear"), ("mlp", "")])
def test_the_head_gives_the_same_method_beside_the_best(found: dict[str, Any], method: str, says: str) -> None:
    results: Any = SimpleNamespace(values=lambda step: found)
    row = found["best"][0]
    text = head._same(results, {**row, "first": {**row["first"], "method": method}})
    assert says in text
    assert bool(text) == bool(says)


def test_which_representation_was_best(found: dict[str, Any]) -> None:
    text = sections_labels._which(found)
    assert "of the VAE is clearly better with 100 labels" in text
    assert "neither is clearly better with 1,000" in text


def test_how_many_labels_the_raw_pixels_need(found: dict[str, Any]) -> None:
    assert "71.0 % that the best of them has with 100 labels is first reached by the MLP on raw pixels with 1,000" in (
        sections_labels._saved(found)
    )
    never = [{**found["best"][0], "raw_needs": None}]
    assert "not reached" in sections_labels._saved({**found, "best": never})
    for gain in ({"mean": -0.1, "clear": True}, {"mean": 0.1, "clear": False}):
        worse = [{**found["best"][0], "gain": gain}]
        assert "no label was clearly saved" in sections_labels._saved({**found, "best": worse})


def test_the_best_rows_stand_out(found: dict[str, Any]) -> None:
    rows = [["VAE", "SVM (RBF)"], ["VAE", "MLP"], ["denoising autoencoder", "SVM (RBF)"], ["raw pixels", "MLP"]]
    assert sections_labels._best_rows(found["best"], rows) == [0, 2]


def test_the_best_classifier_is_named(found: dict[str, Any]) -> None:
    assert "above the best of them" in sections_labels._methods(found)


# --- words ------------------------------------------------------------------------------------------------------------


def test_numbers_as_written() -> None:
    assert number(-1.234) == "−1.23"
    assert small(2e-7) == "2.0·10⁻⁷"
    assert share(0.5, 0) == "50 %"
    assert listed(["a", "b"]) == "a and b"
    assert part("masking:fraction=0.3") == "masked pixels, fraction = 0.3"
    assert counted(2, "class", "classes") == "2 classes"


def test_differences_count_from_two_standard_errors_on() -> None:
    one, two = Metric(1.0, 0.1, "", 10, ""), Metric(1.2, 0.1, "", 10, "")
    assert not apart(one, two)
    assert apart(one, Metric(1.5, 0.1, "", 10, ""))
