"""No step waits for the device: nothing is read back to Python, and nothing is sent from it, but once in `FLUSH` steps.

What a GPU would have to wait for shows on a CPU as the same operators: a value read (`_local_scalar_dense`), a shape
that depends on values (`nonzero`, `masked_select`, `unique`). They are counted by PyTorch's profiler.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from vaelab import build_model, presets
from vaelab.data import ImageData
from vaelab.data.batches import batches
from vaelab.training import FLUSH, Training

WAITS = ("aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::masked_select", "aten::_unique2")
PRESETS = ("conv-vae", "mlp-vae", "gaussian-vae", "denoising", "residual-vae")


def waits(preset: str, steps: int, batch: int = 8, **changes: object) -> int:
    """Operators that wait, in ``steps`` steps with what is read of their losses."""
    config = presets.get(preset).with_changes(training={"batch_size": batch, "device": "cpu", **changes})
    model = build_model(config.model)
    pixels = torch.randint(256, (batch * (steps + 1), *model.image_shape), dtype=torch.uint8)
    labels = torch.arange(len(pixels)) % 10 if model.classes else None
    data = ImageData("noise", pixels, labels, tuple("0123456789") if model.classes else ())
    training = Training(model, data, config.training, config.data.variant, None, "validation", None)
    given = list(batches(training.train, batch, torch.arange(len(pixels))))
    training.step(*given[0])
    training.flush()
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for images, found in given[1 : steps + 1]:
            training.step(images, found)
    return sum(event.name in WAITS and not within_the_optimiser(event) for event in seen.events())


def within_the_optimiser(event: Any) -> bool:
    """On a CPU the kernel of Adam counts its steps in tensors there, and reads those; on a GPU it does not."""
    while event is not None:
        if event.name.startswith("aten::_fused_adam"):
            return True
        event = event.cpu_parent
    return False


@pytest.mark.parametrize("preset", PRESETS)
def test_a_step_does_not_wait(preset: str) -> None:
    assert waits(preset, steps=3) == 0


def test_nor_with_averaging_and_a_schedule() -> None:
    assert waits("conv-vae", steps=3, average=0.1, schedule="one-cycle", lr=4e-3, beta2=0.98) == 0


def test_nor_with_images_side_by_side() -> None:
    assert waits("conv-vae", steps=3, batch=64) == 0


def test_nor_with_muon() -> None:
    assert waits("conv-vae", steps=3, optimizer="muon", schedule="linear", lr=0.05) == 0


def test_the_count_would_see_one(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Training.step

    def looking(self: Training, images: torch.Tensor, labels: torch.Tensor | None) -> None:
        plain(self, images, labels)
        self.pending[-1][3].sum().item()

    monkeypatch.setattr(Training, "step", looking)
    assert waits("conv-vae", steps=3) >= 3


def test_losses_are_kept_until_they_are_read() -> None:
    assert FLUSH >= 20
