"""``vaelab embed``: the representation of a run's images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vaelab.cli import console, options

EPILOG = """\
Examples

$ vaelab embed runs/vae
$ vaelab embed runs/vae --split test --out test.npz --json

In Python: numpy.load("runs/vae/embeddings.npz")["train"]"""


def embed(
    run: options.RunPath,
    split: Annotated[str, typer.Option("--split", metavar="SPLIT", help="train, validation, test or all.")] = "all",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE.npz", help="Default: RUN/embeddings.npz.")] = None,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    offline: options.Offline = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write the posterior mean (of an autoencoder: the code) of every image, with the labels, to a .npz file.

    There is no randomness in it, and it does not depend on which other images there are.
    """
    from vaelab.run import DataAccess, Run
    from vaelab.tasks.embed import embed_run

    bars = console.bars(quiet)
    opened = Run.open(run, DataAccess(data_dir, offline, bars), device)
    console.note_unfinished(opened, quiet)
    found = embed_run(opened, split, out, bars)
    shapes = {name: list(array.shape) for name, array in found.arrays.items() if array.ndim}
    if as_json:
        console.out_json({"file": str(found.file), "protocol": found.protocol, "arrays": shapes})
        return
    console.table(["array", "shape"], [[name, " × ".join(map(str, shape))] for name, shape in shapes.items()])
    console.out()
    console.paragraph(found.protocol)
    console.out(str(found.file))
