"""A study as a notebook: the calls of the public API with their outputs, to change a line and run it again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vaelab.files import write_text_atomic
from vaelab.run import DataAccess
from vaelab.studies.study import Cell

SECONDS = 600
"""For one cell; then the notebook is kept as far as it came."""

MISSING = 'report.ipynb holds no outputs: running it needs pip install "vaelab[notebook]"'


def write_notebook(title: str, cells: Sequence[Cell], file: Path, access: DataAccess) -> str:
    """Write ``cells`` as a notebook and run it in its folder; a sentence where that could not be done, else nothing."""
    book = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        # An id for each cell; not a random one, so that equal studies leave equal notebooks.
        "cells": [{"id": f"cell-{place}", **cell} for place, cell in enumerate(_cells(title, cells, access))],
    }
    book, note = _run(book, file.parent)
    write_text_atomic(file, json.dumps(book, indent=1, ensure_ascii=False) + "\n")
    return note


def _cells(title: str, cells: Sequence[Cell], access: DataAccess) -> Iterator[dict[str, Any]]:
    yield _markdown(f"# {title}\n\nRun it in the folder of the study, where `runs/` is.")
    if access.folder is not None:
        place = os.path.abspath(access.folder)
        yield _code(f'import os\n\nos.environ.setdefault("VAELAB_DATA", {place!r})')
    for cell in cells:
        if cell.text:
            yield _markdown(cell.text)
        if cell.code:
            yield _code(cell.code)


def _markdown(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def _code(text: str) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "source": text, "execution_count": None, "outputs": []}


def _run(book: dict[str, Any], folder: Path) -> tuple[dict[str, Any], str]:
    """The notebook with its outputs; and where a cell fails a sentence: what the cells before it gave is kept."""
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError:
        return book, MISSING
    from_dict: Any = nbformat.from_dict
    node = from_dict(book)
    resources = {"metadata": {"path": str(folder)}}
    # Only errors of the kernel are worth a line on the terminal.
    quiet = ["--log-level=40"]
    client = NotebookClient(node, timeout=SECONDS, kernel_name="python3", resources=resources, extra_arguments=quiet)
    note = ""
    try:
        client.execute()
    except CellExecutionError as error:
        note = f"report.ipynb stopped at a cell that failed: {error.ename}: {error.evalue}"
    except Exception as error:  # whatever a kernel may do, the report is there
        note = f"report.ipynb could not be run to its end: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    for cell in node.cells:
        cell.get("metadata", {}).pop("execution", None)  # the time of day
    return node, note
