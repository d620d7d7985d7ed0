"""Training curves of several runs in the same axes: a colour for each group of runs, thin lines for its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from vaelab.plots import style
from vaelab.plots.checks import Array
from vaelab.plots.curves import PANELS

HELD_OUT = ("validation", "test")
_KEYS = ("group", "run", "epoch", "split")
_NAME = 40
"""Characters of a group's name that the legend has room for."""


@dataclass(frozen=True)
class Curve:
    """The values of one run, split and column, in the order of epochs."""

    epoch: Array
    value: Array


Curves = Mapping[tuple[str, str], Sequence[Curve]]
"""(Group, "held out" or "train") → one for each run."""


def comparison_curves(history: Mapping[str, Sequence[Any]], title: str = "") -> Figure:
    """−ELBO, reconstruction and KL in nats per image by epoch: each group's mean over its runs, and its runs thin.

    ``history``: the epochs of several ``history.csv``, one below the other, as equally long columns: ``group`` and
    ``run`` (names), ``epoch``, ``split`` (train; validation or test are the held-out images), ``negative_elbo``,
    ``reconstruction`` and ``kl`` (None or NaN where there is none). Held-out images are solid, training images dashed;
    the mean ends with the first of a group's runs to end. The first fifth of the epochs may be cut off.
    Raises `ValueError` for missing columns, unequal lengths, infinite values, or nothing to draw.

    >>> rows = {"group": ["VAE"] * 2, "run": ["a", "b"], "epoch": [1, 1], "split": ["test"] * 2}
    >>> rows |= {"negative_elbo": [280, 290], "reconstruction": [260, 268], "kl": [20, 22]}
    >>> [axes.get_title() for axes in comparison_curves(rows).axes]
    ['−ELBO', 'reconstruction', 'KL']
    """
    _check(history)
    panels = {name: found for column, name in PANELS if (found := _curves(history, column))}
    if not panels:
        raise ValueError(f"expected rows of the splits train, {', '.join(HELD_OUT)} with values, got none")
    groups = list(dict.fromkeys(str(group) for group in history["group"]))
    legend = _legend(groups, panels)
    columns = 1 if max(len(name) for name, _ in legend) > 30 else min(3, len(legend))
    height = 2.4 + 0.18 * -(-len(legend) // columns) + (0.25 if title else 0.0)
    with style.drawing(style.WIDTH, min(style.HEIGHT, height), title) as figure:
        for axes, (name, found) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
            _draw(axes, found, groups)
            axes.set_title(name)
        figure.axes[0].set_ylabel("nats per image")
        names, lines = zip(*legend, strict=True)
        figure.legend(lines, names, loc="outside lower center", ncols=columns)
    return figure


def _check(history: Mapping[str, Sequence[Any]]) -> None:
    wanted = (*_KEYS, *(column for column, _ in PANELS))
    missing = [name for name in wanted if name not in history]
    if missing:
        raise ValueError(f"expected a history with the columns {', '.join(wanted)}, got none named {missing[0]}")
    lengths = {name: len(history[name]) for name in wanted}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"expected columns of equal length in the history, got {lengths}")


def _curves(history: Mapping[str, Sequence[Any]], column: str) -> Curves:
    """What there is of ``column``."""
    epoch, value = (_numbers(name, history[name]) for name in ("epoch", column))
    group, run, split = (np.asarray(history[name], dtype=str) for name in ("group", "run", "split"))
    known = ~np.isnan(epoch) & ~np.isnan(value)
    kinds = {"train": split == "train", "held out": np.isin(split, HELD_OUT)}
    found: dict[tuple[str, str], list[Curve]] = {}
    for one, member in dict.fromkeys(zip(group.tolist(), run.tolist(), strict=True)):
        for kind, here in kinds.items():
            rows = np.flatnonzero((group == one) & (run == member) & here & known)
            if len(rows):
                rows = rows[np.argsort(epoch[rows], kind="stable")]
                found.setdefault((one, kind), []).append(Curve(epoch[rows], value[rows]))
    return found


def _numbers(name: str, values: Sequence[Any]) -> Array:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected numbers in the history's column {name}, got something else") from error
    if np.isinf(array).any():
        row = int(np.flatnonzero(np.isinf(array))[0])
        raise ValueError(f"expected finite numbers in the history's column {name}, got {array[row]} in row {row}")
    return array


def _draw(axes: Axes, found: Curves, groups: Sequence[str]) -> None:
    for (group, kind), curves in found.items():
        place = groups.index(group)
        colour = style.colour(place)
        for curve in curves if len(curves) > 1 and kind == "held out" else ():
            axes.plot(curve.epoch, curve.value, color=colour, linewidth=0.7, alpha=0.45, zorder=1.5)
        mean = _mean(curves)
        marked: dict[str, Any] = {
            "marker": style.marker(place),
            "markersize": 4,
            "markevery": max(1, len(mean.epoch) // 8),
        }
        dashed: dict[str, Any] = {"linestyle": "--", "linewidth": 1.0, "alpha": 0.8}
        axes.plot(mean.epoch, mean.value, color=colour, **(marked if kind == "held out" else dashed))
    axes.set_ylim(*_limits(found))
    axes.set_xlabel("epoch")
    axes.grid(visible=True)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def _mean(curves: Sequence[Curve]) -> Curve:
    """Over the runs, at the epochs that all of them have."""
    epochs = reduce(np.intersect1d, [curve.epoch for curve in curves])
    values = [curve.value[np.searchsorted(curve.epoch, epochs)] for curve in curves]
    return Curve(epochs, np.mean(values, axis=0))


def _limits(found: Curves) -> tuple[float, float]:
    """Of the epochs after each curve's first fifth, with a margin: the first ones would press the rest flat."""
    curves = [curve for one in found.values() for curve in one]
    values = np.concatenate([curve.value[curve.epoch > curve.epoch[-1] / 5] for curve in curves])
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _legend(groups: Sequence[str], panels: Mapping[str, Curves]) -> list[tuple[str, Line2D]]:
    """Names and lines: the groups by colour, then what the kinds of lines are."""
    runs: dict[tuple[str, str], int] = {}
    for found in panels.values():
        runs |= {key: len(curves) for key, curves in found.items()}
    legend = [
        (style.shortened(group, _NAME), Line2D([], [], color=style.colour(i), marker=style.marker(i), markersize=4))
        for i, group in enumerate(groups)
        if any(one == group for one, _ in runs)
    ]
    if any(kind == "held out" for _, kind in runs):
        legend.append(("held-out images", Line2D([], [], color=style.OTHER)))
    if any(kind == "train" for _, kind in runs):
        legend.append(("training images", Line2D([], [], color=style.OTHER, linestyle="--", linewidth=1.0)))
    if any(count > 1 for (_, kind), count in runs.items() if kind == "held out"):
        legend.append(("single seeds", Line2D([], [], color=style.OTHER, linewidth=0.7, alpha=0.6)))
    return legend
