"""Distributions over latents and pixels: log_prob, sample, mean, KL.

Latents are ``(sample, batch, latent)``, their parameters ``(batch, latent)``; images
``(…, channel, height, width)``. ``log_prob`` sums over latent dimensions or pixels, so what it returns is per sample
and image, in nats. Every draw takes the generator it draws from, or the noise itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vaelab.shares import normal_noise

LOG_2PI = math.log(2 * math.pi)


class LatentDistribution(Protocol):
    """What q(z|x,c) and p(z|c) offer."""

    def log_prob(self, z: Tensor) -> Tensor:
        """log-density of ``z (sample, batch, latent)``, in nats: ``(sample, batch)``."""
        ...

    def rsample(self, samples: int = 1, generator: torch.Generator | None = None) -> Tensor:
        """``(samples, batch, latent)``, differentiable where the distribution allows it."""
        ...


def soft_bound(value: Tensor, low: float, high: float) -> Tensor:
    """A smooth, increasing clamp to (low, high): close to the identity in the middle, and it never overflows.

    Where it bends it has a gradient still, so that a value a little outside finds its way back.

    high − softplus(high − low − softplus(value − low)).

    >>> soft_bound(torch.tensor([-1e9, 0.5, 1e9]), -20.0, 20.0)
    tensor([-20.0000,   0.5000,  20.0000])
    """
    softplus = torch.nn.functional.softplus
    return high - softplus(high - low - softplus(value - low))


def float32_or_more(value: Tensor) -> Tensor:
    """``value`` in float32, or in float64 where it is that: a network's output, whatever it was computed in."""
    return value if value.dtype == torch.float64 else value.float()


@dataclass(frozen=True)
class DiagonalNormal:
    """N(mean, diag exp(2 log_std)), one for each image: ``mean`` and ``log_std`` are ``(batch, latent)``.

    >>> qz = DiagonalNormal(torch.zeros(3, 2), torch.zeros(3, 2))
    >>> qz.rsample(5).shape, qz.kl_per_dimension(qz).sum().item()
    (torch.Size([5, 3, 2]), 0.0)
    """

    mean: Tensor
    log_std: Tensor

    def rsample(
        self, samples: int = 1, generator: torch.Generator | None = None, noise: Tensor | None = None
    ) -> Tensor:
        """The reparameterisation z = mean + exp(log_std) · ε, ε ~ N(0, I): ``(samples, batch, latent)``.

        ``noise`` replaces ε where it is given. Kingma & Welling 2013, arXiv:1312.6114.
        """
        if noise is None:
            noise = normal_noise((samples, *self.mean.shape), generator, self.mean)
        return self.mean + self.log_std.exp() * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """−½ Σ_j [ log 2π + 2 log σ_j + (z_j − μ_j)²/σ_j² ]."""
        standard = (z - self.mean) * (-self.log_std).exp()
        return -0.5 * (standard.square() + 2 * self.log_std + LOG_2PI).sum(-1)

    def kl_per_dimension(self, other: DiagonalNormal) -> Tensor:
        """KL(self ‖ other) of each latent dimension, in nats, ``(batch, latent)``; the sum over dimensions is the KL.

        log(τ/σ) + (σ² + (μ − ν)²) / (2 τ²) − ½ with other = N(ν, τ²).
        """
        log_ratio = other.log_std - self.log_std
        distance = (self.mean - other.mean).square() * (-2 * other.log_std).exp()
        return log_ratio + 0.5 * ((-2 * log_ratio).exp() + distance - 1)

    def detach(self) -> DiagonalNormal:
        """The same distribution, its parameters cut from the graph."""
        return DiagonalNormal(self.mean.detach(), self.log_std.detach())


@dataclass(frozen=True)
class NormalMixture:
    """Σ_k w_k N(mean_k, diag exp(2 log_std_k)).

    ``log_weights (batch, components)``, normalised; ``mean``, ``log_std`` ``(batch, components, latent)``. A batch of
    one stands for all images.
    """

    log_weights: Tensor
    mean: Tensor
    log_std: Tensor

    def log_prob(self, z: Tensor) -> Tensor:
        """log Σ_k w_k N(z; mean_k, σ_k²), ``(sample, batch)``."""
        components = DiagonalNormal(self.mean, self.log_std).log_prob(z.unsqueeze(-2))
        return torch.logsumexp(self.log_weights + components, dim=-1)

    def rsample(self, samples: int = 1, generator: torch.Generator | None = None) -> Tensor:
        """Choose a component, then draw from it: ``(samples, batch, latent)``. Not differentiable in the weights."""
        chosen = torch.multinomial(self.log_weights.exp(), samples, replacement=True, generator=generator).T
        index = chosen.unsqueeze(-1).expand(-1, -1, self.mean.shape[-1]).unsqueeze(-2)
        mean = self.mean.expand(samples, -1, -1, -1).gather(-2, index).squeeze(-2)
        log_std = self.log_std.expand(samples, -1, -1, -1).gather(-2, index).squeeze(-2)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean + log_std.exp() * noise


