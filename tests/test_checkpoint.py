"""Checkpoints: what goes in comes out, whatever is damaged is refused, and a kill at any moment loses nothing."""

from __future__ import annotations

import io
import json
import os
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from vaelab import checkpoint as module
from vaelab.checkpoint import (
    Checkpoint,
    has_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from vaelab.errors import CheckpointError
from vaelab.files import sha256

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int8,
    torch.uint8,
    torch.bool,
]


def make(step: int = 1) -> Checkpoint:
    return Checkpoint(
        tensors={
            "model": {"weight": torch.full((3, 4), float(step)), "bias": torch.full((4,), float(step))},
            "optimizer": {"0.step": torch.tensor(float(step))},
            "random": {"generator": torch.full((16,), step % 256, dtype=torch.uint8)},
        },
        state={"step": step, "epoch": 0, "best": None},
    )


def same(one: Checkpoint, other: Checkpoint) -> bool:
    return (
        one.state == other.state
        and one.tensors.keys() == other.tensors.keys()
        and all(
            one.tensors[group].keys() == other.tensors[group].keys()
            and all(same_bits(one.tensors[group][key], other.tensors[group][key]) for key in one.tensors[group])
            for group in one.tensors
        )
    )


def same_bits(one: Tensor, other: Tensor) -> bool:
    def raw(tensor: Tensor) -> bytes:
        return bytes(tensor.detach().contiguous().flatten().view(torch.uint8).numpy()) if tensor.numel() else b""

    return one.dtype == other.dtype and one.shape == other.shape and raw(one) == raw(other)


def edit_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "last.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder: Path, *words: str) -> str:
    """The sentence of a load that must fail; one line, names the place, holds ``words``."""
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder, "last")
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert str(folder) in sentence
    for word in words:
        assert word in sentence
    return sentence


# --- round trips


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    shape = draw(st.lists(st.integers(0, 3), max_size=4))
    dtype = draw(st.sampled_from(DTYPES))
    source = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    made = (torch.randn(shape, generator=source) * 50).to(dtype)
    return made.transpose(0, -1) if shape and draw(st.booleans()) else made


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda name: name != "__metadata__")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(
    groups=st.dictionaries(
        st.from_regex(r"[a-z0-9_]{1,8}", fullmatch=True), st.dictionaries(NAMES, tensors(), max_size=4), max_size=3
    ),
    state=st.dictionaries(st.text(max_size=8), JSON, max_size=4),
)
def test_everything_comes_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, groups: dict[str, dict[str, Tensor]], state: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(folder, "last", Checkpoint(groups, state))
    assert same(load_checkpoint(folder, "last"), Checkpoint(groups, state))


def test_special_values_and_layouts_come_back(tmp_path: Path) -> None:
    shared = torch.randn(4, 4)
    given = {
        "specials": torch.tensor([float("nan"), -0.0, float("inf"), 1e-45]),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "tied": shared,
        "tied again": shared,
        "a view": shared[:, 1],
        "expanded": torch.ones(1).expand(5),
        "parameter": nn.Parameter(torch.randn(2)),
        "scalar": torch.tensor(3, dtype=torch.int64),
        "nothing": torch.empty(0, 3),
    }
    save_checkpoint(tmp_path, "last", Checkpoint({"model": given}))
    loaded = load_checkpoint(tmp_path, "last").tensors["model"]
    assert loaded.keys() == given.keys()
    assert all(same_bits(loaded[name], given[name]) for name in given)
    assert all(tensor.is_contiguous() and not tensor.requires_grad for tensor in loaded.values())
    loaded["tied"].zero_()  # what was loaded can be written to, and is nobody else's
    assert not torch.equal(loaded["tied"], loaded["tied again"])
    assert same_bits(load_checkpoint(tmp_path, "last").tensors["model"]["tied"], shared)


def test_state_holds_infinity_as_none_tuples_as_lists_and_refuses_the_rest(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "last", Checkpoint({}, {"best": float("inf"), "betas": (0.9, 0.1 + 0.2)}))
    assert load_checkpoint(tmp_path, "last").state == {"best": None, "betas": [0.9, 0.1 + 0.2]}
    for value in (float("nan"), torch.ones(1), {1: 2}, object()):
        with pytest.raises(CheckpointError, match="the checkpoint's state, inner, 0"):
            save_checkpoint(tmp_path, "last", Checkpoint({}, {"inner": [value]}))
    assert load_checkpoint(tmp_path, "last").state["best"] is None


@pytest.mark.parametrize(
    "tensor", [torch.eye(2).to_sparse(), torch.ones(2, dtype=torch.complex128), torch.ones(2, device="meta")]
)
def test_tensors_that_cannot_be_saved_are_refused_and_the_earlier_checkpoint_is_kept(
    tmp_path: Path, tensor: Tensor
) -> None:
    save_checkpoint(tmp_path, "last", make(1))
    for tensors in ({"x": tensor}, {"__metadata__": torch.ones(1)}, {"\ud800": torch.ones(1)}):
        with pytest.raises(CheckpointError, match="'model' cannot be saved"):
            save_checkpoint(tmp_path, "last", Checkpoint({"model": tensors}))
    assert same(load_checkpoint(tmp_path, "last"), make(1))


