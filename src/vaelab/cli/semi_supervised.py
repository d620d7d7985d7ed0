"""``vaelab semi-supervised``: how well classifiers do with few labels on the representations of several runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaelab.cli import console, options
from vaelab.errors import UsageError

if TYPE_CHECKING:
    from vaelab.tasks.semi_supervised import Report

METHODS = ("logistic-regression", "svm", "random-forest", "mlp")
"""`applications.representations` has them, too, but waits for numpy; a test compares the two."""

EPILOG = f"""\
Methods

{", ".join(METHODS)}

Examples

$ vaelab semi-supervised runs/vae runs/dae --out results
$ vaelab semi-supervised runs/vae runs/dae --out results --labels 50,500,all --seeds 5 --choice both
$ vaelab semi-supervised runs/vae --out results --methods svm,mlp --no-raw --json

Stopped, it keeps every finished cell; the same command goes on. Other labels, seeds or methods add cells."""


def semi_supervised(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folders that trainings on the same data wrote.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where results are kept and found again.")],
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="L,L,…", help="Numbers of labels, or all. Default: 50,100,500,1000,5000,all."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", help="Choices of labels for each number.")] = 3,
    methods: Annotated[str, typer.Option("--methods", metavar="M,M,…", help="See below.")] = ",".join(METHODS),
    choice: Annotated[
        str, typer.Option("--choice", metavar="WAY", help="Of the labels: stratified (by class), plain or both.")
    ] = "stratified",
    raw: Annotated[bool, typer.Option("--raw/--no-raw", metavar="", help="Compare with raw pixels.")] = True,
    raw_methods: Annotated[
        str, typer.Option("--raw-methods", metavar="M,M,…", help="On raw pixels; an SVM of all takes very long.")
    ] = "mlp",
    jobs: Annotated[
        int | None, typer.Option("--jobs", metavar="N", help="Processes. Default: one for each core.")
    ] = None,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    offline: options.Offline = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Compare representations by classifiers that see few labels: test accuracy against the number of labels.

    Only the labels chosen are used, for the hyperparameters too. Writes results.csv, table.md and a figure into DIR.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"expected --jobs ≥ 1, got {jobs}")
    counts = None if labels is None else tuple(_count(word) for word in _words(labels))
    from vaelab.run import DataAccess, Run
    from vaelab.tasks.semi_supervised import Asked, evaluate_runs

    asked = Asked(
        counts,
        seeds,
        tuple(_words(methods)),
        tuple(_words(raw_methods)) if raw else (),
        ("stratified", "plain") if choice == "both" else (choice,),
    )
    bars = console.bars(quiet)
    opened = [Run.open(run, DataAccess(data_dir, offline, bars), device) for run in runs]
    for run in opened:
        console.note_unfinished(run, quiet)
    _show(evaluate_runs(opened, out, asked, jobs=jobs, progress=bars), asked.choices, as_json)


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _count(word: str) -> int:
    """0 for all."""
    if word == "all":
        return 0
    if not word.isdecimal() or not int(word):
        raise UsageError(f"expected numbers ≥ 1 or all for --labels, with commas between, got {word!r}")
    return int(word)


def _show(report: Report, choices: tuple[str, ...], as_json: bool) -> None:
    from vaelab.tasks.semi_supervised import caption, summaries_json, table

    if as_json:
        summaries = summaries_json(report.summaries)
        files = {name: str(path) for name, path in report.files.items()}
        value = {"cells": len(report.rows), "measured": report.measured, "summaries": summaries}
        console.out_json({**value, "conclusions": report.conclusions, "files": files})
        return
    for choice in choices:
        columns, rows = table(report.summaries, choice)
        console.paragraph(caption(report.summaries, choice))
        console.table(columns, rows, right=columns[2:])
        console.out()
    for sentence in report.conclusions:
        console.paragraph(sentence)
    console.out()
    console.out("\n".join(str(path) for path in report.files.values()))
