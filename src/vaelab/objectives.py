"""Objectives: (model, x, c, target) → the loss to differentiate, and the honest bound with its parts, per image.

An objective is beside the model, not a kind of model. Whatever it weights or clips for its gradient, ``bound``,
``reconstruction`` and ``kl`` stay the plain ones, in nats per image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaelab.autoencoder import Autoencoder
from vaelab.distributions import DiagonalNormal, LatentDistribution, kl_per_dimension
from vaelab.semisupervised import SemiSupervisedVAE
from vaelab.shares import batch_mean, batch_sum, normal_noise
from vaelab.specs import Registry
from vaelab.stacked import StackedVAE
from vaelab.vae import VAE


@dataclass(frozen=True)
class Terms:
    """What an objective returns; ``(batch,)`` tensors in nats per image.

    ``loss``: a scalar, to differentiate. ``reconstruction``: −E_q log p(x|z,c). ``kl``: KL(q(z|x,c) ‖ p(z|c)).
    ``bound``: a lower bound on log p(x|c); None for an autoencoder. ``beta``: the weight of the KL in this step.
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor
    bound: Tensor | None
    beta: float = 1.0


def batch_means(terms: Terms) -> Tensor:
    """loss, −ELBO, reconstruction, KL as one tensor on the device, cut from the graph.

    −ELBO is reconstruction + KL whatever the objective; an importance-weighted bound is in the loss.
    """
    reconstruction, kl = terms.reconstruction.mean(), terms.kl.mean()
    return torch.stack([terms.loss, reconstruction + kl, reconstruction, kl]).detach()


@dataclass(frozen=True)
class Draw:
    """``samples`` of z for each image, and the log-densities the bounds are made of, each ``(samples, batch)``."""

    z: Tensor
    qz: DiagonalNormal
    pz: LatentDistribution
    log_px: Tensor

    @property
    def kl(self) -> Tensor:
        """KL(q ‖ p) per image ``(batch,)``: closed form where there is one, else the mean over the samples."""
        closed = kl_per_dimension(self.qz, self.pz)
        if closed is not None:
            return closed.sum(-1)
        return (self.qz.log_prob(self.z) - self.pz.log_prob(self.z)).mean(0)

    def log_weights(self, qz: DiagonalNormal | None = None) -> Tensor:
        """log p(x|z,c) + log p(z|c) − log q(z|x,c), ``(samples, batch)``."""
        return self.log_px + self.pz.log_prob(self.z) - (qz or self.qz).log_prob(self.z)


Weigh = Callable[[Tensor], Tensor]


def draw(
    model: VAE,
    x: Tensor,
    c: Tensor | None = None,
    target: Tensor | None = None,
    *,
    samples: int = 1,
    generator: torch.Generator | None = None,
    noise: Tensor | None = None,
    on_z: Callable[[Tensor], None] | None = None,
) -> Draw:
    """Encode ``x``, draw ``samples`` of z (or use ``noise``, of z's shape), decode, score ``target`` or x."""
    qz = model.encode(x, c)
    z = qz.rsample(samples, generator, noise)
    if on_z is not None:
        on_z(z)
    log_px = model.decode(z, c).log_prob(x if target is None else target)
    return Draw(z, qz, model.pz(len(x), c), log_px)


class Objective:
    """``objective(model, x, c, target, epoch=…, generator=…)`` → `Terms`. ``epoch`` counts fractions, from 0."""

    def bind(self, model: Any) -> None:
        """Take from the model what the weights depend on; before `weight` is asked."""

    def weight(self, epoch: float) -> float:
        """The weight of the KL, β, after ``epoch`` epochs."""
        return 1.0

    def __call__(
        self,
        model: Any,  # a VAE, or an Autoencoder where the objective is made for it
        x: Tensor,
        c: Tensor | None = None,
        target: Tensor | None = None,
        *,
        epoch: float = float("inf"),
        generator: torch.Generator | None = None,
    ) -> Terms:
        """See the class."""
        raise NotImplementedError


OBJECTIVES: Registry[Objective] = Registry("objective")


def _at_least(name: str, value: float, low: float) -> None:
    if not low <= value < math.inf:
        raise ValueError(f"expected a finite {name} ≥ {low:g}, got {value}")


