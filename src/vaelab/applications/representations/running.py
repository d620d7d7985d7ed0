"""Many cells, over the cores of a machine, each handed on as soon as it is done."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from vaelab.applications.representations.cells import Cell, Problem, Result, measure
from vaelab.errors import UsageError, VaelabError

PARTS = 1000
"""The work is so many parts to whoever shows how far it is."""

_POLL = 0.2  # seconds between looks at the stop flag


def run_cells(
    problem: Problem,
    cells: Iterable[Cell],
    done: Callable[[Cell, Result], None],
    *,
    jobs: int = 1,
    stop: Callable[[], int] = lambda: 0,
    advance: Callable[[int], None] = lambda parts: None,
) -> bool:
    """Measure every cell, those that take longest first; whether all are done.

    ``done(cell, result)`` is called in this process as soon as a cell is. ``jobs`` ≥ 1: processes, each with one
    thread; 1: no other process is started. A result does not depend on it. ``stop()`` is asked again and again (between
    two cells where ``jobs`` is 1); once it is not 0, running cells are given up. ``advance(n)``: n more of 1,000 parts
    of the time are over, by what cells cost as a rule and have cost so far. Raises `UsageError` for ``jobs`` below 1,
    `VaelabError` where the system ends a worker, and what `measure` raises.
    """
    if jobs < 1:
        raise UsageError(f"expected jobs ≥ 1, got {jobs}")
    ordered = sorted(cells, key=lambda cell: (-problem.cost(cell), cell))
    pace = _Pace([problem.cost(cell) for cell in ordered], advance)
    results = _in_turn(problem, ordered) if min(jobs, len(ordered)) <= 1 else _at_once(problem, ordered, jobs, pace)
    with _closing(results):
        for cell, result in results:
            if cell is not None and result is not None:
                done(cell, result)
                pace.finished(problem.cost(cell))
            if pace.left and stop():
                return False
    return True


Found = tuple[Cell | None, Result | None]
"""None twice where nothing is done yet."""


@contextmanager
def _closing(results: Iterator[Found]) -> Iterator[None]:
    """Close the generator, whose workers must not outlive it."""
    try:
        yield
    finally:
        results.close()  # type: ignore[attr-defined]


def _in_turn(problem: Problem, cells: list[Cell]) -> Iterator[Found]:
    from threadpoolctl import threadpool_limits

    yield None, None
    for cell in cells:
        with threadpool_limits(1):
            result = measure(problem, cell)
        yield cell, result


def _at_once(problem: Problem, cells: list[Cell], jobs: int, pace: _Pace) -> Iterator[Found]:
    """Fresh processes: a fork of one with threads can hang."""
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(cells)), context, _prepare_worker, (problem,))
    try:
        with _environment_of_workers():
            running: dict[Future[Result], Cell] = {pool.submit(_work, cell): cell for cell in cells}
        while running:
            finished, _ = wait(running, timeout=_POLL, return_when=FIRST_COMPLETED)
            for future in finished:
                yield running.pop(future), future.result()
            pace.tick()
            yield None, None
        before |= set(multiprocessing.active_children())  # they end by themselves
    except BrokenProcessPool as error:
        raise VaelabError(
            "a worker was ended by the system, perhaps because the memory is full; run again with a smaller --jobs"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()


@contextmanager
def _environment_of_workers() -> Iterator[None]:
    """One thread for each worker's linear algebra, which reads this when it is loaded; Ctrl-C is for this process."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    earlier = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    masking = hasattr(signal, "pthread_sigmask")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masking else set()
    try:
        yield
    finally:
        if masking:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name, value in earlier.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_problem: Problem | None = None


def _prepare_worker(problem: Problem) -> None:
    global _problem  # noqa: PLW0603 - sent once to each worker, not with each cell
    _problem = problem
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed cannot end its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(cell: Cell) -> Result:
    from threadpoolctl import threadpool_limits

    assert _problem is not None
    with threadpool_limits(1):
        return measure(_problem, cell)


class _Pace:
    """Turns expected costs into parts of the whole time, corrected by how long the finished cells took."""

    def __init__(self, costs: list[float], advance: Callable[[int], None]) -> None:
        self.left, self.total, self.advance = sum(costs), sum(costs), advance
        self.cells, self.start, self.last, self.shown = len(costs), time.monotonic(), time.monotonic(), 0

    def finished(self, cost: float) -> None:
        """A cell of this cost is done."""
        self.cells -= 1
        self.left = self.left - cost if self.cells else 0.0
        self.last = time.monotonic()
        self.tick()

    def tick(self) -> None:
        """Show the parts that are over; nothing before the first cell has shown how fast this machine is."""
        now, over = time.monotonic(), self.total - self.left
        if not over:
            return
        expected = self.left * (self.last - self.start) / over
        ahead = max(expected - (now - self.last), 0.5 * expected)
        share = 1.0 if not self.left else (now - self.start) / (now - self.start + ahead)
        parts = int(PARTS * share)
        if parts > self.shown:
            self.advance(parts - self.shown)
            self.shown = parts
