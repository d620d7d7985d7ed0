"""``vaelab study``: everything an exercise sheet asks for, from data to a report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaelab.cli import console, options
from vaelab.errors import UsageError

if TYPE_CHECKING:
    from vaelab.cli.study_watch import StudyWatch
    from vaelab.run import DataAccess
    from vaelab.studies.asking import Asked
    from vaelab.studies.reporting import Written
    from vaelab.studies.settings import Settings
    from vaelab.studies.study import Study

NAMES = ("generative-classifier", "loss-terms", "conv-cvae", "gaussian-elbo", "semi-supervised")
"""`studies.NAMES`, which waits for torch; a test compares the two."""

ALL = "all"

LIST_EPILOG = """\
Examples

$ vaelab study list
$ vaelab study list conv-cvae                                 # its rows, models and options
$ vaelab study list --json"""

RUN_EPILOG = f"""\
Studies

{", ".join(NAMES)}, or {ALL}

Examples

$ vaelab study run conv-cvae --quick --out quick              # the embedded digits, under a minute
$ vaelab study run conv-cvae --data mnist --out studies/conv-cvae
$ vaelab study run all --data mnist --out studies --jobs 2
$ vaelab study run conv-cvae --out studies/conv-cvae --redraw --pdf
$ vaelab study run loss-terms --set epochs=10 --set 'both.training.lr=2e-3' --out studies/loss-terms

Stopped, it keeps every finished step; the same command goes on. What is there is reused where its configuration and \
all that it stands on are unchanged. Several steps at a time run in processes of their own."""

app = typer.Typer(
    help="Whole exercise sheets: train, measure, and write a report.",
    epilog="""\
Examples

$ vaelab study list
$ vaelab study run all --quick --out quick
$ vaelab study run conv-cvae --data mnist --out studies/conv-cvae""",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _complete(incomplete: str) -> list[str]:
    return [name for name in (*NAMES, ALL) if name.startswith(incomplete)]


@app.command("list", epilog=LIST_EPILOG)
def list_studies(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show this study in full.", autocompletion=_complete)
    ] = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """List the studies: which section of the report answers which row of the sheet."""
    from vaelab.studies import all_studies, get

    chosen = all_studies() if name is None else [get(name)]
    if as_json:
        console.out_json({study.name: _as_json(study) for study in chosen})
        return
    for place, study in enumerate(chosen):
        if place:
            console.out()
        console.out(f"{study.name} (sheet {study.sheet}): {study.title}")
        rows = sorted((row, part) for part in study.parts for row in part.rows)
        rows.sort(key=lambda pair: (pair[0][0], int(pair[0][1:])))
        console.table(["row", "section", "anchor"], [[row, part.title, f"#{part.id}"] for row, part in rows])
        if name is not None:
            _show_options(study)


def _as_json(study: Study) -> dict[str, Any]:
    settings = _default_settings(study)
    return {
        "sheet": study.sheet,
        "title": study.title,
        "rows": {row: {"section": part.title, "id": part.id} for part in study.parts for row in part.rows},
        "options": {n: {"value": o.value, "quick": o.quick, "help": o.help} for n, o in study.options.items()},
        "steps": {step.name: step.title for step in study.steps(settings)},
    }


def _show_options(study: Study) -> None:
    from vaelab.studies.study import Train

    console.out()
    rows = [[name, _word(o.value), _word(o.quick), o.help] for name, o in study.options.items()]
    console.table(["option (--set)", "value", "quick", "meaning"], rows, fold="meaning")
    console.out()
    steps = study.steps(_default_settings(study))
    shown = [[step.name, "model" if isinstance(step, Train) else "measurement", step.title] for step in steps]
    console.table(["step", "kind", "what"], shown, fold="what")


def _default_settings(study: Study) -> Settings:
    from vaelab.studies.asking import Asked, settings_of

    return settings_of(study, Asked())


def _word(value: object) -> str:
    return "/".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


@app.command("run", epilog=RUN_EPILOG)
def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A study, or all.", autocompletion=_complete)],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Gets report.html and all it stands on; all: a folder each.")
    ],
    data: options.Data = None,
    other: Annotated[
        str | None,
        typer.Option("--other", metavar="NAME|PATH", help="The data where the sheet asks for Fashion-MNIST."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", metavar="", help="All of it on the embedded digits with few steps.")
    ] = False,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="K=V", help="An option of the study, or MODEL.training.KEY, or MODEL.model.KEY."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="TOML, as the report shows it at its end.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", help="Of every model.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", metavar="N", help="Of every model.")] = None,
    lr: Annotated[float | None, typer.Option("--lr", metavar="RATE", help="Of every model.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Of all models and draws.")] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", metavar="N", help="Steps at a time. Default: one a processor, at most 4.")
    ] = None,
    redraw: Annotated[bool, typer.Option("--redraw", metavar="", help="Only write the report anew.")] = False,
    pdf: Annotated[
        bool, typer.Option("--pdf", metavar="", help="Also report.pdf; needs a Chromium or Chrome.")
    ] = False,
    notebook: Annotated[
        bool | None,
        typer.Option(
            "--notebook/--no-notebook", metavar="", help="Write and run report.ipynb; with --redraw only if missing."
        ),
    ] = None,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    offline: options.Offline = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Do all that an exercise sheet asks for and write a report: report.html, and report.ipynb to go on with.

    Models, numbers and figures that are already in DIR are reused where their configuration is unchanged.
    """
    if name != ALL and name not in NAMES:
        from vaelab.specs import nearest

        raise UsageError(f"unknown study {name!r}; {nearest(name, (*NAMES, ALL))}")
    if jobs is not None and jobs < 1:
        raise UsageError(f"expected --jobs ≥ 1, got {jobs}")
    from vaelab.run import DataAccess
    from vaelab.studies.asking import Asked

    training = {"epochs": epochs, "batch_size": batch_size, "lr": lr}
    asked = Asked(
        data,
        other,
        seed,
        quick,
        device,
        config,
        assignments or (),
        {k: v for k, v in training.items() if v is not None},
    )
    access = DataAccess(data_dir, offline, console.bars(quiet))
    begin = time.monotonic()
    written = _studies(name, out, asked, access, _Ways(jobs, redraw, pdf, notebook, quiet))
    _show(written, time.monotonic() - begin, as_json)


