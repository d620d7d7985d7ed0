"""What a user sees: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from vaelab.data.progress import Progress
    from vaelab.run import Run

PIPE_WIDTH = 1000
"""Where the output is no terminal, nothing is wrapped: another program reads it."""

_PLAIN = {
    "−": "-", "±": "+/-", "×": "x", "→": "->", "…": "...", "≥": ">=", "≤": "<=", "≠": "!=", "·": "*", "–": "-",
    "—": "-", "‖": "||", "²": "^2", "√": "sqrt ", "─": "-", "∞": "inf", "✓": "ok", "▸": ">",
    "α": "alpha", "β": "beta", "γ": "gamma", "μ": "mu", "σ": "sigma", "Σ": "sum ", "₁": "1", "₂": "2",
}  # fmt: skip


@dataclass
class Settings:
    """Of the whole process."""

    debug: bool = False
    words: list[str] = field(default_factory=list)
    """Those of the command line, for reports."""


settings = Settings()


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Error handler of a terminal that cannot show a character: its plain form, or a question mark."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character, "?") for character in text), error.end


def prepare_streams() -> None:
    """Let no character of a result be an error where the terminal has another encoding than UTF-8."""
    codecs.register_error("vaelab-plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="vaelab-plain")


def error(sentence: str) -> None:
    """``vaelab: error: …`` as one line on standard error."""
    print(f"vaelab: error: {' '.join(sentence.splitlines())}", file=sys.stderr, flush=True)


def out(text: str = "") -> None:
    """A line of a result."""
    print(text)


def out_json(value: Any) -> None:
    """A result for machines."""
    print(json.dumps(value, indent=1))


def note(text: str, quiet: bool = False) -> None:
    """A line on standard error, which ``--quiet`` leaves out."""
    if not quiet:
        stderr().print(text, highlight=False, markup=False, soft_wrap=True)


def note_unfinished(run: Run, quiet: bool = False) -> None:
    """Say where a run's training has not come to its end."""
    if sentence := run.unfinished():
        note(sentence, quiet)


def stdout() -> Console:
    """Made when used, so that it follows a redirected stream."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def stderr() -> Console:
    """The console of progress and notes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = (), fold: str = "") -> None:
    """A table without lines; columns in ``right`` are aligned to the right, the column ``fold`` may be broken."""
    from rich import box
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        justify = "right" if column in right else "left"
        shown.add_column(column, justify=justify, no_wrap=column != fold, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        shown.add_row(*(_escape(cell) for cell in row))
    stdout().print(shown)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def paragraph(text: str, indent: int = 0) -> None:
    """Text wrapped to the terminal; to a pipe it goes as one line."""
    from rich.padding import Padding
    from rich.text import Text

    stdout().print(Padding(Text(text), (0, 0, 0, indent), expand=False))


def losses(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Split → its −ELBO, reconstruction and KL, in nats per image."""
    names = ("negative_elbo", "reconstruction", "kl")
    shown = [
        [split, *("" if row[name] is None else f"{row[name]:.2f}" for name in names)] for split, row in rows.items()
    ]
    table(["nats per image", "−ELBO", "reconstruction", "KL"], shown, right=["−ELBO", "reconstruction", "KL"])


def bars(quiet: bool) -> Progress | None:
    """The `Progress` of downloads, folders and evaluations: a bar on standard error, or nothing."""
    return None if quiet or not stderr().is_terminal else _bar


@contextmanager
def _bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr(), transient=True) as progress:
        task = progress.add_task(description, total=total or None)
        yield lambda done: progress.advance(task, done)
