"""The evaluation of several runs: every cell once, whatever happens in between."""

from __future__ import annotations

import csv
import itertools
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vaelab
from vaelab.applications.representations import running
from vaelab.errors import DataError, Interrupted, UsageError
from vaelab.run import Run
from vaelab.tasks.semi_supervised import COLUMNS, Asked, Report, evaluate_runs, sources
from vaelab.tasks.semi_supervised import evaluation as evaluation_module

TINY = {"epochs": 1, "device": "cpu"}
NETWORKS = {"encoder": "mlp:hidden=32/", "decoder": "mlp:hidden=32/", "latent": 4}
ASKED: dict[str, Any] = {
    "labels": (20, 100, 0),
    "seeds": 2,
    "methods": ("logistic-regression", "svm"),
    "raw_methods": ("logistic-regression",),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A VAE and a denoising autoencoder; the first held images out for validation."""
    folder = tmp_path_factory.mktemp("runs")
    vaelab.train("digits-vae", out=folder / "vae", model=NETWORKS, training=TINY, data={"validation": 100})
    vaelab.train("denoising", out=folder / "dae", model=NETWORKS, training=TINY, data="digits")
    return [folder / "vae", folder / "dae"]


def evaluate(paths: list[Path], out: Path, **changes: Any) -> Report:
    return evaluate_runs([Run.open(path, device="cpu") for path in paths], out, Asked(**ASKED | changes), jobs=1)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The cells that are measured from now on."""
    cells: list[Any] = []
    measure = running.measure

    def noted(problem, cell):
        cells.append(cell)
        return measure(problem, cell)

    monkeypatch.setattr(running, "measure", noted)
    return cells


@pytest.fixture(scope="module")
def finished(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    out = tmp_path_factory.mktemp("results") / "out"
    return out, evaluate(runs, out)


def table(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_csv_has_every_cell_once(finished):
    out, report = finished
    rows = table(out)
    assert tuple(rows[0]) == COLUMNS
    methods = {"vae": ASKED["methods"], "dae": ASKED["methods"], "raw": ASKED["raw_methods"]}
    expected = {
        (name, method, str(count), str(seed))
        for name, known in methods.items()
        for method, count, seed in itertools.product(known, (20, 100, 1438), (0, 1))
    }
    assert sorted((row["representation"], row["method"], row["labels"], row["seed"]) for row in rows) == sorted(
        expected
    )
    assert {row["representation"]: row["kind"] for row in rows} == {
        "vae": "vae",
        "dae": "denoising autoencoder",
        "raw": "pixels",
    }
    for row in rows:
        accuracy = float(row["accuracy"])
        assert 0 <= accuracy <= 1
        assert float(row["standard_error"]) == pytest.approx((accuracy * (1 - accuracy) / 359) ** 0.5)
        assert row["test_images"] == "359"
        assert row["hyperparameters"].startswith("C=")
        assert "3-fold" in row["protocol"] or "2-fold" in row["protocol"]
    assert len(report.rows) == len(rows) == 30
    assert report.measured == 20 + 5  # with all labels, nothing is random in these methods


def test_the_other_files(finished, runs):
    out, report = finished
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["labels"] == [20, 100, 1438]
    assert config["training_images"] == 1438
    assert [found["name"] for found in config["representations"]] == ["vae", "dae", "raw"]
    page = (out / "table.md").read_text(encoding="utf-8")
    assert "| representation | method | 20 | 100 | 1,438 |" in page
    assert all(sentence in page for sentence in report.conclusions)
    assert (out / "figures" / "labels-stratified.png").read_bytes().startswith(b"\x89PNG")
    # svm on all labels is one computation: no spread
    once = next(s for s in report.summaries if (s.representation, s.method, s.labels) == ("vae", "svm", 1438))
    assert once.spread is None
    assert once.seeds == (0, 1)


def test_finished_cells_and_representations_are_not_computed_again(finished, runs, measured, monkeypatch):
    out, report = finished
    before = {path: path.stat().st_mtime_ns for path in (out / "cells").rglob("*.json")}
    monkeypatch.setattr(sources, "representation", None)
    again = evaluate(runs, out)
    assert measured == []
    assert again.measured == 0
    assert [row.result for row in again.rows] == [row.result for row in report.rows]
    assert {path: path.stat().st_mtime_ns for path in (out / "cells").rglob("*.json")} == before


def test_more_seeds_labels_and_methods_add_cells(runs, tmp_path, measured):
    small = {"methods": ("svm",), "raw_methods": ()}
    evaluate(runs[:1], tmp_path, labels=(20,), seeds=1, **small)
    assert len(measured) == 1
    evaluate(runs[:1], tmp_path, labels=(20, 30), seeds=2, **small)
    assert len(measured) == 4
    assert len({(cell.labels, cell.seed) for cell in measured}) == 4
    evaluate(runs, tmp_path, labels=(30,), seeds=1, methods=("svm",), raw_methods=(), choices=("stratified", "plain"))
    assert [(cell.representation, cell.choice) for cell in measured[4:]] == [
        ("dae", "plain"),
        ("dae", "stratified"),
        ("vae", "plain"),
    ]
    assert len(table(tmp_path)) == 4


def test_damaged_cells_and_representations_are_made_again(runs, tmp_path, measured):
    small: dict[str, Any] = {"labels": (20,), "seeds": 2, "methods": ("svm",), "raw_methods": ()}
    first = evaluate(runs[:1], tmp_path, **small)
    cells = sorted((tmp_path / "cells").rglob("*.json"))
    cells[0].write_text('{"format": "vaelab-semi-supervised-cell"', encoding="utf-8")
    (tmp_path / "representations" / "vae.npz").write_bytes(b"PK\x03\x04 torn")
    again = evaluate(runs[:1], tmp_path, **small)
    assert len(measured) == 3
    assert [row.result.accuracy for row in again.rows] == [row.result.accuracy for row in first.rows]


def test_another_model_under_the_same_name_is_measured_anew(runs, tmp_path, measured):
    small: dict[str, Any] = {"labels": (20,), "seeds": 1, "methods": ("svm",), "raw_methods": ()}
    evaluate(runs[:1], tmp_path / "out", **small)
    vaelab.train("digits-vae", out=tmp_path / "vae", model=NETWORKS, training=TINY | {"seed": 1})
    evaluate([tmp_path / "vae"], tmp_path / "out", **small)
    assert len(measured) == 2


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_finished_cells(signum, code, runs, tmp_path, measured, monkeypatch):
    noted = running.measure

    def stopped(problem, cell):
        if len(measured) == 3:
            os.kill(os.getpid(), signum)
        return noted(problem, cell)

    monkeypatch.setattr(running, "measure", stopped)
    with pytest.raises(Interrupted, match=r"stopped after 4 of 25 cells.*run the same command again") as caught:
        evaluate(runs, tmp_path)
    assert caught.value.exit_code == code
    assert len(list((tmp_path / "cells").rglob("*.json"))) == 4
    monkeypatch.setattr(running, "measure", noted)
    report = evaluate(runs, tmp_path)
    assert report.measured == 21
    assert len(measured) == len(set(measured)) == 25


def test_results_are_those_of_another_folder_and_order(finished, runs, tmp_path):
    _, report = finished
    other = evaluate(runs[::-1], tmp_path)
    accuracies = [{row.cell: row.result.accuracy for row in found.rows} for found in (report, other)]
    assert accuracies[0] == accuracies[1]


def test_default_numbers_of_labels_are_those_that_the_data_has():
    assert Asked().counts(60_000) == [50, 100, 500, 1000, 5000, 60_000]
    assert Asked().counts(1438) == [50, 100, 500, 1000, 1438]
    assert Asked(labels=(0, 10, 10, 40)).counts(40) == [10, 40]
    with pytest.raises(UsageError, match="at most 1,438 labels"):
        Asked(labels=(2000,)).counts(1438)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ("tree",)}, "method"),
        ({"choices": ("random",)}, "choice of labels"),
        ({"seeds": 0}, "at least 1 seed"),
        ({"methods": ()}, "at least one method"),
        ({"labels": (-5,)}, "numbers of labels"),
    ],
)
def test_wrong_words_and_numbers_are_refused(changes, words):
    with pytest.raises(UsageError, match=words):
        Asked(**changes)


