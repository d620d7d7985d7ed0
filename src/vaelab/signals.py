"""SIGINT and SIGTERM as a flag that the training loop reads between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_signals(*, again: bool = True) -> Iterator[Callable[[], int]]:
    """Within: SIGINT and SIGTERM only set a flag, read by the function given; a second one acts as usual.

    Without ``again`` a second one changes nothing, either: a launcher may send one to each of its processes twice.
    """
    received = [0]
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0  # only the main thread may handle signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        received[0] = number
        if again:
            signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: received[0]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
