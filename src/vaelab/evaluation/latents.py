"""The latent space over a data set: posterior means and spreads, KL per dimension, active units."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.autoencoder import Autoencoder
from vaelab.building import Model
from vaelab.data.images import ImageData
from vaelab.distributions import kl_per_dimension as kl_of
from vaelab.evaluation.draws import MEMORY, frozen_copy, image_batches, images_within

ACTIVE = 0.01
"""A unit is active where the variance of its posterior mean over the data is larger (Burda et al. 2015)."""


@dataclass(frozen=True)
class PosteriorStatistics:
    """q(z|x,c) of every image, ``(n, latent)`` on the CPU, in the order of the data.

    ``means``; ``log_stds``: None for an autoencoder, whose means are its codes; ``kl``: KL(q ‖ p) of each dimension,
    nats, float64, None where it has no closed form.
    """

    means: Tensor
    log_stds: Tensor | None = None
    kl: Tensor | None = None


@torch.no_grad()
def posterior_statistics(
    model: Model,
    data: ImageData,
    variant: str,
    *,
    seed: int = 0,
    batch_size: int = 500,
    memory: int = MEMORY,
    device: torch.device | str | None = None,
) -> PosteriorStatistics:
    """Means, log-standard-deviations and KL per dimension of q(z|x,c), for every image; no draw of z.

    ``seed`` fixes the pixels of the random variants; ``batch_size`` (images) and ``memory`` (bytes, of a batch in a
    network) change a number only by rounding. Raises `DataError` where the data does not fit the model, `UsageError`
    for another variant than the likelihood's.

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("conv-vae").model)
    >>> data = ImageData("noise", torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8))
    >>> posterior_statistics(model, data, "grey").means.shape
    torch.Size([3, 2])
    """
    scorer = frozen_copy(model, device)
    size = images_within(scorer, memory, batch_size)
    batches = image_batches(scorer, data, variant, seed=seed, size=size)
    # Whole results at once: small tensors kept from each batch would pin the freed memory between them.
    means, log_stds = torch.empty(2, len(data), scorer.latent)
    kl: Tensor | None = torch.empty(len(data), scorer.latent, dtype=torch.float64)
    for batch in batches:
        here = slice(batch.done - len(batch.x), batch.done)
        if isinstance(scorer, Autoencoder):
            means[here] = scorer.encode(batch.x, batch.c).cpu()
            continue
        qz = scorer.encode(batch.x, batch.c)
        means[here], log_stds[here] = qz.mean.cpu(), qz.log_std.cpu()
        closed = kl_of(qz, scorer.pz(len(batch.x), batch.c))
        if closed is None or kl is None:
            kl = None
        else:
            kl[here] = closed.cpu()
    return PosteriorStatistics(means) if isinstance(scorer, Autoencoder) else PosteriorStatistics(means, log_stds, kl)


def embed(
    model: Model,
    data: ImageData,
    variant: str,
    *,
    seed: int = 0,
    batch_size: int = 500,
    memory: int = MEMORY,
    device: torch.device | str | None = None,
) -> Tensor:
    """The representation of every image, ``(n, latent)``: the posterior mean, or an autoencoder's code; no randomness.

    Arguments and errors as in `posterior_statistics`.
    """
    statistics = posterior_statistics(
        model, data, variant, seed=seed, batch_size=batch_size, memory=memory, device=device
    )
    return statistics.means


def kl_per_dimension(statistics: PosteriorStatistics) -> Tensor | None:
    """(1/n) Σ_i KL(q(z_j|x_i,c_i) ‖ p(z_j|c_i)) of each dimension j, nats, float64 ``(latent,)``; None as in the class.

    >>> kl_per_dimension(PosteriorStatistics(torch.zeros(2, 1), kl=torch.tensor([[1.0], [2.0]]))).tolist()
    [1.5]
    """
    return None if statistics.kl is None else statistics.kl.double().mean(0)


def mean_variances(means: Tensor) -> Tensor:
    """Variance over the data of each dimension's posterior mean: ``(n, latent)`` → float64 ``(latent,)``."""
    return means.double().var(0, correction=0)


def active_units(means: Tensor, threshold: float = ACTIVE) -> int:
    """The number of latent dimensions that the model uses: Var_x(E_q[z_j]) > ``threshold``.

    ``means (n, latent)``: posterior means of a data set. Burda et al. 2015, arXiv:1509.00519.

    >>> active_units(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    1
    """
    return int((mean_variances(means) > threshold).sum())
