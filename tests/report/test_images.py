"""Pictures inside the page, sprites of many images, and what the interactive plane is given."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.report.sample import NASTY, latent
from vaelab.errors import VaelabError
from vaelab.plots import style
from vaelab.report import plane
from vaelab.report.blocks import Picture, Plane
from vaelab.report.images import TILE, embed, sprite
from vaelab.report.plane import payload, safe_json

STILL = Picture(Path("still.png"), "", "")


def decoded(uri: str) -> bytes:
    assert uri.startswith("data:image/png;base64,")
    return base64.b64decode(uri.partition(",")[2])


def opened(uri: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(decoded(uri))))


def test_a_picture_is_embedded_as_it_is(tmp_path: Path) -> None:
    with style.drawing(2, 1) as figure:
        figure.add_subplot()
    file = tmp_path / "a.png"
    style.save(figure, file)
    found = embed(file)
    assert decoded(found.uri) == file.read_bytes()
    assert (found.width, found.height) == (230, 115), "2 × 1 inches at 96 pixels an inch, by 1.2 larger"
    Image.new("L", (300, 150)).save(file)
    assert embed(file).width == 230, "without a resolution: that of the figures"


def test_a_picture_that_cannot_be_shown_is_one_sentence(tmp_path: Path) -> None:
    missing, text, cut, bad, folder = (
        tmp_path / name for name in ("no.png", "text.png", "cut.png", "bad.png", "folder")
    )
    text.write_text("<svg/>")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)).save(cut)
    whole = cut.read_bytes()
    bad.write_bytes(whole[:60] + b"\xff\xff\xff" + whole[63:])
    cut.write_bytes(whole[:200])
    folder.mkdir()
    for file in (missing, text, cut, bad, folder):
        with pytest.raises(VaelabError, match=f"^the report needs the picture .*{file.name}, which is|which cannot be"):
            embed(file)


@pytest.mark.parametrize("shape", [(7, 8, 6), (7, 1, 8, 6), (7, 3, 8, 6)])
def test_tiles_of_a_sprite_are_the_images(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = sprite(images)
    sheet = opened(found.uri)
    assert (found.columns, found.width, found.height) == (3, 6, 8)
    for i, image in enumerate(images):
        y, x = (i // 3) * 8, (i % 3) * 6
        tile = sheet[y : y + 8, x : x + 6]
        expected = image if image.ndim == 2 else image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        np.testing.assert_array_equal(tile, expected)


def test_large_images_are_reduced() -> None:
    images = np.full((2, 96, 192), 100, dtype=np.uint8)
    found = sprite(images)
    assert (found.width, found.height) == (TILE, TILE // 2)
    assert (opened(found.uri) == 100).all()


@pytest.mark.parametrize("images", [np.zeros((2, 8, 8)), np.zeros((2, 2, 8, 8), np.uint8), np.zeros((8, 8), np.uint8)])
def test_other_arrays_are_refused(images: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        sprite(images)


def test_colours_and_markers_are_those_of_the_figures() -> None:
    assert plane.PALETTE == style.PALETTE
    assert plane.MARKERS == style.MARKERS
    z, labels, images = latent(30)
    names = tuple(str(i) for i in range(80))
    found = payload(Plane(z, images, labels, names, STILL))
    assert found["colours"] == [style.colour(i) for i in range(80)]
    assert found["markers"] == [style.marker(i) for i in range(80)]


def test_points_images_and_labels_stay_together() -> None:
    z, labels, images = latent(plane.MOST + 500)
    z[3] = np.nan
    found = json.loads(safe_json(payload(Plane(z, images, labels, tuple("0123456789"), STILL))))
    assert len(found["x"]) == len(found["y"]) == len(found["label"]) == plane.MOST
    sheet = opened(found["sprite"]["uri"])
    columns = found["sprite"]["columns"]
    assert found["x"][0] == pytest.approx(z[0, 0], rel=1e-3)
    assert found["y"][-1] == pytest.approx(z[-1, 1], rel=1e-3)
    kept = np.flatnonzero(np.isfinite(z).all(axis=1))
    kept = kept[np.linspace(0, len(kept) - 1, plane.MOST).round().astype(int)]
    for i in (0, 1, 777, plane.MOST - 1):
        y, x = (i // columns) * 28, (i % columns) * 28
        np.testing.assert_array_equal(sheet[y : y + 28, x : x + 28], images[kept[i]])
        assert found["label"][i] == labels[kept[i]]
        assert [found["x"][i], found["y"][i]] == pytest.approx(z[kept[i]], rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z": np.zeros((5, 3), np.float32)}, "expected z"),
        ({"labels": np.zeros(4, np.int64)}, "expected z"),
        ({"labels": np.full(5, 10)}, "indices into class_names"),
        ({"labels": np.full(5, -1)}, "indices into class_names"),
        ({"z": np.full((5, 2), np.nan, np.float32)}, "at least one finite point"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    z, labels, images = latent(5)
    parts = {"z": z, "labels": labels, "images": images, "class_names": tuple("0123456789"), "still": STILL, **change}
    with pytest.raises(ValueError, match=message):
        payload(Plane(**parts))


def test_json_cannot_leave_its_element() -> None:
    text = safe_json({NASTY: [NASTY]})
    assert not set(text) & set("<>&")
    assert text.isascii()
    assert json.loads(text) == {NASTY: [NASTY]}
