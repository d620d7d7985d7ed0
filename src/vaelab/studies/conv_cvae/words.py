"""Numbers as the sentences of this report write them."""

from __future__ import annotations

import math

from vaelab.metrics import Metric
from vaelab.studies.results import Results
from vaelab.studies.words import power_of_ten

SHEET = {"vae": (155.9, 150.0, 5.9), "cvae": (131.8, 127.1, 4.7)}
"""The sheet's own test losses on MNIST: −ELBO, reconstruction, KL in nats per image."""
SHEET_UNIT = {"vae": 4.872, "cvae": 4.118}
"""The same −ELBO as the sheet prints it."""
SHEET_BATCH = 32
NAMES = {"vae": "VAE", "cvae": "CVAE"}


def number(value: float | None, digits: int = 2) -> str:
    """``−0.50``, with a real minus sign; a dash for None or what is not finite.

    >>> number(-0.5), number(-0.0001), number(None)
    ('−0.50', '0.00', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:z.{digits}f}".replace("-", "−")


def nats(metric: Metric, digits: int = 2) -> str:
    """``151.09 ± 0.50 nats``: the unit is per image, which the text says once."""
    return f"{plus_minus(metric, digits)} nats"


def plus_minus(metric: Metric, digits: int = 2) -> str:
    """``−0.01 ± 0.02``; without an error where there is none."""
    error = "" if metric.standard_error is None else f" ± {metric.standard_error:.{digits}f}"
    return number(metric.value, digits) + error


def share(metric: Metric, digits: int = 1) -> str:
    """``91.2 ± 0.3 %``."""
    error = "" if metric.standard_error is None else f" ± {100 * metric.standard_error:.{digits}f}"
    return f"{100 * metric.value:.{digits}f}{error} %"


def percent_of(value: float, digits: int = 1) -> str:
    """``91.2 %``."""
    return f"{number(100 * value, digits)} %"


def small(value: float | None, digits: int = 1) -> str:
    """Below a thousandth as a power of ten, above plainly.

    >>> small(0.5), small(0.00034), small(2e-06, 0)
    ('0.500', '3.4·10⁻⁴', '2·10⁻⁶')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or abs(value) >= 0.001:
        return number(value, 3)
    figures, power = f"{value:.{digits}e}".split("e")
    return f"{figures}{power_of_ten(int(power))}".replace("-", "−")


def error_of(metric: Metric) -> float:
    """Its standard error, 0 where there is none."""
    return metric.standard_error or 0.0


def apart(first: Metric, second: Metric) -> str:
    """How far two numbers are from each other, with the error of independent ones: ``1.18 ± 0.71``."""
    error = math.hypot(error_of(first), error_of(second))
    return f"{number(abs(first.value - second.value))} ± {error:.2f}"


def beyond(first: Metric, second: Metric, errors: float = 2.0) -> bool:
    """Whether ``first`` is larger than ``second`` by more than so many standard errors of the difference."""
    return first.value - second.value > errors * math.hypot(error_of(first), error_of(second))


def is_the_sheets(results: Results, run: str) -> bool:
    """Whether the sheet's own numbers are for this data."""
    return results.config(run).data.name == "mnist"
