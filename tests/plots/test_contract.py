"""What holds for every figure."""

from __future__ import annotations

import functools
import io
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib._pylab_helpers import Gcf
from matplotlib.figure import Figure
from PIL import Image

from tests.plots.figures import FIGURES, images
from vaelab import plots
from vaelab.errors import VaelabError
from vaelab.plots import style

TITLE = "costs $x_ & <b>"  # neither mathematics nor HTML
every = pytest.mark.parametrize("name", FIGURES)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=float)


@functools.cache
def drawn(name: str) -> tuple[Figure, bytes]:
    draw, arguments, options = FIGURES[name]
    figure = draw(*arguments, **options, title=TITLE)
    return figure, style.png(figure, dpi=60)


@every
def test_is_a_figure_that_saves_and_is_not_blank(name: str, tmp_path: Path) -> None:
    figure, data = drawn(name)
    assert isinstance(figure, Figure)
    assert figure.get_suptitle().replace("\n", " ") == TITLE
    plots.save(figure, tmp_path / "figure.png", dpi=60)
    assert (tmp_path / "figure.png").read_bytes() == data
    assert b"tEXt" not in data
    assert pixels(data).std() > 5
    assert figure.get_figwidth() <= style.WIDTH + 0.2


@every
def test_nothing_is_cut_off(name: str) -> None:
    """Neither as saved nor as a notebook shows it: words are a little wider at some resolutions than at others."""
    figure, _ = drawn(name)
    for dpi in (110, 150):
        figure.set_dpi(dpi)
        box = figure.get_tightbbox()
        assert min(box.x0, box.y0) > -0.02
        assert box.x1 < figure.get_figwidth() + 0.02
        assert box.y1 < figure.get_figheight() + 0.02


@every
def test_equal_values_give_equal_bytes_whatever_the_users_settings(name: str) -> None:
    """Also: tensors do as well as arrays, no argument is changed, and nothing global is changed or left behind."""
    draw, arguments, options = FIGURES[name]
    before = repr(arguments)
    tensors = [
        torch.tensor(a, requires_grad=a.dtype.kind == "f") if isinstance(a, np.ndarray) else a for a in arguments
    ]
    with matplotlib.rc_context({"font.size": 30, "image.cmap": "jet", "text.usetex": True, "axes.grid": True}):
        settings = dict(matplotlib.rcParams)
        assert style.png(draw(*tensors, **options, title=TITLE), dpi=60) == drawn(name)[1]
        assert dict(matplotlib.rcParams) == settings
    assert repr(arguments) == before
    assert Gcf.get_all_fig_managers() == []


@every
def test_refuses_nan_and_emptiness_in_one_sentence(name: str) -> None:
    draw, arguments, options = FIGURES[name]
    if draw is plots.label_curves:
        bad = [{"vae": {"SVM": [(50, np.nan, 0.1)]}}, {"vae": {"SVM": []}}, {"vae": {}}, {}]
    elif isinstance(arguments[0], dict):
        column = "loss" if draw is plots.loss_curve else "kl"
        bad = [{**arguments[0], column: [np.inf, *arguments[0][column][1:]]}, {key: [] for key in arguments[0]}]
    else:
        bad = [np.where(arguments[0] == arguments[0].flat[0], np.nan, arguments[0]), arguments[0][:0]]
    for value in bad:
        with pytest.raises(ValueError, match=r"^expected .*, got [^\n]*$"):
            draw(value, *arguments[1:], **options)


def test_importing_needs_no_pyplot() -> None:
    code = "import sys, vaelab.plots; sys.exit('matplotlib.pyplot' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_notebooks_find_a_png_in_the_figure() -> None:
    assert plots.samples(images(4))._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_save_refuses_another_ending_and_a_place_that_is_no_folder(tmp_path: Path) -> None:
    figure = plots.samples(images(1))
    with pytest.raises(ValueError, match=r"^expected a file name ending in \.png, got figure\.svg$"):
        plots.save(figure, tmp_path / "figure.svg")
    (tmp_path / "file").write_text("")
    with pytest.raises(VaelabError, match="cannot write"):
        plots.save(figure, tmp_path / "file" / "figure.png")
    plots.save(figure, tmp_path / "new" / "figure.png")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["figure.png"]
