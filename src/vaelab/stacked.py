"""`StackedVAE` (M1+M2): an `M2 <SemiSupervisedVAE>` on top of the latents of a VAE that was trained before (M1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.distributions import DiagonalNormal, LatentDistribution, PixelDistribution
from vaelab.semisupervised import SemiSupervisedVAE
from vaelab.shares import normal_noise
from vaelab.vae import VAE, check_images, decode, one_hot


class StackedVAE(SemiSupervisedVAE):
    """M1+M2: p(y) p(z₂) p(z₁|z₂,y) p(x|z₁) with q(z₁|x) q(y|z₁) q(z₂|z₁,y); M1 = q(z₁|x), p(x|z₁) stays as it is.

    z = (z₁, z₂), so what holds of a conditional VAE holds of it: `encode` gives q(z|x,y), `pz` p(z|y), `decode` p(x|z),
    and their log-densities are exact. M1's five parts are the model's own, frozen; ``top`` is M2, whose images are z₁
    of shape ``(1, 1, latent of M1)``. Kingma, Rezende, Mohamed & Welling 2014, arXiv:1406.5298.

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("m1m2").model)
    >>> x, y = torch.rand(4, 1, 28, 28), torch.tensor([3, 1, 4, 1])
    >>> model.classify(x).shape, model.sample(4, y).shape
    (torch.Size([4, 10]), torch.Size([4, 1, 28, 28]))
    """

    kind = "m1+m2"

    def __init__(self, m1: VAE, top: SemiSupervisedVAE) -> None:
        super().__init__(
            m1.encoder,
            m1.posterior,
            m1.prior,
            m1.decoder,
            m1.likelihood,
            torch.nn.Identity(),  # q(y|z₁) is the top's
            image_shape=m1.image_shape,
            latent=m1.latent + top.latent,
            classes=top.classes,
        )
        self.requires_grad_(False)
        self.top, self.split = top, m1.latent

    @property
    def m1(self) -> VAE:
        """The VAE below, which shares its parts with this model."""
        parts = (self.encoder, self.posterior, self.prior, self.decoder, self.likelihood)
        return VAE(*parts, image_shape=self.image_shape, latent=self.split)

    def encode_images(self, x: Tensor) -> DiagonalNormal:
        """q(z₁|x), without a graph."""
        check_images(x, self.image_shape)
        with torch.no_grad():
            qz: DiagonalNormal = self.posterior(self.encoder(x, None))
        return qz

    def as_images(self, z: Tensor) -> Tensor:
        """z₁ ``(…, latent of M1)`` as the top's images ``(…, 1, 1, latent of M1)``."""
        return z[..., None, None, :]

    def below(self, x: Tensor, target: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
        """A draw of z₁ ~ q(z₁|x) as images, log p(target|z₁) and log q(z₁|x), both ``(batch,)``, without a graph."""
        qz = self.encode_images(x)
        with torch.no_grad():
            z = qz.rsample(1, generator)[0]
            log_px: Tensor = self.likelihood(decode(self.decoder, z, None)).log_prob(target)
            return self.as_images(z), log_px, qz.log_prob(z)

    def classify(self, x: Tensor) -> Tensor:
        """The logits of q(y|z₁) at the mean of q(z₁|x), ``(batch, classes)``; no randomness."""
        return self.top.classify(self.as_images(self.encode_images(x).mean))

    def encode(self, x: Tensor, c: Tensor | None = None) -> StackedPosterior:
        """q(z₁,z₂|x,y) = q(z₁|x) q(z₂|z₁,y)."""
        one_hot(c, self.classes, len(x))
        lower = self.encode_images(x)

        def upper(z: Tensor) -> DiagonalNormal:
            """q(z₂|z₁,y) of z₁ ``(sample, batch, latent)``."""
            assert c is not None
            flat = self.top.encode(self.as_images(z.flatten(0, 1)), c.repeat(len(z)))
            parts = (torch.unflatten(part, 0, z.shape[:2]) for part in (flat.mean, flat.log_std))
            return DiagonalNormal(*parts)

        at_mean = upper(lower.mean[None])
        mean = torch.cat([lower.mean, at_mean.mean[0]], dim=-1)
        return StackedPosterior(mean, torch.cat([lower.log_std, at_mean.log_std[0]], dim=-1), lower, upper)

    def decode(self, z: Tensor, c: Tensor | None = None) -> PixelDistribution:
        """p(x|z₁) of z = (z₁, z₂): given z₁, neither z₂ nor the label says more."""
        one_hot(c, self.classes, z.shape[-2])
        px: PixelDistribution = self.likelihood(decode(self.decoder, z[..., : self.split], None))
        return px

    def decode_top(self, z: Tensor, c: Tensor) -> PixelDistribution:
        """p(x|z₁) at E[z₁|z₂,y] of z₂ ``(batch, latent of M2)``: images of one style and another label."""
        return self.decode(self.top.decode(z, c).mean[..., 0, 0, :], c)

    def pz(self, batch: int, c: Tensor | None = None) -> LatentDistribution:
        """p(z₁,z₂|y) = p(z₂) p(z₁|z₂,y)."""
        upper = self.top.pz(batch, c)
        return StackedPrior(upper, lambda z: self.top.decode(z, c), self.split)


@dataclass(frozen=True)
class StackedPosterior(DiagonalNormal):
    """q(z₁|x) q(z₂|z₁,y); ``mean`` and ``log_std`` are z₁'s and, at the mean of z₁, z₂'s."""

    lower: DiagonalNormal
    upper: Callable[[Tensor], DiagonalNormal]

    def rsample(
        self, samples: int = 1, generator: torch.Generator | None = None, noise: Tensor | None = None
    ) -> Tensor:
        """z₁, then z₂ given z₁: ``(samples, batch, latent)``; ``noise`` is that of both."""
        if noise is None:
            noise = normal_noise((samples, *self.mean.shape), generator, self.mean)
        split = self.lower.mean.shape[-1]
        z = self.lower.rsample(noise=noise[..., :split])
        return torch.cat([z, self.upper(z).rsample(noise=noise[..., split:])], dim=-1)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z₁|x) + log q(z₂|z₁,y), ``(sample, batch)``."""
        lower, upper = z.tensor_split([self.lower.mean.shape[-1]], dim=-1)
        return self.lower.log_prob(lower) + self.upper(lower).log_prob(upper)


@dataclass(frozen=True)
class StackedPrior:
    """p(z₂) p(z₁|z₂,y)."""

    upper: LatentDistribution
    lower: Callable[[Tensor], PixelDistribution]
    split: int

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z₂) + log p(z₁|z₂,y), ``(sample, batch)``."""
        lower, upper = z.tensor_split([self.split], dim=-1)
        return self.upper.log_prob(upper) + self.lower(upper).log_prob(lower[..., None, None, :])

    def rsample(self, samples: int = 1, generator: torch.Generator | None = None) -> Tensor:
        """z₂, then z₁ given z₂: ``(samples, batch, latent)``."""
        upper = self.upper.rsample(samples, generator)
        lower = self.lower(upper).sample(generator)[..., 0, 0, :]
        return torch.cat([lower, upper], dim=-1)
