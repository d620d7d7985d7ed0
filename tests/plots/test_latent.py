"""The latent plane, its embeddings, and the KL of its dimensions."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tests.plots.figures import images, points
from vaelab import plots
from vaelab.plots import style


def ticks(figure: Figure, axis: str) -> list[tuple[float, str]]:
    axes = figure.axes[0]
    places = getattr(axes, f"get_{axis}ticks")()
    return list(zip(places, (label.get_text() for label in getattr(axes, f"get_{axis}ticklabels")()), strict=True))


def number(text: str) -> float:
    return float(text.replace("−", "-"))


@pytest.mark.parametrize("count", [1, 2, 20, 31])
@pytest.mark.parametrize("scale", ["uniform", "quantile"])
def test_ticks_give_the_latent_values_at_the_centres(count: int, scale: str) -> None:
    z1 = np.linspace(-2, 2, count)
    z2 = np.linspace(0, 30, count) if scale == "uniform" else np.sinh(np.linspace(-1, 1, count))
    figure = plots.latent_grid(images(count, count), z1, z2, scale=scale)
    for axis, values in (("x", z1), ("y", z2)):
        shown = ticks(figure, axis)
        assert 1 <= len(shown) <= 15
        assert [shown[0][0], shown[-1][0]] == [0, count - 1]
        for place, text in shown:
            assert number(text) == pytest.approx(values[int(place)], abs=0.0051)
    assert "equal prior probability" in figure.axes[0].get_xlabel() or scale == "uniform"


@pytest.mark.parametrize(("row", "column", "right", "top"), [(0, 3, True, False), (2, 0, False, True)])
def test_z1_goes_right_and_z2_goes_up(row: int, column: int, right: bool, top: bool) -> None:
    cells = np.zeros((3, 4, 3, 8, 8))
    cells[row, column, 0] = 1  # red
    figure = plots.latent_grid(cells, range(4), range(3))
    drawn = np.asarray(Image.open(io.BytesIO(style.png(figure, dpi=60))).convert("RGB"), dtype=int)
    dark = (drawn.sum(axis=2) < 30) | (drawn[..., 0] - drawn[..., 1] > 200)
    rows, columns = np.nonzero(drawn[..., 0] - drawn[..., 1] > 200)
    every_row, every_column = (np.flatnonzero(dark.mean(axis=axis) > 0.5) for axis in (1, 0))
    assert bool(columns.mean() > every_column.mean()) is right
    assert bool(rows.mean() < every_row.mean()) is top
    picture = figure.axes[0].images[0].get_extent()
    assert picture == [-0.5, 3.5, -0.5, 2.5]


def test_pixels_are_square_in_a_grid_that_is_not() -> None:
    for shape in ((2, 9, 8, 8), (9, 2, 8, 8), (3, 3, 8, 16)):
        rows, columns, high, wide = shape
        figure = plots.latent_grid(np.zeros((rows, columns, 1, high, wide)), range(columns), range(rows))
        box = figure.axes[0].get_window_extent()
        assert box.width / box.height == pytest.approx(columns * wide / (rows * high), rel=0.01)


def test_scatter_writes_names_at_medians_and_in_the_legend() -> None:
    z, labels = points(300)
    figure = plots.latent_scatter(z, labels, ["cat", "$dog", "hen"])
    for i, text in enumerate(figure.axes[0].texts):
        np.testing.assert_allclose(text.get_position(), np.median(z[labels == i], axis=0))
    assert [text.get_text() for text in figure.axes[0].texts] == ["cat", "$dog", "hen"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cat", "$dog", "hen"]
    assert len(figure.axes[0].patches) == 2  # the prior
    assert not plots.latent_scatter(z, labels, prior_circles=False).axes[0].patches


def test_scatter_draws_each_point_once_and_thins_many() -> None:
    def drawn(figure: Figure) -> int:
        return sum(len(layer.get_offsets()) for layer in figure.axes[0].collections)

    assert drawn(plots.latent_scatter(*points(1001))) == 1001
    assert drawn(plots.latent_scatter(points(1001)[0])) == 1001
    many = plots.latent_scatter(*points(25_000))
    assert 8000 <= drawn(many) <= 10_000
    assert "of 25,000 images drawn" in many.axes[0].get_title()


def test_scatter_axes_are_equal() -> None:
    axes = plots.latent_scatter(points()[0] * [10, 1]).axes[0]
    box = axes.get_window_extent()
    assert np.ptp(axes.get_xlim()) / box.width == pytest.approx(np.ptp(axes.get_ylim()) / box.height, rel=0.01)


@pytest.mark.parametrize("z", [np.zeros((50, 2)), np.zeros((1, 2)), points(50)[0] * [1, 0], points(50)[0] * 1e6])
@pytest.mark.parametrize("labelled", [True, False])
def test_scatter_of_a_collapsed_or_huge_space(z: np.ndarray, labelled: bool) -> None:
    plots.latent_scatter(z, np.arange(len(z)) % 10 if labelled else None, prior_circles=bool(z.max() > 100))


def test_names_of_classes_on_one_spot_are_left_to_the_legend() -> None:
    figure = plots.latent_scatter(np.zeros((50, 2)), np.arange(50) % 10)
    assert not figure.axes[0].texts
    assert len(figure.legends[0].get_texts()) == 10


@pytest.mark.parametrize("classes", [1, 100])
def test_any_number_of_classes(classes: int) -> None:
    z, labels = points(200, classes)
    legend = plots.latent_scatter(z, labels).legends[0]
    assert len(legend.get_texts()) == min(classes, 61)
    bar = plots.latent_scatter(z, labels, legend="colorbar").axes[1]
    assert len(bar.get_yticks()) <= 50


def test_kl_tells_active_from_unused() -> None:
    figure = plots.kl_per_dimension([0.005, 2.0, 0.5, 0.0], sort=True)
    axes = figure.axes[0]
    assert axes.get_title().startswith("2 of 4 active (KL > 0.01 nats)")
    assert [bar.get_height() for bar in axes.patches] == [2.0, 0.5, 0.005, 0.0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "3", "1", "4"]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [2, 3])  # the crosses
    assert axes.get_ylabel() == "KL (nats per image)"


@pytest.mark.parametrize("kl", [np.zeros(3), np.ones(1), -np.ones(2) * 1e-3, np.linspace(0, 1, 200)])
def test_kl_of_any_kind(kl: np.ndarray) -> None:
    assert len(plots.kl_per_dimension(kl).axes[0].get_xticks()) <= 24


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.latent_grid(images(2, 2), [0], [0, 1]), "expected 2 values in z1, .* got 1"),
        (lambda: plots.latent_grid(images(2, 2), [1, 0], [0, 1]), "expected z1 to increase, got 1 before"),
        (
            lambda: plots.latent_grid(images(3, 3), [0, 1, 2], [0, 1, 5]),
            "expected z2 in equal steps, got steps from 1 to 4",
        ),
        (lambda: plots.latent_grid(images(1, 1), [0], [0], scale="log"), "expected scale .* got 'log'"),
        (lambda: plots.latent_scatter(np.zeros((4, 3))), r"expected z of shape \(n, 2\), got \(4, 3\)"),
        (lambda: plots.latent_scatter(np.zeros((4, 2)), [0, 1]), "expected 4 labels, one for each point, got 2"),
        (lambda: plots.latent_scatter(np.zeros((2, 2)), [0, -1]), "expected labels that are whole .* got -1"),
        (lambda: plots.latent_scatter(np.zeros((2, 2)), [0, 2], "ab"), "expected labels below 2, .* got 2"),
        (lambda: plots.latent_scatter(np.zeros((2, 2)), legend="left"), "expected legend .* got 'left'"),
        (lambda: plots.kl_per_dimension([[1.0]]), r"expected kl of shape \(latent,\), got \(1, 1\)"),
        (lambda: plots.kl_per_dimension([1.0], active_threshold=-1), "expected an active_threshold .* got -1"),
    ],
)
def test_refusals(draw, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
