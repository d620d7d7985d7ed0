"""The run folder: configuration, history, metrics, checkpoints and figures of one training run."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vaelab import __version__
from vaelab.documents import parse_json, read_bytes, read_document, to_json
from vaelab.errors import CheckpointError, UsageError, VaelabError
from vaelab.files import write_atomic
from vaelab.metrics import REMEDY as METRICS_REMEDY
from vaelab.metrics import Metric
from vaelab.overwriting import EarlierRun

if sys.platform != "win32":
    import fcntl

FORMAT = "vaelab-run"
VERSION = 1
ESTIMATOR = "scikit-learn"
"""In the place of a data set's name: the run is a scikit-learn estimator's, whose rows are not kept."""
Number = int | float
Cell = int | float | str
# Columns of words; every other column holds numbers.
TEXT_COLUMNS = frozenset({"split"})

_HEADER = ("format", "version", "vaelab")
# What overwriting replaces; other files in the folder stay. config.json last: what it describes moves before it.
_PARTS = ("checkpoints", "figures", "samples", "predictions", "anomaly", "history.csv", "metrics.json", "config.json")
# What may stand in a folder that holds no run yet: the lock, and what a kill while config.json was written left.
_LEFTOVER = re.compile(r"\.lock|\.config\.json\..*")


class RunFolder:
    """A run on disk; made by `create`, `begin` or `open`."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.config_path = self.path / "config.json"
        self.history_path = self.path / "history.csv"
        self.metrics_path = self.path / "metrics.json"
        self.checkpoints = self.path / "checkpoints"
        self.figures = self.path / "figures"
        self.samples = self.path / "samples"
        self._earlier = EarlierRun(self.path, _PARTS)

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any], *, overwrite: bool = False) -> RunFolder:
        """Make a run folder that holds only ``config.json``.

        With ``overwrite`` an earlier run in the folder is removed: ``checkpoints``, ``figures`` and ``samples`` whole,
        and the files named above; other files stay. Raises `UsageError` where the folder holds a run already, holds
        something else, or is a file; `CheckpointError` where ``config`` is no JSON; `VaelabError` where the place
        cannot be written or another process trains there.
        """
        with cls.begin(path, config, overwrite=overwrite) as folder:
            return folder

    @classmethod
    @contextmanager
    def begin(cls, path: Path, config: Mapping[str, Any], *, overwrite: bool = False) -> Iterator[RunFolder]:
        """`create`, for training within: the lock is held, and an overwritten run is kept aside.

        It is removed by `discard_earlier`, or at the end. Where what is within fails before, it is put back.
        """
        document = _config_document(config)
        folder = cls(path)
        if not folder._earlier.exists():
            folder._check_free(overwrite)
        with folder.lock():
            folder._recover()
            folder._check_free(overwrite)  # nobody else can have made a run here from now on
            try:
                folder._set_aside()
                write_atomic(folder.config_path, document)
                yield folder
                folder.discard_earlier()
            except BaseException:
                with suppress(OSError):  # then the next command puts it back
                    folder._earlier.put_back()
                raise

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run in ``path``; raises `CheckpointError` where it is missing, damaged, foreign, or too new."""
        folder = cls(path)
        if folder._earlier.exists():
            with suppress(VaelabError), folder.lock():  # of a training that was killed, not of one under way
                folder._recover()
        if not os.path.isdir(folder.path):
            what = "is a file" if os.path.exists(folder.path) else "does not exist"
            raise CheckpointError(f"expected a run folder, but {folder.path} {what}; give the --out of a training")
        if not os.path.lexists(folder.config_path):
            raise CheckpointError(
                f"{folder.path} is no run folder: it has no config.json; give the --out of a training"
            )
        folder.config()
        return folder

    def config(self) -> dict[str, Any]:
        """The configuration as `create` was given it (tuples have become lists); raises `CheckpointError`."""
        document = read_document(self.config_path, FORMAT, VERSION, "configuration of a run")
        return {key: value for key, value in document.items() if key not in _HEADER}

    def replace_config(self, config: Mapping[str, Any]) -> None:
        """Write another configuration for the same run (one made longer); raises `VaelabError` where it cannot be."""
        write_atomic(self.config_path, _config_document(config))

    def history(self) -> History:
        """Column → values of ``history.csv``; empty where there is none yet; raises `CheckpointError` where damaged."""
        return read_history(self.history_path)

    def metrics(self) -> dict[str, Metric]:
        """Name → number of ``metrics.json``; empty where there is none yet; raises `CheckpointError` where damaged."""
        entries = self._metric_entries()
        return {name: Metric.from_json(entry, f"{self.metrics_path}, {name}") for name, entry in entries.items()}

    def write_metrics(self, metrics: Mapping[str, Metric]) -> None:
        """Add ``metrics`` to those there, replacing equal names; raises `VaelabError` where that cannot be written."""
        entries = self._metric_entries() | {name: metric.to_json() for name, metric in metrics.items()}
        write_atomic(self.metrics_path, to_json(entries, "the metrics"))

    def forget_metrics(self) -> None:
        """Remove ``metrics.json``, because its numbers are of weights that are to change."""
        try:
            self.metrics_path.unlink(missing_ok=True)
        except OSError as error:
            raise VaelabError(f"cannot remove {self.metrics_path}: {error.strerror or error}; remove it") from error

    def _metric_entries(self) -> dict[str, Any]:
        if not os.path.lexists(self.metrics_path):
            return {}
        return parse_json(self.metrics_path, read_bytes(self.metrics_path), "file of metrics", METRICS_REMEDY)

    def discard_earlier(self) -> None:
        """Remove the run that was overwritten, where it is still kept; raises `VaelabError` where it cannot be."""
        with self._replacing():
            self._earlier.discard()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from training into this folder; the system lets go of it even at a SIGKILL.

        Raises `VaelabError` where another process holds it or the folder cannot be written. Does nothing on Windows and
        on file systems that know no locks.
        """
        handle = self._open_lock()
        try:
            if sys.platform != "win32":
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise VaelabError(
                        f"another process is training into {self.path}; wait for it or choose another --out"
                    ) from error
                except OSError:
                    pass  # a file system without locks
            yield
        finally:
            os.close(handle)

    def _open_lock(self) -> int:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            reason = error.strerror or error
            raise VaelabError(f"cannot write into {self.path}: {reason}; choose another --out") from error

    def _check_free(self, overwrite: bool) -> None:
        if not os.path.lexists(self.path):
            return
        if not os.path.isdir(self.path):
            raise UsageError(f"expected a folder for the run, but {self.path} is a file; choose another --out")
        if os.path.lexists(self.config_path):
            # A damaged or foreign config.json is refused even with overwrite: it may be anything.
            if overwrite:
                self.config()
                return
            raise UsageError(f"{self.path} already holds a run; choose another --out or use --resume")
        try:
            others = sorted(name for name in os.listdir(self.path) if not _LEFTOVER.fullmatch(name))
        except OSError as error:
            raise UsageError(f"cannot read {self.path}: {error.strerror or error}; choose another --out") from error
        if others:
            raise UsageError(f"{self.path} is no run folder and is not empty ({others[0]}); choose another --out")

    def _set_aside(self) -> None:
        """Move an earlier run out of the way, and remove what a kill left."""
        with self._replacing():
            if os.path.lexists(self.config_path):
                self._earlier.set_aside()
            for name in os.listdir(self.path):
                if name != ".lock" and _LEFTOVER.fullmatch(name):
                    (self.path / name).unlink()

    def _recover(self) -> None:
        """Finish what a kill interrupted while a run was overwritten: the earlier one is back."""
        with self._replacing():
            self._earlier.put_back()

    @contextmanager
    def _replacing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise VaelabError(
                f"cannot replace the earlier run in {self.path}: {reason}; choose another --out"
            ) from error


