"""Several latent planes of the same images, each on its own scale and all on one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from vaelab.plots import checks, style
from vaelab.plots.checks import Array

NAMED = 20
"""With more classes than this, the legend names the first ones only."""

POINTS = 5000
"""At most so many points are drawn in a panel, chosen evenly over their order."""

_WITHIN = 0.995  # the share of the points, along each axis, that limits are made for


def latent_scales(
    planes: ArrayLike,
    names: Sequence[object],
    labels: ArrayLike,
    class_names: Sequence[object],
    title: str = "the same images in several latent planes",
) -> Figure:
    """A column for each of ``planes`` (planes, n, 2): above on its own axes, below on axes that all share.

    ``names`` (planes) stand above them, with what the own axes span; ``labels`` (n,) from 0 colour the points alike in
    every panel; dashed circles are N(0, I) at 1 and 2 standard deviations. Limits leave out the outermost points.
    Raises `ValueError` for another shape or number of names, or labels beyond ``class_names``.

    >>> z = np.array([[0.0, 0.0], [1.0, 1.0]])
    >>> len(latent_scales([z, 9 * z], ["one", "other"], [0, 1], ["cat", "dog"]).axes)
    4
    """
    places = checks.numbers("planes", planes, ("planes", "n", "2"))
    heads = checks.names("names", names, len(places))
    count = places.shape[1]
    number = checks.labels(labels, count)
    if number.max() >= len(class_names):
        raise ValueError(f"expected labels below {len(class_names)}, the number of class_names, got {number.max()}")
    kept = np.arange(0, count, -(-count // POINTS))
    columns = len(places)
    side = (style.WIDTH - 0.5) / max(columns, 2)
    together = np.concatenate([*(_limits(z) for z in places), [(-2.2, -2.2), (2.2, 2.2)]])
    with style.drawing(side * columns + 0.5, 2 * side + (1.55 if title else 1.25), title) as figure:
        grid = figure.subplots(2, columns, squeeze=False)
        for (above, below), name, z in zip(grid.T, heads, places, strict=True):
            reach, common = _square(above, _limits(z)), _square(below, together)
            _scatter(above, z[kept], number[kept], reach)
            _scatter(below, z[kept], number[kept], common)
            text = f"{name}\nown axes, {_number(reach)} wide"
            above.set_title("\n".join(style.wrapped(line, side, style.FONT) for line in text.split("\n")))
            below.set(title="the axes of all", xlabel="latent z₁")
        for axes in grid.flat:
            axes.set_title(axes.get_title(), fontsize=style.FONT - 0.5)
        for axes in grid[:, 0]:
            axes.set_ylabel("latent z₂")
        _legend(figure, number, class_names, 10 if columns > 1 else 5)
    return figure


def _scatter(axes: Axes, z: Array, labels: NDArray[np.int64], width: float) -> None:
    """``width``: of the axes. Points that all but coincide there are drawn large enough to be seen."""
    size = float(np.clip(2500 / len(z), 1.0, 14.0))
    if np.ptp(z, axis=0).max() < 0.02 * width:
        size = 14.0
    for i in np.unique(labels):
        here = z[labels == i]
        axes.scatter(
            here[:, 0],
            here[:, 1],
            s=size,
            color=style.colour(int(i)),
            marker=style.marker(int(i)),
            linewidths=0,
            alpha=0.7,
            rasterized=True,
        )
    for radius in (1, 2):
        circle = Circle((0, 0), radius, fill=False, linestyle="--", linewidth=0.7, edgecolor="#444444", zorder=2.5)
        axes.add_patch(circle)
    axes.set_aspect("equal")
    axes.grid(visible=True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=4 if width > 0.1 else 2, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.tick_params(labelsize=style.FONT - 2)


def _limits(z: Array) -> Array:
    """Lower and upper ends ``(2, 2)`` that nearly all points lie between."""
    ends: Array = np.quantile(z, [1 - _WITHIN, _WITHIN], axis=0)
    return ends


def _square(axes: Axes, points: Array) -> float:
    """A square around the middle of ``points (n, 2)`` with room at its edges; its side."""
    low, high = points.min(0), points.max(0)
    (x, y), reach = (low + high) / 2, 1.12 * max(float((high - low).max()), 1e-6)
    axes.set(xlim=(x - reach / 2, x + reach / 2), ylim=(y - reach / 2, y + reach / 2))
    return reach


def _number(value: float) -> str:
    """About two digits.

    >>> _number(0.00432), _number(53.2)
    ('0.0043', '53')
    """
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _legend(figure: Figure, labels: NDArray[np.int64], class_names: Sequence[object], columns: int) -> None:
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=style.marker(i),
            color=style.colour(i),
            markersize=5,
            label=style.shortened(class_names[i], 12),
        )
        for i in np.unique(labels)[:NAMED].tolist()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, handletextpad=0.1, columnspacing=0.9)
