"""The named data sets as the command line sees them: list, fetch, check."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vaelab.data import sources
from vaelab.data.download import Retries, download
from vaelab.data.idx import read_content
from vaelab.data.progress import Progress, no_progress
from vaelab.data.sources import Source, SourceFile
from vaelab.errors import DataError, UsageError
from vaelab.specs import nearest


def list_datasets(data_dir: str | Path | None = None) -> list[dict[str, Any]]:
    """One row a named data set: name, train, test (images), shape, classes, where, description.

    ``train`` and ``test`` are the official parts; the digits have none, so all stand under ``train`` and ``test`` is 0.
    ``where`` is the folder that holds the files, or "not fetched"; their content is not read.

    >>> [row["name"] for row in list_datasets()]
    ['digits', 'fashion-mnist', 'mnist']
    """
    rows: list[dict[str, Any]] = [
        {
            "name": sources.DIGITS,
            "train": 1797,
            "test": 0,
            "shape": (1, 8, 8),
            "classes": 10,
            "where": "embedded in scikit-learn",
            "description": sources.DIGITS_DESCRIPTION,
        }
    ]
    for source in sources.SOURCES.values():
        folder = sources.locate(source, as_path(data_dir))
        rows.append(
            {
                "name": source.name,
                "train": source.train_labels.size - 8,
                "test": source.test_labels.size - 8,
                "shape": (1, 28, 28),
                "classes": len(source.class_names),
                "where": "not fetched" if folder is None else str(folder),
                "description": source.description,
            }
        )
    return sorted(rows, key=lambda row: str(row["name"]))


def fetch(
    name: str,
    data_dir: str | Path | None = None,
    offline: bool = False,
    progress: Progress | None = None,
    mirrors: Sequence[str] | None = None,
    retries: Retries | None = None,
) -> Path:
    """The folder that holds data set ``name``, whole and verified; what is missing is downloaded.

    Looked for in ``data_dir``/name, ``data_dir``, ``$VAELAB_DATA``/name and the user's cache, in this order;
    downloaded to ``data_dir``/name where ``data_dir`` is given, else to the cache. ``mirrors`` are base addresses
    instead of the known ones; ``$VAELAB_MIRROR``/name is tried before either. Nothing that exists is overwritten.
    Raises `UsageError` for an unknown name, `DataError` for damaged files, a failed download, or files that are missing
    while ``offline``.
    """
    check_name(name)
    if name == sources.DIGITS:
        return digits_folder()
    source = sources.SOURCES[name]
    folder = obtain(source, as_path(data_dir), offline, progress, mirrors, retries)
    for file in source.files:
        sources.read_verified(source, file, sources.file_path(folder, file))
    return folder


def obtain(
    source: Source,
    data_dir: Path | None,
    offline: bool = False,
    progress: Progress | None = None,
    mirrors: Sequence[str] | None = None,
    retries: Retries | None = None,
) -> Path:
    """As `fetch`, without verifying files that are there already, for a caller that verifies what it reads."""
    folder = sources.locate(source, data_dir)
    if folder is not None:
        return folder
    if offline:
        raise _not_here(source, data_dir)
    folder = sources.home(source.name, data_dir)
    for file in sources.missing_files(source, folder):
        download(
            [base.rstrip("/") + "/" + file.name for base in _bases(source, mirrors)],
            folder / file.name,
            verify=partial(sources.read_verified, source, file),
            max_bytes=file.size + 2**16,  # gzip adds next to nothing where it cannot compress
            progress=progress or no_progress,
            retries=retries,
        )
    return folder


def check(name: str, data_dir: str | Path | None = None) -> list[dict[str, Any]]:
    """One row a file of data set ``name``: path, ok, expected and actual SHA-256 of the content, problem.

    Of a missing or unreadable file ``actual`` is None; ``problem`` is a sentence, or None where all is well. Never
    downloads. Raises `UsageError` for an unknown name.

    >>> [row["ok"] for row in check("digits")]
    [True]
    """
    check_name(name)
    if name == sources.DIGITS:
        return [_check_digits()]
    source = sources.SOURCES[name]
    directory = as_path(data_dir)
    folder = sources.locate(source, directory) or _fullest(source, directory)
    return [_check_file(source, file, folder) for file in source.files]


def check_name(name: str) -> None:
    """Raise `UsageError`, naming the nearest ones, for an unknown data set."""
    if name not in sources.names():
        raise UsageError(f"unknown data set {name!r}; {nearest(name, sources.names())}")


def digits_folder() -> Path:
    """The folder inside scikit-learn that the digits come from."""
    import sklearn.datasets

    return Path(sklearn.datasets.__file__).parent / "data"


def as_path(folder: str | Path | None) -> Path | None:
    """``folder`` as a path, with ~ as the user's home."""
    return None if folder is None else Path(folder).expanduser()


def _bases(source: Source, mirrors: Sequence[str] | None) -> list[str]:
    preferred = os.environ.get("VAELAB_MIRROR")
    known = list(source.mirrors if mirrors is None else mirrors)
    return [f"{preferred.rstrip('/')}/{source.name}", *known] if preferred else known


def _not_here(source: Source, data_dir: Path | None) -> DataError:
    places = sources.places(source.name, data_dir)
    folder = _fullest(source, data_dir)
    missing = sources.missing_files(source, folder)
    found = "none"
    if len(missing) < len(source.files):
        found = f"{folder} without {', '.join(file.name for file in missing)}"
    return DataError(
        f"{source.name}: expected its {len(source.files)} files in {' or '.join(map(str, places))}, got {found}; "
        f"run `vaelab data fetch {source.name}`"
    )


def _fullest(source: Source, data_dir: Path | None) -> Path:
    """Of an incomplete data set, the folder that misses least; where nothing is, the one a download would go to."""
    candidates = [sources.home(source.name, data_dir), *sources.places(source.name, data_dir)]
    return min(candidates, key=lambda folder: len(sources.missing_files(source, folder)))


def _check_file(source: Source, file: SourceFile, folder: Path) -> dict[str, Any]:
    path = sources.file_path(folder, file)
    row = {"path": str(path), "ok": False, "expected": file.sha256, "actual": None}
    if not path.is_file():
        return row | {"problem": f"{path} is missing; run `vaelab data fetch {source.name}`"}
    try:
        content = read_content(path, file.rank, source.remedy)
    except DataError as error:
        return row | {"problem": str(error)}
    actual = hashlib.sha256(content).hexdigest()
    ok = actual == file.sha256
    problem = None if ok else f"{path} is not the published {file.name}; {source.remedy}"
    return row | {"ok": ok, "actual": actual, "problem": problem}


def _check_digits() -> dict[str, Any]:
    from sklearn.datasets import load_digits

    levels, labels = load_digits(return_X_y=True)
    content = levels.astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes()
    actual = hashlib.sha256(content).hexdigest()
    ok = actual == sources.DIGITS_SHA256
    return {
        "path": str(digits_folder() / "digits.csv.gz"),
        "ok": ok,
        "expected": sources.DIGITS_SHA256,
        "actual": actual,
        "problem": None if ok else "scikit-learn's digits are other ones than expected; install scikit-learn again",
    }
