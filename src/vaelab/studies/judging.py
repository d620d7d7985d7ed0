"""A measurement of any study: a classifier of real images, which says what a model's images show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vaelab.applications.judge import Judge, judge_quality, train_judge
from vaelab.config import RunConfig
from vaelab.data.progress import increments
from vaelab.devices import choose_device
from vaelab.studies.context import Context
from vaelab.studies.study import Measure

NAME = "weights"


def judge_step(data: str, steps: int, name: str = "judge") -> Measure:
    """Train a judge for ``steps`` on the training images of the data set ``data``."""
    title = "a classifier of real images, which judges the samples"
    return Measure(name, title, (), measure, {"data": data, "steps": steps}, cost=30)


def measure(ctx: Context) -> Mapping[str, Any]:
    """Train it, keep it, and see how far it can be trusted; ``options``: data, steps."""
    steps = ctx.options["steps"]
    splits = ctx.access.load(ctx.settings.config(ctx.step.name, RunConfig(), data=ctx.options["data"]))
    with ctx.progress("training a judge", steps) as advance:
        judge = train_judge(
            splits.train,
            steps=steps,
            seed=ctx.settings.seed,
            device=choose_device(ctx.settings.device),
            progress=increments(advance),
        )
    ctx.arrays(NAME, **judge.arrays())
    return judge_quality(judge, splits.test)


def judge_of(ctx: Context, step: str = "judge") -> Judge:
    """The judge that the step ``step`` has trained."""
    assert step in ctx.step.needs
    with np.load(ctx.store.arrays_path(step, NAME), allow_pickle=False) as found:
        return Judge.from_arrays(dict(found))
