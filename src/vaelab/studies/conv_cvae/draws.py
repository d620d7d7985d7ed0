"""The reparameterisation (C2): many draws of one normal, their mean and log-variance against the given ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vaelab.applications.latent import encode
from vaelab.distributions import DiagonalNormal
from vaelab.randomness import generator
from vaelab.studies.context import Context

GIVEN = ((0.0, 0.0), (1.5, -2.0), (-3.0, 1.0), (0.25, -6.0))
"""(mean, log-variance) chosen by hand; posteriors of test images come beside them."""


def measure(ctx: Context) -> Mapping[str, Any]:
    """``options``: ``draws`` of each, ``images`` whose posteriors are drawn from."""
    run, count = ctx.run("vae"), ctx.options["draws"]
    data = run.split("test")
    encoded = encode(run.model, data.take(torch.arange(min(ctx.options["images"], len(data)))), run.config.data.variant)
    assert encoded.log_stds is not None
    names = [f"chosen by hand ({mean:g}, {value:g})" for mean, value in GIVEN]
    names += [f"test image {i + 1}, z{j + 1}" for i in range(len(encoded)) for j in range(encoded.means.shape[1])]
    mean = torch.cat([torch.tensor([mean for mean, _ in GIVEN]), encoded.means.flatten()])
    log_variance = torch.cat([torch.tensor([value for _, value in GIVEN]), 2 * encoded.log_stds.flatten()])
    found = check_draws(mean, log_variance, count, ctx.settings.seed)
    return {"names": names, "draws": count, **found, "gradient_error": gradient_error(ctx.settings.seed)}


def check_draws(mean: Tensor, log_variance: Tensor, count: int, seed: int) -> dict[str, Any]:
    """``count`` draws z = μ + exp(v/2) ε of each of ``mean (k,)`` and ``log_variance (k,)``, measured.

    Standard errors: exp(v/2)/√n of a mean, √(2/(n − 1)) of a log-variance. ``chi_square``: the sum of all 2k squared
    deviations in standard errors; ``p``: how often right draws give a larger one.

    >>> found = check_draws(torch.zeros(2), torch.zeros(2), 1000, seed=0)
    >>> bool(found["p"] > 0.001), len(found["mean"])
    (True, 2)
    """
    z = DiagonalNormal(mean[None], 0.5 * log_variance[None]).rsample(count, generator(seed, "cpu", "draws"))[:, 0]
    values = z.double()
    measured_mean, measured_log = values.mean(0), values.var(0, correction=1).log()
    error = (0.5 * log_variance.double()).exp() / math.sqrt(count)
    log_error = math.sqrt(2 / (count - 1))
    scores = torch.cat([(measured_mean - mean) / error, (measured_log - log_variance) / log_error])
    square = scores.square().sum()
    half = torch.tensor(len(scores) / 2, dtype=torch.float64)
    return {
        "given_mean": mean.tolist(),
        "given_log_variance": log_variance.tolist(),
        "mean": measured_mean.tolist(),
        "mean_error": error.tolist(),
        "log_variance": measured_log.tolist(),
        "log_variance_error": log_error,
        "largest_score": float(scores.abs().max()),
        "chi_square": float(square),
        "p": float(torch.special.gammaincc(half, square / 2)),
    }


def gradient_error(seed: int) -> float:
    """The largest difference of ∂z/∂μ from 1 and of ∂z/∂v from ½ (z − μ), over 1,000 draws: that gradients pass."""
    source = generator(seed, "cpu", "gradient")
    mean = torch.randn(1000, 1, generator=source, requires_grad=True)
    log_variance = torch.randn(1000, 1, generator=source, requires_grad=True)
    z = DiagonalNormal(mean, 0.5 * log_variance).rsample(1, source)[0]
    by_mean, by_log = torch.autograd.grad(z.sum(), [mean, log_variance])
    difference = torch.cat([by_mean - 1, by_log - 0.5 * (z - mean)]).detach()
    return float(difference.abs().max())
