"""Runs → groups that are equal but for the training seed, their numbers, and what differs between them."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from vaelab.config import RunConfig
from vaelab.data.progress import Progress
from vaelab.errors import DataError, UsageError
from vaelab.metrics import Metric, MetricsNotSavedError
from vaelab.run import Run
from vaelab.runfolder import History
from vaelab.specs import choice
from vaelab.tasks.compare import comparability
from vaelab.tasks.compare.protocols import estimator

SPLITS = ("train", "validation", "test")
SEED = "training.seed"
_NO_DIFFERENCE = frozenset({"preset", SEED, "training.device", "training.checkpoint_steps"})
"""Keys that do not make two runs different ones."""

_SEED_WORD = re.compile(r"[\s._-]+(?:seeds?|s|runs?)?[\s._-]*\d*$|\d+$")


@dataclass(frozen=True)
class Member:
    """One run: ``metrics`` of the split that is compared, ``history``; a sentence where training is ``unfinished``."""

    name: str
    path: Path
    config: RunConfig
    environment: Mapping[str, Any]
    metrics: Mapping[str, Metric]
    history: History
    unfinished: str

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.config.training.seed


@dataclass(frozen=True)
class Number:
    """A metric of a group, in ``unit``, of ``n`` images; ``values``: one for each run.

    ``over`` = seeds: mean and standard deviation s² = Σ (vᵢ − mean)² / (k − 1) of k runs. ``over`` = images: the value
    of a single run and its standard error. Empty, with no ``spread``: there is neither.
    """

    mean: float
    spread: float | None
    over: str
    unit: str
    n: int
    values: tuple[float, ...]
    protocols: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Runs that are equal but for the training seed; ``numbers`` by name of the metric."""

    name: str
    members: Sequence[Member]
    numbers: Mapping[str, Number]

    @property
    def config(self) -> RunConfig:
        """Of its first run."""
        return self.members[0].config

    @property
    def counted(self) -> list[Member]:
        """One run for each seed: a repetition says nothing about seeds."""
        return list({member.seed: member for member in reversed(self.members)}.values())[::-1]


@dataclass(frozen=True)
class Comparison:
    """``differences``: key of the configuration → its value in each group; ``notes``: what a reader must know.

    ``warnings``: why numbers cannot be compared with one another, and ``incomparable``: which of them.
    """

    split: str
    groups: Sequence[Group]
    differences: Mapping[str, Sequence[str]]
    warnings: Sequence[str]
    incomparable: frozenset[str]
    notes: Sequence[str]

    @property
    def members(self) -> list[Member]:
        """All runs, group by group."""
        return [member for group in self.groups for member in group.members]


def compare_runs(
    runs: Sequence[Run], *, split: str = "test", importance_samples: int = 0, progress: Progress | None = None
) -> Comparison:
    """Put ``runs`` into groups that are equal but for the training seed, with the numbers of their ``metrics.json``.

    A run whose −ELBO (an autoencoder's: reconstruction) of ``split`` is missing there is evaluated, and with
    ``importance_samples`` > 0 one whose log-likelihood was not estimated with so many. Raises `UsageError` for fewer
    than two runs or the same folder twice, `CheckpointError` for damaged ones, `DataError` where an evaluation needs
    data that is not there.
    """
    choice("split", split, SPLITS)
    names = _names(runs)
    if importance_samples < 0:
        raise UsageError(f"expected importance samples ≥ 0, got {importance_samples}")
    for run in runs:  # what is damaged is found before the work, not after it
        run.history()
        run.folder.metrics()
    notes: list[str] = []
    members = [
        _member(run, name, split, importance_samples, progress, notes) for run, name in zip(runs, names, strict=True)
    ]
    groups = _groups(members)
    found = comparability.check(groups, split)
    unlike = frozenset(name for _, names in found.unlike for name in names)
    if found.warnings:
        unlike |= {name for member in members for name in member.metrics}
    warnings = [*found.warnings, *(sentence for sentence, _ in found.unlike)]
    return Comparison(split, groups, _differences(groups), warnings, unlike, [*notes, *found.notes])


def _names(runs: Sequence[Run]) -> list[str]:
    """The folders' names, or their paths where two have the same."""
    if len(runs) < 2:
        raise UsageError(f"expected at least 2 runs to compare, got {len(runs)}; give the folders of others, too")
    places: dict[Path, Path] = {}
    for path in (run.folder.path for run in runs):
        if (place := path.resolve()) in places:
            raise UsageError(f"expected different runs, got {places[place]} twice; leave one of them out")
        places[place] = path
    names = [place.name or str(place) for place in places]
    chosen = [name if names.count(name) == 1 else str(path) for name, path in zip(names, places.values(), strict=True)]
    return [" ".join(name.split()) for name in chosen]


