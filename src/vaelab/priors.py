"""Priors p(z|c). A prior is called with the condition and the posterior, and gives the distribution of a batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vaelab.distributions import DiagonalNormal, LatentDistribution, NormalMixture, soft_bound
from vaelab.posteriors import LOG_STD_RANGE
from vaelab.specs import Registry

Encode = Callable[[Tensor, Tensor | None], DiagonalNormal]
PRIORS: Registry[nn.Module] = Registry("prior")


class Prior(nn.Module):
    """What a prior is built from: the latent size, the image's shape, the number of classes (0: no condition)."""

    def __init__(self, latent: int, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.latent, self.image_shape, self.classes = latent, image_shape, classes

    def forward(self, batch: int, c: Tensor | None, encode: Encode) -> LatentDistribution:
        """p(z|c) of a batch: ``c`` int64 labels ``(batch,)``; ``encode`` is the model's (images, labels) → q(z|x,c)."""
        raise NotImplementedError


@PRIORS.register("normal")
class StandardNormal(Prior):
    """p(z) = N(0, I), nothing learned."""

    zero: Tensor

    def __init__(self, latent: int, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(latent, image_shape, classes)
        self.register_buffer("zero", torch.zeros(1), persistent=False)

    def forward(self, batch: int, c: Tensor | None, encode: Encode) -> DiagonalNormal:
        """See `Prior`."""
        zeros = self.zero.expand(batch, self.latent)
        return DiagonalNormal(zeros, zeros)


@PRIORS.register("mixture")
class MixturePrior(Prior):
    """p(z) = Σ_k w_k N(μ_k, diag σ_k²), everything learned; with ``per_class`` one such mixture for each class.

    The means start from N(0, 1) draws with σ = 1, so that the start is close to the standard normal.
    """

    def __init__(
        self,
        latent: int,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        components: int = 10,
        per_class: bool = False,
    ) -> None:
        super().__init__(latent, image_shape, classes)
        if components < 1:
            raise ValueError(f"expected components ≥ 1, got {components}")
        if per_class and not classes:
            raise ValueError("per_class needs a model with a condition; drop it or train with labels")
        sets = classes if per_class else 1
        self.per_class = per_class
        self.logits = nn.Parameter(torch.zeros(sets, components))
        self.mean = nn.Parameter(torch.randn(sets, components, latent))
        self.log_std = nn.Parameter(torch.zeros(sets, components, latent))

    def forward(self, batch: int, c: Tensor | None, encode: Encode) -> NormalMixture:
        """See `Prior`."""
        log_std = soft_bound(self.log_std, *LOG_STD_RANGE)
        mixture = NormalMixture(self.logits.log_softmax(-1), self.mean, log_std)
        return _of_batch(mixture, batch, c if self.per_class else None)


@PRIORS.register("vamp")
class VampPrior(Prior):
    """p(z|c) = 1/K Σ_k q(z|u_k, c): the posterior's mixture over K learned pseudo-inputs u_k.

    The pseudo-inputs are images in (0, 1), held as logits. Tomczak & Welling 2018, arXiv:1705.07120.
    """

    def __init__(self, latent: int, image_shape: tuple[int, int, int], classes: int, *, components: int = 100) -> None:
        super().__init__(latent, image_shape, classes)
        if components < 1:
            raise ValueError(f"expected components ≥ 1, got {components}")
        self.components = components
        self.inputs = nn.Parameter(torch.randn(components, *image_shape))

    def forward(self, batch: int, c: Tensor | None, encode: Encode) -> NormalMixture:
        """See `Prior`."""
        sets = self.classes or 1
        images = self.inputs.sigmoid().repeat(sets, 1, 1, 1)
        labels = None if c is None else torch.arange(sets, device=c.device).repeat_interleave(self.components)
        qz = encode(images, labels)
        shape = (sets, self.components, self.latent)
        weights = qz.mean.new_full((sets, self.components), 1 / self.components).log()
        return _of_batch(NormalMixture(weights, qz.mean.view(shape), qz.log_std.view(shape)), batch, c)


def _of_batch(mixture: NormalMixture, batch: int, c: Tensor | None) -> NormalMixture:
    """Each image's own mixture: its class's, or the only one."""
    parts = (mixture.log_weights, mixture.mean, mixture.log_std)
    if c is None:
        return NormalMixture(*(part.expand(batch, *part.shape[1:]) for part in parts))
    return NormalMixture(*(part[c] for part in parts))
