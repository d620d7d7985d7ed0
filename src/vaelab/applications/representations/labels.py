"""Which l of the labels a classifier is given."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from vaelab.errors import DataError, UsageError
from vaelab.specs import choice as check_choice

CHOICES = ("stratified", "plain")

Integers = NDArray[np.int64]


def choose_labels(labels: Integers, count: int, seed: int, choice: str = "stratified") -> Integers:
    """Indices of ``count`` images, sorted, int64 ``(count,)``.

    ``labels (n,)``: classes from 0, −1 where it is not known; those images are never chosen. ``plain``: any, each
    set equally likely. ``stratified``: of a class with n_c of the n labels count · n_c / n, rounded by largest
    remainders, so that the classes' shares are those of the data; the choice uses the shares and nothing else of the
    labels that are not chosen. Depends on ``seed``, ``count``, ``choice`` and the labels alone. Raises `UsageError` for
    an unknown choice or a count below 1, `DataError` where there are fewer labels.

    >>> labels = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, -1])
    >>> np.bincount(labels[choose_labels(labels, 3, seed=0)]).tolist()
    [2, 1]
    """
    check_choice("choice of labels", choice, CHOICES)
    if count < 1:
        raise UsageError(f"expected at least 1 label, got {count}")
    known = np.flatnonzero(labels >= 0)
    if count > len(known):
        raise DataError(f"expected at least {count} labelled images, got {len(known)}; ask for fewer labels")
    if count == len(known):
        return known
    shuffled = known[generator(seed, "labels", choice, count).permutation(len(known))]
    if choice == "plain":
        return np.sort(shuffled[:count])
    of_each = _apportion(count, np.bincount(labels[known]))
    parts = [shuffled[labels[shuffled] == label][:take] for label, take in enumerate(of_each.tolist())]
    return np.sort(np.concatenate(parts))


def generator(seed: int, *stream: object) -> np.random.Generator:
    """A generator seeded by ``seed`` and the names of a stream; streams are independent."""
    text = "/".join(str(part) for part in (seed, *stream))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def _apportion(count: int, sizes: Integers) -> Integers:
    """Largest remainders, in whole numbers; ties go to the lower label."""
    exact = count * sizes.astype(np.int64)
    taken: Integers = exact // sizes.sum()
    by_remainder = np.argsort(-(exact % sizes.sum()), kind="stable")
    taken[by_remainder[: count - int(taken.sum())]] += 1
    return taken
