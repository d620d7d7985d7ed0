"""A report on paper: printed to PDF by an installed Chromium or Chrome, which is given no network."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from vaelab.errors import VaelabError
from vaelab.files import write_atomic

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "chrome-headless-shell",
    "headless_shell",
    "microsoft-edge",
    "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
"""Looked for in this order, on the PATH."""

QUIET = (
    "--headless",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-breakpad",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--mute-audio",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
    "--password-store=basic",
    "--use-mock-keychain",
)
"""No window, no network, nothing kept."""


def find_browser() -> str | None:
    """The first browser on the PATH that can print, or None."""
    found = (shutil.which(name) for name in BROWSERS)
    return next((path for path in found if path), None)


def arguments(browser: str, profile: Path) -> list[str]:
    """The command that starts ``browser`` without a window or network; its files go into the folder ``profile``."""
    # The sandbox of Chromium refuses to work for the superuser, who is what a container often runs as.
    root = getattr(os, "geteuid", lambda: 1)() == 0
    return [browser, *QUIET, f"--user-data-dir={profile}", *(["--no-sandbox"] if root else [])]


def print_pdf(html: Path, pdf: Path, timeout: float = 120) -> None:
    """Print the page ``html`` to the file ``pdf`` as A4, whole or not at all; ``timeout`` in seconds.

    Raises `VaelabError` where there is no browser, it fails, or it takes longer.
    """
    browser = find_browser()
    if browser is None:
        raise VaelabError(
            f"printing {html} to PDF needs Chromium or Chrome, and none is on the PATH; install one, "
            "or open the report in any browser and print it there"
        )
    if not html.is_file():
        raise VaelabError(f"cannot print {html}: no such file")
    with tempfile.TemporaryDirectory(prefix="vaelab-print-", ignore_cleanup_errors=True) as folder:
        printed = Path(folder) / "report.pdf"
        command = [
            *arguments(browser, Path(folder) / "profile"),
            "--no-pdf-header-footer",
            f"--print-to-pdf={printed}",
            html.resolve().as_uri(),
        ]
        words = _run(command, html, timeout)
        data = printed.read_bytes() if printed.is_file() else b""
    if not data.startswith(b"%PDF"):
        raise VaelabError(f"{browser} could not print {html}" + (f": {words}" if words else ""))
    write_atomic(pdf, data)


def _run(command: list[str], html: Path, timeout: float) -> str:
    """Run to the end; the last line that was said."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
    except OSError as error:
        raise VaelabError(f"cannot start {command[0]}: {error.strerror or error}") from None
    with process:
        try:
            said = process.communicate(timeout=timeout)[1]
        except BaseException as error:
            _end(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise VaelabError(f"{command[0]} did not print {html} within {timeout:g} s") from None
            raise
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """The browser and the processes that it started, which hold on to its output."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
