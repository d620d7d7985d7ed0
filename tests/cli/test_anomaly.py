"""``vaelab anomaly``: what it prints, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

QUICK = ("--samples", 2, "--steps", 2, "--limit", 60)


@pytest.fixture
def no_figures(monkeypatch):
    """They take most of the time."""
    from vaelab.tasks import anomaly

    monkeypatch.setattr(anomaly, "_figures", lambda *arguments: iter(()))


def test_json_is_what_metrics_json_holds(vaelab, run, no_figures):
    result = vaelab("anomaly", run, "--against", "digits", *QUICK, "--json")
    assert result.code == 0
    stored = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert {f"anomaly_digits_{name}": metric for name, metric in result.json.items()} == stored
    scores = ("reconstruction", "negative_elbo", "negative_log_likelihood", "kl", "likelihood_regret")
    assert {f"auroc_{score}" for score in (*scores, "likelihood_path", "likelihood_path_copod")} <= set(result.json)
    for metric in result.json.values():
        assert set(metric) == {"value", "standard_error", "unit", "n", "protocol"}
    assert "no validation images" in result.err
    assert vaelab("anomaly", run, "--against", "digits", *QUICK, "--json", "--quiet").out == result.out


def test_table_verdicts_and_files(vaelab, run, tmp_path):
    np.savez(tmp_path / "noise.npz", images=np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8))
    words = ("--score", "reconstruction", "--score", "likelihood_path:features=error/mean", "--quiet")
    result = vaelab("anomaly", run, "--against", tmp_path / "noise.npz", *words, *QUICK)
    assert (result.code, result.err) == (0, "")
    assert "Normal: 60 images of digits. Anomalous: 60 images of noise.npz." in result.out
    rows = [line for line in result.out.splitlines() if line.startswith(("reconstruction ", "likelihood_path:"))]
    assert len([row for row in rows if "[" in row]) == 2
    assert "best of these: AUROC" in result.out
    files = result.out.split("\n\n")[-1].split()
    assert len(files) == 5
    assert files[0].startswith(str(run / "anomaly" / "noise-"))


def test_what_cannot_be_compared_is_refused(vaelab, run, conditional, tmp_path):
    vaelab("anomaly", run).refused(2, "--against")
    vaelab("anomaly", run, "--against", "digits", "--score", "kll").refused(2, "'kll'", "kl")
    vaelab("anomaly", run, "--against", "digits", "--false-alarms", 2).refused(2, "between 0 and 1")
    vaelab("anomaly", run, "--against", tmp_path / "none.npz").refused(1, "nothing there")
    vaelab("anomaly", conditional, "--against", "digits").refused(2, "conditional", "--unconditional")
    np.savez(tmp_path / "rgb.npz", images=np.zeros((9, 12, 12, 3), np.uint8))
    vaelab("anomaly", run, "--against", tmp_path / "rgb.npz").refused(1, "1×8×8", "3×8×8", "convert")
    assert not (run / "metrics.json").exists()


def test_numbers_are_shown_where_they_cannot_be_saved(vaelab, run):
    (run / "anomaly" / "digits.csv").mkdir(parents=True)
    result = vaelab("anomaly", run, "--against", "digits", "--score", "kl", "--json", "--quiet")
    result.refused(1, "cannot write", "digits.csv")
    assert "auroc_kl" in result.json
