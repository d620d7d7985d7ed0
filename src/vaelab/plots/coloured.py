"""Latent planes coloured by something else than the class: by a style, or by how sure a classifier is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from vaelab.plots import checks, style
from vaelab.plots.checks import Array

COLUMNS = 3
POINTS = 4000
"""A panel draws at most this many points, chosen evenly over their order."""


def style_planes(
    z: ArrayLike,
    styles: Mapping[str, ArrayLike],
    directions: Mapping[str, ArrayLike],
    notes: Mapping[str, str] | None = None,
    title: str = "",
) -> Figure:
    """The plane ``z`` (n, 2) once for each style, its points coloured by the rank of their value ``styles`` (n,).

    An arrow from the centre of the points shows the direction (2,), of length 1, along which the style grows; ``notes``
    stand behind the style's name. Images whose value is NaN are left out. Raises `ValueError` for other shapes, or no
    style.

    >>> figure = style_planes([[0, 0], [1, 1]], {"slant": [0.1, 0.2]}, {"slant": [0.6, 0.8]}, {"slant": "R² = 1"})
    >>> figure.axes[0].get_title()
    'slant · R² = 1'
    """
    points = checks.numbers("z", z, ("n", "2"))
    if not styles or set(styles) != set(directions):
        raise ValueError(f"expected styles and one direction for each, got {list(styles)} and {list(directions)}")
    columns = min(COLUMNS, len(styles))
    rows = -(-len(styles) // columns)
    width = max(3.4, min(style.WIDTH, 0.7 + 2.1 * columns))
    with style.drawing(width, 2.2 * rows + (0.9 if title else 0.6), title) as figure:
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes in grid.flat[len(styles) :]:
            axes.remove()
        for index, (axes, (name, values)) in enumerate(zip(grid.flat, styles.items(), strict=False)):
            _ranked(axes, points, np.asarray(values, dtype=np.float64), name)
            _arrow(axes, points, checks.numbers(f"direction of {name}", directions[name], ("2",)))
            note = (notes or {}).get(name, "")
            axes.set_title(f"{name} · {note}" if note else name, fontsize=style.FONT)
            lowest = index + columns >= len(styles)
            axes.set(xlabel="latent z₁" if lowest else "", ylabel="latent z₂" if index % columns == 0 else "")
            axes.tick_params(labelbottom=lowest)
        _legend(figure)
    return figure


def _ranked(axes: Axes, points: Array, values: Array, name: str) -> None:
    if values.shape != (len(points),) or np.isinf(values).any():
        raise ValueError(f"expected one finite value or NaN of {name} for each of {len(points)} points, got others")
    known = np.flatnonzero(~np.isnan(values))
    kept = known[:: max(1, -(-len(known) // POINTS))]
    # By rank, so that a few extreme images do not take all the colours.
    rank = np.argsort(np.argsort(values[kept], kind="stable"), kind="stable") / max(1, len(kept) - 1)
    size = float(np.clip(6000 / max(1, len(kept)), 1.5, 14.0))
    axes.scatter(points[kept, 0], points[kept, 1], c=rank, s=size, cmap="viridis", linewidths=0, rasterized=True)
    middle, reach = (points.max(0) + points.min(0)) / 2, 0.53 * float(np.ptp(points, axis=0).max()) or 1.0
    axes.set(xlim=(middle[0] - reach, middle[0] + reach), ylim=(middle[1] - reach, middle[1] + reach))
    axes.set_aspect("equal", adjustable="box")
    axes.grid(visible=True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))


def _arrow(axes: Axes, points: Array, direction: Array) -> None:
    """Two standard deviations of the points long."""
    start, length = points.mean(0), 2 * float(points.std())
    x, y = start + length * direction
    rim: list[AbstractPathEffect] = [withStroke(linewidth=4, foreground="white")]
    look = {"arrowstyle": "-|>", "linewidth": 1.8, "color": style.PALETTE[1], "path_effects": rim, "shrinkA": 0}
    axes.annotate("", (x, y), (start[0], start[1]), arrowprops=look)


def _legend(figure: Figure) -> None:
    words = {"least of these images": 0.0, "median": 0.5, "most": 1.0}
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=6, color=colormaps["viridis"](rank), label=word)
        for word, rank in words.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)


def confidence_map(
    confidence: ArrayLike,
    winner: ArrayLike,
    z1: ArrayLike,
    z2: ArrayLike,
    class_names: Sequence[object] = (),
    title: str = "",
) -> Figure:
    """A plane, shaded by the largest class probability ``confidence`` (rows, columns) of what is decoded there.

    ``winner`` (rows, columns) is the class that gets it, 0 to classes − 1: its name stands in its largest region, and
    lines part the regions. ``z1`` (columns) and ``z2`` (rows, upward) are the places, in equal steps. Dashed circles:
    N(0, I) at 1 and 2 standard deviations. Raises `ValueError` for other shapes.

    >>> figure = confidence_map(np.ones((3, 3)), np.zeros((3, 3)), [-1, 0, 1], [-1, 0, 1], ["cat"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['cat']
    """
    shade = checks.numbers("confidence", confidence, ("rows", "columns"))
    label = checks.numbers("winner", winner, ("rows", "columns")).astype(int)
    across, up = checks.numbers("z1", z1, ("columns",)), checks.numbers("z2", z2, ("rows",))
    if not shade.shape == label.shape == (len(up), len(across)) or min(shade.shape) < 2:
        got = f"{shade.shape}, {label.shape} and {len(up)} × {len(across)} places"
        raise ValueError(f"expected confidence and winner at each of at least 2 × 2 places, got {got}")
    dx, dy = (across[1] - across[0]) / 2, (up[1] - up[0]) / 2
    box = (float(across[0] - dx), float(across[-1] + dx), float(up[0] - dy), float(up[-1] + dy))
    with style.drawing(style.WIDTH, 5.3, title) as figure:
        axes = figure.add_subplot()
        drawn = axes.imshow(shade, origin="lower", extent=box, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
        figure.colorbar(drawn, ax=axes, label="largest class probability", fraction=0.04, pad=0.02)
        _part(axes, label, across, up)
        for radius in (1, 2):
            circle = Circle((0, 0), radius, fill=False, linestyle="--", linewidth=0.9, edgecolor="#3657c9")
            axes.add_patch(circle)
        _name(axes, label, across, up, class_names)
        axes.set(xlim=box[:2], ylim=box[2:], xlabel="latent z₁", ylabel="latent z₂")
    return figure


def _part(axes: Axes, label: Array, across: Array, up: Array) -> None:
    """A line between every two neighbouring places of different classes."""
    right, above = np.nonzero(label[:, 1:] != label[:, :-1]), np.nonzero(label[1:] != label[:-1])
    dx, dy, colour = (across[1] - across[0]) / 2, (up[1] - up[0]) / 2, "#00e8e8"
    if len(right[0]):
        axes.vlines(across[right[1]] + dx, up[right[0]] - dy, up[right[0]] + dy, colors=colour, linewidth=0.7)
    if len(above[0]):
        axes.hlines(up[above[0]] + dy, across[above[1]] - dx, across[above[1]] + dx, colors=colour, linewidth=0.7)


def _name(axes: Axes, label: Array, across: Array, up: Array, class_names: Sequence[object]) -> None:
    """Each class farthest inside its region."""
    rim: list[AbstractPathEffect] = [withStroke(linewidth=2.5, foreground="white")]
    for i in np.unique(label):
        row, column = _inside(label == i)
        name = style.shortened(class_names[i]) if i < len(class_names) else str(i)
        text = axes.text(across[column], up[row], name, ha="center", va="center", clip_on=True)
        text.set(fontsize=style.FONT + 1, fontweight="bold", path_effects=rim)


def _inside(region: Array) -> tuple[int, int]:
    """A place of ``region`` (rows, columns) far from its rim."""
    rest = region
    while rest.any():  # peel off the rim until nothing is left
        region = rest
        padded = np.pad(rest, 1)
        rest = rest & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    rows, columns = np.nonzero(region)
    middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(rows[middle]), int(columns[middle])