def kl_per_dimension(qz: LatentDistribution, pz: LatentDistribution) -> Tensor | None:
    """KL(q ‖ p) of each latent dimension in closed form, ``(batch, latent)``; None where there is no closed form."""
    if isinstance(qz, DiagonalNormal) and isinstance(pz, DiagonalNormal):
        return qz.kl_per_dimension(pz)
    return None


class PixelDistribution(Protocol):
    """What p(x|z,c) offers; images are ``(…, channel, height, width)`` in [0, 1]."""

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x|z,c) in nats, summed over channels and pixels."""
        ...

    def nats_per_pixel(self, x: Tensor) -> Tensor:
        """−log p(x_i|z,c) of each channel and pixel, of x's shape (and leading dimensions of z's)."""
        ...

    @property
    def mean(self) -> Tensor:
        """E[x|z,c]."""
        ...

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw."""
        ...


def _sum_pixels(values: Tensor) -> Tensor:
    return values.sum(dim=(-3, -2, -1))


@dataclass(frozen=True)
class Bernoulli:
    """Each pixel is 1 with probability sigmoid(logits).

    log p(x) = Σ [x η − softplus(η)], from logits, so that nothing is clamped. With grey x it is the binary cross
    entropy with soft targets: allowed, but no normalised likelihood.
    """

    logits: Tensor

    def log_prob(self, x: Tensor) -> Tensor:
        """Σ x log σ(η) + (1 − x) log σ(−η) = Σ x η − max(η, 0) + log σ(|η|)."""
        value: Tensor = _BernoulliLogProb.apply(self.logits, x)  # type: ignore[no-untyped-call]
        return value

    def nats_per_pixel(self, x: Tensor) -> Tensor:
        """The summands of −log p(x)."""
        x = x.expand_as(self.logits)
        return torch.nn.functional.binary_cross_entropy_with_logits(self.logits, x, reduction="none")

    @property
    def mean(self) -> Tensor:
        """sigmoid(logits)."""
        return self.logits.sigmoid()

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Zeros and ones."""
        return torch.bernoulli(self.mean, generator=generator)


class _BernoulliLogProb(torch.autograd.Function):
    """Bernoulli's log_prob, with the gradient x − σ(η) as it stands: half the passes over the pixels."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(logits, x)
        # The probability of the likelier of 0 and 1: between ½ and 1.
        likelier = float32_or_more(logits).abs().sigmoid_().flatten(-3)
        for _ in range(6):  # the logarithm of a product instead of the sum of logarithms; 2⁻⁶⁴ is far from 0
            if likelier.shape[-1] % 2:
                break
            half, other = likelier.chunk(2, -1)
            likelier = half.mul_(other)
        return _sum_pixels(logits.clamp_min(0).neg_().addcmul_(x, logits)).add_(likelier.log().sum(-1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        logits, x = ctx.saved_tensors
        gradient = gradient[..., None, None, None]
        of_x = (gradient * logits).sum_to_size(x.shape) if ctx.needs_input_grad[1] else None
        return torch.sigmoid(logits).sub_(x).mul_(-gradient), of_x


@dataclass(frozen=True)
class Normal:
    """Independent normal pixels: ``mean`` per pixel, ``log_std`` broadcastable to it."""

    mean: Tensor
    log_std: Tensor

    def log_prob(self, x: Tensor) -> Tensor:
        """−Σ [½ (x − μ)²/σ² + log σ + ½ log 2π]."""
        return -_sum_pixels(self.nats_per_pixel(x))

    def nats_per_pixel(self, x: Tensor) -> Tensor:
        """The summands of −log p(x)."""
        standard = (x - self.mean) * (-self.log_std).exp()
        return 0.5 * standard.square() + self.log_std + 0.5 * LOG_2PI

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw; it may leave [0, 1], as the density does."""
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + self.log_std.exp() * noise


@dataclass(frozen=True)
class ContinuousBernoulli:
    """Density ∝ exp(η x) on [0, 1] for each pixel: the normalised form of the cross entropy on grey images.

    log p(x) = η x − log((e^η − 1)/η). Loaiza-Ganem & Cunningham 2019, arXiv:1907.06845.
    """

    logits: Tensor

    def log_prob(self, x: Tensor) -> Tensor:
        """Σ [−|η| d − log((1 − e^(−|η|)) / |η|)], d = 1 − x for η > 0 and x for η < 0: nothing cancels for large |η|.

        Near η = 0 the series Σ [η (x − ½) − η²/24 + η⁴/2880].
        """
        return -_sum_pixels(self.nats_per_pixel(x))

    def nats_per_pixel(self, x: Tensor) -> Tensor:
        """The summands of −log p(x)."""
        small, near, far = _split_at_zero(self.logits, 0.2)
        series = near * (0.5 - x) + near.square() / 24 - near.square().square() / 2880
        size = far.abs()
        exact = size * torch.where(far > 0, 1 - x, x) + torch.log(-torch.expm1(-size) / size)
        return torch.where(small, series, exact)

    @property
    def mean(self) -> Tensor:
        """½ + ½ (coth(η/2) − 2/η)."""
        small, near, far = _split_at_zero(0.5 * self.logits, 0.05)
        return 0.5 + 0.5 * torch.where(small, near / 3 - near**3 / 45, 1 / torch.tanh(far) - 1 / far)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Inverse distribution function: x = log(1 + u (e^η − 1)) / η."""
        u = torch.rand(self.logits.shape, generator=generator, device=self.logits.device, dtype=self.logits.dtype)
        size = self.logits.abs()
        small = size < 1e-3
        safe = torch.where(small, torch.ones_like(size), size)
        # For η > 0 in the form that cannot overflow: 1 + log(u + (1 − u) e^(−η)) / η; η < 0 is its mirror image.
        inner = (u + (1 - u) * (-safe).exp()).clamp_min(torch.finfo(u.dtype).tiny).log()
        rising = torch.where(small, u, 1 + inner / safe).clamp(0, 1)
        return torch.where(self.logits < 0, 1 - rising, rising)


def _split_at_zero(value: Tensor, width: float) -> tuple[Tensor, Tensor, Tensor]:
    """Where |value| < width; the value there (else 0), for a series; the value elsewhere (else 1), for the exact form.

    Neither form sees what it cannot take: where() alone would pass the gradient's NaN on.
    """
    small = value.abs() < width
    return small, torch.where(small, value, torch.zeros_like(value)), torch.where(small, torch.ones_like(value), value)


@dataclass(frozen=True)
class DiscretisedLogistic:
    """A mixture of logistics with their mass binned to the 256 grey levels k/255; the outer bins are open.

    ``locations``, ``log_scale``, ``log_weights``: ``(…, components, channel, height, width)``; the last are normalised
    over components. P(k) = Σ_m w_m [F_m(k/255 + 1/510) − F_m(k/255 − 1/510)], F the logistic distribution function.
    Salimans et al. 2017, arXiv:1701.05517 (without the coupling of colour channels).
    """

    locations: Tensor
    log_scale: Tensor
    log_weights: Tensor

    def log_prob(self, x: Tensor) -> Tensor:
        """Σ log P(k) of the levels ``x`` = k/255, which are not rounded; finite however unlikely a level."""
        return -_sum_pixels(self.nats_per_pixel(x))

    def nats_per_pixel(self, x: Tensor) -> Tensor:
        """−log P(k) of each."""
        x = x.unsqueeze(-4)
        inverse = (-self.log_scale).exp()
        upper = (x - self.locations + 1 / 510) * inverse
        lower = (x - self.locations - 1 / 510) * inverse
        log_sigmoid = torch.nn.functional.logsigmoid
        # σ(b) − σ(a) = σ(b) σ(−a) (1 − e^(a − b)): no cancellation, in either tail. An open bin has one factor only.
        inner = log_sigmoid(upper) + log_sigmoid(-lower) + torch.log(-torch.expm1(-inverse / 255))
        log_mass = torch.where(x > 1 - 1 / 510, log_sigmoid(-lower), inner)
        log_mass = torch.where(x < 1 / 510, log_sigmoid(upper), log_mass)
        return -torch.logsumexp(self.log_weights + log_mass, dim=-4)

    @property
    def mean(self) -> Tensor:
        """E[clip(X, 0, 1)] of the mixture of logistics X, the mean to within half a grey level.

        Σ_m w_m s_m [softplus(μ_m/s_m) − softplus((μ_m − 1)/s_m)], the integral of P(X > t) over t in [0, 1].
        """
        softplus, inverse = torch.nn.functional.softplus, (-self.log_scale).exp()
        inside = softplus(self.locations * inverse) - softplus((self.locations - 1) * inverse)
        return (self.log_weights.exp() * inside / inverse).sum(-4).clamp(0, 1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """A level k/255."""

        def uniform(shape: torch.Size) -> Tensor:
            u = torch.rand(shape, generator=generator, device=self.locations.device, dtype=self.locations.dtype)
            return u.clamp(1e-7, 1 - 1e-7)

        u = uniform(self.log_weights.shape)
        chosen = (self.log_weights - torch.log(-torch.log(u))).argmax(dim=-4, keepdim=True)
        location = self.locations.gather(-4, chosen).squeeze(-4)
        scale = self.log_scale.expand_as(self.locations).gather(-4, chosen).squeeze(-4).exp()
        return ((location + scale * torch.logit(uniform(location.shape))).clamp(0, 1) * 255).round() / 255
