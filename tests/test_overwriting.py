"""A run that replaces another: whatever fails or is killed, one of the two is whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from vaelab.errors import CheckpointError, VaelabError
from vaelab.runfolder import RunFolder

CONFIG = {"seed": 3, "data": "mnist"}


def fill(run: RunFolder) -> None:
    for folder in (run.checkpoints, run.figures):
        folder.mkdir()
        (folder / "last.json").write_text("old")
    for file in (run.history_path, run.metrics_path, run.path / "notes.txt"):
        file.write_text("old")


def test_overwrite_removes_the_earlier_run_only(tmp_path: Path) -> None:
    fill(RunFolder.create(tmp_path, CONFIG))
    assert RunFolder.create(tmp_path, {"seed": 4}, overwrite=True).config() == {"seed": 4}
    assert sorted(os.listdir(tmp_path)) == [".lock", "config.json", "notes.txt"]
    (tmp_path / "config.json").write_text('{"compilerOptions": {}}')
    with pytest.raises(CheckpointError, match="is no configuration of a run"):
        RunFolder.create(tmp_path, {"seed": 5}, overwrite=True)
    assert (tmp_path / "config.json").read_text() == '{"compilerOptions": {}}'


def files(folder: Path) -> dict[str, str]:
    """But what a kill while ``config.json`` was written left, which the next training removes."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".config.json."))
    return {str(path.relative_to(folder)): path.read_text() for path in found}


class Killed(BaseException):
    """In a place where nothing is tidied up: what a SIGKILL leaves."""


def test_overwriting_that_fails_or_is_killed_at_any_step_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, failing, error = 0, 0, BaseException()

    def watched(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == failing or (calls > failing and isinstance(error, Killed)):
                raise error
            return function(*arguments, **options)

        return call

    for name in ("rename", "replace", "unlink", "fsync", "rmdir"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    count = 0
    for error in (PermissionError(13, "Permission denied"), Killed()):
        for step in range(1, 100):
            run = tmp_path / f"{type(error).__name__}-{step}"
            failing = 1000
            fill(RunFolder.create(run, CONFIG))
            before = files(run)
            calls, failing = 0, step
            try:
                with RunFolder.begin(run, {"seed": 4}, overwrite=True) as folder:
                    folder.history_path.write_text("new")
                    (folder.path / "samples").mkdir()
                    (folder.samples / "epoch-0001.npy").write_text("new")
                    folder.checkpoints.mkdir()
                    raise KeyError  # noqa: TRY301 - the first checkpoint cannot be written
            except (VaelabError, Killed, OSError):
                count += 1
            except KeyError:
                if calls < step:
                    break
            calls, failing = 0, 1000
            assert RunFolder.open(run).config() == CONFIG
            assert files(run) == before, step
        else:
            raise AssertionError
    assert count > 20


def test_an_overwritten_run_is_gone_once_the_new_one_is_saved(tmp_path: Path) -> None:
    fill(RunFolder.create(tmp_path, CONFIG))
    with pytest.raises(KeyError), RunFolder.begin(tmp_path, {"seed": 4}, overwrite=True) as run:  # noqa: PT012
        run.history_path.write_text("new")
        assert (tmp_path / ".earlier" / "metrics.json").exists()
        run.discard_earlier()
        raise KeyError
    assert RunFolder.open(tmp_path).config() == {"seed": 4}
    assert sorted(os.listdir(tmp_path)) == [".lock", "config.json", "history.csv", "notes.txt"]


def test_what_cannot_be_removed_does_not_stop_the_new_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(RunFolder.create(tmp_path, CONFIG))
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
        RunFolder.create(tmp_path, {"seed": 4}, overwrite=True)
    assert RunFolder.open(tmp_path).config() == {"seed": 4}
    assert sorted(os.listdir(tmp_path)) == [".lock", "config.json", "notes.txt"]


def test_opening_does_not_disturb_a_training_that_has_just_begun(tmp_path: Path) -> None:
    fill(RunFolder.create(tmp_path, CONFIG))
    with RunFolder.begin(tmp_path, {"seed": 4}, overwrite=True):
        assert RunFolder.open(tmp_path).config() == {"seed": 4}
        assert (tmp_path / ".earlier").exists()