class _Ways:
    """How, and not what."""

    def __init__(self, jobs: int | None, redraw: bool, pdf: bool, notebook: bool | None, quiet: bool) -> None:
        self.jobs, self.redraw, self.pdf, self.notebook, self.quiet = jobs, redraw, pdf, notebook, quiet


def _studies(name: str, out: Path, asked: Asked, access: DataAccess, ways: _Ways) -> dict[str, Written]:
    """One study, or all of them with an overview."""
    from vaelab.cli.study_watch import StudyWatch
    from vaelab.studies import all_studies, get

    chosen = all_studies() if name == ALL else [get(name)]
    folders = {study.name: out / study.name if name == ALL else out for study in chosen}
    _check_browser(ways)
    settings = {study.name: _settings(study, folders[study.name], asked, chosen, ways) for study in chosen}
    settings = _all_checked(chosen, settings, folders)
    costs = [sum(step.cost for step in study.steps(settings[study.name])) for study in chosen]
    written: dict[str, Written] = {}
    with StudyWatch(ways.quiet) as watch:
        for place, study in enumerate(chosen):
            watch.next_study(sum(costs[place + 1 :]))
            watch.number = f"study {place + 1} of {len(chosen)}: " if len(chosen) > 1 else ""
            written[study.name] = _one(study, settings[study.name], folders[study.name], access, ways, watch)
    if name == ALL:
        from vaelab.studies.overview import write_overview

        write_overview(out, {study.name: (study, written[study.name]) for study in chosen}, _command())
    return written


def _check_browser(ways: _Ways) -> None:
    """Before hours of training, not after."""
    from vaelab.report.pdf import find_browser

    if ways.pdf and find_browser() is None:
        raise UsageError("--pdf needs Chromium or Chrome, and none is on the PATH; install one, or leave --pdf out")


def _all_checked(
    chosen: Sequence[Study], settings: dict[str, Settings], folders: dict[str, Path]
) -> dict[str, Settings]:
    """What would stop a later study is said before the first; a model's change goes to the studies that have it."""
    from vaelab.studies.running import check_changes, models_of
    from vaelab.studies.store import Store

    own = {study.name: models_of(study.steps(settings[study.name])) for study in chosen}
    everywhere = [name for names in own.values() for name in names]
    for study in chosen:
        Store.open(folders[study.name], study.name)
        check_changes(settings[study.name], everywhere)
    return {name: one.without_changes_of(set(everywhere) - set(own[name])) for name, one in settings.items()}


def _settings(study: Study, folder: Path, asked: Asked, chosen: Sequence[Study], ways: _Ways) -> Settings:
    """What is asked for; with --redraw what was asked for before, which nothing may contradict."""
    from vaelab.studies.asking import settings_of, stored_settings
    from vaelab.studies.running import document
    from vaelab.studies.store import Store

    several = {n: option for one in chosen for n, option in one.options.items()}
    if not ways.redraw:
        return settings_of(study, asked, options=several)
    earlier = stored_settings(study, Store.open(folder, study.name), asked.device)
    if asked and document(settings_of(study, asked, options=several)) != document(earlier):
        raise UsageError(
            f"the results in {folder} were made with other settings, and --redraw makes none; leave the settings out"
        )
    return earlier


def _one(study: Study, settings: Settings, folder: Path, access: DataAccess, ways: _Ways, watch: StudyWatch) -> Written:
    from vaelab.studies.reporting import write_report
    from vaelab.studies.running import run_study
    from vaelab.studies.store import Store

    if ways.redraw:
        store = Store.open(folder, study.name)
    else:
        store = run_study(study, settings, folder, jobs=ways.jobs, access=access, watch=watch, command=_command())
    # A notebook is executed, and so computes; drawn anew is what is only drawn.
    there = ways.redraw and (store.path / "report.ipynb").exists()
    notebook = not there if ways.notebook is None else ways.notebook
    done = write_report(study, settings, store, pdf=ways.pdf, notebook=notebook, access=access)
    for note in done.notes:
        console.note(note, ways.quiet)
    return done


def _command() -> list[str]:
    return ["vaelab", *console.settings.words]


def _show(written: dict[str, Written], seconds: float, as_json: bool) -> None:
    from vaelab.cli.study_watch import duration

    if as_json:
        console.out_json({
            name: {
                "summary": one.summary,
                "verdicts": [vars(verdict) for verdict in one.verdicts],
                "files": {kind: str(path) for kind, path in one.files.items()},
                "notes": list(one.notes),
            }
            for name, one in written.items()
        })  # fmt: skip
        return
    signs = {True: "yes", False: "no", None: ""}
    for name, one in written.items():
        console.out(name)
        rows = [[verdict.what, verdict.value, verdict.target, signs[verdict.met]] for verdict in one.verdicts]
        console.table(["number", "measured", "target", "met"], rows, fold="number")
        for path in one.files.values():
            console.out(f"  {path}")
        console.out()
    console.out(f"{duration(seconds)} in all")
