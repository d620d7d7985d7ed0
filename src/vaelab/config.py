"""`RunConfig`: everything that defines a run, checked, to and from TOML and JSON."""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from vaelab.errors import UsageError
from vaelab.specs import choice, nearest


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how their pixels are read."""

    name: str = "mnist"
    """A data set's name, a .npz file, an image folder or a folder with ``images.npy``, which is streamed."""
    variant: str = "grey"
    """grey, dynamic, static or dequantised."""
    image_size: int | None = None
    """Resize to this many pixels a side."""
    validation: float = 0.0
    """Held out of the training images for model selection: a fraction (< 1) or a number."""
    test: float = 0.2
    """Fraction held out for testing, where the data set has no test split of its own."""
    seed: int = 0
    """Of the splits. Apart from the training seed, so that seeds can be compared on the same images."""
    labels: int = 0
    """Keep the labels of so many training images and hide the others' from an m2 or m1+m2; 0: keep all."""
    labels_choice: str = "stratified"
    """Which labels are kept: stratified (equally many of each class) or random."""
    labels_seed: int = 0
    """Of the choice of labels."""


@dataclass(frozen=True)
class ModelConfig:
    """The five parts. Parts are specs: ``name:option=value,…``."""

    kind: str = "vae"
    """vae, autoencoder, m2 (semi-supervised) or m1+m2 (the same on the latents of a VAE trained before)."""
    latent: int = 2
    """Latent dimensions."""
    conditional: bool = False
    """Whether encoder, prior and decoder are given the label."""
    condition: str = "concat"
    """How a label enters the networks: concat (beside the input) or add (a linear layer of its own)."""
    encoder: str = "conv"
    posterior: str = "normal"
    prior: str = "normal"
    decoder: str = "conv"
    likelihood: str = "bernoulli"
    classifier: str = "mlp:hidden=500/500"
    """The network of q(y|x) of an m2: a spec as the encoder's."""
    top: str = "m2"
    """M2 of an m1+m2, whose M1 is the other keys: m2:latent=…,hidden=…,classifier=…, see `building.TOPS`."""
    init: str = "he-encoder"
    """he-encoder (variance-preserving in the encoder, PyTorch's default in the decoder), he (both) or torch."""
    image_shape: tuple[int, ...] = (1, 28, 28)
    """Channel, height, width. Taken from the data."""
    classes: int = 10
    """Taken from the data; used where conditional."""


@dataclass(frozen=True)
class TrainingConfig:
    """The loop."""

    objective: str = "elbo"
    """A spec: elbo:beta=…,warmup=…,free_bits=…, iwae:samples=…, reconstruction."""
    augmentation: str = "none"
    """A spec; of the training images, input and target alike."""
    corruption: str = "none"
    """A spec; the input is corrupted, the target stays clean."""
    m1: str = ""
    """The run folder whose model is the M1 of an m1+m2; afterwards the run does without it."""
    epochs: int = 10
    batch_size: int = 128
    labelled_batch: int = 0
    """So many images of each batch are labelled ones, again and again, beside the others. 0: as they come."""
    optimizer: str = "adam"
    """adam, adamw or muon."""
    lr: float = 1e-3
    """The learning rate, or its peak where the schedule is another than constant."""
    beta2: float = 0.999
    """Adam's β₂: it scales each step by the squared gradients of about the last 1/(1 − β₂) steps."""
    weight_decay: float = 0.0
    schedule: str = "constant"
    """constant, one-cycle or linear."""
    average: float = 0.0
    """Share of the steps so far that an average of the weights remembers; it is what is evaluated and kept. 0: none.

    The steps themselves stay those of the optimiser: averaging removes the noise that a constant rate leaves.
    """
    clip: float = 0.0
    """Largest gradient norm; 0: no clipping."""
    patience: int = 0
    """Epochs without improvement of the validation loss before stopping; 0: never."""
    precision: str = "float32"
    """float32, or bf16 (networks in bfloat16, the bound in float32)."""
    compile: bool = False
    """Whether the networks run as code that PyTorch compiles for them: the same values, to rounding."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    checkpoint_steps: int = 500
    """Steps between checkpoints within an epoch; one is saved after each epoch, too."""
    seed: int = 0


@dataclass(frozen=True)
class RunConfig:
    """A run: data, model, training.

    >>> RunConfig.from_dict({"training": {"epochs": 3}}).training.epochs
    3
    >>> RunConfig.from_dict({"training": {"epoch": 3}})
    Traceback (most recent call last):
    ...
    vaelab.errors.UsageError: unknown key 'epoch' in [training]; did you mean epochs?
    """

    preset: str = ""
    recipe: str = ""
    """The recipe whose settings are in ``training``; see `recipes`."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], base: RunConfig | None = None) -> RunConfig:
        """The inverse of `to_dict`; what is left out comes from ``base``. Unknown or mistyped keys: `UsageError`."""
        base = base or cls()
        sections: dict[str, Any] = {}
        for key, value in values.items():
            if key in ("preset", "recipe"):
                sections[key] = _typed(key, value, str)
            elif key not in ("data", "model", "training"):
                known = ("preset", "recipe", "data", "model", "training")
                raise UsageError(f"unknown section {key!r}; {nearest(key, known)}")
            elif not isinstance(value, Mapping):
                raise UsageError(f"expected a table [{key}] with keys and values, got {value!r}")
            else:
                sections[key] = _update(getattr(base, key), value, f"[{key}]")
        return dataclasses.replace(base, **sections)

    def with_changes(self, **sections: Mapping[str, Any]) -> RunConfig:
        """A copy with some keys changed: ``config.with_changes(training={"epochs": 3})``."""
        return RunConfig.from_dict(sections, base=self)


