"""A latent plane (E8–E10): curves, the encoded test images, the decoded grid, how the codes compare with the prior, and
what lies in the gaps near the origin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vaelab import plots
from vaelab.applications.judge import Judge
from vaelab.applications.latent import Encoded, Gaps, MarginalPrior, decode_at, encode, find_gaps, some_rows
from vaelab.data.images import ImageData
from vaelab.data.pixels import prepare_fixed
from vaelab.metrics import Metric
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.studies.judging import judge_of, judged
from vaelab.tasks.latent import study_latent_space
from vaelab.vae import VAE

NEIGHBOURS = 20
"""Encoded images around a gap whose classes are counted."""

INK, BRIGHT = 0.1, 0.8
"""A pixel above the first is ink and not background; one that is at most the second is faint."""

KEPT = (
    "linear_accuracy",
    "knn_accuracy",
    "marginal_kl",
    "mutual_information",
    "aggregate_mean_norm",
    "aggregate_variance",
    "aggregate_energy_distance",
    "aggregate_energy_p_value",
)
"""Metrics of the latent space that the report names."""


def measure(ctx: Context) -> Mapping[str, Any]:
    """Figures, metrics and gaps of the run that the step needs."""
    run, judge = ctx.run(ctx.step.needs[0]), judge_of(ctx, ctx.step.needs[1])
    options = ctx.options
    ctx.figure("curves", run.figure("curves"))
    ctx.figure("scatter", run.figure("latent-scatter"))
    ctx.figure("grid", run.figure("latent-grid", cells=options["cells"]))
    _keep_points(ctx, run)
    found = study_latent_space(run, gaps=0, seed=ctx.settings.seed, progress=ctx.progress).metrics
    samples = run.sample(options["samples"], seed=ctx.settings.seed)
    ctx.figure("samples", plots.samples(samples[:40], 10, title=f"{run.title()}: z drawn from N(0, I) and decoded"))
    rebuilt = reconstructed(run)
    return {
        "classes": list(run.class_names),
        "curves": curves(run.history()),
        "latent": {name: found[name].to_json() for name in KEPT if name in found},
        "samples": _plain(judged(judge.probabilities(samples), f"{len(samples)} draws of z from N(0, I), decoded")),
        "rebuilt": _plain(judged(judge.probabilities(rebuilt), "reconstructions at the posterior mean, test split")),
        "grey": {"samples": faint_share(samples), "rebuilt": faint_share(rebuilt)},
        "error": mean_squared_error(run, rebuilt),
        "gaps": gaps(ctx, run, judge),
    }


def curves(history: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Of the held-out images: −ELBO after the first and last epoch, the best and its epoch; of training the last."""
    rows = list(zip(history["split"], history["epoch"], history["negative_elbo"], strict=True))
    held = [(int(epoch), float(value)) for split, epoch, value in rows if split in ("test", "validation")]
    train = [float(value) for split, _, value in rows if split == "train"]
    best = min(held, key=lambda pair: pair[1])
    middle = held[max(0, math.ceil(len(held) / 2) - 1)]
    return {
        "epochs": held[-1][0],
        "first": held[0][1],
        "middle": middle[1],
        "middle_epoch": middle[0],
        "last": held[-1][1],
        "best": best[1],
        "best_epoch": best[0],
        "train": train[-1],
    }


def reconstructed(run: Run) -> Tensor:
    """E[x|z] of the test images at their posterior means (or codes)."""
    encoded = encode(run.model, run.split("test"), run.config.data.variant)
    return decode_at(run.model, encoded.means)


def mean_squared_error(run: Run, rebuilt: Tensor) -> dict[str, Any]:
    """(x − E[x|z])², mean over pixels, of the test images: at the posterior mean."""
    x = prepare_fixed(run.split("test").images, run.config.data.variant, 0).cpu()
    values = (x - rebuilt).square().mean((1, 2, 3))
    return Metric.mean(values, "squared pixel value", "test split, at the posterior mean, mean over pixels").to_json()


def faint_share(images: Tensor) -> dict[str, Any]:
    """Of the pixels of the ink (brighter than 0.1) the share that is not bright (at most 0.8); mean over images.

    It is kept under the name ``grey``, as in the studies that were done before it had its own.

    >>> round(faint_share(torch.tensor([0.0, 0.5, 0.5, 1.0]).view(1, 1, 2, 2))["value"], 3)
    0.667
    """
    ink = images > INK
    faint = (ink & (images <= BRIGHT)).sum((1, 2, 3)).double() / ink.sum((1, 2, 3)).clamp_min(1)
    return Metric.mean(faint, "share of pixels", f"pixels of {INK} to {BRIGHT}, of those above {INK}").to_json()


