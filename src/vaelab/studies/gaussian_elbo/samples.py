"""Samples from the prior (D5): what a judge sees in them, and where z lies that the decoder knows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vaelab import plots
from vaelab.applications.judge import CONFIDENT, Judge, confident_share
from vaelab.applications.latent import (
    Encoded,
    MarginalPrior,
    decode_at,
    elbo_surgery,
    encode,
    energy_test,
    moments,
    some_rows,
)
from vaelab.metrics import Metric
from vaelab.randomness import generator
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.studies.judging import judge_of

NARROW = (0.9, 0.7)
"""Standard deviations below the prior's, from which z is drawn to see what that changes."""

_SHEET = 100  # samples on the sheet
_ENDS = 10  # the least and the most confident ones


def measure(ctx: Context) -> Mapping[str, Any]:
    """Samples judged; the same from other places in the latent space; the aggregate posterior against N(0, I)."""
    run, judge, seed = ctx.run("vae"), judge_of(ctx), ctx.settings.seed
    count = ctx.options["samples"]
    images = run.sample(count, seed=seed)
    found = judge.probabilities(images)
    _draw_sheets(ctx, run, images, found, judge.class_names)
    ctx.arrays("judged", probabilities=found.numpy())
    test = run.split("test")
    test = test.take(some_rows(len(test), ctx.options["encoded"], seed))
    encoded = encode(run.model, test, run.config.data.variant, seed=seed)
    assert encoded.z is not None
    ctx.figure("aggregate", plots.aggregate_posterior(encoded.z, f"{run.title()}: q(z) of test images against N(0, I)"))
    return {
        "samples": count,
        "threshold": CONFIDENT,
        "share": confident_share(found, f"{count} decoder means at draws of the prior, seed {seed}"),
        "confidence": Metric.mean(found.amax(-1), "mean probability", f"{count} samples, most probable class"),
        "classes": _classes(found, judge.class_names),
        "places": _places(run, judge, encoded, count, seed),
        "reconstructed": _reconstructed(run, judge, encoded),
        "aggregate": _aggregate(run, encoded, seed),
    }


def _draw_sheets(ctx: Context, run: Run, images: Tensor, found: Tensor, names: tuple[str, ...]) -> None:
    """The first samples as they come; draws with the pixels' noise; the least and the most confident ones."""
    ctx.figure("prior", plots.samples(images[:_SHEET], title=f"{run.title()}: samples from the prior, decoder means"))
    noisy = run.sample(10, seed=ctx.settings.seed, draw=True)
    both = torch.stack([images[: len(noisy)], noisy])
    ctx.figure(
        "draws",
        plots.image_grid(both.flatten(0, 1), len(noisy), ("decoder mean", "draw from p(x|z)"), title="mean and draw"),
    )
    order = found.amax(-1).argsort()
    shown = torch.stack([order[:_ENDS], order.flip(0)[:_ENDS]])
    captions = [[caption(found[i], names) for i in row] for row in shown.tolist()]
    title = f"{run.title()}: of {len(found):,} samples, what the judge sees"
    labels = ("least confident", "most confident")
    ctx.figure("judged", plots.captioned_images(images[shown], captions, labels, title=title))


def caption(probabilities: Tensor, names: tuple[str, ...]) -> str:
    """The most probable class and its probability.

    >>> caption(torch.tensor([0.03, 0.97]), ("cat", "dog")), caption(torch.tensor([0.999, 0.001]), ("trousers", "bag"))
    ('dog: 97 %', 'tro…: 99 %')
    """
    share, label = probabilities.max(-1)
    name = names[int(label)]
    short = name if len(name) <= 4 else name[:3] + "…"
    return f"{short}: {int(100 * float(share))} %"  # rounded down: 100 % is for certainty


