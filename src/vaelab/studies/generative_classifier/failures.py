"""A8: which samples of the VAE are no real-looking images, and where in the plane they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab import plots
from vaelab.applications.judge import CONFIDENT, Judge, confident_share
from vaelab.applications.latent import Encoded, MarginalPrior, decode_at, mixture_log_prob
from vaelab.metrics import Metric
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.studies.generative_classifier.classes import encoded_part, labels_of, neighbour_shares
from vaelab.studies.generative_classifier.plane import name
from vaelab.studies.judging import grey_share, judge_of

AROUND = 20
"""Encoded training images around a position whose classes are counted, as the border finder does."""

PURE = 0.9
"""A position lies inside a class where at least this share of them are of one class."""

THIN = 0.1
"""The share of the positions with the least aggregate posterior for their prior that counts as thinly covered."""

PLACES, EXTENT = 61, 3.0
"""The map has so many places along a side of [−extent, extent]²."""

WORST = 20


def measure(ctx: Context) -> Mapping[str, Any]:
    """Samples from the prior, judged; by where they come from: inside a class, between classes, thinly covered."""
    run, judge, seed = ctx.run(ctx.step.needs[0]), judge_of(ctx), ctx.settings.seed
    data, encoded = encoded_part(run, "train", ctx.options["images"], seed)
    prior = MarginalPrior.of(run.model, encoded)
    z = prior.sample(ctx.options["samples"], seed, "judged samples")
    images = decode_at(run.model, z)
    sure = judge.probabilities(images).amax(1)
    purity = neighbour_shares(encoded, Encoded(z, class_names=encoded.class_names), AROUND).amax(1)
    ratio = mixture_log_prob(z, encoded.posterior()[1])[0] - prior.log_prob(z)
    thin = ratio <= ratio.quantile(THIN)
    groups = {"all": torch.ones_like(thin), "inside": (purity >= PURE) & ~thin, "between": (purity < PURE) & ~thin,
              "thin": thin}  # fmt: skip
    own = Encoded(encoded.means, labels=labels_of(encoded), class_names=encoded.class_names)
    _worst(ctx, run, own, data.images, z, images, sure)
    _map(ctx, run, judge)
    found = ctx.values("space-vae")
    return {
        "samples": len(z),
        "groups": {key: _group(rows, sure, images, ratio) for key, rows in groups.items() if bool(rows.any())},
        "classes": _classes(judge, images, len(data.class_names)),
        **{key: _places(run, judge, found[key]) for key in ("gaps", "borders")},
    }


def _group(rows: Tensor, sure: Tensor, images: Tensor, ratio: Tensor) -> dict[str, Any]:
    protocol = f"{int(rows.sum())} samples from the prior, decoder's mean, by the judge"
    return {
        "n": int(rows.sum()),
        "confident": confident_share(sure[rows][:, None], protocol).to_json(),
        "grey": Metric.mean(grey_share(images[rows]), "share of pixels", protocol).to_json(),
        "log_ratio": float(ratio[rows].mean()),
    }


def _classes(judge: Judge, images: Tensor, classes: int) -> list[float]:
    """How often the judge sees each class in samples."""
    seen = judge.probabilities(images).argmax(1)
    shares: list[float] = (torch.bincount(seen, minlength=classes).double() / len(seen)).tolist()
    return shares


def _places(run: Run, judge: Judge, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the judge sees at the positions that the gap finder listed."""
    if not found:
        return []
    images = decode_at(run.model, torch.tensor([place["position"] for place in found]))
    seen = judge.probabilities(images).topk(2)
    grey = grey_share(images)
    return [
        {**place, "sure": float(seen.values[i, 0]), "sees": seen.indices[i].tolist(),
         "second": float(seen.values[i, 1]), "grey": float(grey[i])}
        for i, place in enumerate(found)
    ]  # fmt: skip


def _worst(ctx: Context, run: Run, encoded: Encoded, sources: Tensor, z: Tensor, images: Tensor, sure: Tensor) -> None:
    """The samples of which the judge is least sure, above the training images encoded nearest to them."""
    rows = sure.argsort(stable=True)[:WORST]
    nearest = torch.cdist(z[rows].double(), encoded.means.double()).argmin(1)
    title = f"{name(run)}: the {len(rows)} samples the judge is least sure of"
    figure = plots.reconstructions(
        images[rows], sources[nearest].float() / 255, sure[rows], title=title,
        names=("sample", "nearest image"), score_name="largest probability",
    )  # fmt: skip
    ctx.figure("worst", figure)


def _map(ctx: Context, run: Run, judge: Judge) -> None:
    """How sure the judge is of what is decoded at each place of the plane."""
    axis = np.linspace(-EXTENT, EXTENT, PLACES)
    across, up = np.meshgrid(axis, axis)
    z = torch.tensor(np.stack([across.ravel(), up.ravel()], 1), dtype=torch.float32)
    seen = judge.probabilities(decode_at(run.model, z)).reshape(PLACES, PLACES, -1)
    title = f"{name(run)}: how sure the judge is of the decoded plane"
    figure = plots.confidence_map(seen.amax(2), seen.argmax(2), axis, axis, judge.class_names, title=title)
    ctx.figure("map", figure)


def sure_enough(place: Mapping[str, Any]) -> bool:
    """Whether the image at a listed position counts as one of the classes."""
    return float(place["sure"]) >= CONFIDENT
