"""``vaelab sample``: new images from a trained model."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaelab.cli import console, options
from vaelab.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from vaelab.run import Run

EPILOG = """\
Examples

$ vaelab sample runs/vae
$ vaelab sample runs/cvae -n 16 --label 4 --out fours.png
$ vaelab sample runs/cvae -n 10000 --out made.npz
$ vaelab train --data made.npz --out runs/second"""


def sample(
    run: options.RunPath,
    n: Annotated[int, typer.Option("-n", metavar="N", help="How many images.")] = 64,
    label: options.Label = None,
    seed: options.Seed = 0,
    draw: Annotated[bool, typer.Option("--draw", metavar="", help="Draw the pixels, too, not their means.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="A .png figure, or a .npz file that --data reads. Default: RUN/figures/samples.png.",
        ),
    ] = None,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    offline: options.Offline = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Draw z from the prior, decode it, and save the new images as a figure or as data.

    A conditional model makes its classes in turn, or those of one --label.
    """
    if out is not None and out.suffix.lower() not in (".png", ".npz"):
        raise UsageError(f"expected a file ending in .png or .npz for --out, got {out}")
    from vaelab.run import DataAccess, Run

    opened = Run.open(run, DataAccess(data_dir, offline, console.bars(quiet)), device)
    console.note_unfinished(opened, quiet)
    images = opened.sample(n, label=label, seed=seed, draw=draw)
    path = out or opened.folder.figures / "samples.png"
    if path.suffix.lower() == ".npz":
        _save_arrays(opened, images, label, path)
    else:
        _save_figure(opened, images, label, path)
    if as_json:
        console.out_json({"file": str(path), "images": n, "label": label, "seed": seed})
    else:
        console.out(str(path))


def _save_figure(run: Run, images: Tensor, label: int | None, path: Path) -> None:
    from vaelab import plots

    of_class = "" if label is None else f" of class {run.class_names[label]}"
    plots.save(plots.samples(images, title=f"{run.title()}: samples{of_class} from the prior"), path)


def _save_arrays(run: Run, images: Tensor, label: int | None, path: Path) -> None:
    import numpy as np

    from vaelab.files import write_atomic

    arrays: dict[str, Any] = {"images": (images * 255).round().byte().numpy()}
    if run.model.classes:
        numbers = np.arange(len(images)) % run.model.classes if label is None else np.full(len(images), label)
        arrays["labels"] = np.asarray(run.class_names)[numbers] if _named(run) else numbers
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    write_atomic(path, stream.getvalue())


def _named(run: Run) -> bool:
    return list(run.class_names) != [str(number) for number in range(run.model.classes)]