def test_names_are_words(tmp_path: Path) -> None:
    for name in ("", "../last", "last.json", "Last", "a-b"):
        with pytest.raises(ValueError, match="lower-case"):
            save_checkpoint(tmp_path, name, make())
        with pytest.raises(ValueError, match="lower-case"):
            save_checkpoint(tmp_path, "last", Checkpoint({name: {}}))
        with pytest.raises(ValueError, match="lower-case"):
            load_checkpoint(tmp_path, name)


def test_last_and_best_stand_side_by_side_and_only_current_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    assert not has_checkpoint(folder, "last")
    for step in range(3):
        save_checkpoint(folder, "last", make(step))
        if step == 1:
            save_checkpoint(folder, "best", make(step))
    (folder / "last.json.bak").write_text("the user's own")
    (folder / ".last.json.a1b2c3d4").write_text("left by a kill")
    (folder / ".last-0123456789abcdef.model.safetensors.a1b2c3d4").write_text("left by a kill")
    save_checkpoint(folder, "last", make(2))
    assert has_checkpoint(folder, "last")
    assert has_checkpoint(folder, "best")
    assert same(load_checkpoint(folder, "last"), make(2))
    assert same(load_checkpoint(folder, "best"), make(1))
    assert len(os.listdir(folder)) == 2 * 5 + 1
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


def test_equal_checkpoints_are_equal_files(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save_checkpoint(tmp_path / folder, "last", make(7))
    contents = [{path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in ("a", "b")]
    assert contents[0] == contents[1]


def test_loading_a_small_checkpoint_is_fast(tmp_path: Path) -> None:
    weights = {f"layer{i}": torch.randn(64, 64) for i in range(20)}
    save_checkpoint(tmp_path, "last", Checkpoint({"model": weights}))
    taken = []
    for _ in range(3):  # the best of three, because a busy machine makes any one slow
        start = time.perf_counter()
        load_checkpoint(tmp_path, "last")
        taken.append(time.perf_counter() - start)
    assert min(taken) < 0.5


def test_a_checkpoint_replaced_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, "last", make(1))
    real, calls = module._check_manifest, []

    def slow(manifest: Path, name: str) -> Any:
        found = real(manifest, name)
        if not calls:
            calls.append(1)
            save_checkpoint(tmp_path, "last", make(2))
        return found

    monkeypatch.setattr(module, "_check_manifest", slow)
    assert same(load_checkpoint(tmp_path, "last"), make(2))


# --- damage


def data_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != "last.json")


def test_every_flipped_byte_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "last", make())
    for path in [*data_files(tmp_path), tmp_path / "last.json"]:
        whole = path.read_bytes()
        places = range(len(whole)) if path.name == "last.json" else range(0, len(whole), 7)
        for place in places:
            flipped = bytes([whole[place] ^ 1])
            if whole[place : place + 1].isspace() and flipped.isspace():
                continue  # white space of another kind is the same document
            path.write_bytes(whole[:place] + flipped + whole[place + 1 :])
            refused(tmp_path)
        path.write_bytes(whole)
    assert same(load_checkpoint(tmp_path, "last"), make())


def test_truncated_extended_deleted_and_swapped_files_are_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "last", make())
    for path in data_files(tmp_path):
        whole = path.read_bytes()
        for damaged in (b"", whole[:-1], whole + b"\0"):
            path.write_bytes(damaged)
            refused(tmp_path, path.name, f"{len(whole)} bytes", "damaged")
        path.write_bytes(bytes(len(whole)))
        refused(tmp_path, path.name, "SHA-256 differs", "restore it from a copy or train again")
        path.unlink()
        refused(tmp_path, path.name, "missing")
        path.mkdir()
        refused(tmp_path, path.name, "missing")
        path.rmdir()
        path.write_bytes(whole)
    one, two = data_files(tmp_path)[:2]
    swap = one.read_bytes(), two.read_bytes()
    one.write_bytes(swap[1])
    two.write_bytes(swap[0])
    refused(tmp_path, "damaged")


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", "\xff", '{"format": NaN}', "[" * 100_000, '{"format": "vaelab-checkpoint"']
)
def test_a_manifest_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    save_checkpoint(tmp_path, "last", make())
    (tmp_path / "last.json").write_bytes(text.encode("latin-1"))
    refused(tmp_path, "last.json", "checkpoint manifest")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "other"}, ("expected the format 'vaelab-checkpoint'", "'other'")),
        ({"format": None}, ("None",)),
        ({"version": 3}, ("version 3", "update vaelab")),
        ({"version": 1}, ("earlier vaelab", "train again")),
        ({"version": 0}, ("damaged", "version")),
        ({"version": True}, ("damaged", "version")),
        ({"version": "1"}, ("damaged", "version")),
        ({"files": None}, ("names no files",)),
        ({"files": ["x"]}, ("names no files",)),
        ({"files": {}}, ("do not belong together",)),
    ],
)
def test_a_foreign_or_newer_manifest_is_refused(tmp_path: Path, changes: Any, words: tuple[str, ...]) -> None:
    save_checkpoint(tmp_path, "last", make())
    edit_manifest(tmp_path, **changes)
    refused(tmp_path, "last.json", *words)


