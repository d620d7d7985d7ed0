"""Sheets of images: grids, reconstructions beside inputs, samples, class × epoch, interpolation strips.

Every sheet is one canvas drawn once, so that a sheet of 1,000 images is as quick as one of ten.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from vaelab.plots import checks, style
from vaelab.plots.checks import Array

LARGEST = 0.6
"""An image is drawn at most this wide, in inches."""


@dataclass(frozen=True)
class Row:
    """A row of a sheet: its images (columns, h, w, channels), its name, and what to write below each image."""

    images: Array
    name: str = ""
    below: Sequence[str] = ()
    below_name: str = ""
    joined: bool = False
    """Belongs to the row above it: set close to it."""


def image_grid(
    images: ArrayLike,
    columns: int | None = None,
    row_labels: Sequence[object] | None = None,
    column_labels: Sequence[object] | None = None,
    title: str = "",
) -> Figure:
    """Images (n, c, h, w) or (n, h, w), values in [0, 1], row by row in a grid of ``columns`` (default: near square).

    ``row_labels`` and ``column_labels`` name the rows and columns, one each. Raises `ValueError` for images of another
    shape, no columns, or a wrong number of labels.

    >>> figure = image_grid(np.zeros((6, 1, 8, 8)), columns=3, row_labels=["first", "second"])
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['first', 'second']
    """
    cells = checks.pictures("images", images, ("n",))
    if columns is None:
        columns = math.ceil(math.sqrt(len(cells)))
    if columns < 1:
        raise ValueError(f"expected at least 1 column, got {columns}")
    columns = min(columns, len(cells))
    count = math.ceil(len(cells) / columns)
    row_names = [""] * count if row_labels is None else checks.names("row_labels", row_labels, count)
    column_names = [] if column_labels is None else checks.names("column_labels", column_labels, columns)
    rows = [Row(cells[i * columns : (i + 1) * columns], row_names[i]) for i in range(count)]
    return _sheet(rows, column_names, title)


def samples(images: ArrayLike, columns: int | None = None, title: str = "samples from the prior") -> Figure:
    """New images (n, c, h, w), values in [0, 1], in a near square grid; raises `ValueError` as `image_grid` does.

    >>> samples(np.zeros((16, 1, 8, 8))).get_suptitle()
    'samples from the prior'
    """
    return image_grid(images, columns, title=title)


def reconstructions(
    inputs: ArrayLike,
    outputs: ArrayLike,
    scores: ArrayLike | None = None,
    *,
    title: str = "",
    names: tuple[str, str] = ("input", "reconstruction"),
    score_name: str = "nats per image",
) -> Figure:
    """Inputs (n, c, h, w) above their reconstructions (n, c, h, w), in pairs of rows of at most ten images.

    ``scores`` (n,) are written below each pair, ``score_name`` is their unit. Raises `ValueError` where the two shapes
    differ, or there is not one score for each image.

    >>> figure = reconstructions(np.zeros((12, 1, 8, 8)), np.ones((12, 1, 8, 8)))
    >>> len(figure.axes[0].get_yticks())  # two pairs
    4
    """
    first = checks.pictures("inputs", inputs, ("n",))
    second = checks.pictures("outputs", outputs, ("n",))
    if first.shape != second.shape:
        raise ValueError(f"expected outputs of the inputs' shape {np.shape(inputs)}, got {np.shape(outputs)}")
    checks.names("names", names, 2)
    below = [] if scores is None else _written(checks.numbers("scores", scores, ("n",)))
    if scores is not None:
        checks.names("scores", below, len(first))
    pairs = math.ceil(len(first) / 10)
    columns = math.ceil(len(first) / pairs)
    rows = []
    for part in (slice(i, i + columns) for i in range(0, len(first), columns)):
        rows.append(Row(first[part], names[0]))
        rows.append(Row(second[part], names[1], below[part], score_name if below else "", joined=True))
    return _sheet(rows, [], title)


def samples_per_class(images: ArrayLike, class_names: Sequence[object], title: str = "samples per class") -> Figure:
    """New images (classes, n, c, h, w), values in [0, 1]: one row a class, named by ``class_names`` (classes).

    Raises `ValueError` for another shape or number of names.

    >>> figure = samples_per_class(np.zeros((2, 5, 1, 8, 8)), ["cat", "dog"])
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['cat', 'dog']
    """
    cells = checks.pictures("images", images, ("classes", "n"))
    names = checks.names("class_names", class_names, len(cells))
    return _sheet([Row(row, name) for row, name in zip(cells, names, strict=True)], [], title)


def class_epoch_sheet(
    images: ArrayLike,
    class_names: Sequence[object],
    epochs: Sequence[int] | None = None,
    title: str = "one sample of each class after each epoch",
) -> Figure:
    """Images (epochs, classes, c, h, w): rows are classes, columns are epochs, thinned to at most twelve.

    ``epochs`` holds the epochs' numbers (default 1, 2, …); the first and the last are always kept. Raises `ValueError`
    for another shape, or wrong numbers of names or epochs.

    >>> figure = class_epoch_sheet(np.zeros((3, 2, 1, 8, 8)), ["cat", "dog"])
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['1', '2', '3']
    """
    cells = checks.pictures("images", images, ("epochs", "classes"))
    rows = checks.names("class_names", class_names, cells.shape[1])
    columns = checks.names("epochs", range(1, len(cells) + 1) if epochs is None else epochs, len(cells))
    kept = np.unique(np.linspace(0, len(cells) - 1, min(len(cells), 12)).round().astype(int))
    sheet = [Row(cells[kept, i], name) for i, name in enumerate(rows)]
    return _sheet(sheet, [columns[i] for i in kept], title, columns_name="epoch")


def interpolation(
    strips: ArrayLike, row_labels: Sequence[object] | None = None, title: str = "from one image to another"
) -> Figure:
    """Images (rows, steps, c, h, w), each row a straight line in latent space, decoded in order.

    ``row_labels`` names each row. Raises `ValueError` for another shape or number of labels.

    >>> figure = interpolation(np.zeros((1, 3, 1, 8, 8)))
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['0', '0.5', '1']
    """
    cells = checks.pictures("strips", strips, ("rows", "steps"))
    names = [""] * len(cells) if row_labels is None else checks.names("row_labels", row_labels, len(cells))
    places = [f"{place:.2f}".rstrip("0").rstrip(".") for place in np.linspace(0, 1, cells.shape[1])]
    rows = [Row(row, name) for row, name in zip(cells, names, strict=True)]
    return _sheet(rows, places, title, columns_name="position on the line (0: first image, 1: second)")


def _sheet(rows: Sequence[Row], column_names: Sequence[str], title: str, columns_name: str = "") -> Figure:
    """All rows on one canvas, names at the left, column names above."""
    shape = rows[0].images.shape[1:3]
    columns = max(len(row.images) for row in rows)
    gap = max(1, round(shape[1] / 14))
    names = [_in_lines(row.name, 2 if len(rows) <= 12 else 1) for row in rows]
    texts = "\n".join([*names, *(row.below_name for row in rows)])
    margin = 0.15 + 0.072 * max(len(line) for line in texts.split("\n"))
    wide = columns * (shape[1] + gap) - gap
    inch = min(LARGEST / shape[1], (style.WIDTH - margin) / wide)  # of one pixel
    text = math.ceil(0.2 / inch)
    tops, total = _tops(rows, shape[0], gap, text)
    head = (0.3 if title else 0.0) + (0.2 if column_names else 0.0) + (0.2 if columns_name else 0.0) + 0.12
    if total * inch + head > style.HEIGHT:
        inch = (style.HEIGHT - head) / total
    canvas = np.ones((total, wide, rows[0].images.shape[-1]))
    for row, top in zip(rows, tops, strict=True):
        for i, image in enumerate(row.images):
            left = i * (shape[1] + gap)
            canvas[top : top + shape[0], left : left + shape[1]] = image
    width = max(wide * inch + margin, 2.4)
    lines = style.wrapped(title, width).count("\n")
    with style.drawing(width, total * inch + head + 0.18 * lines, title) as figure:
        axes = figure.add_subplot()
        show(axes, canvas)
        centres = [(shape[1] + gap) * i + (shape[1] - 1) / 2 for i in range(len(column_names))]
        axes.set_xticks(centres, column_names, fontsize=_fitting(shape[1] * inch, column_names))
        axes.set_xlabel(columns_name)
        _name_rows(axes, rows, names, [top + (shape[0] - 1) / 2 for top in tops], (shape[0], inch))
        _write_below(axes, rows, [top + shape[0] + 0.45 * text for top in tops], shape[1] + gap, shape[1])
        style.trim(figure)
    return figure


def _tops(rows: Sequence[Row], height: int, gap: int, text: int) -> tuple[list[int], int]:
    """The first pixel line of each row, and how many lines there are altogether."""
    grouped = any(row.joined for row in rows)
    tops, place = [], 0
    for i, row in enumerate(rows):
        if i:
            place += 2 * gap + 1 if grouped and not row.joined else gap
        tops.append(place)
        place += height + (text if row.below else 0)
    return tops, place


def _name_rows(
    axes: Axes, rows: Sequence[Row], names: Sequence[str], centres: Sequence[float], size: tuple[int, float]
) -> None:
    places, texts = [], []
    for row, name, centre in zip(rows, names, centres, strict=True):
        if name:
            places.append(centre)
            texts.append(name)
        if row.below:
            places.append(centre + size[0] / 2 + 0.09 / size[1])
            texts.append(row.below_name)
    axes.set_yticks(places, texts, fontsize=min(style.FONT - 0.5, max(3.0, size[0] * size[1] * 72 * 0.8)))


def _write_below(axes: Axes, rows: Sequence[Row], places: Sequence[float], step: int, width: int) -> None:
    for row, place in zip(rows, places, strict=True):
        for i, text in enumerate(row.below):
            centre = i * step + (width - 1) / 2
            axes.text(centre, place, text, ha="center", va="center", fontsize=style.FONT - 1.5, color="#333333")


def show(axes: Axes, canvas: Array, extent: tuple[float, float, float, float] | None = None) -> None:
    """Draw ``canvas`` (h, w, 1 or 3), black 0 and white 1, without frame and tick marks.

    Pixel by pixel, but smoothed where a canvas has too many pixels for the page: leaving some out would break strokes.
    """
    flat = canvas[..., 0] if canvas.shape[-1] == 1 else canvas
    interpolation = "nearest" if max(canvas.shape) <= style.WIDTH * 150 / 2 else "antialiased"
    axes.imshow(flat, cmap="gray", vmin=0, vmax=1, interpolation=interpolation, extent=extent)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.xaxis.set_label_position("top")


def _in_lines(name: str, lines: int) -> str:
    """A row's name in one line, or in two where it is long; cut where even these do not hold it."""
    if lines == 1 or len(name) <= 16:
        return style.shortened(name)
    return "\n".join(style.shortened(line) for line in textwrap.wrap(style.shortened(name, 34), 17)[:2])


def _fitting(width: float, texts: Sequence[str]) -> float:
    """A font size in points at which the longest of ``texts`` fits in ``width`` inches."""
    longest = max((len(text) for text in texts), default=1)
    return float(np.clip(width * 72 / (0.65 * longest), 4.0, style.FONT - 0.5))


def _written(scores: Array) -> list[str]:
    """``scores`` with as many decimals as the largest of them needs."""
    largest = np.abs(scores).max()
    decimals = 0 if largest >= 1000 else 1 if largest >= 10 else 2
    return [f"{score:.{decimals}f}".replace("-", "−") for score in scores]
