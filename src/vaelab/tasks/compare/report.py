"""A comparison as a folder: ``report.html``, the table and the runs as CSV, the figure of the curves."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vaelab import __version__, plots
from vaelab.errors import UsageError
from vaelab.files import write_text_atomic
from vaelab.report.blocks import Block, Facts, Picture, Report, Section, Table, Text
from vaelab.report.html import render
from vaelab.tasks.compare.conclusions import conclude
from vaelab.tasks.compare.groups import SEED, Comparison, flat
from vaelab.tasks.compare.tables import (
    GROUP_COLUMNS,
    groups_csv,
    metric_title,
    numbers_table,
    runs_csv,
    runs_table,
    spread_words,
)

LIBRARIES = ("torch", "numpy", "matplotlib")
CURVES = ("negative_elbo", "reconstruction", "kl")
COMPARABLE = "Nothing in configurations and protocols speaks against comparing these numbers."


@dataclass(frozen=True)
class Files:
    """Below ``path``. ``report`` needs no other file."""

    path: Path

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def table(self) -> Path:
        """A line for each group and metric."""
        return self.path / "comparison.csv"

    @property
    def runs(self) -> Path:
        """A line for each run and metric."""
        return self.path / "runs.csv"

    @property
    def curves(self) -> Path:
        """The figure."""
        return self.path / "figures" / "comparison.png"


def check_out(path: Path) -> Files:
    """Where a comparison goes: a new or empty folder, or an earlier comparison's; `UsageError` for anything else."""
    files = Files(path)
    if not os.path.lexists(path):
        return files
    if not path.is_dir():
        raise UsageError(f"expected a folder for the report, but {path} is a file; choose another --out")
    if any(not name.startswith(".") for name in os.listdir(path)) and not _earlier(files.table):
        raise UsageError(f"{path} holds something else than a comparison; choose another --out")
    return files


def _earlier(table: Path) -> bool:
    try:
        with table.open(encoding="utf-8", errors="replace") as stream:
            return stream.readline() == ",".join(GROUP_COLUMNS) + "\n"
    except OSError:
        return False


def write_comparison(
    comparison: Comparison, out: str | Path, metrics: Sequence[str], *, command: str = ""
) -> dict[str, Path]:
    """Write report, tables and figure into the folder ``out``; the files by name. ``metrics``: the report's columns.

    ``command``: what made it, for the report. Raises `UsageError` where ``out`` holds something else, `VaelabError`
    where it cannot be written.
    """
    files = check_out(Path(out))
    written = {"report": files.report, "table": files.table, "runs": files.runs}
    write_text_atomic(files.table, groups_csv(comparison))  # first: what is interrupted is known again by it
    write_text_atomic(files.runs, runs_csv(comparison))
    if rows := curve_rows(comparison):
        plots.save(plots.comparison_curves(rows), files.curves)
        written["curves"] = files.curves
    page = render(report(comparison, metrics, files, command=command, curves=bool(rows)))
    write_text_atomic(files.report, page)
    return written


def curve_rows(comparison: Comparison) -> dict[str, list[Any]]:
    """The epochs of all histories, as `plots.comparison_curves` has them; nothing before the first epoch's end."""
    rows: dict[str, list[Any]] = {name: [] for name in ("group", "run", "epoch", "split", *CURVES)}
    for group in comparison.groups:
        for member in group.counted:
            places = [place for place, split in enumerate(member.history["split"]) if split != "step"]
            rows["group"] += [group.name] * len(places)
            rows["run"] += [member.name] * len(places)
            for name in ("epoch", "split", *CURVES):
                rows[name] += [member.history[name][place] for place in places]
    return rows if rows["epoch"] else {}


def report(
    comparison: Comparison, metrics: Sequence[str], files: Files, *, command: str = "", curves: bool = True
) -> Report:
    """The page's content; ``curves``: whether their figure was drawn."""
    groups, members = comparison.groups, comparison.members
    names = ", ".join(group.name for group in groups)
    count = f"{len(groups)} configuration{'s' if len(groups) > 1 else ''}"
    data = ", ".join(dict.fromkeys(Path(group.config.data.name).stem for group in groups))
    summary = f"{len(members)} runs of {count} on the {comparison.split} images of {data}."
    sections = [
        Section("comparable", "Can they be compared?", (), tuple(_comparable(comparison))),
        Section("numbers", "Numbers", (), tuple(_numbers(comparison, metrics))),
        *([Section("curves", "Curves", (), (_curves(comparison, files),))] if curves else []),
        Section("differences", "What differs", (), tuple(_differences(comparison))),
        Section("runs", "The runs", (), tuple(_runs(comparison, metrics))),
    ]
    return Report(
        title="Comparison of runs",
        subtitle=names,
        summary="\n\n".join([summary, *conclude(comparison)]),
        verdicts=(),
        sections=sections,
        facts=_facts(comparison, files, command, curves),
    )


