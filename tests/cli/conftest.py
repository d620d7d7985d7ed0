"""Running the command line: in this process, or as processes that can be killed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vaelab.cli import main

DIGITS = ("train", "--preset", "digits-vae", "--device", "cpu", "--schedule", "constant")


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def refused(self, code: int, *words: str) -> None:
        """Ended as every error does: this code, one sentence on standard error, no traceback."""
        assert self.code == code, self
        assert "Traceback" not in self.err + self.out
        sentences = [line for line in self.err.splitlines() if line.startswith("vaelab: error: ")]
        assert len(sentences) == 1, self.err
        assert "this should not have happened" not in sentences[0]
        for word in words:
            assert word in sentences[0]


def call(*arguments: object) -> Result:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Result(code, out.getvalue(), err.getvalue())


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder and its bytes; the lock says nothing."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture(scope="session")
def vaelab() -> Callable[..., Result]:
    return call


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    return files_of


@pytest.fixture(scope="session")
def digits() -> Sequence[str]:
    """The words that begin a small training on the embedded digits."""
    return DIGITS


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("VAELAB_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VAE of two epochs; tests read it only."""
    out = tmp_path_factory.mktemp("trained") / "vae"
    assert call(*DIGITS, "--epochs", 2, "--out", out, "--quiet").code == 0
    return out


@pytest.fixture(scope="session")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional VAE of one epoch; tests read it only."""
    out = tmp_path_factory.mktemp("trained") / "cvae"
    assert call(*DIGITS, "--epochs", 1, "--conditional", "--out", out, "--quiet").code == 0
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of `trained` that a test may damage."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


class Processes:
    """Starts real processes quickly: a helper loads torch once, each command is a fork of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.helper = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forks.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert self._ask(ready=True) == "ready"

    def _ask(self, **question: Any) -> Any:
        assert self.helper.stdin is not None
        assert self.helper.stdout is not None
        print(json.dumps(question), file=self.helper.stdin, flush=True)
        return json.loads(self.helper.stdout.readline())

    def start(self, *arguments: object, file_size: int | None = None) -> int:
        """Start a command; its process id. ``file_size``: no file may grow larger, as on a full disk."""
        self.count += 1
        output = str(self.folder / str(self.count))
        return int(self._ask(start=[str(argument) for argument in arguments], output=output, file_size=file_size))

    def wait(self, pid: int) -> Result:
        """Wait for the command started last; the code is negative where a signal ended it."""
        code = int(self._ask(wait=pid))
        streams = [(self.folder / f"{self.count}.{name}").read_text(encoding="utf-8") for name in ("out", "err")]
        return Result(code, *streams)

    def stop(self) -> None:
        assert self.helper.stdin is not None
        assert self.helper.stdout is not None
        self.helper.stdin.close()
        self.helper.wait(10)
        self.helper.stdout.close()


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    started = Processes(tmp_path_factory.mktemp("processes"))
    yield started
    started.stop()


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], bool]], None]:
    def wait(true: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end
            time.sleep(0.002)

    return wait
