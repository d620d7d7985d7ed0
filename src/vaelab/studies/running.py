"""All steps of a study in order, one after another or several at a time; what is already there is reused."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from vaelab import __version__
from vaelab.config import DataConfig, RunConfig
from vaelab.data.images import Splits
from vaelab.devices import threads
from vaelab.errors import DataError, Interrupted, UsageError
from vaelab.run import DataAccess, fingerprint
from vaelab.studies.settings import EVERY, Settings
from vaelab.studies.store import Store
from vaelab.studies.study import Measure, Step, Study, Train
from vaelab.studies.workers import Workers
from vaelab.studies.working import do_step, is_done, keys

LIBRARIES = ("torch", "numpy", "scikit-learn", "matplotlib")


class Watch(Protocol):
    """Who shows how far a study is."""

    def plan(self, study: Study, steps: Sequence[Step], missing: Sequence[Step]) -> None:
        """Before the first step."""

    def begin(self, step: Step) -> None:
        """A step has been started."""

    def share(self, step: Step, share: float) -> None:
        """So much of it is done, 0 to 1."""

    def end(self, step: Step, seconds: float) -> None:
        """A step is done."""


class NoWatch:
    """Shows nothing."""

    def plan(self, study: Study, steps: Sequence[Step], missing: Sequence[Step]) -> None:
        """See `Watch`."""

    def begin(self, step: Step) -> None:
        """See `Watch`."""

    def share(self, step: Step, share: float) -> None:
        """See `Watch`."""

    def end(self, step: Step, seconds: float) -> None:
        """See `Watch`."""


@dataclass
class Plan:
    """The steps that are missing, with what each waits for. The longest way to the end goes first."""

    steps: Sequence[Step]
    missing: dict[str, Step]
    key: Mapping[str, str]
    running: dict[str, Step] = field(default_factory=dict)

    def ready(self) -> list[Step]:
        """What can be started now, the most urgent first; one that wants all processors only when nothing runs."""
        if any(isinstance(step, Measure) and step.alone for step in self.running.values()):
            return []
        waiting = {**self.missing, **self.running}
        found = [step for step in self.missing.values() if not any(name in waiting for name in step.needs)]
        together = [step for step in found if not (isinstance(step, Measure) and step.alone)]
        if together:
            return sorted(together, key=lambda step: -self._way(step))
        return [] if self.running else found[:1]

    def _way(self, step: Step) -> float:
        """Seconds from the start of the step to the end of all that needs it."""
        after = [self._way(later) for later in self.missing.values() if step.name in later.needs]
        return step.cost + max(after, default=0.0)

    def start(self, step: Step) -> None:
        """It runs."""
        self.running[step.name] = self.missing.pop(step.name)

    def finish(self, step: Step) -> None:
        """It is done."""
        del self.running[step.name]

    def __bool__(self) -> bool:
        return bool(self.missing or self.running)


def run_study(
    study: Study,
    settings: Settings,
    out: str | Path,
    *,
    jobs: int | None = None,
    access: DataAccess | None = None,
    watch: Watch | None = None,
    command: Sequence[str] = (),
) -> Store:
    """Do what is missing of ``study`` in the folder ``out``; every step's results are then there.

    ``jobs``: steps at a time (None: one for each processor, at most 4; one at a time on a GPU and with quick settings).
    ``command``: the words that asked for it, kept for the report.
    Raises `UsageError` for settings that do not fit, `DataError` for data without labels, `Interrupted` (exit code 130
    or 143) on SIGINT or SIGTERM: what is finished is kept, a training is saved, and the same call goes on.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"expected --jobs ≥ 1, got {jobs}")
    access, watch = access or DataAccess(), watch or NoWatch()
    store = Store.open(Path(out), study.name)
    steps = study.steps(settings)
    check_changes(settings, models_of(steps))
    plan = make_plan(steps, settings, store, access)
    made = {"command": list(command), "versions": versions()}
    store.write_document(study.name, {**document(settings), **made})
    watch.plan(study, steps, list(plan.missing.values()))
    count = min(jobs or default_jobs(settings), max(1, len(plan.missing)))
    if count == 1:
        # Models as small as the quick ones lose by a second thread, most where others want the processors, too.
        with threads(1 if settings.quick else None):
            _one_by_one(plan, settings, store, access, watch, jobs or 1)
    else:
        with Workers(count, study.name, settings, store.path, access) as workers:
            workers.run(plan, watch)
    return store


