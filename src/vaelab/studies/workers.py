"""Processes that do steps of a study side by side, each with its share of the processors."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from vaelab.errors import Interrupted, VaelabError, out_of_memory
from vaelab.run import DataAccess
from vaelab.signals import stop_signals
from vaelab.studies.settings import Settings
from vaelab.studies.store import Store
from vaelab.studies.study import Step
from vaelab.studies.working import do_step

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from vaelab.studies.running import Plan, Watch

PATIENCE = 60.0
"""Seconds that a stopped worker has to save what it does."""


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    step: Step | None = None


class Workers:
    """``count`` processes, for the time of a ``with``."""

    def __init__(self, count: int, study: str, settings: Settings, path: Path, access: DataAccess) -> None:
        self.count, self.study, self.settings, self.path = count, study, settings, path
        self.access = DataAccess(access.folder, offline=True)  # the data is there: the parent has read it
        self.workers: list[_Worker] = []

    def __enter__(self) -> Self:
        from vaelab.studies.running import processors

        each = max(1, processors() // self.count)
        spawn = multiprocessing.get_context("spawn")
        with _environment({"OMP_NUM_THREADS": str(each)}):
            for _ in range(self.count):
                here, there = spawn.Pipe()
                process = spawn.Process(
                    target=work, args=(there, self.study, self.settings, self.path, self.access, each)
                )
                process.start()
                there.close()
                self.workers.append(_Worker(process, here))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.pipe.close()
        for worker in self.workers:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def run(self, plan: Plan, watch: Watch) -> None:
        """All that is missing. `Interrupted` after a signal, or what the first failed step has to say."""
        with stop_signals() as stop:
            while plan:
                self._start(plan, watch)
                for worker, message in self._messages():
                    self._hear(worker, message, plan, watch)
                if number := stop():
                    self._stop(number)
                    running = next(iter(plan.running.values()), None)
                    where = f"stopped in the step {running.name}" if running else "stopped"
                    raise Interrupted(f"{where}; what is finished is kept: run the same command again to go on", number)

    def _start(self, plan: Plan, watch: Watch) -> None:
        for worker in self.workers:
            ready = plan.ready() if worker.step is None else []
            if ready:
                worker.step = ready[0]
                plan.start(worker.step)
                worker.pipe.send((worker.step.name, plan.key[worker.step.name], self.count))
                watch.begin(worker.step)

    def _messages(self) -> Iterator[tuple[_Worker, tuple[Any, ...]]]:
        pipes = {worker.pipe: worker for worker in self.workers}
        for pipe in wait(list(pipes), timeout=0.2):
            assert isinstance(pipe, Connection)
            worker = pipes[pipe]
            try:
                yield worker, pipe.recv()
            except (EOFError, OSError):
                worker.process.join(1)
                yield worker, ("died", worker.process.exitcode)

    def _hear(self, worker: _Worker, message: tuple[Any, ...], plan: Plan, watch: Watch) -> None:
        step, (kind, *rest) = worker.step, message
        name = "no step" if step is None else step.name
        if kind == "died":
            self._stop(signal.SIGTERM)
            raise VaelabError(
                f"the process of the step {name} ended with exit code {rest[0]}, perhaps for lack of memory; "
                "what is finished is kept: run the same command again, with --jobs 1"
            )
        if kind == "failed":
            code, sentence = rest
            error = VaelabError(f"in the step {name}: {sentence}")
            error.exit_code = code
            self._stop(signal.SIGTERM)
            raise error
        assert step is not None
        if kind == "share":
            watch.share(step, rest[0])
        else:
            worker.step = None
            plan.finish(step)
            watch.end(step, rest[0])

    def _stop(self, number: int) -> None:
        """Pass a signal on and wait until what was trained is saved."""
        busy = [worker for worker in self.workers if worker.step is not None and worker.process.is_alive()]
        for worker in busy:
            with suppress(ProcessLookupError):
                os.kill(worker.process.pid or 0, number)
        end = time.monotonic() + PATIENCE
        for worker in busy:
            with suppress(EOFError, OSError):
                while worker.pipe.poll(max(0.0, end - time.monotonic())):
                    if worker.pipe.recv()[0] != "share":
                        break


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    """Within: environment variables, for processes that are started; one the user has set stays."""
    before = {name: os.environ.get(name) for name in changes}
    for name, value in changes.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        for name, earlier in before.items():
            if earlier is None:
                os.environ.pop(name, None)


def work(pipe: Connection, name: str, settings: Settings, path: Path, access: DataAccess, threads: int) -> None:
    """What a worker does: one step after another, until nobody sends any more."""
    import torch

    from vaelab.studies import get

    _alone()
    torch.set_num_threads(threads)
    study = get(name)
    store = Store(path)
    steps = {step.name: step for step in study.steps(settings)}
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            step, key, jobs = pipe.recv()
            pipe.send(_done(steps[step], key, settings, store, access, pipe, jobs))


def _done(
    step: Step, key: str, settings: Settings, store: Store, access: DataAccess, pipe: Connection, jobs: int
) -> tuple[Any, ...]:
    """The answer to the parent; nothing but plain values, so that no exception has to be sent."""
    last = 0.0

    def tell(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > 0.2:
            last = time.monotonic()
            pipe.send(("share", share))

    try:
        return "done", do_step(step, key, settings, store, access=access, advance=tell, jobs=jobs)
    except VaelabError as error:
        return "failed", error.exit_code, str(error)
    except KeyboardInterrupt:
        return "failed", 130, "stopped"
    except OSError as error:
        return "failed", 1, f"{error.filename or ''} {error.strerror or error}".strip()
    except Exception as error:
        if out_of_memory(error):
            return "failed", 1, "the memory is full; run the same command again with --jobs 1"
        import traceback

        where = traceback.extract_tb(error.__traceback__)[-1]
        return "failed", 1, f"this should not have happened: {type(error).__name__}: {error} ({where.name})"


def _alone() -> None:
    """Signals of the terminal go to the parent, which passes them on once; its death ends this process, too."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(PATIENCE)
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
