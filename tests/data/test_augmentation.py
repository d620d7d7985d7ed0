from __future__ import annotations

import pytest
import torch

from vaelab.data import AUGMENTATIONS
from vaelab.errors import UsageError
from vaelab.specs import Spec

IMAGES = torch.randint(256, (40, 3, 9, 11), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def augment(spec: str, images: torch.Tensor = IMAGES, seed: int = 0) -> torch.Tensor:
    return AUGMENTATIONS.build(Spec.parse(spec))(images, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_an_augmentation_keeps_shape_type_and_input_and_follows_its_generator(name: str, dtype: torch.dtype) -> None:
    images = IMAGES.to(dtype)
    before = images.clone()
    changed = augment(name, images)
    assert (changed.shape, changed.dtype) == (images.shape, dtype)
    assert torch.equal(images, before)
    assert torch.equal(changed, augment(name, images))
    assert torch.equal(changed, images) == (name == "none")


def test_a_shift_moves_whole_images_by_every_step_and_repeats_their_edges() -> None:
    padded = torch.nn.functional.pad(IMAGES.float(), (2, 2, 2, 2), mode="replicate").to(torch.uint8)
    seen = set()
    for image, before in zip(augment("shift:pixels=2"), padded, strict=True):
        fits = [(i, j) for i in range(5) for j in range(5) if torch.equal(image, before[:, i : i + 9, j : j + 11])]
        assert len(fits) == 1
        seen.update(fits)
    assert len(seen) > 15  # of 25, from 40 images
    assert {i for i, _ in seen} == {j for _, j in seen} == set(range(5))


def test_a_shift_of_0_changes_nothing_and_one_below_is_refused() -> None:
    assert torch.equal(augment("shift:pixels=0"), IMAGES)
    with pytest.raises(UsageError, match="expected pixels ≥ 0, got -1"):
        augment("shift:pixels=-1")


def test_a_constant_image_stays_as_it_is() -> None:
    constant = torch.full((3, 1, 8, 8), 7, dtype=torch.uint8)
    assert torch.equal(augment("shift:pixels=3", constant), constant)
