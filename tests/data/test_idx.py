from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from vaelab.data.idx import read_idx
from vaelab.errors import DataError

VALUES = np.arange(2 * 8 * 9, dtype=np.uint8).reshape(2, 8, 9)
CONTENT = struct.pack(">4I", 0x0803, 2, 8, 9) + VALUES.tobytes()
PACKED = gzip.compress(CONTENT)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [CONTENT, PACKED], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ["file", "file.gz"])
def test_gzip_is_known_by_its_content_and_not_by_its_name(tmp_path: Path, content: bytes, name: str) -> None:
    assert np.array_equal(read_idx(write(tmp_path / name, content), 3), VALUES)


def test_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "labels", struct.pack(">2I", 0x0801, 3) + bytes((7, 0, 9)))
    assert read_idx(path, 1).tolist() == [7, 0, 9]


BAD = {
    "magic number": (b"\0\0\x0d\x03" + CONTENT[4:], r"3 dimensions \(magic number 0x00000803\), got 0x00000d03"),
    "labels for images": (struct.pack(">2I", 0x0801, 3) + b"abc", r"magic number 0x00000803\), got 0x00000801"),
    "empty file": (b"", r"magic number 0x00000803\), got 0x;"),
    "short header": (CONTENT[:10], "expected a header of 16 bytes, got 10"),
    "no images": (struct.pack(">4I", 0x0803, 0, 8, 9), r"at least one value, got dimensions \(0, 8, 9\)"),
    "huge": (struct.pack(">4I", 0x0803, *[2**32 - 1] * 3) + b"x", "at most 4 GiB, got dimensions"),
    "too short": (CONTENT[:-1], "expected 160 bytes, as its dimensions say, got 159"),
    "too long": (CONTENT + b"x", "expected 160 bytes, as its dimensions say, got more"),
    "gzip too short": (gzip.compress(CONTENT[:-1]), "expected 160 bytes, as its dimensions say, got 159"),
    "gzip too long": (gzip.compress(CONTENT + b"x"), "expected 160 bytes, as its dimensions say, got more"),
    "gzip truncated": (PACKED[:-12], "expected a whole gzip file, got a truncated one"),
    "gzip without checksum": (PACKED[:-8], "expected a whole gzip file, got a truncated one"),
    "gzip checksum": (PACKED[:-8] + b"1234" + PACKED[-4:], r"expected a whole gzip file, got a damaged one \(CRC"),
    "gzip stream": (PACKED[:10] + b"\xff" * 20, "expected a whole gzip file, got a damaged one"),
    "garbage behind gzip": (PACKED + b"garbage", "expected a whole gzip file, got a damaged one"),
}


@pytest.mark.parametrize("case", BAD)
def test_damaged_files_are_refused_by_name_with_a_remedy(tmp_path: Path, case: str) -> None:
    content, sentence = BAD[case]
    with pytest.raises(DataError, match=r"/images\.gz: expected .*; fetch it") as refused:
        read_idx(write(tmp_path / "images.gz", content), 3, "fetch it")
    assert refused.match(sentence)
    assert "\n" not in str(refused.value)


def test_a_gzip_bomb_is_unpacked_no_further_than_the_declared_size(tmp_path: Path) -> None:
    path = write(tmp_path / "bomb.gz", gzip.compress(CONTENT + bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(DataError, match="got more"):
        read_idx(path, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_a_declared_size_alone_reserves_no_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "claims.gz", gzip.compress(struct.pack(">4I", 0x0803, 2**20, 32, 32) + b"few"))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"expected 1073741840 bytes, .* got 19"):
        read_idx(path, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(DataError, match=f"^{path}: expected a readable file, got: .*; download it again"):
            read_idx(path, 3)
