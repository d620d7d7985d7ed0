"""The classifiers, their small grids, and how a grid is searched with nothing but the labels that are given."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaelab.applications.representations.labels import Integers, choose_labels, generator

Features = NDArray[np.float32]
Parameters = Mapping[str, float | int]

SELECTION = 5000
"""At most so many of the labels choose the hyperparameters."""
FOLDS = 3
"""Of the cross-validation; less where a class has fewer labels."""
TREES = 100
HIDDEN_UNITS = 256
STOPPING = 2000
"""From so many labels on, a tenth of those an MLP is fitted to decide when to stop."""


@dataclass(frozen=True)
class Method:
    """A classifier. ``grid``: its hyperparameters, the first of them used where none can be chosen.

    ``make(parameters, labels, seed)``: the scikit-learn estimator, untrained. ``random``: whether its fit depends on
    the seed. ``seconds(labels, dimensions)``: roughly how long one fit and its test take, for the time left.
    """

    title: str
    grid: tuple[Parameters, ...]
    make: Callable[[Parameters, Integers, int], Any]
    random: bool
    seconds: Callable[[int, int], float]

    def cost(self, labels: int, dimensions: int) -> float:
        """Roughly the seconds of a cell: the search and the last fit."""
        part = min(labels, SELECTION) * (FOLDS - 1) // FOLDS
        search = FOLDS * len(self.grid) * self.seconds(part, dimensions)
        return 0.05 + search + self.seconds(labels, dimensions)


@dataclass(frozen=True)
class Prediction:
    """``labels`` ``(t,)`` of the test images; ``parameters``: those chosen; ``selection``: how, in words."""

    labels: Integers
    parameters: Parameters
    selection: str


def fit_and_predict(method: Method, x: Features, y: Integers, test: Features, seed: int) -> Prediction:
    """Choose the hyperparameters on ``x (l, d)`` and ``y (l,)`` alone, fit on them, and predict ``test (t, d)``.

    The grid is searched by stratified 3-fold cross-validation on at most 5,000 of the labels (2 folds where a class has
    two); equal scores go to the first. Where a class has a single label, no fold could hold it out and know it, and
    the first of the grid is taken. Where all labels are of one class, that class is predicted. ``seed`` fixes folds,
    first weights and trees.

    >>> x = np.float32([[0.0], [0.1], [0.2], [1.0], [1.1], [1.2]])
    >>> found = fit_and_predict(METHODS["svm"], x, np.repeat([0, 1], 3), np.float32([[0.05], [1.05]]), seed=0)
    >>> found.labels.tolist(), found.selection
    ([0, 1], '3-fold cross-validation on the 6 labels')
    """
    classes = np.unique(y)
    if len(classes) == 1:
        return Prediction(np.full(len(test), classes[0]), {}, "all labels are of one class, which is predicted")
    number = int(generator(seed, "method").integers(2**31))
    parameters, selection = _select(method, x, y, seed, number)
    return Prediction(_fit(method, parameters, x, y, number).predict(test), parameters, selection)


def _select(method: Method, x: Features, y: Integers, seed: int, number: int) -> tuple[Parameters, str]:
    """The parameters with the best mean accuracy over the folds, and the words for how they were found."""
    from sklearn.model_selection import StratifiedKFold

    on = f"the {len(y):,} labels"
    if len(y) > SELECTION:
        part = choose_labels(y, SELECTION, seed)
        x, y, on = x[part], y[part], f"{SELECTION:,} of {on}"
    folds = min(FOLDS, _fewest(y))
    if folds < 2:
        return method.grid[0], "hyperparameters not chosen but fixed, because a class has a single label"
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=number).split(x, y))

    def accuracy(parameters: Parameters) -> float:
        fitted = ((_fit(method, parameters, x[train], y[train], number), held) for train, held in splits)
        return float(np.mean([np.mean(model.predict(x[held]) == y[held]) for model, held in fitted]))

    best = max(method.grid, key=accuracy)  # the first of equals
    return best, f"{folds}-fold cross-validation on {on}"


def _fit(method: Method, parameters: Parameters, x: Features, y: Integers, number: int) -> Any:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of passes is bounded on purpose
        return method.make(parameters, y, number).fit(x, y)


def _fewest(y: Integers) -> int:
    """Labels of the class that has the fewest."""
    return int(np.unique(y, return_counts=True)[1].min())


def _forest(parameters: Parameters, y: Integers, number: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, random_state=number, **parameters)


def _svm(parameters: Parameters, y: Integers, number: int) -> Any:
    from sklearn.svm import SVC

    return SVC(kernel="rbf", gamma="scale", cache_size=500, **parameters)


def _logistic(parameters: Parameters, y: Integers, number: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=200, **parameters)


def _mlp(parameters: Parameters, y: Integers, number: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    held_out = len(y) // 10
    stopping = len(y) >= STOPPING and _fewest(y) > 1 and held_out >= len(np.unique(y))
    return MLPClassifier(
        (HIDDEN_UNITS,),
        batch_size=_batch(len(y)),
        max_iter=_epochs(len(y)),
        early_stopping=stopping,
        n_iter_no_change=10,
        random_state=number,
        **parameters,
    )


def _batch(labels: int) -> int:
    size = 32 if labels < STOPPING else 128 if labels < 20_000 else 256
    return min(size, labels - labels // 10)  # a tenth may be held out


def _epochs(labels: int) -> int:
    return 100 if labels < STOPPING else 60 if labels < 20_000 else 40


def _mlp_seconds(labels: int, dimensions: int) -> float:
    batch = _batch(labels)
    step = 6e-4 + 2e-6 * dimensions + batch * (1e-6 + 1.3e-8 * dimensions)
    return 0.6 * _epochs(labels) * labels / batch * step


METHODS: dict[str, Method] = {
    "logistic-regression": Method(
        "logistic regression",
        tuple({"C": c} for c in (1.0, 0.1, 0.01, 10.0)),
        _logistic,
        random=False,
        seconds=lambda labels, dimensions: 1e-6 * labels * dimensions,
    ),
    "svm": Method(
        "SVM (RBF)",
        tuple({"C": c} for c in (1.0, 3.0, 10.0, 30.0)),
        _svm,
        random=False,
        seconds=lambda labels, dimensions: dimensions / 32 * (2e-4 * labels + 9e-9 * labels**2),
    ),
    "random-forest": Method(
        "random forest",
        ({"min_samples_leaf": 1}, {"min_samples_leaf": 3}),
        _forest,
        random=True,
        seconds=lambda labels, dimensions: 0.2 + 4e-5 * labels * np.log2(labels + 1) * (dimensions / 32) ** 0.5,
    ),
    "mlp": Method(
        "MLP",
        tuple({"alpha": alpha} for alpha in (1e-3, 1e-1, 1.0)),
        _mlp,
        random=True,
        seconds=_mlp_seconds,
    ),
}
"""By name, in the order in which they are shown."""
