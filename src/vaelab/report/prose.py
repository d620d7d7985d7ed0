"""Plain text → HTML: paragraphs, lists, code, formulas, numbers. Whatever is in the text is escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

_CODE = re.compile(r"`([^`\n]+)`")
_POWER = r" ?· ?10[⁻⁺]?[⁰¹²³⁴-⁹]+"
_DIGITS = r"\d+(?:[, \u00a0\u2009\u202f]\d{3})*(?:\.\d+)?"
_NUMBER = rf"[+\-−]?(?:{_DIGITS}|\.\d+|∞|\bnan\b|\binf\b)(?:e[+\-−]?\d+|{_POWER})?"
_SCALED = rf"\({_NUMBER} ?± ?{_NUMBER}\){_POWER}"
_QUANTITY = re.compile(
    rf"(?:[≤≥<>≈~=] ?)?(?:{_SCALED}|{_NUMBER}(?: ?± ?{_NUMBER})?)(?: ?[%‰×]| ?(?:s|min|h|nats?|bits?))?", re.I
)
_SMALL = re.compile(
    r"(?:(?<!\w)(?P<base>[^\W\d_])_(?P<below>\{[^{}]+\}|\w+))|(?:\^(?P<above>\{[^{}]+\}|[-−]?\w+))", re.UNICODE
)
_LEADING = re.compile(rf"({_SCALED}|{_NUMBER}(?: ?± ?{_NUMBER})?(?: ?%)?)(?:\s+(.*))?", re.I | re.S)
_WHOLE = re.compile(rf"({_NUMBER}(?: ± {_NUMBER} %| ± {_NUMBER}| %)|[≤≥] {_NUMBER}(?: %)?)")
_MINUS = re.compile(r"(?<![\w.\-−])-(?=\.?\d)")
_NOTHING = {"", "-", "–", "—", "n/a"}


def paragraphs(text: str) -> Markup:
    """Paragraphs from text with empty lines between them; lines that start with a dash and a space are a list.

    >>> print(paragraphs("See `z`.\\n\\n- 1 < 2\\n- so"))
    <p>See <code>z</code>.</p>
    <ul><li>1 &lt; 2</li><li>so</li></ul>
    """
    parts = [part.strip() for part in re.split(r"\n[ \t]*\n", text) if part.strip()]
    return Markup("\n").join(_paragraph(part) for part in parts)


def inline(text: str) -> Markup:
    """One line of text; words in backticks are code.

    >>> print(inline("<b> and `a<b`"))
    &lt;b&gt; and <code>a&lt;b</code>
    """
    pieces = _CODE.split(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else _kept_whole(piece)
        for place, piece in enumerate(pieces)
    )


def formula(text: str) -> Markup:
    """A formula in plain Unicode; an index or a power of one letter is set small.

    >>> print(formula("E_q[x^2] < log_p"))
    E<sub>q</sub>[x<sup>2</sup>] &lt; log_p
    """
    found, end = [], 0
    for match in _SMALL.finditer(text):
        found.append(escape(text[end : match.start()]))
        if match["above"]:
            found.append(Markup("<sup>{}</sup>").format(match["above"].strip("{}")))
        else:
            found.append(Markup("{}<sub>{}</sub>").format(match["base"], match["below"].strip("{}")))
        end = match.end()
    return Markup("").join([*found, escape(text[end:])])


def minus(text: str) -> str:
    """The sign of negative numbers as it is set; other hyphens, and ranges like 2-3, stay.

    >>> minus("from -73.1 to (-0.41), 2-3, vae-2")
    'from −73.1 to (−0.41), 2-3, vae-2'
    """
    return _MINUS.sub("−", text)


def numeric_columns(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[bool]:
    """Which columns hold only numbers (with error, percent or unit) and are aligned to the right.

    >>> numeric_columns(["model", "−ELBO"], [["VAE", "151.09 ± 0.50"], ["PCA", "—"]])
    [False, True]
    >>> numeric_columns(["KL", "σ"], [["3.9·10⁻⁶", "(3.92 ± 0.06)·10⁻⁶"]])
    [True, True]
    """
    found = []
    for place in range(len(columns)):
        cells = [row[place].strip() for row in rows]
        filled = [cell for cell in cells if cell not in _NOTHING]
        found.append(bool(filled) and all(_QUANTITY.fullmatch(cell) for cell in filled))
    return found


def value_and_unit(text: str) -> tuple[str, str]:
    """A quantity as its number and the rest; ``("", text)`` where it does not start with a number.

    >>> value_and_unit("151.09 ± 0.50 nats per image")
    ('151.09 ± 0.50', 'nats per image')
    >>> value_and_unit("3.9·10⁻⁶ nats per image")
    ('3.9·10⁻⁶', 'nats per image')
    >>> value_and_unit("yes")
    ('', 'yes')
    """
    match = _LEADING.fullmatch(text.strip())
    return (match[1].strip(), match[2] or "") if match else ("", text)


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(0.04), duration(75), duration(7300)
    ('0.0 s', '1 min 15 s', '2 h 02 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _kept_whole(text: str) -> Markup:
    """Escaped; no line ends between a number and its error or percent sign."""
    pieces = _WHOLE.split(text)
    return Markup("").join(
        Markup('<span class="whole">{}</span>').format(minus(piece)) if place % 2 else escape(minus(piece))
        for place, piece in enumerate(pieces)
    )


def _paragraph(text: str) -> Markup:
    lines = [line.strip() for line in text.split("\n")]
    lead = next((place for place, line in enumerate(lines) if line.startswith("- ")), len(lines))
    items: list[str] = []
    for line in lines[lead:]:
        if line.startswith("- "):
            items.append(line[2:])
        else:
            items[-1] += " " + line
    before = Markup("<p>{}</p>").format(inline("\n".join(lines[:lead]))) if lead else Markup("")
    points = Markup("").join(Markup("<li>{}</li>").format(inline(item)) for item in items)
    return before + (Markup("<ul>{}</ul>").format(points) if items else Markup(""))
