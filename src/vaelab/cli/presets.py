"""``vaelab presets``: the named configurations, and one of them as TOML."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated, Any

import typer

from vaelab import presets as known
from vaelab.cli import console, options
from vaelab.config import RunConfig

EPILOG = """\
Examples

$ vaelab presets
$ vaelab presets conv-vae > mine.toml
$ vaelab train --config mine.toml --out runs/mine"""

FROM_THE_DATA = ("image_shape", "classes")


def presets(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="Print this preset in full, as TOML.", autocompletion=options.complete_preset
        ),
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """List the presets, or print one as a TOML file that --config reads."""
    if name is not None:
        config = known.get(name)
        if as_json:
            console.out_json(config.to_dict())
        else:
            console.out(f"# {known.describe(name)}\n{to_toml(config)}")
    elif as_json:
        console.out_json({name: known.describe(name) for name in known.names()})
    else:
        rows = [[name, known.describe(name)] for name in known.names()]
        console.table(["preset", "description"], rows, fold="description")


def to_toml(config: RunConfig) -> str:
    """The configuration as TOML, without what is taken from the data.

    >>> print(to_toml(known.get("digits-vae")).splitlines()[0])
    preset = "digits-vae"
    """
    lines = [f"preset = {json.dumps(config.preset)}"]
    for section in ("data", "model", "training"):
        lines += ["", f"[{section}]"]
        values = dataclasses.asdict(getattr(config, section))
        lines += [
            f"{key} = {_toml(value)}" for key, value in values.items() if value is not None and key not in FROM_THE_DATA
        ]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    # JSON's strings, numbers and booleans are TOML's, too.
    return json.dumps(value, ensure_ascii=False)
