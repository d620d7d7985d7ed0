"""The Fréchet distance against what is known of it."""

from __future__ import annotations

import math

import pytest
import torch

from vaelab.applications.frechet import features, frechet_distance
from vaelab.applications.judge import train_judge
from vaelab.data.images import ImageData
from vaelab.errors import DataError


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_one_dimension_is_the_closed_form() -> None:
    a, b = 2 + 3 * normal(500, 1, 0), -1 + 0.5 * normal(400, 1, 1)
    expected = (a.mean() - b.mean()) ** 2 + (a.std() - b.std()) ** 2
    assert frechet_distance(a, b) == pytest.approx(float(expected))


def test_axes_that_do_not_mix_add_up_and_turning_both_changes_nothing() -> None:
    a, b = normal(2000, 3, 0) * torch.tensor([1.0, 2, 3]), normal(2000, 3, 1) + 1
    turn = torch.linalg.qr(normal(3, 3, 2)).Q
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(frechet_distance(a, b))
    assert frechet_distance(a, b) == pytest.approx(3 + 0 + 1 + 4, abs=0.5)


def test_is_symmetric_and_nothing_for_the_same_even_with_few_rows() -> None:
    a, b = normal(5, 20, 0), normal(7, 20, 1)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_refuses_other_widths_and_a_single_row() -> None:
    for bad in (torch.zeros(1, 2), torch.zeros(4, 3), torch.zeros(4)):
        with pytest.raises(DataError, match=r"^expected two sets of at least 2 rows of as many features, got"):
            frechet_distance(torch.zeros(4, 2), bad)


def test_features_are_what_the_last_layer_sees_of_levels_and_floats() -> None:
    pixels = torch.randint(256, (20, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    judge = train_judge(ImageData("noise", pixels, torch.arange(20) % 2, ("a", "b")), steps=2)
    found = features(judge, pixels)
    assert found.dtype == torch.float64
    assert torch.allclose(found, features(judge, pixels.float() / 255))
    logits = judge.network.head(found.float())
    assert torch.allclose(logits.double().log_softmax(-1), judge.log_probabilities(pixels), atol=1e-5)
    assert math.isfinite(frechet_distance(found, found[:10]))
