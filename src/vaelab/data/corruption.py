"""Noise on the input of a denoising autoencoder; its target stays clean."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaelab.randomness import image_seeds
from vaelab.specs import Registry

Corruption = Callable[[Tensor, torch.Generator], Tensor]
"""(x float in [0, 1] ``(batch, channel, height, width)``, generator) → x of the same shape and range, on its device."""

CORRUPTIONS: Registry[Corruption] = Registry("corruption")
"""Name → `Corruption`; the options are probabilities or in units of the pixel range."""


@CORRUPTIONS.register("none")
def none() -> Corruption:
    """No corruption: x as it is."""
    return lambda x, _: x


@CORRUPTIONS.register("gaussian")
def gaussian(*, std: float = 0.3, clip: bool = True) -> Corruption:
    """Normal noise, clipped: clip(x + std · ε, 0, 1), ε ~ N(0, 1). ``std`` ≥ 0; raises ValueError otherwise.

    ``clip=false`` leaves the noise as it is, for values that are not bound to [0, 1].
    """
    if not 0 <= std < float("inf"):
        raise ValueError(f"expected a finite std of at least 0, got {std}")

    def corrupt(x: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(x.shape, generator=generator, device=generator.device)
        noisy = x + std * noise.to(x)
        return noisy.clamp(0, 1) if clip else noisy

    return corrupt


@CORRUPTIONS.register("masking")
def masking(*, fraction: float = 0.3) -> Corruption:
    """Each pixel (all its channels) is 0 with probability ``fraction`` in [0, 1]; raises ValueError otherwise."""
    _check_fraction(fraction)

    def corrupt(x: Tensor, generator: torch.Generator) -> Tensor:
        return x.masked_fill(_uniform_per_pixel(x, generator) < fraction, 0.0)

    return corrupt


@CORRUPTIONS.register("salt-and-pepper")
def salt_and_pepper(*, fraction: float = 0.2) -> Corruption:
    """Each pixel (all its channels) is 0 or 1 with probability ``fraction``/2 each, in [0, 1]; else ValueError."""
    _check_fraction(fraction)

    def corrupt(x: Tensor, generator: torch.Generator) -> Tensor:
        noise = _uniform_per_pixel(x, generator)
        return x.masked_fill(noise < fraction, 1.0).masked_fill(noise < fraction / 2, 0.0)

    return corrupt


def corrupt_fixed(corruption: Corruption, x: Tensor, seed: int) -> Tensor:
    """Corrupt each image with noise seeded by (``seed``, its content): independent of the batch, order and device.

    >>> x = torch.rand(3, 1, 8, 8)
    >>> noisy = corrupt_fixed(masking(), x, 0)
    >>> bool(torch.equal(noisy[1:2], corrupt_fixed(masking(), x[1:2], 0)))
    True
    """
    source = torch.Generator()
    rows = []
    for row, image_seed in zip(torch.split(x, 1), image_seeds(x, seed, "corruption"), strict=True):
        source.manual_seed(image_seed)
        rows.append(corruption(row, source))
    return torch.cat(rows)


def _check_fraction(fraction: float) -> None:
    if not 0 <= fraction <= 1:
        raise ValueError(f"expected a fraction between 0 and 1, got {fraction}")


def _uniform_per_pixel(x: Tensor, generator: torch.Generator) -> Tensor:
    batch, _, height, width = x.shape
    return torch.rand((batch, 1, height, width), generator=generator, device=generator.device).to(x.device)
