"""Several processes, started by torchrun, train as one does: the same losses and weights, one folder, one sentence."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vaelab import build_model
from vaelab.checkpoint import load_checkpoint
from vaelab.cli import main
from vaelab.distributed import Processes, Torchrun
from vaelab.errors import UsageError
from vaelab.launch import Launch, is_first, launched
from vaelab.run import Run
from vaelab.runfolder import RunFolder
from vaelab.shares import Share, batch_mean, batch_sum, normal_noise, sharing

TOGETHER = Path(__file__).with_name("together.py")
together = SimpleNamespace(**runpy.run_path(str(TOGETHER)))
DIGITS = (
    "train", "--preset", "digits-vae", "--device", "cpu", "--schedule", "constant", "--encoder", "mlp:hidden=16",
    "--decoder", "mlp:hidden=16", "--variant", "dynamic", "--likelihood", "bernoulli", "--test", "0.3", "--epochs", "2",
    "--validation", "0.1", "--batch-size", "99",
)  # fmt: skip


def torchrun(*words: object, count: int = 2, script: Sequence[object] = ("-m", "vaelab")) -> subprocess.Popen[str]:
    """Start ``count`` processes of ``script``."""
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count, *script, *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error::UserWarning"}
    return subprocess.Popen(
        [str(word) for word in line], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its code, output and errors."""
    out, errors = process.communicate(timeout=120)
    return process.returncode, out, errors


def sentences(errors: str) -> list[str]:
    return [line for line in errors.splitlines() if line.startswith("vaelab: error: ")]


def alone(*words: object) -> None:
    assert main([*map(str, words), "-q"]) == 0


