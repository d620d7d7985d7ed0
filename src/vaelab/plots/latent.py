"""Pictures of the latent space: the decoded plane, the embedded images, the KL of each dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from vaelab.plots import checks, style
from vaelab.plots.checks import Array
from vaelab.plots.images import show

POINTS = 10_000
"""A scatter draws at most this many points, chosen evenly over their order."""

NAMED = 30
"""With more classes than this, names are in the legend only."""


def latent_grid(
    images: ArrayLike,
    z1: ArrayLike,
    z2: ArrayLike,
    title: str = "",
    scale: Literal["uniform", "quantile"] = "uniform",
) -> Figure:
    """The decoded plane as one picture: images (rows, columns, c, h, w) at ``z2`` (rows) upward, ``z1`` (columns).

    Ticks stand at the centres of images and give their latent values; both axes must increase, in equal steps where
    ``scale`` is "uniform"; "quantile" says that the steps are of equal prior probability. Raises `ValueError` for
    another shape, order or scale.

    >>> figure = latent_grid(np.zeros((3, 3, 1, 8, 8)), [-2, 0, 2], [-1, 0, 1])
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['−2', '0', '2']
    """
    cells = checks.pictures("images", images, ("rows", "columns"))
    if scale not in ("uniform", "quantile"):
        raise ValueError(f"expected scale 'uniform' or 'quantile', got {scale!r}")
    across = _axis("z1", z1, cells.shape[1], scale)
    upward = _axis("z2", z2, cells.shape[0], scale)
    rows, columns, high, wide, channels = cells.shape
    canvas = cells[::-1].transpose(0, 2, 1, 3, 4).reshape(rows * high, columns * wide, channels)
    width, height = _grid_size(columns * wide, rows * high)
    note = ", in steps of equal prior probability" if scale == "quantile" else ""
    with style.drawing(width + 0.6, height + (0.68 if title else 0.45), title) as figure:
        axes = figure.add_subplot()
        show(axes, canvas, (-0.5, columns - 0.5, -0.5, (rows - 1) + 0.5))
        axes.set_aspect(rows * high / (columns * wide) * columns / rows)
        axes.tick_params(length=3, labeltop=False, labelbottom=True)
        axes.xaxis.set_label_position("bottom")
        axes.set_xticks(*_ticks(across, round(width / 0.42)))
        axes.set_yticks(*_ticks(upward, round(height / 0.42)))
        axes.set_xlabel("latent z₁" + note)
        axes.set_ylabel("latent z₂" + note)
        style.trim(figure)
    return figure


def _axis(name: str, values: ArrayLike, count: int, scale: str) -> Array:
    place = checks.numbers(name, values, ("columns" if name == "z1" else "rows",))
    if len(place) != count:
        raise ValueError(f"expected {count} values in {name}, one for each image along it, got {len(place)}")
    steps = np.diff(place)
    if (steps <= 0).any():
        raise ValueError(f"expected {name} to increase, got {place[:-1][steps <= 0][0]:g} before a value not larger")
    if scale == "uniform" and len(steps) > 1 and np.ptp(steps) > 1e-3 * np.abs(steps).max():
        raise ValueError(f"expected {name} in equal steps, got steps from {steps.min():g} to {steps.max():g}")
    return place


def _grid_size(wide: int, high: int) -> tuple[float, float]:
    """Inches for a canvas of this many pixels: at most a page wide and two thirds of one high."""
    most_wide, most_high = style.WIDTH - 0.6, 5.7
    inch = min(most_wide / wide, most_high / high)
    return wide * inch, high * inch


def _ticks(values: Array, most: int) -> tuple[list[int], list[str]]:
    """Positions of at most ``most`` of the values, evenly chosen, with both ends where that is possible, and labels."""
    last = len(values) - 1
    fewest = max(1, -(-last // max(1, most - 1)))
    step = next((size for size in range(fewest, 2 * fewest + 1) if last % size == 0), 0)
    if step:
        kept = list(range(0, last + 1, step))
    else:  # unequal steps, the same from both ends
        half = [round(i * last / (last // fewest)) for i in range((last // fewest) // 2 + 1)]
        kept = sorted({*half, *(last - i for i in half)})
    for decimals in range(3):
        if np.allclose(values[kept], values[kept].round(decimals), rtol=0, atol=1e-6):
            break
    while decimals < 6 and len(set(values[kept].round(decimals))) < len(kept):
        decimals += 1
    return kept, [_signed(value, decimals) for value in values[kept]]


def _signed(value: float, decimals: int) -> str:
    return f"{value:z.{decimals}f}".replace("-", "−")


def latent_scatter(
    z: ArrayLike,
    labels: ArrayLike | None = None,
    class_names: Sequence[object] = (),
    *,
    title: str = "",
    legend: Literal["outside", "colorbar"] = "outside",
    prior_circles: bool = True,
    axis_names: tuple[str, str] = ("latent z₁", "latent z₂"),
) -> Figure:
    """Embedded images ``z`` (n, 2), one colour and marker a class, the class also written at its median.

    ``labels`` (n,) are whole numbers from 0 (None: colour is the density of points), ``class_names`` (classes) their
    names (default the numbers). ``legend`` "colorbar" gives a colour bar instead. ``prior_circles`` draws N(0, I) at 1
    and 2 standard deviations. Beyond 10,000 points every k-th is drawn, and the figure says so. Raises `ValueError`
    for another shape, labels beyond ``class_names``, or an unknown legend.

    >>> figure = latent_scatter([[0, 0], [1, 1]], [0, 1], ["cat", "dog"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['cat', 'dog']
    """
    points = checks.numbers("z", z, ("n", "2"))
    if legend not in ("outside", "colorbar"):
        raise ValueError(f"expected legend 'outside' or 'colorbar', got {legend!r}")
    number = None if labels is None else checks.labels(labels, len(points))
    names = _class_names(number, class_names)
    kept = np.arange(0, len(points), -(-len(points) // POINTS))
    with style.drawing(style.WIDTH, 5.3 if title else 5.0, title) as figure:
        axes = figure.add_subplot()
        if prior_circles:
            _prior(axes)
        if number is None:
            _by_density(figure, axes, points, kept)
        else:
            _by_class(axes, points[kept], number[kept], names)
            _write_names(axes, points, number, names)
            (_colour_bar if legend == "colorbar" else _class_legend)(figure, axes, number, names)
        _finish_plane(axes, axis_names)
        axes.set_title(_count(len(points), len(kept), prior_circles), fontsize=style.FONT - 1, color="#555555")
    return figure


def _finish_plane(axes: Axes, names: tuple[str, str]) -> None:
    """One unit is equally long along both axes."""
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.03)
    axes.grid(visible=True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    axes.set(xlabel=names[0], ylabel=names[1])


def _class_names(labels: NDArray[np.int64] | None, class_names: Sequence[object]) -> list[str]:
    if labels is None:
        return []
    largest = int(labels.max())
    if len(class_names) == 0:
        return [str(i) for i in range(largest + 1)]
    if largest >= len(class_names):
        raise ValueError(f"expected labels below {len(class_names)}, the number of class_names, got {largest}")
    return [style.shortened(name) for name in class_names]


def _count(every: int, drawn: int, circles: bool) -> str:
    text = f"{every:,} images" if drawn == every else f"{drawn:,} of {every:,} images drawn"
    return text + (" · dashed: prior N(0, I) at 1 and 2 standard deviations" if circles else "")


def _size(count: int) -> float:
    """Area of a point in square points, so that many still leave space and few are seen."""
    return float(np.clip(9000 / count, 4.5, 26.0))


def _by_class(axes: Axes, z: Array, labels: NDArray[np.int64], names: Sequence[str]) -> None:
    """Points in layers, each with some of every class, so that no class hides another."""
    look: dict[str, Any] = {"s": _size(len(z)), "linewidths": 0, "alpha": 0.75, "rasterized": True, "zorder": 2}
    layers = int(np.clip(80 // len(names), 1, 8))
    for part in range(layers):
        for i in range(len(names)):
            here = z[np.flatnonzero(labels == i)[part::layers]]
            if len(here):
                axes.scatter(here[:, 0], here[:, 1], color=style.colour(i), marker=style.marker(i), **look)


def _by_density(figure: Figure, axes: Axes, z: Array, kept: NDArray[np.int64]) -> None:
    cells = int(np.clip(np.sqrt(len(z)) / 2, 5, 60))
    counts, first, second = np.histogram2d(z[:, 0], z[:, 1], bins=cells)
    density = counts / (first[1] - first[0]) / (second[1] - second[0])
    row = np.clip(np.searchsorted(first, z[kept, 0], side="right") - 1, 0, cells - 1)
    column = np.clip(np.searchsorted(second, z[kept, 1], side="right") - 1, 0, cells - 1)
    value = density[row, column]
    order = np.argsort(value, kind="stable")
    points = z[kept][order]
    shades = ListedColormap(colormaps["viridis"](np.linspace(0.85, 0, 256)))  # its yellow is too pale on white
    drawn = axes.scatter(
        points[:, 0], points[:, 1], c=value[order], s=_size(len(kept)), cmap=shades, linewidths=0, rasterized=True
    )
    figure.colorbar(drawn, ax=axes, label="images per unit of latent area", fraction=0.04, pad=0.02)


def _prior(axes: Axes) -> None:
    for radius in (1, 2):
        circle = Circle((0, 0), radius, fill=False, linestyle="--", linewidth=0.9, edgecolor="#444444", zorder=2.5)
        axes.add_patch(circle)


def _write_names(axes: Axes, z: Array, labels: NDArray[np.int64], names: Sequence[str]) -> None:
    """Each class at the median of its points, on a white rim; names that overlap move apart, a little."""
    present = [i for i in np.unique(labels) if len(names) <= NAMED]
    if not present:
        return
    size = style.FONT + 1.5 if len(names) <= 12 else style.FONT
    inch = max(axes.dataLim.width / 4.9, axes.dataLim.height / 4.2)  # in latent units, about
    boxes = np.array([(0.011 * size * len(names[i]), 0.0175 * size) for i in present]) * inch
    medians = np.array([np.median(z[labels == i], axis=0) for i in present])
    places = _apart(medians, boxes)
    if np.abs(places - medians).max() > 0.35 * inch:  # a name far from its class would mislead; the legend has it
        return
    rim: list[AbstractPathEffect] = [withStroke(linewidth=2.5, foreground="white")]
    for i, (x, y) in zip(present, places, strict=True):
        text = axes.text(x, y, names[i], ha="center", va="center", fontsize=size, fontweight="bold", zorder=4)
        text.set_path_effects(rim)


def _apart(centres: Array, boxes: Array) -> Array:
    """``centres`` (k, 2) of boxes (k, 2) moved, each pair along its smaller overlap, until none overlap much."""
    places = centres.copy()
    pairs = [(i, j) for i in range(len(places)) for j in range(i)]
    for _ in range(50):
        moved = False
        for i, j in pairs:
            between = places[i] - places[j]
            overlap = (boxes[i] + boxes[j]) / 2 - np.abs(between)
            if (overlap > 0.02 * boxes[i]).all():
                axis = int(np.argmin(overlap))
                step = overlap[axis] / 2 * (1 if between[axis] >= 0 else -1)
                places[i, axis] += step
                places[j, axis] -= step
                moved = True
        if not moved:
            break
    return places


def _class_legend(figure: Figure, axes: Axes, labels: NDArray[np.int64], names: Sequence[str]) -> None:
    """Outside at the right, with each class's number of points; at most 60 rows, then how many more there are."""
    counts = np.bincount(labels, minlength=len(names))
    shown = [i for i in range(len(names)) if counts[i]]
    handles = [
        Line2D([], [], linestyle="", marker=style.marker(i), color=style.colour(i), markersize=6, label=names[i])
        for i in shown[:60]
    ]
    if len(shown) > 60:
        handles.append(Line2D([], [], linestyle="", label=f"and {len(shown) - 60} more"))
    columns = -(-len(handles) // 25)
    figure.legend(handles=handles, loc="outside right center", title="class", ncols=columns, handletextpad=0.3)


def _colour_bar(figure: Figure, axes: Axes, labels: NDArray[np.int64], names: Sequence[str]) -> None:
    """A bar with a field for each class, its name beside it."""
    colours = ListedColormap([style.colour(i) for i in range(len(names))])
    norm = BoundaryNorm(np.arange(len(names) + 1) - 0.5, len(names))
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=axes, label="class", fraction=0.04, pad=0.02)
    every = -(-len(names) // 50)
    bar.set_ticks(list(range(0, len(names), every)), labels=list(names[::every]))
    bar.ax.tick_params(length=0)
    bar.minorticks_off()


def kl_per_dimension(
    kl: ArrayLike, active_threshold: float = 0.01, sort: bool = False, title: str = "KL of each latent dimension"
) -> Figure:
    """A bar for each dimension's mean KL ``kl`` (latent,) in nats per image; unused dimensions are crossed out.

    A dimension is active where its KL is above ``active_threshold`` (≥ 0, nats). ``sort`` puts the largest first.
    Raises `ValueError` for another shape, NaN, or a negative threshold.

    >>> kl_per_dimension([1.5, 0.001]).axes[0].get_title()
    '1 of 2 active (KL > 0.01 nats) · in all 1.50 nats'
    """
    values = checks.numbers("kl", kl, ("latent",))
    if not active_threshold >= 0:
        raise ValueError(f"expected an active_threshold of at least 0 nats, got {active_threshold:g}")
    order = np.argsort(-values, kind="stable") if sort else np.arange(len(values))
    values = values[order]
    active = values > active_threshold
    place = np.arange(len(values))
    width = float(np.clip(1.2 + 0.22 * len(values), 3.4, style.WIDTH))
    with style.drawing(width, 2.9, title) as figure:
        axes = figure.add_subplot()
        axes.bar(place, values, width=0.75, color=np.where(active, style.TRAIN, style.TEST))
        if not active.all():
            axes.plot(place[~active], values[~active].clip(0), "x", color=style.TEST, markersize=5, clip_on=False)
        axes.set_xlim(-0.8, max(len(values), 2) - 0.2)
        axes.set_ylim(min(0.0, float(values.min())), 1.08 * max(float(values.max()), active_threshold, 1e-6))
        axes.set_xticks(*_dimension_ticks(order, sort))
        axes.set_xlabel("latent dimension, largest first" if sort else "latent dimension")
        axes.set_ylabel("KL (nats per image)")
        axes.grid(visible=True, axis="y")
        found = (
            f"{active.sum()} of {len(values)} active (KL > {active_threshold:g} nats) · in all {values.sum():.2f} nats"
        )
        axes.set_title(style.wrapped(found, width, style.FONT - 0.5), fontsize=style.FONT - 0.5)
        _active_legend(figure, active)
    return figure


def _dimension_ticks(order: NDArray[np.int64], sort: bool) -> tuple[list[int], list[str]]:
    """Every dimension's number from 1 where there is room; sorted ones are counted by rank where there is not."""
    count = len(order)
    if count <= 24:
        return list(range(count)), [str(i + 1) for i in order]
    every = next(size for size in (5, 10, 20, 50, 100, 200, 500, 10**9) if count / size <= 14)
    kept = [0, *range(every - 1, count, every)]
    return kept, [str(i + 1) for i in kept]


def _active_legend(figure: Figure, active: NDArray[np.bool_]) -> None:
    if active.all():
        return
    cross = Line2D([], [], linestyle="", marker="x", color=style.TEST, label="not active")
    handles = [Patch(color=style.TRAIN, label="active"), cross] if active.any() else [cross]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
