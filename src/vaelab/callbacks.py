"""What happens beside training: the progress line, the curves redrawn, samples after each epoch."""

from __future__ import annotations

import io
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
from vaelab.training import Callback, Row, Training
from vaelab.vae import VAE

SAMPLES = 10  # of an unconditional model, after each epoch


class CurvesCallback(Callback):
    """Redraws ``figures/curves.png`` after each epoch, so that it can be watched while training goes on (C5)."""

    def on_epoch(self, training: Training, rows: list[Row]) -> None:
        """See `Callback`."""
        if training.folder is not None:
            figure = plots.training_curves(training.folder.history(), title=training.folder.path.name)
            plots.save(figure, training.folder.figures / "curves.png")


class SamplesCallback(Callback):
    """Saves one sample of each class (or a few samples) after each epoch, from the same draws of z (B3)."""

    def on_epoch(self, training: Training, rows: list[Row]) -> None:
        """See `Callback`."""
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
        path = training.folder.samples / f"epoch-{training.progress.epoch:04d}.npy"
        write_atomic(path, buffer.getvalue())


class _Speed(ProgressColumn):
    """Images per second since this process began to train."""

    def render(self, task: Task) -> Text:
        """See `ProgressColumn`."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed * task.fields['batch_size']:,.0f} images/s" if speed else "", style="dim")


class ProgressCallback(Callback):
    """A live line on standard error: epoch, losses, speed, time left; one line is left for each epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[losses]}"),
            _Speed(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task: TaskID | None = None

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def on_start(self, training: Training) -> None:
        """See `Callback`."""
        done = training.progress.step
        if done:
            self.console.print(f"resuming at step {done} of {training.steps}", highlight=False)
        self.task = self.progress.add_task(
            self._epoch(training),
            total=training.steps,
            completed=done,
            losses="",
            batch_size=training.config.batch_size,
        )

    def on_steps(self, training: Training, row: Row) -> None:
        """See `Callback`."""
        self._update(training, losses_text(row))

    def on_epoch(self, training: Training, rows: list[Row]) -> None:
        """See `Callback`."""
        self._update(training, "")
        epoch = training.progress.epoch
        texts = [f"{row['split']} {losses_text(row)}" for row in rows]
        self.console.print(
            f"epoch {epoch:>3}/{training.config.epochs}  " + "   ".join(texts), highlight=False, soft_wrap=True
        )

    def _update(self, training: Training, losses: str) -> None:
        if self.task is not None:
            changes: dict[str, Any] = {"losses": losses} if losses else {}
            self.progress.update(
                self.task, completed=training.progress.step, description=self._epoch(training), **changes
            )

    def _epoch(self, training: Training) -> str:
        return f"epoch {min(training.progress.epoch + 1, training.config.epochs)}/{training.config.epochs}"


def losses_text(row: Row) -> str:
    """−ELBO and its parts, in nats per image."""
    parts = f"reconstruction {row['reconstruction']:.2f}"
    if row["negative_elbo"] is None:
        return parts
    return f"−ELBO {row['negative_elbo']:.2f} ({parts}, KL {row['kl']:.2f})"
