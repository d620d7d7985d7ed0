"""Optimisers and modules: what was saved goes on bit for bit, and what does not fit is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vaelab.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_into,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from vaelab.errors import CheckpointError


def same_bits(one: Tensor, other: Tensor) -> bool:
    def raw(tensor: Tensor) -> bytes:
        return bytes(tensor.detach().contiguous().flatten().view(torch.uint8).numpy()) if tensor.numel() else b""

    return one.dtype == other.dtype and one.shape == other.shape and raw(one) == raw(other)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(5 * 4 * 4, 2))
    layers.register_parameter("scale", nn.Parameter(torch.tensor(1.0)))
    return layers.to(memory_format=torch.channels_last)


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int, seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    for _ in range(count):
        optimizer.zero_grad()
        x = torch.randn(4, 3, 6, 6, generator=source).to(memory_format=torch.channels_last)
        (model(x) * model.scale).square().mean().backward()
        optimizer.step()


OPTIMIZERS: dict[str, Any] = {
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2),
    "adam for": lambda p: torch.optim.Adam(p, lr=1e-2, foreach=False),
    "adam foreach": lambda p: torch.optim.Adam(p, lr=1e-2, foreach=True),
    "adam amsgrad": lambda p: torch.optim.Adam(p, lr=1e-2, amsgrad=True),
    "adam tensor lr": lambda p: torch.optim.Adam(p, lr=torch.tensor(1e-2), foreach=False),
    "adamw fused": lambda p: torch.optim.AdamW(p, lr=1e-2, fused=True),
    "adamw groups": lambda p: torch.optim.AdamW([{"params": p[:2], "lr": 1e-3}, {"params": p[2:]}], lr=1e-2),
    "sgd": lambda p: torch.optim.SGD(p, lr=1e-2),
    "sgd momentum": lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9, nesterov=True),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_training_goes_on_bit_for_bit(tmp_path: Path, kind: str) -> None:
    def build(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
        model = network(seed)
        return model, OPTIMIZERS[kind](list(model.parameters()))

    model, optimizer = build(0)
    steps(model, optimizer, 3, seed=1)
    tensors, state = optimizer_tensors(optimizer)
    save_checkpoint(
        tmp_path, "last", Checkpoint({"model": model.state_dict(), "optimizer": tensors}, {"optimizer": state})
    )
    steps(model, optimizer, 3, seed=2)

    resumed, other = build(9)
    loaded = load_checkpoint(tmp_path, "last")
    load_into(resumed, loaded.tensors["model"], "the checkpoint")
    restore_optimizer(other, loaded.tensors["optimizer"], loaded.state["optimizer"])
    steps(resumed, other, 3, seed=2)
    assert all(same_bits(value, resumed.state_dict()[name]) for name, value in model.state_dict().items())
    for one, two in zip(optimizer.param_groups, other.param_groups, strict=True):
        assert {k: (type(v), v) for k, v in one.items() if k != "params"} == {
            k: (type(v), v) for k, v in two.items() if k != "params"
        }
    fresh = load_checkpoint(tmp_path, "last").tensors["optimizer"]
    assert all(same_bits(fresh[name], tensor) for name, tensor in loaded.tensors["optimizer"].items()), "was written to"


def test_an_untrained_optimizer_comes_back() -> None:
    model = network()
    one, other = (torch.optim.Adam(model.parameters(), lr=lr) for lr in (1e-2, 1e-3))
    restore_optimizer(other, *optimizer_tensors(one))
    assert other.param_groups[0]["lr"] == 1e-2
    assert not other.state


def test_an_optimizer_state_that_does_not_fit_is_refused() -> None:
    model = network()
    parameters = list(model.parameters())
    optimizer = torch.optim.Adam(parameters)
    steps(model, optimizer, 1, seed=0)
    tensors, state = optimizer_tensors(optimizer)
    broken = dict(tensors)
    broken.popitem()
    grouped = torch.optim.Adam([{"params": parameters[:1]}, {"params": parameters[1:]}])
    for other, held, saved, word in [
        (torch.optim.SGD(parameters), tensors, state, "expected SGD, got 'Adam'"),
        (torch.optim.Adam(parameters[:-1]), tensors, state, "6 parameters, got 7"),
        (torch.optim.Adam(parameters[::-1]), tensors, state, "parameters"),
        (grouped, tensors, state, "2 parameter groups"),
        (torch.optim.Adam(parameters), broken, state, "tensors"),
        (torch.optim.Adam(parameters), tensors, None, "got None"),
    ]:
        with pytest.raises(CheckpointError, match=word) as caught:
            restore_optimizer(other, held, saved)
        assert "does not fit" in str(caught.value)
        assert not other.state


def test_an_optimizer_state_that_is_no_tensor_is_refused() -> None:
    parameter = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.LBFGS([parameter], max_iter=3)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (parameter**4).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with pytest.raises(CheckpointError, match="the optimizer's state"):
        optimizer_tensors(optimizer)


def test_load_into_keeps_layout_and_ties() -> None:
    model = network()
    model.tied = model[0]
    before = {name: value.data_ptr() for name, value in model.state_dict().items()}
    load_into(model, {name: value.contiguous() + 1 for name, value in model.state_dict().items()}, "it")
    assert {name: value.data_ptr() for name, value in model.state_dict().items()} == before
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert model.tied.weight is model[0].weight


def test_load_into_refuses_what_does_not_fit_and_changes_nothing() -> None:
    model = network()
    good = {name: value + 1 for name, value in model.state_dict().items()}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for tensors, words in [
        ({k: v for k, v in good.items() if k != "3.bias"}, ["RUN lacks 3.bias"]),
        ({}, ["RUN lacks", "and 7 more"]),
        (good | {"extra": torch.ones(1)}, ["RUN has unexpected extra"]),
        (good | {"3.bias": torch.ones(3)}, ["3.bias (expected float32 2, got float32 3)"]),
        (good | {"scale": torch.ones(1, 2)}, ["scale (expected float32 scalar, got float32 1×2)"]),
        (good | {"3.bias": torch.ones(2, dtype=torch.float64)}, ["float64 2"]),
    ]:
        with pytest.raises(CheckpointError) as caught:
            load_into(model, tensors, "RUN")
        assert all(word in str(caught.value) for word in words), caught.value
        assert "configuration" in str(caught.value)
    assert all(same_bits(value, before[name]) for name, value in model.state_dict().items())
