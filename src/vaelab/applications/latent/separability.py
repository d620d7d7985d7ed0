"""How well classes can be told apart in latent space: a linear and a nearest-neighbour classifier on z."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab.errors import DataError

NEIGHBOURS = 15
STEPS = 1000
"""At most so many steps of the solver of the logistic regression."""


@dataclass(frozen=True)
class Separability:
    """Which test images each classifier gets right, bool ``(n,)``; accuracies are their means.

    ``neighbours``: how many were asked. ``converged``: whether the logistic regression came to its end.
    """

    linear: Tensor
    knn: Tensor
    neighbours: int
    converged: bool


def separability(
    train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, *, neighbours: int = NEIGHBOURS
) -> Separability:
    """Logistic regression (standardised inputs, L2, C = 1) and k nearest neighbours on ``train (n, latent)``.

    Both are fitted on ``train`` with ``train_labels (n,)`` and asked about ``test (m, latent)``; k = ``neighbours`` ≥
    1, or n where that is less. Raises `DataError` where ``train`` has a single class.

    >>> z = torch.tensor([[-1.0], [-0.9], [0.9], [1.0]])
    >>> found = separability(z, torch.tensor([0, 0, 1, 1]), z, torch.tensor([0, 0, 1, 0]), neighbours=1)
    >>> found.linear.tolist(), found.knn.tolist()
    ([True, True, True, False], [True, True, True, False])
    """
    # Slow to load, and figures of a run do without.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classes = len(torch.unique(train_labels))
    if classes < 2:
        raise DataError(f"expected images of at least 2 classes to tell apart, got {classes}; give labelled images")
    k = min(neighbours, len(train))
    fitted, asked = train.double().numpy(), test.double().numpy()
    linear: Any = make_pipeline(StandardScaler(), LogisticRegression(max_iter=STEPS))
    nearest: Any = KNeighborsClassifier(k)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `converged` says it
        linear.fit(fitted, train_labels.numpy())
    nearest.fit(fitted, train_labels.numpy())
    steps = int(np.max(linear[-1].n_iter_))
    truth = test_labels.numpy()
    right = [torch.from_numpy(np.asarray(model.predict(asked) == truth)) for model in (linear, nearest)]
    return Separability(right[0], right[1], k, steps < STEPS)
