"""Sheets: what stands where."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.plots.figures import images
from vaelab import plots


def canvas(figure: Figure) -> np.ndarray:
    return np.asarray(figure.axes[0].images[0].get_array())


def texts(figure: Figure, axis: str) -> list[str]:
    return [label.get_text() for label in getattr(figure.axes[0], f"get_{axis}ticklabels")()]


def levels(*lead: int) -> np.ndarray:
    """Images 8 × 8 of one grey each, in reading order from 0.1 to 0.9."""
    count = int(np.prod(lead))
    return np.broadcast_to(np.linspace(0.1, 0.9, count).reshape(*lead, 1, 1, 1), (*lead, 1, 8, 8))


def cell(figure: Figure, row: int, column: int) -> float:
    return float(canvas(figure)[row * 9 + 4, column * 9 + 4])  # 8 pixels and a gap of 1


def test_grid_is_in_reading_order_and_padded_with_white() -> None:
    figure = plots.image_grid(levels(5), columns=3, column_labels="abc")
    shown = [[cell(figure, row, column) for column in range(3)] for row in range(2)]
    np.testing.assert_allclose(shown, [[0.1, 0.3, 0.5], [0.7, 0.9, 1.0]])
    assert texts(figure, "x") == ["a", "b", "c"]


def test_images_without_channels_and_colour_images() -> None:
    grey = images(4)
    np.testing.assert_array_equal(canvas(plots.image_grid(grey[:, 0])), canvas(plots.image_grid(grey)))
    colour = images(1, channels=3)
    np.testing.assert_array_equal(canvas(plots.image_grid(colour)), np.moveaxis(colour[0], 0, -1))


def test_black_is_0_white_is_1_and_beyond_is_clipped() -> None:
    drawn = plots.image_grid(np.array([[[-0.5, 0.5], [1.0, 1.5]]])).axes[0].images[0]
    np.testing.assert_array_equal(np.asarray(drawn.get_array()), [[0, 0.5], [1, 1]])
    assert drawn.get_clim() == (0, 1)
    assert drawn.get_interpolation() == "nearest"
    assert drawn.get_cmap().name == "gray"


def test_reconstructions_stand_below_their_inputs() -> None:
    figure = plots.reconstructions(levels(12), 1 - levels(12), np.arange(12) * 10.0)
    assert texts(figure, "y") == ["input", "reconstruction", "nats per image"] * 2
    assert [text.get_text() for text in figure.axes[0].texts][:3] == ["0.0", "10.0", "20.0"]
    np.testing.assert_allclose(cell(figure, 0, 5), 1 - cell(figure, 1, 5))
    assert canvas(figure).shape[1] == 6 * 9 - 1  # twelve in two even blocks


def test_class_epoch_sheet_has_classes_down_and_epochs_across() -> None:
    figure = plots.class_epoch_sheet(levels(3, 2), ["cat", "dog"], epochs=[5, 10, 15])
    np.testing.assert_allclose([cell(figure, 1, column) for column in range(3)], levels(3, 2)[:, 1, 0, 0, 0])
    assert texts(figure, "x") == ["5", "10", "15"]
    assert texts(figure, "y") == ["cat", "dog"]


def test_class_epoch_sheet_thins_many_epochs_and_keeps_both_ends() -> None:
    shown = texts(plots.class_epoch_sheet(levels(50, 2), ["cat", "dog"]), "x")
    assert len(shown) == 12
    assert (shown[0], shown[-1]) == ("1", "50")


def test_many_classes_fit_on_a_page() -> None:
    figure = plots.samples_per_class(images(62, 10), range(62))
    assert figure.get_figheight() <= 9.3


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.image_grid(images(2, 2)), r"expected images of shape \(n, c, h, w\) .* got \(2, 2, 1, 8, 8\)"),
        (lambda: plots.image_grid(images(2, channels=4)), r"with 1 or 3 channels, got \(2, 4, 8, 8\)"),
        (lambda: plots.image_grid(images(2) * 255), r"expected images with values in \[0, 1\], got values up to 25"),
        (lambda: plots.image_grid("abc"), "expected numbers in images, got str"),
        (lambda: plots.image_grid(images(2), columns=0), "expected at least 1 column, got 0"),
        (lambda: plots.image_grid(images(4), row_labels=["one"]), "expected 2 row_labels, got 1"),
        (
            lambda: plots.reconstructions(images(3), images(2)),
            r"expected outputs of the inputs' shape .* got \(2, 1, 8, 8\)",
        ),
        (lambda: plots.reconstructions(images(3), images(3), [1.0]), "expected 3 scores, got 1"),
        (lambda: plots.samples_per_class(images(3, 2), ["a"]), "expected 3 class_names, got 1"),
        (lambda: plots.class_epoch_sheet(images(3, 1), ["a"], epochs=[1]), "expected 3 epochs, got 1"),
    ],
)
def test_refusals(draw, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