@OBJECTIVES.register("elbo")
class ELBO(Objective):
    """loss = w · (−E_q log p(x|z,c)) + β · KL, by default the negative ELBO.

    β rises linearly from 0 over the first ``warmup`` epochs. ``free_bits`` λ (nats per latent dimension) replaces the
    KL's batch mean in each dimension by max(λ, ·) in the loss. ``beta=0``: reconstruction only;
    ``reconstruction_weight=0``: KL only. ``samples`` draws of z for each image. ``per_pixel``: ``beta`` is the weight
    beside a reconstruction that is a mean over the image's D pixel values; the β of the loss is then D times as large.

    β: Higgins et al. 2017 (β-VAE); warm-up: Bowman et al. 2015, arXiv:1511.06349; free bits: Kingma et al. 2016,
    arXiv:1606.04934.
    """

    def __init__(
        self,
        *,
        beta: float = 1.0,
        reconstruction_weight: float = 1.0,
        warmup: float = 0.0,
        free_bits: float = 0.0,
        samples: int = 1,
        per_pixel: bool = False,
    ) -> None:
        for name, value in (("beta", beta), ("reconstruction_weight", reconstruction_weight), ("warmup", warmup)):
            _at_least(name, value, 0)
        _at_least("free_bits", free_bits, 0)
        _at_least("samples", samples, 1)
        if beta == 0 and reconstruction_weight == 0:
            raise ValueError("beta and reconstruction_weight are both 0: nothing is left to learn")
        self.beta, self.reconstruction_weight = float(beta), float(reconstruction_weight)
        self.warmup, self.free_bits, self.samples = float(warmup), float(free_bits), samples
        self.per_pixel, self.pixels = per_pixel, 1

    def bind(self, model: VAE) -> None:
        """The number of pixel values, where β is one for each."""
        self.pixels = math.prod(model.image_shape) if self.per_pixel else 1

    def weight(self, epoch: float) -> float:
        """β after ``epoch`` epochs."""
        beta = self.beta * self.pixels
        return beta * min(1.0, epoch / self.warmup) if self.warmup else beta

    def __call__(
        self,
        model: VAE,
        x: Tensor,
        c: Tensor | None = None,
        target: Tensor | None = None,
        *,
        epoch: float = float("inf"),
        generator: torch.Generator | None = None,
    ) -> Terms:
        """See `Objective`."""
        self.bind(model)
        drawn = draw(model, x, c, target, samples=self.samples, generator=generator)
        reconstruction, kl = -drawn.log_px.mean(0), drawn.kl
        beta = self.weight(epoch)
        loss = self.reconstruction_weight * reconstruction.mean() + beta * self._penalty(drawn, kl)
        return Terms(loss, reconstruction, kl, -(reconstruction + kl), beta)

    def _penalty(self, drawn: Draw, kl: Tensor) -> Tensor:
        if not self.free_bits:
            return kl.mean()
        by_dimension = kl_per_dimension(drawn.qz, drawn.pz)
        if by_dimension is None:  # no closed form, so no value for each dimension: the same nats for all together
            least = self.free_bits * drawn.z.shape[-1]
            return torch.where(batch_mean(kl) <= least, least, kl.mean())
        # A mean over the whole batch decides which dimensions are free, also where processes share the batch.
        free = batch_mean(by_dimension) <= self.free_bits
        return torch.where(free, self.free_bits, by_dimension.mean(0)).sum()


@OBJECTIVES.register("iwae")
class IWAE(Objective):
    """The importance-weighted bound: log (1/K) Σ_k w_k, w_k = p(x|z_k,c) p(z_k|c) / q(z_k|x,c), K = ``samples``.

    ``doubly`` takes the encoder's gradient doubly reparameterised: Σ_k w̃_k² ∂log w_k/∂z_k · ∂z_k/∂φ, w̃ normalised; same
    expectation, less noise. Burda et al. 2015, arXiv:1509.00519; Tucker et al. 2018, arXiv:1810.04152.
    """

    def __init__(self, *, samples: int = 5, doubly: bool = False) -> None:
        _at_least("samples", samples, 1)
        self.samples, self.doubly = samples, doubly

    def __call__(
        self,
        model: VAE,
        x: Tensor,
        c: Tensor | None = None,
        target: Tensor | None = None,
        *,
        epoch: float = float("inf"),
        generator: torch.Generator | None = None,
    ) -> Terms:
        """See `Objective`."""
        normalised: list[Tensor] = []

        def square_the_weights(z: Tensor) -> None:
            if self.doubly and z.requires_grad:
                z.register_hook(lambda gradient: gradient * normalised[0].unsqueeze(-1))  # type: ignore[no-untyped-call]

        drawn = draw(model, x, c, target, samples=self.samples, generator=generator, on_z=square_the_weights)
        log_w = drawn.log_weights(drawn.qz.detach() if self.doubly else None)
        bound = importance_bound(log_w)
        normalised.append(log_w.detach().softmax(0))
        loss = -bound.mean()
        if self.doubly:
            # The surrogate lends its gradient only: the loss has the bound's value.
            surrogate = -(normalised[0] * log_w).sum(0).mean()
            bound = bound.detach()
            loss = surrogate + (loss - surrogate).detach()
        return Terms(loss, -drawn.log_px.mean(0), drawn.kl, bound)


def importance_bound(log_weights: Tensor) -> Tensor:
    """log (1/K) Σ_k exp(log_weights_k): ``(samples, batch)`` → ``(batch,)``."""
    samples = torch.tensor(float(len(log_weights)), dtype=log_weights.dtype, device=log_weights.device)
    return log_weights.logsumexp(0) - samples.log()


