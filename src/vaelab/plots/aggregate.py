"""Pictures of the aggregate posterior: each dimension against N(0, 1), and the gaps of a latent plane."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from vaelab.plots import checks, style
from vaelab.plots.checks import Array
from vaelab.plots.latent import POINTS

SHOWN = 16
"""So many dimensions are drawn; of more, those that differ most from N(0, 1)."""

COLUMNS = 4


def aggregate_posterior(z: ArrayLike, title: str = "the aggregate posterior against N(0, 1)") -> Figure:
    """A histogram of each dimension of ``z`` (n, latent), one draw an image, with the density of N(0, 1) over it.

    At most 16 dimensions: of more, those with the largest Kolmogorov–Smirnov distance D, which stands above each, in
    the order of their numbers. Raises `ValueError` for another shape or numbers that are not finite.

    >>> aggregate_posterior([[0.0], [1.0], [-1.0]]).axes[0].get_title()
    'z1 · D = 0.17'
    """
    points = checks.numbers("z", z, ("n", "latent"))
    distance = np.array([_distance(column) for column in points.T])
    shown = np.sort(np.argsort(-distance, kind="stable")[:SHOWN])
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    width = min(style.WIDTH, 1.75 * columns + 0.7)
    if len(shown) < len(distance):
        title += f" ({len(shown)} of {len(distance)} dimensions: those with the largest D)"
    with style.drawing(max(width, 3.2), 1.35 * rows + 1.1, title) as figure:
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        edge = float(np.clip(np.abs(points[:, shown]).max(), 3.5, 8.0))
        for axes, j in zip(grid.flat, shown, strict=False):
            _histogram(axes, points[:, j], edge)
            axes.set_title(f"z{j + 1} · D = {distance[j]:.2f}", fontsize=style.FONT - 0.5)
        for axes in grid.flat[len(shown) :]:
            axes.set_visible(False)
        figure.supylabel("density", fontsize=style.FONT)
        drawn = Patch(color=style.TRAIN, alpha=0.55, label=f"z ~ q(z|x), {len(points):,} images")
        curve = Line2D([], [], color=style.TEST, label="N(0, 1)")
        figure.legend(handles=[drawn, curve], loc="outside lower center", ncols=2)
    return figure


def _distance(values: Array) -> float:
    """sup |F_n − Φ|."""
    below = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in np.sort(values)])
    rank = np.arange(len(values)) / len(values)
    return float(max((below - rank).max(), (rank + 1 / len(values) - below).max()))


def _histogram(axes: Axes, values: Array, edge: float) -> None:
    """Beyond ``edge`` the last bars hold what lies outside."""
    bins = np.linspace(-edge, edge, 41)
    counts, _ = np.histogram(values.clip(-edge, edge), bins)
    axes.stairs(counts / len(values) / (bins[1] - bins[0]), bins, fill=True, color=style.TRAIN, alpha=0.55)
    place = np.linspace(-edge, edge, 201)
    axes.plot(place, np.exp(-(place**2) / 2) / math.sqrt(2 * math.pi), color=style.TEST, linewidth=1.2)
    axes.set_xlim(-edge, edge)


def gap_map(
    z: ArrayLike,
    gaps: ArrayLike,
    radius: ArrayLike,
    prior: ArrayLike,
    extent: float,
    borders: ArrayLike | None = None,
    title: str = "gaps of the latent plane",
) -> Figure:
    """A latent plane: prior density, encoded images, the gaps as circles numbered by rank, borders as crosses.

    ``z`` (n, 2) are draws of q(z|x), one an image (of more than 10,000 every k-th is drawn); ``gaps`` (k, 2) the
    centres of empty balls of ``radius`` (k,); ``prior`` (rows, columns) the density p(z) over [−extent, extent]², row 0
    at the lowest z₂; ``borders`` (m, 2). Raises `ValueError` for another shape.

    >>> figure = gap_map([[0.0, 1.0]], [[0.5, 0.0]], [0.4], np.ones((3, 3)), 3.0)
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1']
    """
    points, centres = checks.numbers("z", z, ("n", "2")), checks.numbers("gaps", gaps, ("k", "2"))
    radii, density = checks.numbers("radius", radius, ("k",)), checks.numbers("prior", prior, ("rows", "columns"))
    if len(radii) != len(centres) or not extent > 0:
        raise ValueError(f"expected one radius for each gap and an extent > 0, got {len(radii)} and {extent:g}")
    points = points[:: -(-len(points) // POINTS)]
    with style.drawing(style.WIDTH, 5.6, title) as figure:
        axes = figure.add_subplot()
        box = (-extent, extent, -extent, extent)
        shade = axes.imshow(density, origin="lower", extent=box, cmap="Oranges", alpha=0.8, interpolation="bilinear")
        figure.colorbar(shade, ax=axes, label="prior density p(z)", fraction=0.04, pad=0.02)
        axes.scatter(points[:, 0], points[:, 1], s=float(np.clip(6000 / len(points), 1.0, 14.0)), color=style.TRAIN,
                     linewidths=0, alpha=0.6, rasterized=True)  # fmt: skip
        handles = [
            Line2D([], [], linestyle="", marker="o", markersize=3, color=style.TRAIN, label="images, z ~ q(z|x)")
        ]
        _draw_gaps(axes, centres, radii)
        handles.append(Line2D([], [], linestyle="", marker="o", markersize=9, markerfacecolor="none",
                              color="black", label="gaps, by rank"))  # fmt: skip
        if borders is not None:
            places = checks.numbers("borders", borders, ("m", "2"))
            axes.plot(places[:, 0], places[:, 1], "x", color="#7905ff", markersize=6, markeredgewidth=1.6)
            handles.append(Line2D([], [], linestyle="", marker="x", color="#7905ff", label="borders of classes"))
        axes.set(xlim=(-extent, extent), ylim=(-extent, extent), xlabel="latent z₁", ylabel="latent z₂")
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _draw_gaps(axes: Axes, centres: Array, radii: Array) -> None:
    for number, (centre, radius) in enumerate(zip(centres, radii, strict=True), start=1):
        place = (float(centre[0]), float(centre[1]))
        axes.add_patch(Circle(place, float(radius), fill=False, edgecolor="black", linewidth=1.2, zorder=3))
        text = axes.text(
            *place, str(number), ha="center", va="center", fontsize=style.FONT, fontweight="bold", zorder=4
        )
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])
