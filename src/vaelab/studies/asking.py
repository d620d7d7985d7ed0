"""From words, a configuration file and defaults to the `Settings` of a study."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaelab.config import LARGEST_SEED, RunConfig, check_device, read_toml
from vaelab.data.sources import names as data_set_names
from vaelab.errors import CheckpointError, UsageError
from vaelab.specs import nearest
from vaelab.studies.settings import EVERY, SECTIONS, Settings, option_value, parse_assignments
from vaelab.studies.store import Store
from vaelab.studies.study import Option, Study, Value

KEYS = {"data": str, "other": str, "seed": int, "quick": bool, "options": dict, "models": dict}


@dataclass(frozen=True)
class Asked:
    """What a user said; None and empty: nothing. ``assignments``: words of ``--set``; ``training``: of all models."""

    data: str | None = None
    other: str | None = None
    seed: int | None = None
    quick: bool = False
    device: str = "auto"
    config: Path | None = None
    assignments: Sequence[str] = ()
    training: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        said = (self.data, self.other, self.seed, self.config)
        return any(one is not None for one in said) or self.quick or bool(self.assignments or self.training)


def settings_of(study: Study, asked: Asked, *, options: Mapping[str, Option] | None = None) -> Settings:
    """The settings of ``study``: what is asked, then the configuration file, then the sheet's.

    ``options``: all that may be named, where more studies than this one are asked at once. Raises `UsageError` for
    unknown names and values of the wrong kind.
    """
    known = {**study.options, **(options or {})}
    file = _from_file(asked.config, known)
    values, changes = parse_assignments(asked.assignments, known)
    quick = asked.quick or file.get("quick", False)
    chosen: dict[str, Value] = {name: option.quick if quick else option.value for name, option in study.options.items()}
    given = {**file.get("options", {}), **values}
    chosen |= {name: value for name, value in given.items() if name in study.options}
    every = {EVERY: {"training": dict(asked.training)}} if asked.training else {}
    seed = asked.seed if asked.seed is not None else file.get("seed", 0)
    if not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"expected --seed from 0 to 2^63 − 1, got {seed}")
    check_device(asked.device)
    settings = Settings(
        data=_data(asked.data or file.get("data") or ("digits" if quick else "mnist")),
        other=_data(asked.other or file.get("other") or ("digits" if quick else "fashion-mnist")),
        seed=seed,
        quick=quick,
        device=asked.device,
        values=chosen,
        changes=_merged(_without(file.get("models", {}), asked.training), every, changes),
    )
    for sections in settings.changes.values():
        RunConfig().with_changes(**sections)  # a wrong key is found before the first step
    return settings


def stored_settings(study: Study, store: Store, device: str = "auto") -> Settings:
    """The settings that the results in a folder were made with; `CheckpointError` where they cannot be read."""
    found = store.read_document()
    try:
        values = {name: option_value(name, value, study.options) for name, value in found["values"].items()}
        return Settings(
            data=str(found["data"]),
            other=str(found["other"]),
            seed=int(found["seed"]),
            quick=bool(found["quick"]),
            device=device,
            values=values,
            changes=_merged(found["changes"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise CheckpointError(f"{store.document} is damaged or of another version; run the study again") from error


def _data(name: str) -> str:
    """A path is made absolute, so that the study goes on from any folder."""
    if name not in data_set_names() and os.path.exists(name):
        return os.path.abspath(name)
    return name


def _from_file(path: Path | None, known: Mapping[str, Option]) -> dict[str, Any]:
    if path is None:
        return {}
    found = read_toml(path)
    for key, value in found.items():
        if key not in KEYS:
            raise UsageError(f"unknown key {key!r} in {path}; {nearest(key, KEYS)}")
        if type(value) is not KEYS[key]:
            raise UsageError(f"expected {KEYS[key].__name__} for {key} in {path}, got {value!r}")
    found["options"] = {name: option_value(name, value, known) for name, value in found.get("options", {}).items()}
    for model, sections in found.get("models", {}).items():
        for section, values in sections.items() if isinstance(sections, dict) else [("", sections)]:
            if section not in SECTIONS or not isinstance(values, dict):
                raise UsageError(f"expected tables [models.{model}.model] or [models.{model}.training] in {path}")
    return found


def _without(models: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The file's changes of models but for training keys that a flag sets for all of them: flags win over the file."""
    return {
        model: {
            section: {key: value for key, value in values.items() if section != "training" or key not in flags}
            for section, values in sections.items()
        }
        for model, sections in models.items()
    }


def _merged(*parts: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Model → section → key → value; the last part wins."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for part in parts:
        for model, sections in part.items():
            for section, values in sections.items():
                found.setdefault(model, {}).setdefault(section, {}).update(values)
    return found
