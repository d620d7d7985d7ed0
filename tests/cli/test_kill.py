"""A training killed with SIGKILL twenty times ends with the bytes of one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

KILLS, EARLY, EPOCHS = 20, 5, 10


@pytest.mark.long
def test_twenty_kills_change_no_byte(processes, contents, digits, wait_until, tmp_path):
    settings = (
        *digits,
        "--epochs",
        EPOCHS,
        "--checkpoint-steps",
        3,
        "--validation",
        0.1,
        "--average",
        0.9,
        "--conditional",
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert processes.wait(processes.start(*settings, "--out", whole)).code == 0
    manifest = killed / "checkpoints" / "last.json"
    chance = random.Random(0)
    for kill in range(KILLS):
        again = (
            ("train", "--resume", "--out", killed)
            if (killed / "config.json").exists()
            else (*settings, "--out", killed)
        )
        pid = processes.start(*again)
        if kill >= EARLY:  # some checkpoints later; else at once, or while data and folder are prepared
            for _ in range(chance.choice((1, 1, 2, 3))):
                before = stamp(manifest)
                wait_until(lambda before=before: stamp(manifest) != before)
            time.sleep(chance.uniform(0, 0.03))
        else:
            time.sleep(chance.uniform(0, 0.5))
        os.kill(pid, signal.SIGKILL)
        assert processes.wait(pid).code == -signal.SIGKILL, f"kill {kill + 1} came too late"
    finished = processes.wait(processes.start("train", "--resume", "--out", killed, "--json"))
    assert finished.code == 0, finished
    assert finished.json["epochs"] == EPOCHS
    ours, theirs = comparable(contents(killed)), comparable(contents(whole))
    assert any(name.endswith(".model.safetensors") for name in theirs)
    assert set(ours) == set(theirs)
    for name, content in theirs.items():
        assert ours[name] == content, name


def comparable(files: dict[str, bytes]) -> dict[str, bytes]:
    """Everything, manifests included, but figures (the folder's name is in their title) and hidden files."""
    return {name: content for name, content in files.items() if not name.startswith(("figures", "."))}


def stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_mtime_ns, status.st_ino
