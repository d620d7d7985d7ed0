from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from vaelab.data.folders import read_folder
from vaelab.errors import DataError, UsageError

RANDOM = np.random.default_rng(0)


def grey(height: int = 9, width: int = 8) -> npt.NDArray[np.uint8]:
    return RANDOM.integers(0, 256, (height, width), dtype=np.uint8)


def colour(channels: int = 3) -> npt.NDArray[np.uint8]:
    return RANDOM.integers(0, 256, (9, 8, channels), dtype=np.uint8)


def write(path: Path, levels: npt.NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path)
    return path


def test_sub_folders_are_classes_in_sorted_order_with_all_below_them(tmp_path: Path, recorder: Any) -> None:
    levels = [grey() for _ in range(4)]
    write(tmp_path / "dog" / "b.png", levels[3])
    write(tmp_path / "dog" / "a" / "z.PNG", levels[2])
    write(tmp_path / "cat" / "2.png", levels[1])
    write(tmp_path / "cat" / "1.bmp", levels[0])
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "cat" / "._1.png").write_text("no image")
    (tmp_path / ".hidden").mkdir()
    data, test = read_folder(tmp_path, progress=recorder)
    assert test is None
    assert data.name == tmp_path.name
    assert data.class_names == ("cat", "dog")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert np.array_equal(data.images[:, 0].numpy(), np.stack(levels))
    assert recorder.seen == [(f"reading {tmp_path.name}", 4, 4)]


def test_images_alone_have_no_labels(tmp_path: Path) -> None:
    write(tmp_path / "a.png", grey())
    data, _ = read_folder(tmp_path)
    assert (len(data), data.labels, data.class_names) == (1, None, ())


