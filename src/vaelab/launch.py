"""What torchrun says of this process in its environment; read without torch, so that a refused word stays quick."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vaelab.errors import UsageError


@dataclass(frozen=True)
class Launch:
    """``rank`` of ``size`` processes that train together, the ``local_rank`` of ``local_size`` on this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def launched() -> Launch:
    """From RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE; one process alone where there is no WORLD_SIZE above 1.

    Raises `UsageError` where they do not fit each other.

    >>> launched().size
    1
    """
    size = _number("WORLD_SIZE", 1)
    if size <= 1:
        return Launch()
    rank = _number("RANK", -1)
    if not 0 <= rank < size or "MASTER_ADDR" not in os.environ:
        raise UsageError(
            f"WORLD_SIZE={size} says that {size} processes train together, but RANK or MASTER_ADDR is missing; "
            "start them with torchrun, or leave WORLD_SIZE out"
        )
    return Launch(rank, size, _number("LOCAL_RANK", rank), _number("LOCAL_WORLD_SIZE", size))


def is_first() -> bool:
    """Whether this process is the one that speaks: rank 0, or alone; True where the environment makes no sense."""
    try:
        return launched().rank == 0
    except UsageError:
        return os.environ.get("RANK", "0") == "0"


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    try:
        return int(text) if text else default
    except ValueError as error:
        raise UsageError(f"expected a whole number in the variable {name}, got {text!r}; leave it out") from error
