"""Pictures inside the page: PNG files as they are, and many small images in one sprite."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from vaelab.errors import VaelabError

SCREEN = 1.2
"""Figures are drawn for a page 16 cm wide; on a screen they are shown by this factor larger."""

TILE = 48
"""Images of a sprite that are larger are reduced to this many pixels."""


@dataclass(frozen=True)
class Embedded:
    """``uri``: ``data:image/png;base64,…``; ``width`` and ``height`` in CSS pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Sprite:
    """``width × height`` tiles, ``columns`` in a row, in order."""

    uri: str
    columns: int
    width: int
    height: int


def embed(file: Path) -> Embedded:
    """A PNG file as a data URI with the size it is shown at.

    Raises `VaelabError` where the file is not there or no PNG.
    """
    try:
        data = file.read_bytes()
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.verify()
            width, height = image.size
            dpi = float(image.info.get("dpi", (150.0, 150.0))[0]) or 150.0
    except FileNotFoundError:
        raise VaelabError(f"the report needs the picture {file}, which is not there; draw it again") from None
    except OSError as error:
        cause = error.strerror or "not a whole PNG file"
        if isinstance(error, UnidentifiedImageError):
            cause = "not a PNG file"
        raise VaelabError(f"the report needs the picture {file}, which cannot be read: {cause}") from None
    except (SyntaxError, ValueError):  # Pillow's words for damaged chunks
        raise VaelabError(f"the report needs the picture {file}, which is damaged; draw it again") from None
    scale = SCREEN * 96 / dpi
    return Embedded(_uri(data), max(1, round(width * scale)), max(1, round(height * scale)))


def sprite(images: NDArray[np.uint8]) -> Sprite:
    """``(n, height, width)`` or ``(n, 3, height, width)`` uint8 → one PNG that holds all of them as tiles."""
    if images.dtype != np.uint8 or images.ndim not in {3, 4} or (images.ndim == 4 and images.shape[1] not in {1, 3}):
        raise ValueError(
            f"expected uint8 (n, height, width) or (n, 3, height, width), got {images.dtype} {images.shape}"
        )
    if images.ndim == 4:
        images = images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)
    number, (height, width) = len(images), images.shape[1:3]
    shrink = min(1.0, TILE / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    columns = max(1, int(np.ceil(np.sqrt(number))))
    rows = -(-number // columns)
    sheet = Image.new("RGB" if images.ndim == 4 else "L", (columns * size[0], rows * size[1]))
    for place, pixels in enumerate(images):
        tile = Image.fromarray(np.ascontiguousarray(pixels))
        if shrink < 1:
            tile = tile.resize(size, Image.Resampling.BOX)
        sheet.paste(tile, ((place % columns) * size[0], (place // columns) * size[1]))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return Sprite(_uri(stream.getvalue()), columns, *size)


def _uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")
