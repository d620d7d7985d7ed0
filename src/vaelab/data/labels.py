"""Keeping the labels of a few images: the data of semi-supervised learning."""

from __future__ import annotations

import torch
from torch import Tensor

from vaelab.data.images import HIDDEN, ImageData
from vaelab.errors import DataError, UsageError
from vaelab.randomness import generator
from vaelab.specs import choice

CHOICES = ("stratified", "random")


def hide_labels(data: ImageData, keep: int, seed: int = 0, chosen: str = "stratified") -> ImageData:
    """The same images with ``keep`` (0: all) of their labels; the others are −1.

    ``stratified``: equally many of each class (one more of a few where ``keep`` is no multiple of the classes), as
    Kingma et al. 2014 (arXiv:1406.5298) choose them; ``random``: any. Which ones depends on labels and ``seed`` alone.
    Raises `DataError` where the data has no or too few labels, `UsageError` for ``keep`` below 0.

    >>> data = ImageData("zeros", torch.zeros(6, 1, 8, 8, dtype=torch.uint8), torch.arange(6) % 2, ("a", "b"))
    >>> sorted(hide_labels(data, 2).labels.tolist())
    [-1, -1, -1, -1, 0, 1]
    """
    choice("choice of labels", chosen, CHOICES)
    if keep < 0:
        raise UsageError(f"expected a number of labels ≥ 0 (0: all), got {keep}")
    if not keep:
        return data
    if data.labels is None:
        raise DataError(f"{data.name}: expected labels to keep {keep} of, got none; give labelled data")
    labels = data.labels.cpu()
    source = generator(seed, "cpu", "labels")
    order = torch.randperm(len(labels), generator=source)
    order = order[labels[order] >= 0]
    if chosen == "stratified":
        order = order[_by_turns(labels[order], data.classes, source)]
    if len(order) < keep:
        raise DataError(f"{data.name}: expected at least {keep} labels, got {len(order)}; keep fewer")
    kept = torch.full_like(labels, HIDDEN)
    kept[order[:keep]] = labels[order[:keep]]
    missing = keep // data.classes if chosen == "stratified" else 0
    for label, count in enumerate(torch.bincount(kept[kept >= 0], minlength=data.classes).tolist()):
        if count < missing:
            raise DataError(
                f"{data.name}: expected {missing} or more of each class to keep {keep} labels, got {count} of the "
                f"class {data.class_names[label]}; keep fewer labels or choose them at random"
            )
    return ImageData(data.name, data.pixels, kept.to(data.labels.device), data.class_names)


def _by_turns(labels: Tensor, classes: int, source: torch.Generator) -> Tensor:
    """An order of ``labels``: the first of each class, then the second of each, …; the classes in a random order."""
    turn = torch.empty(len(labels), dtype=torch.int64)
    for label in range(classes):
        members = labels == label
        turn[members] = torch.arange(int(members.sum()))
    rank = torch.randperm(classes, generator=source)
    return torch.argsort(turn * classes + rank[labels])
