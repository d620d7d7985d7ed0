"""One style for every figure: sizes in inches for a page 16 cm wide, fonts, colours, markers; and saving."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

from vaelab.files import write_atomic

WIDTH = 6.3
"""Width of a full figure: 16 cm, in inches."""

HEIGHT = 9.0
"""The most a figure may be high and still stand on a page, in inches."""

FONT = 8.5
"""Size of ordinary text, in points."""

RC: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "axes.formatter.useoffset": False,
    "axes.grid": False,
    "axes.labelsize": FONT,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": FONT + 0.5,
    "figure.constrained_layout.h_pad": 0.05,
    "figure.constrained_layout.w_pad": 0.05,
    "figure.dpi": 150,  # laid out as it is saved: text has another width at another resolution
    "figure.titlesize": FONT + 1.5,
    "font.family": "DejaVu Sans",
    "font.size": FONT,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.fontsize": FONT - 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "savefig.dpi": 150,
    "text.parse_math": False,  # a `$` in a title or a class name is a dollar sign
    "xtick.color": "#333333",
    "xtick.labelsize": FONT - 0.5,
    "ytick.color": "#333333",
    "ytick.labelsize": FONT - 0.5,
}

PALETTE = (
    "#3657c9",
    "#f31e01",
    "#a7d67c",
    "#773574",
    "#f2cb17",
    "#53a1e3",
    "#a20f20",
    "#00e8e8",
    "#7905ff",
    "#e97093",
)
"""Ten colours that stay apart for readers without red, green or blue cones (the tests simulate all three)."""

MARKERS = ("o", "^", "s", "v", "D", "P", "X")
"""Their number and the palette's have no common factor: 70 classes get a pair of colour and marker each."""

TRAIN, TEST, OTHER = PALETTE[0], "#d55e00", "#777777"


class Picture(Figure):
    """A `Figure` that a notebook shows by itself: it needs no pyplot, so nothing global holds on to it."""

    def _repr_png_(self) -> bytes:
        return png(self, dpi=110)


@contextmanager
def drawing(width: float, height: float, title: str = "") -> Iterator[Picture]:
    """An empty figure of ``width`` × ``height`` inches (> 0) under this style, laid out when the block ends.

    The user's own matplotlib settings are neither used nor changed. ``title`` is plain text, wrapped to the width.

    >>> with drawing(3, 2, title="costs $1") as figure:
    ...     axes = figure.add_subplot()
    >>> figure.get_suptitle()
    'costs $1'
    """
    with matplotlib.style.context(["default", RC]):
        figure = Picture(figsize=(width, height), layout="constrained")
        if title:
            figure.suptitle(wrapped(title, width))
        yield figure
        if (engine := figure.get_layout_engine()) is not None and figure.axes:
            engine.execute(figure)  # the layout alone: drawing all of it is left to who shows the figure
            for axes in figure.axes:
                axes.apply_aspect()
        figure.set_layout_engine("none")  # each further pass would shift things a little: saved twice, equal bytes


def trim(figure: Figure) -> None:
    """Make ``figure`` as small as what it shows, which keeps its size; for images, whose axes do not stretch.

    >>> with drawing(4, 2) as figure:
    ...     image = figure.add_subplot().imshow([[0, 1], [1, 0]])
    ...     trim(figure)
    >>> bool(figure.get_figwidth() < 3)
    True
    """
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    figure.set_size_inches(box.width + 0.1, box.height + 0.1)
    figure.draw_without_rendering()  # the layout needs a second pass to come to rest


def wrapped(text: str, width: float, size: float = FONT + 1.5) -> str:
    """``text`` broken into lines of at most ``width`` inches (estimated) at a font size in points.

    >>> wrapped("prior samples", 0.8)
    'prior\\nsamples'
    """
    per_line = max(8, int(width * 72 / (0.56 * size)))
    return "\n".join(textwrap.wrap(" ".join(text.split()), per_line))


def shortened(text: object, most: int = 18) -> str:
    """One line of at most ``most`` characters (≥ 2), its end replaced by an ellipsis where it is longer.

    >>> shortened("a very long name of a class")
    'a very long name …'
    """
    line = " ".join(str(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def colour(index: int) -> str:
    """The colour of class ``index`` (≥ 0); after ten classes the colours repeat, with other markers."""
    return PALETTE[index % len(PALETTE)]


def marker(index: int) -> str:
    """The marker of class ``index`` (≥ 0)."""
    return MARKERS[index % len(MARKERS)]


def png(figure: Figure, dpi: float = 150) -> bytes:
    """The PNG of ``figure`` at ``dpi`` dots per inch (> 0); equal figures give equal bytes.

    >>> with drawing(1, 1) as figure:
    ...     axes = figure.add_subplot()
    >>> png(figure, dpi=50)[1:4]
    b'PNG'
    """
    stream = io.BytesIO()
    with matplotlib.style.context(["default", RC]):
        figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


def save(figure: Figure, path: Path | str, dpi: float = 150) -> None:
    """Write ``figure`` as a PNG at ``dpi`` dots per inch (> 0), whole or not at all; equal figures give equal bytes.

    Raises `ValueError` where ``path`` does not end in ``.png``, `VaelabError` where it cannot be written.

    >>> import tempfile
    >>> with drawing(1, 1) as figure, tempfile.TemporaryDirectory() as folder:
    ...     save(figure, Path(folder) / "empty.png", dpi=50)
    ...     [path.name for path in Path(folder).iterdir()]
    ['empty.png']
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise ValueError(f"expected a file name ending in .png, got {target.name}")
    write_atomic(target, png(figure, dpi))
