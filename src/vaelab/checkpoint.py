"""Checkpoints: tensors as safetensors, the rest as JSON, and a manifest with the SHA-256 of every file.

A checkpoint ``last`` in a folder is

    last.json                                  the manifest, replaced last and atomically
    last-0123456789abcdef.model.safetensors    one file a group of tensors
    last-0123456789abcdef.state.json           everything that is no tensor

The token in the names is a digest of the content, so a new checkpoint never overwrites the files of an earlier one that
differs, and equal runs leave equal bytes. A kill at any moment leaves the earlier checkpoint or the new one, whole.
Nothing is ever unpickled.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from vaelab.documents import REMEDY, parse_json, plain, read_bytes, read_document, to_json, unreadable
from vaelab.errors import CheckpointError
from vaelab.files import sha256, write_atomic

FORMAT = "vaelab-checkpoint"
VERSION = 2  # 1: layers between planes and vectors counted channel by channel

_WORD = re.compile(r"[a-z0-9_]+")
_STATE = "state"
_PICKLE_SUFFIXES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin")


@dataclass
class Checkpoint:
    """What a run needs to go on.

    ``tensors``: group (for instance ``model``, ``optimizer``, ``random``) → name → tensor. ``state``: JSON values; a
    float comes back exactly, a tuple as a list, an infinity (a best value not yet known) as ``None``.
    """

    tensors: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(folder: Path, name: str, checkpoint: Checkpoint) -> None:
    """Save ``checkpoint`` as ``name`` (``last``, ``best``), replacing an earlier one of that name once all is written.

    Tensors are stored contiguous and on their own, whatever memory they share; memory format and tying are the business
    of whoever loads them. Raises `VaelabError` where the disk is full or read-only (the earlier checkpoint is kept),
    and `CheckpointError` where the content cannot be stored: NaN in the state, no JSON value, a sparse tensor.
    """
    _check_word(name)
    folder = Path(folder)
    contents = {_STATE + ".json": to_json(checkpoint.state, "the checkpoint's state", infinity_as_null=True)}
    for group, tensors in checkpoint.tensors.items():
        _check_word(group)
        contents[f"{group}.safetensors"] = _to_safetensors(group, tensors)
    digests = {ending: sha256(data) for ending, data in contents.items()}
    token = _token(digests)
    files = {
        f"{name}-{token}.{ending}": {"sha256": digests[ending], "bytes": len(data)} for ending, data in contents.items()
    }
    manifest = to_json({"format": FORMAT, "version": VERSION, "files": files}, "the manifest")
    try:
        for ending, data in contents.items():
            write_atomic(folder / f"{name}-{token}.{ending}", data)
        write_atomic(folder / f"{name}.json", manifest)
    finally:
        _sweep(folder, name)


def load_checkpoint(folder: Path, name: str) -> Checkpoint:
    """Load the checkpoint ``name``; every file's size and SHA-256 are checked before its content is looked at.

    Raises `CheckpointError`, in one sentence, where it is missing, damaged, foreign, of a newer version, or pickled.
    """
    _check_word(name)
    manifest = Path(folder) / f"{name}.json"
    while True:
        before = _bytes_or_none(manifest)
        try:
            return _load(manifest, name)
        except (CheckpointError, FileNotFoundError):
            # A run that is still training may have replaced the checkpoint, and removed the old files, while we read.
            if _bytes_or_none(manifest) == before:
                raise


def checkpoint_state(folder: Path, name: str) -> dict[str, Any]:
    """The ``state`` of the checkpoint ``name`` without its tensors; raises as `load_checkpoint` does."""
    _check_word(name)
    manifest = Path(folder) / f"{name}.json"
    if not os.path.lexists(manifest):
        raise CheckpointError(_missing(manifest))
    filename, entry = _check_manifest(manifest, name)[f"{_STATE}.json"]
    return parse_json(manifest.parent / filename, _read_checked(manifest, filename, entry), "checkpoint state")


def has_checkpoint(folder: Path, name: str) -> bool:
    """Whether ``folder`` holds a checkpoint ``name``, damaged or not."""
    _check_word(name)
    return os.path.isfile(Path(folder) / f"{name}.json")


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy ``tensors`` into the parameters and buffers of ``module``; nothing is copied unless everything fits.

    Parameters keep their device, memory format and tying. ``where`` is what to call the tensors in the sentence of the
    `CheckpointError` raised where one is missing, unexpected, or has another shape or type.
    """
    own = {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}
    _refuse(where, "lacks", [name for name in own if name not in tensors])
    _refuse(where, "has unexpected", [name for name in tensors if name not in own])
    _refuse(
        where,
        "does not fit in",
        [
            f"{name} (expected {_describe(value)}, got {_describe(tensors[name])})"
            for name, value in own.items()
            if (value.shape, value.dtype) != (tensors[name].shape, tensors[name].dtype)
        ],
    )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(tensors[name])


