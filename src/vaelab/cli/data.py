"""``vaelab data``: the named data sets."""

from __future__ import annotations

from typing import Annotated

import typer

from vaelab.cli import console, options
from vaelab.errors import DataError

app = typer.Typer(
    help="List, download and check the named data sets.",
    epilog="""\
Examples

$ vaelab data list
$ vaelab data fetch mnist
$ vaelab data check mnist --data-dir ~/data""",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="mnist, fashion-mnist or digits.", autocompletion=options.complete_data),
]


@app.command("list", epilog="Example\n\n$ vaelab data list --json")
def list_(
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """List the data sets that have a name, and where they lie."""
    from vaelab.data.catalogue import list_datasets

    rows = list_datasets(data_dir)
    if as_json:
        console.out_json(rows)
        return
    console.table(
        ["name", "content", "where"], [[row["name"], row["description"], row["where"]] for row in rows], fold="content"
    )


@app.command(epilog="Examples\n\n$ vaelab data fetch mnist\n$ vaelab data fetch fashion-mnist --data-dir data")
def fetch(
    name: Name,
    data_dir: options.DataDir = None,
    offline: options.Offline = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Download what is missing of a data set, verify all of it, and say where it lies."""
    from vaelab.data.catalogue import fetch

    folder = fetch(name, data_dir, offline, console.bars(quiet))
    if as_json:
        console.out_json({"name": name, "folder": str(folder)})
    else:
        console.out(str(folder))


@app.command(epilog="Example\n\n$ vaelab data check mnist")
def check(
    name: Name,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Compare every file of a data set with its published SHA-256; never downloads. Exit code 1 where one differs."""
    from vaelab.data.catalogue import check

    rows = check(name, data_dir)
    if as_json:
        console.out_json(rows)
    else:
        console.table(["file", "content"], [[row["path"], "ok" if row["ok"] else "wrong"] for row in rows], fold="file")
    problems = [row["problem"] for row in rows if not row["ok"]]
    if problems:
        more = f" ({len(problems) - 1} more of its {len(rows)} files are wrong, too)" if len(problems) > 1 else ""
        raise DataError(problems[0] + more)
