from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vaelab.data.download import Retries, download
from vaelab.errors import DataError

BODY = bytes(range(256)) * 40
QUICK = Retries(rounds=3, pause=0.0, timeout=5.0)


def verify(path: Path) -> None:
    if path.read_bytes() != BODY:
        raise DataError(f"{path}: another content")


def get(urls: list[str], target: Path, **options: Any) -> None:
    download(urls, target, **{"verify": verify, "max_bytes": 20_000, "retries": QUICK, **options})


def assert_nothing_left(folder: Path) -> None:
    assert not folder.exists() or os.listdir(folder) == []


def test_a_file_is_fetched_into_a_new_folder_and_nothing_else_is_left(tmp_path: Path, server: Any) -> None:
    server.answers["/a"] = [BODY]
    get([f"{server.base}/a"], tmp_path / "new" / "a")
    assert (tmp_path / "new" / "a").read_bytes() == BODY
    assert os.listdir(tmp_path / "new") == ["a"]


def test_progress_counts_all_bytes(tmp_path: Path, server: Any, recorder: Any) -> None:
    server.answers["/a"] = [BODY]
    get([f"{server.base}/a"], tmp_path / "a", progress=recorder)
    assert recorder.seen == [("a", len(BODY), len(BODY))]


TRANSIENT = {
    "status 500": 500,
    "status 503": 503,
    "status 429": 429,
    "truncated body": (BODY[:100], len(BODY)),
}


@pytest.mark.parametrize("case", TRANSIENT)
def test_what_may_pass_is_tried_again(tmp_path: Path, server: Any, case: str) -> None:
    server.answers["/a"] = [TRANSIENT[case], TRANSIENT[case], BODY]
    get([f"{server.base}/a"], tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert server.asked == ["/a"] * 3


PERMANENT = {
    "status 404": (404, "HTTP status 404"),
    "wrong content": (b"<html>log in</html>", "another content than the published one"),
    "too large": (bytes(20_001), "expected at most 20000 bytes, got 20001"),
}


@pytest.mark.parametrize("case", PERMANENT)
def test_what_will_not_pass_is_not_tried_again_and_the_next_mirror_is(tmp_path: Path, server: Any, case: str) -> None:
    server.answers |= {"/a": [PERMANENT[case][0]], "/b": [BODY]}
    get([f"{server.base}/a", f"{server.base}/b"], tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == BODY
    assert server.asked == ["/a", "/b"]


@pytest.mark.parametrize("case", [*TRANSIENT, *PERMANENT])
def test_where_every_mirror_fails_each_reason_is_told_and_no_file_is_left(
    tmp_path: Path, server: Any, case: str
) -> None:
    answer = TRANSIENT.get(case) or PERMANENT[case][0]
    server.answers["/a"] = [answer]
    with pytest.raises(DataError) as refused:
        get([f"{server.base}/a", f"{server.base}/missing"], tmp_path / "folder" / "file")
    sentence = str(refused.value)
    assert sentence.startswith(f"{tmp_path / 'folder' / 'file'}: expected a download, got {server.base}/a: ")
    assert f"{server.base}/missing: HTTP status 404" in sentence
    assert "check the connection, set VAELAB_MIRROR" in sentence
    if case in PERMANENT:
        assert PERMANENT[case][1] in sentence
    assert_nothing_left(tmp_path / "folder")


def test_a_body_longer_than_declared_or_of_unknown_length_is_capped(tmp_path: Path) -> None:
    # A file address declares no more than what is there; cap by what came rather than by what was said.
    (tmp_path / "source").write_bytes(bytes(30_000))
    with pytest.raises(DataError, match="expected at most 20000 bytes"):
        get([(tmp_path / "source").as_uri()], tmp_path / "target")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a", "no-address", "gopher://x/y", "http://[bad/x"])
def test_addresses_that_lead_nowhere_are_a_sentence(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match="expected a download, got "):
        get([url], tmp_path / "a")


def test_a_place_that_cannot_be_written_is_a_sentence_and_not_the_mirrors_fault(tmp_path: Path, server: Any) -> None:
    server.answers["/a"] = [BODY]
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"expected a place to write to, got: .*; free space or choose another place"):
        get([f"{server.base}/a"], tmp_path / "file" / "a")


def test_a_full_disk_keeps_no_partial_file(tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers["/a"] = [BODY]

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vaelab.data.download.os.fsync", full)
    with pytest.raises(DataError, match="got: No space left on device; free space"):
        get([f"{server.base}/a"], tmp_path / "folder" / "a")
    assert_nothing_left(tmp_path / "folder")
    assert server.asked == ["/a"]


def test_an_interruption_leaves_no_file(tmp_path: Path, server: Any) -> None:
    server.answers["/a"] = [BODY]

    @contextmanager
    def interrupted(_: str, __: int) -> Iterator[Callable[[int], None]]:
        def advance(_: int) -> None:
            raise KeyboardInterrupt

        yield advance

    with pytest.raises(KeyboardInterrupt):
        get([f"{server.base}/a"], tmp_path / "folder" / "a", progress=interrupted)
    assert_nothing_left(tmp_path / "folder")


SCRIPT = """
import sys, types
from pathlib import Path
import vaelab
package = types.ModuleType("vaelab.data")  # without what the package imports: torch takes seconds
package.__path__ = [str(Path(vaelab.__file__).parent / "data")]
sys.modules["vaelab.data"] = package
from vaelab.data.download import download
body = bytes(range(256)) * 40
download([sys.argv[1]], Path(sys.argv[2]), lambda path: None, 20_000)
assert Path(sys.argv[2]).read_bytes() == body
"""


def test_two_processes_at_once_both_succeed(tmp_path: Path, server: Any) -> None:
    server.answers["/a"] = [BODY]
    server.barrier = threading.Barrier(2)  # neither is answered before both have asked
    command = [sys.executable, "-c", SCRIPT, f"{server.base}/a", str(tmp_path / "folder" / "a")]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    errors = [process.communicate(timeout=60)[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    assert os.listdir(tmp_path / "folder") == ["a"]
