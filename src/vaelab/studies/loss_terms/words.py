"""Numbers as the report of sheet B writes them: small ones as powers of ten, differences with their errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vaelab.metrics import Metric
from vaelab.studies.results import percent
from vaelab.studies.words import power_of_ten


def brief(value: float, figures: int = 2) -> str:
    """So many figures, with a minus sign that is one.

    >>> brief(0.0784, 4), brief(-0.00026), brief(3.91e-6), brief(0.0)
    ('0.0784', '−0.00026', '3.9·10⁻⁶', '0')
    """
    digits, exponent, power = f"{value:.{figures}g}".partition("e")
    return (digits + (power_of_ten(int(power)) if exponent else "")).replace("-", "−")


def written(metric: Metric, digits: int = 2, unit: bool = True) -> str:
    """As `results.written`; where so few digits show nothing but zeros, as a power of ten.

    >>> written(Metric(6.044, 0.013, "nats", 10, ""))
    '6.04 ± 0.01 nats'
    >>> written(Metric(3.912e-6, 6.2e-8, "nats", 10, ""), unit=False)
    '(3.91 ± 0.06)·10⁻⁶'
    """
    scale, power = 1.0, ""
    if 0 < abs(metric.value) < 0.5 * 10**-digits:
        exponent = math.floor(math.log10(abs(metric.value)))
        scale, power = 10.0**exponent, power_of_ten(exponent)
    number = f"{metric.value / scale:z.{digits}f}".replace("-", "−")
    if metric.standard_error is not None:
        number += f" ± {metric.standard_error / scale:.{digits}f}"
        number = f"({number})" if power else number
    return number + power + (f" {metric.unit}" if unit else "")


def quantity(metric: Metric) -> str:
    """A number with as many decimals as it needs, and its unit in short.

    >>> quantity(Metric(0.00123, None, "units of z", 10, "")), quantity(Metric(57.02, None, "nats per image", 10, ""))
    ('0.0012', '57.02 nats')
    """
    if metric.unit == "share of images":
        return percent(metric, 1)
    unit = " nats" if metric.unit.startswith("nats") else ""
    size = abs(metric.value)
    return (f"{metric.value:.2f}".replace("-", "−") if size >= 0.1 or size == 0 else brief(metric.value)) + unit


def error(metric: Metric) -> float:
    """The standard error, 0 where there is none."""
    return metric.standard_error or 0.0


@dataclass(frozen=True)
class Difference:
    """Of two means. Its error is that of independent ones, too large for two of the same test images."""

    value: float
    error: float

    @property
    def clear(self) -> bool:
        """Whether it is beyond two standard errors."""
        return abs(self.value) > 2 * self.error

    @property
    def size(self) -> str:
        """``15.92 ± 0.67``, without a sign."""
        return f"{abs(self.value):.2f} ± {self.error:.2f}"


def difference(first: Metric, second: Metric) -> Difference:
    """``first`` − ``second``.

    >>> found = difference(Metric(5.0, 0.3, "", 10, ""), Metric(4.0, 0.4, "", 10, ""))
    >>> found.size, found.clear
    ('1.00 ± 0.50', False)
    """
    return Difference(first.value - second.value, math.hypot(error(first), error(second)))
