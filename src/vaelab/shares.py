"""A batch that several processes share: noise drawn as one process would, and means over the whole batch.

An objective sees the images of one process only. What it needs of the whole batch it asks here; where nobody shares the
batch, that is the plain draw and the plain mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """``part`` of the ``whole`` images of a batch, in one of several processes.

    A mean over the part, times ``scale``, is what this process gives to the mean over the whole: the processes' mean of
    such values. A part is never empty; where there are fewer images than processes, ``scale`` is 0.

    >>> [Share.of(5, rank, 2).part for rank in range(2)]
    [slice(0, 3, None), slice(3, 5, None)]
    >>> Share.of(1, 1, 2).part, Share.of(1, 1, 2).scale
    (slice(0, 1, None), 0.0)
    """

    whole: int
    part: slice
    scale: float

    @classmethod
    def of(cls, whole: int, rank: int, size: int) -> Share:
        """The share of process ``rank`` of ``size`` in ``whole`` ≥ 1 images: as even as it can be, in order."""
        first, last = (-(-whole * edge // size) for edge in (rank, rank + 1))
        if first == last:  # an image that another process counts: an empty batch has no mean
            return cls(whole, slice(0, 1), 0.0)
        return cls(whole, slice(first, last), (last - first) * size / whole)


@dataclass(frozen=True)
class _Shared:
    share: Share
    mean: Callable[[Tensor], Tensor]


_current: ContextVar[_Shared | None] = ContextVar("share", default=None)


@contextmanager
def sharing(share: Share, mean: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within: batches are ``share`` of a larger one; ``mean`` is that of a tensor over the processes."""
    token = _current.set(_Shared(share, mean))
    try:
        yield
    finally:
        _current.reset(token)


def normal_noise(shape: tuple[int, ...], generator: torch.Generator | None, like: Tensor) -> Tensor:
    """ε ~ N(0, 1) of ``shape`` (samples, batch, …), of ``like``'s type and device; of a shared batch, this part's.

    Every process draws the whole batch's noise, so their generators stay alike. Raises ValueError where the batch is
    not that of the share.

    >>> source = torch.Generator().manual_seed(0)
    >>> normal_noise((2, 3, 1), source, torch.zeros(())).shape
    torch.Size([2, 3, 1])
    """
    shared, (samples, batch, *rest) = _current.get(), shape
    whole = batch if shared is None else shared.share.whole
    noise = torch.randn(samples, whole, *rest, generator=generator, device=like.device, dtype=like.dtype)
    if shared is None:
        return noise
    part = noise[:, shared.share.part]
    if part.shape[1] != batch:
        raise ValueError(f"expected noise for the {part.shape[1]} images of this process, got {batch}")
    return part


def batch_mean(values: Tensor) -> Tensor:
    """The mean of ``values (batch, …)`` over the whole batch, other processes' images included; without a gradient.

    >>> batch_mean(torch.tensor([[1.0], [3.0]]))
    tensor([2.])
    """
    mean, shared = values.detach().mean(0), _current.get()
    return mean if shared is None else shared.mean(mean * shared.share.scale)


def batch_sum(values: Tensor) -> Tensor:
    """The sum of ``values (batch, …)``; of a shared batch, the part of the whole sum that falls to as many images.

    So (sum over the part) / `batch_sum` is a mean whose weights are the whole batch's. Without a gradient.

    >>> batch_sum(torch.tensor([[1.0], [3.0]]))
    tensor([4.])
    """
    return values.detach().sum(0) if _current.get() is None else len(values) * batch_mean(values)
