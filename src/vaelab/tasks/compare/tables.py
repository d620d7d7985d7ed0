"""The numbers of a comparison as tables: for people, as CSV, as plain values."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from vaelab.errors import UsageError
from vaelab.runfolder import History
from vaelab.specs import nearest
from vaelab.tasks.compare.groups import Comparison, Group, Number

TITLES = {
    "negative_elbo": "−ELBO",
    "reconstruction": "reconstruction",
    "kl": "KL",
    "negative_log_likelihood": "−log p(x)",
    "bits_per_dimension": "bits/dim",
    "denoising": "denoising",
    "accuracy": "accuracy",
    "active_units": "active units",
}
"""Metrics that are shown where nobody asks for others, and what they are called."""

GROUP_COLUMNS = (
    "group", "runs", "seeds", "metric", "mean", "spread", "spread_over", "values", "unit", "images", "protocol",
)  # fmt: skip
RUN_COLUMNS = ("run", "group", "seed", "metric", "value", "standard_error", "unit", "images", "protocol")


def metric_title(name: str) -> str:
    """What a metric is called in a table.

    >>> metric_title("negative_elbo"), metric_title("linear_accuracy")
    ('−ELBO', 'linear accuracy')
    """
    return TITLES.get(name, name.replace("_", " "))


def main_metrics(comparison: Comparison, asked: Sequence[str] = ()) -> list[str]:
    """The metrics ``asked`` for, ``all`` of them, or the usual ones, that a group has; `UsageError` for others."""
    known = list(dict.fromkeys(name for group in comparison.groups for name in group.numbers))
    if "all" in asked:
        return [*(name for name in TITLES if name in known), *(name for name in known if name not in TITLES)]
    if unknown := [name for name in asked if name not in known]:
        raise UsageError(
            f"no run has the metric {unknown[0]!r} of the {comparison.split} images; {nearest(unknown[0], known)}"
        )
    return list(dict.fromkeys(asked)) or [name for name in TITLES if name in known]


def numbers_table(comparison: Comparison, metrics: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: a row for each group with its number of seeds and ``mean ± spread`` of each metric."""
    digits = {name: _digits([g.numbers[name] for g in comparison.groups if name in g.numbers]) for name in metrics}
    rows = [
        [group.name, str(len(group.counted)), *(_cell(group, name, digits[name]) for name in metrics)]
        for group in comparison.groups
    ]
    return ["run", "seeds", *map(metric_title, metrics)], rows


def spread_words(comparison: Comparison, metrics: Sequence[str]) -> str:
    """Units, and what stands behind ±."""
    units: dict[str, list[str]] = {}
    for group in comparison.groups:
        for name in (name for name in metrics if name in group.numbers):
            units.setdefault(group.numbers[name].unit, []).append(metric_title(name))
    numbers = [group.numbers[name] for group in comparison.groups for name in metrics if name in group.numbers]
    over = {number.over for number in numbers}
    images = sorted({number.n for number in numbers})
    counts = f"{images[0]:,}" + (f" to {images[-1]:,}" if len(images) > 1 else "") if images else "0"
    told = "; ".join(f"{', '.join(dict.fromkeys(names))} in {unit}" for unit, names in units.items())
    seeds = "mean ± standard deviation over training seeds"
    once = "± standard error over images"
    spread = f"{seeds} where there are several, else {once}" if {"seeds", "images"} <= over else ""
    spread = spread or (seeds if "seeds" in over else once)
    split = "training" if comparison.split == "train" else comparison.split
    return f"{counts} {split} images. {told}; {spread}."


def runs_table(comparison: Comparison, metrics: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: a row for each run with its seed, the epochs in its history, and its own numbers."""
    rows = []
    for group in comparison.groups:
        for member in group.members:
            found = [member.metrics.get(name) for name in metrics]
            cells = ["" if metric is None else f"{metric.value:.6g}" for metric in found]
            rows.append([member.name, group.name, str(member.seed), str(epochs(member.history)), *cells])
    return ["run", "group", "seed", "epochs", *map(metric_title, metrics)], rows


def epochs(history: History) -> int:
    """The last epoch that was finished."""
    return int(max(history.where(split="train")["epoch"], default=0))


def written(number: Number, digits: int | None = None) -> str:
    """``151.09 ± 0.50``: two decimals, or as many as the spread needs to be seen, up to four.

    >>> written(Number(151.0949, 0.5032, "images", "nats per image", 10_000, (151.0949,), ()))
    '151.09 ± 0.50'
    >>> written(Number(2.0, None, "", "latent dimensions", 10_000, (2.0,), ()))
    '2'
    """
    places = _digits([number]) if digits is None else digits
    spread = "" if number.spread is None else f" ± {number.spread:.{places}f}"
    return f"{number.mean:.{places}f}{spread}"


def _digits(numbers: Sequence[Number]) -> int:
    """Decimals that all of a column are written with; a spread far below the others does not ask for more."""
    largest = max((number.spread or 0.0 for number in numbers), default=0.0)
    spreads = [number.spread for number in numbers if number.spread and number.spread > largest / 200]
    if not spreads:
        return 0 if all(value == round(value) for n in numbers for value in n.values if math.isfinite(value)) else 2
    return min(4, max(2, -math.floor(math.log10(min(spreads)))))


def _cell(group: Group, name: str, digits: int) -> str:
    return written(group.numbers[name], digits) if name in group.numbers else ""


def groups_csv(comparison: Comparison) -> str:
    """A line for each group and metric, under `GROUP_COLUMNS`; what has several values is divided by semicolons."""
    return _csv(
        GROUP_COLUMNS,
        [
            [
                group.name, ";".join(str(m.path) for m in group.members), ";".join(str(m.seed) for m in group.members),
                name, repr(number.mean), "" if number.spread is None else repr(number.spread), number.over,
                ";".join(map(repr, number.values)), number.unit, number.n, "; ".join(number.protocols),
            ]
            for group in comparison.groups
            for name, number in group.numbers.items()
        ],
    )  # fmt: skip


def runs_csv(comparison: Comparison) -> str:
    """A line for each run and metric, under `RUN_COLUMNS`: what the means are of."""
    return _csv(
        RUN_COLUMNS,
        [
            [
                str(member.path), group.name, member.seed, name, repr(metric.value),
                "" if metric.standard_error is None else repr(metric.standard_error),
                metric.unit, metric.n, metric.protocol,
            ]
            for group in comparison.groups
            for member in group.members
            for name, metric in member.metrics.items()
        ],
    )  # fmt: skip


def _csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Plain values: everything but the histories; a number that is not finite is null."""
    return {
        "split": comparison.split,
        "groups": [_group_json(group) for group in comparison.groups],
        "differences": {
            key: dict(zip((group.name for group in comparison.groups), values, strict=True))
            for key, values in comparison.differences.items()
        },
        "warnings": list(comparison.warnings),
        "notes": list(comparison.notes),
    }


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "runs": [{"path": str(m.path), "name": m.name, "seed": m.seed} for m in group.members],
        "metrics": {
            name: {
                "mean": _finite(number.mean),
                "spread": _finite(number.spread),
                "spread_over": number.over or None,
                "values": [_finite(value) for value in number.values],
                "unit": number.unit,
                "n": number.n,
                "protocols": list(number.protocols),
            }
            for name, number in group.numbers.items()
        },
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
