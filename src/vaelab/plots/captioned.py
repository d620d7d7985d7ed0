"""Sheets of images with a few words below each, such as what a classifier sees in them."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from vaelab.plots import checks, style
from vaelab.plots.images import Row, _sheet


def captioned_images(
    images: ArrayLike,
    captions: Sequence[Sequence[object]],
    row_labels: Sequence[object],
    column_labels: Sequence[object] = (),
    *,
    title: str = "",
    columns_name: str = "",
) -> Figure:
    """``images`` (rows, n, c, h, w), values in [0, 1], with ``captions`` (rows × n), one line below each image.

    ``row_labels`` (rows) and, where there are any, ``column_labels`` (n) name rows and columns; ``columns_name`` says
    what the columns are. Raises `ValueError` for images of another shape or wrong numbers of words.

    >>> import numpy as np
    >>> figure = captioned_images(np.zeros((1, 2, 1, 8, 8)), [["cat", "dog"]], ["samples"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['cat', 'dog']
    """
    cells = checks.pictures("images", images, ("rows", "n"))
    rows, columns = cells.shape[:2]
    names = checks.names("row_labels", row_labels, rows)
    heads = checks.names("column_labels", column_labels, columns) if len(column_labels) else []
    if len(captions) != rows:
        raise ValueError(f"expected captions for {rows} rows, got them for {len(captions)}")
    words = [[style.shortened(text, 10) for text in checks.names("captions", line, columns)] for line in captions]
    sheet = [Row(cells[i], names[i], words[i]) for i in range(rows)]
    return _sheet(sheet, heads, title, columns_name)