def _classes(found: Tensor, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Of each class: how many samples are given it, and how many of them clearly."""
    confidence, label = found.max(-1)
    clear = confidence >= CONFIDENT
    return [
        {"name": name, "count": int((label == i).sum()), "clear": int(((label == i) & clear).sum())}
        for i, name in enumerate(names)
    ]


def _places(run: Run, judge: Judge, encoded: Encoded, count: int, seed: int) -> list[dict[str, Any]]:
    """The judged share where z is drawn elsewhere than from the prior; the decoder stays the same."""
    assert encoded.z is not None
    z, source = encoded.z.double(), generator(seed, "cpu", "places")
    noise = torch.randn(count, z.shape[1], generator=source, dtype=torch.float64)
    centred = z - z.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(z))
    fitted = z.mean(0) + (noise * values.clamp(min=0).sqrt()) @ vectors.T
    shuffled = torch.stack([column[torch.randint(len(z), (count,), generator=source)] for column in z.T], 1)
    drawn = z[torch.randint(len(z), (count,), generator=source)]
    places = [("prior", 1.0, noise), ("fitted", 1.0, fitted), ("shuffled", 1.0, shuffled), ("posterior", 1.0, drawn)]
    places += [("narrow", spread, spread * noise) for spread in NARROW]
    found = []
    for name, spread, where in places:
        probabilities = judge.probabilities(decode_at(run.model, where.float()))
        share = confident_share(probabilities, f"{count} decoder means, z: {name} {spread:g}, seed {seed}")
        found.append({"name": name, "spread": spread, "share": share.to_json()})
    return found


def _reconstructed(run: Run, judge: Judge, encoded: Encoded) -> dict[str, Any]:
    """What the judge says of decoded posterior draws of test images, whose class is known."""
    assert encoded.z is not None
    found = judge.probabilities(decode_at(run.model, encoded.z))
    result: dict[str, Any] = {"share": confident_share(found, "decoded posterior draws of test images").to_json()}
    if encoded.labels is not None and bool((encoded.labels >= 0).any()):
        known = encoded.labels >= 0
        right = (found.argmax(-1) == encoded.labels)[known].double()
        result["accuracy"] = Metric.mean(right, "share of images", "decoded posterior draws of test images").to_json()
    return result


def gaussian_kl(mean: Tensor, covariance: Tensor) -> float:
    """KL(N(mean, covariance) ‖ N(0, I)) = ½ (tr Σ + μᵀμ − d − log det Σ), nats: the least that q(z) with these has.

    For any q of this mean and covariance KL(q ‖ N(0, I)) = KL(q ‖ N(μ, Σ)) + KL(N(μ, Σ) ‖ N(0, I)), because the
    logarithm of the ratio of the two normal densities is quadratic.

    >>> gaussian_kl(torch.tensor([1.0]), torch.eye(1))
    0.5
    """
    mean, covariance = mean.double(), covariance.double()
    quadratic = torch.trace(covariance) + mean.square().sum() - len(mean)
    return float(0.5 * (quadratic - torch.logdet(covariance)))


def _aggregate(run: Run, encoded: Encoded, seed: int) -> dict[str, Any]:
    """q(z) against N(0, I): moments of each dimension, KL(q(z) ‖ p(z)) and I(x; z), energy distance."""
    z, _ = encoded.posterior()
    found, surgery = moments(z), elbo_surgery(encoded, MarginalPrior.of(run.model, encoded))
    energy = energy_test(z, seed=seed)
    covariance = torch.cov(z.T, correction=0).reshape(z.shape[1], z.shape[1])
    roots = torch.diagonal(covariance).sqrt()
    correlation = covariance / (roots[:, None] * roots)
    correlation.fill_diagonal_(0)
    protocol = f"{len(z)} test images, one draw of z each"
    return {
        "images": len(z),
        "latent": z.shape[1],
        "means": found.mean.tolist(),
        "variances": found.variance.tolist(),
        "largest_correlation": float(correlation.abs().max()),
        "gaussian_kl": gaussian_kl(found.mean, covariance),
        "gaussian_kl_chance": z.shape[1] * (z.shape[1] + 3) / (4 * len(z)),  # of n draws of N(0, I), for large n
        "marginal_kl": Metric.mean(surgery.marginal_kl, "nats", protocol).to_json(),
        "information": Metric.mean(surgery.mutual_information, "nats", protocol).to_json(),
        "most_information": math.log(len(z)),
        "energy": energy.distance,
        "energy_p": energy.p,
        "energy_critical": energy.critical,
    }
