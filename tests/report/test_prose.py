"""Plain text as HTML: escaped, with paragraphs, lists, code, formulas, and numbers that stay together."""

from __future__ import annotations

import pytest

from tests.report.sample import NASTY
from vaelab.report.prose import duration, formula, inline, numeric_columns, paragraphs, value_and_unit


@pytest.mark.parametrize("write", [paragraphs, inline, formula])
@pytest.mark.parametrize(
    "text", [NASTY, f"`{NASTY}", f"- {NASTY}", f"E_{{{NASTY}}} ^{{<b>}} x_<i>", "&lt;", "<b>5 %</b>"]
)
def test_nothing_in_the_text_becomes_html(write: object, text: str) -> None:
    assert callable(write)
    html = str(write(text))
    for tag in (
        "<p>",
        "</p>",
        "<ul>",
        "</ul>",
        "<li>",
        "</li>",
        "<code>",
        "</code>",
        "<sub>",
        "</sub>",
        "<sup>",
        "</sup>",
    ):
        html = html.replace(tag, "")
    html = html.replace('<span class="whole">', "").replace("</span>", "")
    assert not set(html) & set("<>\"'"), html


def test_paragraphs_and_lists() -> None:
    text = "  One\nline.\n\n \nFirst:\n- a\n  goes on\n- b `c`\n\n"
    assert paragraphs(text) == "<p>One\nline.</p>\n<p>First:</p><ul><li>a goes on</li><li>b <code>c</code></li></ul>"
    assert paragraphs(" \n\n ") == ""
    assert paragraphs("−1 - 2 and -3") == "<p>−1 - 2 and −3</p>", "a dash in a line is no list"


def test_a_number_and_its_error_are_not_parted() -> None:
    assert inline("so 61.7 ± 0.5 % of 10,000") == 'so <span class="whole">61.7 ± 0.5 %</span> of 10,000'
    assert inline("151.09 ± 0.50 nats") == '<span class="whole">151.09 ± 0.50</span> nats'
    assert inline("(≥ 98 %)") == '(<span class="whole">≥ 98 %</span>)'
    assert inline("98 % `5 %`") == '<span class="whole">98 %</span> <code>5 %</code>'
    assert inline("one ` alone") == "one ` alone"


def test_formulas() -> None:
    assert formula("x_{test} σ_i^2 2^-3") == "x<sub>test</sub> σ<sub>i</sub><sup>2</sup> 2<sup>-3</sup>"
    assert formula("log_var + p(x|z)") == "log_var + p(x|z)"


@pytest.mark.parametrize(
    "cell",
    ["5", "-5", "−5.25", "60,000", "60 000", "151.09 ± 0.50", "98.9 %", "98.87 ± 0.11 %", "1e-8", "≤ 0.5", "12 s"],
)
def test_columns_of_numbers(cell: str) -> None:
    assert numeric_columns(["a", "b"], [["x", cell], ["5", "—"]]) == [False, True]


@pytest.mark.parametrize("cell", ["5 of 6", "C5", "1 × 2 network", "4 and 9", "infinity"])
def test_columns_of_words(cell: str) -> None:
    assert numeric_columns(["a"], [["5"], [cell]]) == [False]
    assert numeric_columns(["a"], [[""], ["—"]]) == [False]


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("−1.07 ± 0.02 bits per dimension", "−1.07 ± 0.02", "bits per dimension"),
        ("98.87 ± 0.11 %", "98.87 ± 0.11 %", ""),
        ("812.3 nats", "812.3", "nats"),
        ("10,000 images", "10,000", "images"),
        ("3 of 5 seeds", "3", "of 5 seeds"),
        ("none", "", "none"),
        ("5x", "", "5x"),
    ],
)
def test_a_quantity_is_split(text: str, value: str, unit: str) -> None:
    assert value_and_unit(text) == (value, unit)


def test_durations_round_to_what_is_said() -> None:
    assert [duration(s) for s in (0, 59.94, 59.96, 119.6, 3599.7)] == [
        "0.0 s",
        "59.9 s",
        "1 min 00 s",
        "2 min 00 s",
        "1 h 00 min",
    ]