@OBJECTIVES.register("reconstruction")
class Reconstruction(Objective):
    """loss = −log p(target|z), for an `Autoencoder`. No bound; ``kl`` is 0."""

    def weight(self, epoch: float) -> float:
        """There is no KL."""
        return 0.0

    def __call__(
        self,
        model: Autoencoder,
        x: Tensor,
        c: Tensor | None = None,
        target: Tensor | None = None,
        *,
        epoch: float = float("inf"),
        generator: torch.Generator | None = None,
    ) -> Terms:
        """See `Objective`."""
        reconstruction = -model.decode(model.encode(x, c), c).log_prob(x if target is None else target)
        return Terms(reconstruction.mean(), reconstruction, torch.zeros_like(reconstruction), None, 0.0)


@OBJECTIVES.register("m2")
class M2(Objective):
    """The bound of a partly labelled data set, for a `SemiSupervisedVAE` or a `StackedVAE`; labels −1 (or none) unseen.

    With −L(x,y) = E_q(z|x,y) log p(x|z,y) − KL(q(z|x,y) ‖ p(z)) + log p(y), the bound of a labelled image is −L(x,y) ≤
    log p(x,y), of an unlabelled one −U(x) = −Σ_y q(y|x) L(x,y) + H(q(y|x)) ≤ log p(x): all labels in one pass, with the
    same ``samples`` draws of noise for each. ``reconstruction`` and ``kl`` of an unlabelled image are those of (y, z).

    loss = −(Σ_u bound + λ Σ_l bound) / (n_u + λ n_l) + ``alpha`` · (1/n_l) Σ_l −log q(y_l|x_l) over the batch's n_u
    unlabelled and n_l labelled images; λ = ``labelled``. So ``alpha=0.1`` is the paper's α = 0.1 N for its sum over N
    images. Kingma, Rezende, Mohamed & Welling 2014, arXiv:1406.5298.
    """

    def __init__(self, *, alpha: float = 0.1, labelled: float = 1.0, samples: int = 1) -> None:
        _at_least("alpha", alpha, 0)
        _at_least("labelled", labelled, 0)
        _at_least("samples", samples, 1)
        self.alpha, self.labelled, self.samples = float(alpha), float(labelled), samples

    def __call__(
        self,
        model: SemiSupervisedVAE,
        x: Tensor,
        c: Tensor | None = None,
        target: Tensor | None = None,
        *,
        epoch: float = float("inf"),
        generator: torch.Generator | None = None,
    ) -> Terms:
        """See `Objective`."""
        target = x if target is None else target
        labels = torch.full((len(x),), -1, device=x.device) if c is None else c
        if isinstance(model, StackedVAE):  # M2 of a draw of z₁: −log p(z₁,y) takes the place of the prior's −log p(z₁)
            z, log_px, log_qz = model.below(x, target, generator)
            log_q, top_reconstruction, top_kl = self._bounds(model.top, z, labels, z, generator)
            reconstruction, kl = -log_px, log_qz + top_reconstruction + top_kl
        else:
            log_q, reconstruction, kl = self._bounds(model, x, labels, target, generator)
        seen = (labels >= 0).float()
        weights = 1 - seen + self.labelled * seen
        errors = -log_q.gather(1, labels.clamp_min(0)[:, None])[:, 0] * seen
        bound = -(reconstruction + kl)
        # The sums below the fractions' lines are the whole batch's, in proportion, where processes share it.
        loss = -(weights * bound).sum() / batch_sum(weights).clamp_min(1e-9)
        loss = loss + self.alpha * errors.sum() / batch_sum(seen).clamp_min(1e-9)
        return Terms(loss, reconstruction, kl, bound)

    def _bounds(
        self,
        model: SemiSupervisedVAE,
        x: Tensor,
        labels: Tensor,
        target: Tensor,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """log q(y|x) ``(batch, classes)``, reconstruction, KL ``(batch,)``; a labelled image with its own label."""
        log_q = model.classify(x).log_softmax(-1)
        known, hidden = torch.nonzero(labels >= 0)[:, 0], torch.nonzero(labels < 0)[:, 0]
        rows = torch.cat([known, hidden.repeat(model.classes)])
        every = torch.arange(model.classes, device=x.device).repeat_interleave(len(hidden))
        noise = normal_noise((self.samples, len(x), model.latent), generator, x)
        drawn = draw(
            model, x[rows], torch.cat([labels[known], every]), target[rows], samples=self.samples, noise=noise[:, rows]
        )
        reconstruction, kl = -drawn.log_px.mean(0), drawn.kl + math.log(model.classes)
        shape = (model.classes, len(hidden))
        log_qy = log_q[hidden].T
        expected = (log_qy.exp() * reconstruction[len(known) :].view(shape)).sum(0)
        divergence = (log_qy.exp() * (kl[len(known) :].view(shape) + log_qy)).sum(0)
        places = torch.cat([known, hidden]).argsort()
        return (
            log_q,
            torch.cat([reconstruction[: len(known)], expected])[places],
            torch.cat([kl[: len(known)], divergence])[places],
        )
