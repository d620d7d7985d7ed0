"""A classifier of real images, which says what decoded images show: trained once, kept in the study's folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab.applications.judge import Judge, judge_quality, train_judge
from vaelab.data.progress import increments
from vaelab.studies.context import Context

STEP, NAME = "judge", "weights"

GREY = (0.25, 0.75)
"""A pixel between these is neither ink nor paper: what blurred images have many of."""


def measure(ctx: Context) -> Mapping[str, Any]:
    """Train it on the training images of the VAE, without waiting for that; how far it can be trusted."""
    from vaelab.studies.generative_classifier.steps import PLANE, config_of

    data, steps = ctx.access.load(config_of(ctx.settings, "vae", PLANE)), ctx.options["steps"]
    with ctx.progress("training a judge", steps) as advance:
        judge = train_judge(data.train, steps=steps, seed=ctx.settings.seed, progress=increments(advance))
    ctx.arrays(NAME, **judge.arrays())
    assert data.train.labels is not None
    known = data.train.labels[data.train.labels >= 0]
    counts = torch.bincount(known, minlength=data.train.classes)
    return {
        **judge_quality(judge, data.test),
        "grey": float(grey_share(data.test.images.float() / 255).mean()),
        "class_names": list(data.train.class_names),
        "shares": (counts / counts.sum()).tolist(),
        "steps": steps,
        "train": len(known),
    }


def judge_of(ctx: Context) -> Judge:
    """The judge that an earlier step has trained."""
    assert STEP in ctx.step.needs
    with np.load(ctx.store.arrays_path(STEP, NAME), allow_pickle=False) as found:
        return Judge.from_arrays(dict(found))


def grey_share(images: Tensor) -> Tensor:
    """The share of pixels that are neither bright nor dark, of each of ``images (n, c, h, w)`` in [0, 1]: ``(n,)``."""
    low, high = GREY
    return ((images > low) & (images < high)).double().mean((1, 2, 3))
