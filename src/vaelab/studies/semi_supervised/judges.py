"""A classifier trained on the real images, which says what it sees in those that a model made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab.applications.judge import Judge, confident_share, judge_quality, train_judge
from vaelab.data.progress import increments
from vaelab.devices import choose_device
from vaelab.metrics import Metric
from vaelab.studies.context import Context


def measure(ctx: Context) -> Mapping[str, Any]:
    """Train it, keep it, and test it on the test images."""
    config = ctx.settings.config(ctx.step.name, "mlp-vae", data=ctx.options["data"], validation=0.0)
    splits, steps = ctx.access.load(config), ctx.options["steps"]
    with ctx.progress("training the judge", steps) as advance:
        judge = train_judge(
            splits.train,
            steps=steps,
            seed=ctx.settings.seed,
            device=choose_device(ctx.settings.device),
            progress=increments(advance),
        )
    ctx.arrays("weights", **judge.arrays())
    return {**judge_quality(judge, splits.test), "steps": steps}


def opened(ctx: Context, step: str) -> Judge:
    """The judge that the step ``step`` trained."""
    assert step in ctx.step.needs
    with np.load(ctx.store.arrays_path(step, "weights"), allow_pickle=False) as found:
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
