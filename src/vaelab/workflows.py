"""What a command does: train into a run folder, or resume one. `Run` does the rest."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from vaelab import presets, recipes
from vaelab.building import Model, build_model, build_objective
from vaelab.callbacks import CurvesCallback, SamplesCallback
from vaelab.checkpoint import has_checkpoint, load_into
from vaelab.config import RunConfig, check
from vaelab.data.augmentation import AUGMENTATIONS
from vaelab.data.corruption import CORRUPTIONS
from vaelab.data.images import Splits
from vaelab.data.sources import names as data_set_names
from vaelab.devices import choose_device, threads
from vaelab.distributed import Processes
from vaelab.errors import DataError, UsageError
from vaelab.preflight import check_batch, check_fit
from vaelab.run import DataAccess, Run, as_seen, fingerprint
from vaelab.runfolder import RunFolder
from vaelab.specs import Spec
from vaelab.stacked import StackedVAE
from vaelab.training import Callback, Training, fit


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
    recipe: str | None = None,
    data: Mapping[str, Any] | str | None = None,
    model: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    access: DataAccess | None = None,
    callbacks: Sequence[Callback] = (),
    overwrite: bool = False,
    processes: Processes | None = None,
) -> Run:
    """Train a configuration or preset into the folder ``out``, perhaps by a `recipes.RECIPES` of its training.

    ``data`` (a name, or keys of `DataConfig`), ``model`` and ``training`` change keys of it:
    ``train("conv-vae", data="mnist", out="runs/vae", training={"epochs": 3})``.
    ``processes``: those that train it together, each with the same arguments; the first writes the folder.
    Raises `UsageError` for a wrong key or value and `DataError` for data that does not fit.
    """
    processes = processes or Processes()
    data = {"name": data} if isinstance(data, str) else data or {}
    if recipe:
        config = recipes.apply(presets.get(config) if isinstance(config, str) else config, recipe)
    chosen = resolve(config, {"data": data, "model": model or {}, "training": training or {}})
    access = access or DataAccess()
    processes.use(chosen.training.device)
    with processes.in_turn():
        splits = access.load(chosen)
    shape, classes = splits.train.image_shape, splits.train.classes
    chosen = chosen.with_changes(model={"image_shape": list(shape), "classes": classes})
    device = choose_device(chosen.training.device)
    chosen, network = _built(chosen, access)
    preflight(network, splits, chosen)
    if not processes.first:
        _fit(network, splits, chosen, None, processes)
        return _trained(RunFolder(Path(out)), access, str(device), splits, network)
    with RunFolder.begin(Path(out), _document(chosen, splits), overwrite=overwrite) as folder:
        _fit(network, splits, chosen, folder, processes, callbacks=[_DiscardEarlier(folder), *callbacks])
    return _trained(folder, access, str(device), splits, network)


def _built(config: RunConfig, access: DataAccess) -> tuple[RunConfig, Model]:
    """The model with its first weights; an m1+m2 has the parts and weights of the run ``config.training.m1``."""
    m1 = config.training.m1
    if config.model.kind != "m1+m2":
        if m1:
            raise UsageError(f"m1={m1} is for models of kind m1+m2, this one is of kind {config.model.kind}")
        return config, build_model(config.model, config.training.seed)
    if not m1:
        raise UsageError(
            "an m1+m2 stands on a VAE that was trained without labels; train one (vaelab train --preset m1 --out M1) "
            "and give its folder: --m1 M1"
        )
    below = Run.open(m1, access, "cpu")
    if below.config.model.kind != "vae" or below.config.model.conditional:
        raise UsageError(f"expected the folder of a VAE without condition for m1, got another model's in {m1}")
    keys = ("latent", "encoder", "posterior", "prior", "decoder", "likelihood", "image_shape")
    parts = {key: getattr(below.config.model, key) for key in keys}
    wanted, got = config.model.image_shape, below.config.model.image_shape
    if tuple(wanted) != tuple(got):
        raise DataError(
            f"expected an m1 of images of {'×'.join(map(str, wanted))}, got one of {'×'.join(map(str, got))} in {m1}; "
            "train it on this data"
        )
    config = config.with_changes(model=parts, training={"m1": os.path.abspath(m1)})
    network = build_model(config.model, config.training.seed)
    assert isinstance(network, StackedVAE)
    load_into(network.m1, below.model.state_dict(), m1)
    return config, network


def _trained(folder: RunFolder, access: DataAccess, device: str, splits: Splits, model: Model) -> Run:
    """The run in ``folder``; what is already here, data and model, need not be read again."""
    run = Run(folder, access, device)
    run.__dict__.update(data=splits, model=model)
    return run


class _DiscardEarlier(Callback):
    """Lets go of the run that was overwritten, now that the new one has saved its first checkpoint."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def on_start(self, training: Training) -> None:
        """See `Callback`."""
        self.folder.discard_earlier()


