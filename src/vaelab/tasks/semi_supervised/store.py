"""The folder of an evaluation: what was asked, the representations, and every finished cell."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaelab.applications.representations import Cell, Representation, Result
from vaelab.documents import read_document, to_json
from vaelab.errors import DataError, UsageError, VaelabError
from vaelab.files import write_atomic
from vaelab.tasks.embed import write_npz

FORMAT, CELL_FORMAT = "vaelab-semi-supervised", "vaelab-semi-supervised-cell"
VERSION = 1
METHODS_VERSION = 1
"""Cells of another version of the methods and their grids are measured anew."""


@dataclass(frozen=True)
class Store:
    """Reads and writes below ``path``; every file is written whole or not at all."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> Store:
        """The folder of an earlier evaluation, or a new one.

        Raises `UsageError` where something else is there, `CheckpointError` where its configuration is damaged.
        """
        store = cls(path)
        if not os.path.lexists(path):
            return store
        if not path.is_dir():
            raise UsageError(f"expected a folder for the results, but {path} is a file; choose another --out")
        if os.path.lexists(store.config):
            read_document(store.config, FORMAT, VERSION, "configuration of a semi-supervised evaluation")
        elif any(path.iterdir()):
            raise UsageError(f"{path} holds something else than such an evaluation; choose another --out")
        return store

    @property
    def config(self) -> Path:
        """What was asked."""
        return self.path / "config.json"

    def write_config(self, asked: Mapping[str, Any]) -> None:
        """Keep what was asked last."""
        write_atomic(self.config, to_json({"format": FORMAT, "version": VERSION, **asked}, "the configuration"))

    def representation(self, name: str, fingerprint: str) -> Representation | None:
        """One that was written before, of the same weights and images; None where there is none."""
        try:
            content = io.BytesIO(self._arrays(name).read_bytes())
            with np.load(content, allow_pickle=False) as stored:
                if str(stored["fingerprint"]) != fingerprint:
                    return None
                return Representation(stored["train"], stored["test"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, DataError):
            return None  # missing or damaged: made anew

    def write_representation(self, name: str, fingerprint: str, found: Representation) -> None:
        """Keep it, so that asking again needs no model."""
        arrays: dict[str, NDArray[Any]] = {"train": found.train, "test": found.test}
        write_npz(self._arrays(name), {**arrays, "fingerprint": np.array(fingerprint)})

    def _arrays(self, name: str) -> Path:
        return self.path / "representations" / f"{name}.npz"

    def cell_path(self, cell: Cell, fingerprint: str) -> Path:
        """The file of a cell of the representation with this fingerprint."""
        name = f"{cell.method}-{cell.labels}-{cell.choice}-{cell.seed}.json"
        return self.path / "cells" / fingerprint[:16] / name

    def read_cell(self, cell: Cell, fingerprint: str) -> Result | None:
        """A finished cell; None where it is not, or its file is damaged or of other methods."""
        path = self.cell_path(cell, fingerprint)
        if not os.path.lexists(path):
            return None
        with suppress(VaelabError, KeyError, TypeError, ValueError):
            found = read_document(path, CELL_FORMAT, VERSION, "cell")
            if found["methods"] == METHODS_VERSION and found["fingerprint"] == fingerprint:
                values = [float(found[name]) for name in ("accuracy", "standard_error", "seconds")]
                parameters = {str(name): value for name, value in found["parameters"].items()}
                return Result(values[0], values[1], int(found["images"]), values[2], parameters, str(found["protocol"]))
        return None

    def write_cell(self, cell: Cell, fingerprint: str, result: Result) -> None:
        """Keep a finished cell; on the disk when this returns."""
        document = {
            "format": CELL_FORMAT,
            "version": VERSION,
            "methods": METHODS_VERSION,
            "fingerprint": fingerprint,
            "method": cell.method,
            "labels": cell.labels,
            "choice": cell.choice,
            "seed": cell.seed,
            "accuracy": result.accuracy,
            "standard_error": result.standard_error,
            "images": result.images,
            "seconds": result.seconds,
            "parameters": dict(result.parameters),
            "protocol": result.protocol,
        }
        write_atomic(self.cell_path(cell, fingerprint), to_json(document, "the cell"))
