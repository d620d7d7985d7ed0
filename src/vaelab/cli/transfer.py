"""``vaelab transfer``: images with another label and their own style."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vaelab.cli import console, options
from vaelab.errors import UsageError

EPILOG = """\
Examples

$ vaelab transfer runs/cvae
$ vaelab transfer runs/cvae --count 20 --seed 1 --out styles.png
$ vaelab transfer runs/cvae --json"""


def transfer(
    run: options.RunPath,
    count: Annotated[int, typer.Option("--count", metavar="N", help="Source images, of the classes in turn.")] = 10,
    split: options.Split = "test",
    seed: options.Seed = 0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.png", help="Default: RUN/figures/label-transfer.png.")
    ] = None,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    offline: options.Offline = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Encode images with their own label, decode them with every other, and draw the sheet of source × label.

    For conditional models.
    """
    if out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"expected a file ending in .png for --out, got {out}")
    from vaelab.run import DataAccess, Run
    from vaelab.tasks.transfer import transfer_labels

    opened = Run.open(run, DataAccess(data_dir, offline, console.bars(quiet)), device)
    console.note_unfinished(opened, quiet)
    report = transfer_labels(opened, count=count, split=split, seed=seed, out=out)
    if as_json:
        console.out_json(report.to_json())
    else:
        console.out(str(report.file))
