"""Standardising a table part by part gives the numbers of the table as a whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vaelab.estimators import scaling
from vaelab.estimators.scaling import Scaling


@pytest.mark.parametrize("numbers", [1, 64, 2**20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 30])
def test_parts_are_the_whole(numbers: int, dtype: type, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "_NUMBERS", numbers)
    X = np.random.default_rng(0).normal(3.0, 5.0, (rows, 37)).astype(dtype)
    X[:, 5] = 2.0
    found = Scaling.standardising(X)
    expected = np.where(X.astype(float).std(0) > 1e-9, X.astype(float).std(0), 1.0)
    np.testing.assert_allclose(found.mean, X.astype(float).mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.scale, expected, rtol=1e-12)
    for kind in (torch.float32, torch.float64):
        out = torch.empty(X.shape, dtype=kind)
        found.forward_into(X, out)
        assert torch.equal(out, torch.from_numpy((X - found.mean) / found.scale).to(kind))
