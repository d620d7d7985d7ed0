"""A small table of real numbers with three classes."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def table():
    """60 rows of 4 features in units far apart, and their classes."""
    source = np.random.RandomState(0)
    y = np.arange(60) % 3
    X = source.normal(size=(60, 4)) + 4 * np.eye(4)[y]
    return X * [1, 1000, 0.01, 1] + [0, 5, 0, -3], np.array(["ant", "bee", "cat"])[y]
