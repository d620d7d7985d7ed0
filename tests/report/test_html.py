"""The file as a whole: nothing from outside, no text is executed, every picture is described, every link leads."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.report.sample import NASTY
from vaelab.errors import VaelabError
from vaelab.report.blocks import Picture, Report, Section, Table, Text, Verdict
from vaelab.report.html import policy, render

EMPTY = {"img", "meta", "link", "br"}


class Parsed(HTMLParser):
    """Tags with attributes, and the text of every kind of element."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {tag} {attrs}"
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in EMPTY:
            self._open.append(tag)
            self.text.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.text[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]


@pytest.fixture(scope="module", params=["plain", "hostile"])
def html(request: pytest.FixtureRequest, report: Report, hostile: Report) -> str:
    return render(report if request.param == "plain" else hostile)


def test_nothing_comes_from_outside(html: str) -> None:
    page = Parsed(html)
    for address in [*page.values("src"), *page.values("href")]:
        assert address.startswith(("data:image/png;base64,", "data:,", "#", "./")), address
    for attribute in ("srcset", "action", "poster", "background", "style"):
        assert not page.values(attribute)
    inside = page.text["style"][0] + page.text["script"][0]
    assert not re.search(r"url\(|@import|https?:|fetch\(|XMLHttp|innerHTML|eval\(", inside)
    assert {tag for tag, _ in page.tags} & {"iframe", "object", "embed", "base", "form", "svg"} == set()


def test_the_policy_allows_this_style_and_this_script_alone(html: str) -> None:
    page = Parsed(html)
    asked = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert asked == [policy(page.text["style"][0], page.text["script"][0])]
    assert asked[0].startswith("default-src 'none'; img-src data:; ")
    assert "unsafe" not in asked[0]
    digest = base64.b64encode(hashlib.sha256(page.text["script"][0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in asked[0]


def test_pictures_are_described_and_have_a_size(html: str) -> None:
    pictures = Parsed(html).all("img")
    assert len(pictures) >= 5
    for picture in pictures:
        assert picture["alt"].strip()
        assert int(picture["width"]) > 0
        assert int(picture["height"]) > 0


def test_anchors_are_given_once_and_links_lead_to_them(html: str) -> None:
    page = Parsed(html)
    assert max(Counter(page.values("id")).values()) == 1
    inner = [address[1:] for address in page.values("href") if address.startswith("#")]
    assert set(inner) <= set(page.values("id"))
    assert not any(re.search(r"\s", anchor) for anchor in page.values("id"))


def test_every_section_and_row_has_its_anchor(report: Report) -> None:
    page = Parsed(render(report))
    rows = {row for section in report.sections for row in section.rows}
    anchors = {*(section.id for section in report.sections), *(f"row-{row}" for row in rows), "summary", "facts"}
    assert anchors <= set(page.values("id"))
    contents = " ".join(page.text["nav"])
    assert all(section.title in contents for section in report.sections)
    assert contents.index("C8") < contents.index("C9") < contents.index("C10"), "rows in their own order"


def test_hostile_text_is_shown_as_it_is(hostile: Report) -> None:
    page = Parsed(render(hostile))
    planes = sum(tag == "figure" and "plane" in attributes["class"] for tag, attributes in page.tags)
    assert len(page.all("script")) == 1 + planes
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert not page.all("b") or all(attributes == {"class": "number"} for attributes in page.all("b"))
    as_prose = NASTY.replace("`", "")  # backticks are code
    for tag, expected in {
        "title": NASTY,
        "h1": NASTY,
        "td": NASTY,
        "th": NASTY,
        "pre": NASTY,
        "figcaption": as_prose,
        "h3": as_prose,
        "p": as_prose,
    }.items():
        assert any(expected in text for text in page.text[tag]), tag
    assert NASTY in page.values("alt")
    assert NASTY in [unquote(address[2:]) for address in page.values("href")]
    assert "./javascript%3Aalert%281%29" in page.values("href")
    classes = json.loads(page.text["script"][1])["names"]
    assert classes[3] == f"{NASTY} 3"


def test_verdicts_are_told_in_words(report: Report) -> None:
    page = Parsed(render(report))
    spans = " ".join(page.text["span"])
    for words in ("✓ met", "✗ not met", "– not judged", "≤ 155.9 nats (the sheet)", "151.09 ± 0.50"):
        assert words in spans


def test_figures_and_tables_are_numbered(report: Report) -> None:
    numbers = [text for text in Parsed(render(report)).text["b"] if text]
    assert numbers == [
        "Table 1.",
        "Figure 1.",
        "Table 2.",
        "Figure 2.",
        "Figure 3.",
        "Figure 4.",
        "Table 3.",
        "Table 4.",
    ]


def test_tables_have_heads_and_numbers_to_the_right(report: Report) -> None:
    page = Parsed(render(report))
    heads = [attributes for attributes in page.all("th") if attributes.get("scope") == "col"]
    assert [head.get("class") for head in heads[:4]] == [None, "right", "right", "right"]
    assert {"class": "bold"} in page.all("tr")
    assert {"scope": "row", "class": "short"} in page.all("th")


def test_facts_are_complete(report: Report) -> None:
    html = render(report)
    page = Parsed(html)
    assert report.facts.command in page.text["pre"]
    assert report.facts.configuration in page.text["pre"]
    cells = [*page.text["th"], *page.text["td"]]
    for text in ("vaelab", "0.1.0", "torch", "2.10.0", "seed", "Train VAE", "1 min 02 s", "losses of every epoch: VAE"):
        assert text in cells
    assert "./runs/VAE/history.csv" in page.values("href")
    assert "added up" in " ".join(page.text["h3"])


def test_equal_reports_give_equal_files(report: Report) -> None:
    assert render(report) == render(report)


def test_a_report_of_nothing_but_a_title(report: Report) -> None:
    facts = replace(report.facts, steps=[], files=[], versions={})
    bare = Report("Title", "", "", [], [Section("empty", "Empty", (), [])], facts)
    page = Parsed(render(bare))
    assert page.text["h1"] == ["Title"]
    assert not page.all("img")


def test_a_missing_picture_is_one_sentence(report: Report) -> None:
    section = Section("a", "A", (), [Picture(Path("nowhere.png"), "", "")])
    with pytest.raises(VaelabError, match=r"^the report needs the picture nowhere\.png, which is not there"):
        render(replace(report, sections=[section]))


def test_blocks_that_do_not_fit_are_refused(report: Report) -> None:
    with pytest.raises(ValueError, match="expected 2 cells in every row"):
        render(replace(report, sections=[Section("a", "A", (), [Table(["a", "b"], [["1"]], "caption")])]))
    with pytest.raises(TypeError, match="expected a block of a report, got Verdict"):
        render(replace(report, sections=[Section("a", "A", (), [Verdict("", "", "", None)])]))  # type: ignore[list-item]


def test_anchors_of_odd_names(report: Report) -> None:
    sections = [Section(name, name, ("A1",), [Text("x")]) for name in ("a b", "a-b", "", "facts", "row-A1", "ü")]
    page = Parsed(render(replace(report, sections=sections)))
    anchors = [attributes["id"] for attributes in page.all("section")]
    assert anchors == ["summary", "a-b", "a-b-2", "part", "facts-2", "row-A1-2", "part-2", "facts"]
