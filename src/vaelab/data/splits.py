"""Seeded splits, stratified by label, with exact counts."""

from __future__ import annotations

import torch
from torch import Tensor

from vaelab.data.images import HIDDEN, ImageData
from vaelab.errors import DataError, UsageError
from vaelab.randomness import generator


def split(data: ImageData, amount: float, seed: int) -> tuple[ImageData, ImageData]:
    """Divide into (rest, part), stratified by label; both keep the order of ``data``.

    ``amount`` is the part's size: a fraction in (0, 1), or a number of images ≥ 1. A class of n_c of the n images
    gives count · n_c / n images, rounded by largest remainders so that the sum is exact. Raises `UsageError` for an
    amount that is neither, `DataError` where a side would be empty.

    >>> data = ImageData("zeros", torch.zeros(10, 1, 8, 8, dtype=torch.uint8))
    >>> [len(side) for side in split(data, 0.2, seed=0)]
    [8, 2]
    """
    count = _part_size(data, amount)
    # Images without a class, −1, are a stratum of their own.
    labels = torch.zeros(len(data), dtype=torch.int64) if data.labels is None else data.labels.cpu() - HIDDEN
    sizes = torch.bincount(labels).tolist()
    source = generator(seed, "cpu", "split")
    chosen = torch.zeros(len(data), dtype=torch.bool)
    for label, take in enumerate(_apportion(count, sizes)):
        members = torch.nonzero(labels == label).flatten()
        chosen[members[torch.randperm(len(members), generator=source)[:take]]] = True
    return data.take(_where(~chosen)), data.take(_where(chosen))


def some_places(count: int, limit: int, seed: int) -> Tensor:
    """The places of all of ``count`` images, or of ``limit`` chosen at random by ``seed``, in order.

    >>> some_places(3, 10, seed=0).tolist()
    [0, 1, 2]
    """
    if count <= limit:
        return torch.arange(count)
    return torch.randperm(count, generator=generator(seed, "cpu", "limit"))[:limit].sort().values


def _part_size(data: ImageData, amount: float) -> int:
    if not (0 < amount < 1 or (amount >= 1 and float(amount).is_integer())):
        raise UsageError(
            f"expected a fraction between 0 and 1 or a whole number of images for a split, got {amount}; "
            f"give for instance 0.1 or 1000"
        )
    count = round(amount * len(data)) if amount < 1 else int(amount)
    if not 0 < count < len(data):
        raise DataError(
            f"{data.name}: expected enough images for a split of {amount:g}, got {len(data)}, which leaves one side "
            f"empty; choose another amount or give more images"
        )
    return count


def _apportion(count: int, sizes: list[int]) -> list[int]:
    """Largest remainders, in whole numbers so that no rounding can move an image; ties go to the lower label."""
    total = sum(sizes)
    taken = [count * size // total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda label: -(count * sizes[label] % total))
    for label in by_remainder[: count - sum(taken)]:
        taken[label] += 1
    return taken


def _where(mask: Tensor) -> Tensor:
    return torch.nonzero(mask).flatten()
