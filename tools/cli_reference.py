"""Write docs/cli.md from the help texts of the command line; ``--check`` exits with 1 where it is stale.

The texts come from the commands themselves, not from their picture on a terminal: neither its width, nor colours, nor
the version of typer change the page.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from vaelab.cli.app import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
WIDTH, COLUMN = 100, 32
BUILT_IN = {"help", "install_completion", "show_completion"}  # typer's own
HEAD = """\
<!-- Written by tools/cli_reference.py from the help texts; `make cli-reference` writes it anew. -->

# Command line

Every command has `--help`. `vaelab --install-completion` makes the shell complete commands, options, presets, data sets
and kinds of figures. `NO_COLOR=1` turns colours off.
"""


def main() -> int:
    """Write or check the page; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where the page is stale")
    check = parser.parse_args().check
    text = reference()
    if not check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{PAGE} is stale; run make cli-reference", file=sys.stderr)
    return 1


def reference() -> str:
    """The whole page."""
    sections = [HEAD, *(_section(path, command) for path, command in _commands("vaelab", get_command(app)))]
    return "\n".join(sections)


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(f"{path} {name}", child)


def _section(path: str, command: Any) -> str:
    shown = [parameter for parameter in command.params if parameter.name not in BUILT_IN]
    lines = [f"## `{path}`", "", *_paragraphs(command.help or ""), "```text", _usage(path, command, shown), "```", ""]
    children = getattr(command, "commands", {})
    if children:
        entries = [_entry(name, _first(child.help)) for name, child in children.items()]
        lines += ["Commands", "", "```text", *entries, "```", ""]
    panels: dict[str, list[str]] = {}
    for parameter in shown:
        argument = parameter.param_type_name == "argument"
        panel = "Arguments" if argument else getattr(parameter, "rich_help_panel", None) or "Options"
        panels.setdefault(panel, []).append(_entry(_name(parameter), _help(parameter)))
    for panel, entries in panels.items():
        lines += [panel, "", "```text", *entries, "```", ""]
    return "\n".join([*lines, *_epilog(command.epilog or "")])


def _usage(path: str, command: Any, parameters: list[Any]) -> str:
    words = [path]
    for parameter in parameters:
        if parameter.required:
            words.append(_name(parameter))
        elif parameter.param_type_name == "argument":
            words.append(f"[{_name(parameter)}]")
    return " ".join([*words, "[OPTIONS]", *(["COMMAND"] if hasattr(command, "commands") else [])])


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    flags = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return f"{flags} {parameter.metavar or ''}".strip()


def _help(parameter: Any) -> str:
    default = parameter.default
    known = default is not None and not isinstance(default, bool) and not parameter.required
    return " ".join(filter(None, [parameter.help, f"[default: {default}]" if known else ""]))


def _entry(name: str, text: str) -> str:
    lines = textwrap.wrap(text, WIDTH - COLUMN, break_long_words=False, break_on_hyphens=False)
    if len(name) >= COLUMN:
        lines.insert(0, "")
    first, *rest = lines
    return "\n".join([f"{name:<{COLUMN}}{first}".rstrip(), *(" " * COLUMN + line for line in rest)])


def _first(text: str | None) -> str:
    return " ".join((text or "").strip().split("\n\n")[0].split())


def _paragraphs(text: str) -> list[str]:
    found: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        marked = re.sub(r"(?<!\S)(--[a-z-]+)", r"`\1`", " ".join(paragraph.split()))
        found += [textwrap.fill(marked, 120, break_on_hyphens=False), ""]
    return found


def _epilog(text: str) -> list[str]:
    """Examples and lists as they are, prose as prose."""
    found: list[str] = []
    for paragraph in filter(None, text.split("\n\n")):
        if paragraph.startswith("$") or paragraph.count("\n"):
            found += ["```text", paragraph, "```", ""]
        else:
            found += _paragraphs(paragraph)
    return found


if __name__ == "__main__":
    sys.exit(main())