def _config_document(config: Mapping[str, Any]) -> bytes:
    """``config.json``; raises `CheckpointError` where ``config`` is no JSON."""
    if clash := set(_HEADER) & config.keys():
        raise ValueError(f"a configuration cannot hold {', '.join(sorted(clash))}: config.json starts with it")
    header = {"format": FORMAT, "version": VERSION, "vaelab": __version__}
    return to_json({**header, **config}, "the configuration")


class History(dict[str, list[Cell]]):
    """Column → values, one a row; a column that is not there is empty, a cell left empty is NaN."""

    def __missing__(self, column: str) -> list[Cell]:
        return []

    def where(self, **values: Cell) -> History:
        """The rows that hold ``values``.

        >>> History(split=["train", "test"], loss=[3.0, 4.0]).where(split="test")["loss"]
        [4.0]
        """
        count = max((len(column) for column in self.values()), default=0)
        keep = [i for i in range(count) if all(self[name][i : i + 1] == [value] for name, value in values.items())]
        return History({name: [column[i] for i in keep] for name, column in self.items()})


def read_history(path: Path) -> History:
    """Read a ``history.csv``; a last line that a kill tore is left out.

    Raises `CheckpointError` where a row has another number of cells than the header, or a word stands for a number.
    """
    if not os.path.lexists(path):
        return History()
    whole, end, _ = read_bytes(path).rpartition(b"\n")
    try:
        rows = list(csv.reader(io.StringIO((whole + end).decode("utf-8", errors="replace")), strict=True))
    except csv.Error as error:
        raise CheckpointError(f"{path} is damaged ({error}); restore the file from a copy") from error
    if not rows:
        return History()
    columns, history = rows[0], History({column: [] for column in rows[0]})
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(columns):
            raise CheckpointError(
                f"{path}, line {line}: expected {len(columns)} cells, got {len(row)}; restore the file from a copy"
            )
        for column, text in zip(columns, row, strict=True):
            try:
                history[column].append(_read_cell(column, text))
            except ValueError as error:
                raise CheckpointError(
                    f"{path}, line {line}, {column}: expected a number, got {text!r}; restore the file from a copy"
                ) from error
    return history


