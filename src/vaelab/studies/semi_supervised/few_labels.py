"""Classifiers that are given few labels (E13): on both representations and on the raw pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vaelab.applications.representations import Summary, conclude, paired_difference
from vaelab.applications.representations.conclusions import BASELINE, RAW
from vaelab.studies.context import Context
from vaelab.studies.semi_supervised.words import TITLES
from vaelab.tasks.semi_supervised import Asked, Report, evaluate_runs, summaries_json, table
from vaelab.tasks.semi_supervised.report import figure

CHOICE = "stratified"

COLUMNS = ("representation", "method", "labels", "seed", "accuracy", "standard_error", "seconds", "hyperparameters")


def measure(ctx: Context) -> Mapping[str, Any]:
    """Every cell; what is finished in ``few-labels/`` and ``all-labels/`` is not measured again."""
    runs = [ctx.run(name) for name in ctx.step.needs]
    labels = runs[0].data.train.labels
    known = 0 if labels is None else int((labels >= 0).sum())
    asked = counts(ctx.options["labels"], known)
    some = tuple(count for count in asked if count < known)
    reports = []
    if some:
        reports.append(_evaluated(ctx, "few-labels", some, ctx.options["seeds"]))
    if known in asked:
        # Of all labels there is one choice: what differs between seeds is the classifiers' own randomness alone.
        reports.append(_evaluated(ctx, "all-labels", (0,), ctx.options["seeds_all"]))
    summaries = [summary for report in reports for summary in report.summaries]
    title = f"Test accuracy on {runs[0].config.data.name} against the number of labels"
    shown = [_shown(summary) for summary in summaries]
    ctx.figure("accuracy", figure(shown, CHOICE, title))
    ctx.table("results", COLUMNS, [row for report in reports for row in _rows(report)])
    columns, rows = table(shown, CHOICE)
    return {
        "columns": columns,
        "rows": [["raw pixels" if name == RAW else name, *row] for name, *row in rows],
        "summaries": [dict(summary) for summary in summaries_json(summaries)],
        "conclusions": conclude(shown),
        "best": best(summaries),
        "known": known,
        "images": max(summary.images for summary in summaries),
    }


def _evaluated(ctx: Context, folder: str, labels: tuple[int, ...], seeds: int) -> Report:
    runs = [ctx.run(name) for name in ctx.step.needs]
    methods = tuple(ctx.options["methods"].split("+"))
    asked = Asked(labels=labels, seeds=seeds, methods=methods, raw_methods=(BASELINE,), choices=(CHOICE,))
    return evaluate_runs(runs, ctx.store.path / folder, asked, jobs=ctx.jobs, progress=ctx.progress)


def counts(asked: Sequence[int], known: int) -> tuple[int, ...]:
    """Those that the data has; 0 is all of them.

    >>> counts((100, 5000, 0), 1438)
    (100, 1438)
    """
    return tuple(sorted({count or known for count in asked if count <= known})) or (known,)


def _shown(summary: Summary) -> Summary:
    """With the representation in words, for readers; the raw pixels keep the name by which they are told apart."""
    return replace(summary, representation=TITLES.get(summary.representation, summary.representation))


def _rows(report: Report) -> list[list[Any]]:
    return [
        [
            row.cell.representation,
            row.cell.method,
            row.cell.labels,
            row.cell.seed,
            row.result.accuracy,
            row.result.standard_error,
            round(row.result.seconds, 2),
            ";".join(f"{name}={value:g}" for name, value in row.result.parameters.items()),
        ]
        for row in report.rows
    ]


def best(summaries: Sequence[Summary]) -> list[dict[str, Any]]:
    """For each number of labels the best method of each representation and the MLP on raw pixels, and differences.

    ``raw_needs``: the fewest labels, of those measured, with which the raw pixels do as well as the best of them; None
    where they never do.
    """
    found = []
    raw = {row.labels: row.mean for row in summaries if (row.representation, row.method) == (RAW, BASELINE)}
    for labels in sorted(raw):
        rows = [row for row in summaries if row.labels == labels]
        baseline = next(row for row in rows if (row.representation, row.method) == (RAW, BASELINE))
        names = dict.fromkeys(row.representation for row in rows if row.representation != RAW)
        tops = [max((row for row in rows if row.representation == name), key=lambda row: row.mean) for name in names]
        tops.sort(key=lambda row: -row.mean)
        found.append(
            {
                "labels": labels,
                "raw": _plain(baseline),
                "first": _plain(tops[0]),
                "raw_needs": min((count for count, mean in raw.items() if mean >= tops[0].mean), default=None),
                "gain": _difference(tops[0], baseline),
                "between": _difference(*tops[:2]) if len(tops) > 1 else None,
            }
        )
    return found


def _plain(row: Summary) -> dict[str, Any]:
    return {"representation": row.representation, "method": row.method, "accuracy": row.mean, "spread": row.spread}


def _difference(first: Summary, second: Summary) -> dict[str, Any]:
    found = paired_difference(first, second)
    return {"mean": found.mean, "spread": found.spread, "clear": found.clear, "margin": found.margin}
