"""Sheet B: its sentences follow the numbers, whatever these are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vaelab import workflows
from vaelab.config import RunConfig
from vaelab.metrics import Metric
from vaelab.studies.loss_terms import (
    STUDY,
    claims,
    sections,
    sections_anomalies,
    sections_loss,
    sections_terms,
    summary,
    words,
)
from vaelab.studies.loss_terms.names import MODELS
from vaelab.studies.results import Results
from vaelab.studies.settings import Settings
from vaelab.studies.store import Record, Store
from vaelab.studies.study import Train


@dataclass(frozen=True)
class Made(Results):
    """Results with configurations that no run folder has."""

    configs: Mapping[str, RunConfig] = field(default_factory=dict)

    def config(self, run: str) -> RunConfig:
        return self.configs[run]

    def environment(self, run: str) -> Mapping[str, Any]:
        return {"train": 55_000 if run == "longest" else 60_000}


def settings(**values: Any) -> Settings:
    chosen = {name: option.value for name, option in STUDY.options.items()} | values
    return Settings(data="mnist", other="mnist", values=chosen)


def configs(asked: Settings) -> dict[str, RunConfig]:
    return {step.name: step.config for step in STUDY.steps(asked) if isinstance(step, Train)}


def metric(value: float, unit: str = "nats per image", error: float | None = 0.1) -> Metric:
    return Metric(value, error, unit, 100, "")


AS_THE_BOOK = {
    # reconstruction, KL, −ELBO, variance, σ, kNN
    "reconstruction": (140.0, 57.0, 197.0, 38.0, 0.002, 0.73),
    "kl": (545.0, 0.0, 545.0, 1e-6, 1.0, 0.1),
    "both": (143.0, 6.0, 149.0, 1.4, 0.07, 0.71),
    "sheet": (141.0, 9.0, 150.0, 3.0, 0.03, 0.72),
}
CONTRARY = {
    "reconstruction": (150.0, 5.0, 140.0, 1.0, 0.1, 0.5),
    "kl": (100.0, 3.0, 130.0, 2.0, 0.5, 0.9),
    "both": (143.0, 6.0, 149.0, 1.4, 0.07, 0.3),
    "sheet": (141.0, 2.0, 155.0, 3.0, 0.3, 0.2),
}


def results(folder: Path, table: Mapping[str, tuple[float, ...]], longest: float = 143.0, **options: Any) -> Made:
    """Of a study whose numbers are those of ``table``."""
    store, planes, samples = Store(folder), {"constant": metric(206.0), "class_names": ["<b>", "1"]}, {}
    for name in MODELS:
        loss = name.partition("-")[2]
        r, kl, bound, variance, sigma, knn = table[loss]
        losses = {"reconstruction": metric(r), "kl": metric(kl), "negative_elbo": metric(bound)}
        store.write_record(name, Record("", True, 1.0, losses))
        planes |= {
            f"{name}.variance": metric(variance, "units of z squared"),
            f"{name}.sigma": metric(sigma, "units of z"),
            f"{name}.knn": metric(knn if name.startswith("vae") else knn / 2, "share of images", 0.004),
            f"{name}.knn_means": metric(knn, "share of images", 0.004),
            f"{name}.chance": 0.11,
            f"{name}.mean": [-0.1, 2e-4],
            f"{name}.variances": [variance, variance],
            f"{name}.inside": metric(0.9 / (1 + variance), "share of images", 0.01),
            f"{name}.total": variance + sigma**2,
        }
        samples |= {f"{name}.{key}": metric(0.9, "share of images", 0.01) for key in ("confident", "recognised")}
        samples[f"{name}.classes"] = metric(5.0, "classes", None)
        samples[f"{name}.epochs"] = [[1, 3, 10], [2, 10, 10]]
    store.write_record("planes", Record("", True, 1.0, planes))
    store.write_record("samples", Record("", True, 1.0, samples))
    store.write_record("judge", Record("", True, 1.0, {"judge_accuracy": metric(0.99, "share of images", 0.001)}))
    store.write_record("weights", Record("", True, 1.0, WEIGHTS))
    store.write_record("longest", Record("", True, 1.0, {"negative_elbo": metric(longest)}))
    asked = settings(**options)
    return Made(asked, store, configs(asked))


WEIGHTS: dict[str, Any] = {
    "weight": 0.0001,
    "pixels": 784,
    "latent": 2,
    "beta": 0.0784,
    "images": 128,
    "sheet_loss": 0.2,
    "loss": 156.8,
    "ratio": 784.0,
    "gradient_ratio": 784.0,
    "gradient_cosine": 1.0,
    "adam_step": 0.99,
    "classes": 10,
    "label_moves": metric(1.2, "of the spread", 0.01),
}


def test_numbers_of_the_textbook_agree_with_it(tmp_path):
    found = claims.claims(results(tmp_path, AS_THE_BOOK))
    assert [claim.says for claim in found if not claim.holds] == []
    assert claims.agree(found) == f"all {len(found)} sentences of theory hold"


def test_numbers_against_the_textbook_are_said_to_be(tmp_path):
    found = claims.claims(results(tmp_path, CONTRARY))
    assert not any(claim.holds for claim in found)
    assert claims.agree(found).startswith(f"0 of {len(found)}")


def test_the_answers_of_the_textbook(tmp_path):
    found = results(tmp_path, AS_THE_BOOK)
    alone = sections_terms.reconstruction_only(found)
    assert "5.2 times as far" in alone
    assert "all but an autoencoder" in alone
    assert "3.00 ± 0.14 nats of reconstruction" in alone
    assert "48.00 ± 0.14 nats worse" in alone
    assert "becomes the prior for every image" in sections_terms.kl_only(found)
    assert "the smallest of the three" in sections_terms.both_terms(found)
    assert "lies between the full weight and none" in sections_terms.sheets_weight(found)
    given = sections_terms.given(found)
    assert "lie over one another" in given
    assert "each term alone does what theory says" in given


def test_the_answers_where_the_numbers_are_against_it(tmp_path):
    found = results(tmp_path, CONTRARY)
    alone = sections_terms.reconstruction_only(found)
    assert "Contrary to the textbook" in alone
    assert "Nothing is gained" in alone
    assert "9.00 ± 0.14 nats better" in alone
    assert "has not quite become the prior" in sections_terms.kl_only(found)
    assert "above the most frequent class's" in sections_terms.kl_only(found)
    assert "not the smallest of the three, contrary" in sections_terms.both_terms(found)
    assert "does not lie between" in sections_terms.sheets_weight(found)
    assert "do not all do what theory says" in sections_terms.given(found)


def test_the_equivalent_weight_is_derived_and_checked():
    text = sections_loss._equivalent(WEIGHTS)
    assert "0.0001 · 784 = 0.0784" in text
    assert "same training objective" in text
    assert [row[2] for row in sections_loss._weights(WEIGHTS)] == ["0.0784", "0.0392", "0.0001"]
    other = sections_loss._equivalent({**WEIGHTS, "gradient_cosine": 0.5})
    assert "not the same" in other
    assert "do not point in the same direction" in other


def test_the_price_of_a_small_weight(tmp_path):
    found = results(tmp_path, AS_THE_BOOK)
    text = sections_loss._effect(found)
    assert "2.00 ± 0.14 nats lower" in text
    assert "1.00 ± 0.14 nats worse than β = 1" in text
    assert "within two standard errors" in text
    assert "is not larger" in sections_loss._effect(results(tmp_path, CONTRARY))


def test_when_samples_are_recognisable():
    rows = [[1, 8, 10], [2, 10, 10], [3, 9, 10]]
    assert sections._recognisable(rows).endswith(
        "first time after epoch 2; after the last epoch (3) it does in 9 of 10."
    )
    assert sections._recognisable(rows[:1]).startswith("Never in all 10 samples at once: at best in 8")


def anomalous(folder: Path, area: float, asked: Settings | None = None, **changes: Any) -> Made:
    names = ("reconstruction", "negative_elbo", "kl", "wide", "labelled", "brightness")
    values: dict[str, Any] = {f"{name}.auroc": metric(area, "share of pairs", 0.001) for name in names}
    values |= {
        "names": ["mnist", "<i>other</i>"],
        "n": [10, 10],
        "notes": ["few images"],
        "wide": 16,
        "inverted": True,
        "detectors": {name: name for name in names},
        **{f"{name}.normal": metric(140.0) for name in names[:-1]},
        **{f"{name}.anomalous": metric(300.0) for name in names[:-1]},
        "correlation.normal": 0.8,
        "correlation.anomalous": 0.7,
        **{f"{name}_reconstruction": metric(0.05, "share", 0.01) for name in ("false_alarm_rate", "detection_rate")},
        "threshold_reconstruction": metric(200.0, error=None),
        "classes": [["bag", 5, 0.9, 400.0], ["trouser", 5, 0.4, 190.0]],
    }
    store = Store(folder)
    store.write_record("anomalies", Record("", True, 1.0, values | changes))
    scores = {"reconstruction.normal": torch.tensor([100.0, 210.0]), "reconstruction.anomalous": torch.tensor([150.0])}
    store.write_arrays("anomalies", "scores", {name: tensor.numpy() for name, tensor in scores.items()})
    asked = asked or settings()
    return Made(asked, store, configs(asked))


@pytest.mark.parametrize(("area", "word"), [(0.99, "Yes."), (0.8, "Only in part."), (0.4, "No.")])
def test_how_well_anomalies_are_found(tmp_path, area, word):
    text = sections_anomalies.detected(anomalous(tmp_path, area))
    assert text.startswith(word)
    assert "Note: few images." in text


def test_which_anomalies_are_missed(tmp_path):
    text = sections_anomalies.wrong(anomalous(tmp_path, 0.9))
    assert "trouser is found least often (40.0 %, median loss 190 nats)" in text
    assert "1 image of <i>other</i> lies below" in text
    assert "is 0.80 for mnist and 0.70 for <i>other</i>: in both sets an image with many bright pixels is dear" in text


def test_other_scores_are_compared_by_their_areas(tmp_path):
    text = sections_anomalies.compared(anomalous(tmp_path, 0.97, **{"wide.auroc": metric(0.99, "share", 0.001)}))
    assert "16 latent dimensions (5 epochs) has 0.9900, better" in text
    assert "the KL alone has 0.9700, about as good" in text


def test_the_head_of_the_report_counts_what_holds(tmp_path):
    anomalous(tmp_path, 0.97)
    found = results(tmp_path, AS_THE_BOOK)
    head = summary.summarise(found)
    assert "β of 0.0784" in head.text
    assert all(verdict.met in (True, None) for verdict in head.verdicts)
    assert "and z says nothing" in head.text
    assert "VAE trained for 15 epochs" in head.text
    against = summary.summarise(results(tmp_path, CONTRARY))
    assert "find the class of 90.0 ± 0.4 %" in against.text
    assert any("data/inverted-images.npz" in cell.code for cell in [summary._anomalies(found)])
    assert sum(verdict.met is False for verdict in against.verdicts) >= 4


# --- what a bound is worth, and more epochs


def measured(bound: float, error: float = 0.1) -> Any:
    return SimpleNamespace(negative_elbo=metric(bound, error=error))


@pytest.mark.parametrize(
    ("with_label", "says"),
    [
        (133.0, "13.70 ± 0.14 less than the VAE's: so the label itself is not all"),
        (146.7, "within two standard errors of the VAE's"),
        (148.0, "1.30 ± 0.14 more than the VAE's"),
        (151.0, "2.00 ± 0.14 more. These bound two quantities"),
    ],
)
def test_bounds_of_two_quantities_are_compared_by_what_the_label_is_worth(with_label: float, says: str) -> None:
    text = sections_terms._worth(measured(149.0), measured(with_label), 10)
    assert "at most log 10 = 2.30 nats" in text
    assert says in text


@pytest.mark.parametrize(
    ("longest", "says"),
    [(143.0, "more epochs still help: 6.00 ± 0.14 nats"), (149.1, "no difference beyond"), (155.0, "did harm")],
)
def test_more_epochs_are_judged_where_they_were_tried(tmp_path: Path, longest: float, says: str) -> None:
    text = sections_loss._longer(results(tmp_path, AS_THE_BOOK, longest))
    assert "after 5 epochs its −ELBO is 149.00 ± 0.10" in text
    assert "after 15 (on 55,000 images instead of 60,000) it is" in text
    assert says in text


def test_more_epochs_are_not_judged_where_they_were_not_tried(tmp_path: Path) -> None:
    found = results(tmp_path, AS_THE_BOOK, epochs_longest=5)
    assert "is not known" in sections_loss._longer(found)
    wider = {**found.configs, "longest": found.configs["longest"].with_changes(model={"latent": 8})}
    assert "is not known" in sections_loss._longer(Made(found.settings, found.store, wider))


def test_a_loss_falls_or_rises() -> None:
    assert [sections_loss._fell(nats) for nats in (0.3, -0.3)] == ["fell by 0.30 nats", "rose by 0.30 nats"]


# --- the weight


def effect(folder: Path, beta: float, table: Mapping[str, tuple[float, ...]]) -> str:
    found = results(folder, table)
    found.store.write_record("weights", Record("", True, 1.0, {**WEIGHTS, "beta": beta}))
    return sections_loss._effect(found)


def test_a_large_weight_is_not_called_small(tmp_path: Path) -> None:
    text = effect(tmp_path, 7.84, {**AS_THE_BOOK, "sheet": (150.0, 2.0, 152.0, 0.5, 0.3, 0.5)})
    assert "costs 7.84 nats of reconstruction, so the model spends less of it" in text
    assert "That is paid by the reconstruction: its loss is 7.00 ± 0.14 nats higher" in text
    assert "is not smaller" in effect(tmp_path, 7.84, AS_THE_BOOK)


def test_a_difference_within_two_errors_is_called_none(tmp_path: Path) -> None:
    near = {**AS_THE_BOOK, "sheet": (142.9, 9.0, 149.1, 3.0, 0.03, 0.72)}
    text = effect(tmp_path, 0.0784, near)
    assert "0.10 ± 0.14 nats lower, which is within two standard errors" in text
    assert "about as good as β = 1 (0.10 ± 0.14 nats apart)" in text


@pytest.mark.parametrize(("own", "says"), [(0.7, "The price is paid by the samples"), (0.95, "on the contrary")])
def test_what_becomes_of_the_samples(tmp_path: Path, own: float, says: str) -> None:
    found = results(tmp_path, AS_THE_BOOK)
    samples = {**found.values("samples"), "cvae-sheet.recognised": metric(own, "share of images", 0.01)}
    found.store.write_record("samples", Record("", True, 1.0, samples))
    assert says in sections_loss._paid(found)


@pytest.mark.parametrize("hidden", [(512, 256), (40,)])
def test_the_routine_trains_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: tuple[int, ...]
) -> None:
    found = results(tmp_path, AS_THE_BOOK, hidden=hidden)
    changed = found.configs["cvae-sheet"].with_changes(training={"weight_decay": 0.5}, data={"variant": "dynamic"})
    for wanted in (found.configs["cvae-sheet"], changed):
        asked: dict[str, Any] = {}
        monkeypatch.setattr("vaelab.train", lambda preset, asked=asked, **said: asked.update(preset=preset, **said))
        exec(sections_loss.routine(Made(found.settings, found.store, {"cvae-sheet": wanted})), {})
        name, data = asked["preset"], asked["data"]
        data = {"name": data} if isinstance(data, str) else data
        parts = {"data": data, "model": asked["model"], "training": asked["training"]}
        assert workflows.resolve(name, parts) == wanted


# --- the detector


def test_the_detector_is_described_as_it_was_trained(tmp_path: Path) -> None:
    text = sections_anomalies._scorer(anomalous(tmp_path, 0.9, kept_epoch=15))
    assert text == (
        "The model is a VAE with both terms and 2 latent dimensions, trained for 15 epochs, the longest training of "
        "all here (the others: 5)."
    )
    other = anomalous(tmp_path, 0.9, settings(epochs_longest=5), kept_epoch=3)
    other.configs["longest"] = other.configs["longest"].with_changes(model={"latent": 8})
    text = sections_anomalies._scorer(other)
    assert "8 latent dimensions, trained for 5 epochs." in text
    assert "longest" not in text
    assert text.endswith("Its weights are those of epoch 3, the best on held-out images.")


@pytest.mark.parametrize(("area", "says"), [(0.95, "are easy"), (0.8, "tells a part of them"), (0.5, "hardly do")])
def test_no_more_is_said_of_rules_without_a_model_than_was_tried(area: float, says: str) -> None:
    text = sections_anomalies._without_model(area)
    assert says in text
    assert area > 0.9 or "no other rule without a model was tried" in text


# --- numbers


def test_small_numbers_are_written_in_one_form() -> None:
    tiny = metric(3.912e-6, error=6.2e-8)
    assert words.written(tiny) == "(3.91 ± 0.06)·10⁻⁶ nats per image"
    assert words.quantity(tiny) == "3.9·10⁻⁶ nats"
    assert words.written(metric(0.0, error=0.0), unit=False) == "0.00 ± 0.00"
    assert claims._several([-2.5e-6, 0.2]) == "−2.5·10⁻⁶, 0.20"