@pytest.mark.parametrize("prefix", ["../", "/etc/", "sub/", "..\\", "./", "best-", "."])
def test_a_manifest_cannot_name_files_elsewhere(tmp_path: Path, prefix: str) -> None:
    save_checkpoint(tmp_path, "last", make())
    files = json.loads((tmp_path / "last.json").read_text())["files"]
    edit_manifest(tmp_path, files={prefix + name: entry for name, entry in files.items()})
    refused(tmp_path, "last.json", "no file of a checkpoint")


def test_a_manifest_with_other_or_missing_entries_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "last", make())
    files = json.loads((tmp_path / "last.json").read_text())["files"]
    for name in files:
        edit_manifest(tmp_path, files={other: entry for other, entry in files.items() if other != name})
        refused(tmp_path, "do not belong together")
        for key in ("sha256", "bytes"):
            edit_manifest(tmp_path, files=files | {name: files[name] | {key: None}})
            refused(tmp_path, name, "missing")
        edit_manifest(tmp_path, files=files | {name: 5})
        refused(tmp_path, name)
    other = tmp_path / "best.json"
    (tmp_path / "last.json").rename(other)
    with pytest.raises(CheckpointError, match="no file of a checkpoint 'best'"):
        load_checkpoint(tmp_path, "best")


def forge(folder: Path, ending: str, data: bytes) -> Path:
    """Put ``data`` in place of a file so that the manifest agrees with it in every respect."""
    files = json.loads((folder / "last.json").read_text())["files"]
    contents = {name.partition(".")[2]: (folder / name).read_bytes() for name in files} | {ending: data}
    token = module._token({end: sha256(content) for end, content in contents.items()})
    for end, content in contents.items():
        (folder / f"last-{token}.{end}").write_bytes(content)
    edit_manifest(
        folder,
        files={f"last-{token}.{e}": {"sha256": sha256(c), "bytes": len(c)} for e, c in contents.items()},
    )
    return folder / f"last-{token}.{ending}"


class Bomb:
    def __reduce__(self) -> Any:
        return os.abort, ()


def pickles() -> list[bytes]:
    zipped, legacy = io.BytesIO(), io.BytesIO()
    torch.save({"x": torch.ones(1)}, zipped)
    torch.save({"x": torch.ones(1)}, legacy, _use_new_zipfile_serialization=False)
    return [pickle.dumps(Bomb(), protocol) for protocol in range(2, 6)] + [zipped.getvalue(), legacy.getvalue()]


@pytest.mark.parametrize("data", pickles())
@pytest.mark.parametrize("ending", ["model.safetensors", "state.json"])
def test_pickled_content_is_refused_though_the_manifest_agrees(tmp_path: Path, ending: str, data: bytes) -> None:
    save_checkpoint(tmp_path, "last", make())
    path = forge(tmp_path, ending, data)
    refused(tmp_path, path.name, "pickled content is never loaded")
    path = tmp_path / "last.json"
    path.write_bytes(data)
    refused(tmp_path, path.name, "pickled content is never loaded")


@pytest.mark.parametrize("data", [b"", b"rubbish", b"\x10" + bytes(30), pickle.dumps(Bomb(), 0)])
def test_other_content_is_refused_though_the_manifest_agrees(tmp_path: Path, data: bytes) -> None:
    save_checkpoint(tmp_path, "last", make())
    refused(tmp_path, forge(tmp_path, "model.safetensors", data).name, "no safetensors file")
    save_checkpoint(tmp_path, "last", make())
    refused(tmp_path, forge(tmp_path, "state.json", data).name, "no checkpoint state")


def test_a_safetensors_file_that_begins_like_a_pickle_is_loaded(tmp_path: Path) -> None:
    for length in range(1, 200):  # the header's length, the first bytes of the file, passes 0x0280
        given = Checkpoint({"model": {f"{i:03}": torch.ones(1) for i in range(9)} | {"x" * length: torch.ones(1)}})
        if module._to_safetensors("model", given.tensors["model"])[:2] == b"\x80\x02":
            save_checkpoint(tmp_path, "last", given)
            assert same(load_checkpoint(tmp_path, "last"), given)
            return
    pytest.fail("no header of 640 bytes was made")


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "no checkpoint last.json", "train")
    refused(tmp_path, "no checkpoint last.json")
    (tmp_path / "model.pt").write_bytes(b"")
    refused(tmp_path, "model.pt", "pickled content is never loaded")
    (tmp_path / "last.json").mkdir()
    refused(tmp_path, "cannot read")
