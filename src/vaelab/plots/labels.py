"""Accuracy against the number of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from vaelab.plots import style
from vaelab.plots.checks import numbers

Points = Sequence[tuple[float, float, float]]
"""(number of labels, mean accuracy, spread), accuracies as shares."""

PANELS = 3
"""At most so many beside each other."""

_SHARE = 1.4  # ticks closer than this factor would be written over each other


def label_curves(
    curves: Mapping[str, Mapping[str, Points]], reference: Mapping[str, Points] | None = None, title: str = ""
) -> Figure:
    """Test accuracy against the number of labels (a logarithmic axis): a panel for each representation.

    ``curves``: representation → method → points ``(labels > 0, mean, spread ≥ 0)``, shares; the spread (a standard
    deviation over seeds) is an error bar. ``reference``: name → points, grey in every panel. Raises `ValueError`
    where nothing or something else is given.

    >>> figure = label_curves({"vae": {"SVM": [(50, 0.7, 0.02), (500, 0.8, 0.01)]}})
    >>> [axes.get_title() for axes in figure.axes]
    ['vae']
    """
    if not curves or not all(curves.values()):
        raise ValueError("expected at least one representation, each with a method, got none")
    panels = {name: {method: _points(points) for method, points in lines.items()} for name, lines in curves.items()}
    fixed = {name: _points(points) for name, points in (reference or {}).items()}
    methods = list(dict.fromkeys(method for lines in panels.values() for method in lines))
    columns = min(PANELS, len(panels))
    rows = -(-len(panels) // columns)
    with style.drawing(style.WIDTH, min(style.HEIGHT, 0.6 + 2.5 * rows), title) as figure:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        for index, (axes, (name, lines)) in enumerate(zip(grid.flat, panels.items(), strict=False)):
            for other, points in fixed.items():
                _draw(axes, points, other, style.OTHER, "x", "--")
            for method, points in lines.items():
                place = methods.index(method)
                _draw(axes, points, method, style.colour(place), style.marker(place), "-")
            _label(axes, name, left=index % columns == 0, lowest=index + columns >= len(panels))
        _ticks(grid.flat[0], [*fixed.values(), *(points for lines in panels.values() for points in lines.values())])
        _legend(figure, methods, list(fixed))
    return figure


def _points(points: Points) -> np.ndarray:
    array = numbers("points", points, ("n", "3"))
    if (array[:, 0] <= 0).any() or (array[:, 2] < 0).any():
        raise ValueError(f"expected numbers of labels > 0 and spreads ≥ 0, got {array.min(axis=0).tolist()} at least")
    return array[np.argsort(array[:, 0], kind="stable")]


def _draw(axes: Axes, points: np.ndarray, name: str, colour: str, marker: str, line: str) -> None:
    axes.errorbar(
        points[:, 0],
        100 * points[:, 1],
        100 * points[:, 2],
        color=colour,
        marker=marker,
        markersize=4,
        linestyle=line,
        linewidth=1.2,
        elinewidth=0.8,
        capsize=2,
        label=name,
    )


def _label(axes: Axes, name: str, left: bool, lowest: bool) -> None:
    axes.set_title(style.shortened(name, 28))
    axes.grid(visible=True)
    if left:
        axes.set_ylabel("test accuracy (%)")
    if lowest:
        axes.set_xlabel("number of labels")
        axes.tick_params(labelbottom=True)


def _ticks(axes: Axes, curves: Sequence[np.ndarray]) -> None:
    """At the numbers that were measured, as far as there is room."""
    axes.set_xscale("log")
    places: list[float] = []
    for count in sorted({float(count) for points in curves for count in points[:, 0]}):
        if not places or count / places[-1] > _SHARE:
            places.append(count)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: _short(count)))


def _short(count: float) -> str:
    """60,000 as 60k.

    >>> _short(50), _short(1500), _short(1438)
    ('50', '1.5k', '1438')
    """
    return f"{count / 1000:g}k" if count >= 1000 and count % 100 == 0 else f"{count:g}"


def _legend(figure: Figure, methods: Sequence[str], reference: Sequence[str]) -> None:
    found: dict[str, Any] = {}
    for axes in figure.axes:
        handles, names = axes.get_legend_handles_labels()
        found.update(zip(names, handles, strict=True))
    names = [*methods, *reference]
    handles = [found[name] for name in names]
    figure.legend(handles, names, loc="outside lower center", ncols=min(3, len(names)))
