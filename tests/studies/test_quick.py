"""Every study, quick and complete: its report in a real browser, its notebook run, every row of its sheet answered."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from tests.report.browser import Browser, available, printed
from vaelab.cli import main
from vaelab.studies import NAMES, get
from vaelab.studies.asking import stored_settings
from vaelab.studies.results import Results
from vaelab.studies.store import Store

ROWS = {"A": 11, "B": 6, "C": 20, "D": 6, "E": 14}
"""Sheet → how many rows it has."""

WITH_NOTEBOOK = "gaussian-elbo"
"""Its notebook is run by a kernel; the cells of the others here."""

ALWAYS = ("gaussian-elbo",)
"""This one is made in `make test`, the others with the long tests: a study takes half a minute."""

WIDTHS = (1280, 400)


class Read(HTMLParser):
    """Ids, pictures, and what would be loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if "id" in found:
            self.ids.append(found["id"] or "")
        if tag == "img":
            self.pictures.append(found)
        self.loaded += [found[key] or "" for key in ("src", "srcset", "data") if key in found]
        if tag == "link":
            self.loaded.append(found.get("href") or "")


@pytest.mark.parametrize(
    "name", [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.long) for name in NAMES]
)
def test_a_quick_study_is_complete(name, tmp_path, capsys, monkeypatch):
    out = tmp_path / "study"
    words = ["study", "run", name, "--quick", "--out", str(out), "--jobs", "1", "--json", "--quiet"]
    assert main(words if name == WITH_NOTEBOOK else [*words, "--no-notebook"]) == 0
    answer = json.loads(capsys.readouterr().out)[name]
    study = get(name)
    assert answer["notes"] == []
    assert answer["verdicts"]
    text = (out / "report.html").read_text(encoding="utf-8")
    check_text(text, study.sheet)
    if name == WITH_NOTEBOOK:
        check_notebook(out / "report.ipynb")
    else:
        run_cells(study, out, monkeypatch)
        capsys.readouterr()
    check_links(text, out)
    if available():
        look(out / "report.html", tmp_path)
    check_reuse(name, out, capsys)


def check_text(text: str, sheet: str) -> None:
    read = Read(text)
    for number in range(1, ROWS[sheet] + 1):
        assert f"row-{sheet}{number}" in read.ids
    assert len(read.ids) == len(set(read.ids))
    assert len(read.pictures) >= 3
    assert all(picture.get("alt") for picture in read.pictures)
    assert all(address.startswith("data:") for address in read.loaded)
    # A number that came out as nothing, or a value that was never put in.
    shown = re.sub(r"<(script|style|code|pre)\b.*?</\1>|data:image[^\"]*", "", text, flags=re.DOTALL)
    words = re.sub(r"<[^>]*>", " ", shown)
    for word in ("nan", "None(?! of)", "inf"):
        found = re.search(rf".{{0,60}}(?<![\w-]){word}(?![\w-]).{{0,60}}", words)
        assert found is None, found


def check_notebook(file: Path) -> None:
    cells = [cell for cell in json.loads(file.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert all(cell["execution_count"] for cell in cells)
    kinds = [output["output_type"] for cell in cells for output in cell["outputs"]]
    assert "error" not in kinds
    assert [name for name in kinds if name != "stream"], "a notebook shows a figure or a value"


def run_cells(study, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebook's cells one after another, without the seconds that a kernel needs to start."""
    store = Store.open(out, study.name)
    cells = study.cells(Results(stored_settings(study, store), store))
    names: dict[str, object] = {}
    with monkeypatch.context() as patch:
        patch.chdir(out)
        for cell in cells:
            exec(compile(cell.code, study.name, "exec"), names)
    assert len(cells) >= 4


def check_links(text: str, out: Path) -> None:
    """What the report says lies beside it is there."""
    links = [link for link in re.findall(r'href="([^"#][^"]*)"', text) if not link.startswith("data:")]
    assert links
    assert [link for link in links if not (out / link).exists()] == []


def look(report: Path, folder: Path) -> None:
    with Browser() as browser:
        for width in WIDTHS:
            page = browser.open(report, width=width)
            assert page.console_errors == []
            assert page.requests == []
            assert page.overflow() <= 0
            figures = page.figures()
            assert len(figures) >= 3
            for figure in figures:
                assert figure.loaded, figure
                assert figure.visible, figure
                assert figure.width >= 40, figure
                assert figure.height >= 20, figure
                assert figure.x + figure.width <= width + 1, figure
            page.close()
        page = browser.open(report)
        page.pdf(folder / "report.pdf")
    pages = printed(folder / "report.pdf")
    assert len({number for page in pages for number in page}) >= 3
    # A highlight comes again in its section; a picture on two pages running is cut.
    for page, following in pairwise(pages):
        assert not set(page) & set(following), "a picture is cut by the end of a page"


def check_reuse(name: str, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same again computes nothing; the report is redrawn to the same bytes."""
    before = (out / "report.html").read_bytes()
    steps = {file: file.read_bytes() for file in (out / "steps").iterdir()}
    words = ["study", "run", name, "--out", str(out), "--redraw", "--no-notebook", "--quiet"]
    assert main(words) == 0
    capsys.readouterr()
    assert {file: file.read_bytes() for file in (out / "steps").iterdir()} == steps
    assert (out / "report.html").read_bytes() == before
