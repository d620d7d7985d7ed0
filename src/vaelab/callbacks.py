"""What happens beside training: the progress line, the curves redrawn, samples after each epoch."""

from __future__ import annotations

import io
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from vaelab import plots
from vaelab.files import write_atomic
from vaelab.pictures import per_class_samples
from vaelab.randomness import generator
from vaelab.runfolder import RunFolder
from vaelab.training import Callback, Row, Training
from vaelab.vae import VAE

SAMPLES = 10  # of an unconditional model, after each epoch


class CurvesCallback(Callback):
    """Redraws ``figures/curves.png`` after an epoch, so that it can be watched while training goes on (C5).

    Drawing takes up to a tenth of the time: where epochs are short, not each of them is followed by it. At the end the
    curves are drawn in any case.
    """

    SHARE = 0.1
    FIRST = 5.0  # seconds: a training that ends sooner draws once

    def __init__(self) -> None:
        self.next = 0.0

    def on_start(self, training: Training) -> None:
        """See `Callback`."""
        self.next = time.monotonic() + self.FIRST

    def on_epoch(self, training: Training, rows: list[Row]) -> None:
        """See `Callback`."""
        if time.monotonic() >= self.next:
            self._draw(training)

    def on_end(self, training: Training) -> None:
        """See `Callback`."""
        self._draw(training)

    def _draw(self, training: Training) -> None:
        if training.folder is None:
            return
        start = time.monotonic()
        figure = plots.training_curves(training.folder.history(), title=training.folder.path.name)
        plots.save(figure, training.folder.figures / "curves.png")
        end = time.monotonic()
        self.next = end + (end - start) * (1 / self.SHARE - 1)


class SamplesCallback(Callback):
    """Saves one sample of each class (or a few samples) after each epoch, from the same draws of z (B3)."""

    def on_start(self, training: Training) -> None:
        """An earlier run's samples go; what a kill between an epoch's checkpoint and its samples left out is made."""
        folder, progress = training.folder, training.progress
        if folder is None:
            return
        samples = self._path(folder, training).parent
        if not progress.step:
            shutil.rmtree(samples, ignore_errors=True)
        for leftover in samples.glob(".epoch-*"):  # of a kill while a file was written
            leftover.unlink(missing_ok=True)
        if progress.epoch and not progress.batch and not self._path(folder, training).exists():
            self._save(training)

    def on_epoch(self, training: Training, rows: list[Row]) -> None:
        """See `Callback`."""
        self._save(training)

    def _save(self, training: Training) -> None:
        model = training.model
        if training.folder is None or not isinstance(model, VAE):
            return
        seed = training.config.seed
        with training.weights_to_keep():
            model.eval()
            if model.classes:
                images = per_class_samples(model, 1, seed)[:, 0]
            else:
                images = model.sample(SAMPLES, generator=generator(seed, training.device, "samples"))
            model.train()
        levels = (images.clamp(0, 1) * 255).round().byte().cpu().numpy()
        buffer = io.BytesIO()
        np.save(buffer, levels, allow_pickle=False)
        write_atomic(self._path(training.folder, training), buffer.getvalue())

    @staticmethod
    def _path(folder: RunFolder, training: Training) -> Path:
        return folder.path / "samples" / f"epoch-{training.progress.epoch:04d}.npy"


class _Speed(ProgressColumn):
    """Images per second since this process began to train."""

    def render(self, task: Task) -> Text:
        """See `ProgressColumn`."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed * task.fields['batch_size']:,.0f} images/s" if speed else "", style="dim")


class ProgressCallback(Callback):
    """A live line on standard error: epoch, losses, speed, time left; with ``lines``, one is left for each epoch."""

    def __init__(self, console: Console, *, lines: bool = True) -> None:
        self.console, self.lines = console, lines
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[losses]}"),
            _Speed(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task: TaskID | None = None

    def __enter__(self) -> Self:
        return self  # the line starts with the training: before it, reading the data may show one of its own

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def on_start(self, training: Training) -> None:
        """See `Callback`."""
        done = training.progress.step
        if training.finished:
            self._print(f"nothing left to do: this run is finished, after {training.progress.epoch} epochs")
            return
        if done:
            self._print(f"resuming at step {done} of {training.steps}")
        if self.lines:
            what = "reconstruction" if training.model.kind == "autoencoder" else "−ELBO = reconstruction + KL"
            self._print(f"{what}, in nats per image")
        self.task = self.progress.add_task(
            self._epoch(training),
            total=training.steps,
            completed=done,
            losses="",
            batch_size=training.config.batch_size,
        )
        self.progress.start()

    def on_steps(self, training: Training, row: Row) -> None:
        """See `Callback`."""
        self._update(training, losses_text(row))

    def on_epoch(self, training: Training, rows: list[Row]) -> None:
        """See `Callback`."""
        self._update(training, "")
        if self.lines:
            total = str(training.config.epochs)
            texts = [f"{row['split']} {losses_text(row)}" for row in rows]
            self._print(f"epoch {training.progress.epoch:>{len(total)}}/{total}  " + "  ".join(texts))

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _update(self, training: Training, losses: str) -> None:
        if self.task is not None:
            changes: dict[str, Any] = {"losses": losses} if losses else {}
            self.progress.update(
                self.task, completed=training.progress.step, description=self._epoch(training), **changes
            )

    def _epoch(self, training: Training) -> str:
        return f"epoch {min(training.progress.epoch + 1, training.config.epochs)}/{training.config.epochs}"


def losses_text(row: Row) -> str:
    """−ELBO and its parts, in nats per image.

    >>> losses_text({"negative_elbo": 155.9, "reconstruction": 150.0, "kl": 5.9})
    '155.90 = 150.00 + 5.90'
    """
    if row["negative_elbo"] is None:
        return f"{row['reconstruction']:.2f}"
    return f"{row['negative_elbo']:.2f} = {row['reconstruction']:.2f} + {row['kl']:.2f}"
