"""All studies on one page: their key numbers, and the way to each report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vaelab import __version__
from vaelab.files import write_text_atomic
from vaelab.report.blocks import Facts, Report, Section, Table, Text
from vaelab.report.html import render
from vaelab.studies.reporting import Written
from vaelab.studies.study import Study


def write_overview(out: Path, studies: Mapping[str, tuple[Study, Written]], command: Sequence[str]) -> Path:
    """Write ``index.html`` into ``out``, where each study has a folder of its name."""
    import shlex

    report = Report(
        title="All studies",
        subtitle="One report for each exercise sheet",
        summary="Every row of the five sheets is answered in one of these reports, with numbers measured in this run.",
        verdicts=[],
        sections=[_section(study, written) for study, written in studies.values()],
        facts=Facts(
            command=shlex.join(command),
            configuration="",
            versions={"vaelab": __version__},
            seed=None,
            steps=[],
            files=[(f"{name}/report.html", study.title) for name, (study, _) in studies.items()],
        ),
    )
    file = out / "index.html"
    write_text_atomic(file, render(report))
    return file


def _section(study: Study, written: Written) -> Section:
    signs = {True: "met", False: "not met", None: ""}
    rows = [[verdict.what, verdict.value, verdict.target, signs[verdict.met]] for verdict in written.verdicts]
    table = Table(["number", "measured", "target", ""], rows, f"Key numbers of {study.name}/report.html")
    ids = [row for part in study.parts for row in part.rows]
    return Section(study.name, f"Sheet {study.sheet}: {study.title}", ids, [Text(written.summary), table])
