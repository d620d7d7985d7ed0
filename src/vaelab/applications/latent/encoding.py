"""A data set in latent space: posteriors, one draw of z an image, and the prior that they are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.autoencoder import Autoencoder
from vaelab.building import Model
from vaelab.data.images import ImageData
from vaelab.data.splits import some_places
from vaelab.distributions import DiagonalNormal
from vaelab.errors import DataError, UsageError
from vaelab.evaluation.draws import (
    MEMORY,
    Batch,
    Progress,
    at_least,
    device_of,
    frozen_copy,
    image_batches,
    images_within,
    rows_within,
)
from vaelab.randomness import generator, image_seeds, normal_per_image
from vaelab.semisupervised import SemiSupervisedVAE
from vaelab.stacked import StackedVAE
from vaelab.vae import VAE


@dataclass(frozen=True)
class Encoded:
    """Images in latent space, on the CPU, in the order of the data.

    ``means (n, latent)``: posterior means, or an autoencoder's codes. ``log_stds (n, latent)`` of q(z|x,c) and ``z (n,
    latent)``, one draw of it an image: None for an autoencoder. ``labels (n,)`` int64, −1 where not known, or None.
    ``conditions (n,)``: the labels that a conditional model encoded with, else None.
    """

    means: Tensor
    log_stds: Tensor | None = None
    z: Tensor | None = None
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    conditions: Tensor | None = None

    def __len__(self) -> int:
        return len(self.means)

    def posterior(self) -> tuple[Tensor, DiagonalNormal]:
        """The draws and q(z|x,c), in float64; `UsageError` for an autoencoder, which has neither."""
        if self.z is None or self.log_stds is None:
            raise UsageError("an autoencoder has no posterior, so no aggregate posterior; train a VAE")
        return self.z.double(), DiagonalNormal(self.means.double(), self.log_stds.double())


@torch.no_grad()
def encode(
    model: Model,
    data: ImageData,
    variant: str,
    *,
    seed: int = 0,
    batch_size: int = 500,
    memory: int = MEMORY,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """q(z|x,c) of every image and one draw z = μ + σ ε of it, ε seeded by (``seed``, the image's content).

    ``variant`` is the pixel variant; labels are the condition of a conditional model, the most probable ones that of an
    M2 where they are not known; of M1+M2 it is M1 that is looked at (`base_model`). ``batch_size`` (images) and
    ``memory`` (bytes, of a batch in a network) change a number only by rounding. ``progress`` is called with the number
    of images done. Raises `DataError` where the data does not fit the model or the encoder's output is not finite,
    `UsageError` for another variant than the likelihood's.

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("conv-vae").model)
    >>> data = ImageData("noise", torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8))
    >>> encode(model, data, "grey").z.shape
    torch.Size([3, 2])
    """
    scorer = frozen_copy(base_model(model), device)
    size = images_within(scorer, memory, batch_size)
    # Whole results at once: small tensors kept from each batch would pin the freed memory between them.
    means, log_stds, z = torch.empty(3, len(data), scorer.latent)
    conditions = torch.empty(len(data), dtype=torch.int64) if scorer.classes else None
    for batch in image_batches(scorer, data, variant, seed=seed, size=size):
        here = slice(batch.done - len(batch.x), batch.done)
        c = condition(scorer, batch)
        if conditions is not None and c is not None:
            conditions[here] = c.cpu()
        if isinstance(scorer, Autoencoder):
            means[here] = scorer.encode(batch.x, c).cpu()
        else:
            qz = scorer.encode(batch.x, c)
            means[here], log_stds[here], z[here] = qz.mean.cpu(), qz.log_std.cpu(), draw_z(qz, batch.x, seed).cpu()
        if progress is not None:
            progress(batch.done)
    if not bool(means.isfinite().all()):
        raise DataError(
            f"expected finite codes, got NaN or infinity from the encoder for images of {data.name}; "
            "train again with a smaller learning rate or with --clip"
        )
    labels = None if data.labels is None else data.labels.cpu()
    if isinstance(scorer, Autoencoder):
        return Encoded(means, None, None, labels, data.class_names, conditions)
    return Encoded(means, log_stds, z, labels, data.class_names, conditions)


def base_model(model: Model) -> Model:
    """The model whose latent space is meant: M1 of a stacked one, whose z₂ has no posterior apart from z₁'s."""
    return model.m1 if isinstance(model, StackedVAE) else model


def condition(model: Model, batch: Batch) -> Tensor | None:
    """The labels to encode a batch with; of an M2 the most probable ones where they are not known."""
    if not isinstance(model, SemiSupervisedVAE):
        return batch.c
    likeliest = model.likeliest(batch.x)
    return likeliest if batch.c is None else torch.where(batch.c < 0, likeliest, batch.c)


