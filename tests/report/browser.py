"""A headless Chromium for tests: opens a page from disk, listens to what it does, measures, and draws it.

It is driven with the DevTools protocol over two pipes (file descriptors 3 and 4 of the browser), so nothing but the
browser is needed and no port is opened.

    with Browser() as browser:
        page = browser.open(Path("report.html"), width=400)
        assert not page.console_errors and not page.requests
        page.screenshot(Path("report.png"))
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import select
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from vaelab.report.pdf import arguments, find_browser

available = find_browser


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are not numbers 3 and 4, which the browser's are to be."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]


_FIGURES = """[...document.querySelectorAll('main img, main .plot canvas')]
  .filter(element => !element.closest('.plane.live') || element.checkVisibility()).map(element => {
  const box = element.getBoundingClientRect(), figure = element.closest('figure').getBoundingClientRect();
  return {kind: element.tagName.toLowerCase(), alt: element.alt ?? element.getAttribute('aria-label'),
    x: box.x + scrollX, y: box.y + scrollY, width: box.width, height: box.height, block: figure.height,
    loaded: element.tagName !== 'IMG' || (element.complete && element.naturalWidth > 0),
    visible: element.checkVisibility({visibilityProperty: true, opacityProperty: true})};
})"""


@dataclass(frozen=True)
class Shown:
    """A picture or canvas of the page: place and size in CSS pixels; ``block``: its figure's height with caption."""

    kind: str
    alt: str
    x: float
    y: float
    width: float
    height: float
    block: float
    loaded: bool
    visible: bool


def printed(pdf: Path) -> list[list[int]]:
    """Of each page of a PDF that Chromium wrote: the numbers of the pictures on it.

    One that is cut by the end of a page is on two of them.
    """
    data = pdf.read_bytes()
    pictures = {int(number) for number in re.findall(rb"(\d+) 0 obj\n<<[^>]*/Subtype /Image\b", data)}
    found = []
    for page in re.findall(rb"<</Type /Page\n.*?endobj", data, re.DOTALL):
        names = re.search(rb"/XObject <<(.*?)>>", page, re.DOTALL)
        numbers = re.findall(rb"(\d+) 0 R", names[1]) if names else []
        found.append(sorted({int(number) for number in numbers} & pictures))
    return found


class Browser:
    """One process; a page is a tab."""

    def __init__(self, timeout: float = 60) -> None:
        self.timeout = timeout
        self._waiting: list[dict[str, Any]] = []
        self._rest = b""
        self._number = 0

    def __enter__(self) -> Browser:
        executable = find_browser()
        assert executable, "no Chromium or Chrome on the PATH"
        self._folder = tempfile.TemporaryDirectory(prefix="vaelab-browser-", ignore_cleanup_errors=True)
        (theirs_in, self._to), (self._from, theirs_out) = _pipe(), _pipe()
        command = [*arguments(executable, Path(self._folder.name)), "--remote-debugging-pipe", "--hide-scrollbars"]
        # The shell only moves the pipes to the numbers that Chromium expects.
        moved = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out} {theirs_in}<&- {theirs_out}>&-'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", moved, "browser", *command],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.call("Browser.close")
            self._process.wait(10)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
        os.close(self._to)
        os.close(self._from)
        self._folder.cleanup()

    def open(
        self, path: Path, width: int = 1280, height: int = 900, *, dark: bool = False, scripts: bool = True
    ) -> Page:
        """``path`` in a new tab of ``width × height`` CSS pixels; returns when it is loaded and laid out."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session, target)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.resize(width, height)
        page.media("screen", dark=dark)
        if not scripts:
            page.call("Emulation.setScriptExecutionDisabled", {"value": True})
        page.call("Page.navigate", {"url": path.resolve().as_uri()})
        page.wait("Page.loadEventFired")
        if not scripts:  # those of the page are past; what is asked of it needs them
            page.call("Emulation.setScriptExecutionDisabled", {"value": False})
        page.settle()
        return page

    def call(self, method: str, parameters: dict[str, Any] | None = None, session: str = "") -> dict[str, Any]:
        """The answer to a command of the DevTools protocol; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        number = self._number
        while True:
            answer = self._read(method)
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                found: dict[str, Any] = answer["result"]
                return found
            self._waiting.append(answer)

    def events(self, session: str, until: str = "") -> list[dict[str, Any]]:
        """Events of a tab since the last call; with ``until``, up to the first of that name."""
        mine = [message for message in self._waiting if message.get("sessionId") == session]
        self._waiting = [message for message in self._waiting if message.get("sessionId") != session]
        while until and not any(message.get("method") == until for message in mine):
            message = self._read(until)
            (mine if message.get("sessionId") == session else self._waiting).append(message)
        return mine

    def _read(self, what: str) -> dict[str, Any]:
        end = time.monotonic() + self.timeout
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"the browser did not answer within {self.timeout:g} s: {what}"
            data = os.read(self._from, 1 << 20)
            assert data, f"the browser ended: {what}"
            self._rest += data
        message, self._rest = self._rest.split(b"\0", 1)
        found: dict[str, Any] = json.loads(message)
        return found


