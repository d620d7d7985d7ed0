"""The data sets that have a name: what they consist of, where they are looked for, how they are read."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from platformdirs import user_cache_dir

from vaelab.data.idx import as_array, read_content
from vaelab.data.images import ImageData
from vaelab.errors import DataError


@dataclass(frozen=True)
class SourceFile:
    """One IDX file: its published name, and size (bytes) and SHA-256 of its decompressed content."""

    name: str
    rank: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """A published data set of four IDX files, and the addresses that its files lie under."""

    name: str
    description: str
    class_names: tuple[str, ...]
    mirrors: tuple[str, ...]
    train_images: SourceFile
    train_labels: SourceFile
    test_images: SourceFile
    test_labels: SourceFile

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """All four files."""
        return self.train_images, self.train_labels, self.test_images, self.test_labels

    @property
    def remedy(self) -> str:
        """The end of an error sentence about one of the files."""
        return f"delete it and run `vaelab data fetch {self.name}`"


def _train_images(sha256: str) -> SourceFile:
    return SourceFile("train-images-idx3-ubyte.gz", 3, 16 + 60_000 * 28 * 28, sha256)


def _train_labels(sha256: str) -> SourceFile:
    return SourceFile("train-labels-idx1-ubyte.gz", 1, 8 + 60_000, sha256)


def _test_images(sha256: str) -> SourceFile:
    return SourceFile("t10k-images-idx3-ubyte.gz", 3, 16 + 10_000 * 28 * 28, sha256)


def _test_labels(sha256: str) -> SourceFile:
    return SourceFile("t10k-labels-idx1-ubyte.gz", 1, 8 + 10_000, sha256)


MNIST = Source(
    name="mnist",
    description="handwritten digits, 28x28 grey, 60,000 for training and 10,000 for testing",
    class_names=tuple("0123456789"),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    train_images=_train_images("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    train_labels=_train_labels("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    test_images=_test_images("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    test_labels=_test_labels("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
)

FASHION_MNIST = Source(
    name="fashion-mnist",
    description="articles of clothing, 28x28 grey, 60,000 for training and 10,000 for testing",
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    train_images=_train_images("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
    train_labels=_train_labels("bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
    test_images=_test_images("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
    test_labels=_test_labels("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
)

SOURCES: dict[str, Source] = {source.name: source for source in (MNIST, FASHION_MNIST)}
"""Name → data set in files. The digits are apart: they come inside scikit-learn."""

DIGITS = "digits"
DIGITS_DESCRIPTION = "handwritten digits, 8x8 grey, 1,797 in all, embedded: nothing to fetch"
DIGITS_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
"""Of the levels 0 to 16 of all images, then all labels, a byte each."""


def names() -> list[str]:
    """All names, sorted."""
    return sorted([*SOURCES, DIGITS])


def home(name: str, data_dir: Path | None) -> Path:
    """The folder that a download of ``name`` goes to: below ``data_dir`` where given, else below the user's cache."""
    return (data_dir if data_dir is not None else _cache()) / name


def places(name: str, data_dir: Path | None) -> list[Path]:
    """The folders where ``name`` is looked for, in this order."""
    found = [] if data_dir is None else [data_dir / name, data_dir]
    if environment := os.environ.get("VAELAB_DATA"):
        found.append(Path(environment).expanduser() / name)
    return [*found, _cache() / name]


def locate(source: Source, data_dir: Path | None) -> Path | None:
    """The first folder that holds all files of ``source``, or None; their content is not looked at."""
    for folder in places(source.name, data_dir):
        if not missing_files(source, folder):
            return folder
    return None


def missing_files(source: Source, folder: Path) -> list[SourceFile]:
    """The files of ``source`` that are in ``folder`` neither gzipped nor plain."""
    return [file for file in source.files if not os.path.isfile(file_path(folder, file))]


def file_path(folder: Path, file: SourceFile) -> Path:
    """Where ``file`` lies in ``folder``: under its published name, or without ``.gz`` where only that is there."""
    published, plain = folder / file.name, folder / file.name.removesuffix(".gz")
    return plain if os.path.isfile(plain) and not os.path.isfile(published) else published


def read_verified(source: Source, file: SourceFile, path: Path) -> bytearray:
    """The decompressed content of ``path``, which has to be the published one; raises `DataError` otherwise."""
    content = read_content(path, file.rank, source.remedy)
    actual = hashlib.sha256(content).hexdigest()
    if actual != file.sha256:
        raise DataError(
            f"{path}: expected the published {file.name} of {source.name} (SHA-256 of its content {file.sha256}), got "
            f"{actual}; {source.remedy}, or save images of your own as .npz"
        )
    return content


def read_source(source: Source, folder: Path) -> tuple[ImageData, ImageData]:
    """Training and test images from a folder that `locate` found; raises `DataError` for a damaged or foreign file."""
    return (
        _read_part(source, folder, source.train_images, source.train_labels),
        _read_part(source, folder, source.test_images, source.test_labels),
    )


def _read_part(source: Source, folder: Path, images: SourceFile, labels: SourceFile) -> ImageData:
    levels, classes = (
        torch.from_numpy(as_array(read_verified(source, file, file_path(folder, file)))) for file in (images, labels)
    )
    return ImageData(source.name, levels.unsqueeze(1), classes.long(), source.class_names)


def read_digits() -> ImageData:
    """The digits of scikit-learn: 8x8, their levels 0 to 16 scaled to 0 to 255 and rounded."""
    from sklearn.datasets import load_digits  # slow to import, and needed here only

    levels, labels = load_digits(return_X_y=True)
    images = np.rint(levels.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    return ImageData(DIGITS, torch.from_numpy(images), torch.from_numpy(labels).long(), tuple("0123456789"))


def _cache() -> Path:
    return Path(user_cache_dir("vaelab")) / "data"
