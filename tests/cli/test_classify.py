"""``vaelab classify``: what it prints, and what it refuses."""

from __future__ import annotations

import json
import shutil

import pytest


@pytest.fixture
def cvae(conditional, tmp_path):
    """A copy of the conditional run."""
    return shutil.copytree(conditional, tmp_path / "cvae")


def test_json_is_what_metrics_json_holds(vaelab, cvae):
    result = vaelab("classify", cvae, "--samples", 2, "--json")
    assert result.code == 0
    assert result.json == json.loads((cvae / "metrics.json").read_text(encoding="utf-8"))
    assert {"accuracy", "classification_nll", "expected_calibration_error", "temperature"} <= set(result.json)
    for metric in result.json.values():
        assert set(metric) == {"value", "standard_error", "unit", "n", "protocol"}
    assert "no temperature was fitted" in result.err
    again = vaelab("classify", cvae, "--samples", 2, "--json", "--quiet")
    assert (again.out, again.err) == (result.out, "")


def test_table_counts_and_files(vaelab, cvae):
    out = vaelab("classify", cvae, "--bound", "mean").out
    assert "share of images" in out
    assert "label \\ predicted" in out
    counts = [line.split() for line in out.splitlines() if line[:1].isdigit()]
    assert len(counts) == 10
    assert sum(int(row[-2]) for row in counts) == 359
    files = out.split("\n\n")[-1].split()
    assert files[0] == str(cvae / "predictions" / "test.csv")
    assert str(cvae / "figures" / "confusion-matrix.png") in files


def test_what_has_no_classes_is_refused(vaelab, trained):
    vaelab("classify", trained).refused(2, "no condition", "--conditional")


def test_wrong_words_are_refused(vaelab, cvae):
    vaelab("classify", cvae, "--bound", "upper").refused(2, "upper", "importance")
    vaelab("classify", cvae, "--prior", "0.5,0.5").refused(2, "10 class probabilities")
    vaelab("classify", cvae, "--by", "posterior").refused(2, "no label network")
    vaelab("classify", cvae, "--split", "validation").refused(2, "no validation images")
    assert not (cvae / "metrics.json").exists()
    assert not (cvae / "predictions").exists()


def test_numbers_are_shown_where_they_cannot_be_saved(vaelab, cvae):
    (cvae / "predictions").write_text("")
    result = vaelab("classify", cvae, "--bound", "mean", "--json", "--quiet")
    result.refused(1, "cannot write", "predictions")
    assert "accuracy" in result.json
