"""Classifying the images of a run: numbers, predictions, figures, and what cannot be classified."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

import vaelab
from vaelab.applications.calibration import class_log_prior, fit_temperature, log_posterior
from vaelab.applications.classification import label_bounds
from vaelab.errors import UsageError, VaelabError
from vaelab.run import Run
from vaelab.tasks.classify import NOT_FITTED, ClassificationNotSavedError, classify_run

TINY = {"epochs": 2, "device": "cpu"}
PNG = b"\x89PNG"


numbers = partial(classify_run, figures=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "cvae"
    vaelab.train("digits-cvae", out=out, training=TINY, data={"validation": 150})
    return out


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coloured noise of two classes, one of them with a name that is no word; no validation images."""
    folder = tmp_path_factory.mktemp("runs")
    source = np.random.default_rng(0)
    labels = np.arange(60) % 2
    images = source.integers(0, 128, (60, 8, 8, 3), dtype=np.uint8) + labels[:, None, None, None].astype(np.uint8) * 100
    np.savez(folder / "data.npz", images=images, labels=labels)
    vaelab.train(
        "digits-cvae",
        out=folder / "run",
        data=str(folder / "data.npz"),
        training=TINY | {"batch_size": 16, "epochs": 5},
    )
    return folder / "run"


def test_the_numbers_are_those_of_the_functions(trained):
    run = Run.open(trained, device="cpu")
    result = numbers(run, samples=3, seed=2)
    test, validation = run.data.test, run.data.validation
    prior = class_log_prior(run.data.train.labels, 10)
    bounds, held_out = (label_bounds(run.model, data, "grey", samples=3, seed=2) for data in (test, validation))
    temperature = fit_temperature(held_out, prior, validation.labels)
    calibrated = log_posterior(bounds, prior, temperature).exp()
    metrics = {name: metric.value for name, metric in result.metrics.items()}
    assert metrics["temperature"] == temperature != 1
    assert metrics["accuracy"] == accuracy_score(test.labels, (bounds + prior).argmax(1))
    assert metrics["classification_nll"] == pytest.approx(log_loss(test.labels, calibrated.numpy()))
    assert metrics["classification_nll_uncalibrated"] == pytest.approx(
        log_loss(test.labels, log_posterior(bounds, prior).exp().numpy())
    )
    torch.testing.assert_close(result.probabilities, calibrated)
    assert result.counts.sum() == len(test) == result.metrics["accuracy"].n
    assert result.metrics["temperature"].n == len(validation)
    share = metrics["accuracy"]
    assert result.metrics["accuracy"].standard_error == pytest.approx((share * (1 - share) / (len(test) - 1)) ** 0.5)
    for label in range(10):
        assert metrics[f"accuracy_of_class_{label}"] == result.counts[label, label] / result.counts[label].sum()
    assert run.folder.metrics() == result.metrics


def test_protocols_say_what_was_done(trained):
    run = Run.open(trained, device="cpu")
    metrics = numbers(run, samples=2, split="validation", prior="uniform").metrics
    assert metrics["validation_accuracy"].protocol == (
        "validation split, grey pixels (unnormalised Bernoulli), Bayes' rule with the importance-weighted bound, "
        "K = 2 samples of z per image and label, uniform class prior, T = 1, seed 0"
    )
    temperature = metrics["validation_temperature"].value
    assert f"T = {temperature:.4g} fitted on validation" in metrics["validation_classification_nll"].protocol
    for bound, words in (("elbo", "the ELBO, 4 samples"), ("mean", "the ELBO at the posterior mean (no bound)")):
        assert words in numbers(run, bound=bound, samples=4).metrics["accuracy"].protocol


def test_predictions_and_figures_are_in_the_run_folder(trained):
    result = classify_run(Run.open(trained, device="cpu"), bound="mean")
    names = ["confusion-matrix.png", "reliability.png", "classification-errors.png"]
    assert result.files == [trained / "predictions" / "test.csv", *(trained / "figures" / name for name in names)]
    assert all(file.read_bytes().startswith(PNG) for file in result.files[1:])
    with result.files[0].open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["image"]) for row in rows] == list(range(len(result.labels)))
    assert [int(row["label"]) for row in rows] == result.labels.tolist()
    assert [int(row["predicted"]) for row in rows] == result.predicted.tolist()
    written = [[float(row[f"probability_{label}"]) for label in range(10)] for row in rows]
    np.testing.assert_allclose(written, result.probabilities, rtol=1e-5)


