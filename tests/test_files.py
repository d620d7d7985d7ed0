"""Atomic writes: the old content or the new, whatever fails, and nothing left behind."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from vaelab.errors import VaelabError
from vaelab.files import sha256, sync_folder, write_atomic, write_text_atomic


def test_sha256_is_the_standard_one() -> None:
    assert sha256(b"abc") == hashlib.sha256(b"abc").hexdigest()


def test_a_file_and_its_folders_are_made_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    for data in (b"", b"one", b"two" * 100_000):
        write_atomic(path, data)
        assert path.read_bytes() == data
    write_text_atomic(path, "zwölf\n")
    assert path.read_bytes() == "zwölf\n".encode()
    assert os.listdir(path.parent) == ["file.txt"]
    sync_folder(path.parent)


def test_rights_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "file", b"x")
        assert os.umask(0o027) == 0o027, "the umask is put back"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("call", ["os.replace", "os.fsync", "os.fdopen", "os.fchmod", "tempfile.mkstemp"])
def test_a_failing_disk_is_one_sentence_and_keeps_what_stood_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(*args: Any, **_: Any) -> None:
        if call == "os.fdopen":
            os.close(args[0])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(call, full)
    with pytest.raises(VaelabError) as caught:
        write_atomic(path, b"new")
    assert str(caught.value) == f"cannot write {path}: No space left on device; free space or choose another place"
    assert os.listdir(tmp_path) == ["file"]
    assert path.read_bytes() == b"old"


def test_places_that_cannot_hold_a_file_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write_atomic(tmp_path / "file", b"old")
    for path in (tmp_path / "folder", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        with pytest.raises(VaelabError, match=r"^cannot write .*; free space or choose another place$"):
            write_atomic(path, b"new")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_rights_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(VaelabError, match="Permission denied"):
            write_atomic(tmp_path / "file", b"new")
    finally:
        tmp_path.chmod(0o700)


class KilledHere(BaseException):
    pass


@pytest.mark.parametrize("call", ["replace", "fsync", "fchmod"])
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_leaves_the_old_content_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, after: bool
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    real = getattr(os, call)

    def killed(*args: Any) -> None:
        if after:
            real(*args)
        raise KilledHere

    with monkeypatch.context() as patch, contextlib.suppress(KilledHere):
        patch.setattr(os, call, killed)
        write_atomic(path, b"new")
    assert path.read_bytes() == (b"new" if (call, after) == ("replace", True) else b"old")
