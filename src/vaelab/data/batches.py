"""Batches by indexing the whole data set: one gather a batch, no loader."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vaelab.data.images import ImageData
from vaelab.data.streaming import StreamedImages
from vaelab.errors import UsageError
from vaelab.randomness import generator


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """A permutation of 0…n-1 that depends on (``seed``, ``epoch``) alone: int64 ``(n,)``.

    >>> order = epoch_order(5, seed=0, epoch=1)
    >>> sorted(order.tolist()), torch.equal(order, epoch_order(5, seed=0, epoch=1))
    ([0, 1, 2, 3, 4], True)
    """
    return torch.randperm(n, generator=generator(seed, "cpu", "order", epoch))


def mixed_order(labels: Tensor, size: int, labelled: int, seed: int, epoch: int) -> Tensor:
    """An epoch's order of partly labelled images: every batch of ``size`` begins with ``labelled`` labelled ones.

    The images of label −1 come once each, in the order of (``seed``, ``epoch``); the labelled ones again and again,
    shuffled anew whenever all have been seen. int64 ``(n,)``; its length is that of `steps_in_epoch` batches, the last
    perhaps short. Without ``labelled``, or where no label is missing, it is `epoch_order`.

    >>> labels = torch.tensor([0, -1, -1, -1, 1, -1, -1])
    >>> order = mixed_order(labels, size=3, labelled=1, seed=0, epoch=0)
    >>> len(order), (labels[order] >= 0).tolist()
    (8, [True, False, False, True, False, False, True, False])
    """
    known, hidden = torch.nonzero(labels >= 0)[:, 0], torch.nonzero(labels < 0)[:, 0]
    if not labelled or not len(hidden) or not len(known):
        return epoch_order(len(labels), seed, epoch)
    hidden = hidden[epoch_order(len(hidden), seed, epoch)]
    steps = -(-len(hidden) // (size - labelled))
    source = generator(seed, "cpu", "labelled order", epoch)
    rounds = -(-steps * labelled // len(known))
    again = torch.cat([known[torch.randperm(len(known), generator=source)] for _ in range(rounds)])
    parts = zip(torch.split(again, labelled), torch.split(hidden, size - labelled), strict=False)
    return torch.cat([piece for pair in parts for piece in pair])


def steps_in_epoch(n: int, known: int, size: int, labelled: int) -> int:
    """Batches in an epoch of ``n`` images, ``known`` of them with a label, in the order of `mixed_order`.

    >>> steps_in_epoch(7, 2, 3, 1), steps_in_epoch(7, 7, 3, 1)
    (3, 3)
    """
    if not labelled or known in (0, n):
        return -(-n // size)
    return -(-(n - known) // (size - labelled))


class EpochOrders:
    """The order of each epoch's images, from the seed and the epoch alone; see `mixed_order`.

    ``labels`` int64 ``(n,)`` or None, ``size`` images a batch, ``labelled`` of them (0: as they come) with a label.

    >>> orders = EpochOrders(None, 5, size=2, labelled=0, seed=0)
    >>> orders.steps, torch.equal(orders.epoch(1), epoch_order(5, 0, 1))
    (3, True)
    """

    def __init__(self, labels: Tensor | None, n: int, size: int, labelled: int, seed: int) -> None:
        self.labels = torch.zeros(n, dtype=torch.int64) if labels is None else labels.cpu()
        self.size, self.labelled, self.seed = size, labelled, seed
        self.steps = steps_in_epoch(n, int((self.labels >= 0).sum()), size, labelled)

    def epoch(self, epoch: int) -> Tensor:
        """int64, on the CPU."""
        return mixed_order(self.labels, self.size, self.labelled, self.seed, epoch)


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
    return _gather(data, size, order, start)


def _gather(data: ImageData, size: int, order: Tensor, start: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    # Moved once an epoch: what is streamed is looked up on the CPU, whatever the device.
    places = order.to("cpu" if isinstance(data.pixels, StreamedImages) else data.device)
    numbers = order.to(data.labels.device) if data.labels is not None else order
    for first in range(start * size, len(order), size):
        here = slice(first, first + size)
        labels = None if data.labels is None else data.labels.index_select(0, numbers[here])
        yield data.gather(places[here]), labels
