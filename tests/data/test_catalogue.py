from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from vaelab.data import check, fetch, list_datasets
from vaelab.data.download import Retries
from vaelab.errors import DataError, UsageError

ONCE = Retries(rounds=1, pause=0.0, timeout=5.0)


def where(name: str, data_dir: Path | None = None) -> str:
    return next(str(row["where"]) for row in list_datasets(data_dir) if row["name"] == name)


def test_a_row_says_what_a_data_set_is() -> None:
    rows = {row["name"]: row for row in list_datasets()}
    assert set(rows) == {"digits", "fashion-mnist", "mnist"}
    assert (rows["mnist"]["train"], rows["mnist"]["test"], rows["mnist"]["shape"]) == (60_000, 10_000, (1, 28, 28))
    assert rows["mnist"]["where"] == "not fetched"
    assert rows["digits"]["where"] == "embedded in scikit-learn"


def test_files_are_looked_for_in_the_argument_then_the_environment_then_the_cache(
    tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert where("tiny") == "not fetched"
    cache = tiny.write(tmp_path / "cache" / "data" / "tiny")
    assert where("tiny") == str(cache)
    monkeypatch.setenv("VAELAB_DATA", str(tmp_path / "environment"))
    environment = tiny.write(tmp_path / "environment" / "tiny")
    assert where("tiny") == str(environment)
    flat = tiny.write(tmp_path / "argument")
    assert where("tiny", tmp_path / "argument") == str(flat)
    nested = tiny.write(tmp_path / "argument" / "tiny")
    assert where("tiny", tmp_path / "argument") == str(nested)


def test_fetch_downloads_what_is_missing_and_only_that(tmp_path: Path, tiny: Any, server: Any, recorder: Any) -> None:
    base = server.publish("mirror", tiny.files)
    tiny.write(tmp_path / "tiny")
    (tmp_path / "tiny" / "test-labels.gz").unlink()
    assert fetch("tiny", tmp_path, mirrors=[base], progress=recorder) == tmp_path / "tiny"
    assert server.asked == ["/mirror/test-labels.gz"]
    assert [description for description, _, _ in recorder.seen] == ["test-labels.gz"]
    assert fetch("tiny", tmp_path, offline=True) == tmp_path / "tiny"
    assert all(row["ok"] for row in check("tiny", tmp_path))


def test_fetch_goes_to_the_cache_by_default_and_tries_the_mirror_of_the_environment_first(
    tmp_path: Path, tiny: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish("preferred/tiny", dict(list(tiny.files.items())[:3]))
    known = server.publish("known", tiny.files)
    monkeypatch.setenv("VAELAB_MIRROR", f"{server.base}/preferred/")
    assert fetch("tiny", mirrors=[known], retries=ONCE) == tmp_path / "cache" / "data" / "tiny"
    assert server.asked[:3] == [f"/preferred/tiny/{name}" for name in list(tiny.files)[:3]]
    assert server.asked[3:] == ["/preferred/tiny/test-labels.gz", "/known/test-labels.gz"]


def test_another_content_than_the_published_one_is_not_kept(tmp_path: Path, tiny: Any, server: Any) -> None:
    foreign = dict.fromkeys(tiny.files, gzip.compress(b"\0\0\x08\x03foreign"))
    base = server.publish("mirror", foreign)
    with pytest.raises(
        DataError, match=r"train-images\.gz: expected a download, got .*another content than the published"
    ):
        fetch("tiny", tmp_path, mirrors=[base], retries=ONCE)
    assert list((tmp_path / "tiny").iterdir()) == []


def test_offline_never_asks_and_says_what_to_do(tmp_path: Path, tiny: Any, server: Any) -> None:
    base = server.publish("mirror", tiny.files)
    sentence = f"tiny: expected its 4 files in {tmp_path}/tiny or .*, got none; run `vaelab data fetch tiny`"
    with pytest.raises(DataError, match=sentence):
        fetch("tiny", tmp_path, offline=True, mirrors=[base])
    assert server.asked == []
    tiny.write(tmp_path / "tiny")
    (tmp_path / "tiny" / "test-labels.gz").unlink()
    with pytest.raises(DataError, match=r"got .*/tiny without test-labels\.gz; run `vaelab data fetch tiny`"):
        fetch("tiny", tmp_path, offline=True)


def test_fetch_refuses_a_damaged_file_and_leaves_it(tmp_path: Path, tiny: Any) -> None:
    folder = tiny.write(tmp_path / "tiny")
    (folder / "train-images.gz").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"train-images\.gz: expected .*; delete it and run `vaelab data fetch tiny`"):
        fetch("tiny", tmp_path)
    assert (folder / "train-images.gz").read_bytes() == b"mine"


def test_check_names_each_files_state(tmp_path: Path, tiny: Any) -> None:
    folder = tiny.write(tmp_path / "tiny")
    content = bytearray(gzip.decompress(tiny.files["train-images.gz"]))
    content[-1] ^= 1
    (folder / "train-images.gz").write_bytes(gzip.compress(content))
    (folder / "train-labels.gz").write_bytes(b"damaged")
    (folder / "test-images.gz").unlink()
    first, second, third, fourth = check("tiny", tmp_path)
    assert not first["ok"]
    assert len(first["actual"]) == 64
    assert "is not the published train-images.gz; delete it and run `vaelab data fetch tiny`" in first["problem"]
    assert (second["ok"], second["actual"]) == (False, None)
    assert "magic number" in second["problem"]
    assert (third["ok"], third["path"]) == (False, str(folder / "test-images.gz"))
    assert "is missing; run `vaelab data fetch tiny`" in third["problem"]
    assert fourth["ok"]
    assert fourth["actual"] == fourth["expected"]
    assert fourth["problem"] is None


def test_the_digits_need_no_files() -> None:
    assert (fetch("digits") / "digits.csv.gz").is_file()
    assert [row["ok"] for row in check("digits")] == [True]


@pytest.mark.parametrize("command", [fetch, check])
def test_an_unknown_name_brings_the_nearest(command: Any) -> None:
    with pytest.raises(UsageError, match="unknown data set 'mnits'; did you mean mnist"):
        command("mnits")
