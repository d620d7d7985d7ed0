"""Moments of drawn bars, whose slant and size are known, and relations that are put in."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vaelab.applications.style import STYLES, fit_style, image_styles
from vaelab.errors import DataError


def bar(shear: float = 0.0, half_width: float = 1.5, half_height: float = 8.0, size: int = 28) -> torch.Tensor:
    """A sheared rectangle with soft edges: each pixel is the share of 8 × 8 points in it that are inside."""
    place = (np.arange(size * 8) + 0.5) / 8 - size / 2
    y, x = np.meshgrid(-place, place, indexing="ij")
    inside = (np.abs(y) <= half_height) & (np.abs(x - shear * y) <= half_width)
    return torch.from_numpy(inside.reshape(size, 8, size, 8).mean((1, 3)))[None]


@pytest.mark.parametrize("shear", [-0.5, 0.0, 0.3, 0.8])
def test_slant_is_the_shear_and_width_does_not_see_it(shear: float) -> None:
    found = image_styles(bar(shear)[None])
    assert float(found["slant"]) == pytest.approx(shear, abs=0.01)
    assert float(found["width"]) == pytest.approx(3 / math.sqrt(12), abs=0.1)
    assert float(found["height"]) == pytest.approx(16 / math.sqrt(12), abs=0.05)
    assert float(found["ink"]) == pytest.approx(48 / 28**2, rel=0.01)


@pytest.mark.parametrize("shear", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("width", [2.0, 3.0, 4.0])
def test_thickness_is_that_of_a_long_stroke_across_it(shear: float, width: float) -> None:
    across = width / math.sqrt(1 + shear**2)  # a sheared bar is thinner across than along x
    length = 22 * math.sqrt(1 + shear**2)
    area, perimeter = width * 22, 2 * (length + width)
    found = float(image_styles(bar(shear, width / 2, 11)[None])["thickness"])
    assert found == pytest.approx(2 * area / perimeter, rel=0.12)
    assert found == pytest.approx(across, rel=0.25)


def test_thicker_is_thicker_below_a_pixel_too() -> None:
    found = image_styles(torch.stack([bar(0.3, width / 2, 11) for width in (0.5, 1.0, 1.5, 2.0)]))["thickness"]
    assert (found.diff() > 0.1).all()


def test_a_dark_drawing_on_white_and_whole_levels_and_colours_give_the_same() -> None:
    images = torch.stack([bar(0.2), bar(-0.3, 2.5)])
    whole = (images * 255).round().to(torch.uint8)
    plain = image_styles(images)
    for other in (1 - images, whole, 255 - whole, images.expand(-1, 3, -1, -1)):
        for name, values in image_styles(other).items():
            assert torch.allclose(values, plain[name], atol=0.01), name


def test_mirrored_images_lean_the_other_way() -> None:
    images = torch.rand(5, 1, 12, 9, generator=torch.Generator().manual_seed(0))
    plain, mirrored = image_styles(images, 0.0), image_styles(images.flip(3), 0.0)
    assert torch.allclose(plain["slant"], -mirrored["slant"])
    assert torch.allclose(plain["width"], mirrored["width"])


def test_an_image_without_ink_has_no_style_and_one_without_height_no_slant() -> None:
    images = torch.zeros(2, 1, 8, 8)
    images[1, 0, 3, 2:6] = 1
    found = image_styles(images)
    assert set(found) == set(STYLES)
    assert found["slant"].isnan().all()
    assert found["height"].tolist()[1] == 0
    assert found["ink"].tolist() == [0, 4 / 64]
    with pytest.raises(DataError, match=r"^expected images \(n, channel, height, width\)"):
        image_styles(images[0])


def test_the_direction_that_was_put_in_is_found() -> None:
    source = torch.Generator().manual_seed(0)
    z = torch.randn(2000, 2, generator=source)
    noise = torch.randn(2000, generator=source)
    found = fit_style(z, 2 * (z[:, 0] + z[:, 1]) / math.sqrt(2) + 2 * noise)
    assert found.angle == pytest.approx(45, abs=5)
    assert found.slope == pytest.approx(2, abs=0.15)
    assert found.r2 == pytest.approx(0.5, abs=4 * found.r2_error)
    assert 0.01 < found.r2_error < 0.03
    assert torch.allclose(found.correlations, torch.full((2,), 0.5, dtype=torch.float64), atol=0.07)
    assert found.errors.tolist() == pytest.approx([0.75 / math.sqrt(1997)] * 2, rel=0.1)


def test_without_a_relation_nothing_but_chance_is_found() -> None:
    source = torch.Generator().manual_seed(1)
    found = fit_style(torch.randn(1000, 4, generator=source), torch.randn(1000, generator=source))
    assert found.chance == pytest.approx(4 / 999)
    assert found.r2 < 4 * found.chance


def test_within_classes_what_differs_between_them_does_not_count() -> None:
    source = torch.Generator().manual_seed(2)
    z, labels = torch.randn(900, 2, generator=source), torch.arange(900) % 3
    values = 5.0 * labels + z[:, 0]
    shifted = z + 3 * labels[:, None]
    assert fit_style(shifted, values, labels).r2 == pytest.approx(1)
    assert fit_style(shifted, values, labels).angle == pytest.approx(0, abs=1e-6)
    assert fit_style(z, values).r2 < 0.2
    values[::7] = torch.nan  # an image without ink
    assert fit_style(shifted, values, labels).n == int(values.isfinite().sum())


def test_refuses_too_few_and_constant() -> None:
    with pytest.raises(DataError, match=r"^expected at least 5 images to relate style and latents, got 4$"):
        fit_style(torch.randn(4, 2), torch.randn(4))
    with pytest.raises(DataError, match=r"^expected latents and style that vary"):
        fit_style(torch.randn(9, 2), torch.ones(9))
    with pytest.raises(DataError, match=r"^expected latents and style that vary"):
        fit_style(torch.zeros(9, 2), torch.randn(9))
