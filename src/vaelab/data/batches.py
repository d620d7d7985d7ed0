"""Batches by indexing whole tensors: one gather a batch, no loader."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vaelab.data.images import ImageData
from vaelab.errors import UsageError
from vaelab.randomness import generator


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """A permutation of 0…n-1 that depends on (``seed``, ``epoch``) alone: int64 ``(n,)``.

    >>> order = epoch_order(5, seed=0, epoch=1)
    >>> sorted(order.tolist()), torch.equal(order, epoch_order(5, seed=0, epoch=1))
    ([0, 1, 2, 3, 4], True)
    """
    return torch.randperm(n, generator=generator(seed, "cpu", "order", epoch))


def batches(data: ImageData, size: int, order: Tensor, start: int = 0) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield (images uint8 ``(batch, channel, height, width)``, labels or None) in ``order``, ``size`` (≥ 1) at a time.

    The last batch may be shorter. ``start`` is the number of the first batch that is given, so that an epoch can go on
    where it stopped. Raises `UsageError` for a size below 1 or a negative start.

    >>> data = ImageData("zeros", torch.zeros(5, 1, 8, 8, dtype=torch.uint8))
    >>> [len(images) for images, labels in batches(data, 2, torch.arange(5))]
    [2, 2, 1]
    """
    if size < 1 or start < 0:
        raise UsageError(f"expected a batch size of at least 1 and a start of at least 0, got {size} and {start}")
    return _gather(data, size, order.to(data.images.device), start)


def _gather(data: ImageData, size: int, order: Tensor, start: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    for first in range(start * size, len(order), size):
        indices = order[first : first + size]
        labels = None if data.labels is None else data.labels.index_select(0, indices)
        yield data.images.index_select(0, indices), labels
