"""Means and spreads over the seeds, and differences between cells with the same labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vaelab.applications.representations.cells import Cell, Result


@dataclass(frozen=True)
class Row:
    """A cell that was asked for, and its result."""

    cell: Cell
    result: Result


@dataclass(frozen=True)
class Summary:
    """Over the seeds of one representation, method, number and choice of labels.

    ``mean`` of the accuracy and its ``spread`` (the standard deviation over the seeds, n − 1), shares; ``spread`` is
    None for one seed, and where one computation stands for all (``computed`` is 1 then). ``standard_error``: of the
    mean accuracy for the finite test set. ``accuracies``: one a seed, in the order of ``seeds``.
    """

    representation: str
    method: str
    labels: int
    choice: str
    mean: float
    spread: float | None
    standard_error: float
    images: int
    computed: int
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]


def summarise(rows: Iterable[Row], once: Iterable[Cell] = ()) -> list[Summary]:
    """One `Summary` for each group of rows, in the order in which they come; ``once``: cells computed for all seeds.

    >>> results = [Result(a, 0.01, 100, 1.0, {}, "") for a in (0.7, 0.8)]
    >>> rows = [Row(Cell("vae", "svm", 50, "plain", seed), result) for seed, result in enumerate(results)]
    >>> [(round(s.mean, 3), round(s.spread, 3)) for s in summarise(rows)]
    [(0.75, 0.071)]
    """
    groups: dict[tuple[str, str, int, str], list[Row]] = {}
    for row in rows:
        cell = row.cell
        groups.setdefault((cell.representation, cell.method, cell.labels, cell.choice), []).append(row)
    shared = set(once)
    return [_summary(group, shared) for group in groups.values()]


def _summary(rows: Sequence[Row], shared: set[Cell]) -> Summary:
    cell, accuracies = rows[0].cell, [row.result.accuracy for row in rows]
    computed = 1 if cell in shared else len(rows)
    mean = float(np.mean(accuracies))
    images = rows[0].result.images
    return Summary(
        cell.representation,
        cell.method,
        cell.labels,
        cell.choice,
        mean,
        float(np.std(accuracies, ddof=1)) if computed > 1 else None,
        math.sqrt(mean * (1 - mean) / images),
        images,
        computed,
        tuple(row.cell.seed for row in rows),
        tuple(accuracies),
    )


@dataclass(frozen=True)
class Difference:
    """``mean`` difference of two accuracies over ``seeds``, its ``spread`` (None for one), and whether it is ``clear``.

    ``margin`` = √((t · spread / √seeds)² + (2 · standard error)² of both): t is Student's 97.5 % quantile, 4.3 for
    three seeds. The spread says how much the choice of labels and the first weights matter, the standard errors how
    much the finite test set does. They are added as if independent, though both are of the same images, so that rather
    too little is called clear.
    """

    mean: float
    spread: float | None
    margin: float
    seeds: int

    @property
    def clear(self) -> bool:
        """Whether it is beyond its margin."""
        return abs(self.mean) > self.margin


def paired_difference(first: Summary, second: Summary) -> Difference:
    """``first`` − ``second``, seed by seed: both were given the same labels.

    >>> one = Summary("vae", "svm", 50, "plain", 0.75, 0.07, 0.004, 10_000, 2, (0, 1), (0.7, 0.8))
    >>> two = Summary("raw", "mlp", 50, "plain", 0.65, 0.07, 0.005, 10_000, 2, (0, 1), (0.6, 0.7))
    >>> difference = paired_difference(one, two)
    >>> round(difference.mean, 3), round(difference.spread, 3), difference.clear
    (0.1, 0.0, True)
    """
    if first.seeds != second.seeds:
        raise ValueError(f"expected equal seeds, got {first.seeds} and {second.seeds}")
    differences = np.subtract(first.accuracies, second.accuracies)
    seeds = len(differences) if max(first.computed, second.computed) > 1 else 1
    spread = float(np.std(differences, ddof=1)) if seeds > 1 else None
    drawn = 0.0 if spread is None else _student(seeds - 1) * spread / math.sqrt(seeds)
    margin = math.hypot(drawn, 2 * first.standard_error, 2 * second.standard_error)
    return Difference(float(differences.mean()), spread, margin, seeds)


def _student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t; for many degrees of freedom that of the normal distribution, rounded up."""
    table = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
    return table[freedom - 1] if freedom <= len(table) else 2.228 if freedom < 30 else 2.0
