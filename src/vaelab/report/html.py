"""A report → one HTML file that needs nothing else: no network, no other file, and no script to be read."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import chain, count
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from vaelab.report import prose
from vaelab.report.blocks import (
    Answer,
    Block,
    Facts,
    Formula,
    Listing,
    Picture,
    Plane,
    Report,
    Section,
    Table,
    Text,
    Verdict,
)
from vaelab.report.images import embed
from vaelab.report.plane import payload, safe_json

VERDICTS = {True: ("met", "✓", "met"), False: ("missed", "✗", "not met"), None: ("open", "–", "not judged")}
"""Whether a target is met → class, sign, words: never told by colour alone."""

PRINTED = ((100, ""), (122, "wide"), (145, "wider"))
"""A table of at most so many characters → the class of its size on paper."""

SHORT = 28
"""Text of a cell with no more characters is not broken into lines."""


def render(report: Report) -> str:
    """The whole report as HTML, with pictures, style and script inside; equal reports give equal text.

    Raises `VaelabError` where a picture is missing, `ValueError` where a block's parts do not fit one another.
    """
    style, script = _template("style.css"), _template("script.js")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": prose.paragraphs, "inline": prose.inline, "formula": prose.formula}
    names = Names()
    numbers: Mapping[str, Iterator[int]] = {"Figure": count(1), "Table": count(1)}
    return environment.get_template("report.html.j2").render(
        report=report,
        verdicts=[_verdict(verdict) for verdict in report.verdicts],
        highlights=[_picture(picture) for picture in report.highlights],
        sections=[_section(section, names, numbers) for section in report.sections],
        facts=_facts(report.facts),
        row_index=dict(sorted(names.rows.items(), key=_natural)),
        style=Markup(style),
        script=Markup(script),
        policy=policy(style, script),
    )


def policy(style: str, script: str) -> str:
    """The content security policy: only this style, only this script, pictures only from the file itself."""
    return "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src 'sha256-{_digest(style)}'",
            f"script-src 'sha256-{_digest(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


class Names:
    """Anchors, each given once; ``rows``: ids of the sheet → anchors, in order.

    >>> names = Names()
    >>> names.take("latent plane"), names.take("latent plane"), names.take("contents")
    ('latent-plane', 'latent-plane-2', 'contents-2')
    """

    def __init__(self) -> None:
        self._taken = {"top", "contents", "summary", "facts", "enlarged"}
        self.rows: dict[str, str] = {}

    def take(self, wish: str) -> str:
        """An anchor like ``wish`` that nothing has yet."""
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", wish).strip("-") or "part"
        wishes = chain([plain], (f"{plain}-{n}" for n in count(2)))
        name = next(name for name in wishes if name not in self._taken)
        self._taken.add(name)
        return name

    def row(self, row: str) -> str | None:
        """The anchor of a row where it comes for the first time, None after that."""
        if row in self.rows:
            return None
        self.rows[row] = self.take(f"row-{row}")
        return self.rows[row]


def _section(section: Section, names: Names, numbers: Mapping[str, Iterator[int]]) -> dict[str, Any]:
    return {
        "id": names.take(section.id),
        "title": section.title,
        "rows": [(row, names.row(row)) for row in section.rows],
        "blocks": [_block(block, numbers) for block in section.blocks],
    }


def _block(block: Block, numbers: Mapping[str, Iterator[int]]) -> dict[str, Any]:
    """What the template needs to know of a block; ``kind`` chooses how it is drawn."""
    found: dict[str, Any]
    match block:
        case Text() | Formula():
            found = {"text": block.text}
        case Answer():
            found = {"question": block.question, "text": block.text}
        case Picture():
            found = {**_picture(block), "number": _number("Figure", numbers)}
        case Plane():
            found = {**_picture(block.still), "number": _number("Figure", numbers), "data": safe_json(payload(block))}
        case Table():
            found = {**_table(block), "number": _number("Table", numbers)}
        case Listing():
            found = {"text": block.text, "caption": block.caption}
        case _:
            raise TypeError(f"expected a block of a report, got {type(block).__name__}")
    return {"kind": type(block).__name__.lower(), **found}


def _number(kind: str, numbers: Mapping[str, Iterator[int]]) -> str:
    return f"{kind} {next(numbers[kind])}"


def _picture(picture: Picture) -> dict[str, Any]:
    return {
        "image": embed(picture.file),
        "caption": picture.caption,
        "alt": picture.alt.strip() or picture.caption or picture.file.stem,
    }


def _table(table: Table) -> dict[str, Any]:
    rows = [[prose.minus(str(cell)) for cell in row] for row in table.rows]
    if any(len(row) != len(table.columns) for row in rows):
        raise ValueError(f"expected {len(table.columns)} cells in every row of the table {table.caption!r}")
    right = prose.numeric_columns(table.columns, rows)
    return {
        "columns": list(zip(table.columns, right, strict=True)),
        "rows": [
            (place in table.bold, [(cell, _look(cell, number)) for cell, number in zip(row, right, strict=True)])
            for place, row in enumerate(rows)
        ],
        "size": _size(table.columns, rows, right),
        "caption": table.caption,
    }


def _size(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """How small a table is printed: by its width in characters where every text is broken at each space."""
    width = 0
    for place, number in enumerate(right):
        words = [word for row in rows for word in ([row[place]] if number else row[place].split())]
        width += 2 + max(map(len, [*words, *columns[place].split()]), default=0)
    return next((name for most, name in PRINTED if width <= most), "widest")


def _look(cell: str, number: bool) -> str:
    """Numbers to the right; short text is kept on one line, long text is given room."""
    if number:
        return "right"
    return "short" if len(cell) <= SHORT else "long"


def _verdict(verdict: Verdict) -> dict[str, Any]:
    kind, sign, words = VERDICTS[verdict.met]
    value, unit = prose.value_and_unit(prose.minus(verdict.value))
    return {
        "what": verdict.what,
        "value": value or unit,
        "number": bool(value),
        "unit": unit if value else "",
        "target": verdict.target,
        "kind": kind,
        "sign": sign,
        "words": words,
    }


def _facts(facts: Facts) -> dict[str, Any]:
    return {
        "command": facts.command,
        "configuration": facts.configuration,
        "versions": {**facts.versions, **({} if facts.seed is None else {"seed": str(facts.seed)})},
        "steps": [(what, prose.duration(seconds)) for what, seconds in facts.steps],
        "total": prose.duration(sum(seconds for _, seconds in facts.steps)),
        "files": [(path, "./" + quote(path), what) for path, what in facts.files],
    }


def _template(name: str) -> str:
    return (files("vaelab.report") / "templates" / name).read_text(encoding="utf-8")


def _natural(item: tuple[str, str]) -> list[tuple[str, int]]:
    """C9 before C10, and all of B before both."""
    return [(letters, int(digits or 0)) for letters, digits in re.findall(r"(\D*)(\d*)", item[0])]


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