def test_runs_that_do_not_fit_are_refused(runs, tmp_path):
    with pytest.raises(UsageError, match="different names, got vae twice"):
        evaluate([runs[0], runs[0]], tmp_path / "out")
    with pytest.raises(UsageError, match="at least one run"):
        evaluate([], tmp_path / "out")
    vaelab.train("digits-cvae", out=tmp_path / "cvae", training=TINY)
    with pytest.raises(UsageError, match="given the labels"):
        evaluate([tmp_path / "cvae"], tmp_path / "out")
    vaelab.train("digits-vae", out=tmp_path / "raw", training=TINY, data={"seed": 3})
    with pytest.raises(UsageError, match="cannot be called raw"):
        evaluate([tmp_path / "raw"], tmp_path / "out")
    (tmp_path / "raw").rename(tmp_path / "other")
    with pytest.raises(UsageError, match="of the same images"):
        evaluate([runs[0], tmp_path / "other"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folders_of_something_else_are_refused(runs, tmp_path):
    with pytest.raises(vaelab.VaelabError, match="is no configuration of a semi-supervised evaluation"):
        evaluate(runs, runs[0])
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="something else"):
        evaluate(runs, tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        evaluate(runs, tmp_path / "notes.txt")


def train_on(tmp_path: Path, **arrays: Any) -> Path:
    np.savez(tmp_path / "data.npz", **arrays)
    data, out = str(tmp_path / "data.npz"), tmp_path / "run"
    vaelab.train("digits-vae", out=out, data=data, model=NETWORKS, training=TINY | {"batch_size": 16})
    return out


def test_data_without_labels_is_refused(tmp_path):
    run = train_on(tmp_path, images=np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8))
    with pytest.raises(DataError, match="expected labelled images"):
        evaluate([run], tmp_path / "out")


def test_colour_images_and_a_single_class(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    run = train_on(tmp_path, images=images, labels=np.zeros(40, dtype=int))
    report = evaluate([run], tmp_path / "out", labels=(5, 0))
    assert {row.result.accuracy for row in report.rows} == {1.0}
    assert "one class" in report.rows[0].result.protocol


def test_constant_images(tmp_path):
    run = train_on(tmp_path, images=np.full((40, 8, 8), 9, dtype=np.uint8), labels=np.arange(40) % 2)
    report = evaluate([run], tmp_path / "out", labels=(10,), methods=("svm",), raw_methods=("svm",))
    assert {row.result.accuracy for row in report.rows} == {0.5}


def test_the_cores_are_counted_where_no_number_is_given(runs, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(evaluation_module, "run_cells", lambda *args, jobs, **more: seen.append(jobs) or True)
    with pytest.raises(KeyError):  # nothing was measured
        evaluate_runs([Run.open(runs[0], device="cpu")], tmp_path, Asked(**ASKED))
    assert seen[0] >= 1
