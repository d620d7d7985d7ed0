"""The sheet of a label transfer: sources × labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from vaelab.plots import checks, style
from vaelab.plots.images import image_grid


def label_transfer(
    images: ArrayLike,
    sources: ArrayLike,
    labels: ArrayLike,
    class_names: Sequence[object],
    title: str = "one style, every label",
) -> Figure:
    """``images`` (n, classes, c, h, w): each row a source decoded with every label, its ``sources`` (n, c, h, w) first.

    ``labels`` (n,) are the sources' own classes, numbered from 0, −1 where not known; they name the rows, and a frame
    marks the image of that label. ``class_names`` (classes) name the columns. Raises `ValueError` for another shape,
    number of names, or a label beyond them.

    >>> figure = label_transfer(np.zeros((1, 2, 1, 8, 8)), np.zeros((1, 1, 8, 8)), [1], ["cat", "dog"])
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['source', 'cat', 'dog']
    """
    cells = checks.pictures("images", images, ("n", "classes"))
    first = checks.pictures("sources", sources, ("n",))
    names = checks.names("class_names", class_names, cells.shape[1])
    own = checks.numbers("labels", labels, ("n",)).astype(np.int64)
    if len(first) != len(cells) or len(own) != len(cells) or first.shape[1:] != cells.shape[2:]:
        raise ValueError(
            f"expected one source and one label for each of {len(cells)} rows, got {len(first)} and {len(own)}"
        )
    if own.max() >= len(names):
        raise ValueError(f"expected labels below {len(names)}, the number of class_names, got {own.max()}")
    sheet = np.moveaxis(np.concatenate([first[:, None], cells], axis=1).reshape(-1, *first.shape[1:]), -1, 1)
    rows = [names[label] if label >= 0 else "?" for label in own]
    columns = ["source", *(style.shortened(name, 9) for name in names)]
    figure = image_grid(sheet, 1 + len(names), rows, columns, title)
    _mark(figure, own, first.shape[1:3])
    return figure


def _mark(figure: Figure, own: np.ndarray, size: tuple[int, int]) -> None:
    """A frame around the image of each row's own label."""
    gap = max(1, round(size[1] / 14))  # as the sheet sets its images apart
    for row, label in enumerate(own.tolist()):
        if label >= 0:
            place = ((size[1] + gap) * (label + 1) - 0.5, (size[0] + gap) * row - 0.5)
            frame = Rectangle(place, size[1], size[0], fill=False, edgecolor=style.TEST, linewidth=1.2, clip_on=False)
            figure.axes[0].add_patch(frame)
