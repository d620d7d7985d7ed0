"""Anomaly detection in pictures: histograms of scores, ROC curves, images with their scores, maps of pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from vaelab.plots import checks, style
from vaelab.plots.checks import Array
from vaelab.plots.images import show

BINS = 50
COLOURS = (style.TRAIN, style.TEST)
_TAIL = 0.005  # share of the scores beyond the first and last bar, which hold them, too
_HIGH = 0.995  # quantile of the maps that gets the brightest colour
_LINE = 0.16  # inches of a line of text
_CHARACTER = 0.09  # inches, about, of a character of it


def score_histograms(
    normal: ArrayLike,
    anomalous: ArrayLike,
    names: Sequence[object],
    thresholds: ArrayLike | None = None,
    sets: Sequence[object] = ("normal", "anomalous"),
    title: str = "scores of normal and anomalous images",
) -> Figure:
    """One panel a score: histograms of ``normal`` (scores, n) and ``anomalous`` (scores, m), as shares of each set.

    ``names`` (scores) stand above the panels, ``sets`` (2) in the legend; ``thresholds`` (scores,) are dashed lines, an
    infinite one is not drawn. The outermost half per cent on either side goes into the outermost bars. Raises
    `ValueError` for other shapes, numbers of names, or scores that are not finite.

    >>> figure = score_histograms([[1.0, 2.0, 3.0]], [[3.0, 4.0]], ["kl"], [2.5])
    >>> figure.axes[0].get_title()
    'kl'
    """
    first = checks.numbers("normal", normal, ("scores", "n"))
    second = checks.numbers("anomalous", anomalous, ("scores", "m"))
    if len(first) != len(second):
        raise ValueError(f"expected as many scores of both sets, got {len(first)} and {len(second)}")
    heads, kinds = checks.names("names", names, len(first)), checks.names("sets", sets, 2)
    lines = np.full(len(first), np.inf) if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    if lines.shape != (len(first),) or np.isnan(lines).any():
        raise ValueError(f"expected one threshold for each of {len(first)} scores, got shape {lines.shape} or NaN")
    columns = min(2, len(first))
    rows = math.ceil(len(first) / columns)
    with style.drawing(style.WIDTH if columns > 1 else 4.0, min(style.HEIGHT, 1.6 * rows + 1.0), title) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, head, *scores, line in zip(grid.flat, heads, first, second, lines, strict=False):
            _histogram(axes, scores, float(line))
            axes.set_title(style.shortened(head, 40))
        for axes in grid.flat[len(first) :]:
            axes.set_visible(False)
        figure.supylabel("share of the set", fontsize=style.FONT)
        shown: list[Artist] = [
            Patch(color=c, alpha=0.55, label=style.shortened(k)) for c, k in zip(COLOURS, kinds, strict=True)
        ]
        shown += [Line2D([], [], color="black", linestyle="--", linewidth=1, label="threshold")] * (
            thresholds is not None
        )
        figure.legend(handles=shown, loc="outside lower center", ncols=3)
    return figure


def _histogram(axes: Axes, scores: Sequence[Array], line: float) -> None:
    low, high = np.quantile(np.concatenate(scores), [_TAIL, 1 - _TAIL])
    if math.isfinite(line):
        low, high = min(low, line), max(high, line)
    room = max(0.02 * (high - low), 1e-6 * max(1.0, abs(high)))
    bins = np.linspace(low - room, high + room, BINS + 1)
    for values, colour in zip(scores, COLOURS, strict=True):
        counts, _ = np.histogram(values.clip(bins[0], bins[-1]), bins)
        axes.stairs(counts / len(values), bins, fill=True, color=colour, alpha=0.55)
    if math.isfinite(line):
        axes.axvline(line, color="black", linestyle="--", linewidth=1)
    axes.set_xlim(bins[0], bins[-1])


def roc_curves(
    detected: ArrayLike, false_alarms: ArrayLike, names: Sequence[object], title: str = "ROC curves"
) -> Figure:
    """``detected`` (scores, points), shares of the anomalies found, against ``false_alarms`` (points,), both in [0, 1].

    ``names`` (scores) stand in the legend. Raises `ValueError` for other shapes, values out of range or numbers of
    names.

    >>> roc_curves([[0.0, 0.9, 1.0]], [0.0, 0.1, 1.0], ["kl"]).legends[0].get_texts()[0].get_text()
    'kl'
    """
    curves = checks.numbers("detected", detected, ("scores", "points"))
    places = checks.numbers("false_alarms", false_alarms, ("points",))
    if curves.shape[1] != len(places) or min(curves.min(), places.min()) < 0 or max(curves.max(), places.max()) > 1:
        got = f"{curves.shape[1]} and {len(places)} of them up to {max(curves.max(), places.max()):g}"
        raise ValueError(f"expected as many rates in [0, 1] on both axes, got {got}")
    heads = checks.names("names", names, len(curves))
    with style.drawing(4.4, 4.2 + 1.2 * _LINE * len(heads), title) as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=style.OTHER, linewidth=0.8, linestyle="--")
        for i, (curve, head) in enumerate(zip(curves, heads, strict=True)):
            dashes = "-" if i < len(style.PALETTE) else ":"
            axes.plot(places, curve, color=style.colour(i), linestyle=dashes, label=style.shortened(head, 44))
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="false alarms: share of normal images")
        axes.set(ylabel="share of anomalies detected", aspect="equal")
        figure.legend(loc="outside lower center")
    return figure


@dataclass(frozen=True)
class _Strip:
    """Images (columns, h, w, 3) in a row, or, where there are none, a line of words below those above."""

    name: str
    cells: Array | None = None
    texts: Sequence[str] = ()
    apart: bool = False
    """Begins a new set: some room above it."""


def scored_images(
    images: ArrayLike,
    scores: ArrayLike,
    names: Sequence[object],
    sets: Sequence[object] = ("normal", "anomalous"),
    title: str = "images and their scores",
) -> Figure:
    """``images`` (2, n, c, h, w), values in [0, 1], of both ``sets`` (2), and below each its ``scores`` (2, scores, n).

    ``names`` (scores) stand beside them. Raises `ValueError` for other shapes or numbers of names.

    >>> figure = scored_images(np.zeros((2, 1, 1, 8, 8)), [[[3.25]], [[141.0]]], ["kl"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['3.25', '141']
    """
    cells = _coloured(checks.pictures("images", images, ("2", "n")))
    numbers = checks.numbers("scores", scores, ("2", "scores", "n"))
    if numbers.shape[2] != cells.shape[1]:
        raise ValueError(f"expected one score for each of {cells.shape[1]} images, got {numbers.shape[2]}")
    heads, kinds = checks.names("names", names, numbers.shape[1]), checks.names("sets", sets, 2)
    strips = []
    for kind, row, values in zip(kinds, cells, numbers, strict=True):
        strips.append(_Strip(style.shortened(kind, 24), row, apart=True))
        strips += [
            _Strip(style.shortened(head, 24), texts=[_written(value) for value in line])
            for head, line in zip(heads, values, strict=True)
        ]
    return _sheet(strips, title)


def pixel_maps(
    images: ArrayLike,
    reconstructions: ArrayLike,
    maps: ArrayLike,
    sets: Sequence[object] = ("normal", "anomalous"),
    title: str = "what each pixel costs",
) -> Figure:
    """``images`` and ``reconstructions`` (2, n, c, h, w) of both ``sets`` (2), and ``maps`` (2, n, h, w) in nats.

    A map is −log p(x_i|z) of each pixel; all have one colour scale, whose ends are the least and (nearly) the largest.
    Raises `ValueError` for other shapes or numbers of names.

    >>> zeros = np.zeros((2, 1, 1, 8, 8))
    >>> len(pixel_maps(zeros, zeros, zeros[:, :, 0]).axes)  # the sheet and the colour bar
    2
    """
    cells = _coloured(checks.pictures("images", images, ("2", "n")))
    rebuilt = _coloured(checks.pictures("reconstructions", reconstructions, ("2", "n")))
    nats = checks.numbers("maps", maps, ("2", "n", "h", "w"))
    if not cells.shape == rebuilt.shape == (*nats.shape, 3):
        raise ValueError(
            f"expected images, reconstructions and maps of one size, got {cells.shape[1:4]}, {rebuilt.shape[1:4]} "
            f"and {nats.shape[1:]} (n, h, w)"
        )
    kinds = checks.names("sets", sets, 2)
    low, high = float(nats.min()), float(np.quantile(nats, _HIGH))
    scale = ScalarMappable(Normalize(low, high if high > low else low + 1e-6), matplotlib.colormaps["magma"])
    shades = scale.to_rgba(nats.reshape(-1, nats.shape[-1]))[..., :3].reshape(*nats.shape, 3)
    strips = []
    for kind, *rows in zip(kinds, cells, rebuilt, shades, strict=True):
        heads = (style.shortened(kind, 24), "reconstruction", "−log p of the pixel")
        strips += [_Strip(head, row, apart=i == 0) for i, (head, row) in enumerate(zip(heads, rows, strict=True))]
    return _sheet(strips, title, scale)


def _coloured(cells: Array) -> Array:
    """Channels last, 1 or 3 → 3."""
    return np.broadcast_to(cells, (*cells.shape[:-1], 3))


def _written(value: float) -> str:
    """About three digits."""
    text = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}" if abs(value) < 1e5 else f"{value:.1e}"
    return text.replace("-", "−")


def _sheet(strips: Sequence[_Strip], title: str, scale: ScalarMappable | None = None) -> Figure:
    """All strips on one canvas, names at the left, and a colour bar where there is a scale."""
    columns, height, width = next(strip.cells.shape[:3] for strip in strips if strip.cells is not None)
    gap = max(1, round(width / 14))
    margin = 0.2 + _CHARACTER * max(len(strip.name) for strip in strips) + (0.6 if scale else 0)
    wide = columns * (width + gap) - gap
    inch = min(0.6 / width, (style.WIDTH - margin) / wide)  # of one pixel
    line = math.ceil(_LINE / inch)
    tops, total = [], 0
    for i, strip in enumerate(strips):
        total += 3 * gap if strip.apart and i else 0
        tops.append(total)
        total += line if strip.cells is None else height + gap
    canvas = np.ones((total, wide, 3))
    with style.drawing(max(2.6, wide * inch + margin), total * inch + 0.6, title) as figure:
        axes = figure.add_subplot()
        centres = []
        for strip, top in zip(strips, tops, strict=True):
            centres.append(top + ((line if strip.cells is None else height) - 1) / 2)
            for i in range(columns):
                left = i * (width + gap)
                if strip.cells is not None:
                    canvas[top : top + height, left : left + width] = strip.cells[i]
                elif i < len(strip.texts):
                    place = (left + (width - 1) / 2, centres[-1])
                    size = min(style.FONT - 1.5, (width + gap) * inch * 72 / (0.72 * max(map(len, strip.texts))))
                    axes.text(*place, strip.texts[i], ha="center", va="center", fontsize=size, color="#333333")
        show(axes, canvas)
        axes.set_xticks([])
        axes.set_yticks(centres, [strip.name for strip in strips], fontsize=style.FONT - 0.5)
        if scale is not None:
            figure.colorbar(scale, ax=axes, label="nats", fraction=0.03, pad=0.02, aspect=30)
        style.trim(figure)
    return figure
