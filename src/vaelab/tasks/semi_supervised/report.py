"""The results of an evaluation as a tidy CSV, a table, a figure for each choice of labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from vaelab import plots
from vaelab.applications.representations import METHODS, Row, Summary
from vaelab.applications.representations.conclusions import BASELINE, RAW
from vaelab.tasks.semi_supervised.sources import Source

COLUMNS = (
    "representation", "kind", "run", "method", "labels", "choice", "seed", "accuracy", "standard_error", "test_images",
    "seconds", "hyperparameters", "protocol",
)  # fmt: skip


def results_csv(rows: Sequence[Row], sources: Sequence[Source]) -> str:
    """A line for each cell, under `COLUMNS`; accuracies are shares."""
    by_name = {source.name: source for source in sources}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cell, result, source = row.cell, row.result, by_name[row.cell.representation]
        parameters = ";".join(f"{name}={value:g}" for name, value in result.parameters.items())
        writer.writerow([
            cell.representation, source.kind, source.run, cell.method, cell.labels, cell.choice, cell.seed,
            repr(result.accuracy), repr(result.standard_error), result.images, f"{result.seconds:.2f}", parameters,
            result.protocol,
        ])  # fmt: skip
    return text.getvalue()


def table(summaries: Sequence[Summary], choice: str) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: a row for each representation and method, a column for each number of labels, per cent."""
    found = [summary for summary in summaries if summary.choice == choice]
    counts = sorted({summary.labels for summary in found})
    rows: dict[tuple[str, str], dict[int, str]] = {}
    for summary in found:
        rows.setdefault((summary.representation, summary.method), {})[summary.labels] = _percent(summary)
    columns = ["representation", "method", *(f"{count:,}" for count in counts)]
    return columns, [
        [name, METHODS[method].title, *(values.get(count, "") for count in counts)]
        for (name, method), values in rows.items()
    ]


def caption(summaries: Sequence[Summary], choice: str) -> str:
    """What the numbers of `table` are."""
    found = [summary for summary in summaries if summary.choice == choice]
    seeds = max((len(summary.seeds) for summary in found), default=1)
    spread = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    images = max((summary.images for summary in found), default=0)
    once = (
        "; without ±: one fit, in which nothing is random" if seeds > 1 and any(s.spread is None for s in found) else ""
    )
    return f"Test accuracy in %, {spread}, {images:,} test images, {choice} choice of labels{once}."


def _percent(summary: Summary) -> str:
    spread = "" if summary.spread is None else f" ± {100 * summary.spread:.1f}"
    return f"{100 * summary.mean:.1f}{spread}"


def markdown(summaries: Sequence[Summary], conclusions: Sequence[str], choices: Sequence[str]) -> str:
    """The tables and the conclusions as a page."""
    lines: list[str] = []
    for choice in choices:
        columns, rows = table(summaries, choice)
        ruler = ["---" if index < 2 else "---:" for index in range(len(columns))]
        lines += [caption(summaries, choice), ""]
        lines += ["| " + " | ".join(_cell(word) for word in row) + " |" for row in (columns, ruler, *rows)]
        lines.append("")
    return "\n".join([*lines, *(f"- {sentence}" for sentence in conclusions)]).rstrip() + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def figure(summaries: Sequence[Summary], choice: str, title: str) -> Figure:
    """`plots.label_curves`: a panel for each representation, the MLP on raw pixels in each."""
    curves: dict[str, dict[str, list[tuple[int, float, float]]]] = {}
    for summary in summaries:
        if summary.choice == choice:
            lines = curves.setdefault(summary.representation, {})
            point = (summary.labels, summary.mean, summary.spread or 0.0)
            lines.setdefault(METHODS[summary.method].title, []).append(point)
    reference = curves.get(RAW, {}).get(METHODS[BASELINE].title)
    if len(curves) > 1 and set(curves.get(RAW, ())) == {METHODS[BASELINE].title}:
        del curves[RAW]  # it is in every panel
    name = f"{METHODS[BASELINE].title} on raw pixels"
    return plots.label_curves(curves, reference={name: reference} if reference else None, title=title)


def summaries_json(summaries: Sequence[Summary]) -> list[Mapping[str, object]]:
    """One object for each mean, with its unit, spread, number of images and seeds."""
    return [
        {
            "representation": summary.representation,
            "method": summary.method,
            "labels": summary.labels,
            "choice": summary.choice,
            "accuracy": summary.mean,
            "spread": summary.spread,
            "standard_error": summary.standard_error,
            "unit": "share of images",
            "n": summary.images,
            "seeds": list(summary.seeds),
            "accuracies": list(summary.accuracies),
        }
        for summary in summaries
    ]


def files_of(path: Path, choices: Sequence[str]) -> dict[str, Path]:
    """Where each result is written: name → path."""
    figures = {f"figure_{choice}": path / "figures" / f"labels-{choice}.png" for choice in choices}
    return {"csv": path / "results.csv", "table": path / "table.md", **figures}