def _plain(metrics: Mapping[str, Metric]) -> dict[str, Any]:
    return {name: metric.to_json() for name, metric in metrics.items()}


def _keep_points(ctx: Context, run: Run) -> None:
    """What the interactive plane shows: test images at their posterior means."""
    data = run.split("test")
    if len(data) > ctx.options["points"]:
        data = data.take(some_rows(len(data), ctx.options["points"], ctx.settings.seed))
    encoded = encode(run.model, data, run.config.data.variant, seed=ctx.settings.seed)
    images = data.images.cpu().numpy()
    assert data.labels is not None
    ctx.arrays(
        "points",
        z=encoded.means.numpy(),
        images=images[:, 0] if images.shape[1] == 1 else images,
        labels=data.labels.cpu().numpy(),
    )


# --- E10: the gaps ----------------------------------------------------------------------------------------------------


def gaps(ctx: Context, run: Run, judge: Judge) -> dict[str, Any]:
    """The emptiest places of the prior's densest part, decoded: what the judge sees there, whose codes are around."""
    data = run.split("test")
    assert isinstance(run.model, VAE)
    encoded = encode(run.model, data, run.config.data.variant, seed=ctx.settings.seed)
    prior = MarginalPrior.of(run.model, encoded)
    found = find_gaps(encoded, prior, count=ctx.options["gaps"], mass=ctx.options["near"], seed=ctx.settings.seed)
    images = decode_at(run.model, found.positions.z)
    probabilities = judge.probabilities(images)
    _draw(ctx, run, data, prior, encoded, found, images)
    around = neighbours(encoded, found.positions.z)
    rows = [_row(run.class_names, found, probabilities, around, place) for place in range(len(images))]
    return {
        "found": rows,
        "radius": math.sqrt(-2 * math.log1p(-ctx.options["near"])) if ctx.options["near"] < 1 else math.inf,
        "chance": found.chance,
        "grey": faint_share(images),
        "judged": _plain(judged(probabilities, f"{len(images)} gaps near the origin, decoded")),
        "images": len(encoded),
    }


def neighbours(encoded: Encoded, places: Tensor) -> Tensor:
    """The share of each class among the `NEIGHBOURS` nearest posterior means, ``(places, classes)``."""
    assert encoded.labels is not None
    known = torch.nonzero(encoded.labels >= 0)[:, 0]
    distance = torch.cdist(places.double(), encoded.means[known].double())
    nearest = distance.topk(min(NEIGHBOURS, len(known)), largest=False).indices
    classes = torch.nn.functional.one_hot(encoded.labels[known][nearest], len(encoded.class_names))
    return classes.double().mean(1)


def _row(names: Sequence[str], found: Gaps, probabilities: Tensor, around: Tensor, place: int) -> dict[str, Any]:
    sure, seen = probabilities[place].max(0)
    order = [int(c) for c in around[place].argsort(descending=True, stable=True) if float(around[place, c]) > 0]
    return {
        "z": [float(value) for value in found.positions.z[place]],
        "radius": float(found.radius[place]),
        "expected": float(found.expected[place]),
        "seen": names[int(seen)],
        "sure": float(sure),
        "around": [[names[c], float(around[place, c])] for c in order[:3]],
    }


def _draw(
    ctx: Context, run: Run, data: ImageData, prior: MarginalPrior, encoded: Encoded, found: Gaps, images: Tensor
) -> None:
    """The gaps decoded above the nearest test images, and where they are."""
    nearest = data.take(found.positions.nearest).images.float().cpu() / 255
    sheet = plots.reconstructions(
        images,
        nearest,
        found.positions.distance,
        title=f"{run.title()}: gaps near the origin, decoded",
        names=("decoded gap", "nearest image"),
        score_name="distance",
    )
    ctx.figure("gaps", sheet)
    assert encoded.z is not None
    extent = 1.15 * float((found.positions.z.abs().amax(1) + found.radius).max())
    axis = torch.linspace(-extent, extent, 121)
    across, up = torch.meshgrid(axis, axis, indexing="xy")
    density = prior.log_prob(torch.stack([across.flatten(), up.flatten()], 1)).exp().reshape(across.shape)
    title = f"{run.title()}: gaps near the origin, {len(encoded):,} test images"
    ctx.figure("map", plots.gap_map(encoded.z, found.positions.z, found.radius, density, extent, title=title))
