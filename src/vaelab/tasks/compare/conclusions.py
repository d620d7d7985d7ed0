"""What the numbers of a comparison say, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator

from vaelab.tasks.compare.groups import Comparison, Group, Number
from vaelab.tasks.compare.tables import metric_title, written

CLEAR = 2.0
"""Standard errors that a difference is called more than chance from."""


def conclude(comparison: Comparison) -> list[str]:
    """Which group is lowest in −ELBO (of autoencoders: reconstruction), by how much, and what seeds say about that.

    With a and b the means of two groups over k_a and k_b ≥ 2 seeds and s their standard deviations, the standard error
    of a − b is √(s_a² / k_a + s_b² / k_b). Numbers that cannot be compared are not ranked.
    """
    groups = comparison.groups
    name = "negative_elbo" if any("negative_elbo" in group.numbers for group in groups) else "reconstruction"
    found = [(group, number) for group in groups if (number := group.numbers.get(name)) and math.isfinite(number.mean)]
    title = f"{comparison.split} {metric_title(name)}"
    if len(groups) == 1:
        return [_alone(title, groups[0], number) for _, number in found if len(number.values) > 1]
    if name in comparison.incomparable:
        return ["The numbers are not ranked, because not all runs can be compared with one another."]
    if len(found) < 2:
        return []
    return list(_ranked(title, sorted(found, key=lambda pair: pair[1].mean)))


def _alone(title: str, group: Group, number: Number) -> str:
    low, high = min(number.values), max(number.values)
    return (
        f"All runs have one configuration: {title} of {group.name} is {written(number)} {number.unit} over "
        f"{len(number.values)} seeds, from {low:.2f} to {high:.2f}."
    )


def _ranked(title: str, found: list[tuple[Group, Number]]) -> Iterator[str]:
    (best, lowest), *others = found
    yield f"Lowest {title}: {best.name}, {written(lowest)} {lowest.unit}."
    for group, number in others:
        difference = number.mean - lowest.mean
        error = _error(lowest, number)
        if error is None:
            yield f"{group.name} is {difference:.2f} higher."
            continue
        words = f"{group.name} is {difference:.2f} ± {error:.2f} higher (standard error over seeds)"
        small = difference <= CLEAR * error
        yield f"{words}, which other seeds could turn round." if small else f"{words}."
    if any(number.over != "seeds" for _, number in found):
        yield "Of a configuration with a single run, it is not known how much another training seed would change it."


def _error(a: Number, b: Number) -> float | None:
    """Of the difference of two means over seeds."""
    if a.over != "seeds" or b.over != "seeds" or a.spread is None or b.spread is None:
        return None
    return math.sqrt(a.spread**2 / len(a.values) + b.spread**2 / len(b.values))
