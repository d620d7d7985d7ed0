"""IDX files, the format of MNIST: a magic number, the dimensions, then one byte a value; gzipped or plain.

Nothing is believed before it is checked: at most the size that the header declares is decompressed, plus one byte to
see whether there is more.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from vaelab.errors import DataError

MAX_BYTES = 4 * 2**30
"""Largest content that is read, 4 GiB: a header that declares more is damaged or hostile."""

_CHUNK = 2**20
_UINT8 = 0x08
_GZIP = b"\x1f\x8b"
_AGAIN = "download it again"


def read_idx(path: Path, rank: int, remedy: str = _AGAIN) -> npt.NDArray[np.uint8]:
    """The values of an IDX file of bytes with ``rank`` dimensions: 3 for images ``(n, height, width)``, 1 for labels.

    Raises `DataError`, ending in ``remedy``, for all that `read_content` refuses.
    """
    return as_array(read_content(path, rank, remedy))


def as_array(content: bytearray) -> npt.NDArray[np.uint8]:
    """The values of content that `read_content` checked, without a copy."""
    rank = content[3]
    shape = struct.unpack_from(f">{rank}I", content, 4)
    return np.frombuffer(content, dtype=np.uint8, offset=_header_size(rank)).reshape(shape)


def read_content(path: Path, rank: int, remedy: str = _AGAIN) -> bytearray:
    """The whole decompressed content of an IDX file, header included, after every check.

    Raises `DataError`, ending in ``remedy``, for a file that cannot be read, a damaged or truncated gzip stream,
    another magic number, zero or absurd dimensions, and content that is shorter or longer than the dimensions say.
    """
    try:
        with path.open("rb") as raw:
            if raw.peek(2)[:2] != _GZIP:
                return _read_checked(raw, path, rank, remedy)
            with gzip.GzipFile(fileobj=raw) as unpacked:
                return _read_checked(unpacked, path, rank, remedy)
    except EOFError as error:
        raise DataError(f"{path}: expected a whole gzip file, got a truncated one; {remedy}") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: expected a whole gzip file, got a damaged one ({error}); {remedy}") from error
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got: {error.strerror or error}; {remedy}") from error


def _read_checked(stream: BinaryIO | gzip.GzipFile, path: Path, rank: int, remedy: str) -> bytearray:
    content = _read_up_to(stream, _header_size(rank))
    size = _header_size(rank) + _declared_size(content, path, rank, remedy)
    content += _read_up_to(stream, size + 1 - len(content))
    if len(content) < size:
        raise DataError(f"{path}: expected {size} bytes, as its dimensions say, got {len(content)}; {remedy}")
    if len(content) > size:
        raise DataError(f"{path}: expected {size} bytes, as its dimensions say, got more; {remedy}")
    return content


def _declared_size(header: bytearray, path: Path, rank: int, remedy: str) -> int:
    magic = bytes((0, 0, _UINT8, rank))
    if header[:4] != magic:
        raise DataError(
            f"{path}: expected an IDX file of bytes with {rank} dimension{'s' * (rank > 1)} (magic number "
            f"0x{magic.hex()}), got 0x{header[:4].hex()}; {remedy}"
        )
    if len(header) < _header_size(rank):
        raise DataError(f"{path}: expected a header of {_header_size(rank)} bytes, got {len(header)}; {remedy}")
    shape = struct.unpack_from(f">{rank}I", header, 4)
    size: int = math.prod(shape)
    if size == 0:
        raise DataError(f"{path}: expected at least one value, got dimensions {shape}; {remedy}")
    if size > MAX_BYTES:
        raise DataError(
            f"{path}: expected at most {MAX_BYTES // 2**30} GiB, got dimensions {shape} that declare "
            f"{size / 2**30:.1f} GiB; {remedy}"
        )
    return size


def _read_up_to(stream: BinaryIO | gzip.GzipFile, size: int) -> bytearray:
    """In pieces, so that a header's claim alone reserves no memory; reading on at the end checks the gzip CRC."""
    content = bytearray()
    while len(content) < size and (piece := stream.read(min(_CHUNK, size - len(content)))):
        content += piece
    return content


def _header_size(rank: int) -> int:
    return 4 + 4 * rank
