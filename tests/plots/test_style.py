"""The palette under simulated colour blindness, and the handling of text."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from vaelab.plots import style

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
CONES = {
    "all": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]])


def lab(colours: list[str], cones: str) -> np.ndarray:
    """CIE Lab of ``colours`` as they are seen with the given cones."""
    rgb = np.array([to_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(CONES[cones]), 0, 1) @ XYZ.T / [0.95047, 1, 1.08883]
    f = np.where(seen > 0.008856, np.cbrt(seen), 7.787 * seen + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def closest(colours: list[str], cones: str) -> float:
    seen = lab(colours, cones)
    distance = np.linalg.norm(seen[:, None] - seen[None], axis=2)
    return float(distance[~np.eye(len(colours), dtype=bool)].min())


@pytest.mark.parametrize("cones", CONES)
def test_palette_stays_apart(cones: str) -> None:
    assert closest(list(style.PALETTE), cones) > 24  # matplotlib's own ten colours come as close as 5
    assert closest([style.TRAIN, style.TEST, style.OTHER], cones) > 24


def test_palette_is_seen_on_white() -> None:
    lightness = lab([*style.PALETTE, style.TEST, style.OTHER], "all")[:, 0]
    assert lightness.max() < 88
    assert lightness.min() > 30


def test_seventy_classes_have_looks_of_their_own() -> None:
    assert len({(style.colour(i), style.marker(i)) for i in range(70)}) == 70
    assert style.colour(70) == style.colour(0)


def test_text_is_wrapped_and_shortened() -> None:
    assert style.wrapped("one two three four", 0.8) == "one two\nthree four"
    assert style.wrapped("", 3) == ""
    assert style.shortened("a\nb") == "a b"
    assert len(style.shortened("x" * 50)) == 18
