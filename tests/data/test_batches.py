from __future__ import annotations

import pytest
import torch

from vaelab.data import ImageData, batches, epoch_order, mixed_order, steps_in_epoch
from vaelab.data.batches import EpochOrders
from vaelab.errors import UsageError

IMAGES = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1).expand(10, 1, 8, 8).contiguous()
DATA = ImageData("mine", IMAGES, torch.arange(10), tuple("abcdefghij"))


def test_an_order_is_a_permutation_of_its_seed_and_epoch_alone() -> None:
    order = epoch_order(1000, 1, 2)
    assert order.dtype == torch.int64
    assert torch.equal(order.sort().values, torch.arange(1000))
    assert torch.equal(order, epoch_order(1000, 1, 2))
    assert not torch.equal(order, epoch_order(1000, 1, 3))
    assert not torch.equal(order, epoch_order(1000, 2, 2))


@pytest.mark.parametrize("size", [1, 3, 5, 10, 11])
def test_batches_give_every_image_once_with_its_label_in_order(size: int) -> None:
    order = epoch_order(10, 0, 0)
    given = list(batches(DATA, size, order))
    assert [len(images) for images, _ in given[:-1]] == [size] * (len(given) - 1)
    assert torch.equal(torch.cat([images[:, 0, 0, 0].long() for images, _ in given]), order)
    assert torch.equal(torch.cat([labels for _, labels in given if labels is not None]), order)


def test_an_epoch_goes_on_where_it_stopped() -> None:
    order = epoch_order(10, 0, 0)
    for start in range(5):
        given = [images for images, _ in batches(DATA, 3, order, start)]
        expected = [images for images, _ in batches(DATA, 3, order)][start:]
        assert len(given) == len(expected)
        assert all(torch.equal(a, b) for a, b in zip(given, expected, strict=True))


def test_without_labels_there_are_none() -> None:
    assert [labels for _, labels in batches(ImageData("mine", IMAGES), 5, torch.arange(10))] == [None, None]


@pytest.mark.parametrize(("size", "start"), [(0, 0), (-1, 0), (1, -1)])
def test_impossible_sizes_are_refused_at_once(size: int, start: int) -> None:
    with pytest.raises(UsageError, match="batch size of at least 1"):
        batches(DATA, size, torch.arange(10), start)


PARTLY = torch.where(torch.arange(50) % 7 == 0, 1, -1)  # 8 of 50 images have a label


@pytest.mark.parametrize(("size", "labelled"), [(10, 3), (7, 6), (50, 20), (2, 1), (13, 9)])
def test_every_batch_of_a_mixed_order_begins_with_its_labelled_images(size: int, labelled: int) -> None:
    order = mixed_order(PARTLY, size, labelled, seed=0, epoch=1)
    parts = order.split(size)
    assert len(parts) == steps_in_epoch(50, 8, size, labelled)
    for part in parts:
        known = PARTLY[part] >= 0
        assert int(known.sum()) == labelled
        assert bool(known[:labelled].all())
    unlabelled = order[PARTLY[order] < 0]
    assert torch.equal(unlabelled.sort().values, torch.nonzero(PARTLY < 0).flatten())  # each once
    again = order[PARTLY[order] >= 0]
    for number in range(len(again) // 8):  # all have been seen before one comes again
        assert len(again[8 * number : 8 * number + 8].unique()) == 8


def test_a_mixed_order_depends_on_seed_and_epoch_alone() -> None:
    assert torch.equal(mixed_order(PARTLY, 10, 3, 0, 1), mixed_order(PARTLY, 10, 3, 0, 1))
    assert not torch.equal(mixed_order(PARTLY, 10, 3, 0, 1), mixed_order(PARTLY, 10, 3, 0, 2))
    assert not torch.equal(mixed_order(PARTLY, 10, 3, 0, 1), mixed_order(PARTLY, 10, 3, 1, 1))


@pytest.mark.parametrize("labels", [torch.zeros(50, dtype=torch.int64), torch.full((50,), -1)])
def test_where_all_labels_or_none_are_known_the_order_is_the_plain_one(labels: torch.Tensor) -> None:
    orders = EpochOrders(labels, 50, 10, 3, seed=0)
    assert torch.equal(orders.epoch(2), epoch_order(50, 0, 2))
    assert orders.steps == 5
