from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.data import arrays
from vaelab.data.arrays import read_npz
from vaelab.errors import DataError

LEVELS = np.random.default_rng(0).integers(0, 256, (4, 9, 8, 3), dtype=np.uint8)


def save(folder: Path, **stored: Any) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **stored)
    return path


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (LEVELS[..., 0], LEVELS[..., 0][:, None]),
        (LEVELS[..., :1], LEVELS[..., 0][:, None]),
        (LEVELS, LEVELS.transpose(0, 3, 1, 2)),
        (LEVELS.transpose(0, 3, 1, 2), LEVELS.transpose(0, 3, 1, 2)),
    ],
    ids=["nhw", "nhw1", "nhwc", "nchw"],
)
def test_layouts(tmp_path: Path, images: npt.NDArray[np.uint8], expected: npt.NDArray[np.uint8]) -> None:
    data = read_npz(save(tmp_path, images=images))
    assert np.array_equal(data.images.numpy(), expected)
    assert (data.name, data.labels, data.class_names) == ("mine.npz", None, ())


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from(["float16", "float32", "float64"]))
def test_floats_come_back_as_the_levels_they_were_made_of(seed: int, dtype: str) -> None:
    levels = np.random.default_rng(seed).integers(0, 256, (2, 8, 8), dtype=np.uint8)
    read = arrays._levels(Path("x.npz"), (levels / 255).astype(dtype))
    assert np.array_equal(read, levels)


@pytest.mark.parametrize(
    ("labels", "numbers", "names"),
    [
        ([0, 1, 2, 1], [0, 1, 2, 1], ("0", "1", "2")),
        ([7, 3, 10, 3], [1, 0, 2, 0], ("3", "7", "10")),
        (["cat", "ant", "cat", "bee"], [2, 0, 2, 1], ("ant", "bee", "cat")),
    ],
)
def test_labels_are_numbered_in_sorted_order(
    tmp_path: Path, labels: list[Any], numbers: list[int], names: tuple[str, ...]
) -> None:
    data = read_npz(save(tmp_path, images=LEVELS, labels=np.array(labels)))
    assert data.labels is not None
    assert data.labels.dtype == torch.int64
    assert (data.labels.tolist(), data.class_names) == (numbers, names)


GREY = LEVELS[..., 0]
FLOATS = GREY / 255
NAN = np.where(np.arange(8) == 3, np.nan, FLOATS)
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no images": ({"pixels": GREY}, r"expected an array 'images', got .*; save it with np\.savez"),
    "flat": ({"images": GREY.reshape(4, -1)}, r"shape \(n, h, w\), .* got \(4, 72\); reshape"),
    "two channels": ({"images": LEVELS[..., :2]}, r"1 or 3 channels, got \(4, 9, 8, 2\); reshape"),
    "empty": ({"images": GREY[:0]}, "at least one image, got none; give"),
    "empty floats": ({"images": FLOATS[:0]}, "at least one image, got none; give"),
    "small": ({"images": GREY[:, :7]}, "at least 8x8 pixels, got 7x8; use larger"),
    "integers": ({"images": GREY.astype(int)}, r"uint8, or of floats in \[0, 1\], got int64; save"),
    "NaN": ({"images": NAN}, "without NaN and infinity, got some; replace"),
    "infinite": ({"images": FLOATS + np.inf}, "without NaN and infinity, got some; replace"),
    "0 to 255": ({"images": GREY.astype(float)}, r"floats in \[0, 1\], got values from .*; scale them"),
    "negative": ({"images": FLOATS - 0.5}, r"floats in \[0, 1\], got values from -0.5 to .*; scale them"),
    "objects": ({"images": np.array([{}, "x"], dtype=object)}, "numbers or strings, got an array of objects; save"),
    "object labels": ({"images": GREY, "labels": np.array([1, "x", None, 2], dtype=object)}, "array of objects; save"),
    "float labels": ({"images": GREY, "labels": np.zeros(4)}, "labels of integers or strings, got float64; convert"),
    "few labels": ({"images": GREY, "labels": np.zeros(3, int)}, r"4 labels, one per image, got .*\(3,\); pair"),
    "one-hot labels": ({"images": GREY, "labels": np.eye(4, dtype=int)}, r"4 labels, .* \(4, 4\); pair"),
    "negative labels": ({"images": GREY, "labels": np.array([0, 1, -1, 0])}, "at least 0, got -1; leave out"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_refused_by_file_name_with_a_remedy(tmp_path: Path, case: str) -> None:
    stored, sentence = BAD[case]
    path = save(tmp_path, **stored)
    with pytest.raises(DataError, match=f"^{path}: .*{sentence}"):
        read_npz(path)


def damaged(path: Path, kind: str) -> None:
    if kind == "one array":
        with path.open("wb") as stream:
            np.save(stream, LEVELS)
        return
    content = path.read_bytes()
    middle = len(content) // 2
    changed = {
        "truncated": content[:middle],
        "overwritten": content[: middle - 40] + bytes(80) + content[middle + 40 :],
        "no archive": b"nothing of the kind",
        "empty": b"",
    }
    path.write_bytes(changed[kind])


@pytest.mark.parametrize("kind", ["truncated", "overwritten", "no archive", "empty", "one array"])
@pytest.mark.parametrize("saver", [np.savez, np.savez_compressed])
def test_damaged_archives_are_refused(tmp_path: Path, kind: str, saver: Any) -> None:
    path = tmp_path / "mine.npz"
    saver(path, images=LEVELS)
    damaged(path, kind)
    with pytest.raises(DataError, match=f"^{path}: expected .*; save it again"):
        read_npz(path)


def test_more_than_the_cap_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MAX_BYTES", 100)
    path = save(tmp_path, images=LEVELS)
    with pytest.raises(DataError, match=f"^{path}: expected arrays of at most .* GiB, got .*; divide the file"):
        read_npz(path)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a readable file, got: No such file or directory; check the path"):
        read_npz(tmp_path / "missing.npz")
