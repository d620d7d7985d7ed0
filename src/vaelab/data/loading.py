"""`load`: the name of a data set, a ``.npz`` file or a folder, of images or of arrays to stream → `Splits`."""

from __future__ import annotations

import os
from pathlib import Path

from vaelab.data import sources
from vaelab.data.arrays import read_npz
from vaelab.data.arrays_folder import is_arrays_folder, read_arrays_folder
from vaelab.data.catalogue import as_path, obtain
from vaelab.data.folders import read_folder
from vaelab.data.images import ImageData, Splits
from vaelab.data.progress import Progress
from vaelab.data.resizing import check_size, resize
from vaelab.data.splits import split
from vaelab.errors import DataError, UsageError
from vaelab.specs import nearest


def load(
    name: str | Path,
    *,
    data_dir: str | Path | None = None,
    offline: bool = False,
    image_size: int | None = None,
    validation: float = 0,
    test: float = 0.2,
    seed: int = 0,
    progress: Progress | None = None,
) -> Splits:
    """Images, split: ``name`` is mnist, fashion-mnist, digits, a ``.npz`` file, an image folder or a folder of arrays.

    All but the last are read into memory; a folder with a file ``images.npy`` stays on disk (`read_arrays_folder`).

    ``data_dir`` is looked into first; ``offline`` never downloads; ``image_size`` (pixels, ≥ 8) cuts the centre square
    and scales it. ``validation``: a fraction (< 1) or number of the training images, 0 for none. ``test``: the same,
    for data without a test part of its own. Both splits are stratified and depend on ``seed``. Raises `UsageError` for
    an unknown name or an impossible option, `DataError` for data that is missing, damaged or too little.

    >>> splits = load("digits", validation=100)
    >>> len(splits.train), len(splits.validation), len(splits.test)
    (1338, 100, 359)
    """
    if image_size is not None:
        check_size(image_size)
    rest, official = _read(name, as_path(data_dir), offline, image_size, progress)
    rest, held_out = (rest, official) if official is not None else split(rest, test, seed)
    if validation == 0:
        return Splits(rest, None, held_out)
    train, validated = split(rest, validation, seed)
    return Splits(train, validated, held_out)


def load_unseen(
    name: str | Path,
    *,
    data_dir: str | Path | None = None,
    offline: bool = False,
    image_size: int | None = None,
    progress: Progress | None = None,
) -> ImageData:
    """Images of data that a model was not trained on: its own test part, or where it has none all of them.

    Arguments and errors as in `load`.

    >>> len(load_unseen("digits"))
    1797
    """
    if image_size is not None:
        check_size(image_size)
    everything, official = _read(name, as_path(data_dir), offline, image_size, progress)
    return everything if official is None else official


def _read(
    name: str | Path, data_dir: Path | None, offline: bool, image_size: int | None, progress: Progress | None
) -> tuple[ImageData, ImageData | None]:
    """(All images or those for training, official test images or None)."""
    official: ImageData | None = None
    if name == sources.DIGITS:
        data = sources.read_digits()
    elif name in sources.SOURCES:
        source = sources.SOURCES[str(name)]
        data, official = sources.read_source(source, obtain(source, data_dir, offline, progress))
    else:
        path = _existing(name)
        if path.is_dir() and not is_arrays_folder(path):
            return read_folder(path, image_size, progress)
        data, official = read_arrays_folder(path) if path.is_dir() else (read_npz(path), None)
    if image_size is None:
        return data, official
    return resize(data, image_size), None if official is None else resize(official, image_size)


def _existing(name: str | Path) -> Path:
    path = Path(name).expanduser()
    if path.is_dir() or (path.suffix == ".npz" and path.exists()):
        return path
    if path.exists():
        remedy = "put it into a folder, as images.npy" if path.suffix == ".npy" else "convert it to .npz"
        raise UsageError(f"expected a data set's name, a .npz file or a folder, got the file {path}; {remedy}")
    if path.suffix == ".npz" or os.sep in str(name):
        raise DataError(f"{path}: expected a .npz file or an image folder, got nothing there; check the path")
    hint = nearest(str(name), sources.names())
    raise UsageError(f"unknown data set {str(name)!r}, and no .npz file or folder of that name; {hint}")
