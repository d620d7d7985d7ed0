"""How long work tells how far it is, without knowing who shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""(description, total; 0 where unknown) → context manager that gives ``advance(n)``: ``n`` more bytes or files done."""


@contextmanager
def no_progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """A `Progress` that shows nothing.

    >>> with no_progress("reading", 3) as advance:
    ...     advance(1)
    """
    del description, total
    yield lambda _: None


def increments(advance: Callable[[int], None]) -> Callable[[int], None]:
    """What is done so far → how much came since, as ``advance`` takes it.

    >>> came = []
    >>> done = increments(came.append)
    >>> done(3), done(10), came
    (None, None, [3, 7])
    """
    before = 0

    def note(now: int) -> None:
        nonlocal before
        advance(now - before)
        before = now

    return note
