"""How a classifier does: confusion matrix, reliability diagram, the errors it was surest of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from vaelab.plots import checks, style
from vaelab.plots.checks import Array
from vaelab.plots.images import show

_WRITTEN = 20  # classes up to which the counts stand in the cells
_NAMED = 40  # classes up to which each has its name beside the matrix


def confusion_matrix(counts: ArrayLike, class_names: Sequence[object], title: str = "confusion matrix") -> Figure:
    """``counts`` (classes, classes): a row for each label, a column for each prediction, named by ``class_names``.

    The colour is the share of the row, its scale stretched at the low end so that rare errors show; the counts are
    written into up to 20 × 20 cells. Raises `ValueError` for another shape or number of names, or counts below 0.

    >>> figure = confusion_matrix([[8, 2], [0, 5]], ["cat", "dog"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['8', '2', '0', '5']
    """
    cells = checks.numbers("counts", counts, ("classes", "classes"))
    if cells.shape[0] != cells.shape[1] or cells.min() < 0:
        got = f"{cells.shape[0]} × {cells.shape[1]} with a least count of {cells.min():g}"
        raise ValueError(f"expected counts ≥ 0 of as many rows as columns, got {got}")
    names = [style.shortened(name, 14) for name in checks.names("class_names", class_names, len(cells))]
    share = cells / cells.sum(1, keepdims=True).clip(1)
    side = min(style.WIDTH - 1.2, max(1.6, 0.42 * len(cells)))
    with style.drawing(side + 1.2, side + 1.0, title) as figure:
        axes = figure.add_subplot()
        axes.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xlabel("predicted")
        axes.set_ylabel("label")
        size = min(style.FONT - 0.5, side / len(cells) * 72 * 0.8)
        if len(cells) <= _NAMED:
            long = max(map(len, names)) > 2
            axes.set_xticks(range(len(cells)), names, fontsize=size, rotation=90 if long else 0)
            axes.set_yticks(range(len(cells)), names, fontsize=size)
        if len(cells) <= _WRITTEN:
            _write_counts(axes, cells, share, side / len(cells))
    return figure


def _write_counts(axes: Axes, cells: Array, share: Array, width: float) -> None:
    """The counts, in a size at which the longest fits into a cell of ``width`` inches."""
    size = min(style.FONT - 0.5, width * 72 / (0.7 * len(f"{cells.max():g}")))
    for row, column in np.ndindex(*cells.shape):
        colour = "white" if share[row, column] > 0.4 else "#bbbbbb" if not cells[row, column] else "#222222"
        axes.text(column, row, f"{cells[row, column]:g}", ha="center", va="center", fontsize=size, color=colour)


def reliability_diagram(
    confidence: ArrayLike,
    accuracy: ArrayLike,
    count: ArrayLike,
    before: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
    title: str = "reliability diagram",
) -> Figure:
    """Accuracy against confidence, bin by bin, with the diagonal of a calibrated classifier; below, the images' shares.

    ``confidence`` and ``accuracy`` (bins,): means of each bin that holds images, in [0, 1]; ``count`` (bins,): how
    many. The bars are ± one binomial standard error. ``before``: the same three before calibration. Raises `ValueError`
    for other shapes or values out of range.

    >>> figure = reliability_diagram([0.5, 0.9], [0.4, 0.95], [10, 90], before=([0.99], [0.9], [100]))
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['perfectly calibrated', 'before', 'after']
    """
    curves = [("after" if before else "", _bins(confidence, accuracy, count), style.TRAIN, "o")]
    if before is not None:
        curves.insert(0, ("before", _bins(*before), style.TEST, "s"))
    with style.drawing(3.6, 4.2, title) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        upper.plot([0, 1], [0, 1], color=style.OTHER, linewidth=0.8, linestyle="--", label="perfectly calibrated")
        for name, (sure, right, number), colour, marker in curves:
            error = np.sqrt(right * (1 - right) / number)
            upper.errorbar(sure, right, error, color=colour, marker=marker, markersize=4, linewidth=1.2, label=name)
            lower.plot(sure, number / number.sum(), color=colour, marker=marker, markersize=4, linewidth=1.2)
        upper.set(xlim=(0, 1.02), ylim=(0, 1.02), ylabel="accuracy")
        lower.set(xlabel="confidence: probability of the predicted label", ylabel="images", yscale="log")
        least = min(float((number / number.sum()).min()) for _, (_, _, number), _, _ in curves)
        lower.set_ylim(min(0.005, 0.5 * least), 2)
        ticks = [10.0**power for power in range(math.ceil(math.log10(min(0.01, least))), 1)]
        lower.set_yticks(ticks[::-2] if len(ticks) > 3 else ticks)
        lower.minorticks_off()
        lower.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        upper.legend(loc="lower right")
    return figure


def _bins(confidence: ArrayLike, accuracy: ArrayLike, count: ArrayLike) -> tuple[Array, Array, Array]:
    sure, right, number = (
        checks.numbers(name, values, ("bins",))
        for name, values in (("confidence", confidence), ("accuracy", accuracy), ("count", count))
    )
    if not len(sure) == len(right) == len(number):
        got = f"{len(right)} and {len(number)}"
        raise ValueError(f"expected one accuracy and one count for each of {len(sure)} bins, got {got}")
    if min(sure.min(), right.min()) < 0 or max(sure.max(), right.max()) > 1 + 1e-6 or number.min() <= 0:
        raise ValueError("expected confidence and accuracy in [0, 1] and counts above 0, got others")
    return sure.clip(0, 1), right.clip(0, 1), number


def confident_errors(
    images: ArrayLike,
    under_label: ArrayLike,
    under_predicted: ArrayLike,
    names: Sequence[tuple[object, object]],
    probabilities: ArrayLike,
    title: str = "the errors it was surest of",
) -> Figure:
    """Each image (n, c, h, w), its reconstruction under its own label and under the predicted one, in two columns.

    ``names`` (n): the two labels' names; ``probabilities`` (n, 2): what each was given. Raises `ValueError` for other
    shapes or numbers of names.

    >>> zeros = np.zeros((1, 1, 8, 8))
    >>> figure = confident_errors(zeros, zeros, zeros, [("four", "nine")], [[0.02, 0.97]])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['four: 0.02', 'nine: 0.97']
    """
    first = checks.pictures("images", images, ("n",))
    columns = [first]
    for name, values in (("under_label", under_label), ("under_predicted", under_predicted)):
        columns.append(checks.pictures(name, values, ("n",)))
        if columns[-1].shape != first.shape:
            raise ValueError(f"expected {name} of the images' shape, got {np.shape(values)}")
    given = checks.numbers("probabilities", probabilities, ("n", "2"))
    if not len(names) == len(given) == len(first):
        raise ValueError(f"expected names and probabilities of {len(first)} images, got {len(names)} and {len(given)}")
    return _pairs(np.stack(columns, axis=1), names, given, title)


def _pairs(cells: Array, names: Sequence[tuple[object, object]], given: Array, title: str) -> Figure:
    """Rows of image, two reconstructions and two lines of text; a second column of rows from the fourth error on."""
    count, _, height, width, channels = cells.shape
    blocks = 1 if count <= 3 else 2
    rows, gap = math.ceil(count / blocks), max(1, round(width / 14))
    text = 1.35  # inches of a block that are for words
    inch = min(0.6 / width, ((style.WIDTH - 0.3) / blocks - text) / (3 * (width + gap)))
    inch = min(inch, (style.HEIGHT - 1) / (rows * (height + gap)))
    block = 3 * (width + gap) + math.ceil(text / inch)
    canvas = np.ones((rows * (height + gap) - gap, blocks * block, channels))
    with style.drawing(canvas.shape[1] * inch + 0.2, canvas.shape[0] * inch + 0.8, title) as figure:
        axes = figure.add_subplot()
        for i, error in enumerate(cells):
            top, left = i % rows * (height + gap), i // rows * block
            for j, image in enumerate(error):
                canvas[top : top + height, left + j * (width + gap) : left + j * (width + gap) + width] = image
            place = left + 3 * (width + gap) + gap
            for j, colour in enumerate(("#222222", style.TEST)):
                line = f"{style.shortened(names[i][j], 14)}: {given[i, j]:.2f}"
                where = top + height / 2 + (j - 0.5) * 0.17 / inch
                axes.text(place, where, line, va="center", fontsize=style.FONT - 0.5, color=colour)
        show(axes, canvas)
        heads = ["image", "label", "predicted"] * blocks
        centres = [b * block + j * (width + gap) + (width - 1) / 2 for b in range(blocks) for j in range(3)]
        axes.set_xticks(centres, heads, fontsize=style.FONT - 2)
        axes.set_yticks([])
        style.trim(figure)
    return figure
