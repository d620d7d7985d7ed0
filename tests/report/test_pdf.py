"""Printing without a browser, with one that fails, one that hangs, and a real one."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from vaelab.errors import VaelabError
from vaelab.report import pdf
from vaelab.report.blocks import Report
from vaelab.report.html import render
from vaelab.report.pdf import find_browser, print_pdf


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "a report.html"
    path.write_text("<!DOCTYPE html><title>t</title><p>words")
    return path


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program called chromium, before all others on the PATH."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "chromium"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")


def test_without_a_browser_the_remedy_is_said(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(page.parent))
    monkeypatch.setattr(pdf, "BROWSERS", ("chromium", "google-chrome"))
    assert find_browser() is None
    with pytest.raises(VaelabError, match=r"needs Chromium or Chrome, and none is on the PATH; install one, or open"):
        print_pdf(page, page.with_suffix(".pdf"))


def test_a_missing_page_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "exit 0")
    with pytest.raises(VaelabError, match=r"^cannot print .*nothing\.html: no such file$"):
        print_pdf(tmp_path / "nothing.html", tmp_path / "a.pdf")


def test_a_browser_that_fails_keeps_the_earlier_file(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = page.with_suffix(".pdf")
    target.write_bytes(b"old")
    stand_in(page.parent, monkeypatch, "echo first >&2; echo 'no display' >&2; exit 1")
    with pytest.raises(VaelabError, match=r"could not print .*a report\.html: no display$"):
        print_pdf(page, target)
    assert target.read_bytes() == b"old"


def test_a_browser_that_hangs_is_ended_with_its_children(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(page.parent, monkeypatch, f"sleep 60 & echo $! > {page.parent}/child\nwait")
    start = time.monotonic()
    with pytest.raises(VaelabError, match=r"did not print .* within 1 s$"):
        print_pdf(page, page.with_suffix(".pdf"), timeout=1)
    assert time.monotonic() - start < 20
    child = int((page.parent / "child").read_text())
    end = time.monotonic() + 10
    while _alive(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _alive(child)


def test_a_program_that_is_none_is_one_sentence(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(page.parent, monkeypatch, "")
    (page.parent / "bin" / "chromium").write_bytes(b"\x7fELF nonsense")
    with pytest.raises(VaelabError, match=r"^cannot start .*chromium: "):
        print_pdf(page, page.with_suffix(".pdf"))


@pytest.mark.skipif(find_browser() is None, reason="no Chromium or Chrome on the PATH")
def test_a_report_is_printed(tmp_path: Path, report: Report) -> None:
    html, target = tmp_path / "réport #1 %20.html", tmp_path / "new" / "réport.pdf"
    html.write_text(render(report), encoding="utf-8")
    print_pdf(html, target)
    data = target.read_bytes()
    assert data.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type /Page\b", data)) <= 9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", html.name]


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"
