"""The device a model is on, and how many processors torch may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vaelab.config import check_device
from vaelab.errors import VaelabError
from vaelab.memory import keep_freed_memory


def choose_device(name: str) -> torch.device:
    """``auto``: the GPU where there is one, else the CPU. `UsageError` for an unknown word, `VaelabError` if absent."""
    check_device(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise VaelabError(f"the device {name!r} cannot be used here; use --device cpu or auto") from error
    if device.type == "cpu":
        keep_freed_memory()
    return device


@contextmanager
def threads(count: object) -> Iterator[None]:
    """Within: torch uses ``count`` threads, where that is a number ≥ 1. Sums depend on it in their last digits."""
    before = torch.get_num_threads()
    if isinstance(count, int) and count >= 1:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
