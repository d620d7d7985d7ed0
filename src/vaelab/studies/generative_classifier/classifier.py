"""A11: images classified by Bayes' rule with the CVAE's bounds, by the ELBO and by importance sampling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from vaelab.applications.classification import label_bounds
from vaelab.metrics import Metric
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.studies.generative_classifier.classes import encoded_part
from vaelab.tasks.classify import Classification, classify_run

CHECKED = 500
"""Images of which both bounds are compared for every label."""

KEPT = (
    "accuracy",
    "classification_nll",
    "classification_nll_uncalibrated",
    "expected_calibration_error",
    "expected_calibration_error_uncalibrated",
    "temperature",
)


def measure(ctx: Context) -> Mapping[str, Any]:
    """Both bounds over all test images; the figures are those of importance sampling."""
    run, seed, samples = ctx.run("classifier"), ctx.settings.seed, ctx.options["samples"]

    def classify(bound: str) -> Classification:
        return classify_run(
            run, bound=bound, samples=samples, seed=seed, figures=bound == "importance", progress=ctx.progress
        )

    elbo, importance = classify("elbo"), classify("importance")
    both = elbo.predicted != elbo.labels, importance.predicted != importance.labels
    names = list(importance.class_names)
    rows = [[names[i], *row] for i, row in enumerate(importance.counts.tolist())]
    ctx.table("confusion", ["label", *names], rows)
    return {
        "elbo": _kept(elbo),
        "importance": _kept(importance),
        "by_class": {
            names[int(key.removeprefix("accuracy_of_class_"))]: metric.to_json()
            for key, metric in importance.metrics.items()
            if key.startswith("accuracy_of_class_")
        },
        "tightened": _tightened(run, ctx),
        "differ": int((elbo.predicted != importance.predicted).sum()),
        "errors": [int(wrong.sum()) for wrong in both],
        "paired": _paired(both[0], both[1]),
        "confused": _confused(importance.counts, names),
        "sure_errors": int((importance.probabilities.amax(1)[both[1]] >= 0.9).sum()),
        "images": len(importance.labels),
        "samples": samples,
        "note": importance.note,
        "figures": sorted(file.stem for file in importance.files),
        "class_names": names,
    }


def _tightened(run: Run, ctx: Context) -> dict[str, Any]:
    """By how many nats importance sampling raises the bound: with the image's own label, and with the others."""
    data, _ = encoded_part(run, "test", CHECKED, ctx.settings.seed)
    assert data.labels is not None
    bounds = {
        bound: label_bounds(run.model, data, run.config.data.variant, bound=bound,
                            samples=ctx.options["samples"], seed=ctx.settings.seed)
        for bound in ("elbo", "importance")
    }  # fmt: skip
    raised = bounds["importance"] - bounds["elbo"]
    own = torch.nn.functional.one_hot(data.labels.cpu(), raised.shape[1]).bool()
    others = raised.masked_fill(own, 0).sum(1) / (raised.shape[1] - 1)
    words = f"importance-weighted bound less ELBO, {ctx.options['samples']} draws of z each"
    return {
        "own": Metric.mean(raised[own], "nats per image", f"{words}, the image's own label").to_json(),
        "others": Metric.mean(others, "nats per image", f"{words}, mean over the other labels").to_json(),
    }


def _kept(found: Classification) -> dict[str, Any]:
    return {key: found.metrics[key].to_json() for key in KEPT}


def _paired(first: torch.Tensor, second: torch.Tensor) -> list[int]:
    """How many images only the first, and only the second gets wrong."""
    return [int((first & ~second).sum()), int((second & ~first).sum())]


def _confused(counts: np.ndarray, names: list[str], most: int = 5) -> list[dict[str, Any]]:
    """The commonest errors: label, prediction, how often."""
    wrong = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [np.unravel_index(place, wrong.shape) for place in order]
    return [
        {"label": names[int(i)], "predicted": names[int(j)], "count": int(wrong[i, j])} for i, j in pairs if wrong[i, j]
    ]
