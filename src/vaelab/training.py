"""`fit`: the training loop, in one readable file.

The data set lies on the device as uint8; a batch is one gather. Nothing in a step waits for the device: losses are kept
there and read every `FLUSH` steps. Every draw comes from one generator whose state is in the checkpoint, and an epoch's
order comes from (seed, epoch): a run killed at any moment resumes bit for bit.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from vaelab.building import Model, build_objective
from vaelab.checkpoint import (
    Checkpoint,
    has_checkpoint,
    load_checkpoint,
    load_into,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from vaelab.compiling import networks_compiled
from vaelab.config import TrainingConfig
from vaelab.data.augmentation import AUGMENTATIONS
from vaelab.data.batches import EpochOrders, batches
from vaelab.data.corruption import CORRUPTIONS
from vaelab.data.images import ImageData
from vaelab.data.pixels import binarise_static, prepare, prepare_fixed
from vaelab.devices import choose_device
from vaelab.distributed import Processes
from vaelab.errors import CheckpointError, Interrupted, TrainingError
from vaelab.objectives import Objective, batch_means
from vaelab.optimisation import Stepper, WeightAverage, divergence, learning_rate, make_optimizer
from vaelab.preflight import check_batch, check_fit
from vaelab.randomness import generator
from vaelab.runfolder import HistoryWriter, RunFolder
from vaelab.signals import stop_signals
from vaelab.specs import Spec

FLUSH = 50  # steps between looks at the losses: rare enough to cost nothing, often enough for a progress line
TERMS = ("loss", "negative_elbo", "reconstruction", "kl")
COLUMNS = ("step", "epoch", "split", *TERMS, "beta", "lr")
Row = dict[str, Any]


@dataclass
class Progress:
    """Where training stands; part of every checkpoint."""

    epoch: int = 0  # whole epochs done
    batch: int = 0  # batches done in the epoch that follows
    step: int = 0
    images: int = 0  # seen in this epoch
    sums: list[float] = field(default_factory=lambda: [0.0] * len(TERMS))  # Σ over those images
    best: float = math.inf  # of the validation loss
    best_epoch: int = 0
    history_bytes: int = 0


class Callback:
    """What happens beside training: progress lines, figures. Every method may be left as it is."""

    def on_start(self, training: Training) -> None:
        """Before the first step, also of a resumed run."""

    def on_steps(self, training: Training, row: Row) -> None:
        """Every `FLUSH` steps, with the newest step's values."""

    def on_epoch(self, training: Training, rows: list[Row]) -> None:
        """After each epoch and its checkpoint, with the epoch's rows of the history."""

    def on_end(self, training: Training) -> None:
        """After the last epoch."""


