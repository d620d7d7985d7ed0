"""The results of a study → ``report.html``, ``report.ipynb`` and, where it is asked for, ``report.pdf``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaelab.errors import VaelabError
from vaelab.files import write_text_atomic
from vaelab.report.blocks import Facts, Picture, Plane, Report, Section, Verdict
from vaelab.report.html import render
from vaelab.report.pdf import print_pdf
from vaelab.run import DataAccess
from vaelab.studies.notebook import write_notebook
from vaelab.studies.results import Results
from vaelab.studies.settings import Settings
from vaelab.studies.store import Store
from vaelab.studies.study import Step, Study, Train


@dataclass(frozen=True)
class Written:
    """``files`` by name: html, notebook, pdf. ``verdicts``: the key numbers. ``notes``: what could not be done."""

    files: Mapping[str, Path]
    verdicts: Sequence[Verdict]
    summary: str
    notes: Sequence[str]


def write_report(
    study: Study,
    settings: Settings,
    store: Store,
    *,
    pdf: bool = False,
    notebook: bool = True,
    access: DataAccess | None = None,
) -> Written:
    """Write the report of a finished study beside its results.

    Raises `CheckpointError` where a step is missing. What could not be printed is a note.
    """
    results = Results(settings, store)
    files, notes = {"html": store.path / "report.html"}, []
    if notebook:
        files["notebook"] = store.path / "report.ipynb"
        note = write_notebook(study.title, study.cells(results), files["notebook"], access or DataAccess())
        notes += [note] if note else []
    report = build(study, results)
    write_text_atomic(files["html"], render(report))
    if pdf:
        try:
            print_pdf(files["html"], store.path / "report.pdf")
            files["pdf"] = store.path / "report.pdf"
        except VaelabError as error:  # the other studies of `all` are to be done all the same
            notes.append(str(error))
    return Written(files, report.verdicts, report.summary, notes)


def build(study: Study, results: Results) -> Report:
    """The report from results alone."""
    summary = study.summarise(results)
    sections = [Section(part.id, part.title, part.rows, tuple(part.build(results))) for part in study.parts]
    files = [results.store.figure_path(step, name) for step, name in summary.pictures]
    drawn = {block.file: block for section in sections for block in _pictures(section)}
    pictures = [drawn.get(file, Picture(file, "", file.stem.replace("-", " "))) for file in files]
    return Report(
        title=study.title,
        subtitle=subtitle(study, results.settings),
        summary=summary.text,
        verdicts=summary.verdicts,
        sections=sections,
        facts=facts(study, results),
        highlights=pictures,
    )


def _pictures(section: Section) -> list[Picture]:
    """Those of a section, the still ones of its planes among them."""
    found = [block.still if isinstance(block, Plane) else block for block in section.blocks]
    return [block for block in found if isinstance(block, Picture)]


def subtitle(study: Study, settings: Settings) -> str:
    """Sheet and data; what a quick study is not."""
    data = Path(settings.data).stem
    quick = " A quick run: small data, few steps. It shows that all works, not how well." if settings.quick else ""
    return f"Sheet {study.sheet} on {data}, study {study.name}.{quick}"


def facts(study: Study, results: Results) -> Facts:
    """How to repeat it: the command and versions that made the results, which a report may be written from later."""
    steps: Sequence[Step] = study.steps(results.settings)
    made = results.store.read_document()
    versions = {str(name): str(value) for name, value in made.get("versions", {}).items()}
    command = [str(word) for word in made.get("command", ())]
    return Facts(
        command=shlex.join(command or default_command(study, results.settings)),
        configuration=to_toml(study, results.settings),
        versions=versions,
        seed=results.settings.seed,
        steps=[(step.title, results.seconds(step.name)) for step in steps],
        files=list(_files(results, steps)),
    )


def default_command(study: Study, settings: Settings) -> list[str]:
    """The words that ask for the study with these settings, where nobody says which were used."""
    quick = ["--quick"] if settings.quick else []
    data = [] if settings.quick and settings.data == "digits" else ["--data", settings.data]
    return ["vaelab", "study", "run", study.name, *data, *quick, "--seed", str(settings.seed), "--out", study.name]


def to_toml(study: Study, settings: Settings) -> str:
    """The settings as a file that ``--config`` reads."""
    lines = [f"{key} = {_toml(getattr(settings, key))}" for key in ("data", "other", "seed", "quick")]
    if settings.values:
        lines += ["", "[options]"]
        lines += [f"{name} = {_toml(value)}  # {study.options[name].help}" for name, value in settings.values.items()]
    for model, sections in settings.changes.items():
        for section, values in sections.items():
            lines += ["", f"[models.{json.dumps(model)}.{section}]"]
            lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    # JSON's strings, numbers, booleans and lists are TOML's, too.
    return json.dumps(value, ensure_ascii=False)


def _files(results: Results, steps: Sequence[Step]) -> list[tuple[str, str]]:
    """What lies beside the report, and what it holds."""
    store = results.store
    found = [("study.json", "what was asked")]
    if (store.path / "report.ipynb").exists():
        found.append(("report.ipynb", "the study as a notebook"))
    for step in steps:
        found.append((f"steps/{step.name}.json", f"numbers: {step.title}"))
        if isinstance(step, Train):
            found.append((f"runs/{step.name}/config.json", f"configuration: {step.title}"))
            found.append((f"runs/{step.name}/history.csv", f"losses of every epoch: {step.title}"))
        longer = tuple(f"{other.name}-" for other in steps if len(other.name) > len(step.name))
        files = sorted((store.path / "data").glob(f"{step.name}-*"))
        found += [(results.path(file), f"data: {step.title}") for file in files if not file.name.startswith(longer)]
    return found
