"""Folders of ``.npy`` files, which may be larger than the memory: the images stay on disk and are streamed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab.data.arrays import channels_first, classes_of
from vaelab.data.images import ImageData
from vaelab.data.streaming import MappedImages, StreamedImages
from vaelab.errors import DataError

IMAGES, LABELS = "images.npy", "labels.npy"
TEST_IMAGES, TEST_LABELS = "test_images.npy", "test_labels.npy"


def is_arrays_folder(folder: Path) -> bool:
    """Whether one of the four files is there."""
    return any((folder / name).is_file() for name in (IMAGES, LABELS, TEST_IMAGES, TEST_LABELS))


def read_arrays_folder(folder: Path) -> tuple[ImageData, ImageData | None]:
    """The images of a folder, streamed: (all, None), or (training, test) where it has ``test_images.npy``.

    ``images.npy``: uint8 ``(n, h, w)``, ``(n, h, w, c)`` or ``(n, c, h, w)`` with c 1 or 3, memory-mapped;
    ``labels.npy``, where it is there: integers ≥ 0 or strings, ``(n,)``, read and numbered as those of a ``.npz`` file.
    ``test_images.npy`` and ``test_labels.npy`` likewise, without a class of their own. Raises
    `DataError` for everything else. Nothing is unpickled.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/images.npy", np.zeros((50, 8, 9), dtype=np.uint8))
    ...     data, test = read_arrays_folder(Path(folder))
    >>> len(data), data.image_shape, test
    (50, (1, 8, 9), None)
    """
    train = _read(folder / IMAGES, folder / LABELS)
    # Checked under the files' whole paths, for the error sentences; then known by the folder's name.
    name = folder.resolve().name
    if not (folder / TEST_IMAGES).exists():
        if (folder / TEST_LABELS).exists():
            raise DataError(f"{folder}: expected {TEST_IMAGES} beside {TEST_LABELS}, got none; add it")
        return replace(train, name=name), None
    test = _numbered_alike(_read(folder / TEST_IMAGES, folder / TEST_LABELS), train)
    return replace(train, name=name), replace(test, name=name)


def _read(images: Path, labels: Path) -> ImageData:
    pixels = StreamedImages.all_of(_mapped(images))
    numbers: Tensor | None = None
    class_names: tuple[str, ...] = ()
    if labels.exists():
        numbers, class_names = classes_of(labels, _opened(labels), len(pixels))
    return ImageData(str(images), pixels, numbers, class_names)


def _mapped(path: Path) -> MappedImages:
    array = _opened(path)
    if array.dtype != np.uint8:
        raise DataError(
            f"{path}: expected images of uint8, as they are streamed, got {array.dtype}; "
            "save levels 0 to 255 as uint8, or use a .npz file"
        )
    channels_last = channels_first(path, array).shape != array.shape and array.ndim == 4  # none has a side of 3 pixels
    if not len(array):
        raise DataError(f"{path}: expected at least one image, got none; give it images")
    if not array.flags.c_contiguous:
        raise DataError(
            f"{path}: expected one image after the other, got an array in Fortran order; "
            "save it with np.save(path, np.ascontiguousarray(images))"
        )
    return MappedImages(path, array.offset, array.shape, channels_last)


def _opened(path: Path) -> np.memmap[Any, np.dtype[Any]]:
    """The array of a ``.npy`` file, mapped: numpy has seen that the file is as long as its header says."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got: {error.strerror or error}; check the path") from error
    except Exception as error:  # a damaged header makes numpy raise many types
        known = {"Python objects": "an array of objects", "pickle": "another file"}  # numpy takes it for a pickle
        what = next((what for word, what in known.items() if word in str(error)), f"a damaged file ({error})")
        raise DataError(
            f"{path}: expected an array of numbers or strings, got {what}; save it again with np.save"
        ) from error
    if not isinstance(array, np.memmap):
        raise DataError(f"{path}: expected a .npy file, got an archive of several; save it again with np.save")
    return array


def _numbered_alike(test: ImageData, train: ImageData) -> ImageData:
    """The test images with the training images' class numbers."""
    if test.labels is None or train.labels is None:
        if test.labels is not train.labels:
            there, missing = (LABELS, TEST_LABELS) if test.labels is None else (TEST_LABELS, LABELS)
            raise DataError(f"{test.name}: expected labels of both or of neither, got {there} alone; add {missing}")
        return test
    foreign = sorted(set(test.class_names) - set(train.class_names))
    if foreign:
        raise DataError(
            f"{test.name}: expected the classes of the training images, got {', '.join(foreign[:5])} beside them; "
            f"leave those images out or give both the same classes"
        )
    numbers = torch.tensor([train.class_names.index(name) for name in test.class_names])
    return replace(test, labels=numbers[test.labels], class_names=train.class_names)
