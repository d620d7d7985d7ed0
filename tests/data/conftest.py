"""What the tests of the data share: a tiny published data set, a web server, and no way to the user's own files."""

from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from vaelab.data import sources
from vaelab.data.sources import Source, SourceFile


@pytest.fixture(autouse=True)
def _isolated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VAELAB_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    if request.node.get_closest_marker("real") is None:
        monkeypatch.delenv("VAELAB_DATA", raising=False)
        monkeypatch.setattr(sources, "user_cache_dir", lambda _: str(tmp_path / "cache"))


def idx_bytes(values: npt.NDArray[np.uint8]) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


@dataclass
class Tiny:
    """A data set of four IDX files as small as can be, with the gzipped content of each by name."""

    source: Source
    files: dict[str, bytes]

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    random = np.random.default_rng(0)
    shapes = {"train-images": (5, 8, 9), "train-labels": (5,), "test-images": (3, 8, 9), "test-labels": (3,)}
    files: dict[str, bytes] = {}
    described = []
    for name, shape in shapes.items():
        content = idx_bytes(random.integers(0, 256 if len(shape) == 3 else 2, shape, dtype=np.uint8))
        files[f"{name}.gz"] = gzip.compress(content)
        described.append(SourceFile(f"{name}.gz", len(shape), len(content), hashlib.sha256(content).hexdigest()))
    source = Source("tiny", "a tiny data set", ("a", "b"), ("http://127.0.0.1:9/unused/",), *described)
    monkeypatch.setitem(sources.SOURCES, "tiny", source)
    return Tiny(source, files)


class Recorder:
    """A progress that remembers (description, total, sum of the advances)."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []

    @contextmanager
    def __call__(self, description: str, total: int) -> Iterator[Callable[[int], None]]:
        steps: list[int] = []
        yield steps.append
        self.seen.append((description, total, sum(steps)))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


Answer = int | bytes | tuple[bytes, int]
"""An HTTP status, a body, or a body and the (wrong) length that is declared for it."""


@dataclass
class Server:
    """Path → the answers to give one after the other, the last one for ever; unknown paths are 404."""

    base: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    barrier: threading.Barrier | None = None

    def publish(self, prefix: str, files: dict[str, bytes]) -> str:
        self.answers |= {f"/{prefix}/{name}": [content] for name, content in files.items()}
        return f"{self.base}/{prefix}"

    def next_answer(self, path: str) -> Answer:
        self.asked.append(path)
        answers = self.answers.get(path, [404])
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if state.barrier is not None:
                state.barrier.wait(timeout=60)
            answer = state.next_answer(self.path)
            if isinstance(answer, int):
                self.send_error(answer)
                return
            body, length = answer if isinstance(answer, tuple) else (answer, len(answer))
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        state = Server(f"http://127.0.0.1:{running.server_port}")
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        running.shutdown()
        thread.join()
