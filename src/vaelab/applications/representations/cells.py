"""One cell of the evaluation: a representation, a method, a number of labels, a choice of them, a seed."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaelab.applications.representations.labels import CHOICES, Integers, choose_labels
from vaelab.applications.representations.methods import METHODS, Features, fit_and_predict
from vaelab.errors import DataError, UsageError
from vaelab.specs import choice as check_choice

_BLOCK = 4096  # rows at a time, so that no second copy of many pixels is made


@dataclass(frozen=True, order=True)
class Cell:
    """``representation``: its name. ``method``: a key of `METHODS`. ``labels``: how many, ``choice``: of which."""

    representation: str
    method: str
    labels: int
    choice: str
    seed: int


@dataclass(frozen=True)
class Result:
    """``accuracy`` on the ``images`` of the test set, a share, with the ``standard_error`` √(a(1−a)/images).

    ``seconds`` it took; the ``parameters`` that were chosen; ``protocol``: what was measured, in words.
    """

    accuracy: float
    standard_error: float
    images: int
    seconds: float
    parameters: Mapping[str, float | int]
    protocol: str


@dataclass(frozen=True, eq=False)
class Representation:
    """``train (n, d)`` and ``test (t, d)``: numbers of any type, a row for each image.

    Raises `DataError` for another shape and for values that are not finite.
    """

    train: NDArray[Any]
    test: NDArray[Any]

    def __post_init__(self) -> None:
        shapes = f"{self.train.shape} and {self.test.shape}"
        if self.train.ndim != 2 or self.test.ndim != 2 or self.train.shape[1] != self.test.shape[1]:
            raise DataError(f"expected representations (n, d) and (t, d), got {shapes}; embed both with one model")
        if not (np.isfinite(self.train).all() and np.isfinite(self.test).all()):
            raise DataError("expected finite representations, got NaN or infinity; train the model anew")

    @property
    def dimensions(self) -> int:
        """Numbers for an image."""
        return int(self.train.shape[1])

    @cached_property
    def _scaling(self) -> tuple[NDArray[np.float64], float]:
        """The mean of the training images and the root of the variance's mean over the dimensions; no labels.

        One scale for all: with one for each, a dimension that the model does not use would become noise as large as
        the others.
        """
        mean = self.train.mean(axis=0, dtype=np.float64)
        blocks = (self.train[start : start + _BLOCK] - mean for start in range(0, len(self.train), _BLOCK))
        scale = math.sqrt(sum(float(np.square(block).sum()) for block in blocks) / self.train.size)
        return mean, scale or 1.0

    def scaled(self, rows: NDArray[Any]) -> Features:
        """Rows of ``train`` or ``test``, centred and scaled as all training images are."""
        mean, scale = self._scaling
        return ((rows - mean.astype(np.float32)) / np.float32(scale)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Problem:
    """``representations`` by name; ``labels (n,)`` and ``test_labels (t,)``: classes from 0, −1 where not known.

    Raises `DataError` where their lengths differ or no test image has a label.
    """

    representations: Mapping[str, Representation]
    labels: Integers
    test_labels: Integers

    def __post_init__(self) -> None:
        for name, found in self.representations.items():
            got, expected = (len(found.train), len(found.test)), (len(self.labels), len(self.test_labels))
            if got != expected:
                raise DataError(f"expected {expected} training and test images in {name}, got {got}; embed them anew")
        if not (self.test_labels >= 0).any():
            raise DataError("expected labels of the test images, got none; give labelled data")

    @property
    def known(self) -> int:
        """Training images with a label."""
        return int((self.labels >= 0).sum())

    def cost(self, cell: Cell) -> float:
        """Roughly the seconds that ``cell`` takes."""
        return METHODS[cell.method].cost(cell.labels, self.representations[cell.representation].dimensions)


def canonical(cell: Cell, known: int) -> Cell:
    """The cell that has the same result: of all ``known`` labels there is one choice, and some methods draw nothing."""
    if cell.labels < known:
        return cell
    seed = cell.seed if METHODS[cell.method].random else 0
    return dataclasses.replace(cell, choice=CHOICES[0], seed=seed)


def measure(problem: Problem, cell: Cell) -> Result:
    """Choose the labels, fit the method on them alone, and test it on every test image with a label.

    The labels chosen depend on ``cell.labels``, ``choice`` and ``seed``, not on the method or representation, so that
    cells can be compared pairwise. The others serve to choose alone (``stratified``), test labels for the accuracy
    alone. Raises `UsageError` for an unknown name, `DataError` for too few labels.

    >>> points = np.repeat(np.eye(2), 20, axis=0)
    >>> problem = Problem({"z": Representation(points, points)}, *[np.repeat([0, 1], 20)] * 2)
    >>> measure(problem, Cell("z", "svm", 10, "stratified", seed=0)).accuracy
    1.0
    """
    check_choice("method", cell.method, METHODS)
    check_choice("representation", cell.representation, problem.representations)
    if cell.seed < 0:
        raise UsageError(f"expected a seed ≥ 0, got {cell.seed}")
    started, found = time.perf_counter(), problem.representations[cell.representation]
    chosen = choose_labels(problem.labels, cell.labels, cell.seed, cell.choice)
    tested = np.flatnonzero(problem.test_labels >= 0)
    x, test = found.scaled(found.train[chosen]), found.scaled(found.test[tested])
    prediction = fit_and_predict(METHODS[cell.method], x, problem.labels[chosen], test, cell.seed)
    accuracy = float(np.mean(prediction.labels == problem.test_labels[tested]))
    return Result(
        accuracy,
        math.sqrt(accuracy * (1 - accuracy) / len(tested)),
        len(tested),
        time.perf_counter() - started,
        prediction.parameters,
        _protocol(problem, cell, prediction.selection),
    )


def _protocol(problem: Problem, cell: Cell, selection: str) -> str:
    if cell.labels < problem.known:
        given = f"{cell.labels:,} of {problem.known:,} training labels ({cell.choice} choice)"
    else:
        given = f"all {problem.known:,} training labels"
        if not METHODS[cell.method].random:
            given += ", computed once for all seeds, because nothing is drawn at random"
    return f"test split, {given}, {selection}, seed {cell.seed}"
