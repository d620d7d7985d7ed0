"""Checkpoints: a kill at any moment, a full disk or a read-only one leaves the earlier checkpoint or the new one."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from vaelab.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vaelab.errors import VaelabError


def make(step: int) -> Checkpoint:
    tensors = {"weight": torch.full((3, 4), float(step))}
    return Checkpoint({"model": tensors, "optimizer": tensors}, {"step": step})


def same(one: Checkpoint, other: Checkpoint) -> bool:
    def plain(checkpoint: Checkpoint) -> Any:
        return {group: {k: v.tolist() for k, v in held.items()} for group, held in checkpoint.tensors.items()}

    return one.state == other.state and plain(one) == plain(other)


class KilledHere(BaseException):
    pass


class Killer:
    """Makes one call that changes the disk the last one, before it or after it; a kill before fsync tears the file."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int, after: bool) -> None:
        self.calls, self.at, self.after = 0, at, after
        for name in ("replace", "fsync", "unlink", "fdopen"):
            patch.setattr(os, name, self.wrap(name, getattr(os, name)))

    def wrap(self, name: str, real: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls < self.at:
                return real(*args, **options)
            if self.calls == self.at and self.after and name != "fdopen":
                real(*args, **options)
            elif self.calls == self.at and name == "fsync" and stat.S_ISREG(os.fstat(args[0]).st_mode):
                os.truncate(args[0], os.fstat(args[0]).st_size // 2)
            raise KilledHere  # and whatever a handler still wants to do fails too, as after a kill

        return call


def killed_save(folder: Path, at: int, after: bool) -> tuple[int, bool]:
    """Save 1, then 2 but killed: the step that is then loaded, and whether the kill came at all."""
    save_checkpoint(folder, "last", make(1))
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KilledHere):
        killer = Killer(patch, at, after)
        save_checkpoint(folder, "last", make(2))
    loaded = load_checkpoint(folder, "last")
    assert same(loaded, make(loaded.state["step"]))
    save_checkpoint(folder, "last", make(3))  # and the next one cleans up
    assert same(load_checkpoint(folder, "last"), make(3))
    assert len(os.listdir(folder)) == 4
    return loaded.state["step"], killer.calls >= at


def test_a_kill_at_any_point_leaves_the_old_checkpoint_or_the_new_one(tmp_path: Path) -> None:
    steps_left, killed, at = [], True, 0
    while killed:
        at += 1
        for after in (False, True):
            step, killed = killed_save(tmp_path / f"{at}{after}", at, after)
            steps_left.append(step)
    assert at > 15
    assert steps_left == sorted(steps_left)
    assert set(steps_left) == {1, 2}


# One process that imports torch once, and forks a process that saves for ever at each line it is given.
SAVERS = """
import os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from vaelab.checkpoint import Checkpoint, save_checkpoint
for line in sys.stdin:
    saver = os.fork()
    if saver:
        print("pid", saver, flush=True)
        os.waitpid(saver, 0)
        print("end", flush=True)
        continue
    for step in range(1, 1_000_000):
        full = {name: torch.full((100, 100), float(step)) for name in ("a", "b")}
        save_checkpoint(Path(line.strip()), "last", Checkpoint({"model": full, "optimizer": full}, {"step": step}))
        os.write(1, f"{step}\\n".encode())
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_killed_process_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    chance = random.Random(0)
    with start(SAVERS) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for i in range(8):
            print(tmp_path / str(i), file=parent.stdin, flush=True)
            lines: list[str] = []
            while len(lines) < 3:
                lines.append(parent.stdout.readline().strip())
            saver = next(int(line.split()[1]) for line in lines if line.startswith("pid"))
            time.sleep(chance.random() * 0.03)
            os.kill(saver, signal.SIGKILL)
            while lines[-1] != "end":
                lines.append(parent.stdout.readline().strip())
            printed = max(int(line) for line in lines if line.isdigit())
            loaded = load_checkpoint(tmp_path / str(i), "last")
            step = loaded.state["step"]
            assert step in (printed, printed + 1)
            assert all((t == step).all() for tensors in loaded.tensors.values() for t in tensors.values())


FULL = """
import resource, signal, sys
from pathlib import Path
import torch
from vaelab.checkpoint import Checkpoint, save_checkpoint
from vaelab.errors import VaelabError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
def save(size, step):
    tensors = {"model": {"a": torch.full((5,), float(step))}, "optimizer": {"a": torch.full((size,), float(step))}}
    save_checkpoint(Path(sys.argv[1]), "last", Checkpoint(tensors, {"step": step}))
save(5, 1)
try:
    save(5000, 2)
except VaelabError as error:
    print(error)
"""


def test_a_full_disk_is_one_sentence_and_keeps_the_earlier_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    out, errors = start(FULL, str(tmp_path)).communicate(timeout=60)
    assert not errors
    assert out.startswith("cannot write")
    assert out.endswith("free space or choose another place\n")
    assert load_checkpoint(tmp_path, "last").state == {"step": 1}
    assert len(os.listdir(tmp_path)) == 4


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VaelabError, match=r"^cannot write .*choose another place$"):
        save_checkpoint(tmp_path / "file" / "checkpoints", "last", make(1))
    save_checkpoint(tmp_path, "last", make(1))

    def read_only(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.mkstemp", read_only)
    with pytest.raises(VaelabError, match="Read-only file system"):
        save_checkpoint(tmp_path, "last", make(2))
    assert same(load_checkpoint(tmp_path, "last"), make(1))
