"""``vaelab latent``: what the latent space of a run looks like, in numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaelab.cli import console, options
from vaelab.cli.evaluate import show_metrics

if TYPE_CHECKING:
    from vaelab.metrics import Metric
    from vaelab.tasks.latent import LatentReport

EPILOG = """\
Examples

$ vaelab latent runs/vae
$ vaelab latent runs/vae --gaps 20 --limit 2000
$ vaelab latent runs/vae --against runs/vae-seed-1 --json"""

_OF_DIMENSION = re.compile(r"(.+)_of_dimension_(\d+)")


def latent(
    run: options.RunPath,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="RUN2", help="Compare with this run's latents of the same images."),
    ] = None,
    split: options.Split = "test",
    gaps: Annotated[
        int, typer.Option("--gaps", metavar="N", help="How many gaps and class borders to look for; 0: none.")
    ] = 8,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="Images of a split to look at, at most.")] = 10_000,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    offline: options.Offline = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Measure the latent space of a run: does z follow the prior, what does it tell, are classes apart, where are gaps?

    The numbers are added to its metrics.json, the figures to its figures.
    """
    from vaelab.run import DataAccess, Run
    from vaelab.tasks.latent import LatentNotSavedError, open_other, study_latent_space

    bars = console.bars(quiet)
    opened = Run.open(run, DataAccess(data_dir, offline, bars), device)
    console.note_unfinished(opened, quiet)
    other = None if against is None else open_other(opened, against, device)
    try:
        report = study_latent_space(
            opened, against=other, split=split, gaps=gaps, limit=limit, seed=seed, progress=bars
        )
    except LatentNotSavedError as error:
        _show(error.report, as_json)
        raise
    _show(report, as_json)


def _show(report: LatentReport, as_json: bool) -> None:
    if as_json:
        console.out_json(report.to_json())
        return
    whole = {name: metric for name, metric in report.metrics.items() if not _OF_DIMENSION.fullmatch(name)}
    show_metrics(whole)
    _show_dimensions(report.metrics)
    rows = [_row(gap, gap["expected_images"], gap["radius"]) for gap in report.gaps]
    _show_places("gap", rows, ["images expected", "radius"])
    if report.gaps and not any(gap["beyond_chance"] for gap in report.gaps):
        console.paragraph("No gap is emptier than chance leaves where z follows the prior.")
    rows = [_row(border, border["entropy"], _between(border["classes"])) for border in report.borders]
    _show_places("border", rows, ["entropy", "classes"])
    for note in report.notes:
        console.out()
        console.paragraph(note)
    console.out()
    console.out("\n".join(str(file) for file in report.files))


def _show_dimensions(metrics: Mapping[str, Metric]) -> None:
    """A row for each latent dimension, a column for each number."""
    numbers: dict[int, dict[str, float]] = {}
    for name, metric in metrics.items():
        if found := _OF_DIMENSION.fullmatch(name):
            numbers.setdefault(int(found[2]), {})[found[1]] = metric.value
    if not numbers:
        return
    names = list(dict.fromkeys(name for row in numbers.values() for name in row))
    columns = ["number of each dimension", *(f"z{j}" for j in numbers)]
    rows = [[name, *(f"{row[name]:.3g}" if name in row else "" for row in numbers.values())] for name in names]
    console.out()
    console.table(columns, rows, right=columns[1:], fold=columns[0])


def _row(place: Mapping[str, Any], *own: float | str) -> list[str]:
    position = " ".join(f"{value:.2f}" for value in place["position"][:4])
    more = " …" if len(place["position"]) > 4 else ""
    numbers = [f"{value:.3g}" if isinstance(value, float) else value for value in own]
    nearest = f"{place['nearest_image']}" + (f" ({place['nearest_label']})" if place["nearest_label"] else "")
    mass, distance = f"{place['prior_mass_denser']:.2f}", f"{place['nearest_distance']:.2f}"
    return [str(place["rank"]), position + more, *numbers, mass, nearest, distance]


def _show_places(name: str, rows: Sequence[Sequence[str]], own: Sequence[str]) -> None:
    if not rows:
        return
    console.out()
    columns = [name, "position", *own, "prior denser", "nearest image", "distance"]
    console.table(columns, rows, right=["prior denser", "distance", "images expected", "radius", "entropy"])


def _between(classes: Mapping[str, float]) -> str:
    return " ".join(f"{name} {share:.0%}" for name, share in list(classes.items())[:3])
