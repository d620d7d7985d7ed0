"""The report in a real browser: wide and narrow, light and dark, with and without scripts, and on paper."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.report.browser import Browser, Page, available, printed
from vaelab.report.blocks import Report
from vaelab.report.html import render

pytestmark = [
    pytest.mark.skipif(available() is None, reason="no Chromium or Chrome on the PATH"),
    pytest.mark.skipif(os.name != "posix", reason="the browser is driven over pipes with given numbers"),
]

PICTURES = 5
"""Figures of the sample: four numbered ones and the highlight."""

CANVAS = "document.querySelector('.plot canvas')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, report: Report) -> Path:
    path = tmp_path_factory.mktemp("page") / "report #1.html"
    path.write_text(render(report), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def shared(browser: Browser, file: Path) -> Page:
    return browser.open(file)


@pytest.fixture
def page(shared: Page) -> Page:
    """The same tab for all: wide, light, at the top."""
    shared.call("Page.bringToFront")
    shared.resize(1280)
    shared.media("screen")
    shared.evaluate("scrollTo({top: 0, behavior: 'instant'}); document.activeElement.blur()")
    shared.settle()
    return shared


def check(page: Page, pictures: int = PICTURES) -> None:
    """Nothing went wrong, nothing was asked for, all is seen, and the page need not be moved sideways."""
    assert page.console_errors == []
    assert page.requests == []
    assert page.dialogs == []
    figures = page.figures()
    assert len(figures) == pictures
    width = page.evaluate("innerWidth")
    for figure in figures:
        assert figure.loaded, figure
        assert figure.visible, figure
        assert figure.width >= 100, figure
        assert figure.height >= 50, figure
        assert figure.x >= 0, figure
        assert figure.x + figure.width <= width, figure
    assert page.overflow() == 0


@pytest.mark.parametrize("width", [1280, 400])
def test_wide_and_narrow(page: Page, width: int) -> None:
    page.resize(width)
    page.settle()
    check(page)
    assert page.evaluate("document.querySelector('.contents details').open") is (width == 1280)
    shown = page.evaluate("document.querySelector('.contents').getBoundingClientRect().height")
    assert shown < 80 or width == 1280, "folded on a phone"
    words = page.evaluate(
        "[...document.querySelectorAll('.prose')].map(e => e.clientWidth / parseFloat(getComputedStyle(e).fontSize))"
    )
    assert max(words) < 50, "lines of about 75 characters at most: half their size each, and a little more"


def test_without_scripts_all_is_there(browser: Browser, file: Path) -> None:
    page = browser.open(file, scripts=False)
    check(page)
    assert all(figure.kind == "img" for figure in page.figures()), "the plane's still picture"
    assert not page.evaluate("document.querySelectorAll('button').length")
    page.close()


def test_hostile_text_does_nothing(browser: Browser, hostile: Report, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(render(hostile), encoding="utf-8")
    for width in (1280, 400):
        page = browser.open(path, width)
        check(page, PICTURES + 2)
        assert "<script>alert(1)</script>" in page.evaluate("document.querySelector('.legend').textContent")
        assert not page.evaluate("document.querySelectorAll('[onclick]').length")
        page.close()


def test_dark_follows_the_system_and_the_button(page: Page, tmp_path: Path) -> None:
    def brightness() -> float:
        page.settle()
        page.screenshot(tmp_path / "shot.png", whole=False)
        corner = np.asarray(Image.open(tmp_path / "shot.png").convert("L"))[:40, :40]
        return float(corner.mean())

    assert brightness() > 230
    page.media("screen", dark=True)
    assert brightness() < 40
    page.evaluate("document.querySelector('.theme').click()")
    assert brightness() > 230
    assert page.evaluate("document.querySelector('.theme').textContent") == "Dark page"
    page.evaluate("delete document.documentElement.dataset.theme; localStorage.clear()")
    assert page.console_errors == []


def test_the_section_being_read_is_marked(page: Page) -> None:
    current = "document.querySelector('.contents [aria-current]').hash"
    assert page.evaluate(current) == "#summary"
    for anchor in ("plane", "facts", "training"):
        page.evaluate(f"document.getElementById('{anchor}').scrollIntoView({{behavior: 'instant'}})")
        page.settle()
        assert page.evaluate(current) == f"#{anchor}"


def test_the_plane_answers_to_keys(page: Page) -> None:
    page.evaluate(f"{CANVAS}.scrollIntoView({{behavior: 'instant'}}); {CANVAS}.focus()")
    places = []
    for key in ("ArrowUp", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"):
        page.key(key)
        place = page.evaluate(f"{CANVAS}.dataset.point")
        places.append(page.evaluate(f"(d => [d.x[{place}], d.y[{place}], d.label[{place}]])({data()})"))
    x, y, label = places[-1]
    assert places[2][0] > places[1][0] > places[0][0]
    assert places[3][1] > places[2][1]
    assert places[4][0] < places[3][0]
    assert y < places[4][1]
    words = f"z = ({x:.2f}, {y:.2f})".replace("-", "−")
    assert page.evaluate("document.querySelector('.tip').textContent") == f"{label}{words}"
    assert page.evaluate("document.querySelector('[aria-live]').textContent") == f"{label}, {words}"
    page.key("Escape")
    assert page.evaluate("document.querySelector('.tip').hidden")
    assert page.console_errors == []


@pytest.mark.parametrize("width", [1280, 400])
def test_the_plane_answers_to_the_mouse(page: Page, report: Report, width: int) -> None:
    page.resize(width)
    page.settle()
    page.evaluate(f"{CANVAS}.scrollIntoView({{behavior: 'instant', block: 'center'}})")
    page.settle()
    plane = report.sections[2].blocks[0]
    page.evaluate("globalThis.box = document.querySelector('.plot canvas').getBoundingClientRect()")
    found = []
    for x, y in ((0.3, 0.2), (0.7, 0.2), (0.5, 0.8), (0.75, 0.4)):
        page.move(*page.evaluate(f"[box.x + box.width * {x}, box.y + box.height * {y}]"))
        found.append(int(page.evaluate(f"{CANVAS}.dataset.point")))
        if found[-1] >= 0:
            tile = page.evaluate(
                "(c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 == 0))"
                "(document.querySelector('.tip canvas'))"
            )
            np.testing.assert_array_equal(tile, plane.images[found[-1]].ravel())  # type: ignore[union-attr]
            inside = page.evaluate(
                "(t => t.left >= box.left && t.right < box.right + 1 && t.top >= box.top && t.bottom < box.bottom + 1)"
                "(document.querySelector('.tip').getBoundingClientRect())"
            )
            assert inside
    assert max(found) >= 0, "at least one of the places is near a point"
    page.move(2, 2)
    assert page.evaluate("document.querySelector('.tip').hidden")


def test_a_class_is_hidden_and_shown_again(page: Page) -> None:
    pixels = "new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)"
    colours = f"(c => new Set({pixels}).size)({CANVAS})"
    every = page.evaluate(colours)
    buttons = "[...document.querySelectorAll('.legend button')]"
    page.evaluate(f"{buttons}.forEach(button => button.click())")
    assert page.evaluate(f"{buttons}.map(button => button.ariaPressed)") == ["false"] * 10
    none = page.evaluate(colours)
    page.evaluate(f"{CANVAS}.focus()")
    page.key("ArrowUp")
    assert page.evaluate("document.querySelector('.tip').hidden"), "what is hidden is not found either"
    page.evaluate(f"{buttons}[3].click()")
    one = page.evaluate(colours)
    assert none < one < every
    page.evaluate(f"{buttons}.forEach((button, place) => place === 3 || button.click())")
    assert page.evaluate(colours) == every


def test_tables_are_copied_as_tab_separated_values(page: Page, report: Report) -> None:
    table = report.sections[0].blocks[4]
    expected = "".join("\t".join(row) + "\n" for row in [table.columns, *table.rows])  # type: ignore[union-attr]
    assert page.evaluate("tabSeparated(document.querySelector('figure.table table'))") == expected
    page.evaluate("globalThis.copied = []; navigator.clipboard.writeText = async text => { copied.push(text) }")
    page.evaluate("document.querySelector('figure.table .tool').click()")
    page.evaluate("document.querySelector('.facts .listing .tool').click()")
    page.settle()
    assert page.evaluate("copied") == [expected, report.facts.command]
    assert page.evaluate("document.querySelector('figure.table .tool').textContent") == "Copied"


def test_a_picture_is_enlarged(page: Page) -> None:
    size = page.evaluate("document.querySelector('.highlights img').width")
    page.evaluate("document.querySelector('.highlights .enlarge').click()")
    large = page.evaluate("(i => [i.width, i.alt])(document.querySelector('dialog[open] img'))")
    assert large[0] > 1.5 * size
    assert large[1] == page.evaluate("document.querySelector('.highlights img').alt")
    page.evaluate("document.querySelector('dialog').click()")
    assert page.evaluate("document.querySelector('dialog[open]')") is None


def test_on_paper_no_figure_is_cut(page: Page, tmp_path: Path) -> None:
    page.pdf(tmp_path / "report.pdf")
    pages = printed(tmp_path / "report.pdf")
    pictures = list(chain.from_iterable(pages))
    assert 3 <= len(pages) <= 8
    assert len(set(pictures)) == PICTURES, "the plane's still picture, too"
    assert len(pictures) == PICTURES, "each on one page"
    page.media("print")
    millimetre = 96 / 25.4
    page.resize(round(176 * millimetre))
    page.settle()
    assert page.overflow() == 0
    figures = page.figures()
    assert [figure.kind for figure in figures] == ["img"] * PICTURES
    assert all(figure.visible and figure.block <= 259 * millimetre for figure in figures), "with its caption on a page"
    assert (
        page.evaluate(
            "[...document.querySelectorAll('.contents, button, .stage, .tip')]"
            ".filter(element => element.checkVisibility() && !element.querySelector('img')).length"
        )
        == 0
    ), "nothing to click"


def test_on_dark_screens_paper_is_white(page: Page, tmp_path: Path) -> None:
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.media("print", dark=True)
    page.screenshot(tmp_path / "shot.png", whole=False)
    page.evaluate("delete document.documentElement.dataset.theme")
    assert np.median(np.asarray(Image.open(tmp_path / "shot.png").convert("L"))) == 255


def data() -> str:
    """What the plane was given."""
    return "JSON.parse(document.querySelector('.plane script').textContent)"
