"""`evaluate`: all numbers of a model on a data set, each with unit, standard error, n and protocol."""

from __future__ import annotations

import math
from functools import partial

import torch

from vaelab.autoencoder import Autoencoder
from vaelab.building import Model
from vaelab.data.corruption import CORRUPTIONS
from vaelab.data.images import ImageData
from vaelab.evaluation.bounds import ImageScores, evaluate_bounds
from vaelab.evaluation.draws import MEMORY, Progress, at_least
from vaelab.evaluation.latents import ACTIVE, PosteriorStatistics, active_units, posterior_statistics
from vaelab.evaluation.likelihood import LikelihoodScores, log_likelihood
from vaelab.evaluation.protocol import Protocol, counted
from vaelab.metrics import Metric
from vaelab.specs import Spec

NATS = "nats per image"
LISTED_DIMENSIONS = 64
"""Up to this many latent dimensions, each one's KL is a metric of its own."""


def evaluate(
    model: Model,
    data: ImageData,
    *,
    variant: str,
    split: str,
    samples: int = 1,
    importance_samples: int = 0,
    seed: int = 0,
    batch_size: int = 500,
    memory: int = MEMORY,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
    corruption: str = "none",
) -> dict[str, Metric]:
    """Name → metric: means over the images of ``data``, every image weighted once.

    ``negative_elbo``, ``reconstruction``, ``kl`` (`evaluate_bounds`, with ``samples`` draws of z for each image);
    ``negative_log_likelihood`` and ``effective_sample_size`` (`log_likelihood`, where ``importance_samples`` > 0);
    ``bits_per_dimension`` of the tighter of the two, where the likelihood gives it a meaning on this ``variant``;
    ``active_units`` (two images or more); ``kl_of_dimension_<j>``, j from 1 (closed form, at most 64 dimensions). An
    autoencoder has ``reconstruction`` of the clean input and, with a ``corruption`` (a spec), ``denoising``:
    −log p(clean x|z of the corrupted x).

    ``split`` names the data in the protocol. ``progress`` is called with the number of images done in the longest pass:
    importance sampling, else the bounds. Raises `DataError` where the data does not fit the model, `UsageError` for
    numbers out of range, another variant than the likelihood's, importance samples of an autoencoder or a corruption
    for a VAE.

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("conv-vae").model)
    >>> data = ImageData("noise", torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8))
    >>> evaluate(model, data, variant="grey", split="test")["reconstruction"].protocol
    'test split, grey pixels (unnormalised Bernoulli), 1 sample of z per image, seed 0'
    """
    at_least("importance samples", importance_samples, 0)
    protocol, noise = Protocol(model, variant, split, seed), Spec.parse(corruption)
    bounds = partial(
        evaluate_bounds, model, data, variant, seed=seed, batch_size=batch_size, memory=memory, device=device
    )
    noisy = None if noise.name == "none" else bounds(corruption=CORRUPTIONS.build(noise))
    weighted = None
    if importance_samples:
        weighted = log_likelihood(
            model, data, variant, samples=importance_samples, seed=seed, memory=memory, device=device, progress=progress
        )
    scores = bounds(samples=samples, progress=None if weighted else progress)
    if isinstance(model, Autoencoder):
        return _code_metrics(scores, noisy, protocol, noise)
    statistics = posterior_statistics(
        model, data, variant, seed=seed, batch_size=batch_size, memory=memory, device=device
    )
    metrics = _bound_metrics(scores, protocol, samples, closed=statistics.kl is not None)
    if weighted is not None:
        metrics |= _likelihood_metrics(weighted, protocol)
    return metrics | _bits_metric(scores, weighted, protocol, metrics) | _latent_metrics(statistics, protocol)


def _code_metrics(
    scores: ImageScores, noisy: ImageScores | None, protocol: Protocol, corruption: Spec
) -> dict[str, Metric]:
    """Of an autoencoder: what it was given stands in the protocol."""
    code = f"at the code, no bound on {protocol.measured}"
    metrics = {"reconstruction": Metric.mean(scores.reconstruction, NATS, protocol.text("clean input", code))}
    if noisy is not None:
        given = f"input corrupted by {corruption}"
        metrics["denoising"] = Metric.mean(noisy.reconstruction, NATS, protocol.text(given, "clean target", code))
    return metrics


def _bound_metrics(scores: ImageScores, protocol: Protocol, samples: int, closed: bool) -> dict[str, Metric]:
    drawn = counted(samples, "sample of z per image")
    metrics = {"reconstruction": Metric.mean(scores.reconstruction, NATS, protocol.text(drawn))}
    if scores.negative_elbo is not None and scores.kl is not None:
        words = protocol.text(f"upper bound on {protocol.measured}", drawn)
        metrics["negative_elbo"] = Metric.mean(scores.negative_elbo, NATS, words)
        metrics["kl"] = Metric.mean(scores.kl, NATS, protocol.text("closed form" if closed else drawn))
    return metrics


def _likelihood_metrics(weighted: LikelihoodScores, protocol: Protocol) -> dict[str, Metric]:
    drawn = f"K = {counted(weighted.samples, 'sample of z per image')}"
    words = protocol.text(f"importance-weighted estimate of {protocol.measured}", drawn)
    return {
        "negative_log_likelihood": Metric.mean(-weighted.log_likelihood, NATS, words),
        "effective_sample_size": Metric.mean(weighted.effective_sample_size, "samples", protocol.text(drawn)),
    }


def _bits_metric(
    scores: ImageScores, weighted: LikelihoodScores | None, protocol: Protocol, metrics: dict[str, Metric]
) -> dict[str, Metric]:
    """Of the importance-weighted estimate, else of the bound; nothing where bits have no meaning."""
    nats = scores.negative_elbo if weighted is None else -weighted.log_likelihood
    if nats is None:
        return {}
    words = metrics["negative_elbo" if weighted is None else "negative_log_likelihood"].protocol
    model, dimensions = protocol.model, math.prod(protocol.model.image_shape)
    bits = [model.likelihood.bits_per_dimension(value, dimensions, protocol.variant) for value in nats.tolist()]
    known = [value for value in bits if value is not None]
    if len(known) < len(bits):
        return {}
    return {"bits_per_dimension": Metric.mean(torch.tensor(known, dtype=torch.float64), "bits per dimension", words)}


def _latent_metrics(statistics: PosteriorStatistics, protocol: Protocol) -> dict[str, Metric]:
    n, latent = statistics.means.shape
    metrics = {}
    if n > 1:
        words = protocol.text(f"variance of the posterior mean over the images > {ACTIVE}")
        metrics["active_units"] = Metric(active_units(statistics.means), None, "latent dimensions", n, words)
    if statistics.kl is not None and latent <= LISTED_DIMENSIONS:
        for number, values in enumerate(statistics.kl.T, start=1):
            metrics[f"kl_of_dimension_{number}"] = Metric.mean(values, NATS, protocol.text("closed form"))
    return metrics
