"""``vaelab embed`` and ``vaelab semi-supervised``."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np

from vaelab.applications.representations import METHODS
from vaelab.cli import semi_supervised

FEW = ("--labels", "20,40", "--seeds", 1, "--methods", "svm", "--raw-methods", "svm", "--jobs", 1)


def test_the_methods_are_those_of_the_library():
    assert tuple(METHODS) == semi_supervised.METHODS


def test_embed_writes_arrays_and_says_where(vaelab, run):
    shown = vaelab("embed", run, "--json")
    assert shown.code == 0
    assert shown.json["file"] == str(run / "embeddings.npz")
    assert shown.json["arrays"]["test"] == [359, 2]
    with np.load(run / "embeddings.npz", allow_pickle=False) as stored:
        assert {name: list(stored[name].shape) for name in stored.files if stored[name].ndim} == shown.json["arrays"]
    out = vaelab("embed", run, "--split", "test", "--out", run / "z.npz").out
    assert "359 × 2" in out
    assert out.splitlines()[-1] == str(run / "z.npz")


def test_results_as_text_and_json(vaelab, trained, tmp_path):
    out = tmp_path / "out"
    text = vaelab("semi-supervised", trained, "--out", out, *FEW)
    assert text.code == 0
    assert "Test accuracy in %, one seed, 359 test images, stratified choice of labels." in text.out
    assert str(out / "results.csv") in text.out
    again = vaelab("semi-supervised", trained, "--out", out, *FEW, "--json").json
    assert (again["cells"], again["measured"]) == (4, 0)
    assert {(row["representation"], row["labels"]) for row in again["summaries"]} == {
        (name, count) for name in ("vae", "raw") for count in (20, 40)
    }
    assert all(row["unit"] == "share of images" and row["n"] == 359 for row in again["summaries"])
    both = vaelab("semi-supervised", trained, "--out", out, *FEW, "--choice", "both", "--no-raw", "--json").json
    assert (both["cells"], both["measured"]) == (4, 2)
    assert set(both["files"]) == {"csv", "table", "figure_stratified", "figure_plain"}


def test_wrong_words_are_refused(vaelab, trained, conditional, tmp_path):
    def refused(*words: object, code: int = 2, says: str) -> None:
        vaelab("semi-supervised", *words, "--out", tmp_path / "out").refused(code, says)
        assert not (tmp_path / "out").exists()

    refused(trained, "--labels", "50,many", says="expected numbers ≥ 1 or all for --labels")
    refused(trained, "--labels", "0", says="--labels")
    refused(trained, "--labels", "5000", says="at most 1,438 labels")
    refused(trained, "--methods", "tree", says="tree")
    refused(trained, "--choice", "random", says="random")
    refused(trained, "--jobs", 0, says="--jobs")
    refused(trained, "--seeds", 0, says="seed")
    refused(conditional, says="given the labels")
    refused(tmp_path / "none", code=1, says="does not exist")
    vaelab("embed", trained, "--split", "rest").refused(2, "unknown split")
    vaelab("embed", trained, "--out", tmp_path / "z.txt").refused(2, ".npz")


def test_stopped_by_a_signal_and_continued(vaelab, processes, trained, tmp_path: Path, wait_until):
    out = tmp_path / "out"
    words = ("semi-supervised", trained, "--out", out, "--labels", "20,40", "--methods", "svm", "--no-raw", "--jobs", 1)
    pid = processes.start(*words, "--seeds", 20)

    def cells() -> set[Path]:
        return set(out.glob("cells/*/*.json"))

    wait_until(lambda: len(cells()) >= 2)
    os.kill(pid, signal.SIGTERM)
    processes.wait(pid).refused(143, "run the same command again to go on")
    kept = {path: path.read_bytes() for path in cells()}
    assert 2 <= len(kept) < 40
    for path, content in kept.items():
        assert json.loads(content)["accuracy"] > 0, path
    done = vaelab(*words, "--seeds", 20, "--json").json
    assert done["cells"] == 40
    assert done["measured"] == 40 - len(kept)
    assert {path: path.read_bytes() for path in kept} == kept
