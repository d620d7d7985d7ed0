"""Run folders: made once, refused when foreign, and their files whole whatever happens."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.errors import CheckpointError, UsageError, VaelabError
from vaelab.runfolder import History, HistoryWriter, RunFolder, read_history

CONFIG = {"seed": 3, "rate": 0.1 + 0.2, "model": {"latent": 2, "channels": [32, 64]}, "data": "mnist"}
COLUMNS = ("step", "split", "loss")


def one_sentence(caught: pytest.ExceptionInfo[VaelabError], *words: str) -> None:
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert ";" in sentence, "names no remedy"
    for word in words:
        assert word in sentence


# --- create and open


def test_a_run_folder_keeps_its_configuration(tmp_path: Path) -> None:
    made = RunFolder.create(tmp_path / "deep" / "run", CONFIG)
    assert made.config() == CONFIG
    opened = RunFolder.open(tmp_path / "deep" / "run")
    assert opened.config() == CONFIG
    document = json.loads(opened.config_path.read_text())
    assert list(document)[:3] == ["format", "version", "vaelab"]
    assert (document["format"], document["version"]) == ("vaelab-run", 1)
    assert opened.history() == {}
    assert opened.metrics() == {}


def test_a_folder_that_is_not_free_is_refused_and_left_alone(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", CONFIG)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for path, overwrite, words in [
        (run.path, False, ("already holds a run", "--out", "--resume")),
        (foreign, False, ("thesis.tex", "choose another --out")),
        (foreign, True, ("thesis.tex", "choose another --out")),
        (tmp_path / "file", True, ("is a file", "--out")),
    ]:
        with pytest.raises(UsageError) as caught:
            RunFolder.create(path, {"seed": 4}, overwrite=overwrite)
        one_sentence(caught, str(path), *words)
    assert run.config() == CONFIG
    assert os.listdir(foreign) == ["thesis.tex"]
    with pytest.raises(VaelabError) as error:
        RunFolder.create(tmp_path / "file" / "run", CONFIG)
    one_sentence(error, "cannot write", "--out")


def test_a_configuration_that_is_no_json_leaves_no_folder(tmp_path: Path) -> None:
    for value in (float("inf"), float("nan"), object()):
        with pytest.raises(CheckpointError, match="the configuration, rate"):
            RunFolder.create(tmp_path / "run", {"rate": value})
    with pytest.raises(ValueError, match="cannot hold format"):
        RunFolder.create(tmp_path / "run", {"format": "x"})
    assert not (tmp_path / "run").exists()


def test_an_empty_folder_and_what_a_killed_start_left_are_free(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("")
    (tmp_path / ".config.json.a1b2c3d4").write_text("torn")
    assert RunFolder.create(tmp_path, CONFIG).config() == CONFIG
    assert sorted(os.listdir(tmp_path)) == [".lock", "config.json"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ("no config.json",)),
        ("", ("no configuration of a run",)),
        ("{", ("damaged",)),
        ("[]", ("expected a JSON object, got list",)),
        ('{"format": "other", "version": 1}', ("'vaelab-run'", "'other'")),
        ('{"seed": 1}', ("got None",)),
        ('{"format": "vaelab-run", "version": 2}', ("version 2", "update vaelab")),
        ('{"format": "vaelab-run"}', ("expected a version number",)),
        ("\x80\x04N.", ("pickled content is never loaded",)),
    ],
)
def test_what_is_no_run_folder_is_refused(tmp_path: Path, text: str | None, words: tuple[str, ...]) -> None:
    if text is not None:
        (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError) as caught:
        RunFolder.open(tmp_path)
    one_sentence(caught, str(tmp_path), *words)


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, word in [("nowhere", "does not exist"), ("file", "is a file")]:
        with pytest.raises(CheckpointError) as caught:
            RunFolder.open(tmp_path / name)
        one_sentence(caught, word, "--out")
    (tmp_path / "config.json").mkdir()
    with pytest.raises(CheckpointError) as caught:
        RunFolder.open(tmp_path)
    one_sentence(caught, "cannot read")


# --- lock

HOLDER = """
import sys
from pathlib import Path
from vaelab.runfolder import RunFolder
with RunFolder(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fcntl")
def test_a_second_process_is_kept_out_until_the_first_is_gone(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", CONFIG)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for enter in (lambda: run.lock().__enter__(), lambda: RunFolder.create(run.path, {}, overwrite=True)):
            with pytest.raises(VaelabError) as caught:
                enter()
            one_sentence(caught, f"another process is training into {run.path}", "wait for it or choose another --out")
        assert run.config() == CONFIG
        holder.kill()
    for _ in range(2):
        with run.lock():
            pass


def test_a_file_system_without_locks_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(37, "No locks available")))
    with RunFolder(tmp_path).lock():
        pass


# --- history

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "step": st.integers(),
            "split": st.text(st.characters(exclude_categories=["C", "Z"]), max_size=8),
            "loss": st.floats() | st.none(),
        }
    ),
    max_size=8,
)


