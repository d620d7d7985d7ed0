"""JSON documents that are checked when they are read: format, version, nothing that JSON does not know."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaelab.errors import CheckpointError

REMEDY = "restore it from a copy or train again"

# Signs of a pickle (protocol 2 and later) and of the zip archive that torch.save writes; files that once parsed as what
# they should be are not looked at, because a safetensors file may by chance begin with the same bytes.
_PICKLED = re.compile(rb"PK\x03\x04|\x80[\x02-\x05]")


def read_document(path: Path, expected: str, version: int, what: str) -> dict[str, Any]:
    """Read a JSON file that starts with its ``format`` and ``version``.

    Arguments: the file, the format and newest version that are understood, what to call it in a sentence. Raises
    `CheckpointError` where it is missing, no JSON object, of a foreign format, or of a newer version.
    """
    document = parse_json(path, read_bytes(path), what)
    if document.get("format") != expected:
        raise CheckpointError(
            f"{path} is no {what}: expected the format {expected!r}, got {document.get('format')!r}; "
            "choose a folder that vaelab wrote"
        )
    found = document.get("version")
    if type(found) is int and found > version:
        raise CheckpointError(f"{path} has version {found}, this vaelab reads up to {version}; update vaelab")
    if type(found) is not int or found < 1:
        raise CheckpointError(f"{path} is damaged: expected a version number, got {found!r}; {REMEDY}")
    return document


def to_json(value: Mapping[str, Any], where: str, *, infinity_as_null: bool = False) -> bytes:
    """Deterministic JSON text, one line a value; raises `CheckpointError` naming a value that JSON cannot hold.

    >>> to_json({"lr": 0.001, "betas": (0.9, 0.999)}, "the state").split()
    [b'{', b'"lr":', b'0.001,', b'"betas":', b'[', b'0.9,', b'0.999', b']', b'}']
    """
    return (json.dumps(plain(value, where, infinity_as_null), indent=1, allow_nan=False) + "\n").encode("utf-8")


def parse_json(path: Path, data: bytes, what: str, remedy: str = REMEDY) -> dict[str, Any]:
    """The JSON object in ``data``, read from ``path``; raises `CheckpointError`, with ``remedy``, where it is none."""
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(unreadable(path, data, what, error, remedy)) from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} is no {what}: expected a JSON object, got {type(document).__name__}; {remedy}")
    return document


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON value")


def unreadable(path: Path, data: bytes, what: str, error: Exception, remedy: str = REMEDY) -> str:
    """The sentence for a file that could not be parsed as ``what``; says so where it looks like a pickle."""
    if _PICKLED.match(data):
        return f"{path} holds a pickle or torch.save file, not a {what}: pickled content is never loaded; train again"
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{path} is no {what} or is damaged ({reason}); {remedy}"


def read_bytes(path: Path) -> bytes:
    """The content of a file; raises `CheckpointError` where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(f"cannot read {path}: {reason}; check the path and its rights") from error


def plain(value: Any, where: str, infinity_as_null: bool = False) -> Any:
    """``value`` as JSON can hold it; raises `CheckpointError` that says where a value stands that JSON cannot."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, float) and math.isinf(value) and infinity_as_null:
        return None
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(item, f"{where}, {key}", infinity_as_null) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}, {i}", infinity_as_null) for i, item in enumerate(value)]
    what = str(value) if isinstance(value, float) else type(value).__name__
    raise CheckpointError(f"{where}: expected a JSON value (finite numbers, names as keys), got {what}; leave it out")
