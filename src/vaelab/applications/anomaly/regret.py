"""Likelihood regret: what the bound of an image gains when its own posterior is refined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.data.images import ImageData
from vaelab.distributions import DiagonalNormal, LatentDistribution
from vaelab.evaluation.draws import (
    BLOCK,
    MEMORY,
    Batch,
    Progress,
    at_least,
    frozen_copy,
    image_batches,
    images_within,
    rows_within,
)
from vaelab.objectives import Draw
from vaelab.randomness import image_seeds, normal_per_image
from vaelab.vae import VAE

_LAYERS = 4  # a gradient keeps every layer's output: so many times the memory of a pass without


@dataclass(frozen=True)
class Regret:
    """The bound of each image in nats, float64 ``(n,)``, with the encoder's posterior and with the refined one."""

    before: Tensor
    after: Tensor

    @property
    def regret(self) -> Tensor:
        """after − before."""
        return self.after - self.before


def likelihood_regret(
    model: VAE,
    data: ImageData,
    variant: str,
    *,
    steps: int = 25,
    lr: float = 0.05,
    samples: int = 10,
    seed: int = 0,
    batch_size: int = 500,
    memory: int = MEMORY,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Regret:
    """max over (μ, σ) of L(x; μ, σ) − L(x; μ(x), σ(x)), L the ELBO and μ(x), σ(x) the encoder's.

    ``steps`` (≥ 0) steps of Adam on each image's own (μ, log σ) with rates that fall from ``lr`` to 0, all images of a
    batch at once: the loss is the sum of theirs and Adam works element by element, so that they do not mix. A step
    uses a pair of draws z = μ ± σ ε, before and after are means over the same ``samples`` others; both are seeded by
    (``seed``, the image's content). The model's weights stay as they are, and the maximum is over a family that holds
    the encoder's own posterior: the exact regret is ≥ 0, the estimate may be below by its noise.

    ``batch_size`` (images) and ``memory`` (bytes, of a batch in a network) change a number only by rounding.
    ``progress`` is called with the number of images done. Raises `DataError` where the data does not fit the model,
    `UsageError` for another variant than the likelihood's or numbers below their least. Xiao, Yan & Amit 2020,
    arXiv:2003.02977 (its variant that refines the latent parameters, not the encoder's weights).

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("conv-vae").model)
    >>> data = ImageData("noise", torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8))
    >>> bool((likelihood_regret(model, data, "grey", steps=5).regret > 0).all())
    True
    """
    at_least("steps", steps, 0)
    at_least("samples", samples, 1)
    scorer = frozen_copy(model, device)
    rows = rows_within(scorer, memory // _LAYERS, 2 * batch_size)
    size = max(1, min(images_within(scorer, memory, batch_size), rows // 2))
    bounds = torch.empty(2, len(data), dtype=torch.float64)
    for batch in image_batches(scorer, data, variant, seed=seed, size=size):
        with torch.no_grad():
            first, pz = scorer.encode(batch.x, batch.c), scorer.pz(len(batch.x), batch.c)
        refined = _refine(scorer, batch, first, pz, steps, lr, seed)
        here = slice(batch.done - len(batch.x), batch.done)
        for bound, qz in zip(bounds, (first, refined), strict=True):
            bound[here] = _bound(scorer, batch, qz, pz, samples, seed, rows)
        if progress is not None:
            progress(batch.done)
    return Regret(*bounds)


@torch.enable_grad()
def _refine(
    model: VAE, batch: Batch, qz: DiagonalNormal, pz: LatentDistribution, steps: int, lr: float, seed: int
) -> DiagonalNormal:
    """Adam on the batch's means and log-standard-deviations."""
    mean, log_std = (value.detach().clone().requires_grad_() for value in (qz.mean, qz.log_std))
    optimizer = torch.optim.Adam([mean, log_std], lr=lr)
    noise = _noise(batch, model.latent, steps, seed, "regret")
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        epsilon = next(noise)
        bound = _bounds(model, batch, DiagonalNormal(mean, log_std), pz, torch.stack([epsilon, -epsilon]))
        # Not backward(): nothing but these two is to get a gradient.
        mean.grad, log_std.grad = torch.autograd.grad(-bound.mean(0).sum(), (mean, log_std))
        optimizer.step()
    return DiagonalNormal(mean, log_std).detach()


@torch.no_grad()
def _bound(
    model: VAE, batch: Batch, qz: DiagonalNormal, pz: LatentDistribution, samples: int, seed: int, rows: int
) -> Tensor:
    """The ELBO of each image, with the noise of `evaluate_bounds`."""
    total = torch.zeros(len(batch.x), dtype=torch.float64)
    noise = _noise(batch, model.latent, samples, seed, "z")
    at_once = max(1, rows // len(batch.x))
    for first in range(0, samples, at_once):
        epsilon = torch.stack([next(noise) for _ in range(min(at_once, samples - first))])
        total += _bounds(model, batch, qz, pz, epsilon).cpu().double().sum(0)
    return total / samples


def _bounds(model: VAE, batch: Batch, qz: DiagonalNormal, pz: LatentDistribution, noise: Tensor) -> Tensor:
    """log p(x|z) − KL of each draw and image, ``(samples, batch)``; the KL as `Draw` has it."""
    z = qz.rsample(noise=noise)
    drawn = Draw(z, qz, pz, model.decode(z, batch.c).log_prob(batch.x))
    return drawn.log_px - drawn.kl


def _noise(batch: Batch, latent: int, draws: int, seed: int, stream: str) -> Iterator[Tensor]:
    """``draws`` of standard normal noise ``(batch, latent)``, an image's from its own generators."""
    pixels = batch.x.cpu()
    for first in range(0, draws, BLOCK):
        seeds = image_seeds(pixels, seed, f"{stream}/{first // BLOCK}")
        yield from normal_per_image(seeds, (BLOCK, latent)).to(batch.x.device)
