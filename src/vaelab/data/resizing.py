"""Images of one size to squares of another."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from vaelab.data.images import MIN_SIZE, ImageData
from vaelab.data.streaming import StreamedImages
from vaelab.errors import UsageError

_CHUNK = 4096  # images at a time, so that the floats in between stay small


def check_size(size: int) -> None:
    """Raise `UsageError` for a size below 8 pixels."""
    if size < MIN_SIZE:
        raise UsageError(f"expected an image size of at least {MIN_SIZE} pixels, got {size}; choose a larger one")


def resize(data: ImageData, size: int) -> ImageData:
    """The centre square of every image, scaled to ``size`` × ``size`` pixels (≥ 8), bilinear and antialiased.

    Raises `UsageError` for a smaller size.

    >>> data = ImageData("zeros", torch.zeros(2, 1, 8, 12, dtype=torch.uint8))
    >>> resize(data, 16).image_shape
    (1, 16, 16)
    """
    check_size(size)
    if data.image_shape[1:] == (size, size):
        return data
    change = partial(_square_of_size, size=size)
    if isinstance(data.pixels, StreamedImages):  # each batch when it is read
        return replace(data, pixels=data.pixels.changed(change, (data.image_shape[0], size, size)))
    scaled = torch.cat([change(chunk) for chunk in data.chunks(_CHUNK)])
    return ImageData(data.name, scaled, data.labels, data.class_names)


def _square_of_size(images: Tensor, size: int) -> Tensor:
    return _scale(_centre_square(images), size)


def _centre_square(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[:, :, top : top + side, left : left + side]


def _scale(images: Tensor, size: int) -> Tensor:
    scaled = functional.interpolate(images.float(), size=(size, size), mode="bilinear", antialias=True)
    return scaled.round().clamp(0, 255).to(torch.uint8)
