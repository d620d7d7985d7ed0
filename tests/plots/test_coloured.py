"""Latent planes coloured by style and by confidence."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from vaelab import plots

Z = np.random.default_rng(0).normal(size=(50, 2))


def test_points_are_coloured_by_rank_and_those_without_a_value_left_out() -> None:
    values = np.exp(5 * Z[:, 0])
    values[3] = np.nan
    figure = plots.style_planes(Z, {"slant": values}, {"slant": [1, 0]})
    points = figure.axes[0].collections[0]
    shown = np.delete(Z, 3, axis=0)
    np.testing.assert_array_equal(points.get_offsets(), shown)
    shades = np.asarray(points.get_array())
    assert (shades.min(), shades.max()) == (0, 1)
    assert np.corrcoef(np.argsort(np.argsort(shown[:, 0])), shades)[0, 1] > 0.99


def test_style_planes_refuse_in_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"^expected styles and one direction for each, got \['a'\] and \[\]$"):
        plots.style_planes(Z, {"a": Z[:, 0]}, {})
    with pytest.raises(ValueError, match=r"^expected one finite value or NaN of a for each of 50 points, got others$"):
        plots.style_planes(Z, {"a": [1.0]}, {"a": [1, 0]})


def test_a_confidence_map_names_each_region_inside_it_and_parts_them() -> None:
    winner = np.zeros((7, 9), dtype=int)
    winner[:, 5:] = 1
    places = np.arange(9.0), np.arange(7.0)
    figure = plots.confidence_map(np.ones((7, 9)), winner, *places, ["cat", "dog"])
    axes = figure.axes[0]
    named = {text.get_text(): text.get_position() for text in axes.texts}
    assert set(named) == {"cat", "dog"}
    assert all(winner[round(y), round(x)] == i for i, (x, y) in enumerate(named.values()))
    lines = [part for part in axes.collections if isinstance(part, LineCollection)]
    segments = np.concatenate([part.get_segments() for part in lines])
    assert len(segments) == 7
    assert (segments[:, :, 0] == 4.5).all()


def test_a_confidence_map_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"^expected confidence and winner at each of at least 2 × 2 places, got"):
        plots.confidence_map(np.ones((3, 3)), np.zeros((3, 3)), [0, 1], [0, 1, 2])
