"""Numbers as the report writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.metrics import Metric


def metric(values: Mapping[str, Any], name: str) -> Metric:
    """A metric among the values of a step, nested or not."""
    return Metric.from_json(values[name], name)


def plus_minus(value: float, error: float | None, digits: int = 2) -> str:
    """``780.10 ± 1.20``, with so many digits that the error does not read 0; none where it is.

    >>> plus_minus(780.1, 1.2), plus_minus(1.35, 0.004), plus_minus(2.0, 0.0)
    ('780.10 ± 1.20', '1.350 ± 0.004', '2.00')
    """
    if not error:
        return f"{value:z.{digits}f}"
    digits = max(digits, min(digits + 4, math.ceil(-math.log10(2 * error))))
    return f"{value:z.{digits}f} ± {error:.{digits}f}"


def written(found: Metric, digits: int = 2) -> str:
    """``780.10 ± 1.20``: without the unit, which stands in the sentence."""
    return plus_minus(found.value, found.standard_error, digits)


def percent(found: Metric, digits: int = 1) -> str:
    """``81.2 ± 1.2 %``; where all or none do, without an error, which would come out as 0 and mean nothing.

    >>> percent(Metric(1.0, 0.0, "share of images", 300, "")), percent(Metric(0.812, 0.012, "share of images", 9, ""))
    ('100 % (all 300)', '81.2 ± 1.2 %')
    """
    if found.standard_error == 0 and found.value in (0.0, 1.0):
        return f"100 % (all {found.n:,})" if found.value else f"0 % (none of {found.n:,})"
    error = None if found.standard_error is None else 100 * found.standard_error
    return f"{plus_minus(100 * found.value, error, digits)} %"


def nats(values: Mapping[str, Any], name: str, digits: int = 1) -> str:
    """``780.1 ± 1.2 nats``."""
    return f"{written(metric(values, name), digits)} nats"


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


def error_of(first: Metric, second: Metric) -> float:
    """The standard error of the difference of two numbers, taken as independent."""
    return math.hypot(_error(first), _error(second))


def _error(found: Metric) -> float:
    """Of a share of which all or none are, half of 3/n: with 95 % it lies no further away (the rule of three)."""
    if found.standard_error == 0 and found.value in (0.0, 1.0):
        return 1.5 / found.n
    return found.standard_error or 0.0


def apart(first: Metric, second: Metric) -> bool:
    """Whether two numbers differ by more than two standard errors of their difference."""
    return abs(first.value - second.value) > 2 * error_of(first, second)


def above(first: Metric, second: Metric) -> bool:
    """Whether the first number is the larger, beyond two standard errors."""
    return first.value > second.value and apart(first, second)
