from __future__ import annotations

import pytest
import torch

from vaelab.data import ImageData
from vaelab.errors import DataError


def images(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.uint8)


BAD = {
    "floats": (torch.zeros(2, 1, 8, 8), None, (), "expected uint8 images, got torch.float32; scale"),
    "no channels": (images(2, 8, 8), None, (), r"\(n, channels, height, width\), got \(2, 8, 8\); add"),
    "empty": (images(0, 1, 8, 8), None, (), "at least one image, got none; give"),
    "two channels": (images(2, 2, 8, 8), None, (), r"1 \(grey\) or 3 \(RGB\) channels, got 2; convert"),
    "small": (images(2, 1, 8, 7), None, (), "at least 8x8 pixels, got 8x7; use larger ones or --image-size"),
    "names alone": (images(2, 1, 8, 8), None, ("a",), "labels for the 1 class names, got none; leave"),
    "int32": (images(2, 1, 8, 8), torch.zeros(2, dtype=torch.int32), ("a",), "int64 labels, got torch.int32; convert"),
    "too few": (images(2, 1, 8, 8), torch.zeros(1, dtype=torch.int64), ("a",), r"2 labels.*shape \(1,\); pair"),
    "too high": (
        images(2, 1, 8, 8),
        torch.tensor([0, 2]),
        ("a", "b"),
        r"from 0 to 1 \(2 class names\), or −1 for none known, got 2; renumber",
    ),
    "negative": (images(2, 1, 8, 8), torch.tensor([-2, 0]), ("a", "b"), "from 0 to 1 .* got -2; renumber"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_images_and_labels_are_refused_with_what_was_expected_what_came_and_a_remedy(case: str) -> None:
    pixels, labels, names, sentence = BAD[case]
    with pytest.raises(DataError, match=f"^mine: .*{sentence}"):
        ImageData("mine", pixels, labels, names)


def test_take_keeps_images_and_labels_together_in_the_order_asked_for() -> None:
    pixels = torch.arange(4, dtype=torch.uint8).reshape(4, 1, 1, 1).expand(4, 1, 8, 8).contiguous()
    data = ImageData("mine", pixels, torch.tensor([0, 1, 0, 1]), ("a", "b"))
    taken = data.take(torch.tensor([3, 0]))
    assert taken.images[:, 0, 0, 0].tolist() == [3, 0]
    assert taken.labels is not None
    assert taken.labels.tolist() == [1, 0]
    assert (taken.name, taken.class_names) == ("mine", ("a", "b"))


def test_taking_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="at least one image"):
        ImageData("mine", images(2, 1, 8, 8)).take(torch.tensor([], dtype=torch.int64))


def test_to_moves_images_and_labels() -> None:
    moved = ImageData("mine", images(2, 3, 8, 9), torch.tensor([0, 0]), ("a",)).to("cpu")
    assert (moved.image_shape, moved.classes, len(moved)) == ((3, 8, 9), 1, 2)
