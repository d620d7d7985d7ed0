"""What a model sees of an image: the pixel variants, drawn anew for training or fixed per image for evaluation."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from vaelab.data.images import ImageData
from vaelab.data.streaming import StreamedImages
from vaelab.errors import UsageError
from vaelab.randomness import image_seeds, uniform_per_image
from vaelab.specs import nearest

VARIANTS: dict[str, str] = {
    "grey": "grey pixels",
    "dynamic": "dynamically binarised pixels",
    "static": "statically binarised pixels",
    "dequantised": "dequantised pixels",
}
"""Pixel variant → what protocols call its pixels; `prepare` says how they are made."""

_CHUNK = 1000  # images binarised at a time, so that their noise stays small


def prepare(images: Tensor, variant: str, generator: torch.Generator) -> Tensor:
    """Images for training: uint8 ``(batch, channel, height, width)`` → float32 in [0, 1], on the images' device.

    grey x/255 · dynamic 1[255u < x] · static the same with u fixed per image · dequantised (x + u)/256, where u is
    uniform on [0, 1), from ``generator`` (of any device). Raises `UsageError` for an unknown variant.

    >>> x = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)
    >>> float(prepare(x, "grey", torch.Generator()).mean())
    1.0
    """
    check_variant(variant)
    if variant in ("grey", "static"):
        return prepare_fixed(images, variant, 0)
    noise = torch.rand(images.shape, generator=generator, device=generator.device)
    return _apply(images, variant, noise.to(images.device))


def prepare_fixed(images: Tensor, variant: str, seed: int) -> Tensor:
    """Images for evaluation: as `prepare`, with the noise of each image seeded by (``seed``, its content).

    So it depends neither on the batch nor on the order. The static variant ignores ``seed``: it is one data set.

    >>> x = torch.randint(256, (3, 1, 8, 8), dtype=torch.uint8)
    >>> bool(torch.equal(prepare_fixed(x, "dynamic", 0)[2:], prepare_fixed(x[2:], "dynamic", 0)))
    True
    """
    check_variant(variant)
    if variant == "grey":
        if images.is_floating_point():  # of `FeatureData`: no levels to be scaled
            return images
        # Divided by a tensor: by a number, some devices multiply by 1/255 instead, which is not exact.
        return images.float() / torch.full((), 255.0, device=images.device)
    seeds = image_seeds(images, 0 if variant == "static" else seed, variant)
    return _apply(images, variant, uniform_per_image(seeds, tuple(images.shape[1:]), images.device))


def binarise_static(data: ImageData) -> ImageData:
    """The static variant as a data set of levels 0 and 255, so that training draws it once and not in every batch.

    `prepare` leaves it as it is: as grey and as static it gives the same zeros and ones.
    """
    if isinstance(data.pixels, StreamedImages):  # each batch when it is read: the same values, nothing kept
        return replace(data, pixels=data.pixels.changed(_static_levels, data.image_shape))
    levels = torch.cat([_static_levels(chunk) for chunk in data.chunks(_CHUNK)])
    return ImageData(data.name, levels, data.labels, data.class_names)


def _static_levels(images: Tensor) -> Tensor:
    return prepare_fixed(images, "static", 0).to(torch.uint8) * 255


def check_variant(variant: str) -> None:
    """Raise `UsageError`, naming the nearest ones, for an unknown variant."""
    if variant not in VARIANTS:
        raise UsageError(f"unknown pixel variant {variant!r}; {nearest(variant, VARIANTS)}")


def _apply(images: Tensor, variant: str, noise: Tensor) -> Tensor:
    if variant == "dequantised":
        return (images.float() + noise) / 256
    return (noise * 255 < images.float()).float()
