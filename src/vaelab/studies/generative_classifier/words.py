"""Numbers and lists as the report writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.metrics import Metric
from vaelab.studies.results import Results, percent, written


def metric(values: Mapping[str, Any], name: str) -> Metric:
    """A metric among the values of a step, nested or not."""
    return Metric.from_json(values[name], name)


def number(values: Mapping[str, Any], name: str) -> float:
    """A metric's value."""
    return metric(values, name).value


def nats(values: Mapping[str, Any], name: str, digits: int = 2) -> str:
    """``151.09 ± 0.50``: without the unit, which stands in the sentence."""
    return written(metric(values, name), digits, unit=False)


def share(values: Mapping[str, Any], name: str, digits: int = 1) -> str:
    """``81.2 ± 1.2 %``."""
    return percent(metric(values, name), digits)


def listed(parts: Sequence[str]) -> str:
    """``a, b and c``; ``a`` alone; nothing of nothing.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def counted(amount: int, noun: str) -> str:
    """``1 image``, ``2,000 images``."""
    return f"{amount:,} {noun}" + ("" if amount == 1 else "s")


def in_words(amount: int) -> str:
    """``three``, up to twelve."""
    names = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    return names[amount] if amount < len(names) else f"{amount:,}"


def place(z: Sequence[float]) -> str:
    """``(0.5, −1.2)``."""
    return "(" + ", ".join(f"{value:z.1f}".replace("-", "−") for value in z) + ")"


def signed(value: float, digits: int = 2) -> str:
    """With a real minus sign.

    >>> signed(-0.5), signed(0.5)
    ('−0.50', '0.50')
    """
    return f"{value:z.{digits}f}".replace("-", "−")


def r2(fit: Mapping[str, Any]) -> str:
    """``0.612 ± 0.008``."""
    return f"{fit['r2']:.3f} ± {fit['r2_error']:.3f}"


def clear(fit: Mapping[str, Any]) -> bool:
    """Whether a relation is beyond chance: R² above what none gives, by three standard errors, and worth a word."""
    return bool(fit["r2"] - 3 * fit["r2_error"] > fit["chance"] and fit["r2"] >= 0.02)


def sizes_of(results: Results) -> list[int]:
    """The latent dimensions that were compared, rising."""
    return sorted({model["size"] for model in results.values("sizes")["models"].values()})


def trained(results: Results, name: str) -> Mapping[str, Any]:
    """All numbers of one of the compared models: of its evaluation, and of its samples."""
    return {**results.values(name), **results.values("sizes")["models"][name]}
