"""Randomness: reproducible, streams that differ, and noise that does not know which batch its image is in."""

from __future__ import annotations

import pytest
import torch

from vaelab.randomness import generator, image_seeds, normal_per_image, uniform_per_image

IMAGES = (torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)

# Golden values: a change would change every published number.
SEEDS = [598111616243495586, 7396729059797308049]
STREAM = 6825200275381236818


def draw(*arguments: int | str) -> list[float]:
    seed, *stream = arguments
    assert isinstance(seed, int)
    return torch.rand(4, generator=generator(seed, "cpu", *stream)).tolist()


def test_a_generator_is_reproducible_and_does_not_touch_the_global_one() -> None:
    before = torch.get_rng_state()
    assert draw(1, "order", 2) == draw(1, "order", 2)
    assert torch.equal(before, torch.get_rng_state())


def test_streams_and_seeds_differ() -> None:
    streams = [
        (0,),
        (1,),
        (-1,),
        (2**70,),
        (0, "order", 1),
        (0, "order", 2),
        (1, "order", 1),
        (0, "order"),
        (0, "a", "b"),
    ]
    assert len({tuple(draw(*stream)) for stream in streams}) == len(streams)


@pytest.mark.parametrize("images", [IMAGES, IMAGES / 255, IMAGES.double(), IMAGES.expand(-1, 3, -1, -1)])
def test_a_seed_depends_on_the_image_alone(images: torch.Tensor) -> None:
    seeds = image_seeds(images, 5, "elbo")
    assert seeds == image_seeds(images.clone(), 5, "elbo")
    assert len(set(seeds)) == len(images)
    assert all(0 <= seed < 2**63 for seed in seeds)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    assert image_seeds(images[order], 5, "elbo") == [seeds[i] for i in order]
    assert [image_seeds(images[i : i + 1], 5, "elbo")[0] for i in range(len(images))] == seeds
    strided = images.transpose(2, 3).contiguous().transpose(2, 3)
    assert image_seeds(strided, 5, "elbo") == seeds, "the layout in memory does not count"


def test_seeds_differ_by_seed_and_stream_and_equal_images_share_one() -> None:
    one, other, third = (image_seeds(IMAGES, *key) for key in [(0, ""), (1, ""), (0, "likelihood")])
    assert len({*one, *other, *third}) == 3 * len(IMAGES)
    assert len(set(image_seeds(IMAGES[:1].expand(3, -1, -1, -1), 0))) == 1
    assert image_seeds(IMAGES[:0], 0) == []


def test_seeds_stay_what_they_are() -> None:
    assert image_seeds(torch.arange(8, dtype=torch.uint8).view(2, 1, 2, 2), 0, "elbo") == SEEDS
    assert generator(0, "cpu", "order", 1).initial_seed() == STREAM


def test_noise_does_not_depend_on_the_batch_or_the_order() -> None:
    seeds = image_seeds(IMAGES, 0)
    normal, uniform = normal_per_image(seeds, (5, 2)), uniform_per_image(seeds, (1, 8, 8))
    assert normal.shape == (5, 12, 2)
    assert uniform.shape == (12, 1, 8, 8)
    assert normal.is_contiguous()
    for batch in (1, 5, 12):
        parts = [seeds[i : i + batch] for i in range(0, 12, batch)]
        assert torch.equal(torch.cat([normal_per_image(part, (5, 2)) for part in parts], dim=1), normal)
        assert torch.equal(torch.cat([uniform_per_image(part, (1, 8, 8)) for part in parts]), uniform)
    assert torch.equal(normal_per_image(seeds[::-1], (5, 2)), normal.flip(1))
    assert normal_per_image([], (5, 2)).shape == (5, 0, 2)
    assert uniform_per_image([], (3,)).shape == (0, 3)


def test_noise_has_the_distribution_it_is_named_after() -> None:
    seeds = image_seeds(torch.arange(400).view(400, 1), 0)
    normal, uniform = normal_per_image(seeds, (50, 2)), uniform_per_image(seeds, (50,))
    assert abs(normal.mean()) < 4 / normal.numel() ** 0.5
    assert abs(normal.var() - 1) < 4 * (2 / normal.numel()) ** 0.5
    assert abs(uniform.mean() - 0.5) < 4 / (12 * uniform.numel()) ** 0.5
    assert uniform.min() >= 0
    assert uniform.max() < 1
    between = torch.corrcoef(normal.transpose(0, 1).reshape(400, 100)[:20]) - torch.eye(20)
    assert between.abs().max() < 0.5, "images' noises are independent"
