"""Numbers and lists as the report writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.metrics import Metric
from vaelab.studies.results import Results
from vaelab.studies.words import apart, listed, metric, percent, plus_minus

ALIKE = 0.05
"""Fréchet distances have no standard error; those that differ by less than this part are called alike."""


def number(values: Mapping[str, Any], name: str) -> float:
    """A metric's value."""
    return metric(values, name).value


def nats(values: Mapping[str, Any], name: str, digits: int = 2) -> str:
    """``151.09 ± 0.50``: without the unit, which stands in the sentence."""
    found = metric(values, name)
    return plus_minus(found.value, found.standard_error, digits)


def share(values: Mapping[str, Any], name: str, digits: int = 1) -> str:
    """``81.2 ± 1.2 %``."""
    return percent(metric(values, name), digits)


def falls(first: Metric, last: Metric) -> bool:
    """Whether the second number is lower, beyond two standard errors."""
    return last.value < first.value and apart(first, last)


def level(values: Mapping[int, Metric], largest: bool = False) -> list[int]:
    """The key of the lowest value (of the largest), and those whose values are within two standard errors of it."""
    best = (max if largest else min)(values, key=lambda key: values[key].value)
    return [key for key in sorted(values) if not apart(values[key], values[best])]


def near(values: Mapping[int, float], largest: bool = False) -> list[int]:
    """`level` of numbers without a standard error: those within `ALIKE` of the lowest (the largest).

    >>> near({2: 70.2, 4: 70.8, 8: 78.5}), near({2: 70.2, 4: 70.8, 8: 78.5}, largest=True)
    ([2, 4], [8])
    """
    low, high = min(values.values()), max(values.values())
    return [key for key, value in sorted(values.items())
            if (value * (1 + ALIKE) >= high if largest else value <= low * (1 + ALIKE))]  # fmt: skip


def in_words(amount: int) -> str:
    """``three``, up to twelve."""
    names = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    return names[amount] if amount < len(names) else f"{amount:,}"


def place(z: Sequence[float]) -> str:
    """``(0.5, −1.2)``."""
    return "(" + ", ".join(f"{value:z.1f}".replace("-", "−") for value in z) + ")"


def r2(fit: Mapping[str, Any]) -> str:
    """``0.612 ± 0.008``."""
    return f"{fit['r2']:.3f} ± {fit['r2_error']:.3f}"


def clear(fit: Mapping[str, Any]) -> bool:
    """Whether a relation is beyond chance: R² above what none gives, by three standard errors, and worth a word."""
    return bool(fit["r2"] - 3 * fit["r2_error"] > fit["chance"] and fit["r2"] >= 0.02)


def several(keys: Sequence[int]) -> str:
    """``2, 4 and 8``."""
    return listed([str(key) for key in keys])


def label_worth(classes: int) -> str:
    """What it is worth at most to name a class: ``log 10 = 2.30 nats``.

    >>> label_worth(10)
    'log 10 = 2.30 nats'
    """
    return f"log {classes} = {math.log(classes):.2f} nats"


def foremost(fits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The style with the highest R², and those within two standard errors of it, falling."""
    order = sorted(fits, key=lambda style: -fits[style]["r2"])
    best = fits[order[0]]
    return [style for style in order
            if best["r2"] - fits[style]["r2"] <= 2 * math.hypot(best["r2_error"], fits[style]["r2_error"])]  # fmt: skip


def ordered(told: float, chance: float) -> str:
    """How far the latent space is ordered by class, by the share whose class neighbours tell.

    >>> ordered(0.95, 0.1), ordered(0.73, 0.1), ordered(0.2, 0.1)
    ('ordered', 'mostly ordered', 'hardly ordered')
    """
    part = (told - chance) / max(1 - chance, 1e-12)
    return "ordered" if part >= 0.9 else "mostly ordered" if part >= 0.5 else "partly ordered" if part >= 0.2 else (
        "hardly ordered")  # fmt: skip


def sizes_of(results: Results) -> list[int]:
    """The latent dimensions that were compared, rising."""
    return sorted({model["size"] for model in results.values("sizes")["models"].values()})


def trained(results: Results, name: str) -> Mapping[str, Any]:
    """All numbers of one of the compared models: of its evaluation, and of its samples."""
    return {**results.values(name), **results.values("sizes")["models"][name]}


def of_sizes(results: Results, kind: str, name: str) -> dict[int, Metric]:
    """One metric of the models of a kind, vae or cvae, by latent dimensions."""
    return {size: metric(trained(results, f"{kind}-{size}"), name) for size in sizes_of(results)}
