"""What the sections of a report are built from: values, figures and arrays of a study's steps, and no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaelab.config import RunConfig
from vaelab.metrics import Metric
from vaelab.report.blocks import Picture
from vaelab.runfolder import History, RunFolder
from vaelab.studies import words
from vaelab.studies.settings import Settings
from vaelab.studies.store import Store


@dataclass(frozen=True)
class Results:
    """Of all steps of a study, which are done."""

    settings: Settings
    store: Store

    def values(self, step: str) -> Mapping[str, Any]:
        """What a step found; metrics as JSON objects."""
        return self.store.values(step)

    def metric(self, step: str, name: str) -> Metric:
        """One metric of a step."""
        return Metric.from_json(self.values(step)[name], f"{step}: {name}")

    def has(self, step: str) -> bool:
        """Whether the step is part of this study with these settings."""
        return self.store.has(step)

    def picture(self, step: str, name: str, caption: str, alt: str) -> Picture:
        """A figure that a step saved with `Context.figure`."""
        return Picture(self.store.figure_path(step, name), caption, alt)

    def run_picture(self, run: str, name: str, caption: str, alt: str) -> Picture:
        """A figure in a run's own folder: ``runs/<run>/figures/<name>.png``."""
        return Picture(self.store.run_path(run) / "figures" / f"{name}.png", caption, alt)

    def arrays(self, step: str, name: str) -> dict[str, NDArray[Any]]:
        """Arrays that a step saved with `Context.arrays`."""
        with np.load(self.store.arrays_path(step, name), allow_pickle=False) as found:
            return dict(found)

    def history(self, run: str) -> History:
        """Column → values of a training's ``history.csv``."""
        return RunFolder.open(self.store.run_path(run)).history()

    def config(self, run: str) -> RunConfig:
        """The configuration a run was trained with."""
        values = RunFolder.open(self.store.run_path(run)).config()
        values.pop("environment", None)
        return RunConfig.from_dict(values)

    def environment(self, run: str) -> Mapping[str, Any]:
        """Facts of a run: train, validation, test (numbers of images), torch, threads, python."""
        found: Mapping[str, Any] = RunFolder.open(self.store.run_path(run)).config().get("environment", {})
        return found

    def seconds(self, step: str) -> float:
        """How long a step took."""
        return self.store.seconds(step)

    def path(self, file: Path) -> str:
        """A file of the study as the report links it."""
        return file.relative_to(self.store.path).as_posix()


def written(metric: Metric, digits: int = 2, unit: bool = True) -> str:
    """``151.09 ± 0.50 nats per image``."""
    error = "" if metric.standard_error is None else f" ± {metric.standard_error:.{digits}f}"
    return f"{words.signed(metric.value, digits)}{error}" + (f" {metric.unit}" if unit else "")


def percent(metric: Metric, digits: int = 2) -> str:
    """``98.87 ± 0.11 %`` of a share; see `words.percent`."""
    return words.percent(metric, digits)
