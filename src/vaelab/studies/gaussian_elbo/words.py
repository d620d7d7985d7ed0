"""Numbers as the report writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.metrics import Metric
from vaelab.studies.results import percent, written


def metric(values: Mapping[str, Any], name: str) -> Metric:
    """A metric among the values of a step, nested or not."""
    return Metric.from_json(values[name], name)


def nats(values: Mapping[str, Any], name: str, digits: int = 1) -> str:
    """``780.1 ± 1.2 nats``."""
    return f"{written(metric(values, name), digits, unit=False)} nats"


def share(values: Mapping[str, Any], name: str, digits: int = 1) -> str:
    """``81.2 ± 1.2 %``."""
    return percent(metric(values, name), digits)


def shape(sizes: Sequence[int]) -> str:
    """``32×14×14``."""
    return "×".join(map(str, sizes))


def listed(parts: Sequence[str]) -> str:
    """``a, b and c``; ``a`` alone; nothing of nothing.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def counted(number: int, noun: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def apart(value: float, error: float | None, from_: float) -> bool:
    """Whether a number lies further than two standard errors from another."""
    return abs(value - from_) > 2 * (error or 0.0)
