"""``.npz`` files: an array ``images``, optionally an array ``labels``. Nothing is ever unpickled."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vaelab.data.images import ImageData
from vaelab.errors import DataError

MAX_BYTES = 16 * 2**30
"""Largest array that is read, 16 GiB decompressed: more is taken for a decompression bomb."""

Array = npt.NDArray[Any]


def read_npz(path: Path) -> ImageData:
    """Images and labels of a ``.npz`` file.

    ``images``: ``(n, h, w)``, ``(n, h, w, c)`` or ``(n, c, h, w)`` with c 1 or 3; uint8, or float in [0, 1], which is
    rounded to levels round(255 x). ``labels``: integers ≥ 0 or strings, ``(n,)``; integers 0…k-1 stay as they are, all
    others are numbered in sorted order and keep their text as class names. Raises `DataError` for everything else.
    """
    arrays = _read_arrays(path)
    if "images" not in arrays:
        raise DataError(
            f"{path}: expected an array 'images', got {', '.join(sorted(arrays)) or 'none'}; "
            f"save it with np.savez(path, images=…, labels=…)"
        )
    images = _levels(path, channels_first(path, arrays["images"]))
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    if "labels" in arrays:
        labels, class_names = classes_of(path, arrays["labels"], len(images))
    # Checked under its whole path, for the error sentences; then known by the file's name.
    data = ImageData(str(path), torch.from_numpy(np.ascontiguousarray(images)), labels, class_names)
    return replace(data, name=path.name)


def _read_arrays(path: Path) -> dict[str, Array]:
    try:
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in ("images", "labels") if name in stored.files}
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got: {error.strerror or error}; check the path") from error
    except ValueError as error:
        what = "an array of objects" if "pickle" in str(error).lower() else f"a damaged array ({error})"
        raise DataError(f"{path}: expected arrays of numbers or strings, got {what}; save it again") from error
    except Exception as error:  # a damaged archive makes zipfile, zlib and numpy raise a good dozen of types
        raise DataError(f"{path}: expected a whole .npz file, got a damaged one ({error}); save it again") from error


def _check_sizes(path: Path) -> None:
    """By the archive's own table, which is also where reading stops."""
    with zipfile.ZipFile(path) as archive:
        largest = max((member.file_size for member in archive.infolist()), default=0)
    if largest > MAX_BYTES:
        raise DataError(
            f"{path}: expected arrays of at most {MAX_BYTES / 2**30:g} GiB, got {largest / 2**30:g} GiB; "
            f"divide the file"
        )


def channels_first(path: Path, images: Array) -> Array:
    """A view ``(n, c, h, w)`` of images of any layout that `read_npz` takes; `DataError` for others."""
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[-1] in (1, 3):
        return images.transpose(0, 3, 1, 2)
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images
    raise DataError(
        f"{path}: expected images of shape (n, h, w), (n, h, w, c) or (n, c, h, w) with 1 or 3 channels, got "
        f"{images.shape}; reshape them"
    )


def _levels(path: Path, images: Array) -> npt.NDArray[np.uint8]:
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise DataError(
            f"{path}: expected images of uint8, or of floats in [0, 1], got {images.dtype}; "
            f"save images.astype('uint8') with levels 0 to 255"
        )
    if images.size and not np.isfinite(images).all():
        raise DataError(f"{path}: expected images without NaN and infinity, got some; replace those values")
    low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 0.0)
    if low < 0 or high > 1:
        raise DataError(
            f"{path}: expected images of floats in [0, 1], got values from {low:g} to {high:g}; scale them to "
            f"[0, 1], or save levels 0 to 255 as uint8"
        )
    # In float32 at least: float16 is too coarse for 255 x.
    levels: Array = np.rint(images.astype(np.promote_types(images.dtype, np.float32)) * 255)
    return levels.astype(np.uint8)


def classes_of(path: Path, labels: Array, count: int) -> tuple[Tensor, tuple[str, ...]]:
    """Labels as `read_npz` takes them, ``count`` of them → their numbers, int64 ``(count,)``, and the class names."""
    if labels.dtype.kind not in "iuU":
        raise DataError(f"{path}: expected labels of integers or strings, got {labels.dtype}; convert them")
    if labels.shape != (count,):
        raise DataError(
            f"{path}: expected {count} labels, one per image, got an array of shape {labels.shape}; "
            f"pair every image with one label"
        )
    values, numbers = np.unique(labels, return_inverse=True)
    if labels.dtype.kind == "i" and count and values[0] < 0:
        raise DataError(f"{path}: expected labels of at least 0, got {values[0]}; leave out images without a class")
    return torch.from_numpy(numbers.astype(np.int64)), tuple(str(value) for value in values)
