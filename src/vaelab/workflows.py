"""What a command does: train into a run folder, open one, evaluate it, sample from it, draw it."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vaelab import plots, presets
from vaelab.building import Model, build_model, build_objective
from vaelab.callbacks import CurvesCallback, SamplesCallback
from vaelab.checkpoint import has_checkpoint, load_checkpoint, load_into
from vaelab.config import RunConfig, check
from vaelab.data.corruption import CORRUPTIONS
from vaelab.data.images import ImageData, Splits
from vaelab.data.loading import load
from vaelab.data.progress import Progress, no_progress
from vaelab.data.sources import names as data_set_names
from vaelab.devices import choose_device, threads
from vaelab.errors import CheckpointError, DataError, UsageError
from vaelab.evaluation import diagnose, evaluate, posterior_statistics
from vaelab.metrics import Metric
from vaelab.pictures import PictureOptions, draw_picture, fitting_kinds
from vaelab.preflight import check_batch, check_fit
from vaelab.randomness import generator
from vaelab.runfolder import History, RunFolder
from vaelab.specs import Spec
from vaelab.training import TERMS, Callback, Training, fit
from vaelab.vae import VAE


@dataclasses.dataclass(frozen=True)
class DataAccess:
    """Where data may come from: a folder, the network or not, and who shows how far it is."""

    folder: Path | None = None
    offline: bool = False
    progress: Progress | None = None

    def load(self, config: RunConfig) -> Splits:
        """The splits that ``config`` names."""
        data = config.data
        validation = int(data.validation) if data.validation >= 1 else data.validation
        return load(
            data.name,
            data_dir=self.folder,
            offline=self.offline,
            image_size=data.image_size,
            validation=validation,
            test=data.test,
            seed=data.seed,
            progress=self.progress,
        )


class Run:
    """A run folder with its model and data, read when first used.

    >>> import tempfile, vaelab
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = vaelab.train("digits-vae", out=f"{folder}/run", training={"epochs": 1})
    ...     run.evaluate()["negative_elbo"].unit
    'nats per image'
    """

    def __init__(self, folder: RunFolder, access: DataAccess | None = None, device: str = "auto") -> None:
        self.folder = folder
        self.access = access or DataAccess()
        self.device = choose_device(device)
        self.environment: dict[str, Any] = {}
        self.config = self._read_config()

    @classmethod
    def open(cls, path: str | Path, access: DataAccess | None = None, device: str = "auto") -> Run:
        """The run in the folder ``path``; `CheckpointError` where it is missing or damaged."""
        return cls(RunFolder.open(Path(path)), access, device)

    def _read_config(self) -> RunConfig:
        values = self.folder.config()
        self.environment = values.pop("environment", {})
        try:
            return RunConfig.from_dict(values)
        except UsageError as error:
            raise CheckpointError(f"{self.folder.config_path} is damaged or of another version: {error}") from error

    @cached_property
    def model(self) -> Model:
        """The trained model: the best validation epoch's weights, or the averaged ones, or the last."""
        model = build_model(self.config.model, self.config.training.seed)
        load_into(model, _kept_weights(self.folder, model), str(self.folder.path))
        return model.to(self.device).eval()

    @cached_property
    def data(self) -> Splits:
        """The data the run was trained on."""
        return self.access.load(self.config)

    @property
    def class_names(self) -> Sequence[str]:
        """Of the training data; the numbers where it cannot be had."""
        try:
            return self.data.train.class_names
        except DataError:
            return [str(label) for label in range(self.config.model.classes)]

    def title(self) -> str:
        """What stands above a figure."""
        preset, name = self.config.preset or self.config.model.kind, Path(self.config.data.name).stem
        return f"{preset} on {name}"

    def split(self, name: str) -> ImageData:
        """train, validation or test."""
        found = {"train": self.data.train, "validation": self.data.validation, "test": self.data.test}
        if name not in found:
            raise UsageError(f"unknown split {name!r}; known: train, validation, test")
        data = found[name]
        if data is None:
            raise UsageError("this run held no validation images out; use the test split")
        check_fit(self.model, data, self.config.data.variant, f"{name} images")
        return data

    def check_label(self, label: int) -> int:
        """Refuse a label that the model or data does not have."""
        classes = self.model.classes or len(self.class_names)
        if not classes:
            raise UsageError(f"{self.config.data.name} has no labels, so none can be asked for; leave the label out")
        if not 0 <= label < classes:
            raise UsageError(f"expected a label in 0…{classes - 1}, got {label}")
        return label

    def history(self) -> History:
        """Column → values of ``history.csv``."""
        return self.folder.history()

    def final_losses(self) -> dict[str, dict[str, Any]]:
        """Split → epoch, step, loss, negative_elbo, reconstruction, kl of the history: the last epoch's.

        Of the validation images, those of the best epoch, whose weights are kept. None where the model has no bound.
        """
        history, found = self.history(), {}
        for split in ("train", "validation", "test"):
            rows = history.where(split=split)
            if not rows["step"]:
                continue
            losses = [float(value) for value in rows["loss"]]
            row = losses.index(min(losses)) if split == "validation" else -1
            values = {name: rows[name][row] for name in ("epoch", "step", *TERMS)}
            found[split] = {name: value if math.isfinite(float(value)) else None for name, value in values.items()}
        return found

    def epoch_samples(self) -> dict[int, np.ndarray]:
        """Epoch → uint8 images saved after it."""
        found = {}
        for path in sorted(self.folder.samples.glob("epoch-*.npy")):
            try:
                found[int(path.stem.removeprefix("epoch-"))] = np.load(path, allow_pickle=False)
            except (ValueError, OSError, EOFError) as error:
                raise CheckpointError(f"{path} is damaged: expected an array of images; delete it") from error
        return found

    def evaluate(
        self,
        split: str = "test",
        *,
        samples: int = 1,
        importance_samples: int = 0,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> dict[str, Metric]:
        """−ELBO, reconstruction, KL and what else the model allows, each with standard error, n and protocol.

        They are added to ``metrics.json``; those of another split than test under ``<split>_<name>``.
        """
        data = self.split(split)
        with (progress or no_progress)("evaluating", len(data)) as advance:
            metrics = evaluate(
                self.model,
                data,
                variant=self.config.data.variant,
                split=split,
                samples=samples,
                importance_samples=importance_samples,
                seed=seed,
                progress=_increments(advance),
            )
        prefix = "" if split == "test" else f"{split}_"
        metrics = {prefix + name: metric for name, metric in metrics.items()}
        self.folder.write_metrics(metrics)
        return metrics

    def diagnose(self, split: str = "test") -> list[str]:
        """What the numbers say about the latent space, in words."""
        statistics = posterior_statistics(self.model, self.split(split), self.config.data.variant)
        return [str(finding) for finding in diagnose(statistics)]

    def sample(self, n: int, *, label: int | None = None, seed: int = 0, draw: bool = False) -> Tensor:
        """``n`` new images ``(n, channel, height, width)`` in [0, 1]: of one class, or of the classes in turn."""
        if not isinstance(self.model, VAE):
            raise UsageError("an autoencoder has no prior to sample from; train a VAE")
        if n < 1:
            raise UsageError(f"expected at least 1 image, got {n}")
        c = None
        if self.model.classes:
            c = torch.arange(n, device=self.device) % self.model.classes
            if label is not None:
                c = torch.full((n,), self.check_label(label), device=self.device)
        elif label is not None:
            raise UsageError("this model has no condition, so no label can be asked for; train a conditional one")
        images = self.model.sample(n, c, generator(seed, self.device, "samples"), draw=draw)
        return images.clamp(0, 1).cpu()

    def figure(self, kind: str, **options: Any) -> Figure:
        """A figure of the run, for instance ``run.figure("latent-grid", cells=31)``; see `PictureOptions`."""
        return draw_picture(self, kind, PictureOptions(**options))

    def plot(self, kind: str = "all", out: Path | None = None, **options: Any) -> list[Path]:
        """Draw a figure (``all``: every one that fits the model) into ``figures/``; the files' paths.

        ``out``: the file of a single figure, elsewhere.
        """
        written = []
        for one in fitting_kinds(self) if kind == "all" else [kind]:
            written.append(out or self.folder.figures / f"{one}.png")
            plots.save(self.figure(one, **options), written[-1])
        return written


def _increments(advance: Callable[[int], None]) -> Callable[[int], None]:
    """What is done so far → how much came since."""
    done = 0

    def note(now: int) -> None:
        nonlocal done
        advance(now - done)
        done = now

    return note


def _kept_weights(folder: RunFolder, model: Model) -> dict[str, Tensor]:
    if has_checkpoint(folder.checkpoints, "best"):
        return load_checkpoint(folder.checkpoints, "best").tensors["model"]
    checkpoint = load_checkpoint(folder.checkpoints, "last")
    return checkpoint.tensors["model"] | checkpoint.tensors.get("average", {})


def resolve(config: RunConfig | str, changes: Mapping[str, Mapping[str, Any]]) -> RunConfig:
    """A preset's name or a configuration, with changes; a path to data is made absolute. Checked."""
    chosen = presets.get(config) if isinstance(config, str) else config
    chosen = RunConfig.from_dict(changes, base=chosen)
    name = chosen.data.name
    if not name.strip():
        raise UsageError(f"expected a data set's name or a path for data, got {name!r}")
    if name not in data_set_names() and os.path.exists(name):  # a folder called mnist does not hide the data set
        chosen = chosen.with_changes(data={"name": os.path.abspath(name)})
    check(chosen)
    return chosen


def train(
    config: RunConfig | str,
    *,
    out: str | Path,
    data: Mapping[str, Any] | str | None = None,
    model: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    access: DataAccess | None = None,
    callbacks: Sequence[Callback] = (),
    overwrite: bool = False,
) -> Run:
    """Train a configuration or preset into the folder ``out``.

    ``data`` (a name, or keys of `DataConfig`), ``model`` and ``training`` change keys of it:
    ``train("conv-vae", data="mnist", out="runs/vae", training={"epochs": 3})``.
    Raises `UsageError` for a wrong key or value and `DataError` for data that does not fit.
    """
    data = {"name": data} if isinstance(data, str) else data or {}
    chosen = resolve(config, {"data": data, "model": model or {}, "training": training or {}})
    access = access or DataAccess()
    splits = access.load(chosen)
    shape, classes = splits.train.image_shape, splits.train.classes
    chosen = chosen.with_changes(model={"image_shape": list(shape), "classes": classes})
    device = choose_device(chosen.training.device)
    network = build_model(chosen.model, chosen.training.seed)
    preflight(network, splits, chosen)
    folder = RunFolder.create(Path(out), _document(chosen, splits), overwrite=overwrite)
    with folder.lock():
        _fit(network, splits, chosen, folder, resume=False, callbacks=callbacks)
    run = Run(folder, access, str(device))
    run.__dict__.update(data=splits, model=network)  # what is already here need not be read again
    return run


class _KeepConfig(Callback):
    """Writes a changed configuration once the run has been restored, so that a refused resume changes nothing."""

    def __init__(self, config: RunConfig, run: Run) -> None:
        self.config, self.run = config, run

    def on_start(self, training: Training) -> None:
        """See `Callback`."""
        if self.config != self.run.config:
            self.run.folder.replace_config({**self.config.to_dict(), "environment": self.run.environment})


def resume(
    path: str | Path,
    *,
    epochs: int | None = None,
    access: DataAccess | None = None,
    device: str | None = None,
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Continue a run bit for bit from its last checkpoint, with as many threads as it began with.

    ``epochs`` makes it longer (constant learning rate only). Raises `UsageError` for an ``epochs`` or ``device`` that
    does not fit, `DataError` where the data has changed, `CheckpointError` where the folder is damaged.
    """
    folder = RunFolder.open(Path(path))
    run = Run(folder, access)
    config = _changed(run.config, epochs, device)
    splits = run.data
    if fingerprint(splits.train) != run.environment.get("training_images"):
        raise DataError(f"the training images of {config.data.name} are not those this run began with; train anew")
    network = build_model(config.model, config.training.seed)
    with folder.lock(), threads(run.environment.get("threads")):
        # A run killed before its first checkpoint, which comes before its first step, begins anew.
        begun = has_checkpoint(folder.checkpoints, "last") or bool(folder.history()["step"])
        callbacks = [_KeepConfig(config, run), *callbacks]
        _fit(network, splits, config, folder, resume=begun, callbacks=callbacks)
    finished = Run(folder, run.access, config.training.device)
    finished.__dict__.update(data=splits, model=network)
    return finished


def _changed(config: RunConfig, epochs: int | None, device: str | None) -> RunConfig:
    """What a resumed run may change, checked."""
    if epochs is not None and epochs != config.training.epochs:
        if config.training.schedule != "constant":
            raise UsageError(
                "a one-cycle run cannot be made longer: its rates depend on the number of epochs; train anew"
            )
        if epochs < config.training.epochs:
            raise UsageError(f"expected --epochs ≥ {config.training.epochs} to resume, got {epochs}")
        config = config.with_changes(training={"epochs": epochs})
    if device is not None:
        config = config.with_changes(training={"device": device})
    check(config)
    choose_device(config.training.device)
    return config


def preflight(model: Model, splits: Splits, config: RunConfig) -> None:
    """Refuse what does not fit before a folder is made."""
    build_objective(config.training.objective, model)
    CORRUPTIONS.build(Spec.parse(config.training.corruption))
    check_batch(splits.train, config.training.batch_size)
    check_fit(model, splits.train, config.data.variant, "training images")
    check_fit(model, splits.test, config.data.variant, "test images")


def _fit(
    model: Model, splits: Splits, config: RunConfig, folder: RunFolder, *, resume: bool, callbacks: Sequence[Callback]
) -> None:
    fit(
        model,
        splits.train,
        config.training,
        variant=config.data.variant,
        held_out=splits.test if splits.validation is None else splits.validation,
        held_out_split="test" if splits.validation is None else "validation",
        folder=folder,
        resume=resume,
        callbacks=[CurvesCallback(), SamplesCallback(), *callbacks],
    )


def _document(config: RunConfig, splits: Splits) -> dict[str, Any]:
    """``config.json``: the configuration, and the facts a reader needs to repeat the run."""
    environment = {
        "training_images": fingerprint(splits.train),
        "train": len(splits.train),
        "validation": 0 if splits.validation is None else len(splits.validation),
        "test": len(splits.test),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
    }
    return {**config.to_dict(), "environment": environment}


def fingerprint(data: ImageData) -> str:
    """SHA-256 of images and labels: whether two runs saw the same data."""
    digest = hashlib.sha256(data.images.cpu().contiguous().numpy().tobytes())
    if data.labels is not None:
        digest.update(data.labels.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
