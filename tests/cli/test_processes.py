"""Signals, pipes, terminals and full disks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from vaelab import workflows
from vaelab.errors import VaelabError

EPOCHS = 12


@pytest.fixture(scope="module")
def whole(vaelab, digits, tmp_path_factory):
    """A training that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert vaelab(*digits, "--epochs", EPOCHS, "--out", out, "-q").code == 0
    return out


def weights(contents, run):
    """The tensors of the checkpoint and the history."""
    files = contents(run)
    tensors = [name for name in files if name.startswith("checkpoints/last-") and name.endswith(".safetensors")]
    return {name.split(".", 1)[1]: files[name] for name in tensors} | {"history": files["history.csv"]}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_the_run_resumable(
    vaelab, processes, digits, contents, wait_until, whole, tmp_path, number, code
):
    out = tmp_path / "run"
    pid = processes.start(*digits, "--epochs", EPOCHS, "--out", out)
    wait_until((out / "checkpoints" / "last.json").exists)
    os.kill(pid, number)
    result = processes.wait(pid)
    result.refused(code, f"stopped by {number.name} at step", str(out))
    assert f"vaelab train --resume --out {out}" in result.err
    assert vaelab("train", "--resume", "--out", out, "-q").code == 0
    assert weights(contents, out) == weights(contents, whole)


def test_python_m_vaelab_and_ctrl_c(digits, wait_until, tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "vaelab", *digits, "--epochs", "500", "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until((out / "checkpoints" / "last.json").exists)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "vaelab: error: stopped by SIGINT" in errors


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_the_data_is_read(vaelab, monkeypatch, tmp_path, number, code):
    def slow(access, config):
        os.kill(os.getpid(), number)
        time.sleep(10)

    monkeypatch.setattr(workflows.DataAccess, "load", slow)
    vaelab("train", "--data", "digits", "--out", tmp_path / "run").refused(code, f"stopped by {number.name}")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "--batch-size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 3 bytes."), "--batch-size"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), "--batch-size"),
        (OSError(28, "No space left on device", "/x/y"), "/x/y: No space left on device"),
        (OSError("strange"), "strange"),
        (VaelabError("two\nlines"), "two lines"),
    ],
)
def test_what_can_happen_anywhere(vaelab, monkeypatch, tmp_path, error, said):
    def fail(access, config):
        raise error

    monkeypatch.setattr(workflows.DataAccess, "load", fail)
    vaelab("train", "--data", "digits", "--out", tmp_path / "run").refused(1, said)


def test_a_mistake_of_our_own_is_a_sentence_and_with_debug_a_traceback(vaelab, monkeypatch, tmp_path):
    def fail(access, config):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(workflows.DataAccess, "load", fail)
    words = ("train", "--data", "digits", "--out", tmp_path / "run")
    result = vaelab(*words)
    assert result.code == 1
    assert result.err.startswith("vaelab: error: this should not have happened: ZeroDivisionError: oops")
    assert "Traceback" not in result.err
    assert "Traceback" in vaelab(*words, "--debug").err
    monkeypatch.setenv("VAELAB_DEBUG", "1")
    assert "Traceback" in vaelab(*words).err


def test_a_closed_pipe_is_no_error():
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m vaelab presets conv-vae | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.stderr
    assert done.stdout.strip() in ("0", "141")


def test_a_pipe_closed_early_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "vaelab", "presets"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_terminal_that_knows_ascii_alone(run):
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "30"}
    done = subprocess.run(
        [sys.executable, "-m", "vaelab", "presets"], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert b"sigma = 0.1" in done.stdout
    help_ = subprocess.run(
        [sys.executable, "-m", "vaelab", "train", "--help"], env=environment, capture_output=True, check=False
    )
    assert help_.returncode == 0
    error = subprocess.run(
        [sys.executable, "-m", "vaelab", "presets", "β"], env=environment, capture_output=True, check=False
    )
    assert error.returncode == 2
    assert error.stderr.startswith(b"vaelab: error: unknown preset 'beta'")


def test_a_full_disk_loses_nothing(vaelab, processes, digits, contents, run, tmp_path):
    before = contents(run)
    words = ("train", "--resume", "--epochs", 4, "--device", "cpu", "--out", run)
    full = processes.wait(processes.start(*words, file_size=100_000))
    full.refused(1, "cannot write", "free space")
    after = contents(run)
    for name, content in before.items():
        if name.startswith("checkpoints"):
            assert after[name] == content
    assert after["history.csv"].startswith(before["history.csv"])
    assert vaelab(*words, "-q").code == 0
    long = tmp_path / "long"
    assert vaelab(*digits, "--epochs", 4, "--out", long, "-q").code == 0
    assert weights(contents, run) == weights(contents, long)


@pytest.mark.parametrize("file_size", [500, 5000], ids=["config.json", "first checkpoint"])
def test_overwriting_on_a_full_disk_loses_nothing(vaelab, processes, digits, contents, run, file_size):
    assert vaelab("evaluate", run, "-q").code == 0
    before = contents(run)
    words = (*digits, "--epochs", 1, "--out", run, "--overwrite")
    processes.wait(processes.start(*words, file_size=file_size)).refused(1, "cannot write")
    assert contents(run) == before
    assert vaelab("evaluate", run, "-q").code == 0
    assert vaelab(*words, "-q").code == 0
    assert not (run / "metrics.json").exists()


def test_results_are_shown_where_they_cannot_be_saved(vaelab, monkeypatch, run):
    words = (("evaluate", run), ("evaluate", run, "--json"))
    expected = [vaelab(*line).out for line in words]
    before = (run / "metrics.json").read_bytes()

    def full(path, data):
        raise VaelabError(f"cannot write {path}: No space left on device; free space or choose another place")

    monkeypatch.setattr("vaelab.runfolder.write_atomic", full)
    for line, shown in zip(words, expected, strict=True):
        result = vaelab(*line)
        result.refused(1, "metrics.json: No space left")
        assert result.out == shown
    assert (run / "metrics.json").read_bytes() == before


def test_a_disk_full_from_the_start(processes, digits, tmp_path):
    result = processes.wait(processes.start(*digits, "--epochs", 1, "--out", tmp_path / "run", file_size=1000))
    result.refused(1, "cannot write")