def test_train_and_test_are_the_official_split(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a" / "1.png", grey())
    write(tmp_path / "train" / "b" / "1.png", grey())
    levels = write(tmp_path / "test" / "b" / "1.png", colour())
    train, test = read_folder(tmp_path)
    assert test is not None
    assert test.labels is not None
    assert (len(train), len(test), test.class_names, test.labels.tolist()) == (2, 1, ("a", "b"), [1])
    assert train.image_shape == test.image_shape == (3, 9, 8)
    assert np.array_equal(test.images[0].permute(1, 2, 0).numpy(), np.asarray(Image.open(levels)))


@pytest.mark.parametrize(("there", "missing"), [("train", "test"), ("test", "train")])
def test_half_an_official_split_is_no_class(tmp_path: Path, there: str, missing: str) -> None:
    write(tmp_path / there / "a" / "1.png", grey())
    with pytest.raises(DataError, match=f"got {there} alone; add {missing}, or give .*/{there} as the data"):
        read_folder(tmp_path)
    assert len(read_folder(tmp_path / there)[0]) == 1


def test_grey_and_colour_together_are_colour(tmp_path: Path) -> None:
    levels = grey()
    write(tmp_path / "a.png", levels)
    write(tmp_path / "b.png", colour())
    data, _ = read_folder(tmp_path)
    assert data.image_shape == (3, 9, 8)
    assert np.array_equal(data.images[0].numpy(), np.stack([levels] * 3))


def test_one_bit_images_are_grey(tmp_path: Path) -> None:
    bits = grey() > 127
    Image.fromarray(bits).save(tmp_path / "a.png")
    data, _ = read_folder(tmp_path)
    assert np.array_equal(data.images[0, 0].numpy(), bits * np.uint8(255))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_laid_over_white(tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (8, 8), (0, 0) if mode == "LA" else (0, 0, 0, 0))
    image.putpixel((0, 0), (7, 255) if mode == "LA" else (7, 7, 7, 255))
    image.save(tmp_path / "a.png")
    data, _ = read_folder(tmp_path)
    assert data.image_shape[0] == (1 if mode == "LA" else 3)
    assert data.images[0, 0, 0, 0] == 7
    assert bool((data.images[0, :, 1:] == 255).all())


def test_palettes_are_looked_up(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (250, 0, 3)).quantize(4).save(tmp_path / "a.png")
    data, _ = read_folder(tmp_path)
    assert data.images[0, :, 4, 4].tolist() == [250, 0, 3]


def test_the_rotation_of_a_camera_is_undone(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(grey(9, 12)).save(tmp_path / "a.jpg", exif=exif)
    data, _ = read_folder(tmp_path)
    assert data.image_shape == (1, 12, 9)


def test_image_size_cuts_the_centre_square_and_scales_it(tmp_path: Path) -> None:
    wide = np.zeros((10, 30), dtype=np.uint8)
    wide[:, 10:20] = 200
    write(tmp_path / "a.png", wide)
    write(tmp_path / "b.png", wide.T.copy())
    data, _ = read_folder(tmp_path, image_size=8)
    assert torch.equal(data.images, torch.full((2, 1, 8, 8), 200, dtype=torch.uint8))
    with pytest.raises(UsageError, match="image size of at least 8 pixels, got 7; choose a larger one"):
        read_folder(tmp_path, image_size=7)


def test_loops_of_links_are_harmless(tmp_path: Path) -> None:
    write(tmp_path / "a" / "1.png", grey())
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path)
    (tmp_path / "knot").symlink_to(tmp_path / "knot")
    data, _ = read_folder(tmp_path)
    assert (len(data), data.class_names) == (1, ("a",))


def test_mixed_sizes_are_refused_naming_two_files_and_the_remedy(tmp_path: Path) -> None:
    write(tmp_path / "a.png", grey(9, 8))
    write(tmp_path / "b.png", grey(9, 8))
    write(tmp_path / "c.png", grey(10, 8))
    sentence = r"one size, got .*/a\.png of 8x9 and .*/c\.png of 8x10 pixels; resize them all with --image-size"
    with pytest.raises(DataError, match=sentence):
        read_folder(tmp_path)


@pytest.mark.parametrize("kind", ["garbage", "truncated", "empty", "broken link"])
def test_an_unreadable_image_is_named(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "b.png", grey(64, 64))
    write(tmp_path / "a.png", grey(64, 64))
    content = path.read_bytes()
    path.unlink()
    if kind == "broken link":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.write_bytes({"garbage": b"no image", "truncated": content[:200], "empty": b""}[kind])
    with pytest.raises(DataError, match=r"/b\.png: expected a readable image, got .*; replace or remove it"):
        read_folder(tmp_path)


def test_sixteen_bits_are_refused_instead_of_clipped(tmp_path: Path) -> None:
    Image.fromarray(grey().astype(np.uint16) * 257).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: expected 8 bits a channel, got an image of mode I.*; convert"):
        read_folder(tmp_path)


@pytest.mark.parametrize("limit", [40, 10], ids=["Pillow's warning", "Pillow's error"])
def test_decompression_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    write(tmp_path / "a.png", grey())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match=r"a\.png: expected an image of a sane size, got: .*; make it smaller"):
        read_folder(tmp_path)


LAYOUTS = {
    "nothing": ([], r"expected image files \(.*\.png.*\), got none; choose another folder"),
    "no images": (["notes.txt"], "expected image files .*, got none; choose another folder"),
    "empty class": (["a/1.png", "b/notes.txt"], "/b: expected images in every class folder, got none; add some"),
    "mixed": (["a/1.png", "loose.png"], r"got both, for instance loose\.png; move it"),
    "foreign class": (["train/a/1.png", "test/b/1.png"], "same class folders .* got a in train and b in test; give"),
    "labels in one": (["train/a/1.png", "test/1.png"], "same class folders .* got a in train and none in test; give"),
    "third part": (["train/a/1.png", "test/a/1.png", "val/a/1.png"], "beside train and test, got val; move"),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_layouts_that_cannot_be_read_are_refused(tmp_path: Path, case: str) -> None:
    names, sentence = LAYOUTS[case]
    for name in names:
        if name.endswith(".png"):
            write(tmp_path / name, grey())
        else:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("no image")
    with pytest.raises(DataError, match=f"^{tmp_path}.*{sentence}"):
        read_folder(tmp_path)


def test_too_small_images_are_refused_by_the_folders_path(tmp_path: Path) -> None:
    write(tmp_path / "a.png", grey(4, 4))
    with pytest.raises(
        DataError, match=f"^{tmp_path}: expected images of at least 8x8 pixels, got 4x4; .*--image-size"
    ):
        read_folder(tmp_path)
