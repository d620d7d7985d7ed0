"""On the published files themselves."""

from __future__ import annotations

import os

import pytest
import torch

from vaelab.data import check, load

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not os.environ.get("VAELAB_DATA"), reason="VAELAB_DATA is not set"),
]


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_files_are_the_published_ones(name: str) -> None:
    rows = check(name)
    assert len(rows) == 4
    assert all(row["ok"] for row in rows), rows


@pytest.mark.parametrize(
    ("name", "train_mean", "test_mean"), [("mnist", 0.13066, 0.13251), ("fashion-mnist", 0.28604, 0.28685)]
)
def test_shapes_classes_and_means(name: str, train_mean: float, test_mean: float) -> None:
    splits = load(name, offline=True, validation=5000)
    assert splits.validation is not None
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (55_000, 5000, 10_000)
    assert splits.train.image_shape == (1, 28, 28)
    assert splits.train.classes == 10
    whole = torch.cat([splits.train.images, splits.validation.images])
    assert float(whole.sum()) / whole.numel() / 255 == pytest.approx(train_mean, abs=1e-5)
    assert float(splits.test.images.sum()) / splits.test.images.numel() / 255 == pytest.approx(test_mean, abs=1e-5)
    assert splits.test.labels is not None
    expected = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009] if name == "mnist" else [1000] * 10
    assert torch.bincount(splits.test.labels).tolist() == expected
