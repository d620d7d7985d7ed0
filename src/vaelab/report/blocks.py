"""What a report is made of. Every string is plain text: it is escaped where it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Text:
    """Paragraphs, separated by empty lines; lines starting with ``- `` are a list. ``Words in backticks`` are code."""

    text: str


@dataclass(frozen=True)
class Answer:
    """A question of the sheet and its answer in words (as in `Text`), built from numbers measured in this run."""

    question: str
    text: str


@dataclass(frozen=True)
class Formula:
    """A formula on a line of its own, in plain Unicode: ``ELBO(x) = E_q[log p(x|z)] − KL(q(z|x) ‖ p(z))``.

    ``_`` and ``^`` after one letter set what follows small: ``E_q``, ``σ_i^2``, ``x_{test}``.
    """

    text: str


@dataclass(frozen=True)
class Picture:
    """A PNG file; ``caption``: what to see in it; ``alt``: what it shows, for those who cannot see it."""

    file: Path
    caption: str
    alt: str


@dataclass(frozen=True)
class Table:
    """``rows`` of cells as text; numbers are recognised and aligned to the right. ``bold``: rows that stand out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    bold: Sequence[int] = ()


@dataclass(frozen=True)
class Plane:
    """An interactive latent plane: hover (or tap, or arrow keys) a point for its image, label and position.

    ``z (n, 2)``, ``images (n, height, width)`` or ``(n, 3, height, width)`` uint8, ``labels (n,)`` indices into
    ``class_names``. ``still``: the same as a picture, which is all that is shown without scripts and in print.
    """

    z: NDArray[np.float32]
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: Sequence[str]
    still: Picture


@dataclass(frozen=True)
class Listing:
    """Lines to copy: a command, a configuration."""

    text: str
    caption: str = ""


@dataclass(frozen=True)
class Verdict:
    """A number against what it should be. ``met``: None where there is nothing to judge.

    ``what``: "test −ELBO of the VAE"; ``value``: "151.09 ± 0.50 nats per image"; ``target``: "≤ 155.9 (the sheet)".
    """

    what: str
    value: str
    target: str
    met: bool | None


Block = Text | Answer | Formula | Picture | Table | Plane | Listing


@dataclass(frozen=True)
class Section:
    """``id``: the anchor; ``rows``: what of the sheet it answers, for instance ("A5", "A7")."""

    id: str
    title: str
    rows: Sequence[str]
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Facts:
    """How to repeat it, shown at the end. ``versions``: name → version; ``steps``: (what, seconds)."""

    command: str
    configuration: str
    """As TOML."""
    versions: Mapping[str, str]
    seed: int | None
    """None: of each run its own."""
    steps: Sequence[tuple[str, float]]
    files: Sequence[tuple[str, str]] = ()
    """(path relative to the report, what it holds)."""


@dataclass(frozen=True)
class Report:
    """``summary``: what was trained, in a few sentences; ``verdicts``: the key numbers against targets."""

    title: str
    subtitle: str
    summary: str
    verdicts: Sequence[Verdict]
    sections: Sequence[Section]
    facts: Facts
    highlights: Sequence[Picture] = field(default=())
    """One or two pictures beside the summary."""
