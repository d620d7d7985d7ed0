"""How far a study is, on standard error: steps, and the time left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from vaelab.cli import console

if TYPE_CHECKING:
    from rich.progress import TaskID

    from vaelab.studies.study import Step, Study

MINUTE, HOUR = 60, 3600


class StudyWatch:
    """A bar for the study and one for each running step on a terminal; elsewhere a line for each finished step.

    ``later``: seconds that the studies after this one are reckoned to take.
    """

    def __init__(self, quiet: bool = False) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self.quiet, self.later, self.jobs, self.number = quiet, 0.0, 1, ""
        screen = console.stderr()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}", style="dim"),
            console=screen,
            transient=True,
            disable=quiet or not screen.is_terminal,
        )
        self.begun = time.monotonic()
        self.tasks: dict[str, TaskID] = {}
        self.shares: dict[str, float] = {}
        self.costs: dict[str, float] = {}
        self.done, self.steps, self.done_cost = 0, 0, 0.0
        self.whole: TaskID | None = None

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def plan(self, study: Study, steps: Sequence[Step], missing: Sequence[Step]) -> None:
        """See `Watch`."""
        self.costs = {step.name: step.cost for step in missing}
        self.shares, self.steps = {}, len(steps)
        self.done = len(steps) - len(missing)
        reused = f", {self.done} of them done before" if self.done else ""
        self._print(f"{self.number}{study.name}: {len(steps)} steps{reused}")
        for task in (*self.tasks.values(), *([] if self.whole is None else [self.whole])):
            self.progress.remove_task(task)
        self.tasks = {}
        self.whole = self.progress.add_task(study.name, total=max(1.0, sum(self.costs.values())), left="")

    def begin(self, step: Step) -> None:
        """See `Watch`."""
        self.shares[step.name] = 0.0
        self.tasks[step.name] = self.progress.add_task(f"  {step.title}", total=1.0, left="")

    def share(self, step: Step, share: float) -> None:
        """See `Watch`."""
        self.shares[step.name] = share
        self.progress.update(self.tasks[step.name], completed=share)
        self._update()

    def end(self, step: Step, seconds: float) -> None:
        """See `Watch`."""
        self.shares[step.name] = 1.0
        self.progress.remove_task(self.tasks.pop(step.name))
        self._update()
        self.done += 1  # not by the shares: a training's is 1 before it is evaluated
        left = self.left()
        ending = f", {left} left" if left and self.done < self.steps else ""
        self._print(f"[{self.done}/{self.steps}] {step.title}: {duration(seconds)}{ending}")

    def left(self) -> str:
        """About how long the rest takes, from how fast what was done so far went; nothing while too little was."""
        done = self.done_cost + sum(self.costs[name] * share for name, share in self.shares.items())
        spent = time.monotonic() - self.begun
        if done <= 0 or spent < 5:
            return ""
        rest = sum(self.costs.values()) - (done - self.done_cost) + self.later
        return f"about {duration(spent / done * rest)}"

    def next_study(self, later: float) -> None:
        """What was done so far still tells how fast it goes."""
        self.done_cost += sum(self.costs[name] for name in self.shares)
        self.costs, self.shares, self.later = {}, {}, later

    def _update(self) -> None:
        if self.whole is not None:
            done = sum(self.costs[name] * share for name, share in self.shares.items())
            left = self.left()
            self.progress.update(self.whole, completed=done, left=f"{left} left" if left else "")

    def _print(self, text: str) -> None:
        if not self.quiet:
            self.progress.console.print(text, highlight=False, markup=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``1 h 05 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{int(seconds // HOUR)} h {int(seconds % HOUR // MINUTE):02d} min"
