"""Several latent planes of the same images beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from vaelab.plots import checks, style

NAMED = 20
"""With more classes than this, the legend names the first ones only."""


def latent_panels(
    z: ArrayLike,
    names: Sequence[str],
    labels: ArrayLike,
    class_names: Sequence[object],
    title: str = "the same images in several latent planes",
) -> Figure:
    """A scatter of each of ``z (panels, n, 2)`` under its name, three in a row; ``labels (n,)`` from 0 colour all.

    All panels have the same limits, which leave out the outermost points, and a class has the same colour and marker in
    each. Raises `ValueError` for another shape, number of names, or labels beyond ``class_names``.

    >>> z = np.array([[0.0, 0.0], [1.0, 1.0]])
    >>> figure = latent_panels([z, -z], ["one", "other"], [0, 1], ["cat", "dog"])
    >>> [axes.get_title() for axes in figure.axes]
    ['one', 'other']
    """
    places = checks.numbers("z", z, ("panels", "n", "2"))
    heads = checks.names("names", names, len(places))
    count = places.shape[1]
    number = checks.labels(labels, count)
    if number.max() >= len(class_names):
        raise ValueError(f"expected labels below {len(class_names)}, the number of class_names, got {number.max()}")
    columns = min(3, len(places))
    rows = -(-len(places) // columns)
    edge = 1.1 * float(np.quantile(np.abs(places), 0.995)) or 1.0
    width = style.WIDTH if columns > 1 else 3.6
    side = (width - 0.5) / columns
    with style.drawing(width, (1.2 if title else 0.9) + (side + 0.2) * rows, title) as figure:
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes in grid.flat[len(places) :]:
            axes.remove()
        for place, (axes, name, points) in enumerate(zip(grid.flat, heads, places, strict=False)):
            for i in np.unique(number):
                here = points[number == i]
                axes.scatter(here[:, 0], here[:, 1], s=float(np.clip(2500 / count, 1.5, 14.0)), color=style.colour(i),
                             marker=style.marker(i), linewidths=0, alpha=0.7, rasterized=True)  # fmt: skip
            axes.set(xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal")
            axes.set_xlabel("latent z₁" if place + columns >= len(places) else "")
            axes.set_ylabel("latent z₂" if place % columns == 0 else "")
            axes.tick_params(labelbottom=place + columns >= len(places))
            axes.grid(visible=True)
            axes.set_title(style.wrapped(name, side, style.FONT), fontsize=style.FONT)
        handles = [
            Line2D([], [], linestyle="", marker=style.marker(i), color=style.colour(i), markersize=5,
                   label=style.shortened(class_names[i], 12))
            for i in np.unique(number)[:NAMED].tolist()
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside lower center", ncols=10 if columns > 1 else 5,
                      handletextpad=0.1, columnspacing=0.9)  # fmt: skip
    return figure
