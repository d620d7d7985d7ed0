"""``vaelab classify``: a conditional model as a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vaelab.cli import console, options
from vaelab.cli.evaluate import show_metrics

if TYPE_CHECKING:
    from vaelab.tasks.classify import Classification

EPILOG = """\
Examples

$ vaelab classify runs/cvae
$ vaelab classify runs/cvae --samples 50 --json
$ vaelab classify runs/cvae --bound mean --prior uniform
$ vaelab classify runs/m2 --by posterior --split validation"""

SHOWN = 20
"""Up to this many classes, the confusion matrix is printed."""


def classify(
    run: options.RunPath,
    split: options.Split = "test",
    bound: Annotated[
        str,
        typer.Option("--bound", metavar="BOUND", help="What stands for log p(x|y): importance, elbo or mean."),
    ] = "importance",
    samples: Annotated[int, typer.Option("--samples", metavar="K", help="Draws of z for each image and label.")] = 10,
    class_prior: Annotated[
        str,
        typer.Option(
            "--prior",
            metavar="PRIOR",
            help="p(y): estimated from the training labels, uniform, or one probability for each class with commas.",
        ),
    ] = "estimated",
    by: Annotated[
        str,
        typer.Option("--by", metavar="WAY", help="bound: Bayes' rule. posterior: a semi-supervised model's q(y|x)."),
    ] = "bound",
    seed: options.Seed = 0,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    offline: options.Offline = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Tell the class of each image by Bayes' rule, p(y|x) ∝ p(y) p(x|y), with a conditional model.

    Adds accuracy, negative log-likelihood and calibration error, before and after a temperature fitted on the
    validation images, to metrics.json. Writes predictions/SPLIT.csv and figures into the run folder.
    """
    from vaelab.run import DataAccess, Run
    from vaelab.tasks.classify import ClassificationNotSavedError, classify_run

    bars = console.bars(quiet)
    opened = Run.open(run, DataAccess(data_dir, offline, bars), device)
    console.note_unfinished(opened, quiet)
    try:
        result = classify_run(
            opened, bound=bound, samples=samples, prior=class_prior, split=split, by=by, seed=seed, progress=bars
        )
    except ClassificationNotSavedError as error:
        _show(error.result, as_json, quiet)
        raise
    _show(result, as_json, quiet)


def _show(result: Classification, as_json: bool, quiet: bool) -> None:
    if result.note:
        console.note(result.note, quiet)
    if as_json:
        console.out_json({name: metric.to_json() for name, metric in result.metrics.items()})
        return
    show_metrics({name: metric for name, metric in result.metrics.items() if "accuracy_of_class_" not in name})
    console.out()
    _show_counts(result)
    console.out()
    console.out("\n".join(str(file) for file in result.files))


def _show_counts(result: Classification) -> None:
    """Rows are labels with their accuracy; columns, where they fit, the predicted labels by number."""
    classes = range(len(result.counts))
    shown = [str(label) for label in classes] if len(classes) <= SHOWN else []
    rows = []
    for label, counts in enumerate(result.counts.tolist()):
        share = f"{counts[label] / sum(counts):.3f}" if sum(counts) else ""
        cells = [str(count) if count else "·" for count in counts] if shown else []
        rows.append([f"{label} {_name(result, label)}".rstrip(), *cells, str(sum(counts)), share])
    columns = ["label \\ predicted" if shown else "label", *shown, "images", "accuracy"]
    console.table(columns, rows, right=columns[1:])


def _name(result: Classification, label: int) -> str:
    """The class's name, where it says more than the number."""
    name = " ".join(result.class_names[label].split())
    return "" if name == str(label) else name
