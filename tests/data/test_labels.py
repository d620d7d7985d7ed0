from __future__ import annotations

import pytest
import torch

from vaelab.data import ImageData, hide_labels, split
from vaelab.errors import DataError, UsageError

LABELS = torch.arange(100) % 5
DATA = ImageData("mine", torch.zeros(100, 1, 8, 8, dtype=torch.uint8), LABELS, tuple("abcde"))


def kept(data: ImageData) -> torch.Tensor:
    assert data.labels is not None
    return data.labels[data.labels >= 0]


@pytest.mark.parametrize("keep", [1, 7, 10, 50, 100])
@pytest.mark.parametrize("chosen", ["stratified", "random"])
def test_as_many_labels_are_kept_as_asked_for_and_they_are_the_true_ones(keep: int, chosen: str) -> None:
    hidden = hide_labels(DATA, keep, 3, chosen)
    assert hidden.labels is not None
    seen = hidden.labels >= 0
    assert int(seen.sum()) == keep
    assert torch.equal(hidden.labels[seen], LABELS[seen])
    assert bool((hidden.labels[~seen] == -1).all())
    assert torch.equal(hidden.images, DATA.images)


@pytest.mark.parametrize("keep", [5, 7, 50])
def test_a_stratified_choice_takes_equally_many_of_each_class(keep: int) -> None:
    counts = torch.bincount(kept(hide_labels(DATA, keep)), minlength=5)
    assert set(counts.tolist()) <= {keep // 5, -(-keep // 5)}


def test_the_choice_depends_on_the_seed_alone() -> None:
    for chosen in ("stratified", "random"):
        first, again, other = (hide_labels(DATA, 20, seed, chosen).labels for seed in (0, 0, 1))
        assert first is not None
        assert again is not None
        assert other is not None
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


def test_zero_keeps_all() -> None:
    assert hide_labels(DATA, 0) is DATA


@pytest.mark.parametrize(
    ("data", "keep", "chosen", "sentence"),
    [
        (DATA, 101, "stratified", "at least 101 labels, got 100"),
        (ImageData("mine", DATA.images), 10, "stratified", "expected labels to keep 10 of, got none"),
        (
            DATA.take(torch.tensor([0, 5, 10, 15, 1, 2, 3])),
            6,
            "stratified",
            "1 or more of each class .* got 0 of the class e",
        ),
    ],
)
def test_too_few_labels_are_refused(data: ImageData, keep: int, chosen: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        hide_labels(data, keep, 0, chosen)


def test_a_wrong_number_or_choice_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a number of labels ≥ 0"):
        hide_labels(DATA, -1)
    with pytest.raises(UsageError, match="did you mean stratified"):
        hide_labels(DATA, 10, 0, "stratify")


def test_images_without_a_class_are_a_stratum_of_a_split() -> None:
    labels = torch.where(torch.arange(100) < 40, LABELS, -1)
    rest, part = split(ImageData("mine", DATA.images, labels, DATA.class_names), 0.5, 0)
    assert rest.labels is not None
    assert part.labels is not None
    assert int((part.labels < 0).sum()) == int((rest.labels < 0).sum()) == 30
