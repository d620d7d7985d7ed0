"""Comparing a run's test images with other data's: numbers, files, notes, and what cannot be compared."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn

import vaelab
from vaelab.applications.anomaly import Reference, anomaly_scores, detect, threshold
from vaelab.errors import CheckpointError, DataError, UsageError, VaelabError
from vaelab.run import Run
from vaelab.tasks.anomaly import IN_SAMPLE, SAME, TOO_FEW, Anomalies, AnomaliesNotSavedError, detect_anomalies, verdicts

PNG = b"\x89PNG"
QUICK = {"samples": 2, "steps": 3, "figures": False}
KINDS = ("auroc", "average_precision", "fpr_at_95", "threshold", "detection_rate", "false_alarm_rate")


def noise(path: Path, n: int = 60, shape: tuple[int, ...] = (8, 8), **more: np.ndarray) -> Path:
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8), **more)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "vae"
    vaelab.train("digits-vae", out=out, training={"epochs": 5, "device": "cpu"}, data={"validation": 150})
    return out


@pytest.fixture
def run(trained: Path) -> Run:
    (trained / "metrics.json").unlink(missing_ok=True)
    return Run.open(trained, device="cpu")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise(tmp_path_factory.mktemp("data") / "my noise.npz")


def test_the_numbers_are_those_of_the_functions(run, other):
    result = detect_anomalies(run, str(other), scores=["kl", "likelihood_path"], false_alarms=0.1, seed=3, **QUICK)
    test, validation = run.data.test, run.data.validation
    reference = Reference.fit(run.model, run.data.train, "grey", scores=["likelihood_path"], seed=3)
    options = {"scores": ["kl", "likelihood_path"], "reference": reference, "seed": 3, "samples": 2}
    expected, known = (anomaly_scores(run.model, data, "grey", **options) for data in (test, validation))
    for name, values in expected.items():
        assert torch.equal(result.normal[name], values)
        scores = torch.cat([values, result.anomalous[name]])
        truth = [0] * len(test) + [1] * len(result.anomalous[name])
        found = {kind: result.metrics[f"{kind}_{name}"] for kind in KINDS}
        assert found["auroc"].value == pytest.approx(sklearn.roc_auc_score(truth, scores))
        assert found["average_precision"].value == pytest.approx(sklearn.average_precision_score(truth, scores))
        cut = threshold(known[name].numpy(), 0.1)
        assert found["threshold"].value == cut
        assert found["false_alarm_rate"].value == (values > cut).double().mean()
        assert found["detection_rate"].value == (result.anomalous[name] > cut).double().mean()
        sizes = [found[kind].n for kind in KINDS]
        assert sizes == [len(truth)] * 3 + [150, len(truth) - len(test), len(test)]
    assert list(result.metrics) == [f"{kind}_{name}" for name in expected for kind in KINDS]
    assert result.notes == ()


def test_all_images_of_data_without_a_test_part_are_scored_down_to_a_single_one(run, tmp_path):
    result = detect_anomalies(run, str(noise(tmp_path / "one.npz", 1)), scores=["kl"], figures=False)
    assert (len(result.anomalous["kl"]), result.metrics["auroc_kl"].standard_error) == (1, None)


def test_protocols_say_what_was_done(run, other):
    metrics = detect_anomalies(run, str(other), scores=["all"], **QUICK).metrics
    assert metrics["auroc_likelihood_path"].protocol.startswith(
        "test split of digits (normal) against 60 images of my noise.npz (anomalous), "
        "grey pixels (unnormalised Bernoulli), "
        "score likelihood_path: mahalanobis of error, mean_norm, std_norm, compared with 1288 training images"
    )
    assert "3 steps of Adam from 0.05, 2 samples of z per image" in metrics["auroc_likelihood_regret"].protocol
    assert "false-alarm rate of 0.05 on 150 validation images" in metrics["threshold_kl"].protocol
    assert "1000 bootstrap resamples of both sets, 95 % interval" in metrics["fpr_at_95_kl"].protocol
    assert (metrics["threshold_kl"].unit, metrics["threshold_likelihood_path"].unit) == ("nats", "no unit")
    errors = [metric.standard_error for name, metric in metrics.items() if not name.startswith("threshold")]
    assert all(error is not None and error >= 0 for error in errors)


def test_two_data_sets_stand_side_by_side(run, other, tmp_path):
    twin = noise(tmp_path / "my noise.npz", 30)
    for against in (other, twin, "digits"):
        detect_anomalies(run, str(against), scores=["kl"], **QUICK)
    stored = run.folder.metrics()
    keys = {name.removeprefix("anomaly_").removesuffix("_auroc_kl") for name in stored if name.endswith("_auroc_kl")}
    assert len(keys) == 3
    assert "digits" in keys
    assert stored["anomaly_digits_auroc_kl"].value == 0.5  # against itself
    assert len(stored) == 3 * len(KINDS)


def test_scores_and_figures_are_in_the_run_folder(run):
    result = detect_anomalies(run, "digits", scores=["reconstruction", "kl"], limit=20, samples=2)
    names = [f"figures/anomaly-digits-{name}.png" for name in ("histograms", "roc", "images", "pixels")]
    assert result.files == [run.folder.path / name for name in ["anomaly/digits.csv", *names]]
    assert all(file.read_bytes().startswith(PNG) for file in result.files[1:])
    with result.files[0].open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["set"] for row in rows] == ["normal"] * 20 + ["anomalous"] * 20
    places = [int(row["image"]) for row in rows[:20]]
    assert places == sorted(set(places))
    assert [int(row["label"]) for row in rows[:20]] == run.data.test.labels[places].tolist()
    scores = anomaly_scores(run.model, run.data.test.take(torch.tensor(places)), "grey", scores=["kl"], samples=2)
    np.testing.assert_allclose([float(row["kl"]) for row in rows[:20]], scores["kl"], rtol=1e-6)


def test_verdicts_say_which_scores_fail_and_by_how_much():
    normal, higher = np.arange(100.0), np.arange(80.0, 180.0)
    found = {
        "low": detect(higher, normal, 150.0),
        "even": detect(normal, normal, 94.0),
        "high": detect(normal, higher, 94.0),
    }
    sentences = verdicts(Anomalies({}, {}, {}, found, ("shoes", "digits")))
    pairs = "digits images score higher than shoes images in"
    best = "AUROC 0.9800; with 5.0 % false alarms it finds 85.0 % of the digits images."
    assert sentences == [
        f"low fails, worse than chance: {pairs} 2.0 % of the pairs, where chance gives 50 %.",
        f"even fails, no better than chance: {pairs} 50.0 % of the pairs.",
        f"high tells them apart best of these: {best}",
    ]
    del found["high"]
    assert len(verdicts(Anomalies({}, {}, {}, found, ("shoes", "digits")))) == 2


def test_without_validation_images_a_note_says_so(tmp_path):
    vaelab.train("digits-vae", out=tmp_path / "run", training={"epochs": 1, "device": "cpu"})
    result = detect_anomalies(Run.open(tmp_path / "run", device="cpu"), "digits", scores=["kl"], **QUICK)
    assert result.notes == (IN_SAMPLE, SAME)
    assert result.metrics["false_alarm_rate_kl"].value == pytest.approx(0.05, abs=0.005)
    assert "359 normal test images" in result.metrics["threshold_kl"].protocol


def test_colours_and_an_autoencoder(tmp_path):
    labels = np.arange(60) % 2
    data, other = noise(tmp_path / "a.npz", shape=(8, 8, 3), labels=labels), noise(tmp_path / "b.npz", 5, (8, 8, 3))
    changes = {"kind": "autoencoder", "latent": 2, "encoder": "mlp:hidden=8/", "decoder": "mlp:hidden=8/"}
    training = {"epochs": 1, "batch_size": 16, "device": "cpu"}
    vaelab.train("denoising", out=tmp_path / "run", data=str(data), model=changes, training=training)
    run = Run.open(tmp_path / "run", device="cpu")
    result = detect_anomalies(run, str(other))
    assert list(result.detections) == ["reconstruction"]
    assert "at the code, no draw of z" in result.metrics["auroc_reconstruction"].protocol
    with pytest.raises(UsageError, match="no score 'kl'"):
        detect_anomalies(run, str(other), scores=["kl"])
    with pytest.raises(DataError, match=r"expected images of 3×8×8 .*, as the model's, got 1×8×8 in digits; convert"):
        detect_anomalies(run, "digits")


def test_a_single_image_of_each_is_compared(run):
    """Folders and files with one image have no test part to hold out, so the limit makes them."""
    result = detect_anomalies(run, "digits", limit=1, samples=2, steps=3)
    assert result.notes == (TOO_FEW, SAME)
    assert {result.metrics[f"auroc_{name}"].standard_error for name in result.detections} == {None}
    assert result.metrics["threshold_kl"].to_json()["value"] is None
    assert math.isinf(result.detections["kl"].threshold)
    assert len(result.files) == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scores": ["kll"]}, "unknown score 'kll'"),
        ({"scores": ["kl", "kl"]}, "stands twice"),
        ({"false_alarms": 0.0}, "between 0 and 1, got 0"),
        ({"samples": 0}, "samples ≥ 1"),
        ({"steps": -1}, "steps ≥ 0"),
        ({"limit": -1}, "limit ≥ 1, or 0 for none, got -1"),
        ({"against": "mnits"}, "unknown data set 'mnits'"),
    ],
)
def test_wrong_words_are_refused_and_change_nothing(run, options, words):
    before = sorted(path.name for path in run.folder.path.rglob("*"))
    with pytest.raises(UsageError, match=words):
        detect_anomalies(run, **({"against": "digits"} | options))
    assert before == sorted(path.name for path in run.folder.path.rglob("*"))


def test_a_conditional_run_is_refused(tmp_path):
    vaelab.train("digits-cvae", out=tmp_path / "run", training={"epochs": 1, "device": "cpu"})
    with pytest.raises(UsageError, match=r"conditional model.*--unconditional"):
        detect_anomalies(Run.open(tmp_path / "run", device="cpu"), "digits")


def test_damaged_metrics_are_found_before_the_work(run):
    (run.folder.path / "metrics.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"metrics\.json"):
        detect_anomalies(run, "nothing that exists")


def test_what_cannot_be_written_is_in_the_error(run, monkeypatch):
    def full(metrics):
        raise VaelabError("cannot write metrics.json: no space")

    monkeypatch.setattr(run.folder, "write_metrics", full)
    with pytest.raises(AnomaliesNotSavedError, match="no space") as raised:
        detect_anomalies(run, "digits", scores=["kl"], **QUICK)
    assert raised.value.result.metrics == raised.value.metrics
    assert "auroc_kl" in raised.value.metrics
