"""Training curves: the bound and its two parts by epoch, the loss by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from vaelab.plots import style
from vaelab.plots.checks import Array

PANELS = (("negative_elbo", "−ELBO"), ("reconstruction", "reconstruction"), ("kl", "KL"))
SPLITS: dict[str, dict[str, Any]] = {
    "train": {"color": style.TRAIN, "marker": "o", "markersize": 5.5},
    "validation": {"color": style.OTHER, "marker": "s", "markersize": 4.5, "linestyle": "--"},
    "test": {"color": style.TEST, "marker": "^", "markersize": 3.5, "linewidth": 1.2},
}
FAINT = 300
"""More steps than this are averaged in blocks, into at most as many points."""


@dataclass(frozen=True)
class Line:
    """The values of one split and one column, at their steps and epochs, in the order of steps."""

    step: Array
    epoch: Array
    value: Array


def training_curves(history: Mapping[str, Sequence[Any]], title: str = "") -> Figure:
    """−ELBO, reconstruction and KL in nats per image: each epoch's train, validation and test, single steps faint.

    ``history`` maps the columns ``step``, ``epoch``, ``split`` ("step", "train", "validation", "test"),
    ``negative_elbo``, ``reconstruction`` and ``kl`` to equally long sequences, as in ``history.csv``; an empty entry
    (None, "" or NaN) is left out, and so is the panel of an empty column (an autoencoder has no bound and no KL).
    Without a finished epoch the x axis shows steps. Raises `ValueError` for missing columns, unequal lengths, infinite
    values, or nothing to draw.

    >>> rows = {"step": [1, 2, 2], "epoch": [1, 1, 1], "split": ["step", "step", "test"]}
    >>> rows |= {"negative_elbo": [500, 300, 280], "reconstruction": [490, 280, 260], "kl": [10, 20, 20]}
    >>> [axes.get_title() for axes in training_curves(rows).axes]
    ['−ELBO', 'reconstruction', 'KL']
    """
    lines = {column: _lines(history, column) for column, _ in PANELS}
    panels = [(column, name) for column, name in PANELS if lines[column]]
    _check_any(bool(panels))
    ends = _epoch_ends(lines[panels[0][0]])
    with style.drawing(style.WIDTH, 2.75 if title else 2.5, title) as figure:
        for axes, (column, name) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _draw(axes, lines[column], ends)
            axes.set_title(name)
            axes.set_xlabel("step" if ends is None else "epoch")
        figure.axes[0].set_ylabel("nats per image")
        _legend(figure)
    return figure


def loss_curve(history: Mapping[str, Sequence[Any]], title: str = "") -> Figure:
    """The minimised loss in nats per image by step: single steps faint, their running mean, each epoch's evaluation.

    ``history`` as for `training_curves`, with the column ``loss``; raises `ValueError` as it does.

    >>> rows = {"step": [1, 2], "epoch": [1, 1], "split": ["step", "step"], "loss": [500, 300]}
    >>> loss_curve(rows).axes[0].get_xlabel()
    'step'
    """
    lines = _lines(history, "loss")
    _check_any(bool(lines))
    if "step" in lines and len(lines["step"].step) >= 200:
        lines.pop("train", None)  # the running mean says it
    with style.drawing(style.WIDTH, 3.3 if title else 3.0, title) as figure:
        axes = figure.add_subplot()
        _draw(axes, lines, None)
        if "step" in lines and len(lines["step"].step) >= 200:
            step, value, size = _thinned(lines["step"].step, lines["step"].value, 100)
            axes.plot(step, value, color=style.TRAIN, label=f"train, mean of {size} steps", zorder=2.5)
        axes.set_xlabel("step")
        axes.set_ylabel("loss (nats per image)")
        _legend(figure)
    return figure


def _check_any(found: bool) -> None:
    if not found:
        raise ValueError(f"expected rows of the splits step, {', '.join(SPLITS)} in the history, got none with values")


def _draw(axes: Axes, lines: Mapping[str, Line], ends: tuple[Array, Array] | None) -> None:
    """Steps faint, epochs with markers, limits that early outliers do not stretch; ``ends`` maps steps to epochs."""
    if "step" in lines:
        step, value, size = _thinned(lines["step"].step, lines["step"].value, FAINT)
        place = step if ends is None else _epochs_of(step, ends)
        label = "train, single steps" if size == 1 else f"train, blocks of {size} steps"
        marker = "." if len(step) == 1 else ""
        axes.plot(place, value, color=style.TRAIN, alpha=0.35, linewidth=0.9, marker=marker, label=label, zorder=1.5)
    for split, look in SPLITS.items():
        if split in lines:
            line = lines[split]
            plain = {"markersize": 0, "linewidth": 1.0} if len(line.epoch) > 25 else {}
            axes.plot(line.step if ends is None else line.epoch, line.value, label=split, **(look | plain))
    axes.set_ylim(*_limits(lines))
    axes.grid(visible=True)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    if ends is None:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    elif len(ends[0]) == 2:
        axes.set_xlim(-0.05, max(1.1, axes.get_xlim()[1]))


def _limits(lines: Mapping[str, Line]) -> tuple[float, float]:
    """From the smallest to the largest of the epochs' values and the middle 96 % of the steps', with a margin."""
    ends = [line.value for split, line in lines.items() if split != "step"]
    if "step" in lines:
        value = _thinned(lines["step"].step, lines["step"].value, FAINT)[1]
        ends.append(np.percentile(value, [1.0, 97.0]) if len(value) > 20 else value)
    values = np.concatenate(ends)
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _thinned(step: Array, value: Array, most: int) -> tuple[Array, Array, int]:
    """Means of blocks of equal size, at most ``most`` of them; the size comes third (the last block may be smaller)."""
    size = -(-len(step) // most)
    starts = np.arange(0, len(step), size)
    counts = np.diff([*starts, len(step)])
    return np.add.reduceat(step, starts) / counts, np.add.reduceat(value, starts) / counts, size


def _epoch_ends(lines: Mapping[str, Line]) -> tuple[Array, Array] | None:
    """Steps and epochs at the ends of epochs, from the start on; None before the first epoch is finished."""
    found = [line for split, line in lines.items() if split != "step"]
    if not found:
        return None
    step = np.concatenate([line.step for line in found])
    epoch = np.concatenate([line.epoch for line in found])
    step, first = np.unique(np.append(step, 0.0), return_index=True)
    return step, np.append(epoch, 0.0)[first]


def _epochs_of(step: Array, ends: tuple[Array, Array]) -> Array:
    """The place of ``step`` between the ends of epochs, beyond the last at the last epoch's pace."""
    steps, epochs = ends
    place: Array = np.interp(step, steps, epochs)
    if len(steps) > 1:
        pace = (epochs[-1] - epochs[-2]) / (steps[-1] - steps[-2])
        place = np.where(step > steps[-1], epochs[-1] + (step - steps[-1]) * pace, place)
    return place


