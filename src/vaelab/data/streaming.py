"""Images that stay on disk: a memory-mapped ``.npy`` file, of which a batch is read when it is needed."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Levels = npt.NDArray[np.uint8]
Change = Callable[[Tensor], Tensor]
"""Images uint8 ``(k, channel, height, width)`` → as many, perhaps of another size; each by its own content alone."""

HELD = 256 * 2**20
"""At most so many bytes of a mapped file are kept in the process's memory, but those of one image."""

_CPU = torch.device("cpu")
_REGION = 2 * 2**20  # bytes: as much as Linux maps at once where a single one is asked for, by measurement


class MappedImages:
    """The images of a ``.npy`` file: uint8 ``(n, h, w)``, ``(n, h, w, c)`` with ``channels_last``, or ``(n, c, h, w)``.

    ``offset`` (bytes) and ``shape``, n ≥ 1, are those of the file's header. Mapped pages count as a process's memory
    until they are given back, so they are before more than `HELD` bytes have been touched; the operating system keeps
    them as long as it has room. The file must not change while it is used. Raises OSError or ValueError where it cannot
    be mapped.
    """

    def __init__(self, path: Path, offset: int, shape: tuple[int, ...], channels_last: bool = False) -> None:
        with path.open("rb") as stream:  # shared and read-only: a private map of more than the memory may be refused
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        count = int(np.prod(shape, dtype=np.int64))
        self._array: Levels = np.frombuffer(self._map, np.uint8, count, offset).reshape(shape)
        self._channels_last = channels_last
        self._offset, self._size = offset, count // shape[0]
        self._touched = np.zeros(len(self._map) // _REGION + 1, dtype=np.bool_)  # regions
        # Its first byte, one of every region it goes through, its last byte.
        self._spread = np.append(np.arange(0, self._size, _REGION), self._size - 1)

    def __len__(self) -> int:
        return len(self._array)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        shape = self._array.shape
        if len(shape) == 3:
            return 1, shape[1], shape[2]
        return (shape[3], shape[1], shape[2]) if self._channels_last else (shape[1], shape[2], shape[3])

    def read(self, places: Tensor) -> Tensor:
        """The images at ``places`` (int64 ``(k,)``, each in 0…n-1): a copy, uint8 ``(k, channel, height, width)``."""
        wanted = places.numpy()
        found: Levels = np.empty((len(wanted), *self._array.shape[1:]), dtype=np.uint8)
        step = max(1, HELD // (_REGION * len(self._spread)))  # so that even the farthest apart stay within the bound
        for start in range(0, len(wanted), step):
            here = wanted[start : start + step]
            self._make_room(here)
            self._announce(here)
            # "clip", because numpy would put another copy between with "raise".
            np.take(self._array, here, axis=0, out=found[start : start + step], mode="clip")
        images = torch.from_numpy(found)
        if images.ndim == 3:
            return images.unsqueeze(1)
        return images.permute(0, 3, 1, 2).contiguous() if self._channels_last else images

    def _make_room(self, places: npt.NDArray[np.int64]) -> None:
        """Give the pages back where the images at ``places`` would bring them above the bound."""
        regions = (self._offset + places[:, None] * self._size + self._spread) // _REGION
        self._touched[regions] = True
        if np.count_nonzero(self._touched) * _REGION <= HELD:
            return
        self._advise("MADV_DONTNEED")
        self._touched[:] = False
        self._touched[regions] = True

    def _announce(self, places: npt.NDArray[np.int64]) -> None:
        """Have all of them fetched at once: one after the other, each would be waited for where the disk is slow."""
        if (np.diff(places) == 1).all():
            return  # the operating system reads ahead by itself
        first = self._offset + places * self._size
        pages = first // mmap.PAGESIZE * mmap.PAGESIZE
        for start, length in zip(pages.tolist(), (first + self._size - pages).tolist(), strict=True):
            self._advise("MADV_WILLNEED", start, length)

    def _advise(self, what: str, *where: int) -> None:
        """Where the platform takes no advice, the operating system does as it thinks best."""
        if hasattr(mmap, what):
            with suppress(OSError):
                self._map.madvise(getattr(mmap, what), *where)


@dataclass(frozen=True, eq=False)
class StreamedImages:
    """Some of the images of a file, in some order, perhaps changed: what `ImageData` has in the place of a tensor.

    ``rows`` int64 ``(n,)`` on the CPU: places in the file. ``image_shape`` (channels, height, width) of an image as it
    is given. ``changes`` are applied to whatever is read, one after the other. ``device`` is where images are given.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/images.npy", np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8))
    ...     images = StreamedImages.all_of(MappedImages(Path(folder, "images.npy"), 128, (4, 8, 8)))
    ...     images.take(torch.tensor([3, 1])).gather(torch.tensor([1]))[0, 0, 0, :3].tolist()
    [64, 65, 66]
    """

    file: MappedImages
    rows: Tensor
    image_shape: tuple[int, int, int]
    changes: tuple[Change, ...] = ()
    device: torch.device = _CPU

    @classmethod
    def all_of(cls, file: MappedImages) -> StreamedImages:
        """Every image of ``file``, in order."""
        return cls(file, torch.arange(len(file)), file.image_shape)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Images, channels, height, width."""
        return (len(self), *self.image_shape)

    @property
    def dtype(self) -> torch.dtype:
        """As a tensor of images has it."""
        return torch.uint8

    def take(self, indices: Tensor) -> StreamedImages:
        """Those at ``indices`` (int64 ``(k,)``), in that order; nothing is read. IndexError where one is not there."""
        return replace(self, rows=self.rows.index_select(0, indices.cpu()))

    def changed(self, change: Change, image_shape: tuple[int, int, int]) -> StreamedImages:
        """The same images after ``change``, which makes them of ``image_shape``; nothing is read."""
        return replace(self, changes=(*self.changes, change), image_shape=image_shape)

    def to(self, device: torch.device | str) -> StreamedImages:
        """The same images, given on ``device``; the data set stays on disk."""
        return replace(self, device=torch.device(device))

    def gather(self, indices: Tensor) -> Tensor:
        """Those at ``indices`` (int64 ``(k,)``), read: uint8 ``(k, channel, height, width)`` on the device."""
        return self._read(self.rows.index_select(0, indices.cpu()))

    def between(self, start: int, stop: int) -> Tensor:
        """Those from ``start`` up to ``stop``, or to the end where it comes before, read as by `gather`."""
        return self._read(self.rows[start:stop])

    def _read(self, rows: Tensor) -> Tensor:
        images = self.file.read(rows)
        for change in self.changes:
            images = change(images)
        if self.device.type != "cuda":
            return images.to(self.device)
        # From page-locked memory the copy goes on beside the computation, so that the next batch is read meanwhile.
        return images.pin_memory().to(self.device, non_blocking=True)
