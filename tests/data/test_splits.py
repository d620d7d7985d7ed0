from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.data import ImageData, split
from vaelab.errors import DataError, UsageError


def numbered(labels: list[int] | None, n: int = 0) -> ImageData:
    """Images that carry their own number in their first two pixels."""
    n = n or len(labels or [])
    images = torch.zeros(n, 1, 8, 8, dtype=torch.uint8)
    numbers = torch.arange(n)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = (numbers // 256).byte(), (numbers % 256).byte()
    if labels is None:
        return ImageData("numbered", images)
    return ImageData("numbered", images, torch.tensor(labels), tuple("abcdefgh"))


def numbers(data: ImageData) -> list[int]:
    pixels = data.images[:, 0, 0].long()
    return (pixels[:, 0] * 256 + pixels[:, 1]).tolist()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 7), min_size=2, max_size=300), st.data(), st.integers(0, 2**31))
def test_a_split_is_disjoint_complete_exact_and_stratified(labels: list[int], data: st.DataObject, seed: int) -> None:
    count = data.draw(st.integers(1, len(labels) - 1))
    rest, part = split(numbered(labels), count, seed)
    assert sorted(numbers(rest) + numbers(part)) == list(range(len(labels)))
    assert len(part) == count
    for label in set(labels):
        share = count * labels.count(label) / len(labels)
        assert part.labels is not None
        assert abs(part.labels.tolist().count(label) - share) < 1
    for side in (rest, part):
        assert side.labels is not None
        assert side.labels.tolist() == [labels[number] for number in numbers(side)]
        assert numbers(side) == sorted(numbers(side))


def test_without_labels_the_count_is_exact_too() -> None:
    rest, part = split(numbered(None, 10), 0.25, 0)
    assert (len(rest), len(part)) == (8, 2)
    assert sorted(numbers(rest) + numbers(part)) == list(range(10))


def test_the_seed_decides() -> None:
    data = numbered([0, 1] * 50)
    assert numbers(split(data, 20, 1)[1]) == numbers(split(data, 20, 1)[1])
    assert numbers(split(data, 20, 1)[1]) != numbers(split(data, 20, 2)[1])


def test_a_whole_number_written_as_a_float_is_a_count() -> None:
    assert len(split(numbered(None, 10), 3.0, 0)[1]) == 3


@pytest.mark.parametrize("amount", [0, -1, 1.5, float("nan"), float("inf")])
def test_amounts_that_are_neither_fraction_nor_count_are_refused(amount: float) -> None:
    with pytest.raises(
        UsageError, match=r"expected a fraction between 0 and 1 or a whole number .*; give for instance"
    ):
        split(numbered(None, 10), amount, 0)


@pytest.mark.parametrize("amount", [10, 11, 0.01, 0.99])
def test_a_side_without_images_is_refused(amount: float) -> None:
    with pytest.raises(DataError, match=r"numbered: expected enough images .* got 10, .*; choose another amount"):
        split(numbered(None, 10), amount, 0)