def draw_z(qz: DiagonalNormal, x: Tensor, seed: int) -> Tensor:
    """One draw of q(z|x,c) an image, ``(batch, latent)``; its noise is seeded by (``seed``, content of the image).

    >>> x = torch.rand(4, 1, 8, 8)
    >>> qz = DiagonalNormal(torch.zeros(4, 2), torch.zeros(4, 2))
    >>> last = DiagonalNormal(qz.mean[3:], qz.log_std[3:])
    >>> bool(torch.equal(draw_z(qz, x, 0)[3:], draw_z(last, x[3:], 0)))
    True
    """
    noise = normal_per_image(image_seeds(x, seed, "latent"), (1, qz.mean.shape[-1]), x.device)
    return qz.rsample(1, noise=noise)[0]


@dataclass(frozen=True)
class MarginalPrior:
    """p(z) of a model over all classes: Σ_c π_c p(z|c), π the shares of the conditions; without condition p(z).

    ``shares (classes,)``, summing to 1, or None for a model without condition.
    """

    model: VAE
    shares: Tensor | None = None
    memory: int = MEMORY

    @classmethod
    def of(cls, model: Model, encoded: Encoded, memory: int = MEMORY) -> MarginalPrior:
        """With the shares of the encoded images' conditions; `UsageError` for an autoencoder, which has no prior."""
        base = base_model(model)
        if not isinstance(base, VAE):
            raise UsageError("an autoencoder has no prior to compare codes with; train a VAE")
        if encoded.conditions is None:
            return cls(frozen_copy(base), None, memory)
        shares = torch.bincount(encoded.conditions, minlength=base.classes).double() / len(encoded)
        return cls(frozen_copy(base), shares, memory)

    @torch.no_grad()
    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, float64 ``(n,)``, of ``z (n, latent)``."""
        parts = [self._log_prob(part) for part in torch.split(z, rows_within(self.model, self.memory))]
        return torch.cat(parts)

    def _log_prob(self, z: Tensor) -> Tensor:
        rows = z.to(device_of(self.model), torch.float32)[None]
        if self.shares is None:
            return self.model.pz(len(z)).log_prob(rows)[0].cpu().double()
        total = torch.full((len(z),), -torch.inf, dtype=torch.float64)
        for label in torch.nonzero(self.shares).flatten().tolist():
            c = torch.full((len(z),), label, device=rows.device)
            density = self.model.pz(len(z), c).log_prob(rows)[0].cpu().double()
            total = torch.logaddexp(total, density + self.shares[label].log())
        return total

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0, *stream: int | str) -> Tensor:
        """``n`` draws, float32 ``(n, latent)`` on the CPU, from (``seed``, ``stream``); `UsageError` below 1."""
        at_least("draws of the prior", n, 1)
        device = device_of(self.model)
        classes, noise = generator(seed, "cpu", *stream, "classes"), generator(seed, device, *stream, "prior")
        drawn = []
        for part in _sizes(n, rows_within(self.model, self.memory)):
            c = None
            if self.shares is not None:
                c = torch.multinomial(self.shares, part, replacement=True, generator=classes).to(device)
            drawn.append(self.model.pz(part, c).rsample(1, noise)[0].cpu())
        return torch.cat(drawn)


def _sizes(n: int, most: int) -> Iterator[int]:
    for start in range(0, n, most):
        yield min(most, n - start)


@torch.no_grad()
def decode_at(model: Model, z: Tensor, labels: Tensor | None = None, memory: int = MEMORY) -> Tensor:
    """E[x|z,c] at positions ``z (n, latent)``, float32 ``(n, channel, height, width)`` in [0, 1] on the CPU.

    ``labels (n,)`` are the conditions of a conditional model; without condition they are not looked at.
    """
    scorer = frozen_copy(base_model(model))
    device = device_of(scorer)
    rows = rows_within(scorer, memory) if isinstance(scorer, VAE) else images_within(scorer, memory, 500)
    images = []
    for start in range(0, len(z), rows):
        here = slice(start, start + rows)
        c = labels[here].to(device) if scorer.classes and labels is not None else None
        images.append(scorer.decode(z[here].float().to(device), c).mean.clamp(0, 1).cpu())
    return torch.cat(images)


def some_rows(count: int, limit: int, seed: int) -> Tensor:
    """All of ``count`` rows, or ``limit`` ≥ 2 of them, chosen at random by ``seed``, in order.

    >>> some_rows(3, 10, 0)
    tensor([0, 1, 2])
    """
    at_least("limit", limit, 2)
    return some_places(count, limit, seed)
