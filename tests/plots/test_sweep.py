"""Curves against a number that doubles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vaelab.plots import Panel, sweep


def test_a_name_looks_the_same_in_every_panel_and_ticks_stand_at_the_numbers() -> None:
    first = Panel("a", "nats", {"VAE": ([1, 2, 3], [0.1, 0.1, 0.1]), "CVAE": ([1, np.nan, 2], None)})
    second = Panel("b", "share", {"CVAE": ([0.5, 0.6, 0.7], None)}, {"chance": 0.1})
    figure = sweep([2, 4, 32], [first, second], "size of z", title="sizes")
    a, b = figure.axes
    assert [axes.get_xlabel() for axes in (a, b)] == ["size of z"] * 2
    assert a.get_xticks().tolist() == [2, 4, 32]
    lines = {line.get_label(): line for line in b.lines}
    np.testing.assert_array_equal(lines["chance"].get_ydata(), [0.1, 0.1, 0.1])
    bars: list[Any] = [bars for axes in (a, b) for bars in axes.containers if bars.get_label() == "CVAE"]
    cvae = [lines[0] for lines in bars]
    assert len({(line.get_color(), line.get_marker()) for line in cvae}) == 1
    np.testing.assert_array_equal(cvae[0].get_xdata(), [2, 32])  # where it was measured
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["VAE", "CVAE", "chance"]


@pytest.mark.parametrize(
    ("x", "panels", "message"),
    [
        ([4, 2], [Panel("a", "", {"v": ([1, 2], None)})], "expected an x of numbers above 0 that increase, got"),
        ([0, 2], [Panel("a", "", {"v": ([1, 2], None)})], "expected an x of numbers above 0 that increase, got"),
        ([2, 4], [], "expected at least one panel, each with a line, got none"),
        ([2, 4], [Panel("a", "", {})], "expected at least one panel, each with a line, got none"),
        ([2, 4], [Panel("a", "", {"v": ([1], None)})], "expected 2 values of v, one for each x, got"),
        ([2, 4], [Panel("a", "", {"v": ([np.nan] * 2, None)})], "expected finite values of v, NaN where"),
        ([2, 4], [Panel("a", "", {"v": ([1, 2], [np.inf, 1])})], "expected finite values of errors of v, NaN"),
    ],
)
def test_refuses_in_one_sentence(x: list[float], panels: list[Panel], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sweep(x, panels)