def _member(
    run: Run, name: str, split: str, importance_samples: int, progress: Progress | None, notes: list[str]
) -> Member:
    if sentence := run.unfinished():
        notes.append(f"{name}: {sentence}")
    prefix = "" if split == "test" else f"{split}_"
    found = run.folder.metrics()
    if _missing(run, found, prefix, importance_samples):
        samples = 0 if run.config.model.kind == "autoencoder" else importance_samples
        try:
            found = {**found, **run.evaluate(split, importance_samples=samples, progress=progress)}
        except MetricsNotSavedError as error:
            found = {**found, **error.metrics}
            notes.append(f"{name} was evaluated, but that could not be kept: {error}")
        except (UsageError, DataError) as error:
            raise type(error)(f"{name}: {error}") from error
    others = tuple(f"{other}_" for other in SPLITS if other != split)
    metrics = {
        key.removeprefix(prefix): metric
        for key, metric in found.items()
        if key.startswith(prefix) and not (split == "test" and key.startswith(others))
    }
    return Member(name, run.folder.path, run.config, run.environment, metrics, run.history(), sentence)


def _missing(run: Run, found: Mapping[str, Metric], prefix: str, importance_samples: int) -> bool:
    """Whether the run is to be evaluated."""
    if run.config.model.kind == "autoencoder":
        return f"{prefix}reconstruction" not in found
    likelihood = found.get(f"{prefix}negative_log_likelihood")
    drawn = f", K = {importance_samples} "
    return (importance_samples > 0 and (likelihood is None or drawn not in likelihood.protocol)) or any(
        f"{prefix}{name}" not in found for name in ("negative_elbo", "reconstruction", "kl")
    )


def flat(config: RunConfig) -> dict[str, Any]:
    """``section.key`` → value."""
    found: dict[str, Any] = {"preset": config.preset}
    for section in ("data", "model", "training"):
        values = dataclasses.asdict(getattr(config, section))
        found |= {f"{section}.{key}": value for key, value in values.items()}
    return found


def _groups(members: Sequence[Member]) -> list[Group]:
    found: dict[tuple[Any, ...], list[Member]] = {}
    for member in members:
        key = [value for name, value in flat(member.config).items() if name not in _NO_DIFFERENCE]
        found.setdefault((*key, member.environment.get("images")), []).append(member)
    groups: list[Group] = []
    for together in found.values():
        taken = {group.name for group in groups} | {member.name for member in members if member not in together}
        groups.append(_group(_group_name([member.name for member in together], taken), together))
    return groups


def _group_name(names: Sequence[str], taken: set[str]) -> str:
    """What the names begin with, without a word for seeds; where that says nothing, all of them.

    >>> _group_name(["vae-s0", "vae-s1"], set()), _group_name(["first", "second"], set())
    ('vae', 'first, second')
    """
    if len(names) == 1:
        return names[0]
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    common = _SEED_WORD.sub("", "".join(letters[0] for letters in alike))
    return common if common.strip("./") and common not in taken else ", ".join(names)


def _group(name: str, members: Sequence[Member]) -> Group:
    bare = Group(name, members, {})
    metrics = dict.fromkeys(metric for member in members for metric in member.metrics)
    numbers = {metric: _number([m.metrics[metric] for m in bare.counted if metric in m.metrics]) for metric in metrics}
    return Group(name, members, {metric: number for metric, number in numbers.items() if number is not None})


def _number(found: Sequence[Metric]) -> Number | None:
    """None where the runs were measured in different ways, or only a repetition was."""
    if len({estimator(metric.protocol) for metric in found}) != 1:
        return None
    first, values = found[0], tuple(metric.value for metric in found)
    protocols = tuple(dict.fromkeys(metric.protocol for metric in found))
    if len(values) == 1:
        error = first.standard_error
        return Number(first.value, error, "" if error is None else "images", first.unit, first.n, values, protocols)
    spread = float(np.std(values, ddof=1)) if all(map(math.isfinite, values)) else None
    over = "" if spread is None else "seeds"
    return Number(float(np.mean(values)), spread, over, first.unit, first.n, values, protocols)


def _differences(groups: Sequence[Group]) -> dict[str, list[str]]:
    """Of the keys in which not all groups agree, but for seeds."""
    found: dict[str, list[str]] = {}
    flats = [[flat(member.config) for member in group.members] for group in groups]
    for key in flats[0][0]:
        values = [list(dict.fromkeys(_written(one[key]) for one in runs)) for runs in flats]
        if key != SEED and len({tuple(value) for value in values}) > 1:
            found[key] = [" or ".join(value) for value in values]
    return found


def _written(value: Any) -> str:
    """As in a TOML file; a tuple as 1×28×28; nothing as —."""
    if isinstance(value, tuple):
        return "×".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "—" if value is None or value == "" else f"{value:g}" if isinstance(value, float) else str(value)
