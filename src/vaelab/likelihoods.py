"""Likelihoods: decoder output → p(x|z,c), and the pixel variants each is valid for.

``measures`` maps a pixel variant (grey, dynamic, static, dequantised) to what log p(x|z,c) is on it:

- ``mass``: a probability mass of the discrete pixels; −log₂ p per dimension is a code length;
- ``density``: a density of continuous pixels; on dequantised data it bounds the mass of the levels;
- ``unnormalised``: no likelihood of this data (grey pixels under a Bernoulli; a density at discrete values). Allowed,
  because the course sheets use it, and labelled so in every result.

A variant that is not listed is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from vaelab.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    DiscretisedLogistic,
    Normal,
    PixelDistribution,
    soft_bound,
)
from vaelab.specs import Registry


class Likelihood(nn.Module):
    """``outputs_per_channel``: how many numbers the decoder gives for a pixel and channel."""

    outputs_per_channel = 1
    measures: Mapping[str, str] = MappingProxyType({})

    def forward(self, output: Tensor) -> PixelDistribution:
        """``(…, outputs_per_channel × channel, height, width)`` → p(x|z,c)."""
        raise NotImplementedError

    def bits_per_dimension(self, nats: float, dimensions: int, variant: str) -> float | None:
        """−log p in nats per image → bits per dimension of the 8-bit (or binary) image; None where that means nothing.

        mass: nats / (D ln 2); a density of pixels scaled by 1/256: (nats + D ln 256) / (D ln 2).

        >>> BernoulliLikelihood().bits_per_dimension(784 * math.log(2), 784, "dynamic")
        1.0
        """
        measure = self.measures.get(variant)
        if measure == "mass":
            return nats / (dimensions * math.log(2))
        if measure == "density" and variant == "dequantised":
            return (nats / dimensions + math.log(256)) / math.log(2)
        return None


LIKELIHOODS: Registry[Likelihood] = Registry("likelihood")


@LIKELIHOODS.register("bernoulli")
class BernoulliLikelihood(Likelihood):
    """Pixels are 0 or 1; the decoder gives logits. See `distributions.Bernoulli`."""

    measures = MappingProxyType(
        {"dynamic": "mass", "static": "mass", "grey": "unnormalised", "dequantised": "unnormalised"}
    )

    def forward(self, output: Tensor) -> Bernoulli:
        """See `Likelihood`."""
        return Bernoulli(output)


@LIKELIHOODS.register("normal")
class NormalLikelihood(Likelihood):
    """N(mean, σ²) with one σ for all pixels, fixed (``std``) or learned from there; the mean through a sigmoid.

    ``mean=identity`` leaves the decoder's output as it is. ``heteroscedastic``: the decoder gives log (σ / ``std``) of
    each pixel, too, in a second set of channels; σ stays between ``std``/20 and 20 ``std``.
    """

    measures = MappingProxyType({"dequantised": "density", "grey": "unnormalised"})

    def __init__(
        self, *, std: float = 0.1, learned: bool = False, mean: str = "sigmoid", heteroscedastic: bool = False
    ) -> None:
        super().__init__()
        if learned and heteroscedastic:
            raise ValueError("learned and heteroscedastic are two ways to learn σ; leave one of them out")
        self.heteroscedastic, self.outputs_per_channel = heteroscedastic, 2 if heteroscedastic else 1
        if not 1e-4 <= std <= 1e4:
            raise ValueError(f"expected std between 0.0001 and 10000, got {std}")
        if mean not in ("sigmoid", "identity"):
            raise ValueError(f"expected mean=sigmoid or mean=identity, got {mean}")
        self.squash = mean == "sigmoid"
        log_std = torch.tensor(math.log(std))
        self.log_std: Tensor
        if learned:
            self.log_std = nn.Parameter(log_std)
        else:
            self.register_buffer("log_std", log_std, persistent=False)

    def forward(self, output: Tensor) -> Normal:
        """See `Likelihood`."""
        log_std = self.log_std
        if self.heteroscedastic:
            output, relative = output.chunk(2, dim=-3)
            log_std = log_std + soft_bound(relative, -3.0, 3.0)
        mean = output.sigmoid() if self.squash else output
        return Normal(mean, soft_bound(log_std, -20.0, 20.0))


@LIKELIHOODS.register("continuous-bernoulli")
class ContinuousBernoulliLikelihood(Likelihood):
    """A normalised density on [0, 1] with the cross entropy's shape. See `distributions.ContinuousBernoulli`."""

    measures = MappingProxyType({"dequantised": "density", "grey": "unnormalised"})

    def forward(self, output: Tensor) -> ContinuousBernoulli:
        """See `Likelihood`."""
        return ContinuousBernoulli(output)


@LIKELIHOODS.register("logistic")
class LogisticLikelihood(Likelihood):
    """Discretised logistics over the 256 grey levels, ``components`` of them mixed. See `DiscretisedLogistic`."""

    measures = MappingProxyType({"grey": "mass"})

    def __init__(self, *, components: int = 1) -> None:
        super().__init__()
        if components < 1:
            raise ValueError(f"expected components ≥ 1, got {components}")
        self.components = components
        self.outputs_per_channel = components * (2 if components == 1 else 3)

    def forward(self, output: Tensor) -> DiscretisedLogistic:
        """See `Likelihood`."""
        parts = 2 if self.components == 1 else 3
        channels = output.shape[-3] // (parts * self.components)
        shaped = torch.unflatten(output, -3, (parts, self.components, channels))
        # Scales from a thousandth of a level to several times the range; they start near a tenth of the range.
        location, log_scale = shaped.select(-5, 0), soft_bound(shaped.select(-5, 1) - 2.0, -12.0, 2.0)
        weights = torch.zeros_like(location) if parts == 2 else shaped.select(-5, 2).log_softmax(-4)
        # Locations a little beyond [0, 1], so that the outer levels can take all the mass.
        return DiscretisedLogistic(1.2 * location.sigmoid() - 0.1, log_scale, weights)
