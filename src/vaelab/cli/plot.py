"""``vaelab plot``: pictures of a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vaelab.cli import console, options
from vaelab.errors import UsageError

KINDS = {
    "curves": "−ELBO, reconstruction and KL over the epochs",
    "loss": "the training loss over the steps",
    "reconstructions": "images beside their reconstructions",
    "samples": "new images",
    "samples-per-class": "new images of each class",
    "class-epochs": "a sample of each class after each epoch",
    "latent-grid": "the decoded latent plane",
    "latent-scatter": "posterior means, coloured by class",
    "interpolation": "the way between two images, decoded",
    "kl-per-dimension": "the KL of each latent dimension",
}
"""`pictures` has them, too, but waits for torch; a test compares the two."""

EPILOG = """\
Kinds of figures

{kinds}
all: every one that fits the model

Examples

$ vaelab plot runs/vae
$ vaelab plot runs/vae latent-grid --cells 31 --range 2
$ vaelab plot runs/cvae latent-grid --label 4 --out four.png
$ vaelab plot runs/vae latent-scatter --split train --legend colorbar
$ vaelab plot runs/vae interpolation --count 3 --draw --path spherical""".format(
    kinds="\n".join(f"{kind}: {what}" for kind, what in KINDS.items())
)


def complete_kind(incomplete: str) -> list[tuple[str, str]]:
    """Kinds that begin with what has been typed."""
    return [(kind, what) for kind, what in KINDS.items() if kind.startswith(incomplete)]


def plot(
    run: options.RunPath,
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="Which figure; see below.", autocompletion=complete_kind)
    ] = "all",
    split: options.Split = "test",
    count: Annotated[
        int, typer.Option("--count", metavar="N", help="Images, pairs of images, or samples of each class.")
    ] = 10,
    label: options.Label = None,
    cells: Annotated[int, typer.Option("--cells", metavar="N", help="Images along a side of the latent grid.")] = 21,
    extent: Annotated[float, typer.Option("--range", metavar="R", help="The latent grid goes from −R to R.")] = 2.0,
    scale: Annotated[
        str, typer.Option("--scale", metavar="SCALE", help="The latent grid's steps: uniform or quantile.")
    ] = "uniform",
    steps: Annotated[int, typer.Option("--steps", metavar="N", help="Images along an interpolation.")] = 10,
    path: Annotated[
        str, typer.Option("--path", metavar="PATH", help="The interpolation's way: linear or spherical.")
    ] = "linear",
    draw: Annotated[
        bool, typer.Option("--draw", metavar="", help="Interpolate between posterior draws, not means.")
    ] = False,
    legend: Annotated[
        str, typer.Option("--legend", metavar="WHERE", help="Of the scatter: outside or colorbar.")
    ] = "outside",
    seed: options.Seed = 0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.png", help="Default: RUN/figures/KIND.png.")
    ] = None,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    offline: options.Offline = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Draw a figure of a run, or all that fit its model, and print where they are."""
    _check(kind, out)
    from vaelab.run import DataAccess, Run

    opened = Run.open(run, DataAccess(data_dir, offline, console.bars(quiet)), device)
    console.note_unfinished(opened, quiet)
    files = opened.plot(
        kind, out, split=split, count=count, label=label, cells=cells, extent=extent, scale=scale, steps=steps,
        path=path, draw=draw, legend=legend, seed=seed,
    )  # fmt: skip
    if as_json:
        console.out_json({"files": [str(file) for file in files]})
    else:
        console.out("\n".join(str(file) for file in files))


def _check(kind: str, out: Path | None) -> None:
    from vaelab.specs import choice

    choice("figure", kind, [*KINDS, "all"])
    if out is None:
        return
    if kind == "all":
        raise UsageError("--out takes one figure; name its KIND, or leave --out away")
    if out.suffix.lower() != ".png":
        raise UsageError(f"expected a file ending in .png for --out, got {out}")
