"""Curves of several runs in the same axes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from tests.plots.figures import histories
from vaelab import plots
from vaelab.plots import style


def lines(axes: Axes, place: int, dashes: str) -> list[Line2D]:
    """Of the group at this place."""
    return [line for line in axes.lines if line.get_color() == style.colour(place) and line.get_linestyle() == dashes]


def values(rows: dict, column: str, run: str, split: str) -> list[float]:
    keys = zip(rows["run"], rows["split"], rows[column], strict=True)
    return [value for one, part, value in keys if (one, part) == (run, split)]


def test_the_thick_line_is_the_mean_as_far_as_all_runs_go():
    rows = histories(vae=6, cvae=3)
    figure = plots.comparison_curves(rows)
    assert [axes.get_title() for axes in figure.axes] == ["−ELBO", "reconstruction", "KL"]
    *single, mean = lines(figure.axes[2], 0, "-")
    assert [len(np.asarray(line.get_xdata())) for line in single] == [6, 5]
    np.testing.assert_array_equal(mean.get_xdata(), [1, 2, 3, 4, 5])
    long, short = (np.array(values(rows, "kl", run, "test")) for run in ("vae-0", "vae-1"))
    np.testing.assert_allclose(np.asarray(mean.get_ydata()), (long[:5] + short) / 2)
    (train,) = lines(figure.axes[2], 1, "--")
    np.testing.assert_array_equal(train.get_xdata(), [1, 2])


def test_a_single_run_has_one_line_and_validation_is_held_out_too():
    rows = histories(vae=6)
    keep = [i for i, run in enumerate(rows["run"]) if run == "vae-0"]
    rows = {name: [column[i] for i in keep] for name, column in rows.items()}
    rows["split"] = ["validation" if split == "test" else split for split in rows["split"]]
    figure = plots.comparison_curves(rows)
    assert len(lines(figure.axes[0], 0, "-")) == 1
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["vae", "held-out images", "training images"]


def test_an_autoencoder_is_in_the_panel_of_reconstruction_only():
    rows = histories(vae=3, dae=3)
    for column in ("negative_elbo", "kl"):
        here = zip(rows["group"], rows[column], strict=True)
        rows[column] = [None if group == "dae" else value for group, value in here]
    bound, reconstruction, _ = plots.comparison_curves(rows).axes
    assert not lines(bound, 1, "-")
    assert lines(reconstruction, 1, "-")
    alone = {name: [v for v, group in zip(rows[name], rows["group"], strict=True) if group == "dae"] for name in rows}
    assert [axes.get_title() for axes in plots.comparison_curves(alone).axes] == ["reconstruction"]


def test_the_first_epochs_do_not_press_the_rest_flat():
    rows = histories(vae=10)
    rows["kl"][rows["split"].index("test")] = 1e4
    assert plots.comparison_curves(rows).axes[2].get_ylim()[1] < 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group": None}, "expected a history with the columns group, run, epoch, .* got none named group"),
        ({"kl": [1.0]}, "expected columns of equal length in the history, got"),
        ({"kl": ["many"] * 2}, "expected numbers in the history's column kl, got something else"),
        ({"kl": [1.0, np.inf]}, "expected finite numbers in the history's column kl, got inf in row 1"),
        ({"split": ["step"] * 2}, "expected rows of the splits train, validation, test with values, got none"),
    ],
)
def test_refusals(change: dict, message: str):
    rows = {"group": ["a", "a"], "run": ["a", "a"], "epoch": [1, 2], "split": ["test", "test"]}
    rows |= {"negative_elbo": [3.0, 2.0], "reconstruction": [2.0, 1.0], "kl": [1.0, 1.0]} | change
    with pytest.raises(ValueError, match=message):
        plots.comparison_curves({name: column for name, column in rows.items() if column is not None})
