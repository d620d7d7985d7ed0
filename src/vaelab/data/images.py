"""`ImageData`: images and labels, in memory or streamed, checked once; `Splits`: train, validation, test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vaelab.data.streaming import StreamedImages
from vaelab.errors import DataError

MIN_SIZE = 8
"""Smallest height and width, pixels: below it the networks have nothing to downsample."""
HIDDEN = -1
"""The label of an image whose class is not known; only semi-supervised models can be trained on it."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images in [0, 255] with optional labels; the images in memory, or on disk and read batch by batch.

    ``pixels`` uint8 ``(n, channels, height, width)`` with 1 or 3 channels, height and width ≥ 8: a tensor, or
    `StreamedImages`; ``labels`` int64 ``(n,)`` in 0…classes-1, −1 where the class is not known, or None;
    ``class_names`` one name a class, empty without labels. Raises `DataError` where something else comes.

    >>> data = ImageData("zeros", torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]), ("a", "b"))
    >>> len(data), data.image_shape, data.classes
    (4, (1, 8, 8), 2)
    """

    name: str
    pixels: Tensor | StreamedImages
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_images()
        if self.labels is not None:
            self._check_labels(self.labels)
        elif self.class_names:
            raise DataError(
                f"{self.name}: expected labels for the {len(self.class_names)} class names, got none; "
                f"leave the names out"
            )

    def _check_images(self) -> None:
        pixels = self.pixels
        if pixels.dtype != torch.uint8:
            raise DataError(
                f"{self.name}: expected uint8 images, got {pixels.dtype}; scale them to whole levels 0 to 255"
            )
        shape = tuple(pixels.shape)
        if len(shape) != 4:
            raise DataError(
                f"{self.name}: expected images of shape (n, channels, height, width), got {shape}; add what is missing"
            )
        if shape[0] == 0:
            raise DataError(f"{self.name}: expected at least one image, got none; give it images")
        if shape[1] not in (1, 3):
            raise DataError(
                f"{self.name}: expected 1 (grey) or 3 (RGB) channels, got {shape[1]}; convert the images to grey or RGB"
            )
        if min(shape[2:]) < MIN_SIZE:
            raise DataError(
                f"{self.name}: expected images of at least {MIN_SIZE}x{MIN_SIZE} pixels, got {shape[2]}x{shape[3]}; "
                f"use larger ones or --image-size"
            )

    def _check_labels(self, labels: Tensor) -> None:
        count = self.pixels.shape[0]
        if labels.dtype != torch.int64:
            raise DataError(f"{self.name}: expected int64 labels, got {labels.dtype}; convert them with labels.long()")
        if tuple(labels.shape) != (count,):
            raise DataError(
                f"{self.name}: expected {count} labels, one per image, got labels of shape {tuple(labels.shape)}; "
                f"pair every image with one label"
            )
        low, high = (int(bound) for bound in torch.aminmax(labels))
        if low < HIDDEN or high >= len(self.class_names):
            raise DataError(
                f"{self.name}: expected labels from 0 to {len(self.class_names) - 1} ({len(self.class_names)} class "
                f"names), or −1 for none known, got {low if low < HIDDEN else high}; renumber the labels "
                "or name every class"
            )

    @property
    def images(self) -> Tensor:
        """All images as one tensor; of a streamed data set they are read for it, so ask for a few (`take`)."""
        return self.pixels.between(0, len(self)) if isinstance(self.pixels, StreamedImages) else self.pixels

    @property
    def device(self) -> torch.device:
        """Where the images are, or are given."""
        return self.pixels.device

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    @property
    def classes(self) -> int:
        """Number of classes; 0 without labels."""
        return len(self.class_names)

    def __len__(self) -> int:
        return int(self.pixels.shape[0])

    def take(self, indices: Tensor) -> ImageData:
        """The images at ``indices`` (int64, ``(k,)``, k ≥ 1), in that order; `DataError` where there are none."""
        labels = None if self.labels is None else self.labels.index_select(0, indices.to(self.labels.device))
        if isinstance(self.pixels, StreamedImages):
            return replace(self, pixels=self.pixels.take(indices), labels=labels)
        return replace(self, pixels=self.gather(indices), labels=labels)

    def gather(self, indices: Tensor) -> Tensor:
        """The images at ``indices`` (int64, ``(k,)``) as a tensor, on `device`; nothing else of a streamed set is read.

        >>> data = ImageData("zeros", torch.zeros(4, 1, 8, 8, dtype=torch.uint8))
        >>> data.gather(torch.tensor([3, 1])).shape
        torch.Size([2, 1, 8, 8])
        """
        if isinstance(self.pixels, StreamedImages):
            return self.pixels.gather(indices)
        return self.pixels.index_select(0, indices.to(self.pixels.device))

    def between(self, start: int, stop: int) -> Tensor:
        """The images from ``start`` up to ``stop``, or to the end, as a tensor on `device`."""
        return self.pixels.between(start, stop) if isinstance(self.pixels, StreamedImages) else self.pixels[start:stop]

    def chunks(self, size: int = 1000) -> Iterator[Tensor]:
        """All images in order, ``size`` (≥ 1) at a time, the last ones perhaps fewer."""
        for start in range(0, len(self), size):
            yield self.between(start, start + size)

    def to(self, device: torch.device | str) -> ImageData:
        """The same images and labels on ``device``."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, pixels=self.pixels.to(device), labels=labels)


@dataclass(frozen=True)
class Splits:
    """Disjoint parts of a data set; ``validation`` is None where none was asked for."""

    train: ImageData
    validation: ImageData | None
    test: ImageData
