"""The folder of a study: what was asked, every step's values with a hash of what defines them, figures, data files."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vaelab.documents import read_document, to_json
from vaelab.errors import CheckpointError, UsageError
from vaelab.files import write_atomic, write_text_atomic
from vaelab.metrics import Metric
from vaelab.tasks.embed import write_npz

FORMAT, STEP_FORMAT = "vaelab-study", "vaelab-study-step"
VERSION = 1


@dataclass(frozen=True)
class Record:
    """A step as it is in the folder: the hash of what defines it, whether it is finished, how long it took."""

    key: str
    done: bool
    seconds: float
    values: Mapping[str, Any]
    files: Sequence[str] = ()
    """What it wrote beside its values, relative to the folder of the study; without them it is not done."""


@dataclass(frozen=True)
class Store:
    """Reads and writes below ``path``; every file is written whole or not at all."""

    path: Path

    @classmethod
    def open(cls, path: Path, name: str) -> Store:
        """The folder of the study ``name``, or a new one.

        Raises `UsageError` where another study or something else is there, `CheckpointError` where it is damaged.
        """
        store = cls(path)
        if path.is_dir() and not store.document.exists() and any(path.iterdir()):
            raise UsageError(f"{path} holds something else than a study; choose another --out")
        if path.exists() and not path.is_dir():
            raise UsageError(f"expected a folder for the study, but {path} is a file; choose another --out")
        if store.document.exists():
            found = read_document(store.document, FORMAT, VERSION, "record of a study").get("name")
            if found != name:
                raise UsageError(f"{path} holds the study {found}, not {name}; choose another --out")
        return store

    @property
    def document(self) -> Path:
        """What was asked."""
        return self.path / "study.json"

    def holds(self, name: str) -> bool:
        """Whether the data ``name`` lies in this folder: a step has made or will make it."""
        return Path(name).is_absolute() and Path(name).is_relative_to(self.path.absolute())

    def write_document(self, name: str, asked: Mapping[str, Any]) -> None:
        """Keep what was asked last."""
        header = {"format": FORMAT, "version": VERSION, "name": name}
        write_atomic(self.document, to_json({**header, **asked}, "the study"))

    def read_document(self) -> dict[str, Any]:
        """What was asked last."""
        return read_document(self.document, FORMAT, VERSION, "record of a study")

    def run_path(self, name: str) -> Path:
        """The run folder of a `Train` step."""
        return self.path / "runs" / name

    def figure_path(self, step: str, name: str) -> Path:
        """A figure of a step."""
        return self.path / "figures" / f"{step}-{name}.png"

    def arrays_path(self, step: str, name: str) -> Path:
        """Arrays of a step."""
        return self.path / "data" / f"{step}-{name}.npz"

    def table_path(self, step: str, name: str) -> Path:
        """A table of a step."""
        return self.path / "data" / f"{step}-{name}.csv"

    def write_arrays(self, step: str, name: str, arrays: dict[str, NDArray[Any]]) -> Path:
        """Write `arrays_path`."""
        path = self.arrays_path(step, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_npz(path, arrays)
        return path

    def write_table(self, step: str, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
        """Write `table_path`; numbers with all their digits."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([repr(cell) if isinstance(cell, float) else cell for cell in row] for row in rows)
        path = self.table_path(step, name)
        write_text_atomic(path, text.getvalue())
        return path

    # --- steps ------------------------------------------------------------------------------------------------------

    def _step_path(self, name: str) -> Path:
        return self.path / "steps" / f"{name}.json"

    def record(self, name: str) -> Record | None:
        """What is known of a step; None where it was never begun or its file is damaged."""
        with suppress(CheckpointError, KeyError, TypeError, ValueError):
            found = read_document(self._step_path(name), STEP_FORMAT, VERSION, "record of a step")
            files = [str(file) for file in found.get("files", ())]
            return Record(
                str(found["key"]), found["done"] is True, float(found["seconds"]), dict(found["values"]), files
            )
        return None

    def write_record(self, name: str, record: Record) -> None:
        """Keep what is known of a step."""
        values = {key: value.to_json() if isinstance(value, Metric) else value for key, value in record.values.items()}
        document = {
            "format": STEP_FORMAT,
            "version": VERSION,
            "key": record.key,
            "done": record.done,
            "seconds": record.seconds,
            "files": list(record.files),
            "values": values,
        }
        write_atomic(self._step_path(name), to_json(document, f"the values of {name}", infinity_as_null=True))

    def has(self, step: str) -> bool:
        """Whether the step is done."""
        found = self.record(step)
        return found is not None and found.done

    def values(self, step: str) -> Mapping[str, Any]:
        """What a step found; `CheckpointError` where it has not been done."""
        return self._done(step).values

    def seconds(self, step: str) -> float:
        """How long a step took, over all its attempts."""
        return self._done(step).seconds

    def _done(self, step: str) -> Record:
        found = self.record(step)
        if found is None or not found.done:
            raise CheckpointError(
                f"{self.path} has no result of the step {step} yet; run the study without --redraw to finish it"
            )
        return found


def digest(value: Any) -> str:
    """A short name of a JSON value, equal for equal values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=list).encode()).hexdigest()[:16]
