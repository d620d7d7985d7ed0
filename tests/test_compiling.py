"""Compiled networks: the same numbers, the same weights' names, and one sentence where there is no compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import vaelab
from vaelab import build_model, presets
from vaelab.compiling import networks_compiled

# What PyTorch's compiler is warned of by PyTorch.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute"),
]


def gradients(model, x, c) -> list[torch.Tensor]:
    model.zero_grad()
    qz = model.encode(x, c)
    px = model.decode(qz.rsample(1, torch.Generator().manual_seed(0)), c)
    value = px.log_prob(x).mean() + qz.log_std.mean()
    value.backward()
    return [value.detach(), *(parameter.grad.clone() for parameter in model.parameters())]


@pytest.mark.long
@pytest.mark.parametrize("preset", ["conv-vae", "conv-cvae", "mlp-vae"])
def test_values_and_gradients_are_those_of_the_networks_as_they_are(preset: str) -> None:
    model = build_model(presets.get(preset).model)
    x, c = torch.rand(32, 1, 28, 28), torch.randint(10, (32,)) if model.classes else None
    expected, names = gradients(model, x, c), list(model.state_dict())
    with networks_compiled(model):
        assert model.encoder._compiled_call_impl is not None
        found = gradients(model, x, c)
        assert list(model.state_dict()) == names
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))
    assert model.encoder._compiled_call_impl is None  # evaluation is not compiled
    torch.testing.assert_close(gradients(model, x, c)[0], expected[0])


@pytest.mark.long
def test_a_compiled_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    def settings(epochs: int) -> dict:
        return {"epochs": epochs, "compile": True, "schedule": "constant"}

    vaelab.train("digits-vae", out=tmp_path / "short", training=settings(1))
    resumed = vaelab.resume(tmp_path / "short", epochs=2)
    whole = vaelab.train("digits-vae", out=tmp_path / "whole", training=settings(2))
    plain = vaelab.train("digits-vae", out=tmp_path / "plain", training={**settings(2), "compile": False})
    assert whole.config.training.compile
    assert resumed.folder.history_path.read_bytes() == whole.folder.history_path.read_bytes()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], tensor)
    losses = [run.final_losses()["test"]["loss"] for run in (whole, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.long
def test_without_a_compiler_one_sentence_and_the_earlier_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    vaelab.train("digits-vae", out=out, training={"epochs": 1})
    before = (out / "history.csv").read_bytes()
    found = subprocess.run(
        [sys.executable, "-m", "vaelab", "train", "--preset", "digits-vae", "--compile", "--overwrite", "--out", out],
        env={**os.environ, "CXX": "/nowhere/g++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        check=False,
        text=True,
    )
    assert found.returncode == 1
    assert found.stderr.count("\n") == 1
    assert "leave --compile out" in found.stderr
    assert (out / "history.csv").read_bytes() == before
