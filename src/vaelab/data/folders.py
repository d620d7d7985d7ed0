"""Image folders: one sub-folder a class, or images alone; read in parallel with Pillow."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps

from vaelab.data.images import ImageData
from vaelab.data.progress import Progress, no_progress
from vaelab.data.resizing import check_size
from vaelab.errors import DataError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Files with these endings, in any case, are images; others are ignored."""

_OFFICIAL = {"train", "test"}
Levels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Entry:
    """An image file and the name of its class, None where the folder has no classes."""

    path: Path
    label: str | None


def read_folder(
    folder: Path, image_size: int | None = None, progress: Progress | None = None
) -> tuple[ImageData, ImageData | None]:
    """The images of a folder: (all, None), or (training, test) where it has just two sub-folders, train and test.

    Each sub-folder is a class, read with all below it; without sub-folders the images have no labels. Order and class
    numbers follow the sorted names. Grey where every image is grey, else RGB; transparency is laid over white.
    ``image_size`` (pixels, ≥ 8) cuts the centre square and scales it. Raises `DataError` for no images, unreadable
    ones, ones of different sizes, more than 8 bits a channel, and absurdly large ones (decompression bombs);
    `UsageError` for a too small ``image_size``.
    """
    if image_size is not None:
        check_size(image_size)
    official = _has_official_split(folder)
    roots = [folder / "train", folder / "test"] if official else [folder]
    listings = [_entries(root) for root in roots]
    entries = [entry for listing in listings for entry in listing]
    class_names = _class_names(folder, listings)
    images = torch.from_numpy(_stack(_decode_all(entries, folder, image_size, progress or no_progress)))
    numbers = {name: number for number, name in enumerate(class_names)}
    labels = torch.tensor([numbers[entry.label] for entry in entries if entry.label]) if class_names else None
    # Checked under its whole path, for the error sentences; then known by the folder's name.
    data = replace(ImageData(str(folder), images, labels, class_names), name=folder.resolve().name)
    if not official:
        return data, None
    count = len(listings[0])
    return data.take(torch.arange(count)), data.take(torch.arange(count, len(data)))


def _has_official_split(folder: Path) -> bool:
    names = {path.name for path in _subfolders(folder)}
    if names > _OFFICIAL:  # read as classes, they would make nonsense without a word
        raise DataError(
            f"{folder}: expected no sub-folders beside train and test, got {', '.join(sorted(names - _OFFICIAL))}; "
            f"move them away, and let --validation take images from train"
        )
    if names and names < _OFFICIAL:
        (there,) = names
        (missing,) = _OFFICIAL - names
        raise DataError(
            f"{folder}: expected sub-folders train and test, or one for each class, got {there} alone; "
            f"add {missing}, or give {folder / there} as the data"
        )
    return names == _OFFICIAL


def _entries(root: Path) -> list[_Entry]:
    classes = _subfolders(root)
    loose = [path for path in _listed(root) if _is_image(path)]
    if classes and loose:
        raise DataError(
            f"{root}: expected images either in sub-folders, one a class, or directly in it, got both, for instance "
            f"{loose[0].name}; move it into a sub-folder"
        )
    entries = [_Entry(path, None) for path in loose]
    for folder in classes:
        images = _images_below(folder)
        if not images:
            raise DataError(f"{folder}: expected images in every class folder, got none; add some or remove the folder")
        entries += [_Entry(path, folder.name) for path in images]
    if not entries:
        raise DataError(
            f"{root}: expected image files ({', '.join(sorted(SUFFIXES))}), got none; choose another folder"
        )
    return entries


def _class_names(folder: Path, listings: Sequence[list[_Entry]]) -> tuple[str, ...]:
    """Of the training images; those for testing may lack a class, but have none of their own."""
    names = [sorted({entry.label for entry in listing if entry.label is not None}) for listing in listings]
    foreign = [name for name in names[-1] if name not in names[0]]
    if foreign or bool(names[0]) != bool(names[-1]):
        raise DataError(
            f"{folder}: expected the same class folders in train and test, got {', '.join(names[0]) or 'none'} in "
            f"train and {', '.join(names[-1]) or 'none'} in test; give both the same ones"
        )
    return tuple(names[0])


def _listed(folder: Path) -> list[Path]:
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise _unreadable(folder, error) from error
    return [folder / name for name in names]


def _subfolders(folder: Path) -> list[Path]:
    """Links to folders count, unless they lead back to the folder itself or above it."""
    inside = [path for path in _listed(folder) if os.path.isdir(path)]
    return [path for path in inside if not folder.resolve().is_relative_to(path.resolve())]


def _images_below(folder: Path) -> list[Path]:
    """Links to folders are not followed here, so that a loop of them ends."""

    def refuse(error: OSError) -> None:
        raise _unreadable(folder, error) from error

    found = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names]
    return sorted(path for path in found if _is_image(path))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not os.path.isdir(path)


def _unreadable(folder: Path, error: OSError) -> DataError:
    return DataError(f"{folder}: expected a readable folder, got: {error.strerror or error}; check its permissions")


def _decode_all(entries: Sequence[_Entry], folder: Path, image_size: int | None, progress: Progress) -> list[Levels]:
    paths = [entry.path for entry in entries]
    decoded: list[Levels] = []
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        # Set around the whole pool, because the filters are global and threads would undo each other's.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with progress(f"reading {folder.name}", len(paths)) as advance:
                for path, levels in zip(paths, pool.map(partial(_decode, size=image_size), paths), strict=True):
                    _check_same_size(paths[0], decoded, path, levels)
                    decoded.append(levels)
                    advance(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # the rest need not be read
            raise
    return decoded


def _check_same_size(first: Path, decoded: Sequence[Levels], path: Path, levels: Levels) -> None:
    if decoded and levels.shape[:2] != decoded[0].shape[:2]:
        sizes = [f"{width}x{height}" for height, width in (decoded[0].shape[:2], levels.shape[:2])]
        raise DataError(
            f"expected images of one size, got {first} of {sizes[0]} and {path} of {sizes[1]} pixels; "
            f"resize them all with --image-size"
        )


def _decode(path: Path, size: int | None) -> Levels:
    """Levels ``(h, w)`` of a grey image, ``(h, w, 3)`` of any other."""
    try:
        with Image.open(path) as opened:
            image: Image.Image = _to_grey_or_rgb(path, opened)
            if size is not None:
                image = _centre_square(image).resize((size, size), Image.Resampling.BILINEAR)
            return np.asarray(image)
    except DataError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: expected an image of a sane size, got: {error}; make it smaller") from error
    except Exception as error:  # damaged images make the decoders raise almost any type
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path}: expected a readable image, got a damaged one ({reason}); replace or remove it"
        ) from error


def _to_grey_or_rgb(path: Path, image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # converting would clip them
        raise DataError(f"{path}: expected 8 bits a channel, got an image of mode {image.mode}; convert it to 8 bits")
    grey = image.mode in ("1", "L", "LA", "La")
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        above = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
    return upright.convert("L" if grey else "RGB")


def _centre_square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _stack(images: Sequence[Levels]) -> Levels:
    """``(n, c, h, w)``: one channel where all are grey, else three."""
    colour = any(levels.ndim == 3 for levels in images)
    stacked = np.empty((len(images), 3 if colour else 1, *images[0].shape[:2]), dtype=np.uint8)
    for row, levels in zip(stacked, images, strict=True):
        row[...] = levels.transpose(2, 0, 1) if levels.ndim == 3 else levels
    return stacked
