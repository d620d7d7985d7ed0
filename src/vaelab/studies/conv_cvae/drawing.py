"""The figure of this study alone: gradients of two kinds of spread heads, beside trainings with each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from vaelab.plots import style

BLOCKS = 60
"""A training's loss is drawn as at most so many means of blocks of steps."""


def spread_heads(
    sigma: Sequence[float], by_sigma: Sequence[float], by_log: Sequence[float], losses: Mapping[str, Sequence[float]]
) -> Figure:
    """|∂KL/∂σ| and |∂KL/∂v| against σ; the loss by step of every head, a cross where it had no finite value.

    ``sigma``, ``by_sigma``, ``by_log`` are equally long; ``losses``: head → nats per image of its steps, empty where
    the first step failed.
    """
    with style.drawing(style.WIDTH, 3.1, "the spread as σ or as v = log σ²") as figure:
        left, right = figure.subplots(1, 2)
        for values, name, place in ((by_sigma, "∂KL/∂σ", 1), (by_log, "∂KL/∂v", 0)):
            left.plot(sigma, np.abs(values) + 1e-6, color=style.colour(place), label=name)
        left.set(xscale="log", yscale="log", xlabel="σ", ylabel="size of the gradient", ylim=(1e-3, 2e3))
        for axis in (left.xaxis, left.yaxis):  # the usual ones are written in a markup that the figures do without
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
        left.set_title("gradient of the KL")
        left.legend()
        failed = 0
        for place, (name, values) in enumerate(losses.items()):
            if values:
                step, mean = _blocks(np.asarray(values))
                right.plot(step, mean, color=style.colour(place), label=name)
            else:
                right.plot(0.07, 0.93 - 0.09 * failed, "x", color=style.colour(place), transform=right.transAxes,
                           label=f"{name}: failed")  # fmt: skip
                failed += 1
        ends = [max(_blocks(np.asarray(values))[1][1:], default=0.0) for values in losses.values() if values]
        if ends:
            right.set_ylim(top=1.05 * max(ends))
        right.set(xlabel="step", ylabel="loss (nats per image)")
        right.set_title("training with each head")
        for axes in (left, right):
            axes.grid(visible=True)
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _blocks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps and means of blocks."""
    size = max(1, -(-len(values) // BLOCKS))
    starts = np.arange(0, len(values), size)
    counts = np.diff([*starts, len(values)])
    return starts + (counts + 1) / 2, np.add.reduceat(values, starts) / counts
