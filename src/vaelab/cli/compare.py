"""``vaelab compare``: several runs beside each other."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaelab.cli import console, options

if TYPE_CHECKING:
    from vaelab.tasks.compare import Comparison

EPILOG = """\
Examples

$ vaelab compare runs/vae runs/cvae
$ vaelab compare runs/vae-0 runs/vae-1 runs/vae-2 runs/beta-4 --out comparison
$ vaelab compare runs/vae runs/mixture --importance-samples 100 --json
$ vaelab compare runs/vae runs/dae --split validation --metrics reconstruction

Runs that are equal but for --seed are one row: mean and standard deviation over the seeds."""


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Two or more folders that trainings wrote.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write report.html, curves and .csv files here, too."),
    ] = None,
    split: options.Split = "test",
    metrics: Annotated[
        str, typer.Option("--metrics", metavar="M,M,…", help="Columns: names in metrics.json, or all.")
    ] = "",
    importance_samples: Annotated[
        int,
        typer.Option("--importance-samples", metavar="K", help="Estimate log p(x) where it is not there with this K."),
    ] = 0,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    offline: options.Offline = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Compare runs: a table of their numbers, what differs between them, and whether they can be compared at all.

    A run that was not evaluated yet is evaluated first, which adds to its metrics.json.
    """
    from vaelab.run import DataAccess, Run
    from vaelab.tasks.compare import check_out, compare_runs, main_metrics, write_comparison

    if out is not None:
        check_out(out)  # before the work, not after it
    bars = console.bars(quiet)
    opened = [Run.open(run, DataAccess(data_dir, offline, bars), device) for run in runs]
    comparison = compare_runs(opened, split=split, importance_samples=importance_samples, progress=bars)
    shown = main_metrics(comparison, [word.strip() for word in metrics.split(",") if word.strip()])
    command = shlex.join(["vaelab", *console.settings.words])
    files = {} if out is None else write_comparison(comparison, out, shown, command=command)
    if as_json:
        from vaelab.tasks.compare.tables import to_json

        console.out_json(to_json(comparison) | {"files": {name: str(path) for name, path in files.items()}})
    else:
        _show(comparison, shown, files)


def _show(comparison: Comparison, metrics: list[str], files: dict[str, Path]) -> None:
    from vaelab.tasks.compare import conclude, numbers_table, spread_words

    for sentence in comparison.warnings:
        console.paragraph(f"Not comparable. {sentence}")
    if comparison.warnings:
        console.out()
    columns, rows = numbers_table(comparison, metrics)
    console.table(columns, rows, right=columns[1:])
    console.out()
    console.paragraph(spread_words(comparison, metrics))
    for sentence in [*conclude(comparison), *comparison.notes]:
        console.paragraph(sentence)
    if comparison.differences:
        console.out()
        names = [group.name for group in comparison.groups]
        console.table(["differs", *names], [[key, *values] for key, values in comparison.differences.items()])
    if files:
        console.out()
        console.out("\n".join(str(path) for path in files.values()))