def _comparable(comparison: Comparison) -> Iterator[Block]:
    if comparison.warnings:
        yield Text("Not all of them, or not in everything:\n\n" + _list(comparison.warnings))
    else:
        yield Text(COMPARABLE)
    if comparison.notes:
        yield Text("To know:\n\n" + _list(comparison.notes))


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _numbers(comparison: Comparison, metrics: Sequence[str]) -> Iterator[Block]:
    columns, rows = numbers_table(comparison, metrics)
    yield Table(columns, rows, f"A row for each configuration. {spread_words(comparison, metrics)}")
    yield Text(
        "The standard error says how much a mean would change with other images of the same kind, the standard "
        "deviation over seeds how much a run would change with another training seed. One does not stand for the other."
    )


def _curves(comparison: Comparison, files: Files) -> Picture:
    names = ", ".join(group.name for group in comparison.groups)
    several = any(len(group.counted) > 1 for group in comparison.groups)
    seeds = (
        " Where a configuration has several seeds, the thick line is their mean, as far as all of them go, and the "
        "thin ones are single runs."
        if several
        else ""
    )
    return Picture(
        files.curves,
        f"−ELBO and its two parts in nats per image after each epoch, solid on held-out images, dashed on training "
        f"images.{seeds} The first epochs may be cut off.",
        f"Curves of −ELBO, reconstruction and KL over the epochs of {names}.",
    )


def _differences(comparison: Comparison) -> Iterator[Block]:
    names = [group.name for group in comparison.groups]
    if not comparison.differences:
        yield Text(
            "Nothing but the training seed." if len(names) == 1 else "Nothing in the configurations; the data does."
        )
        return
    rows = [[f"{key}", *values] for key, values in comparison.differences.items()]
    yield Table(
        ["key", *names], rows, "The keys of the configuration in which not all agree, but for the training seed."
    )


def _runs(comparison: Comparison, metrics: Sequence[str]) -> Iterator[Block]:
    columns, rows = runs_table(comparison, metrics)
    yield Table(columns, rows, "Every run. Its epochs are those of its history.")
    protocols: dict[str, list[str]] = {}
    for member in comparison.members:
        for name in (name for name in metrics if name in member.metrics):
            names = protocols.setdefault(member.metrics[name].protocol, [])
            names += [metric_title(name)] if metric_title(name) not in names else []
    rows = [[", ".join(names), protocol] for protocol, names in protocols.items()]
    yield Table(["number", "protocol"], rows, "What was measured on what.")


def _facts(comparison: Comparison, files: Files, command: str, curves: bool) -> Facts:
    versions = {"vaelab": __version__, "Python": platform.python_version()}
    versions |= {name: version(name) for name in LIBRARIES}
    figure = [(files.curves.relative_to(files.path).as_posix(), "the curves")] if curves else []
    return Facts(
        command=command or "vaelab compare " + " ".join(str(member.path) for member in comparison.members),
        configuration=shared_toml(comparison),
        versions=versions,
        seed=None,
        steps=(),
        files=[(files.table.name, "the table, with every metric"), (files.runs.name, "every run and metric"), *figure],
    )


def shared_toml(comparison: Comparison) -> str:
    """What all runs have in common, as TOML."""
    lines = ["# what all runs have in common"]
    section = ""
    for key, value in flat(comparison.groups[0].config).items():
        if key in comparison.differences or key == SEED or value is None:
            continue
        before, _, name = key.rpartition(".")
        if before != section:
            lines += ["", f"[{before}]"]
            section = before
        lines.append(f"{name} = {_toml(value)}")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    # JSON's strings, numbers, booleans and lists are TOML's, too.
    return json.dumps(value, ensure_ascii=False)
