"""The five parts put together: encoder → posterior → z → decoder → likelihood, with a prior."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vaelab.distributions import DiagonalNormal, LatentDistribution, PixelDistribution, float32_or_more
from vaelab.errors import DataError
from vaelab.likelihoods import Likelihood


def one_hot(c: Tensor | None, classes: int, batch: int) -> Tensor | None:
    """Labels ``(batch,)`` → one-hot float ``(batch, classes)``; refuses labels out of place, or their absence."""
    if not classes:
        if c is not None:
            raise DataError("this model has no condition, but labels were given; leave them out")
        return None
    if c is None:
        raise DataError(f"this model is conditional: expected one label in 0…{classes - 1} for each image, got none")
    if c.shape != (batch,):
        raise DataError(f"expected one label for each of {batch} images, got a tensor of shape {tuple(c.shape)}")
    # Elsewhere than on the CPU a look at the values would wait for the device; there the data was checked before.
    if c.device.type == "cpu" and not bool(((c >= 0) & (c < classes)).all()):
        raise DataError(f"expected labels in 0…{classes - 1}, got {int(c.min())}…{int(c.max())}")
    return (c[:, None] == torch.arange(classes, device=c.device)).float()


def check_images(x: Tensor, image_shape: tuple[int, int, int]) -> None:
    """Refuse images of another shape than the model's."""
    if tuple(x.shape[1:]) != image_shape:
        raise DataError(f"expected images of shape (batch, {_text(image_shape)}), got ({_text(tuple(x.shape))})")


def _text(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


class VAE(nn.Module):
    """A variational autoencoder; with ``classes`` > 0 a conditional one.

    q(z|x,c) = posterior(encoder(x, c)), p(z|c) = prior(c), p(x|z,c) = likelihood(decoder(z, c)).
    Kingma & Welling 2013, arXiv:1312.6114; Sohn et al. 2015 for the condition.

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("conv-cvae").model)
    >>> x, c = torch.rand(4, 1, 28, 28), torch.tensor([3, 1, 4, 1])
    >>> qz = model.encode(x, c)
    >>> model.decode(qz.rsample(5), c).log_prob(x).shape
    torch.Size([5, 4])
    """

    kind = "vae"
    needs_labels: ClassVar[bool] = True
    """Where it has classes, whether it can be trained on labelled images alone."""

    def __init__(
        self,
        encoder: nn.Module,
        posterior: nn.Module,
        prior: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        *,
        image_shape: tuple[int, int, int],
        latent: int,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.encoder, self.posterior, self.prior = encoder, posterior, prior
        self.decoder, self.likelihood = decoder, likelihood
        self.image_shape, self.latent, self.classes = image_shape, latent, classes

    def encode(self, x: Tensor, c: Tensor | None = None) -> DiagonalNormal:
        """q(z|x,c) of ``x (batch, channel, height, width)`` in [0, 1] and labels ``c (batch,)``."""
        check_images(x, self.image_shape)
        qz: DiagonalNormal = self.posterior(self.encoder(x, one_hot(c, self.classes, len(x))))
        return qz

    def decode(self, z: Tensor, c: Tensor | None = None) -> PixelDistribution:
        """p(x|z,c) of ``z (batch, latent)`` or ``(sample, batch, latent)``; the same leading dimensions come back."""
        px: PixelDistribution = self.likelihood(decode(self.decoder, z, one_hot(c, self.classes, z.shape[-2])))
        return px

    def pz(self, batch: int, c: Tensor | None = None) -> LatentDistribution:
        """p(z|c) of a batch."""
        one_hot(c, self.classes, batch)
        distribution: LatentDistribution = self.prior(batch, c, self.encode)
        return distribution

    def sample(
        self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None, draw: bool = False
    ) -> Tensor:
        """``n`` new images: z from the prior, decoded; the likelihood's mean, or with ``draw`` a draw from it."""
        with torch.no_grad():
            px = self.decode(self.pz(n, c).rsample(1, generator)[0], c)
            return px.sample(generator) if draw else px.mean

    def embed(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Posterior means ``(batch, latent)``: no randomness."""
        with torch.no_grad():
            return self.encode(x, c).mean

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """E[x|z,c] at the posterior mean: no randomness."""
        with torch.no_grad():
            return self.decode(self.encode(x, c).mean, c).mean


def decode(decoder: nn.Module, z: Tensor, c: Tensor | None) -> Tensor:
    """Run a decoder on ``(batch, latent)`` or ``(sample, batch, latent)``; float32, or the model's float64."""
    if z.dim() == 2:
        single: Tensor = decoder(z, c)
        return float32_or_more(single)
    samples, batch, _ = z.shape
    repeated = None if c is None else c.repeat(samples, 1)
    flat: Tensor = decoder(z.flatten(0, 1), repeated)
    return torch.unflatten(float32_or_more(flat), 0, (samples, batch))
