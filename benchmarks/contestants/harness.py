"""What every contestant shares: orders on standard input, answers on standard output, a clock, its peak memory.

A contestant is a process that stays: it is started once, is given one order after the other (a line of JSON each), and
answers each with a line of JSON. So contestants can take turns without starting anew. Nothing but the standard library
and NumPy here, so that it runs in each contestant's own environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

Work = Callable[[SimpleNamespace], dict[str, Any]]


def serve(works: dict[str, Work]) -> None:
    """Answer orders until standard input ends; whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        order = SimpleNamespace(**json.loads(line))
        answer = works[order.work](order)
        print(json.dumps({**answer, "peak_mib": peak_mib()}), file=answers, flush=True)


def images(order: SimpleNamespace, split: str = "train") -> np.ndarray:
    """``(n, 28, 28)`` uint8: the first ``order.images`` of a split (0: all), repeated where they are few."""
    return repeated(np.load(f"{order.data}/{split}.npy", allow_pickle=False), order.images)


def labels(order: SimpleNamespace, split: str = "train") -> np.ndarray:
    """``(n,)`` int64, beside `images`."""
    return repeated(np.load(f"{order.data}/{split}_labels.npy", allow_pickle=False), order.images)


def repeated(values: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` (0: all), repeated where there are fewer."""
    if not count:
        return values
    times = -(-count // len(values))
    return np.concatenate([values] * times)[:count] if times > 1 else values[:count]


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    begin = time.perf_counter()
    result = function()
    return time.perf_counter() - begin, result


def peak_mib() -> float:
    """The largest memory of this process so far, MiB."""
    with contextlib.suppress(OSError, StopIteration):  # on Linux ru_maxrss begins with the parent's
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1024 if sys.platform != "darwin" else peak / 2**20, 1)
