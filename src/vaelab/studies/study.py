"""What a study is: models to train, measurements on them, and sections of a report that show what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vaelab.config import RunConfig

if TYPE_CHECKING:
    from vaelab.report.blocks import Block, Verdict
    from vaelab.studies.context import Context
    from vaelab.studies.results import Results
    from vaelab.studies.settings import Settings

Value = bool | int | float | str | tuple[int, ...]


@dataclass(frozen=True)
class Option:
    """Something to adjust with ``--set NAME=VALUE``: its value, the one of ``--quick``, and what it means.

    ``least`` and ``most`` bound a number, each of several; without them whole numbers are at least 1, others above 0.
    ``known``: the words that one or more of, joined by +, may be asked for.
    """

    value: Value
    quick: Value
    help: str
    least: float | None = None
    most: float = math.inf
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class Train:
    """A step: train ``config`` into ``runs/<name>`` and evaluate it on the test images.

    Its values are the metrics of `Run.evaluate` by name, and ``diagnosis``, a list of sentences. ``cost``: about how
    many seconds it takes on one core, for the time left.
    """

    name: str
    title: str
    config: RunConfig
    cost: float = 60.0
    importance_samples: int = 0
    needs: Sequence[str] = ()


@dataclass(frozen=True)
class Measure:
    """A step: call ``function`` with a `Context`; what it returns are its values (JSON, or `Metric`).

    ``needs``: the steps whose runs or values it uses. ``options``: what it is called with; they and ``version`` (raised
    where the function comes to measure something else) decide with the needed steps' whether what is there is reused.
    ``alone``: it uses all processors by itself.
    """

    name: str
    title: str
    needs: Sequence[str]
    function: Callable[[Context], Mapping[str, Any]]
    options: Mapping[str, Any] = field(default_factory=dict)
    cost: float = 10.0
    version: int = 1
    alone: bool = False


Step = Train | Measure


@dataclass(frozen=True)
class Part:
    """A section of the report: ``build`` makes its blocks from results alone, without a model or data set."""

    id: str
    title: str
    rows: tuple[str, ...]
    build: Callable[[Results], Sequence[Block]]


@dataclass(frozen=True)
class Summary:
    """``text``: what was trained and what came out, in a few sentences. ``pictures``: (step, figure) beside it."""

    text: str
    verdicts: Sequence[Verdict]
    pictures: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Cell:
    """A cell of the notebook: ``code``, with ``text`` (Markdown) above it."""

    text: str
    code: str


@dataclass(frozen=True)
class Study:
    """``steps``: settings → what to do, in a possible order. ``rows``: ids of the sheet, all of which ``parts`` cover.

    ``cells``: of the notebook; the folder of the study is the working folder, runs are in ``runs/<name>``.
    """

    name: str
    sheet: str
    title: str
    about: str
    options: Mapping[str, Option]
    steps: Callable[[Settings], Sequence[Step]]
    parts: Sequence[Part]
    summarise: Callable[[Results], Summary]
    cells: Callable[[Results], Sequence[Cell]]
