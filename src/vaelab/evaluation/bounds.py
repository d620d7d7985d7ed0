"""The evidence lower bound and its two parts, for each image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.autoencoder import Autoencoder
from vaelab.building import Model
from vaelab.data.corruption import Corruption, corrupt_fixed
from vaelab.data.images import ImageData
from vaelab.errors import UsageError
from vaelab.evaluation.draws import (
    MEMORY,
    Batch,
    Progress,
    draws,
    frozen_copy,
    image_batches,
    images_within,
    rows_within,
)
from vaelab.vae import VAE


@dataclass(frozen=True)
class ImageScores:
    """Nats for each image, float64 ``(n,)`` on the CPU, in the order of the data.

    ``reconstruction``: −E_q log p(x|z,c). ``kl``: KL(q(z|x,c) ‖ p(z|c)). ``negative_elbo``: their sum, an upper bound
    on −log p(x|c). The last two are None for an autoencoder, which has no posterior.
    """

    reconstruction: Tensor
    kl: Tensor | None = None
    negative_elbo: Tensor | None = None


@torch.no_grad()
def evaluate_bounds(
    model: Model,
    data: ImageData,
    variant: str,
    *,
    samples: int = 1,
    seed: int = 0,
    batch_size: int = 500,
    memory: int = MEMORY,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
    corruption: Corruption | None = None,
) -> ImageScores:
    """−ELBO, reconstruction and KL of every image.

    −ELBO(x) = −(1/S) Σ_s log p(x|z_s,c) + KL(q(z|x,c) ‖ p(z|c)), z_s ~ q(z|x,c), S = ``samples``; the KL in closed form
    where there is one, else (1/S) Σ_s [log q(z_s|x,c) − log p(z_s|c)].

    ``variant`` is the pixel variant; labels are the condition of a conditional model. ``seed`` and an image's content
    give its noise, so ``batch_size`` (images) and ``memory`` (bytes, of a batch in a network) change a score only by
    rounding. ``progress`` is called with the number of images done. ``corruption``: of an autoencoder's input, seeded
    likewise; the clean image is scored. Raises `DataError` where the data does not fit the model, `UsageError` for
    another variant than the likelihood's, numbers below 1 or a corruption for a VAE. Kingma & Welling 2013,
    arXiv:1312.6114.

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("conv-vae").model)
    >>> data = ImageData("noise", torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8))
    >>> scores = evaluate_bounds(model, data, "grey")
    >>> bool(torch.equal(scores.negative_elbo, scores.reconstruction + scores.kl))
    True
    """
    if corruption is not None and not isinstance(model, Autoencoder):
        raise UsageError("a corrupted input is scored for autoencoders alone; leave the corruption out")
    scorer = frozen_copy(model, device)
    size = images_within(scorer, memory, batch_size)
    rows = rows_within(scorer, memory, batch_size) if isinstance(scorer, VAE) else size
    size = min(size, rows)
    # Whole results at once: small tensors kept from each batch would pin the freed memory between them.
    reconstruction, kl = torch.empty(2, len(data), dtype=torch.float64)
    for batch in image_batches(scorer, data, variant, seed=seed, size=size):
        here = slice(batch.done - len(batch.x), batch.done)
        if isinstance(scorer, Autoencoder):
            given = batch.x if corruption is None else corrupt_fixed(corruption, batch.x, seed)
            reconstruction[here] = -scorer.decode(scorer.encode(given, batch.c), batch.c).log_prob(batch.x).cpu()
        else:
            reconstruction[here], kl[here] = _score(scorer, batch, samples, seed, rows)
        if progress is not None:
            progress(batch.done)
    if isinstance(scorer, Autoencoder):
        return ImageScores(reconstruction)
    return ImageScores(reconstruction, kl, reconstruction + kl)


def _score(model: VAE, batch: Batch, samples: int, seed: int, rows: int) -> tuple[Tensor, Tensor]:
    """Reconstruction and KL of a batch, means over the samples."""
    reconstruction = torch.zeros(len(batch.x), dtype=torch.float64)
    kl = torch.zeros_like(reconstruction)
    for drawn in draws(model, batch, samples=samples, seed=seed, rows=rows):
        reconstruction -= _cpu(drawn.log_px).sum(0)
        kl += len(drawn.z) * _cpu(drawn.kl)
    return reconstruction / samples, kl / samples


def _cpu(values: Tensor) -> Tensor:
    return values.cpu().double()