def _legend(figure: Figure) -> None:
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))


def _lines(history: Mapping[str, Sequence[Any]], column: str) -> dict[str, Line]:
    """What there is of ``column``, by split."""
    wanted = ("step", "epoch", "split", column)
    missing = [name for name in wanted if name not in history]
    if missing:
        raise ValueError(f"expected a history with the columns {', '.join(wanted)}, got none named {missing[0]}")
    lengths = {name: len(history[name]) for name in wanted}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"expected columns of equal length in the history, got {lengths}")
    step, epoch, value = (_column(name, history[name]) for name in ("step", "epoch", column))
    split = np.asarray(history["split"], dtype=str)
    lines = {}
    for name in ("step", *SPLITS):
        placed = ~np.isnan(step) & (~np.isnan(epoch) | (name == "step"))
        here = np.flatnonzero((split == name) & placed & ~np.isnan(value))
        if len(here):
            here = here[np.argsort(step[here], kind="stable")]
            lines[name] = Line(step[here], epoch[here], value[here])
    return lines


def _column(name: str, values: Sequence[Any]) -> Array:
    """A column as floats; empty entries are NaN."""
    entries = [None if entry is None or entry == "" else entry for entry in values]
    try:
        array = np.array([np.nan if entry is None else float(entry) for entry in entries])
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected numbers in the history's column {name}, got {_first_word(entries)!r}") from error
    bad = np.flatnonzero(np.isinf(array))
    if len(bad):
        raise ValueError(f"expected finite numbers in the history's column {name}, got {array[bad[0]]} in row {bad[0]}")
    return array


def _first_word(entries: Sequence[Any]) -> object:
    for entry in entries:
        try:
            float(0.0 if entry is None else entry)
        except (TypeError, ValueError):
            return entry
    return None
