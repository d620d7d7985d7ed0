"""What a study is asked for: data, seed, options, and changes of its models' configurations."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vaelab import presets
from vaelab.config import RunConfig
from vaelab.data.sources import names as data_set_names
from vaelab.errors import UsageError
from vaelab.specs import nearest
from vaelab.studies.study import Option, Value

EVERY = "*"
"""In place of a model's name: all of them."""

SECTIONS = ("model", "training")


@dataclass(frozen=True)
class Settings:
    """``data``: of the study, ``other``: where the sheet asks for Fashion-MNIST. ``values``: options by name.

    ``changes``: model's name (or * for all) → section → key → value.
    """

    data: str = "mnist"
    other: str = "fashion-mnist"
    seed: int = 0
    quick: bool = False
    device: str = "auto"
    values: Mapping[str, Value] = field(default_factory=dict)
    changes: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    def __getitem__(self, option: str) -> Any:
        return self.values[option]

    def without_changes_of(self, models: Collection[str]) -> Settings:
        """The same, but for changes of ``models``, which are another study's."""
        return replace(self, changes={name: change for name, change in self.changes.items() if name not in models})

    def config(
        self,
        model: str,
        preset: str | RunConfig,
        /,
        *,
        data: str | None = None,
        variant: str | None = None,
        validation: float | None = None,
        seed: int | None = None,
        **sections: Mapping[str, Any],
    ) -> RunConfig:
        """The configuration of the model ``model``: a preset with the study's own changes, then the user's.

        ``settings.config("vae", "conv-vae", model={"latent": 4}, training={"epochs": settings["epochs"]})``. The data
        and the seed are the study's where none are given. Where a number of validation images is meant for MNIST's
        60,000, it is a tenth of the embedded digits and of the user's own images.
        """
        config = presets.get(preset) if isinstance(preset, str) else preset
        name = self.data if data is None else data
        keys: dict[str, Any] = {"name": name}
        if variant is not None:
            keys["variant"] = variant
        if validation is not None:
            keys["validation"] = validation
        small = self.quick or name == "digits" or name not in data_set_names()
        if small and keys.get("validation", config.data.validation) >= 1:
            keys["validation"] = 0.1
        seeds = {"seed": self.seed if seed is None else seed, "device": self.device}
        config = config.with_changes(data=keys, training=seeds).with_changes(**sections)
        for name in (EVERY, model):
            config = config.with_changes(**self.changes.get(name, {}))
        return config


def keep_latent(model: str, config: RunConfig, size: int) -> RunConfig:
    """``config``; `UsageError` where a user's change gave the model another number of latent dimensions."""
    if config.model.latent != size:
        raise UsageError(
            f"expected {size} latent dimensions for the model {model}, which the study is about, "
            f"got {config.model.latent}; change the latent dimensions of other models by name"
        )
    return config


def parse_assignments(texts: Sequence[str], options: Mapping[str, Option]) -> tuple[dict[str, Value], dict[str, Any]]:
    """``--set`` words: ``epochs=3`` is an option, ``vae.training.lr=1e-3`` a change of a model; `UsageError`."""
    values: dict[str, Value] = {}
    changes: dict[str, Any] = {}
    for text in texts:
        key, equals, word = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"expected NAME=VALUE for --set, for instance epochs=3, got {text!r}")
        parts = key.strip().split(".")
        if len(parts) == 1:
            values[parts[0]] = option_value(parts[0], word, options)
        elif len(parts) == 3 and parts[1] in SECTIONS:
            changes.setdefault(parts[0], {}).setdefault(parts[1], {})[parts[2]] = _plain(word)
        else:
            raise UsageError(
                f"expected NAME or MODEL.training.KEY or MODEL.model.KEY before = in --set, got {key.strip()!r}"
            )
    return values, changes


def option_value(name: str, given: Any, options: Mapping[str, Option]) -> Value:
    """``given`` (text, or a value of TOML) as the type of the option ``name``; `UsageError` where it is none."""
    if name not in options:
        raise UsageError(f"unknown option {name!r} of the study; {nearest(name, options)}")
    like = options[name].value
    value = _plain(given) if isinstance(given, str) and not isinstance(like, str) else given
    if isinstance(like, tuple):
        several = [value] if isinstance(value, int) else value
        if isinstance(several, list | tuple) and several and all(type(one) is int for one in several):
            _check(name, tuple(several), options[name])
            return tuple(several)
        raise UsageError(f"expected whole numbers separated by / for {name}, for instance 2/4/8, got {given!r}")
    if isinstance(like, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(like):
        raise UsageError(f"expected {_KINDS[type(like)]} for {name}, got {given!r}")
    checked: Value = value
    _check(name, checked, options[name])
    return checked


def _check(name: str, value: Value, option: Option) -> None:
    """`UsageError` where a value is out of bounds or a word is unknown."""
    if isinstance(value, str):
        for word in value.split("+") if option.known else ():
            if word not in option.known:
                raise UsageError(
                    f"unknown {name} {word!r}; expected one or more of {', '.join(option.known)}, joined by +"
                )
        return
    for one in value if isinstance(value, tuple) else (value,):
        above = option.least is None and isinstance(one, float)  # then 0 itself is too little
        least = option.least if option.least is not None else 0 if above else 1
        if isinstance(one, bool) or (least <= one <= option.most and math.isfinite(one) and not (above and one == 0)):
            continue
        bounds = f"{'above' if above else 'at least'} {least:g}"
        bounds += f" and at most {option.most:g}" if option.most < math.inf else ""
        raise UsageError(f"expected numbers {bounds} for {name}, got {one}")


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


def _plain(word: Any) -> Any:
    """The value that a word stands for."""
    if not isinstance(word, str):
        return word
    text = word.strip()
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"[+-]?\d+(/[+-]?\d+)+", text):
        return tuple(int(one) for one in text.split("/"))
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