def test_a_given_prior_counts(trained):
    run = Run.open(trained, device="cpu")
    shares = ["0.91", *["0.01"] * 9]
    result = numbers(run, bound="mean", prior=",".join(shares))
    assert result.counts[:, 0].sum() > numbers(run, bound="mean").counts[:, 0].sum()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prior": "0.5,0.5"}, "10 class probabilities"),
        ({"prior": "most"}, "estimated, uniform, or 10 probabilities separated by commas, got 'most'"),
        ({"bound": "tight"}, "bound 'tight'"),
        ({"samples": 0}, "samples ≥ 1"),
        ({"by": "luck"}, "'luck'"),
        ({"by": "posterior"}, "no label network"),
        ({"by": "posterior", "prior": "uniform"}, "prior of its own"),
        ({"split": "holdout"}, "unknown split"),
    ],
)
def test_wrong_words_are_refused_and_change_nothing(trained, options, words):
    run = Run.open(trained, device="cpu")
    before = (trained / "metrics.json").read_bytes() if (trained / "metrics.json").exists() else None
    with pytest.raises(UsageError, match=words):
        numbers(run, **options)
    assert before == ((trained / "metrics.json").read_bytes() if (trained / "metrics.json").exists() else None)


def test_colours_two_classes_and_no_validation_images(two_classes):
    result = classify_run(Run.open(two_classes, device="cpu"), samples=2)
    assert result.note == NOT_FITTED
    metrics = result.metrics
    assert (metrics["temperature"].value, metrics["temperature"].n) == (1.0, 0)
    assert "T = 1 not fitted" in metrics["classification_nll"].protocol
    assert metrics["classification_nll"].value == metrics["classification_nll_uncalibrated"].value
    assert metrics["accuracy"].value == 1  # brightness tells them
    names = [file.name for file in result.files]
    assert names == ["test.csv", "confusion-matrix.png", "reliability.png"]  # no errors, no figure of them
    with pytest.raises(UsageError, match="no validation images"):
        numbers(Run.open(two_classes, device="cpu"), split="validation")


def test_one_class_is_certain(tmp_path):
    np.savez(tmp_path / "data.npz", images=np.zeros((40, 8, 8), np.uint8), labels=np.zeros(40, np.int64))
    vaelab.train(
        "digits-cvae",
        out=tmp_path / "run",
        data={"name": str(tmp_path / "data.npz"), "validation": 5},
        training={"epochs": 1, "batch_size": 8, "device": "cpu"},
    )
    metrics = numbers(Run.open(tmp_path / "run", device="cpu")).metrics
    assert [metrics[name].value for name in ("accuracy", "classification_nll", "temperature")] == [1, 0, 1]
    assert metrics["expected_calibration_error"].value == 0


def test_a_semi_supervised_run_is_classified_both_ways(tmp_path):
    """The labels of the validation images give the temperature, which the numbers say; hidden ones of training none."""
    vaelab.train("digits-m2", out=tmp_path / "run", training={"epochs": 2, "device": "cpu"}, data={"validation": 100})
    run = Run.open(tmp_path / "run", device="cpu")
    result = numbers(run, by="posterior")
    with torch.no_grad():
        told = run.model.classify(run.data.test.images.float() / 255).argmax(1)
    assert torch.equal(result.predicted, told)
    assert "by q(y|x), T = 1" in result.metrics["accuracy"].protocol
    for name in ("temperature", "classification_nll"):
        assert "validation with all its labels, " in result.metrics[name].protocol
    estimated, uniform = (numbers(run, bound="mean", prior=prior) for prior in ("estimated", "uniform"))
    assert estimated.metrics["accuracy"].n == len(told)
    # Of ten labels of each class the prior is uniform; that of all training labels is not.
    torch.testing.assert_close(estimated.probabilities, uniform.probabilities, rtol=0, atol=1e-9)


def test_what_cannot_be_written_is_in_the_error(trained, tmp_path, monkeypatch):
    run = Run.open(trained, device="cpu")

    def full(metrics):
        raise VaelabError("cannot write metrics.json: no space")

    monkeypatch.setattr(run.folder, "write_metrics", full)
    with pytest.raises(ClassificationNotSavedError, match="no space") as raised:
        numbers(run, bound="mean")
    assert raised.value.result.metrics == raised.value.metrics
    assert "accuracy" in raised.value.metrics


def test_progress_counts_both_splits(trained):
    from contextlib import contextmanager

    seen = []

    @contextmanager
    def bar(description, total):
        seen.append((description, total))
        yield seen.append

    run = Run.open(trained, device="cpu")
    numbers(run, bound="mean", progress=bar)
    (what, total), *steps = seen
    assert what == "classifying"
    assert total == sum(steps) == len(run.data.test) + len(run.data.validation)
