"""What the hardware allows: operations and bytes that cannot be avoided, and the rates this machine reaches."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from vaelab import build_model, presets
from vaelab.evaluation.draws import frozen_copy
from vaelab.objectives import draw


def _rate(work: float, function: Callable[[], Any], device: torch.device, rounds: int = 7) -> float:
    """``work`` per second, the median of some rounds."""
    seconds = []
    for _ in range(rounds + 2):
        begin = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return work / statistics.median(seconds[2:])


def machine(device: torch.device) -> dict[str, float]:
    """FLOP/s of a large float32 matrix product, bytes/s of a copy beyond the caches (read and written)."""
    size = 8192 if device.type == "cuda" else 1536
    a, b = torch.randn(2, size, size, device=device)
    source = torch.zeros(2**28 if device.type == "cuda" else 2**26, device=device)
    target = torch.empty_like(source)
    return {
        "flops": _rate(2 * size**3, lambda: a @ b, device),
        "bytes": _rate(2 * source.numel() * 4, lambda: target.copy_(source), device),
    }


def operations(batch: int = 32) -> dict[str, float]:
    """Floating-point operations of sheet C's VAE for an image: a training step, an encoding, one decoded sample.

    Counted in float64: in float32 some convolutions go by an operator that the counter does not know.
    """
    model = build_model(presets.get("conv-vae").model).double()
    x = torch.rand(batch, 1, 28, 28, dtype=torch.float64)

    def counted(function: Callable[[], Any]) -> float:
        with FlopCounterMode(display=False) as counter:
            function()
        return counter.get_total_flops() / batch

    def train() -> None:
        loss = -draw(model, x).log_px.mean()
        loss.backward()  # type: ignore[no-untyped-call]

    step = counted(train)
    frozen = frozen_copy(model)
    with torch.no_grad():
        embed = counted(lambda: frozen.encode(x))
        sample = counted(lambda: frozen.decode(torch.randn(batch, 2, dtype=torch.float64)))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"step": step, "embed": embed, "sample": sample, "parameters": parameters}


def least(rates: dict[str, float], count: dict[str, float], batch: int) -> dict[str, float]:
    """Seconds below which an image cannot go, by what limits it.

    Operations at the rate of a matrix product; bytes that must move: the pixels, and of each parameter what a step of
    Adam reads and writes (weight, gradient and two moments: 7 times 4 bytes), shared by the images of the batch.
    Activations are left out: they can stay in the caches.
    """
    moved = 784 + count["parameters"] * 28 / batch
    return {
        "step": max(count["step"] / rates["flops"], moved / rates["bytes"]),
        "embed": max(count["embed"] / rates["flops"], 784 / rates["bytes"]),
        "sample": count["sample"] / rates["flops"],
    }