class HistoryWriter:
    """Appends rows to ``history.csv``; what `flush` has returned is on the disk.

    Making one starts the file anew with the header; `resume` continues one. The bytes depend on the rows alone. Raises
    `VaelabError` where the disk is full or read-only; the file then ends with the last row flushed.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._begin(path, columns)
        header = _line(self.columns)
        write_atomic(self.path, header)
        self._size = len(header)

    def _begin(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = Path(path), tuple(columns)
        self._pending = bytearray()

    @classmethod
    def resume(cls, path: Path, columns: Sequence[str], size: int) -> HistoryWriter:
        """Continue the file at ``size``, which a `flush` returned, forgetting the rows that follow.

        Raises `CheckpointError` where the file is missing, shorter, of other columns, or has no line that ends there.
        """
        writer = cls.__new__(cls)
        writer._begin(path, columns)
        content = read_bytes(writer.path)
        header, remedy = _line(writer.columns), "restore it from a copy or train again"
        if len(content) < size:
            raise CheckpointError(f"{path}: expected {size} bytes or more, got {len(content)}; {remedy}")
        if not content.startswith(header) or size < len(header):
            raise CheckpointError(f"{path}: expected the columns {', '.join(writer.columns)}; {remedy}")
        if content[size - 1 : size] != b"\n":
            raise CheckpointError(f"{path}: expected a line to end at byte {size}, as when it was saved; {remedy}")
        writer._size = size
        writer._append(b"")
        return writer

    def append(self, row: Mapping[str, Cell | None]) -> None:
        """Add a row, in memory; a column left out or ``None`` is an empty cell; `ValueError` for an unknown column."""
        if unknown := [name for name in row if name not in self.columns]:
            raise ValueError(f"expected the columns {', '.join(self.columns)}, got {', '.join(unknown)}")
        self._pending += _line([_write_cell(name, row.get(name)) for name in self.columns])

    def flush(self) -> int:
        """Write what was appended and wait until it is on the disk; returns the file's size in bytes."""
        if self._pending:
            self._append(bytes(self._pending))
            self._pending.clear()
        return self._size

    def _append(self, data: bytes) -> None:
        """Make the file its first ``_size`` bytes and ``data``."""
        try:
            with open(self.path, "r+b", buffering=0) as stream:
                if os.fstat(stream.fileno()).st_size < self._size:
                    raise VaelabError(
                        f"{self.path} became shorter while it was written; let only one process train there"
                    )
                stream.truncate(self._size)
                stream.seek(self._size)
                view = memoryview(data)
                while view:
                    view = view[stream.write(view) :]
                os.fsync(stream.fileno())
        except OSError as error:
            with suppress(OSError):
                os.truncate(self.path, self._size)
            reason = error.strerror or error
            raise VaelabError(f"cannot write {self.path}: {reason}; free space or choose another place") from error
        self._size += len(data)


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8")


def _write_cell(column: str, value: Cell | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str) != (column in TEXT_COLUMNS) or (isinstance(value, str) and not value.isprintable()):
        expected = "one line of text" if column in TEXT_COLUMNS else "a number"
        raise ValueError(f"column {column}: expected {expected}, got {value!r}")
    if isinstance(value, str):
        return value
    return str(int(value)) if isinstance(value, int) else repr(float(value))


def _read_cell(column: str, text: str) -> Cell:
    if column in TEXT_COLUMNS:
        return text
    if not text:
        return float("nan")
    try:
        return int(text)
    except ValueError:
        return float(text)