@settings(max_examples=50, deadline=None)
@given(before=ROWS, lost=ROWS, after=ROWS)
def test_a_resumed_history_has_the_bytes_of_an_uninterrupted_one(
    tmp_path_factory: pytest.TempPathFactory, before: list[Any], lost: list[Any], after: list[Any]
) -> None:
    path = tmp_path_factory.mktemp("history") / "history.csv"
    writer = HistoryWriter(path, COLUMNS)
    for row in before:
        writer.append(row)
    size = writer.flush()
    assert size == path.stat().st_size
    for row in lost:
        writer.append(row)
    writer.flush()
    writer = HistoryWriter.resume(path, COLUMNS, size)
    for row in after:
        writer.append(row)
        writer.flush()

    whole = HistoryWriter(path.with_name("whole.csv"), COLUMNS)
    for row in before + after:
        whole.append(row)
    assert whole.flush() == whole.flush()
    assert path.read_bytes() == whole.path.read_bytes()
    history = read_history(path)
    assert repr(history["step"]) == repr([row["step"] for row in before + after])
    assert history["split"] == [row["split"] for row in before + after]
    losses = [math.nan if row["loss"] is None else row["loss"] for row in before + after]
    assert repr(history["loss"]) == repr(losses)


def test_the_file_is_plain_csv(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path / "history.csv", COLUMNS)
    writer.append({"step": 1, "split": "train", "loss": 0.1})
    assert (tmp_path / "history.csv").read_bytes() == b"step,split,loss\n", "rows wait for flush"
    writer.append({"step": 2, "split": 'va"l,id'})
    writer.flush()
    assert (tmp_path / "history.csv").read_bytes() == b'step,split,loss\n1,train,0.1\n2,"va""l,id",\n'
    history = read_history(tmp_path / "history.csv")
    assert history["missing"] == []
    assert history.where(split="train") == {"step": [1], "split": ["train"], "loss": [0.1]}
    assert History().where(split="train") == {}


def test_rows_that_do_not_fit_the_columns_are_refused(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path / "history.csv", COLUMNS)
    for row in ({"other": 1}, {"loss": "word"}, {"split": 3}, {"split": "two\nlines"}):
        with pytest.raises(ValueError, match="expected"):
            writer.append(row)
    assert writer.flush() == len(b"step,split,loss\n")


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(b'step,split,loss\n1,train,0.5\n2,"tra')
    assert read_history(path) == {"step": [1], "split": ["train"], "loss": [0.5]}
    path.write_bytes(b"step,spl")
    assert read_history(path) == {}
    path.write_bytes(b"step,split,loss\n")
    assert read_history(path) == {"step": [], "split": [], "loss": []}


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        (b"1,train\n", "line 2: expected 3 cells, got 2"),
        (b"1,train,0.5\n\n", "line 3: expected 3 cells, got 0"),
        (b"1,train,\xff\n", "line 2, loss: expected a number"),
        (b'1,"train"x,0\n', "damaged"),
    ],
)
def test_a_damaged_history_is_refused(tmp_path: Path, rows: bytes, word: str) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(b"step,split,loss\n" + rows)
    with pytest.raises(CheckpointError) as caught:
        RunFolder(tmp_path).history()
    one_sentence(caught, str(path), word)


def test_a_history_that_does_not_fit_the_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    with pytest.raises(CheckpointError, match="cannot read"):
        HistoryWriter.resume(path, COLUMNS, 16)
    writer = HistoryWriter(path, COLUMNS)
    writer.append({"step": 1, "split": "train", "loss": 0.5})
    size = writer.flush()
    whole = path.read_bytes()
    for columns, at, word in [
        (COLUMNS, size + 1, f"expected {size + 1} bytes or more, got {size}"),
        (COLUMNS, size - 2, "expected a line to end"),
        (COLUMNS, 0, "expected the columns"),
        (("step", "loss"), size, "expected the columns step, loss"),
    ]:
        with pytest.raises(CheckpointError) as caught:
            HistoryWriter.resume(path, columns, at)
        one_sentence(caught, str(path), word)
    assert path.read_bytes() == whole


FULL = """
import resource, signal, sys
from pathlib import Path
from vaelab.errors import VaelabError
from vaelab.runfolder import HistoryWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
writer = HistoryWriter(Path(sys.argv[1]), ["step"])
for step in range(10):
    writer.append({"step": step})
writer.flush()
for step in range(10, 1000):
    writer.append({"step": step})
try:
    writer.flush()
except VaelabError as error:
    print(error)
"""


def test_a_full_disk_keeps_the_rows_flushed_before(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    path = tmp_path / "history.csv"
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.startswith(f"cannot write {path}: File too large; free space")
    assert path.read_bytes() == b"step\n" + b"".join(b"%d\n" % step for step in range(10))


def test_a_history_that_vanished_or_shrank_is_one_sentence(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path / "history.csv", COLUMNS)
    writer.append({"step": 1})
    os.truncate(writer.path, 3)
    with pytest.raises(VaelabError) as caught:
        writer.flush()
    one_sentence(caught, "became shorter")
    writer.path.unlink()
    with pytest.raises(VaelabError) as caught:
        writer.flush()
    one_sentence(caught, "cannot write")
