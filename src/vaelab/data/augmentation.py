"""Random changes of the training images, input and target alike: more images than there are.

The model is then fitted to the changed images' distribution, so its bounds on the unchanged ones are honest as ever.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaelab.specs import Registry

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""(images ``(batch, channel, height, width)`` of any type, generator) → images of the same shape, type and device."""

AUGMENTATIONS: Registry[Augmentation] = Registry("augmentation")
"""Name → `Augmentation`."""


@AUGMENTATIONS.register("none")
def none() -> Augmentation:
    """No augmentation: the images as they are."""
    return lambda images, _: images


@AUGMENTATIONS.register("shift")
def shift(*, pixels: int = 1) -> Augmentation:
    """Each image moved by whole pixels, evenly from −``pixels`` to ``pixels`` down and across; its edge is repeated.

    ``pixels`` ≥ 0; raises ValueError otherwise.
    """
    if pixels < 0:
        raise ValueError(f"expected pixels ≥ 0, got {pixels}")

    def moved(images: Tensor, generator: torch.Generator) -> Tensor:
        batch, _, height, width = images.shape
        drawn = torch.randint(-pixels, pixels + 1, (2, batch, 1), generator=generator, device=generator.device)
        down, across = drawn.to(images.device)
        rows = (torch.arange(height, device=images.device) - down).clamp(0, height - 1)
        columns = (torch.arange(width, device=images.device) - across).clamp(0, width - 1)
        which = torch.arange(batch, device=images.device)[:, None, None]
        # The channels come last where they stand between the indices.
        return images[which, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1).contiguous()

    return moved
