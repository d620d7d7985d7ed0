"""What a measurement of a study has at hand: runs, options, the values of earlier steps, places for its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from vaelab import plots
from vaelab.data.progress import Progress, no_progress
from vaelab.run import DataAccess, Run
from vaelab.studies.settings import Settings
from vaelab.studies.store import Store
from vaelab.studies.study import Measure


@dataclass
class Context:
    """``settings``: of the study; ``jobs``: processes that a step which is ``alone`` may use."""

    step: Measure
    settings: Settings
    store: Store
    access: DataAccess = field(default_factory=DataAccess)
    progress: Progress = no_progress
    jobs: int = 1
    files: list[Path] = field(default_factory=list)
    """What it has written."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The step's options."""
        return self.step.options

    def run(self, name: str) -> Run:
        """The run of the step ``name``, which this step needs."""
        assert name in self.step.needs, f"{self.step.name} does not say that it needs {name}"
        return Run.open(self.store.run_path(name), self.access, self.settings.device)

    def values(self, name: str) -> Mapping[str, Any]:
        """What the step ``name`` found; metrics as JSON objects."""
        assert name in self.step.needs, f"{self.step.name} does not say that it needs {name}"
        return self.store.values(name)

    def figure(self, name: str, figure: Figure) -> Path:
        """Save a figure of this step: ``figures/<step>-<name>.png``."""
        path = self.store.figure_path(self.step.name, name)
        plots.save(figure, path)
        return self._wrote(path)

    def arrays(self, name: str, **arrays: ArrayLike) -> Path:
        """Save arrays of this step: ``data/<step>-<name>.npz``."""
        found = {key: np.asarray(value) for key, value in arrays.items()}
        return self._wrote(self.store.write_arrays(self.step.name, name, found))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
        """Save a table of this step: ``data/<step>-<name>.csv``; numbers in full."""
        return self._wrote(self.store.write_table(self.step.name, name, columns, rows))

    def _wrote(self, path: Path) -> Path:
        self.files.append(path)
        return path
