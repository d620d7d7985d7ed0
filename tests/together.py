"""What torchrun starts in test_distributed.py.

``cases FOLDER``: several small trainings, each shared by the processes. ``fault NAME WORD…``: the command line that
follows, with a fault in the last process only.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from vaelab import build_model
from vaelab.cli import main
from vaelab.config import ModelConfig, TrainingConfig
from vaelab.data import ImageData
from vaelab.distributed import Processes, processes
from vaelab.errors import DataError
from vaelab.launch import launched
from vaelab.run import DataAccess
from vaelab.runfolder import RunFolder
from vaelab.training import Training, fit

MODEL = ModelConfig(encoder="mlp:hidden=16", decoder="mlp:hidden=16", image_shape=(1, 8, 8))
TRAINING = TrainingConfig(epochs=2, batch_size=16, lr=5e-3, device="cpu")
CASES: dict[str, tuple[dict[str, object], dict[str, object], str]] = {
    "dynamic": ({}, {"augmentation": "shift:pixels=2", "clip": 5.0, "average": 0.5}, "dynamic"),
    "mixture": ({"prior": "mixture:components=3"}, {"objective": "iwae:samples=3,doubly=true"}, "grey"),
    "conditional": (
        {"conditional": True, "classes": 3, "encoder": "conv:channels=4/8", "decoder": "conv:channels=8/4"},
        {"objective": "elbo:free_bits=0.05,samples=2,warmup=1"},
        "dequantised",
    ),
    "vamp": ({"prior": "vamp:components=3"}, {"objective": "elbo:free_bits=0.5"}, "grey"),
    "denoising": (
        {"kind": "autoencoder"},
        {"objective": "reconstruction", "corruption": "gaussian:std=0.3"},
        "grey",
    ),
    "m2": (
        {"kind": "m2", "conditional": True, "classes": 3, "classifier": "mlp:hidden=8"},
        {"objective": "m2:alpha=2,labelled=0.5", "labelled_batch": 3},
        "grey",
    ),
}
"""Name → changes of the model, of the training, the pixel variant."""


def images(n: int) -> ImageData:
    """Random images of three classes."""
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, 1, 8, 8), generator=source, dtype=torch.uint8)
    return ImageData("random", pixels, torch.arange(n) % 3, ("a", "b", "c"))


def train(name: str, folder: Path, together: Processes) -> None:
    """One of `CASES`, 33 images in batches of 16: the last batch has one image, which one process has to do without."""
    model, training, variant = CASES[name]
    data = images(33)
    if name == "m2":
        hidden = torch.arange(33) % 2 == 0
        assert data.labels is not None
        data = ImageData("random", data.images, data.labels.masked_fill(hidden, -1), data.class_names)
    fit(
        build_model(MODEL.__class__(**{**vars(MODEL), **model}), 0),
        data,
        TRAINING.__class__(**{**vars(TRAINING), **training}),
        variant=variant,
        held_out=images(7),
        folder=RunFolder.create(folder / name, {}) if together.first else None,
        processes=together,
    )


def step(fault: Callable[[], None]) -> Callable[..., None]:
    """A `Training.step` that fails in the third step."""
    sound = Training.step

    def faulty(training: Training, *arguments: object) -> None:
        if training.progress.step == 2:
            fault()
        sound(training, *arguments)  # type: ignore[arg-type]

    return faulty


def damage(name: str) -> None:
    """Break what ``name`` says, here only."""
    if name == "load":
        DataAccess.load = fail(DataError("no images on this machine"))  # type: ignore[method-assign]
    if name == "step":
        Training.step = step(fail(MemoryError()))  # type: ignore[method-assign]
    if name.startswith("SIG"):
        number = signal.Signals[name]
        Training.step = step(lambda: os.kill(os.getpid(), number))  # type: ignore[method-assign]


def fail(error: Exception) -> Callable[..., Any]:
    def raising(*_: object) -> None:
        raise error

    return raising


if __name__ == "__main__":
    if sys.argv[1] == "cases":
        with processes() as started:
            for case in CASES:
                train(case, Path(sys.argv[2]), started)
        sys.exit()
    if launched().rank == launched().size - 1:
        damage(sys.argv[2])
    sys.exit(main(sys.argv[3:]))
