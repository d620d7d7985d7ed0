"""``vaelab study``: what it lists, what it refuses, and that a stopped study goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vaelab import studies
from vaelab.cli import main, study
from vaelab.studies.asking import Asked, settings_of

ROWS = {"A": 11, "B": 6, "C": 20, "D": 6, "E": 14}
"""Sheet → how many rows it has."""


def test_the_command_knows_every_study():
    assert study.NAMES == studies.NAMES


def test_every_row_of_the_sheets_is_in_a_section(capsys):
    assert main(["study", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    for sheet, count in ROWS.items():
        (one,) = [entry for entry in listed.values() if entry["sheet"] == sheet]
        assert set(one["rows"]) == {f"{sheet}{number}" for number in range(1, count + 1)}


def test_the_list_names_row_and_section(capsys):
    assert main(["study", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for sheet, count in ROWS.items():
        for number in range(1, count + 1):
            assert [line for line in lines if line.split()[:1] == [f"{sheet}{number}"] and "#" in line]


def test_one_study_is_listed_with_its_options_and_steps(capsys):
    assert main(["study", "list", "conv-cvae"]) == 0
    out = capsys.readouterr().out
    assert "option (--set)" in out
    assert "measurement" in out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["run", "conv-cave", "--out", "x"], 2, "did you mean conv-cvae?"),
        (["run", "conv-cvae"], 2, "Missing option '--out'"),
        (["run", "conv-cvae", "--quick", "--out", "x", "--jobs", "0"], 2, "--jobs ≥ 1"),
        (["run", "conv-cvae", "--quick", "--out", "x", "--set", "speed=1"], 2, "unknown option 'speed'"),
        (["run", "conv-cvae", "--quick", "--out", "x", "--epochs", "0"], 2, "epochs"),
        (["run", "conv-cvae", "--quick", "--out", "x", "--config", "no.toml"], 2, "no.toml"),
        (["run", "conv-cvae", "--quick", "--out", "x", "--data", "nowhere"], 2, "nowhere"),
        (["run", "conv-cvae", "--out", "x", "--redraw"], 1, "study.json"),
        (["run", "all", "--quick", "--out", "x", "--set", "clasifier.training.lr=1"], 2, "no model 'clasifier'"),
        (["run", "conv-cvae", "--quick", "--out", "x", "--set", "samples=0"], 2, "at least 1 for samples"),
        (["list", "nothing"], 2, "unknown study"),
    ],
)
def test_wrong_words_are_one_sentence(words, code, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["study", *words]) == code
    error = capsys.readouterr().err.strip()
    assert sentence in error
    assert error.startswith("vaelab: error: ")
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_a_folder_in_the_way_of_the_last_study_is_told_before_the_first(tmp_path, capsys):
    (tmp_path / "semi-supervised").mkdir()
    (tmp_path / "semi-supervised" / "letter.txt").write_text("dear")
    assert main(["study", "run", "all", "--quick", "--out", str(tmp_path)]) == 2
    assert "something else than a study" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["semi-supervised"]


def test_a_browser_that_is_missing_is_told_before_the_first_step(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("vaelab.report.pdf.BROWSERS", ("chromium",))
    assert main(["study", "run", "conv-cvae", "--quick", "--pdf", "--out", str(tmp_path / "x")]) == 2
    assert "--pdf needs Chromium" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_change_of_a_model_goes_to_the_study_that_has_it():
    from vaelab.cli.study import _all_checked

    chosen = [studies.get("loss-terms"), studies.get("gaussian-elbo")]
    asked = Asked(quick=True, assignments=["longest.training.lr=1e-2", "*.training.epochs=2"])
    options = {name: option for one in chosen for name, option in one.options.items()}
    found = _all_checked(chosen, {one.name: settings_of(one, asked, options=options) for one in chosen}, {
        one.name: Path("nowhere") / one.name for one in chosen
    })  # fmt: skip
    assert set(found["loss-terms"].changes) == {"longest", "*"}
    assert set(found["gaussian-elbo"].changes) == {"*"}


def test_a_step_is_counted_when_it_ends(capsys):
    from vaelab.cli.study_watch import StudyWatch

    one = studies.get("loss-terms")
    steps = one.steps(settings_of(one, Asked(quick=True)))[:2]
    with StudyWatch() as watch:
        watch.plan(one, steps, steps)
        for step in steps:
            watch.begin(step)
            watch.share(step, 1.0)
        for step in steps:
            watch.end(step, 1.0)
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()[1:]] == ["[1/2]", "[2/2]"]


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="SIGINT goes to the whole group there")
def test_a_stopped_study_goes_on(tmp_path):
    """In parallel, in a process of its own: SIGINT ends it with 130 and all workers, and the same command goes on."""
    out = tmp_path / "study"
    words = [
        sys.executable,
        "-m",
        "vaelab",
        "study",
        "run",
        "loss-terms",
        "--quick",
        "--jobs",
        "2",
        "--no-notebook",
        "--epochs",
        "1",
    ]
    words += ["--out", str(out)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    steps = out / "steps"
    wait_for(lambda: finished(steps), process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "run the same command again to go on" in error
    before = {name: (steps / f"{name}.json").read_bytes() for name in finished(steps)}
    again = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    assert f"{len(before)} of them done before" in again.stderr
    assert all((steps / f"{name}.json").read_bytes() == kept for name, kept in before.items())
    assert (out / "report.html").exists()


def finished(steps: Path) -> list[str]:
    return [file.stem for file in steps.glob("*.json") if json.loads(file.read_bytes())["done"]]


def wait_for(found, process) -> None:
    end = time.monotonic() + 120
    while not found():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
