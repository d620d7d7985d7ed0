"""`Run`: a run folder with its model and its data, and what can be asked of it."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vaelab import plots
from vaelab.building import Model, build_model
from vaelab.checkpoint import checkpoint_state, has_checkpoint, load_checkpoint, load_into
from vaelab.config import RunConfig, check
from vaelab.data.batches import steps_in_epoch
from vaelab.data.images import ImageData, Splits
from vaelab.data.labels import hide_labels
from vaelab.data.loading import load, load_unseen
from vaelab.data.progress import Progress, increments, no_progress
from vaelab.devices import choose_device
from vaelab.documents import REMEDY
from vaelab.errors import CheckpointError, DataError, UsageError, VaelabError
from vaelab.evaluation import diagnose, evaluate, posterior_statistics
from vaelab.metrics import Metric, MetricsNotSavedError
from vaelab.pictures import PictureOptions, draw_picture, fitting_kinds
from vaelab.preflight import check_fit
from vaelab.randomness import generator
from vaelab.runfolder import ESTIMATOR, History, RunFolder
from vaelab.training import COLUMNS, TERMS
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

    def load_unseen(self, name: str, image_size: int | None) -> ImageData:
        """Images of data that a run was not trained on: the test part of ``name``, or all of it."""
        return load_unseen(
            name, data_dir=self.folder, offline=self.offline, image_size=image_size, progress=self.progress
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
        environment = values.pop("environment", {})
        if not isinstance(environment, Mapping):
            raise CheckpointError(
                f"{self.folder.config_path} is damaged: expected an object environment, got {environment!r}; {REMEDY}"
            )
        self.environment = dict(environment)
        try:
            config = RunConfig.from_dict(values)
            check(config)
        except UsageError as error:
            raise CheckpointError(f"{self.folder.config_path} is damaged or of another version: {error}") from error
        if config.data.name == ESTIMATOR:
            raise UsageError(
                f"{self.folder.path} holds a scikit-learn estimator; load it with its class, for instance "
                "vaelab.VAETransformer.load"
            )
        return config

    @cached_property
    def model(self) -> Model:
        """The trained model: the best validation epoch's weights, or the averaged ones, or the last."""
        model = build_model(self.config.model, self.config.training.seed)
        load_into(model, _kept_weights(self.folder, model), str(self.folder.path))
        return model.to(self.device).eval()

    @cached_property
    def data(self) -> Splits:
        """The data the run was trained on; `DataError` where other images or labels are there now."""
        splits = self.access.load(self.config)
        recorded = self.environment.get("images")
        if recorded is not None and fingerprint(splits) != recorded:
            raise DataError(
                f"the images of {self.config.data.name} are not those this run was trained on; "
                "bring them back or train anew"
            )
        return splits

    @property
    def seen(self) -> ImageData:
        """The training images with the labels that the training saw; those it did not are −1."""
        return as_seen(self.data.train, self.config)

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
        """Column → values of ``history.csv``; `CheckpointError` where there is none yet or it is no training's."""
        history = self.folder.history()
        _check_history(self.folder.history_path, history)
        return history

    def unfinished(self) -> str:
        """A sentence where training has not come to its end, else nothing."""
        training = self.config.training
        try:
            progress = checkpoint_state(self.folder.checkpoints, "last")["progress"]
            step, epoch, best = progress["step"], progress["epoch"], progress["best_epoch"]
        except (CheckpointError, KeyError, TypeError):
            return ""  # whoever needs that checkpoint says what is wrong with it
        if epoch >= training.epochs or 0 < training.patience <= epoch - best:
            return ""
        images = self.environment.get("train")
        steps: int | str = "more"
        if isinstance(images, int):
            known = self.config.data.labels or images
            steps = training.epochs * steps_in_epoch(images, known, training.batch_size, training.labelled_batch)
        return (
            f"training is only at step {step} of {steps}; "
            f"if it was stopped, continue with: vaelab train --resume --out {self.folder.path}"
        )

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
        found: dict[int, np.ndarray] = {}
        shape = tuple(self.config.model.image_shape)
        for path in sorted(self.folder.samples.glob("epoch-*.npy")):
            try:
                epoch, images = int(path.stem.removeprefix("epoch-")), np.load(path, allow_pickle=False)
            except (ValueError, OSError, EOFError) as error:
                raise CheckpointError(f"{path} is damaged: expected an array of images; delete it") from error
            count = len(next(iter(found.values()), images)) if getattr(images, "shape", ()) else 0
            if not count or images.dtype != np.uint8 or images.shape != (count, *shape):
                raise CheckpointError(f"{path} is damaged: expected uint8 images of {shape}, one a class; delete it")
            found[epoch] = images
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

        They are added to ``metrics.json``; those of another split than test under ``<split>_<name>``. Where they cannot
        be, `MetricsNotSavedError` has them.
        """
        self.folder.metrics()  # what is damaged is found before the work, not after it
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
                progress=increments(advance),
                corruption="none" if isinstance(self.model, VAE) else self.config.training.corruption,
            )
        prefix = "" if split == "test" else f"{split}_"
        metrics = {prefix + name: metric for name, metric in metrics.items()}
        try:
            self.folder.write_metrics(metrics)
        except VaelabError as error:
            raise MetricsNotSavedError(error, metrics) from error
        return metrics

    def diagnose(self, split: str = "test") -> list[str]:
        """What the numbers say about the latent space, in words."""
        statistics = posterior_statistics(self.model, self.split(split), self.config.data.variant)
        return [str(finding) for finding in diagnose(statistics, self.config.model.init)]

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


def _kept_weights(folder: RunFolder, model: Model) -> dict[str, Tensor]:
    if has_checkpoint(folder.checkpoints, "best"):
        return load_checkpoint(folder.checkpoints, "best").tensors["model"]
    checkpoint = load_checkpoint(folder.checkpoints, "last")
    return checkpoint.tensors["model"] | checkpoint.tensors.get("average", {})


def _check_history(path: Path, history: History) -> None:
    """Refuse what cannot be drawn."""
    if not history["step"] and set(history) <= set(COLUMNS):
        raise CheckpointError(f"{path} holds no history yet; train the run on or restore the file from a copy")
    lacks = [name for name in COLUMNS if name not in history]
    fault = f"expected the columns {', '.join(COLUMNS)}, got none {lacks[0]}" if lacks else ""
    if not lacks and not {"step", "train"} & set(history["split"]):
        fault = "expected rows of the splits step and train"
    for name in (name for name in COLUMNS if name != "split" and not lacks):
        values = np.asarray(history[name], dtype=np.float64)
        if np.isinf(values).any() or (name in ("step", "epoch", "loss", "reconstruction") and np.isnan(values).any()):
            fault = f"expected finite numbers in the column {name}"
    if fault:
        raise CheckpointError(f"{path} is no history of a training or is damaged: {fault}; restore it from a copy")


def as_seen(train: ImageData, config: RunConfig) -> ImageData:
    """The training images with the labels that ``config`` lets training see; the others' are −1."""
    data = config.data
    return hide_labels(train, data.labels, data.labels_seed, data.labels_choice)


def fingerprint(splits: Splits) -> str:
    """SHA-256 of all images and labels, part by part: whether two runs saw the same data."""
    digest = hashlib.sha256()
    for part, data in (("train", splits.train), ("validation", splits.validation), ("test", splits.test)):
        if data is None:
            continue
        digest.update(f"{part} {tuple(data.pixels.shape)}\n".encode())
        for images in data.chunks():
            digest.update(images.cpu().flatten().numpy().data)
        digest.update(f"{part} {None if data.labels is None else tuple(data.labels.shape)}\n".encode())
        if data.labels is not None:
            digest.update(data.labels.cpu().flatten().numpy().data)
    return digest.hexdigest()
