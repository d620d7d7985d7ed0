"""Downloads that are whole and verified, or not there.

A file is streamed to a temporary name of its own beside the target, verified, and renamed. So an interruption leaves no
partial file under the final name, and two processes that fetch the same file at once both succeed: each has its own
temporary file, and either result is the right one.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vaelab.data.progress import Progress, no_progress
from vaelab.errors import DataError
from vaelab.files import sync_folder

_CHUNK = 2**18
_RETRIED_STATUS = (408, 425, 429)  # of the 4xx, those that may pass


class _Failure(Exception):
    """One attempt at one mirror failed; ``again`` where another attempt there may succeed."""

    def __init__(self, reason: str, again: bool) -> None:
        super().__init__(reason)
        self.again = again


@dataclass(frozen=True)
class Retries:
    """How long to try: ``rounds`` over all mirrors; ``pause`` seconds after the first, doubled after each further one;
    ``timeout`` seconds without a byte before a mirror is given up.
    """

    rounds: int = 3
    pause: float = 1.0
    timeout: float = 20.0


def download(
    urls: Sequence[str],
    target: Path,
    verify: Callable[[Path], object],
    max_bytes: int,
    progress: Progress = no_progress,
    retries: Retries | None = None,
) -> None:
    """Fetch ``target`` from the first of ``urls`` that gives at most ``max_bytes`` bytes that pass ``verify``.

    ``verify`` gets the temporary file and raises `DataError`. Raises `DataError` where every mirror failed, with each
    reason, or where the target cannot be written; then there is no file.
    """
    retries = retries or Retries()
    try:
        with _temporary(target) as temporary:
            _first_good(urls, temporary, verify, max_bytes, progress, retries)
            os.replace(temporary, target)
        sync_folder(target.parent)
    except OSError as error:
        raise DataError(
            f"{target}: expected a place to write to, got: {error.strerror or error}; free space or choose another "
            f"place with --data-dir"
        ) from error
    except _Failure as failure:
        raise DataError(
            f"{target}: expected a download, got {failure}; check the connection, set VAELAB_MIRROR to another "
            f"address, or copy the file there"
        ) from failure


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _first_good(
    urls: Sequence[str],
    temporary: Path,
    verify: Callable[[Path], object],
    max_bytes: int,
    progress: Progress,
    retries: Retries,
) -> None:
    reasons: dict[str, str] = {}
    left = list(urls)
    for number in range(retries.rounds):
        if number and left:
            time.sleep(retries.pause * 2 ** (number - 1))
        for url in tuple(left):
            try:
                _attempt(url, temporary, max_bytes, progress, retries.timeout)
                _verify(temporary, verify)
            except _Failure as failure:
                reasons[url] = str(failure)
                if not failure.again:
                    left.remove(url)
            else:
                return
    raise _Failure("; ".join(f"{url}: {reason}" for url, reason in reasons.items()), again=False)


def _verify(temporary: Path, verify: Callable[[Path], object]) -> None:
    try:
        verify(temporary)
    except DataError as error:
        raise _Failure(f"another content than the published one ({error})", again=False) from error


def _attempt(url: str, temporary: Path, max_bytes: int, progress: Progress, timeout: float) -> None:
    with _open(url, timeout) as response, temporary.open("wb") as stream:
        length = response.headers.get("Content-Length", "")
        declared = int(length) if length.isdecimal() else 0
        if declared > max_bytes:
            raise _Failure(f"expected at most {max_bytes} bytes, got {declared}", again=False)
        received = 0
        with progress(url.rsplit("/", 1)[-1], declared) as advance:
            while piece := _read(response):
                received += len(piece)
                if received > max_bytes:
                    raise _Failure(f"expected at most {max_bytes} bytes, got more", again=False)
                stream.write(piece)
                advance(len(piece))
        if declared and received != declared:
            raise _Failure(f"expected {declared} bytes, got {received}", again=True)
        stream.flush()
        os.fsync(stream.fileno())


class _Response(Protocol):
    headers: http.client.HTTPMessage

    def read(self, size: int, /) -> bytes: ...


@contextlib.contextmanager
def _open(url: str, timeout: float) -> Iterator[_Response]:
    try:
        response = urllib.request.urlopen(url, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        again = error.code >= 500 or error.code in _RETRIED_STATUS
        raise _Failure(f"HTTP status {error.code}", again) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Failure(_reason(error), again=True) from error
    except ValueError as error:  # an address that is none, from VAELAB_MIRROR
        raise _Failure(str(error), again=False) from error
    with response:
        yield response


def _read(response: _Response) -> bytes:
    """Apart from writing, so that a network error is not taken for a full disk."""
    try:
        return response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _Failure(_reason(error), again=True) from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error) or type(error).__name__
