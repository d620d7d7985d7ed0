"""What `vaelab embed` does: the representation of a run's images as arrays in a ``.npz`` file."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vaelab.autoencoder import Autoencoder
from vaelab.building import Model
from vaelab.data.images import ImageData
from vaelab.data.pixels import VARIANTS
from vaelab.data.progress import Progress, no_progress
from vaelab.errors import DataError, UsageError
from vaelab.evaluation import embed
from vaelab.files import write_atomic
from vaelab.run import Run

SPLITS = ("train", "validation", "test")
FILE = "embeddings.npz"

_CHUNK = 5000  # images between two calls of whoever shows how far it is


@dataclass(frozen=True)
class Embedding:
    """``file``: where it is. ``arrays``: what it holds. ``protocol``: what the numbers are, in words."""

    file: Path
    arrays: dict[str, NDArray[Any]]
    protocol: str


def embed_run(
    run: Run, split: str = "all", out: str | Path | None = None, progress: Progress | None = None
) -> Embedding:
    """Write the representation of a split (``all``: of each) to ``out`` (default: ``RUN/embeddings.npz``).

    The representation of an image x is the posterior mean E[z|x,c] of a VAE, or the code of an autoencoder, without
    randomness and independent of the other images. Arrays, in the order of the data: ``train``, ``validation`` and
    ``test`` ``(n, latent)`` float32; ``train_labels``, … ``(n,)`` int64, −1 where it is not known (absent without
    labels); ``class_names``; ``protocol``. No array is an object, so `numpy.load` reads them without pickle. Raises
    `UsageError` for an unknown split or another ending than ``.npz``, `DataError` where a conditional model has no
    label to be given.
    Hinton & Salakhutdinov 2006; Kingma & Welling 2013, arXiv:1312.6114.

    >>> import tempfile, vaelab
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = vaelab.train("digits-vae", out=f"{folder}/run", training={"epochs": 1})
    ...     arrays = embed_run(run).arrays
    >>> arrays["test"].shape, arrays["test_labels"].shape
    ((359, 2), (359,))
    """
    if split not in (*SPLITS, "all"):
        raise UsageError(f"unknown split {split!r}; known: {', '.join(SPLITS)}, all")
    file = Path(out or run.folder.path / FILE)
    if file.suffix.lower() != ".npz":
        raise UsageError(f"expected a file ending in .npz for --out, got {file}")
    held_out = run.data.validation is not None
    names = [name for name in SPLITS if name != "validation" or held_out] if split == "all" else [split]
    parts = {name: run.split(name) for name in names}
    arrays: dict[str, NDArray[Any]] = {}
    with (progress or no_progress)("embedding", sum(map(len, parts.values()))) as advance:
        for name, data in parts.items():
            arrays[name] = representation(run.model, data, run.config.data.variant, advance)
            if data.labels is not None:
                arrays[f"{name}_labels"] = data.labels.cpu().numpy()
    protocol = _protocol(run.model, run.config.data.variant)
    arrays |= {"class_names": np.array(run.class_names, dtype=np.str_), "protocol": np.array(protocol)}
    write_npz(file, arrays)
    return Embedding(file, arrays, protocol)


def representation(
    model: Model, data: ImageData, variant: str, advance: Callable[[int], None] = lambda images: None
) -> NDArray[np.float32]:
    """`evaluation.embed` as an array ``(n, latent)``; ``advance(n)``: n more images are done."""
    if model.classes and data.labels is not None and bool((data.labels < 0).any()):
        raise DataError(
            f"expected a label for each image, which this model is given, but some of {data.name} have none (−1); "
            "leave those images out"
        )
    parts = []
    for start in range(0, len(data), _CHUNK):
        part = data.take(torch.arange(start, min(start + _CHUNK, len(data))))
        parts.append(embed(model, part, variant).numpy())
        advance(len(part))
    return np.concatenate(parts)


def write_npz(file: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays whole or not at all; equal arrays give equal bytes."""
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    write_atomic(file, stream.getvalue())


def _protocol(model: Model, variant: str) -> str:
    what = "code of the clean image" if isinstance(model, Autoencoder) else "posterior mean"
    return f"{what}, {VARIANTS[variant]}{', given the label' if model.classes else ''}, seed 0"
