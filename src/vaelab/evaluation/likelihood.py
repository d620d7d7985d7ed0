"""log p(x|c) by importance sampling from the posterior, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.building import Model
from vaelab.data.images import ImageData
from vaelab.errors import UsageError
from vaelab.evaluation.draws import (
    BLOCK,
    MEMORY,
    Batch,
    Progress,
    at_least,
    draws,
    frozen_copy,
    image_batches,
    images_within,
    rows_within,
)
from vaelab.vae import VAE


@dataclass(frozen=True)
class LikelihoodScores:
    """For each image, float64 ``(n,)`` on the CPU, in the order of the data.

    ``log_likelihood``: log (1/K) Σ_k w_k, nats. ``effective_sample_size``: (Σ w)² / Σ w², from 1 to K = ``samples``.
    """

    log_likelihood: Tensor
    effective_sample_size: Tensor
    samples: int


@torch.no_grad()
def log_likelihood(
    model: Model,
    data: ImageData,
    variant: str,
    *,
    samples: int = 1000,
    seed: int = 0,
    memory: int = MEMORY,
    rows: int | None = None,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> LikelihoodScores:
    """Importance-weighted estimate of log p(x|c) of every image, a lower bound in expectation.

    log (1/K) Σ_k w_k with w_k = p(x|z_k,c) p(z_k|c) / q(z_k|x,c), z_k ~ q(z|x,c), K = ``samples``.

    Images × samples are decoded in chunks of ``rows`` (None: what is fast on the device; fewer where the working memory
    would pass ``memory`` bytes) and summed as they come, so that the memory does not grow with n or K; an image is
    encoded once. Each image's noise is its own, so the chunks change the result only by rounding. ``progress`` is
    called with the number of images done. Raises `UsageError` for an autoencoder, another variant than the likelihood's
    or numbers below 1, `DataError` where the data does not fit the model. Burda et al. 2015, arXiv:1509.00519.

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("conv-vae").model)
    >>> data = ImageData("noise", torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8))
    >>> scores = log_likelihood(model, data, "grey", samples=20)
    >>> scores.log_likelihood.shape, bool((scores.effective_sample_size <= 20).all())
    (torch.Size([3]), True)
    """
    if not isinstance(model, VAE):
        raise UsageError(
            "an autoencoder has no prior, so no log-likelihood; leave importance samples out or train a VAE"
        )
    at_least("importance samples", samples, 1)
    scorer = frozen_copy(model, device)
    rows = rows_within(scorer, memory, rows)
    size = images_within(scorer, memory, max(1, rows // min(samples, BLOCK)))
    # Whole results at once: small tensors kept from each batch would pin the freed memory between them.
    estimates, effective = torch.empty(2, len(data), dtype=torch.float64)
    for batch in image_batches(scorer, data, variant, seed=seed, size=size):
        total, squares = _log_sums(scorer, batch, samples, seed, rows)
        here = slice(batch.done - len(batch.x), batch.done)
        estimates[here] = total - math.log(samples)
        effective[here] = (2 * total - squares).exp().clamp(1, samples)  # rounding alone leaves the range
        if progress is not None:
            progress(batch.done)
    return LikelihoodScores(estimates, effective, samples)


def _log_sums(model: VAE, batch: Batch, samples: int, seed: int, rows: int) -> tuple[Tensor, Tensor]:
    """log Σ_k w_k and log Σ_k w_k² of each image, ``(batch,)``, float64, streamed over the samples."""
    total = torch.full((len(batch.x),), -math.inf, dtype=torch.float64)
    squares = total.clone()
    for drawn in draws(model, batch, samples=samples, seed=seed, rows=rows):
        log_weights = drawn.log_weights().cpu().double()
        total = torch.logaddexp(total, log_weights.logsumexp(0))
        squares = torch.logaddexp(squares, (2 * log_weights).logsumexp(0))
    return total, squares
