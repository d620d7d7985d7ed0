from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vaelab.data import load
from vaelab.errors import DataError, UsageError


def test_the_digits_are_scaled_to_all_levels_and_split_by_class() -> None:
    splits = load("digits", validation=0.1, seed=3)
    assert splits.validation is not None
    sizes = [len(part) for part in (splits.train, splits.validation, splits.test)]
    assert sizes == [1294, 144, 359]
    assert splits.train.image_shape == (1, 8, 8)
    assert set(splits.train.images.unique().tolist()) == {round(255 * level / 16) for level in range(17)}
    assert splits.test.labels is not None
    assert torch.bincount(splits.test.labels).tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]


def test_splits_depend_on_the_seed_alone() -> None:
    first, again, other = (load("digits", seed=seed).test.images for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_named_set_keeps_its_official_split(tmp_path: Path, tiny: Any) -> None:
    tiny.write(tmp_path / "tiny")
    splits = load("tiny", data_dir=tmp_path, offline=True, validation=2.0)
    assert splits.validation is not None
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [3, 2, 3]
    content = gzip.decompress(tiny.files["test-images.gz"])
    assert splits.test.images.numpy().tobytes() == content[16:]
    assert splits.test.class_names == ("a", "b")


def test_files_without_gzip_do_too(tmp_path: Path, tiny: Any) -> None:
    folder = tiny.write(tmp_path / "tiny")
    for name, content in tiny.files.items():
        (folder / name).unlink()
        (folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    assert len(load("tiny", data_dir=str(tmp_path), offline=True).train) == 5


def test_a_named_set_is_fetched_where_it_is_missing(
    tmp_path: Path, tiny: Any, server: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish("tiny", tiny.files)
    monkeypatch.setenv("VAELAB_MIRROR", server.base)
    assert len(load("tiny", progress=recorder).test) == 3
    assert len(recorder.seen) == 4
    assert len(load("tiny", offline=True).test) == 3
    assert len(server.asked) == 4


def test_a_file_that_is_not_the_published_one_is_refused(tmp_path: Path, tiny: Any) -> None:
    folder = tiny.write(tmp_path / "tiny")
    content = bytearray(gzip.decompress(tiny.files["train-images.gz"]))
    content[-1] ^= 1
    (folder / "train-images.gz").write_bytes(gzip.compress(content))
    sentence = r"train-images\.gz: expected the published .* of tiny \(SHA-256 .*\), got .*; delete it and run `vaelab"
    with pytest.raises(DataError, match=sentence):
        load("tiny", data_dir=tmp_path)


def test_npz_files_and_folders_go_by_their_path(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (10, 8, 12), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", images=levels)
    (tmp_path / "pictures").mkdir()
    for number, image in enumerate(levels):
        Image.fromarray(image).save(tmp_path / "pictures" / f"{number}.png")
    array, folder = load(tmp_path / "mine.npz", test=0.3), load(str(tmp_path / "pictures"), test=0.3)
    assert (array.train.name, folder.train.name) == ("mine.npz", "pictures")
    small = [
        load(place, test=0.3, image_size=8).train.images for place in (tmp_path / "mine.npz", tmp_path / "pictures")
    ]
    assert int((small[0].int() - small[1].int()).abs().max()) <= 1
    for ours, theirs in ((array.train, folder.train), (array.test, folder.test)):
        assert torch.equal(ours.images, theirs.images)
    assert len(array.test) == 3


def test_image_size_resizes_every_kind(tmp_path: Path, tiny: Any) -> None:
    tiny.write(tmp_path)
    splits = load("tiny", data_dir=tmp_path, image_size=16)
    assert splits.train.image_shape == splits.test.image_shape == (1, 16, 16)
    assert load("digits", image_size=12).train.image_shape == (1, 12, 12)
    same = load("digits", image_size=8)
    assert torch.equal(same.train.images, load("digits").train.images)
    with pytest.raises(UsageError, match="image size of at least 8 pixels, got 4; choose a larger one"):
        load("digits", image_size=4)


def test_resizing_takes_the_centre_square(tmp_path: Path) -> None:
    wide = np.zeros((2, 10, 30, 3), dtype=np.uint8)
    wide[:, :, 10:20] = (10, 20, 200)
    np.savez(tmp_path / "wide.npz", images=wide)
    image = load(tmp_path / "wide.npz", test=0.5, image_size=8).train.images[0]
    assert torch.equal(image, torch.tensor([10, 20, 200], dtype=torch.uint8).reshape(3, 1, 1).expand(3, 8, 8))


def test_names_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("1,2")
    with pytest.raises(
        UsageError, match=r"'fashon-mnist', and no \.npz file or folder .*; did you mean fashion-mnist\?$"
    ):
        load("fashon-mnist")
    with pytest.raises(UsageError, match=r"expected a data set's name, .* got the file table\.csv; convert it"):
        load("table.csv")
    for missing in ("mine.npz", f"some{os.sep}folder"):
        with pytest.raises(DataError, match=f"{missing}: expected a .npz file or an image folder, got nothing there"):
            load(missing)


@pytest.mark.parametrize("options", [{"test": 0}, {"test": 5000}, {"validation": -1}, {"validation": 1500}])
def test_impossible_splits_are_refused(options: dict[str, float]) -> None:
    with pytest.raises((UsageError, DataError), match=r"expected .*; (give|choose)"):
        load("digits", **options)