def make_plan(steps: Sequence[Step], settings: Settings, store: Store, access: DataAccess) -> Plan:
    """What is missing in the folder."""
    key = keys(steps, settings, _fingerprints(steps, settings, store, access))
    missing: dict[str, Step] = {}
    for step in steps:
        assert all(name in key for name in step.needs), f"{step.name} needs a step that does not come before it"
        if any(name in missing for name in step.needs) or not is_done(step, key[step.name], store):
            missing[step.name] = step
    return Plan(steps, missing, key)


def models_of(steps: Sequence[Step]) -> list[str]:
    """The names of the models that a study trains."""
    return [step.name for step in steps if isinstance(step, Train)]


def check_changes(settings: Settings, models: Sequence[str]) -> None:
    """`UsageError` where a model is to be changed that is none of ``models``."""
    for name in settings.changes:
        if name != EVERY and name not in models:
            raise UsageError(
                f"the study has no model {name!r} to change; known: {EVERY}, {', '.join(dict.fromkeys(models))}"
            )


def document(settings: Settings) -> dict[str, object]:
    """The settings as ``study.json`` keeps them."""
    return {
        "data": settings.data,
        "other": settings.other,
        "seed": settings.seed,
        "quick": settings.quick,
        "values": dict(settings.values),
        "changes": {name: {k: dict(v) for k, v in change.items()} for name, change in settings.changes.items()},
    }


def versions() -> dict[str, str]:
    """What makes the results, with which versions."""
    found = {"vaelab": __version__, "Python": platform.python_version()}
    found |= {name: version(name) for name in LIBRARIES}
    return {**found, "machine": f"{platform.system()} {platform.machine()}"}


def default_jobs(settings: Settings) -> int:
    """Steps at a time: small models gain more from a processor each than from several threads."""
    import torch

    if settings.quick or settings.device not in ("auto", "cpu") or torch.cuda.is_available():
        return 1
    return max(1, min(4, processors()))


def processors() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _fingerprints(steps: Sequence[Step], settings: Settings, store: Store, access: DataAccess) -> dict[str, str]:
    """Data set → digest of its images and labels; data that a step makes is left to that step's hash.

    All of it is read here, so that what is missing or does not fit is said before the first step.
    """
    found: dict[str, str] = {}
    read: set[DataConfig] = set()
    for step in steps:
        data = step.config.data if isinstance(step, Train) else _measured(step)
        if data is None or store.holds(data.name):
            continue
        data = DataConfig(name=data.name, image_size=data.image_size, validation=data.validation, test=data.test)
        if data in read:
            continue
        read.add(data)  # each way of splitting: what cannot be split is said before the first step
        splits = access.load(RunConfig(data=data))
        if splits.train.labels is None or splits.train.classes < 2:
            raise DataError(f"expected images with labels of at least 2 classes for a study, but {data.name} has none")
        found.setdefault(data.name, fingerprint(splits))
    for step in steps:
        against = str(step.options.get("against", "")) if isinstance(step, Measure) else ""
        if against and against not in found and not store.holds(against):
            unseen = access.load_unseen(against, None)  # its labels are not needed
            found[against] = fingerprint(Splits(unseen, None, unseen))
    return found


def _measured(step: Measure) -> DataConfig | None:
    """The data that a measurement reads by itself."""
    if "data" not in step.options:
        return None
    return DataConfig(name=step.options["data"], validation=step.options.get("validation", 0.0))


def _one_by_one(plan: Plan, settings: Settings, store: Store, access: DataAccess, watch: Watch, jobs: int) -> None:
    """In this process; what wants all processors gets them."""
    while plan:
        step = plan.ready()[0]
        plan.start(step)
        watch.begin(step)

        def tell(share: float, step: Step = step) -> None:
            watch.share(step, share)

        try:
            seconds = do_step(step, plan.key[step.name], settings, store, access=access, advance=tell, jobs=jobs)
        except (KeyboardInterrupt, Interrupted) as error:
            raise Interrupted(stopped(step), error.exit_code - 128 if isinstance(error, Interrupted) else 2) from error
        plan.finish(step)
        watch.end(step, seconds)


def stopped(step: Step) -> str:
    """What is said to who stops a study."""
    return f"stopped in the step {step.name}; what is finished is kept: run the same command again to go on"
