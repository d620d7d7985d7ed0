"""``vaelab evaluate``: a run's numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from vaelab.cli import console, options
from vaelab.metrics import MetricsNotSavedError

if TYPE_CHECKING:
    from vaelab.metrics import Metric
    from vaelab.run import Run

EPILOG = """\
Examples

$ vaelab evaluate runs/vae
$ vaelab evaluate runs/vae --importance-samples 1000
$ vaelab evaluate runs/vae --split validation --json"""


def evaluate(
    run: options.RunPath,
    split: options.Split = "test",
    samples: Annotated[int, typer.Option("--samples", metavar="N", help="Draws of z for each image.")] = 1,
    importance_samples: Annotated[
        int, typer.Option("--importance-samples", metavar="K", help="For the log-likelihood; 0: leave it out.")
    ] = 0,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    offline: options.Offline = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Measure a trained model and add the numbers to its metrics.json: −ELBO, reconstruction, KL and more.

    Every number comes with its standard error, its unit, the number of images and the protocol.
    """
    from vaelab.run import DataAccess, Run

    bars = console.bars(quiet)
    opened = Run.open(run, DataAccess(data_dir, offline, bars), device)
    console.note_unfinished(opened, quiet)
    try:
        metrics = opened.evaluate(
            split, samples=samples, importance_samples=importance_samples, seed=seed, progress=bars
        )
    except MetricsNotSavedError as error:
        _show(opened, error.metrics, split, as_json)
        raise
    _show(opened, metrics, split, as_json)


def _show(run: Run, metrics: Mapping[str, Metric], split: str, as_json: bool) -> None:
    if as_json:
        console.out_json({name: metric.to_json() for name, metric in metrics.items()})
        return
    show_metrics(metrics)
    for sentence in run.diagnose(split):
        console.out()
        console.paragraph(sentence)


def show_metrics(metrics: Mapping[str, Metric]) -> None:
    """Names and numbers as a table; below it, each protocol with the names that it holds for."""
    rows = [[name, *_numbers(metric), metric.unit, str(metric.n)] for name, metric in metrics.items()]
    console.table(["name", "value", "± s.e.", "unit", "images"], rows, right=["value", "± s.e.", "images"])
    names: dict[str, list[str]] = {}
    for name, metric in metrics.items():
        names.setdefault(metric.protocol, []).append(name)
    console.out()
    for protocol, measured in names.items():
        console.paragraph(f"{', '.join(measured)}: {protocol}")


def _numbers(metric: Metric) -> tuple[str, str]:
    """Value and standard error; the latter is empty where there is none."""
    if metric.standard_error is None or not math.isfinite(metric.standard_error):
        return f"{metric.value:g}", ""
    error = metric.standard_error
    decimals = 3 if error <= 0 else min(6, max(3, 1 - math.floor(math.log10(error))))  # two digits of the error
    return f"{metric.value:.{decimals}f}", f"{error:.{decimals}f}"