class Training:
    """A training under way: what the loop, the checkpoints and the callbacks share."""

    def __init__(
        self,
        model: Model,
        train: ImageData,
        config: TrainingConfig,
        variant: str,
        held_out: ImageData | None,
        held_out_split: str,
        folder: RunFolder | None,
        processes: Processes | None = None,
    ) -> None:
        self.device = choose_device(config.device)
        # The layout that convolutions are fastest in, on CPUs, too; it changes nothing but the order in memory.
        self.model = model.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config, self.variant, self.processes = config, variant, processes or Processes()
        self.folder = folder if self.processes.first else None  # the others write nothing
        self.train = train.to(self.device)
        self.held_out = held_out.to(self.device) if held_out is not None else None
        self.held_out_split = held_out_split
        if variant == "static":  # binarised once: the images' own noise would be hashed anew in every batch
            self.train = binarise_static(self.train)
        self.whole: Objective = build_objective(config.objective, model)
        self.objective = self.processes.shared(self.whole, self.model)
        self.augmentation = AUGMENTATIONS.build(Spec.parse(config.augmentation))
        self.corruption = CORRUPTIONS.build(Spec.parse(config.corruption))
        self.orders = EpochOrders(train.labels, len(train), config.batch_size, config.labelled_batch, config.seed)
        self.steps_per_epoch = self.orders.steps
        self.optimizer = make_optimizer(model, config)
        self.optimizer_step = Stepper(self.optimizer)
        self.average = WeightAverage(model, config.average) if config.average else None
        self.generator = generator(config.seed, self.device, "training")
        self.progress = Progress()
        self.history: HistoryWriter | None = None
        self.pending: list[tuple[int, float, float, Tensor]] = []
        self.last_batch: tuple[Tensor, Tensor | None] | None = None
        self.best_tensors: dict[str, Tensor] | None = None

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.config.epochs * self.steps_per_epoch

    @property
    def evaluation_batch(self) -> int:
        """Images evaluated at once: 500 small ones, fewer large ones, but no fewer than are trained on at once."""
        return max(self.config.batch_size, min(500, 2**19 // math.prod(self.train.image_shape)))

    @property
    def finished(self) -> bool:
        """All epochs are done, or the validation loss has not fallen for ``patience`` of them."""
        waited = self.progress.epoch - self.progress.best_epoch
        return self.progress.epoch >= self.config.epochs or 0 < self.config.patience <= waited

    # --- one step -----------------------------------------------------------------------------------------------

    def step(self, images: Tensor, labels: Tensor | None) -> None:
        """One batch: pixels → objective → gradient → update."""
        config, progress = self.config, self.progress
        rate = learning_rate(config, progress.step, self.steps)
        target = prepare(self.augmentation(images, self.generator), self.variant, self.generator)
        x = self.corruption(target, self.generator)
        with self.autocast():
            terms = self.objective(
                self.model,
                x,
                labels if self.model.classes else None,
                target,
                epoch=progress.step / self.steps_per_epoch,
                generator=self.generator,
            )
        for parameter in self.optimizer_step.learned:  # as the optimiser's `zero_grad` does, without its bookkeeping
            parameter.grad = None
        terms.loss.backward()  # type: ignore[no-untyped-call]
        if config.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimizer_step(rate)
        if self.average is not None:
            self.average.update(progress.step)
        progress.step += 1
        progress.batch += 1
        self.last_batch = (images, labels)
        self.pending.append((len(images), terms.beta, rate, batch_means(terms)))

    def autocast(self) -> AbstractContextManager[Any]:
        """Networks in bfloat16 where asked for; the distributions turn back to float32."""
        if self.config.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    # --- what was seen ------------------------------------------------------------------------------------------

    def flush(self) -> Row | None:
        """Read the losses kept on the device, check them, add them to the history; the newest row."""
        if not self.pending:
            return None
        values = self.processes.mean(torch.stack([entry[3] for entry in self.pending])).cpu().double().tolist()
        progress, row = self.progress, None
        first = progress.step - len(self.pending) + 1
        for number, ((count, beta, rate, _), terms) in enumerate(zip(self.pending, values, strict=True), start=first):
            self.check_finite(number, terms)
            progress.images += count
            progress.sums = [total + count * value for total, value in zip(progress.sums, terms, strict=True)]
            row = self.row("step", terms, number, beta, rate)
            if self.history is not None:
                self.history.append(row)
        self.pending.clear()
        return row

    def row(self, split: str, terms: Sequence[float], step: int, beta: float, rate: float) -> Row:
        """One line of the history; −ELBO and KL are left empty where the model has none."""
        named: Row = dict(zip(TERMS, terms, strict=True))
        if self.model.kind == "autoencoder":
            named["negative_elbo"] = named["kl"] = None
        epoch = (step - 1) // self.steps_per_epoch + 1
        return {"step": step, "epoch": epoch, "split": split, **named, "beta": beta, "lr": rate}

    def check_finite(self, step: int, terms: Sequence[float]) -> None:
        """Stop at the first loss that is NaN or infinite, with the likely cause."""
        if not all(math.isfinite(value) for value in terms):
            raise TrainingError(divergence(self.config, self.folder, step, dict(zip(TERMS, terms, strict=True))))

    def check_weights(self) -> None:
        """A loss judges the weights before its step; before a checkpoint replaces another, judge those after it."""
        if self.last_batch is None:
            return
        source = generator(self.config.seed, self.device, "weights")
        images, labels = self.last_batch
        x = prepare(images, self.variant, source)
        with torch.no_grad(), self.autocast():
            terms = self.whole(self.model, x, labels if self.model.classes else None, x, generator=source)
        self.check_finite(self.progress.step, batch_means(terms).tolist())

    def evaluate(self, data: ImageData) -> list[float]:
        """Means over ``data`` of loss (with the final weights), −ELBO, reconstruction, KL; every image counts once."""
        self.model.eval()
        source = generator(self.config.seed, self.device, "held out")
        total = torch.zeros(len(TERMS), dtype=torch.float64)
        with torch.no_grad():
            for images, labels in batches(data, self.evaluation_batch, torch.arange(len(data))):
                x = prepare_fixed(images, self.variant, self.config.seed)
                c = labels if self.model.classes and self.model.needs_labels else None  # else hidden ones would choose
                with self.autocast():
                    terms = self.objective(self.model, self.corruption(x, source), c, x, generator=source)
                total += len(images) * batch_means(terms).cpu().double()
        self.model.train()
        return [value / len(data) for value in self.processes.mean(total).tolist()]

    def end_epoch(self) -> list[Row]:
        """Close the epoch: its means over the training images, and the held-out images'."""
        progress, config = self.progress, self.config
        self.flush()
        rate = learning_rate(config, progress.step - 1, self.steps)
        beta = self.objective.weight((progress.step - 1) / self.steps_per_epoch)
        rows = [self.row("train", [total / progress.images for total in progress.sums], progress.step, beta, rate)]
        if self.held_out is not None:
            with self.weights_to_keep():
                terms = self.evaluate(self.held_out)
            self.check_finite(progress.step, terms)
            rows.append(self.row(self.held_out_split, terms, progress.step, self.objective.weight(math.inf), rate))
        if self.history is not None:
            for row in rows:
                self.history.append(row)
        progress.epoch, progress.batch, progress.images = progress.epoch + 1, 0, 0
        progress.sums = [0.0] * len(TERMS)
        return rows

    def keep_best(self, rows: list[Row]) -> None:
        """Remember the weights of the lowest validation loss (only of a validation split: testing is not selection)."""
        loss = rows[-1]["loss"]
        if rows[-1]["split"] == "validation" and loss < self.progress.best:
            self.progress.best, self.progress.best_epoch = loss, self.progress.epoch
            with self.weights_to_keep():
                self.best_tensors = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
            if self.folder is not None:
                state = {"step": self.progress.step, "epoch": self.progress.epoch, "loss": loss}
                save_checkpoint(self.folder.checkpoints, "best", Checkpoint({"model": self.best_tensors}, state))

    def weights_to_keep(self) -> AbstractContextManager[None]:
        """Within: the model has the weights that are evaluated and kept (the averaged ones, where there are)."""
        return nullcontext() if self.average is None else self.average.in_place()

    # --- checkpoints --------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Everything that the next step depends on, as the checkpoint ``last``."""
        self.flush()
        if self.folder is None:
            return
        self.check_weights()
        assert self.history is not None
        self.progress.history_bytes = self.history.flush()
        optimizer, rest = optimizer_tensors(self.optimizer)
        progress = asdict(self.progress)
        progress["best"] = None if math.isinf(self.progress.best) else self.progress.best
        tensors = {
            "model": dict(self.model.state_dict()),
            "optimizer": optimizer,
            "random": {"training": self.generator.get_state()},
        }
        if self.average is not None:
            tensors["average"] = self.average.tensors
        state = {"step": self.progress.step, "progress": progress, "optimizer": rest, "device": str(self.device)}
        save_checkpoint(self.folder.checkpoints, "last", Checkpoint(tensors, state))

    def restore(self, folder: RunFolder) -> None:
        """Continue from the checkpoint ``last``."""
        checkpoint = load_checkpoint(folder.checkpoints, "last")
        saved = torch.device(checkpoint.state.get("device", "cpu"))
        if saved.type != self.device.type:
            raise CheckpointError(
                f"this run was trained on {saved.type} and its random state does not fit {self.device.type}; "
                f"resume with --device {saved.type}"
            )
        load_into(self.model, checkpoint.tensors["model"], str(folder.path))
        restore_optimizer(self.optimizer, checkpoint.tensors["optimizer"], checkpoint.state["optimizer"])
        if self.average is not None:
            self.average.restore(checkpoint.tensors.get("average", {}), str(folder.path))
        self.generator.set_state(checkpoint.tensors["random"]["training"])
        progress = dict(checkpoint.state["progress"])
        progress["best"] = math.inf if progress["best"] is None else progress["best"]
        self.progress = Progress(**progress)
        if self.folder is not None:
            self.history = HistoryWriter.resume(folder.history_path, COLUMNS, self.progress.history_bytes)


def fit(
    model: Model,
    train: ImageData,
    config: TrainingConfig,
    *,
    variant: str = "grey",
    held_out: ImageData | None = None,
    held_out_split: str = "validation",
    folder: RunFolder | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    processes: Processes | None = None,
) -> Training:
    """Train ``model`` on ``train``.

    ``held_out`` is evaluated after every epoch; where ``held_out_split`` is ``validation``, the best epoch's weights
    are kept (checkpoint ``best``), put back at the end, and ``config.patience`` is counted on it. With a ``folder``,
    history and checkpoints are written there, and ``resume`` continues from them bit for bit. ``processes``: those that
    train together, each with the same arguments; the first alone writes and has use for ``callbacks``.

    Raises `DataError` or `UsageError` before the first step where the data does not fit, `TrainingError` where the loss
    is not finite, `Interrupted` after SIGINT or SIGTERM, when everything has been saved.
    """
    check_fit(model, train, variant)
    check_batch(model, train, config)
    if held_out is not None:
        check_fit(model, held_out, variant, f"{held_out_split} images")
    training = Training(model, train, config, variant, held_out, held_out_split, folder, processes)
    with stop_signals(again=training.processes.size == 1) as got, networks_compiled(model, config.compile, got):
        if resume:
            assert folder is not None
            training.restore(folder)
        elif training.folder is not None:
            training.history = HistoryWriter(training.folder.history_path, COLUMNS)
            training.save()  # so that a run killed before its first checkpoint resumes, too
        for callback in callbacks:
            callback.on_start(training)
        model.train()
        while not training.finished:
            run_epoch(training, callbacks, lambda: training.processes.agreed(got()))
    put_back(training)
    model.eval()
    for callback in callbacks:
        callback.on_end(training)
    return training


def run_epoch(training: Training, callbacks: Sequence[Callback], stopped: Callable[[], int]) -> None:
    """The rest of an epoch, then its evaluation and checkpoint."""
    progress, config = training.progress, training.config
    order = training.orders.epoch(progress.epoch).to(training.device)
    for images, labels in batches(training.train, config.batch_size, order, start=progress.batch):
        training.step(images, labels)
        signum = stopped()
        if signum or progress.step % config.checkpoint_steps == 0:
            training.save()
        interrupt(training, signum)
        if progress.step % FLUSH == 0:
            row = training.flush()
            for callback in callbacks:
                if row is not None:
                    callback.on_steps(training, row)
    rows = training.end_epoch()
    training.keep_best(rows)
    training.save()
    for callback in callbacks:
        callback.on_epoch(training, rows)
    interrupt(training, stopped())


def interrupt(training: Training, signum: int) -> None:
    """Stop where a signal has come; the state has been saved."""
    if signum:
        where = f"saved in {training.folder.path}" if training.folder else "nothing was saved: no run folder"
        name, step = signal.Signals(signum).name, training.progress.step
        raise Interrupted(f"stopped by {name} at step {step}; {where}", signum)


def put_back(training: Training) -> None:
    """Give the model the weights to keep: of its best validation epoch, or the averaged ones, or as they are."""
    tensors = training.best_tensors
    if tensors is None and training.folder is not None and has_checkpoint(training.folder.checkpoints, "best"):
        tensors = load_checkpoint(training.folder.checkpoints, "best").tensors["model"]
    if tensors is not None:
        load_into(training.model, tensors, "the best checkpoint")
    elif training.average is not None:
        training.average.copy(training.average.tensors)
