from __future__ import annotations

import pytest
import torch

from vaelab.data import VARIANTS, ImageData, binarise_static, prepare, prepare_fixed
from vaelab.errors import UsageError

IMAGES = torch.randint(256, (20, 3, 8, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("variant", VARIANTS)
def test_prepared_images_are_float32_in_0_to_1_of_the_same_shape(variant: str) -> None:
    for x in (prepare(IMAGES, variant, generator()), prepare_fixed(IMAGES, variant, 0)):
        assert (x.dtype, x.shape) == (torch.float32, IMAGES.shape)
        assert 0 <= float(x.min()) <= float(x.max()) <= 1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_fixed_noise_depends_neither_on_the_batch_nor_on_the_order(variant: str, size: int) -> None:
    whole = prepare_fixed(IMAGES, variant, 5)
    order = torch.randperm(len(IMAGES), generator=generator(1))
    parts = [prepare_fixed(IMAGES[indices], variant, 5) for indices in torch.split(order, size)]
    assert torch.equal(torch.cat(parts), whole[order])


def test_grey_is_exactly_the_level_over_255() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    expected = torch.tensor([level / 255 for level in range(256)]).reshape(1, 1, 16, 16)
    assert torch.equal(prepare(levels, "grey", generator()), expected)


@pytest.mark.parametrize("variant", ["dynamic", "static"])
def test_binarised_pixels_are_one_with_the_probability_of_their_level(variant: str) -> None:
    for level in (0, 64, 200, 255):
        images = torch.full((200, 1, 16, 16), level, dtype=torch.uint8)
        images[:, 0, 0, 0] = torch.arange(200)  # else all are the same image, with the same fixed noise
        x = prepare(images, variant, generator())[:, :, 1:]
        assert set(x.unique().tolist()) <= {0.0, 1.0}
        share = level / 255
        assert float(x.mean()) == pytest.approx(share, abs=4 * (share * (1 - share) / x.numel()) ** 0.5)


def test_dynamic_draws_anew_from_the_generator() -> None:
    source = generator()
    first, second = prepare(IMAGES, "dynamic", source), prepare(IMAGES, "dynamic", source)
    assert not torch.equal(first, second)
    assert torch.equal(first, prepare(IMAGES, "dynamic", generator()))


def test_static_is_one_data_set_in_training_and_evaluation_and_whatever_the_seeds() -> None:
    x = prepare(IMAGES, "static", generator(1))
    assert torch.equal(x, prepare(IMAGES, "static", generator(2)))
    assert torch.equal(x, prepare_fixed(IMAGES, "static", 3))


def test_static_as_a_data_set_is_the_same_and_stays_the_same() -> None:
    labels = torch.arange(len(IMAGES)) % 2
    data = binarise_static(ImageData("mine", IMAGES, labels, ("a", "b")))
    assert set(data.images.unique().tolist()) == {0, 255}
    assert data.labels is labels
    for variant in ("grey", "static", "dynamic"):
        assert torch.equal(prepare(data.images, variant, generator()), prepare_fixed(IMAGES, "static", 0))


def test_dequantised_noise_is_uniform_within_the_level() -> None:
    images = IMAGES.repeat(20, 1, 1, 1)
    noise = prepare(images, "dequantised", generator()) * 256 - images
    assert 0 <= float(noise.min()) <= float(noise.max()) <= 1
    assert float(noise.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(noise.var()) == pytest.approx(1 / 12, abs=0.002)


@pytest.mark.parametrize("variant", ["dynamic", "dequantised"])
def test_the_seed_of_evaluation_changes_the_noise(variant: str) -> None:
    assert not torch.equal(prepare_fixed(IMAGES, variant, 0), prepare_fixed(IMAGES, variant, 1))


def test_an_unknown_variant_brings_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown pixel variant 'gray'; did you mean grey"):
        prepare(IMAGES, "gray", generator())
    with pytest.raises(UsageError, match="did you mean static"):
        prepare_fixed(IMAGES, "statick", 0)