def _refuse(where: str, fault: str, names: list[str]) -> None:
    if names:
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise CheckpointError(
            f"{where} {fault} {shown}: it was saved from another model; load it with the configuration it was made with"
        )


def _describe(tensor: Tensor) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    return f"{kind} {'×'.join(str(size) for size in tensor.shape) or 'scalar'}"


def _load(manifest: Path, name: str) -> Checkpoint:
    if not os.path.lexists(manifest):
        raise CheckpointError(_missing(manifest))
    endings = _check_manifest(manifest, name)
    contents = {ending: _read_checked(manifest, filename, entry) for ending, (filename, entry) in endings.items()}
    paths = {ending: manifest.parent / filename for ending, (filename, _) in endings.items()}
    checkpoint = Checkpoint()
    for ending in sorted(contents):
        group, _, kind = ending.partition(".")
        if kind == "json":
            checkpoint.state = parse_json(paths[ending], contents[ending], "checkpoint state")
        else:
            checkpoint.tensors[group] = _from_safetensors(paths[ending], contents[ending])
    return checkpoint


def _missing(manifest: Path) -> str:
    folder = manifest.parent
    pickles = []
    with suppress(OSError):
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLE_SUFFIXES)
    if pickles:
        return f"{folder} has no {manifest.name}, only {pickles[0]}: pickled content is never loaded; train again"
    return f"{folder} has no checkpoint {manifest.name}; choose a folder of a run that has saved one, or train first"


def _check_manifest(manifest: Path, name: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """The files a manifest names: ending of the name (``model.safetensors``) → (file name, its entry)."""
    document = read_document(manifest, FORMAT, VERSION, "checkpoint manifest")
    if document["version"] < VERSION:
        raise CheckpointError(
            f"{manifest} was written by an earlier vaelab, whose weights were laid out otherwise; train again"
        )
    files = document.get("files")
    if not isinstance(files, dict):
        raise CheckpointError(f"{manifest} is damaged: it names no files; {REMEDY}")
    # No separator and no leading dot can match, so a manifest cannot point outside its folder.
    pattern = re.compile(rf"{name}-([0-9a-f]{{16}})\.(state\.json|[a-z0-9_]+\.safetensors)")
    endings: dict[str, tuple[str, dict[str, Any]]] = {}
    tokens = set()
    for filename, entry in files.items():
        match = pattern.fullmatch(filename)
        if not match:
            raise CheckpointError(
                f"{manifest} names {filename!r}, which is no file of a checkpoint {name!r} in this folder; {REMEDY}"
            )
        if not (isinstance(entry, dict) and type(entry.get("bytes")) is int and isinstance(entry.get("sha256"), str)):
            raise CheckpointError(f"{manifest} is damaged: size or SHA-256 of {filename} is missing; {REMEDY}")
        tokens.add(match[1])
        endings[match[2]] = (filename, entry)
    # The names carry a digest of all digests, so an entry that was removed or replaced shows.
    if f"{_STATE}.json" not in endings or tokens != {_token({end: e["sha256"] for end, (_, e) in endings.items()})}:
        raise CheckpointError(f"{manifest} is damaged: the files it names do not belong together; {REMEDY}")
    return endings


def _read_checked(manifest: Path, filename: str, entry: Mapping[str, Any]) -> bytes:
    path = manifest.parent / filename
    size = os.path.getsize(path) if os.path.isfile(path) else None
    if size is None:
        raise CheckpointError(f"{manifest} names {filename}, which is missing; {REMEDY}")
    if size != entry["bytes"]:
        raise CheckpointError(
            f"{manifest} names {filename} with {entry['bytes']} bytes, found {size}: the file is damaged; {REMEDY}"
        )
    data = read_bytes(path)
    if sha256(data) != entry["sha256"]:
        raise CheckpointError(
            f"{manifest} names {filename}, whose SHA-256 differs from the manifest: the file is damaged; {REMEDY}"
        )
    return data


def _token(digests: Mapping[str, str]) -> str:
    return sha256("\n".join(f"{ending} {digests[ending]}" for ending in sorted(digests)).encode())[:16]


def _to_safetensors(group: str, tensors: Mapping[str, Tensor]) -> bytes:
    if "__metadata__" in tensors:
        raise CheckpointError(
            f"the tensors {group!r} cannot be saved: the name '__metadata__' is reserved; choose another"
        )
    try:
        # Copies, because safetensors refuses tensors that share memory or are not contiguous.
        return safetensors.torch.save({name: _dense_copy(tensor) for name, tensor in tensors.items()})
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"the tensors {group!r} cannot be saved: {error}; use dense tensors of usual types"
        ) from error


def _dense_copy(tensor: Tensor) -> Tensor:
    if tensor.layout is not torch.strided:
        raise ValueError(f"got a tensor of layout {tensor.layout}")
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _from_safetensors(path: Path, data: bytes) -> dict[str, Tensor]:
    try:
        loaded = safetensors.torch.load(data)
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise CheckpointError(unreadable(path, data, "safetensors file", error)) from error
    return {name: loaded[name] for name in sorted(loaded)}


