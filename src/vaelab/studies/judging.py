"""A measurement of any study: a classifier of real images, which says what a model's images show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab.applications.judge import Judge, confident_share, judge_quality, train_judge
from vaelab.config import RunConfig
from vaelab.data.progress import increments
from vaelab.devices import choose_device
from vaelab.metrics import Metric
from vaelab.studies.context import Context
from vaelab.studies.study import Measure

NAME = "weights"

GREY = (0.25, 0.75)
"""A pixel between these is neither ink nor paper: what blurred images have many of."""


def judge_step(data: str, steps: int, name: str = "judge", *, validation: float = 0.0, cost: float = 30) -> Measure:
    """Train a judge for ``steps`` on the training images of the data set ``data``, ``validation`` of them left out."""
    title = f"a classifier of real images of {Path(data).stem}, which judges a model's images"
    options = {"data": data, "steps": steps, "validation": validation}
    return Measure(name, title, (), measure, options, cost=cost)


def measure(ctx: Context) -> Mapping[str, Any]:
    """Train it, keep it, and see how far it can be trusted; ``options``: data, steps, validation."""
    steps = ctx.options["steps"]
    config = ctx.settings.config(
        ctx.step.name, RunConfig(), data=ctx.options["data"], validation=ctx.options["validation"]
    )
    splits = ctx.access.load(config)
    with ctx.progress("training a judge", steps) as advance:
        judge = train_judge(
            splits.train,
            steps=steps,
            seed=ctx.settings.seed,
            device=choose_device(ctx.settings.device),
            progress=increments(advance),
        )
    ctx.arrays(NAME, **judge.arrays())
    assert splits.train.labels is not None  # or there had been no judge
    known = splits.train.labels[splits.train.labels >= 0]
    counts = torch.bincount(known, minlength=splits.train.classes)
    return {
        **judge_quality(judge, splits.test),
        "steps": steps,
        "train": len(known),
        "train_shares": (counts / counts.sum()).tolist(),
        "class_names": list(splits.train.class_names),
        "grey": float(grey_share(splits.test.images.float() / 255).mean()),
    }


def judge_of(ctx: Context, step: str = "judge") -> Judge:
    """The judge that the step ``step`` has trained."""
    assert step in ctx.step.needs
    with np.load(ctx.store.arrays_path(step, NAME), allow_pickle=False) as found:
        return Judge.from_arrays(dict(found))


def judged(probabilities: Tensor, what: str) -> dict[str, Metric]:
    """``confident``: the share given one class with at least 0.9; ``confidence``: mean of the largest probability;
    ``classes``: how many classes are met, exp H of their shares.

    ``probabilities (n, classes)`` of images that are ``what``.

    >>> found = judged(torch.eye(4).double(), "four images")
    >>> found["confident"].value, round(found["classes"].value, 6)
    (1.0, 4.0)
    """
    shares = torch.bincount(probabilities.argmax(-1), minlength=probabilities.shape[1]).double() / len(probabilities)
    met = float(torch.special.entr(shares).sum().exp())
    return {
        "confident": confident_share(probabilities, what),
        "confidence": Metric.mean(probabilities.amax(-1), "mean probability", what),
        "classes": Metric(met, None, "classes", len(probabilities), f"{what}: exp of the entropy of judged classes"),
    }


def grey_share(images: Tensor) -> Tensor:
    """The share of pixels that are neither bright nor dark, of each of ``images (n, c, h, w)`` in [0, 1]: ``(n,)``.

    >>> grey_share(torch.tensor([0.0, 0.5, 0.6, 1.0]).view(1, 1, 2, 2)).item()
    0.5
    """
    low, high = GREY
    return ((images > low) & (images < high)).double().mean((1, 2, 3))
