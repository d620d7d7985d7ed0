"""Numbers and lists as the reports of all studies write them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.metrics import Metric

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def metric(values: Mapping[str, Any], name: str) -> Metric:
    """A metric among the values of a step, nested or not."""
    return Metric.from_json(values[name], name)


def signed(value: float, digits: int = 2) -> str:
    """With a minus sign that is one, and none before a zero.

    >>> signed(-0.5), signed(-0.001)
    ('−0.50', '0.00')
    """
    return f"{value:z.{digits}f}".replace("-", "−")


def plus_minus(value: float, error: float | None, digits: int = 2) -> str:
    """``151.09 ± 0.50``, with so many digits that the error does not read 0; none where it is.

    >>> plus_minus(-0.5, 0.01), plus_minus(0.762, 0.004), plus_minus(2.0, 0.0)
    ('−0.50 ± 0.01', '0.762 ± 0.004', '2.00')
    """
    if not error:
        return signed(value, digits)
    digits = max(digits, min(digits + 4, math.ceil(-math.log10(2 * error))))
    return f"{signed(value, digits)} ± {error:.{digits}f}"


def percent(found: Metric, digits: int = 1) -> str:
    """``81.2 ± 1.2 %``; where all or none do, without an error, which would come out as 0 and mean nothing.

    >>> percent(Metric(1.0, 0.0, "share of images", 2000, "")), percent(Metric(0.812, 0.012, "share of images", 9, ""))
    ('100 % (all 2,000)', '81.2 ± 1.2 %')
    """
    if found.standard_error == 0 and found.value in (0.0, 1.0):
        return f"100 % (all {found.n:,})" if found.value else f"0 % (none of {found.n:,})"
    error = None if found.standard_error is None else 100 * found.standard_error
    return f"{plus_minus(100 * found.value, error, digits)} %"


def power_of_ten(exponent: int) -> str:
    """``·10⁻⁶``.

    >>> power_of_ten(-6)
    '·10⁻⁶'
    """
    return f"·10{str(exponent).translate(_RAISED)}"


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


def listed(parts: Sequence[str]) -> str:
    """``a, b and c``; ``a`` alone; nothing of nothing.

    >>> listed(["a", "b", "c"]), listed(["a"]), listed([])
    ('a, b and c', 'a', '')
    """
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def counted(amount: int, one: str, many: str = "") -> str:
    """With the word that fits.

    >>> counted(1, "gap"), counted(1200, "gap"), counted(2, "class", "classes")
    ('1 gap', '1,200 gaps', '2 classes')
    """
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"
