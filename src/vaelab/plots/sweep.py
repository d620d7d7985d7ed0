"""Curves against a number that doubles, such as the number of latent dimensions: panels that share the x axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from vaelab.plots import style
from vaelab.plots.checks import Array, numbers

COLUMNS = 3
"""At most so many panels beside each other."""

_DASHES = ("--", ":", "-.")


@dataclass(frozen=True)
class Panel:
    """``lines``: name → values (n,) and their standard errors (n,), or None; NaN where nothing was measured.

    ``name`` is the title, ``unit`` the label of the y axis. ``guides``: name → a level, or values (n,), drawn grey
    and dashed: something to compare with.
    """

    name: str
    unit: str
    lines: Mapping[str, tuple[ArrayLike, ArrayLike | None]]
    guides: Mapping[str, ArrayLike] = field(default_factory=dict)


def sweep(x: ArrayLike, panels: Sequence[Panel], x_name: str = "latent dimensions", title: str = "") -> Figure:
    """Each panel's lines against ``x`` (n,), numbers > 0 that increase, on a logarithmic axis with ticks at each.

    The bars are ± one standard error. A name has the same colour and marker in every panel. Raises `ValueError` for
    other shapes or order, no panels, or a line that has no value.

    >>> panel = Panel("KL", "nats per image", {"VAE": ([5.9, 10.2], [0.1, 0.1]), "CVAE": ([4.7, 9.8], None)})
    >>> [axes.get_title() for axes in sweep([2, 4], [panel]).axes]
    ['KL']
    """
    places = numbers("x", x, ("n",))
    if (places <= 0).any() or (np.diff(places) <= 0).any():
        raise ValueError(f"expected an x of numbers above 0 that increase, got {places.tolist()}")
    if not panels or not all(panel.lines for panel in panels):
        raise ValueError("expected at least one panel, each with a line, got none")
    lines = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    guides = list(dict.fromkeys(name for panel in panels for name in panel.guides))
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    width = min(style.WIDTH, 0.6 + 2.6 * columns)
    with style.drawing(width, min(style.HEIGHT, (0.9 if title else 0.6) + 1.95 * rows), title) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        for index, (axes, panel) in enumerate(zip(grid.flat, panels, strict=False)):
            _draw(axes, places, panel, (lines, guides), width / columns - 0.2)
            axes.set_xlabel(x_name if index + columns >= len(panels) else "")
        _legend(figure, [*lines, *guides], width)
    return figure


def _draw(axes: Axes, x: Array, panel: Panel, names: tuple[Sequence[str], Sequence[str]], width: float) -> None:
    """``names``: of all panels' lines and guides; ``width``: room for the title, inches."""
    lines, guides = names
    for name, level in panel.guides.items():
        heights = np.broadcast_to(_values(name, level, len(x)), x.shape)
        dashes = _DASHES[guides.index(name) % len(_DASHES)]
        axes.plot(x, heights, color=style.OTHER, linestyle=dashes, linewidth=1.0, label=name)
    for name, (values, errors) in panel.lines.items():
        y = _values(name, values, len(x))
        spread = None if errors is None else _values(f"errors of {name}", errors, len(x))
        known = ~np.isnan(y)
        place = lines.index(name)
        axes.errorbar(
            x[known],
            y[known],
            None if spread is None else np.nan_to_num(spread[known]),
            color=style.colour(place),
            marker=style.marker(place),
            markersize=4,
            linewidth=1.2,
            elinewidth=0.8,
            capsize=2,
            label=name,
        )
    axes.set_title(style.wrapped(panel.name, width, style.FONT + 0.5))
    axes.set_ylabel(panel.unit)
    axes.grid(visible=True)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(x.tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _values(name: str, values: ArrayLike, count: int) -> Array:
    """``values`` as ``count`` numbers (a single one stays one), of which some are finite and none infinite."""
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (count,)):
        raise ValueError(f"expected {count} values of {name}, one for each x, got an array of shape {array.shape}")
    if np.isinf(array).any() or np.isnan(array).all():
        raise ValueError(f"expected finite values of {name}, NaN where there is none, got {array.tolist()}")
    return array


def _legend(figure: Figure, names: Sequence[str], width: float) -> None:
    found: dict[str, Any] = {}
    for axes in figure.axes:
        found.update(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(
        [found[name] for name in names], names, loc="outside lower center", ncols=min(4 if width > 4 else 2, len(names))
    )