class _KeepConfig(Callback):
    """Writes a changed configuration once the run has been restored, so that a refused resume changes nothing.

    The metrics go where there is anything left to train: they are of the weights as they were.
    """

    def __init__(self, config: RunConfig, run: Run) -> None:
        self.config, self.run = config, run

    def on_start(self, training: Training) -> None:
        """See `Callback`."""
        if self.config != self.run.config:
            self.run.folder.replace_config({**self.config.to_dict(), "environment": self.run.environment})
        if not training.finished:
            self.run.folder.forget_metrics()


def resume(
    path: str | Path,
    *,
    epochs: int | None = None,
    access: DataAccess | None = None,
    device: str | None = None,
    compile: bool | None = None,
    callbacks: Sequence[Callback] = (),
    processes: Processes | None = None,
) -> Run:
    """Continue a run bit for bit from its last checkpoint, with as many threads as it began with.

    ``epochs`` makes it longer (constant learning rate only). ``compile``: whether the networks are compiled from now on
    (the same values to rounding, not bit for bit). ``processes``: as for `train`. Raises `UsageError` for an
    ``epochs`` or ``device`` that does not fit, `DataError` where the data has changed, `CheckpointError` where
    the folder is damaged.
    """
    processes = processes or Processes()
    with processes.in_turn():
        folder = RunFolder.open(Path(path))
        run = Run(folder, access)
        config = _changed(run.config, epochs, device, compile)
        splits = run.data
    processes.use(config.training.device)
    network = build_model(config.model, config.training.seed)
    with folder.lock() if processes.first else nullcontext(), threads(run.environment.get("threads")):
        # A run killed before its first checkpoint, which comes before its first step, begins anew.
        begun = has_checkpoint(folder.checkpoints, "last") or bool(folder.history()["step"])
        callbacks = [_KeepConfig(config, run), *callbacks]
        _fit(network, splits, config, folder, processes, resume=begun, callbacks=callbacks)
    return _trained(folder, run.access, config.training.device, splits, network)


def _changed(config: RunConfig, epochs: int | None, device: str | None, compiled: bool | None) -> RunConfig:
    """What a resumed run may change, checked."""
    if epochs is not None and epochs != config.training.epochs:
        if config.training.schedule != "constant":
            raise UsageError(
                f"a {config.training.schedule} run cannot be made longer: its rates depend on the number of epochs; "
                "train anew"
            )
        if epochs < config.training.epochs:
            raise UsageError(f"expected --epochs ≥ {config.training.epochs} to resume, got {epochs}")
        config = config.with_changes(training={"epochs": epochs})
    if device is not None:
        config = config.with_changes(training={"device": device})
    if compiled is not None:
        config = config.with_changes(training={"compile": compiled})
    check(config)
    choose_device(config.training.device)
    return config


def preflight(model: Model, splits: Splits, config: RunConfig) -> None:
    """Refuse what does not fit before a folder is made."""
    build_objective(config.training.objective, model)
    CORRUPTIONS.build(Spec.parse(config.training.corruption))
    AUGMENTATIONS.build(Spec.parse(config.training.augmentation))
    if config.data.labels and model.needs_labels:
        raise UsageError(
            f"labels={config.data.labels} hides the other images' labels, which a model of kind {model.kind} cannot be "
            "trained without; leave it out or choose the preset m2"
        )
    train = as_seen(splits.train, config)
    check_batch(model, train, config.training)
    check_fit(model, train, config.data.variant, "training images")
    check_fit(model, splits.test, config.data.variant, "test images")


def _fit(
    model: Model,
    splits: Splits,
    config: RunConfig,
    folder: RunFolder | None,
    processes: Processes,
    *,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
) -> None:
    fit(
        model,
        as_seen(splits.train, config),
        config.training,
        variant=config.data.variant,
        held_out=splits.test if splits.validation is None else splits.validation,
        held_out_split="test" if splits.validation is None else "validation",
        folder=folder,
        resume=resume,
        callbacks=[CurvesCallback(), SamplesCallback(), *callbacks] if processes.first else [],
        processes=processes,
    )


def _document(config: RunConfig, splits: Splits) -> dict[str, Any]:
    """``config.json``: the configuration, and the facts a reader needs to repeat the run."""
    environment = {
        "images": fingerprint(splits),
        "train": len(splits.train),
        "validation": 0 if splits.validation is None else len(splits.validation),
        "test": len(splits.test),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
    }
    return {**config.to_dict(), "environment": environment}