def _bytes_or_none(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _sweep(folder: Path, name: str) -> None:
    """Remove the files of ``name`` that its manifest does not name: older ones, and what a kill or full disk left."""
    manifest = folder / f"{name}.json"
    try:
        keep = {file for file, _ in _check_manifest(manifest, name).values()} if os.path.lexists(manifest) else set()
        entries = os.listdir(folder)
    except (CheckpointError, OSError):
        return  # never remove files on the word of a manifest that cannot be read
    member = rf"{name}-[0-9a-f]{{16}}\.[a-z0-9_]+\.(json|safetensors)"
    ours = re.compile(rf"{member}|\.({member}|{name}\.json)\.[a-z0-9_]+")  # the latter: temporary files
    for entry in entries:
        if entry not in keep and ours.fullmatch(entry):
            with suppress(OSError):
                os.unlink(folder / entry)


def _check_word(word: str) -> None:
    if not _WORD.fullmatch(word):
        raise ValueError(f"expected a name of lower-case letters, digits and underscores, got {word!r}")


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split an optimizer's state into tensors, named ``index.key`` or ``group.index.key``, and JSON values.

    Raises `CheckpointError` where the state holds something that is neither, as L-BFGS's lists of tensors.
    """
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    groups = [_split(group, f"group.{i}", tensors) for i, group in enumerate(state["param_groups"])]
    values = {str(index): _split(entry, str(index), tensors) for index, entry in state["state"].items()}
    document = {
        "kind": type(optimizer).__name__,
        "parameters": [list(parameter.shape) for parameter in _parameters(optimizer)],
        # Sorted: an optimizer that was restored lists them in another order, and equal states leave equal bytes.
        "tensors": {name: list(tensors[name].shape) for name in sorted(tensors)},
        "groups": groups,
        "state": {index: dict(sorted(values[index].items())) for index in sorted(values, key=int)},
    }
    return tensors, dict(plain(document, "the optimizer's state"))


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], json_state: Any) -> None:
    """Inverse of `optimizer_tensors`: the optimizer goes on as the saved one would have; ``tensors`` are copied.

    Raises `CheckpointError` where the state is another kind of optimizer's or does not fit its parameters; the
    optimizer is then as it was.
    """
    _check_optimizer(optimizer, tensors, json_state)
    parameters = _parameters(optimizer)
    state = {int(index): dict(entry) for index, entry in json_state["state"].items()}
    groups = []
    for own, saved in zip(optimizer.state_dict()["param_groups"], json_state["groups"], strict=True):
        # JSON has no tuples; the optimizer's own group tells where one belongs (Adam's betas).
        groups.append({k: tuple(v) if isinstance(own.get(k), tuple) else v for k, v in saved.items()})
    for name, tensor in tensors.items():
        owner, key = name.split(".", 1)
        if owner == "group":
            index, key = key.split(".", 1)
            groups[int(index)][key] = tensor.clone()
        else:
            state[int(owner)][key] = _like(tensor, parameters[int(owner)])
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _split(entry: Mapping[str, Any], prefix: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Move the tensors of ``entry`` into ``tensors``; return the rest."""
    tensors.update({f"{prefix}.{key}": value for key, value in entry.items() if isinstance(value, Tensor)})
    return {key: value for key, value in entry.items() if not isinstance(value, Tensor)}


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """A copy laid out in memory like ``parameter``: the same arithmetic in another layout may round otherwise."""
    if tensor.shape != parameter.shape:
        return tensor.clone()
    return torch.empty_like(parameter, dtype=tensor.dtype, device=tensor.device, requires_grad=False).copy_(tensor)


def _check_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], saved: Any) -> None:
    kind, shapes = type(optimizer).__name__, [list(parameter.shape) for parameter in _parameters(optimizer)]
    indices = [group["params"] for group in optimizer.state_dict()["param_groups"]]
    given = {name: list(tensor.shape) for name, tensor in tensors.items()}
    fault = ""
    if not isinstance(saved, dict) or saved.get("kind") != kind:
        fault = f"expected {kind}, got {saved.get('kind') if isinstance(saved, dict) else saved!r}"
    elif saved["parameters"] != shapes:
        fault = f"expected the shapes of the model's {len(shapes)} parameters, got {len(saved['parameters'])} of others"
    elif [group["params"] for group in saved["groups"]] != indices:
        fault = f"expected {len(indices)} parameter groups as the optimizer has them, got {len(saved['groups'])} others"
    elif saved["tensors"] != given:
        fault = f"expected the {len(saved['tensors'])} tensors that its state names, got {len(given)} others"
    if fault:
        raise CheckpointError(f"the optimizer's state does not fit: {fault}; resume with the run's own configuration")
