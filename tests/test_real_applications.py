"""The applications on real input, by the command line: classifier, anomaly detection, M1+M2, few labels.

The jobs run two at a time, one thread each; every test waits for its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not os.environ.get("VAELAB_DATA"), reason="VAELAB_DATA is not set"),
]

# Likelihood regret takes minutes; the others share one pass over the images.
QUICK = ("--score", "reconstruction", "--score", "negative_elbo", "--score", "likelihood_path_mixture")
Metrics = dict[str, dict[str, Any]]


def vaelab(*words: str | Path) -> str:
    """Run the command; its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "vaelab", *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def classify(folder: Path) -> Metrics:
    run = folder / "classifier"
    vaelab("train", "--preset", "classifier", "--data", "mnist", "--out", run, "--quiet")
    metrics: Metrics = json.loads(vaelab("classify", run, "--json", "--quiet"))
    return metrics


def detect(folder: Path, normal: str, other: str) -> Metrics:
    run = folder / f"anomaly-{normal}"
    vaelab("train", "--preset", "anomaly", "--data", normal, "--out", run, "--quiet")
    metrics: Metrics = json.loads(vaelab("anomaly", run, "--against", other, *QUICK, "--json", "--quiet"))
    return metrics


def semi_supervise(folder: Path) -> Metrics:
    first, run = folder / "m1", folder / "m1m2"
    vaelab("train", "--preset", "m1", "--data", "mnist", "--out", first, "--quiet")
    vaelab("train", "--preset", "m1m2", "--m1", first, "--data", "mnist", "--out", run, "--quiet")
    metrics: Metrics = json.loads(vaelab("classify", run, "--by", "posterior", "--json", "--quiet"))
    return metrics


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Metrics]]]:
    folder = tmp_path_factory.mktemp("applications")
    with ThreadPoolExecutor(2) as pool:
        yield {
            "classifier": pool.submit(classify, folder),
            "fashion-mnist": pool.submit(detect, folder, "fashion-mnist", "mnist"),
            "mnist": pool.submit(detect, folder, "mnist", "fashion-mnist"),
            "m1+m2": pool.submit(semi_supervise, folder),
        }


def show(capsys: pytest.CaptureFixture[str], title: str, metrics: Metrics, names: list[str]) -> None:
    with capsys.disabled():
        print(f"\n{title}")
        for name in names:
            entry = metrics[name]
            print(f"  {name}: {entry['value']} ± {entry['standard_error']}, n = {entry['n']}, {entry['protocol']}")


@pytest.mark.parametrize(
    ("normal", "score", "least"),
    [("fashion-mnist", "likelihood_path_mixture", 0.98), ("mnist", "reconstruction", 0.9995)],
)
def test_one_data_set_is_told_from_the_other(
    normal: str, score: str, least: float, jobs: dict[str, Future[Metrics]], capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = jobs[normal].result()
    show(capsys, f"anomalies, trained on {normal}", metrics, [name for name in metrics if name.startswith("auroc_")])
    assert metrics[f"auroc_{score}"]["n"] == 20_000
    assert metrics[f"auroc_{score}"]["value"] >= least


def test_the_plain_bound_fails_from_clothes_to_digits(jobs: dict[str, Future[Metrics]]) -> None:
    assert jobs["fashion-mnist"].result()["auroc_negative_elbo"]["value"] < 0.5


def test_100_labels_are_enough_for_m1_and_m2(
    jobs: dict[str, Future[Metrics]], capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = jobs["m1+m2"].result()
    show(capsys, "M1+M2, 100 labels", metrics, ["accuracy"])
    assert metrics["accuracy"]["n"] == 10_000
    assert metrics["accuracy"]["value"] >= 0.92


def test_the_generative_classifier_is_right(
    jobs: dict[str, Future[Metrics]], capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = jobs["classifier"].result()
    names = ["accuracy", "classification_nll", "expected_calibration_error", "temperature"]
    show(capsys, "generative classifier", metrics, names)
    assert metrics["accuracy"]["n"] == 10_000
    assert metrics["accuracy"]["value"] >= 0.98