VARIANTS = ("grey", "dynamic", "static", "dequantised")
OPTIMIZERS = ("adam", "adamw", "muon")
SCHEDULES = ("constant", "one-cycle", "linear")
PRECISIONS = ("float32", "bf16")
LABEL_CHOICES = ("stratified", "random")
LARGEST_SEED = 2**63 - 1


def check_device(name: str) -> None:
    """Raise `UsageError` where ``name`` is no device's."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]+)?", name):
        raise UsageError(f"expected device auto, cpu, cuda, cuda:N or mps, got {name!r}")


def check(config: RunConfig) -> None:
    """Raise `UsageError` where a value is out of range or an unknown word. Parts are checked when they are built."""
    data, training = config.data, config.training
    choice("pixel variant", data.variant, VARIANTS)
    choice("optimizer", training.optimizer, OPTIMIZERS)
    choice("schedule", training.schedule, SCHEDULES)
    choice("precision", training.precision, PRECISIONS)
    choice("choice of labels", data.labels_choice, LABEL_CHOICES)
    check_device(training.device)
    whole = data.validation >= 1 and data.validation % 1 == 0
    for name, value, fits, expected in (
        ("image_size", data.image_size, data.image_size is None or data.image_size >= 8, "a number ≥ 8 or nothing"),
        ("validation", data.validation, 0 <= data.validation < 1 or whole, "a fraction < 1 or a whole number ≥ 0"),
        ("test", data.test, 0 < data.test < 1, "a fraction between 0 and 1"),
        ("epochs", training.epochs, training.epochs >= 1, "a number ≥ 1"),
        ("batch_size", training.batch_size, training.batch_size >= 1, "a number ≥ 1"),
        ("lr", training.lr, 0 < training.lr < math.inf, "a finite number > 0"),
        ("beta2", training.beta2, 0 < training.beta2 < 1, "a number between 0 and 1"),
        ("weight_decay", training.weight_decay, 0 <= training.weight_decay < math.inf, "a finite number ≥ 0"),
        ("average", training.average, 0 <= training.average <= 1, "a share from 0 (none) to 1 (all steps)"),
        ("clip", training.clip, 0 <= training.clip < math.inf, "a finite number ≥ 0 (0: no clipping)"),
        ("patience", training.patience, training.patience >= 0, "a number ≥ 0 (0: never stop early)"),
        ("checkpoint_steps", training.checkpoint_steps, training.checkpoint_steps >= 1, "a number ≥ 1"),
        ("labels", data.labels, data.labels >= 0, "a number ≥ 0 (0: all)"),
        (
            "labelled_batch",
            training.labelled_batch,
            0 <= training.labelled_batch < training.batch_size,
            f"a number ≥ 0 and below the batch size {training.batch_size}",
        ),
        ("the labels' seed", data.labels_seed, 0 <= data.labels_seed <= LARGEST_SEED, "a number from 0 to 2^63 − 1"),
        ("the data's seed", data.seed, 0 <= data.seed <= LARGEST_SEED, "a number from 0 to 2^63 − 1"),
        ("the training's seed", training.seed, 0 <= training.seed <= LARGEST_SEED, "a number from 0 to 2^63 − 1"),
    ):
        if not fits:
            raise UsageError(f"expected {expected} for {name}, got {value}")
    if training.patience and not data.validation:
        raise UsageError(
            f"patience={training.patience} needs validation images to watch; set validation, for instance to 0.1"
        )


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; `UsageError` where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the configuration {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no valid TOML: {error}") from error


Section = TypeVar("Section", DataConfig, ModelConfig, TrainingConfig)


def _update(section: Section, values: Mapping[str, Any], where: str) -> Section:
    hints = typing.get_type_hints(type(section))
    changes = {}
    for key, value in values.items():
        if key not in hints:
            raise UsageError(f"unknown key {key!r} in {where}; {nearest(key, hints)}")
        changes[key] = _typed(f"{key} in {where}", value, hints[key])
    return dataclasses.replace(section, **changes)


def _typed(what: str, value: Any, hint: Any) -> Any:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if option is type(None) and value is None:
            return None
        if (
            typing.get_origin(option) is tuple
            and isinstance(value, list | tuple)
            and all(type(v) is int for v in value)
        ):
            return tuple(value)
        if option is float and type(value) is int:
            return float(value)
        if isinstance(option, type) and type(value) is option:
            return value
    names = " or ".join("nothing" if o is type(None) else getattr(o, "__name__", str(o)) for o in options)
    raise UsageError(f"expected {names} for {what}, got {value!r}")