def agree(left: Path, right: Path) -> None:
    """The histories and the kept weights of two runs, to rounding."""
    histories = [RunFolder.open(path).history() for path in (left, right)]
    assert histories[0].keys() == histories[1].keys()
    for column, values in histories[0].items():
        if column == "split":
            assert values == histories[1][column]
        else:
            np.testing.assert_allclose(values, histories[1][column], rtol=2e-5, atol=1e-6)
    weights = [Run.open(path, device="cpu").model.state_dict() for path in (left, right)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-3, atol=2e-5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of `DIGITS`."""
    out = tmp_path_factory.mktemp("alone") / "run"
    alone(*DIGITS, "--out", out)
    return out


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes make of them."""
    out = tmp_path_factory.mktemp("shared") / "run"
    code, shown, errors = ended(torchrun(*DIGITS, "--out", out))
    assert code == 0, errors
    assert shown.count("2 epochs") == 1  # one of them speaks
    assert errors.count("epoch 2/2") == 1
    return out


def test_two_processes_train_as_one(whole: Path, shared: Path) -> None:
    agree(whole, shared)
    left, right = (Run.open(path, device="cpu") for path in (whole, shared))
    assert left.config.to_dict() == right.config.to_dict()
    for name, metric in left.evaluate().items():
        assert right.evaluate()[name].value == pytest.approx(metric.value, rel=1e-4)
    names = [sorted(str(file.relative_to(path)) for file in path.rglob("*.npy")) for path in (whole, shared)]
    assert names[0] == names[1] != []
    assert (shared / "figures" / "curves.png").exists()


@pytest.mark.long
def test_processes_resume_what_one_began(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    alone(*DIGITS, "--epochs", 1, "--out", out)
    code, _, errors = ended(torchrun("train", "--resume", "--epochs", 2, "--out", out))
    assert code == 0, errors
    agree(whole, out)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_torchrun_stops_all(number: signal.Signals, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = torchrun(*DIGITS, "--epochs", 2000, "--out", out)
    end = time.monotonic() + 60
    while not (out / "checkpoints" / "last.json").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(number)
    code, _, errors = ended(process)
    assert code != 0
    (sentence,) = sentences(errors)
    assert f"stopped by {number.name} at step" in sentence
    steps = RunFolder.open(out).history().where(split="step")["step"]
    assert steps == list(range(1, len(steps) + 1))
    assert load_checkpoint(out / "checkpoints", "last").state["step"] == len(steps)


@pytest.mark.long
def test_a_signal_to_one_process_stops_all_at_one_step(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, _, errors = ended(torchrun("fault", "SIGTERM", *DIGITS, "--out", out, script=[TOGETHER]))
    assert code != 0
    (sentence,) = sentences(errors)
    assert sentence == f"vaelab: error: stopped by SIGTERM at step 4; saved in {out}"
    alone("train", "--resume", "--out", out)
    agree(whole, out)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param("load", "process 1: no images on this machine", marks=pytest.mark.long),
        pytest.param("step", "process 1: the memory is full", marks=pytest.mark.long),
        pytest.param("SIGKILL", "another process of this training ended", marks=pytest.mark.long),
    ],
)
def test_what_fails_in_another_process_is_told_once_and_nobody_waits(fault: str, said: str, tmp_path: Path) -> None:
    out, start = tmp_path / "run", time.monotonic()
    code, _, errors = ended(torchrun("fault", fault, *DIGITS, "--out", out, script=[TOGETHER]))
    assert code == 1
    (sentence,) = sentences(errors)
    assert said in sentence
    assert "vaelab/" not in errors
    assert time.monotonic() - start < 60
    assert out.exists() == (fault != "load")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--bogus",), "No such option: --bogus"),
        pytest.param(("--device", "cuda:1"), "use --device cuda, which gives each its own", marks=pytest.mark.long),
        pytest.param(("--lr", "1e10"), "the loss became nan at step", marks=pytest.mark.long),
    ],
)
def test_what_fails_in_all_processes_is_told_once(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    code, _, errors = ended(torchrun(*DIGITS, "--out", tmp_path / "run", *words))
    assert code == 1  # torchrun's own
    (sentence,) = sentences(errors)
    assert said in sentence


@pytest.mark.long
@pytest.mark.parametrize("count", [2, 3])
def test_every_objective_and_draw_is_the_one_of_the_whole_batch(count: int, tmp_path: Path) -> None:
    process = torchrun("cases", tmp_path / "shared", count=count, script=[TOGETHER])
    for name in together.CASES:
        together.train(name, tmp_path / "alone", Processes())
    code, _, errors = ended(process)
    assert code == 0, errors
    for name in together.CASES:
        left, right = (RunFolder.open(tmp_path / kind / name) for kind in ("alone", "shared"))
        for column in ("loss", "reconstruction", "kl"):
            np.testing.assert_allclose(left.history()[column], right.history()[column], rtol=2e-5, err_msg=name)


def test_shares_cover_a_batch_evenly() -> None:
    for whole in range(1, 12):
        for size in range(1, 5):
            shares = [Share.of(whole, rank, size) for rank in range(size)]
            counted = [image for share in shares if share.scale for image in range(whole)[share.part]]
            assert counted == list(range(whole))
            assert sum(share.scale for share in shares) == pytest.approx(size)
            assert all(len(range(whole)[share.part]) > 0 for share in shares)


def test_noise_is_that_of_the_whole_batch() -> None:
    like, share = torch.zeros(()), Share.of(5, 1, 2)
    expected = normal_noise((3, 5, 2), torch.Generator().manual_seed(1), like)
    with sharing(share, lambda value: value):
        source = torch.Generator().manual_seed(1)
        assert torch.equal(normal_noise((3, 2, 2), source, like), expected[:, 3:])
        with pytest.raises(ValueError, match="expected noise for the 2 images of this process, got 4"):
            normal_noise((3, 4, 2), source, like)
    assert normal_noise((3, 4, 2), source, like).shape == (3, 4, 2)


def test_means_and_sums_of_a_shared_batch() -> None:
    values, given = torch.arange(5.0), []
    for rank in range(2):
        share = Share.of(5, rank, 2)
        with sharing(share, lambda value: given.append(value) or torch.tensor(2.0)):
            assert batch_mean(values[share.part]) == 2
            assert batch_sum(values[share.part]) == 2 * (3 - rank)
    assert torch.stack(given[::2]).mean() == values.mean()


@pytest.mark.parametrize(
    "variables",
    [{"WORLD_SIZE": "2"}, {"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "x"}, {"WORLD_SIZE": "two"}],
)
def test_an_environment_that_makes_no_sense(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="WORLD_SIZE"):
        launched()
    if "RANK" not in variables:
        assert is_first()
        assert main([*DIGITS, "--out", str(tmp_path / "run")]) == 2
        assert len(sentences(capsys.readouterr().err)) == 1


def test_one_process_of_torchrun_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    assert launched() == Launch()


def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    process = Torchrun.__new__(Torchrun)
    process.rank, process.size, process.launch = 0, 2, Launch(0, 2, 0, 2)
    for device in ("auto", "cuda"):
        with pytest.raises(UsageError, match="expected a GPU for each of 2 processes, got 1"):
            process.use(device)
    with pytest.raises(UsageError, match="mps is one device"):
        process.use("mps")


def test_alone_nothing_is_shared() -> None:
    model = build_model(together.MODEL, 0)
    objective = object()
    assert Processes().shared(objective, model) is objective  # type: ignore[arg-type]
    value = torch.ones(2)
    assert Processes().mean(value) is value
