"""Training curves from histories of any length and state."""

from __future__ import annotations

import time

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from tests.plots.figures import history
from vaelab import plots


def line(axes: Axes, label: str) -> Line2D:
    return next(found for found in axes.lines if str(found.get_label()).startswith(label))


def test_epochs_stand_at_whole_numbers_and_steps_between() -> None:
    rows = history(epochs=3, per_epoch=50, more_steps=25)
    axes = plots.training_curves(rows).axes[0]
    assert axes.get_xlabel() == "epoch"
    assert plots.training_curves(rows).axes[0].get_ylabel() == "nats per image"
    np.testing.assert_array_equal(line(axes, "test").get_xdata(), [1, 2, 3])
    steps = np.asarray(line(axes, "train, single steps").get_xdata())
    np.testing.assert_allclose(steps, np.arange(1, 176) / 50)
    assert all(tick == round(tick) for tick in axes.get_xticks())


def test_before_the_first_epoch_the_axis_shows_steps() -> None:
    axes = plots.training_curves(history(epochs=0, more_steps=7)).axes[0]
    assert axes.get_xlabel() == "step"
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), range(1, 8))
    plots.training_curves(history(epochs=0, more_steps=1))
    plots.loss_curve(history(epochs=0, more_steps=1))


def test_epochs_alone_and_one_epoch() -> None:
    rows = history(epochs=1)
    kept = [i for i, split in enumerate(rows["split"]) if split != "step"]
    figure = plots.training_curves({name: [column[i] for i in kept] for name, column in rows.items()})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "test"]


def test_first_steps_do_not_stretch_the_axis() -> None:
    rows = history(epochs=2, per_epoch=200)
    rows["negative_elbo"][0] = rows["loss"][0] = 1e6
    for axes in (plots.training_curves(rows).axes[0], plots.loss_curve(rows).axes[0]):
        assert axes.get_ylim()[1] < 300
        assert axes.get_ylim()[0] > 100


def test_twenty_thousand_steps_are_averaged_and_quick() -> None:
    rows = history(epochs=2, per_epoch=10_000)
    start = time.perf_counter()
    axes = plots.training_curves(rows).axes[0]
    assert time.perf_counter() - start < 5
    drawn = line(axes, "train, blocks of 67 steps")
    assert len(drawn.get_xdata()) <= 300  # type: ignore[arg-type]
    values = [value for value, split in zip(rows["negative_elbo"], rows["split"], strict=True) if split == "step"]
    np.testing.assert_allclose(np.asarray(drawn.get_ydata())[0], np.mean(values[:67]))


def test_loss_by_step_with_its_mean() -> None:
    axes = plots.loss_curve(history(epochs=2, per_epoch=200)).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "loss (nats per image)")
    np.testing.assert_array_equal(line(axes, "test").get_xdata(), [200, 400])
    assert len(line(axes, "train, mean of 4 steps").get_xdata()) == 100  # type: ignore[arg-type]


def test_words_of_a_csv_file_and_empty_entries() -> None:
    rows = history()
    words = {name: [str(entry) for entry in column] for name, column in rows.items()}
    words["kl"][-1] = ""
    axes = plots.training_curves(words).axes
    np.testing.assert_array_equal(
        line(axes[0], "test").get_ydata(), line(plots.training_curves(rows).axes[0], "test").get_ydata()
    )
    assert len(line(axes[2], "test").get_xdata()) == 1  # type: ignore[arg-type]


def test_order_of_rows_does_not_matter() -> None:
    rows = history()
    turned = {name: column[::-1] for name, column in rows.items()}
    for first, second in zip(plots.training_curves(rows).axes, plots.training_curves(turned).axes, strict=True):
        np.testing.assert_array_equal(first.lines[0].get_xydata(), second.lines[0].get_xydata())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kl": None}, "expected a history with the columns step, epoch, split, kl, got none named kl"),
        ({"kl": [1.0]}, "expected columns of equal length in the history, got"),
        ({"kl": ["many"] * 3}, "expected numbers in the history's column kl, got 'many'"),
        ({"kl": [1.0, np.inf, 1.0]}, "expected finite numbers in the history's column kl, got inf in row 1"),
        ({"split": ["warm-up"] * 3}, "expected rows of the splits step, train, validation, test .* got none"),
    ],
)
def test_refusals(change: dict, message: str) -> None:
    rows = {name: [1.0, 2.0, 3.0] for name in ("step", "epoch", "loss", "negative_elbo", "reconstruction", "kl")}
    rows |= {"split": ["step"] * 3} | change
    with pytest.raises(ValueError, match=message):
        plots.training_curves({name: column for name, column in rows.items() if column is not None})
