"""All cells that are asked for: those that are there, those that are missing, and what they say together."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaelab import plots
from vaelab.applications.representations import (
    CHOICES,
    METHODS,
    Cell,
    Problem,
    Result,
    Row,
    Summary,
    canonical,
    conclude,
    run_cells,
    summarise,
)
from vaelab.applications.representations.conclusions import BASELINE, RAW
from vaelab.data.progress import Progress, no_progress
from vaelab.errors import Interrupted, UsageError
from vaelab.files import write_text_atomic
from vaelab.run import Run
from vaelab.signals import stop_signals
from vaelab.specs import choice as check_choice
from vaelab.tasks.semi_supervised import report
from vaelab.tasks.semi_supervised.sources import Source, Stop, collect, images
from vaelab.tasks.semi_supervised.store import Store

LABELS = (50, 100, 500, 1000, 5000, 0)
"""Numbers of labels where none are asked for, those that the data has; 0: all."""


@dataclass(frozen=True)
class Asked:
    """``labels``: numbers of them, 0 for all; None: `LABELS`. ``seeds``: how many, counted from 0. ``methods``: of each
    representation, ``raw_methods``: of the raw pixels, keys of `METHODS`; ``choices`` of labels, of `CHOICES`.

    Raises `UsageError` for unknown names and numbers out of range.
    """

    labels: tuple[int, ...] | None = None
    seeds: int = 3
    methods: tuple[str, ...] = tuple(METHODS)
    raw_methods: tuple[str, ...] = (BASELINE,)
    choices: tuple[str, ...] = (CHOICES[0],)

    def __post_init__(self) -> None:
        for method in (*self.methods, *self.raw_methods):
            check_choice("method", method, METHODS)
        for choice in self.choices:
            check_choice("choice of labels", choice, CHOICES)
        if self.seeds < 1:
            raise UsageError(f"expected at least 1 seed, got {self.seeds}")
        if not self.methods or not self.choices or self.labels == ():
            raise UsageError("expected at least one method, choice and number of labels, got none")
        if any(count < 0 for count in self.labels or ()):
            raise UsageError(f"expected numbers of labels ≥ 1, or all, got {min(self.labels or ())}")

    def counts(self, known: int) -> list[int]:
        """The numbers of labels of data that has ``known``, smallest first; `UsageError` where one is too large."""
        asked = [count for count in LABELS if count < known] if self.labels is None else self.labels
        if (most := max(asked)) > known:
            raise UsageError(f"expected at most {known:,} labels, which the training images have, got {most:,}")
        return sorted({count or known for count in asked})

    def cells(self, problem: Problem) -> list[Cell]:
        """Every cell, sorted as tables show them."""
        return [
            Cell(name, method, labels, choice, seed)
            for choice in self.choices
            for name in problem.representations
            for method in METHODS
            if method in (self.raw_methods if name == RAW else self.methods)
            for labels in self.counts(problem.known)
            for seed in range(self.seeds)
        ]


@dataclass(frozen=True)
class Report:
    """What came out: a `Row` for each cell, means, sentences, ``files`` by name; ``measured``: cells that were new."""

    rows: list[Row]
    summaries: list[Summary]
    conclusions: list[str]
    sources: list[Source]
    files: dict[str, Path]
    measured: int


def evaluate_runs(
    runs: Sequence[Run],
    out: str | Path,
    asked: Asked | None = None,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Measure every cell that is not in the folder ``out`` yet, and write results, table and figures there.

    ``runs``: unconditional models of the same images. Every image but the test ones is in a representation; no label
    but the l chosen ones is used. ``jobs``: processes (None: one for each core). Raises `UsageError` for runs or
    numbers that do not fit, `DataError` for data without labels, `Interrupted` (exit code 130 or 143) on SIGINT or
    SIGTERM: what is finished is kept, and the same call goes on.
    """
    asked, store = asked or Asked(), Store.open(Path(out))
    with stop_signals() as stop:
        data = images(runs)
        assert data.train.labels is not None
        asked.counts(int((data.train.labels >= 0).sum()))  # refused before the work, not after it
        sources, problem = collect(runs, data, store, bool(asked.raw_methods), progress, stop)
        cells = asked.cells(problem)
        store.write_config(_document(asked, sources, runs[0].config.data.name, problem))
        prints = {source.name: source.fingerprint for source in sources}
        results = _finished(store, cells, problem, prints)
        missing = list(dict.fromkeys(one for cell in cells if (one := canonical(cell, problem.known)) not in results))

        def done(cell: Cell, result: Result) -> None:
            store.write_cell(cell, prints[cell.representation], result)
            results[cell] = result

        _measure(problem, missing, done, jobs=jobs, progress=progress, stop=stop)
    rows = [Row(cell, results[canonical(cell, problem.known)]) for cell in cells]
    return _report(rows, sources, asked, store, runs[0], measured=len(missing), known=problem.known)


def _finished(store: Store, cells: Sequence[Cell], problem: Problem, prints: Mapping[str, str]) -> dict[Cell, Result]:
    wanted = dict.fromkeys(canonical(cell, problem.known) for cell in cells)
    found = {cell: store.read_cell(cell, prints[cell.representation]) for cell in wanted}
    return {cell: result for cell, result in found.items() if result is not None}


def _measure(
    problem: Problem,
    missing: Sequence[Cell],
    done: Callable[[Cell, Result], None],
    *,
    jobs: int | None,
    progress: Progress | None,
    stop: Stop,
) -> None:
    """Run what is missing; `Interrupted` says how to go on."""
    count = 0

    def noted(cell: Cell, result: Result) -> None:
        nonlocal count
        done(cell, result)
        count += 1

    with (progress or no_progress)(f"measuring {len(missing)} cells", 1000) as advance:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        whole = run_cells(problem, missing, noted, jobs=jobs or cores, stop=stop, advance=advance)
    if not whole:
        raise Interrupted(
            f"stopped after {count} of {len(missing)} cells; what is done is kept: run the same command again to go on",
            stop(),
        )


def _document(asked: Asked, sources: Sequence[Source], data: str, problem: Problem) -> dict[str, Any]:
    return {
        **dataclasses.asdict(asked),
        "labels": asked.counts(problem.known),
        "data": data,
        "training_images": len(problem.labels),
        "test_images": len(problem.test_labels),
        "representations": [dataclasses.asdict(source) for source in sources],
    }


def _report(
    rows: list[Row], sources: list[Source], asked: Asked, store: Store, run: Run, *, measured: int, known: int
) -> Report:
    """Write results, table and figures."""
    once = [row.cell for row in rows if row.cell.labels == known and not METHODS[row.cell.method].random]
    summaries = summarise(rows, once)
    conclusions = conclude(summaries)
    files = report.files_of(store.path, asked.choices)
    write_text_atomic(files["csv"], report.results_csv(rows, sources))
    write_text_atomic(files["table"], report.markdown(summaries, conclusions, asked.choices))
    for choice in asked.choices:
        title = f"Test accuracy on {Path(run.config.data.name).stem}, {choice} choice of labels"
        plots.save(report.figure(summaries, choice, title), files[f"figure_{choice}"])
    return Report(rows, summaries, conclusions, sources, files, measured)
