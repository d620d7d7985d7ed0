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