class Page:
    """A tab that shows one file."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser, self._session, self._target = browser, session, target
        self._events: list[dict[str, Any]] = []

    def call(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        """A command of the DevTools protocol for this tab."""
        return self._browser.call(method, parameters, self._session)

    def wait(self, event: str) -> None:
        """Until ``event`` has come."""
        self._events += self._browser.events(self._session, event)

    def evaluate(self, expression: str) -> Any:
        """What a JavaScript expression gives, as JSON; promises are awaited."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", asked)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def settle(self) -> None:
        """Until pictures are decoded and two frames are drawn, which only the tab in front does."""
        self.call("Page.bringToFront")
        self.evaluate(
            "Promise.all([...document.images].map(image => image.decode().catch(() => 0)))"
            ".then(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1)))))"
        )

    def resize(self, width: int, height: int = 900) -> None:
        """Another window."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", size)

    def media(self, media: str, *, dark: bool = False) -> None:
        """``screen`` or ``print``, light or dark."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})

    @property
    def console_errors(self) -> list[str]:
        """Errors and warnings: of scripts, of the console, of the browser (a refused script or style, for instance)."""
        found = []
        for event in self._all():
            values = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                details = values["exceptionDetails"]
                found.append(details.get("exception", {}).get("description") or details["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and values["type"] in {"error", "warning", "assert"}:
                found.append(str([argument.get("value") for argument in values["args"]]))
            elif event["method"] == "Log.entryAdded" and values["entry"]["level"] in {"error", "warning"}:
                found.append(values["entry"]["text"])
        return found

    @property
    def requests(self) -> list[str]:
        """Every address that was asked for, other than the page itself and what is inside it."""
        asked = [event["params"] for event in self._all() if event["method"] == "Network.requestWillBeSent"]
        first = [values for values in asked if values["type"] == "Document"][:1]
        found = [values["request"]["url"] for values in asked if values not in first]
        return [url for url in found if not url.startswith(("data:", "about:"))]

    @property
    def dialogs(self) -> list[str]:
        """What ``alert`` and its like said."""
        return [
            event["params"]["message"] for event in self._all() if event["method"] == "Page.javascriptDialogOpening"
        ]

    def figures(self) -> list[Shown]:
        """Every picture; of an interactive plane the canvas or the still picture, whichever is shown."""
        return [Shown(**values) for values in self.evaluate(_FIGURES)]

    def overflow(self) -> float:
        """By how many pixels the page is wider than its window; 0 where it need not be moved sideways."""
        root = "document.documentElement"
        return float(self.evaluate(f"Math.max({root}.scrollWidth, document.body.scrollWidth) - {root}.clientWidth"))

    def key(self, name: str) -> None:
        """Press and let go of a key: ``ArrowLeft``, ``Tab``, ``Escape``."""
        for kind in ("keyDown", "keyUp"):
            codes = {"Tab": 9, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
            self.call(
                "Input.dispatchKeyEvent",
                {"type": kind, "key": name, "code": name, "windowsVirtualKeyCode": codes.get(name, 0)},
            )

    def move(self, x: float, y: float) -> None:
        """Move the mouse to a place in the window."""
        self.call("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})

    def click(self, x: float, y: float) -> None:
        """Click at a place in the window."""
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1})

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """The page (or, not ``whole``, the window) as a PNG."""
        asked = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            asked["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", asked)["data"]))

    def pdf(self, path: Path) -> None:
        """The page as it is printed, on the paper that it asks for; no medium is emulated after that."""
        self.call("Emulation.setEmulatedMedia", {"media": "", "features": []})
        answer = self.call("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})
        path.write_bytes(base64.b64decode(answer["data"]))

    def close(self) -> None:
        """Close the tab."""
        self._browser.call("Target.closeTarget", {"targetId": self._target})

    def _all(self) -> list[dict[str, Any]]:
        self.evaluate("1")
        self._events += self._browser.events(self._session)
        return self._events
