"""Compiled networks: the same numbers and names, one sentence where compiling fails. The quick tests are without a
compiler: what PyTorch has traced runs as it is (its backend "eager")."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException
from torch._dynamo.utils import counters

import vaelab
from vaelab import build_model, presets
from vaelab.building import Model
from vaelab.compiling import networks_compiled
from vaelab.data import ImageData
from vaelab.data.batches import batches
from vaelab.errors import Interrupted, VaelabError
from vaelab.training import Training

# What PyTorch's compiler is warned of by PyTorch.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute"),
]
NETWORKS = {"conv-vae": 2, "conv-cvae": 2, "gaussian-vae": 2, "denoising": 2, "residual-vae": 3, "m2": 3}
"""Preset → how many are compiled; the encoder of a VampPrior for its pseudo-inputs, too."""
QUICK = ("conv-vae", "residual-vae")
SEED = {"training": {"batch_size": 8, "device": "cpu", "seed": 1}}


@pytest.fixture
def traced_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


@pytest.fixture(autouse=True)
def counted_anew() -> Iterator[None]:
    counters.clear()
    yield
    counters.clear()


def graphs() -> int:
    """How many pieces of code were compiled; `_twice` is one."""
    return counters["stats"]["unique_graphs"]


def losses(preset: str, compiled: bool, steps: int = 2) -> list[float]:
    """Of a few training steps."""
    config = presets.get(preset).with_changes(**SEED)
    model = build_model(config.model)
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (8 * steps, *model.image_shape), dtype=torch.uint8, generator=source)
    labels = torch.arange(len(pixels)) % 10 if model.classes else None
    data = ImageData("noise", pixels, labels, tuple("0123456789") if model.classes else ())
    training = Training(model, data, config.training, config.data.variant, None, "validation", None)
    with networks_compiled(model, compiled):
        for images, found in batches(training.train, 8, torch.arange(len(pixels))):
            training.step(images, found)
        return [float(entry[3][0]) for entry in training.pending]


@pytest.mark.usefixtures("traced_only")
@pytest.mark.parametrize(
    "preset", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in NETWORKS]
)
def test_every_network_is_compiled_whole(preset: str) -> None:
    found = losses(preset, compiled=True)
    assert graphs() == 1 + NETWORKS[preset]
    assert not counters["graph_break"]
    assert found == pytest.approx(losses(preset, compiled=False), rel=1e-5)


def small() -> Model:
    changes = {"encoder": "mlp:hidden=8", "decoder": "mlp:hidden=8"}
    return build_model(presets.get("mlp-vae").with_changes(model=changes).model)


@pytest.mark.usefixtures("traced_only")
def test_only_training_steps_are_compiled() -> None:
    model, x = small(), torch.rand(3, 1, 28, 28)
    names = list(model.state_dict())
    with networks_compiled(model):
        model.embed(x)
        assert graphs() == 1
        model.encode(x).mean.sum().backward()
        assert graphs() == 2
        assert list(model.state_dict()) == names
    model.encode(x).mean.sum().backward()
    assert graphs() == 2


@pytest.mark.usefixtures("traced_only")
def test_too_many_sizes_are_refused_and_not_left_as_they_are() -> None:
    model = small()

    def many() -> None:
        with networks_compiled(model):
            for size in range(2, 20):
                model.encode(torch.rand(size, 1, 28, 28))

    with pytest.raises(VaelabError, match="too many"):
        many()
    with networks_compiled(model):  # what was compiled before does not count
        model.encode(torch.rand(30, 1, 28, 28))


@pytest.mark.usefixtures("traced_only")
def test_a_signal_that_ends_the_compiler_is_no_fault_of_it() -> None:
    with pytest.raises(Interrupted, match="SIGINT") as told, networks_compiled(small(), stopped=lambda: 2):
        raise TorchDynamoException("g++ was killed")
    assert told.value.exit_code == 130
    with pytest.raises(VaelabError, match=r"g\+\+ was lost"), networks_compiled(small()):
        raise TorchDynamoException("g++ was lost")
    with pytest.raises(KeyError), networks_compiled(small()):
        raise KeyError


@pytest.mark.long
@pytest.mark.usefixtures("traced_only")
def test_a_run_may_be_resumed_without(tmp_path: Path) -> None:
    settings = {"epochs": 1, "schedule": "constant", "compile": True}
    vaelab.train("digits-vae", out=tmp_path / "run", training=settings)
    resumed = vaelab.resume(tmp_path / "run", epochs=2, compile=False)
    assert not resumed.config.training.compile
    assert resumed.final_losses()["train"]["epoch"] == 2


# --- with the compiler --------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("preset", ["conv-vae", "conv-cvae", "m2"])
def test_losses_are_those_of_the_networks_as_they_are(preset: str) -> None:
    found = losses(preset, compiled=True, steps=4)
    assert graphs() > 2
    assert found == pytest.approx(losses(preset, compiled=False, steps=4), rel=1e-4)


def command(out: Path, cache: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, with nothing compiled before."""
    return subprocess.run(
        [sys.executable, *words, "--out", str(out)],
        env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        check=False,
        text=True,
    )


TRAIN = ("-m", "vaelab", "train", "--preset", "digits-vae", "--schedule", "constant", "--compile")


@pytest.mark.long
def test_a_compiled_run_resumes_bit_for_bit_in_another_process(tmp_path: Path) -> None:
    for number, name, words in (
        (1, "parts", (*TRAIN, "--epochs", "1")),
        (2, "parts", ("-m", "vaelab", "train", "--resume", "--epochs", "2")),
        (3, "whole", (*TRAIN, "--epochs", "2")),
    ):
        found = command(tmp_path / name, tmp_path / f"cache{number}", *words)
        assert found.returncode == 0, found.stderr
    parts, whole = (vaelab.Run.open(tmp_path / name) for name in ("parts", "whole"))
    assert parts.config.training.compile
    assert parts.folder.history_path.read_bytes() == whole.folder.history_path.read_bytes()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(parts.model.state_dict()[name], tensor)


@pytest.mark.long
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    together = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *TRAIN)
    for name, words in (("one", TRAIN), ("two", together)):
        found = command(tmp_path / name, tmp_path / "cache", *words, "--epochs", "1")
        assert found.returncode == 0, found.stderr
    one, two = (vaelab.Run.open(tmp_path / name).final_losses()["test"]["loss"] for name in ("one", "two"))
    assert one == pytest.approx(two, rel=1e-4)


@pytest.mark.long
def test_without_a_compiler_one_sentence_and_the_earlier_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    vaelab.train("digits-vae", out=out, training={"epochs": 1})
    before = (out / "history.csv").read_bytes()
    found = command(out, tmp_path / "cache", *TRAIN, "--overwrite", CXX="/nowhere/g++")
    assert found.returncode == 1
    assert found.stderr.count("\n") == 1
    assert "leave --compile out" in found.stderr
    assert (out / "history.csv").read_bytes() == before
