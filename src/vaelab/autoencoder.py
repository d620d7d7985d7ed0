"""The deterministic autoencoder, plain or (trained on corrupted inputs with clean targets) denoising."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vaelab.distributions import PixelDistribution, float32_or_more
from vaelab.likelihoods import Likelihood
from vaelab.vae import check_images, decode, one_hot


class Autoencoder(nn.Module):
    """x → z → p(x|z): no posterior, no prior, so no bound; the loss is −log p(target|z).

    As a denoising autoencoder it is trained with corrupted ``x`` and the clean image as target.
    Vincent et al. 2008, "Extracting and composing robust features with denoising autoencoders".
    """

    kind = "autoencoder"
    needs_labels: ClassVar[bool] = True

    def __init__(
        self,
        encoder: nn.Module,
        bottleneck: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        *,
        image_shape: tuple[int, int, int],
        latent: int,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.encoder, self.bottleneck, self.decoder, self.likelihood = encoder, bottleneck, decoder, likelihood
        self.image_shape, self.latent, self.classes = image_shape, latent, classes

    def encode(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """z ``(batch, latent)``."""
        check_images(x, self.image_shape)
        z: Tensor = self.bottleneck(self.encoder(x, one_hot(c, self.classes, len(x))))
        return float32_or_more(z)

    def decode(self, z: Tensor, c: Tensor | None = None) -> PixelDistribution:
        """p(x|z,c) of ``z (batch, latent)`` or ``(sample, batch, latent)``."""
        px: PixelDistribution = self.likelihood(decode(self.decoder, z, one_hot(c, self.classes, z.shape[-2])))
        return px

    def embed(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The code z ``(batch, latent)``, without a graph."""
        with torch.no_grad():
            return self.encode(x, c)

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """E[x|z,c] at the code of ``x``."""
        with torch.no_grad():
            return self.decode(self.encode(x, c), c).mean
