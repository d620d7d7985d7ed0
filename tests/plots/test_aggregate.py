"""The aggregate posterior, gaps and label transfers: what stands where."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from matplotlib.patches import Circle, Rectangle

from tests.plots.figures import images
from vaelab import plots


def normal(n: int, d: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, d))


def test_each_dimension_is_drawn_with_its_distance() -> None:
    z = normal(300, 3) + np.array([0, 0.5, 0])
    figure = plots.aggregate_posterior(z)
    expected = [f"z{j + 1} · D = {scipy.stats.kstest(z[:, j], 'norm').statistic:.2f}" for j in range(3)]
    assert [axes.get_title() for axes in figure.axes if axes.get_visible()] == expected


def test_histograms_are_densities_and_hide_nothing() -> None:
    z = np.concatenate([normal(300, 1), [[50.0]]])
    (bars,) = plots.aggregate_posterior(z).axes[0].patches
    values, edges, _ = bars.get_data()  # type: ignore[attr-defined]
    assert float((values * np.diff(edges)).sum()) == pytest.approx(1)


def test_of_many_dimensions_those_with_the_largest_distance_are_drawn() -> None:
    z = normal(200, 40)
    z[:, 30] += 3
    figure = plots.aggregate_posterior(z, title="q(z)")
    titles = [axes.get_title().split(" ")[0] for axes in figure.axes]
    assert len(titles) == 16
    assert "z31" in titles
    assert figure.get_suptitle().replace("\n", " ") == "q(z) (16 of 40 dimensions: those with the largest D)"


def test_gaps_are_circles_numbered_by_rank() -> None:
    centres = np.array([[0.5, 0.0], [-1.0, 1.0]])
    figure = plots.gap_map(normal(50, 2), centres, [0.4, 0.2], np.ones((4, 4)), 3.0, borders=[[0.0, 2.0]])
    axes = figure.axes[0]
    circles = [patch for patch in axes.patches if isinstance(patch, Circle)]
    assert [(circle.center, circle.radius) for circle in circles] == [((0.5, 0.0), 0.4), ((-1.0, 1.0), 0.2)]
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    assert axes.get_xlim() == axes.get_ylim() == (-3.0, 3.0)
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[0.0, 2.0]])


def test_gap_map_refuses_unequal_numbers() -> None:
    with pytest.raises(ValueError, match=r"^expected one radius for each gap and an extent > 0, got 2 and 3$"):
        plots.gap_map(normal(5, 2), [[0.0, 0.0]], [1, 2], np.ones((2, 2)), 3.0)


def test_a_transfer_names_rows_and_columns_and_frames_the_own_label() -> None:
    figure = plots.label_transfer(images(2, 3), images(2), [2, -1], ["cat", "dog", "cow"])
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["source", "cat", "dog", "cow"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cow", "?"]
    (frame,) = (patch for patch in axes.patches if isinstance(patch, Rectangle))
    assert (frame.get_x(), frame.get_y(), frame.get_width()) == (3 * 9 - 0.5, -0.5, 8)
    canvas = np.asarray(axes.images[0].get_array())
    np.testing.assert_array_equal(canvas[9:17, :8], images(2)[1, 0])  # the second source


def test_a_transfer_of_colour_images() -> None:
    figure = plots.label_transfer(images(1, 2, channels=3), images(1, channels=3), [0], ["a", "b"])
    np.testing.assert_array_equal(
        np.asarray(figure.axes[0].images[0].get_array())[:, 9:17], np.moveaxis(images(1, 2, channels=3)[0, 0], 0, -1)
    )


def test_a_transfer_refuses_in_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"^expected labels below 2, the number of class_names, got 2$"):
        plots.label_transfer(images(1, 2), images(1), [2], ["a", "b"])
    with pytest.raises(ValueError, match=r"^expected one source and one label for each of 1 rows, got 2 and 1$"):
        plots.label_transfer(images(1, 2), images(2), [0], ["a", "b"])
