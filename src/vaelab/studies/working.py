"""One step of a study, done where it is called: trained or measured, reused where it is already there."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from vaelab import workflows
from vaelab.checkpoint import VERSION as CHECKPOINT
from vaelab.checkpoint import has_checkpoint
from vaelab.data.progress import Progress
from vaelab.errors import VaelabError
from vaelab.run import DataAccess
from vaelab.studies.context import Context
from vaelab.studies.settings import Settings
from vaelab.studies.store import Record, Store, digest
from vaelab.studies.study import Step, Train
from vaelab.training import Callback, Row, Training

Advance = Callable[[float], None]
"""Called with the share of a step that is done, 0 to 1."""


def keys(steps: Sequence[Step], settings: Settings, prints: Mapping[str, str]) -> dict[str, str]:
    """Step → hash of all that decides what comes out of it, the steps it needs among them.

    ``prints``: fingerprints of the data sets by name. The device is left out: a result does not become another's.
    """
    found: dict[str, str] = {}
    for step in steps:
        needs = {name: found[name] for name in step.needs}
        if isinstance(step, Train):
            config = workflows.resolve(step.config, {}).to_dict()
            config["training"].pop("device")
            what: Any = [config, prints.get(step.config.data.name, ""), step.importance_samples, CHECKPOINT]
        else:
            what = [step.options, step.version, settings.seed, sorted(prints.items())]
        found[step.name] = digest([step.name, what, needs])
    return found


def is_done(step: Step, key: str, store: Store) -> bool:
    """Whether what is in the folder is what the step would give."""
    record = store.record(step.name)
    if record is None or not record.done or record.key != key:
        return False
    if not all((store.path / file).is_file() for file in record.files):
        return False
    return not isinstance(step, Train) or has_checkpoint(store.run_path(step.name) / "checkpoints", "last")


def do_step(
    step: Step,
    key: str,
    settings: Settings,
    store: Store,
    *,
    access: DataAccess | None = None,
    advance: Advance = lambda share: None,
    jobs: int = 1,
) -> float:
    """Do a step and keep what came out; the seconds it took. An interrupted training of the same key goes on."""
    access = access or DataAccess()
    before = store.record(step.name)
    values: Mapping[str, Any]
    same = before is not None and before.key == key
    spent = before.seconds if same and before is not None and not before.done else 0.0
    begin = time.monotonic()
    files: Sequence[str] = ()

    def keep(done: bool, values: Mapping[str, Any]) -> float:
        seconds = spent + time.monotonic() - begin
        store.write_record(step.name, Record(key, done, seconds, values, files))
        return seconds

    keep(False, {})
    try:
        if isinstance(step, Train):
            values = _train(step, store, access, advance, goes_on=same)
        else:
            ctx = Context(step, settings, store, access, _shares(advance), jobs)
            since = time.time_ns() - 100_000_000  # clocks of files are coarse
            values = step.function(ctx)
            files = _written(ctx, since)
    except VaelabError:
        keep(False, {})  # the time it took counts
        raise
    return keep(True, values)


def _written(ctx: Context, since: int) -> list[str]:
    """The step's files, and the figures that it drew into the folders of runs (``since``: nanoseconds)."""
    folders = [ctx.store.run_path(name) / "figures" for name in ctx.step.needs]
    drawn = [file for folder in folders for file in folder.glob("*.png") if file.stat().st_mtime_ns >= since]
    return sorted({file.relative_to(ctx.store.path).as_posix() for file in [*ctx.files, *drawn]})


def _train(step: Train, store: Store, access: DataAccess, advance: Advance, *, goes_on: bool) -> dict[str, Any]:
    path = store.run_path(step.name)
    callbacks = [_Share(advance)]
    if goes_on and has_checkpoint(path / "checkpoints", "last"):
        device = step.config.training.device
        run = workflows.resume(path, access=access, device=device, callbacks=callbacks)
    else:
        if path.exists() and not (path / "config.json").exists():
            shutil.rmtree(path)  # of a training that was killed before its first file
        run = workflows.train(step.config, out=path, access=access, callbacks=callbacks, overwrite=path.exists())
    metrics = run.evaluate(importance_samples=step.importance_samples)
    return {**metrics, "diagnosis": run.diagnose() if run.model.kind == "vae" else []}


class _Share(Callback):
    """Tells how much of a training is done."""

    def __init__(self, advance: Advance) -> None:
        self.advance = advance

    def on_steps(self, training: Training, row: Row) -> None:
        """See `Callback`."""
        self.advance(training.progress.step / max(1, training.steps))

    def on_epoch(self, training: Training, rows: list[Row]) -> None:
        """See `Callback`."""
        self.advance(training.progress.step / max(1, training.steps))


def _shares(advance: Advance) -> Progress:
    """A `Progress` that tells the share of the step; it may have several parts, one after another."""
    parts = 0

    @contextmanager
    def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
        nonlocal parts
        left, done = 0.5**parts, 0  # nobody knows how many parts come; each takes half of what is left
        parts += 1

        def add(count: int) -> None:
            nonlocal done
            done += count
            advance(1 - left * (1 - 0.5 * min(1.0, done / max(1, total))))

        yield add

    return progress
