"""A classifier of real images, which says what decoded images show: trained once, kept in the study's folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from vaelab.applications.judge import Judge, judge_quality, train_judge
from vaelab.data.progress import increments
from vaelab.studies.context import Context

STEP, NAME = "judge", "weights"


def measure(ctx: Context) -> Mapping[str, Any]:
    """Train it on the training images of the VAE, without waiting for that; how far it can be trusted."""
    from vaelab.studies.gaussian_elbo.steps import config

    data, steps = ctx.access.load(config(ctx.settings)), ctx.options["steps"]
    with ctx.progress("training a judge", steps) as advance:
        judge = train_judge(data.train, steps=steps, seed=ctx.settings.seed, progress=increments(advance))
    ctx.arrays(NAME, **judge.arrays())
    assert data.train.labels is not None
    known = data.train.labels[data.train.labels >= 0]
    counts = torch.bincount(known, minlength=data.train.classes)
    return {
        **judge_quality(judge, data.test),
        "steps": steps,
        "train": len(known),
        "class_names": list(data.train.class_names),
        "train_shares": (counts / counts.sum()).tolist(),
    }


def judge_of(ctx: Context) -> Judge:
    """The judge that an earlier step has trained."""
    assert STEP in ctx.step.needs
    with np.load(ctx.store.arrays_path(STEP, NAME), allow_pickle=False) as found:
        return Judge.from_arrays(dict(found))
