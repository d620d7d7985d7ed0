"""Numbers as the report writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.metrics import Metric
from vaelab.studies.words import apart, metric, percent, plus_minus


def written(found: Metric, digits: int = 2) -> str:
    """``780.10 ± 1.20``: without the unit, which stands in the sentence."""
    return plus_minus(found.value, found.standard_error, digits)


def nats(values: Mapping[str, Any], name: str, digits: int = 1) -> str:
    """``780.1 ± 1.2 nats``."""
    return f"{written(metric(values, name), digits)} nats"


def share(values: Mapping[str, Any], name: str, digits: int = 1) -> str:
    """``81.2 ± 1.2 %``."""
    return percent(metric(values, name), digits)


def shape(sizes: Sequence[int]) -> str:
    """``32×14×14``."""
    return "×".join(map(str, sizes))


def above(first: Metric, second: Metric) -> bool:
    """Whether the first number is the larger, beyond two standard errors."""
    return first.value > second.value and apart(first, second)
