"""Sheet B: what the study asks for, and that its sentences follow the numbers, whatever these are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from vaelab.building import build_model, build_objective
from vaelab.config import ModelConfig
from vaelab.metrics import Metric
from vaelab.randomness import generator
from vaelab.studies.loss_terms import STUDY, claims, sections, sections_anomalies, sections_terms, summary
from vaelab.studies.loss_terms.names import MODELS
from vaelab.studies.loss_terms.steps import objective
from vaelab.studies.loss_terms.weights import layers, sheet_loss
from vaelab.studies.results import Results
from vaelab.studies.settings import Settings
from vaelab.studies.store import Record, Store
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


# --- sentences


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


def results(folder: Path, table: Mapping[str, tuple[float, ...]], **anomalies: Any) -> Results:
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
    return Results(settings(), store)


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
    assert "3.00 nats of reconstruction" in alone
    assert "48.00 nats worse" in alone
    assert "becomes the prior for every image" in sections_terms.kl_only(found)
    assert "the smallest of the three" in sections_terms.both_terms(found)
    assert "lies between the full weight and none" in sections_terms.sheets_weight(found)
    assert "lie over one another" in sections_terms.given(found)


def test_the_answers_where_the_numbers_are_against_it(tmp_path):
    found = results(tmp_path, CONTRARY)
    alone = sections_terms.reconstruction_only(found)
    assert "Contrary to the textbook" in alone
    assert "Nothing is gained" in alone
    assert "9.00 nats better" in alone
    assert "has not quite become the prior" in sections_terms.kl_only(found)
    assert "above the most frequent class's" in sections_terms.kl_only(found)
    assert "not the smallest of the three, contrary" in sections_terms.both_terms(found)
    assert "does not lie between" in sections_terms.sheets_weight(found)


def test_the_equivalent_weight_is_derived_and_checked():
    text = sections._equivalent(WEIGHTS)
    assert "0.0001 · 784 = 0.0784" in text
    assert "same training objective" in text
    assert [row[2] for row in sections._weights(WEIGHTS)] == ["0.0784", "0.0392", "0.0001"]
    assert "not the same" in sections._equivalent({**WEIGHTS, "gradient_cosine": 0.5})


def test_the_price_of_a_small_weight(tmp_path):
    found = results(tmp_path, AS_THE_BOOK)
    text = sections._effect(found)
    assert "2.00 nats lower" in text
    assert "1.00 nats worse than β = 1" in text
    assert "within two standard errors" in text
    assert "is not larger" in sections._effect(results(tmp_path, CONTRARY))


def test_when_samples_are_recognisable():
    rows = [[1, 8, 10], [2, 10, 10], [3, 9, 10]]
    assert sections._recognisable(rows).endswith(
        "first time after epoch 2; after the last epoch (3) it does in 9 of 10."
    )
    assert sections._recognisable(rows[:1]).startswith("Never in all 10 samples at once: at best in 8")


def anomalous(folder: Path, area: float, **changes: Any) -> Results:
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
    return Results(settings(), store)


@pytest.mark.parametrize(("area", "word"), [(0.99, "Yes."), (0.8, "Only in part."), (0.4, "No.")])
def test_how_well_anomalies_are_found(tmp_path, area, word):
    text = sections_anomalies.detected(anomalous(tmp_path, area))
    assert text.startswith(word)
    assert "Note: few images." in text


def test_which_anomalies_are_missed(tmp_path):
    text = sections_anomalies.wrong(anomalous(tmp_path, 0.9))
    assert "trouser is found least often (40.0 %, median loss 190 nats)" in text
    assert "1 images of <i>other</i> lie below" in text
    assert "is 0.80 for mnist and 0.70 for <i>other</i>: an image with few bright pixels is cheap" in text


def test_other_scores_are_compared_by_their_areas(tmp_path):
    text = sections_anomalies.compared(anomalous(tmp_path, 0.97, **{"wide.auroc": metric(0.99, "share", 0.001)}))
    assert "16 latent dimensions: 0.9900, better" in text
    assert "The KL alone: AUROC 0.9700, about as good" in text


def test_the_head_of_the_report_counts_what_holds(tmp_path):
    anomalous(tmp_path, 0.97)
    found = results(tmp_path, AS_THE_BOOK)
    head = summary.summarise(found)
    assert "β of 0.0784" in head.text
    assert all(verdict.met in (True, None) for verdict in head.verdicts)
    against = summary.summarise(results(tmp_path, CONTRARY))
    assert any("data/inverted-images.npz" in cell.code for cell in [summary._anomalies(found)])
    assert sum(verdict.met is False for verdict in against.verdicts) >= 4
