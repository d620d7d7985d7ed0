"""``vaelab anomaly``: how well a model's scores tell other images from those it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vaelab.cli import console, options

if TYPE_CHECKING:
    from vaelab.applications.anomaly import Estimate
    from vaelab.tasks.anomaly import Anomalies

EPILOG = """\
Examples

$ vaelab anomaly runs/fashion --against mnist
$ vaelab anomaly runs/fashion --against mnist --false-alarms 0.01 --json
$ vaelab anomaly runs/vae --against photos/ --score reconstruction --score kl
$ vaelab anomaly runs/vae --against parts.npz --score likelihood_regret"""


def anomaly(
    run: options.RunPath,
    against: Annotated[
        str,
        typer.Option(
            "--against",
            metavar="NAME|PATH",
            help="The anomalous images: mnist, fashion-mnist, digits, a .npz file or a folder.",
            autocompletion=options.complete_data,
        ),
    ],
    score: Annotated[
        list[str] | None,
        typer.Option(
            "--score", metavar="SPEC", help="For instance kl, or likelihood_path; again for another. Left out: all."
        ),
    ] = None,
    false_alarms: Annotated[
        float,
        typer.Option("--false-alarms", metavar="SHARE", help="Of held-out normal images; sets the thresholds."),
    ] = 0.05,
    samples: Annotated[int, typer.Option("--samples", metavar="K", help="Draws of z for each image.")] = 10,
    steps: Annotated[int, typer.Option("--steps", metavar="N", help="Gradient steps of the likelihood regret.")] = 25,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many images of each set; 0: all.")] = 0,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    offline: options.Offline = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Score a run's test images (normal) and other data's (anomalous), and tell how well each score parts them.

    AUROC, average precision, false alarms at 95 % detected, and the rates at a threshold set on held-out normal images.
    They are added to metrics.json. Writes anomaly/DATA.csv and figures into the run folder.
    """
    from vaelab.run import DataAccess, Run
    from vaelab.tasks.anomaly import AnomaliesNotSavedError, detect_anomalies

    bars = console.bars(quiet)
    opened = Run.open(run, DataAccess(data_dir, offline, bars), device)
    console.note_unfinished(opened, quiet)
    try:
        result = detect_anomalies(
            opened,
            against,
            scores=score or ["all"],
            false_alarms=false_alarms,
            samples=samples,
            steps=steps,
            seed=seed,
            limit=limit,
            progress=bars,
        )
    except AnomaliesNotSavedError as error:
        _show(error.result, as_json, quiet)
        raise
    _show(result, as_json, quiet)


def _show(result: Anomalies, as_json: bool, quiet: bool) -> None:
    for sentence in result.notes:
        console.note(sentence, quiet)
    if as_json:
        console.out_json({name: metric.to_json() for name, metric in result.metrics.items()})
        return
    from vaelab.tasks.anomaly import verdicts

    normal, anomalous = result.names
    counts = [len(next(iter(scores.values()))) for scores in (result.normal, result.anomalous)]
    console.paragraph(f"Normal: {counts[0]} images of {normal}. Anomalous: {counts[1]} images of {anomalous}.")
    console.out()
    columns = ["score", "AUROC", "average precision", "FPR at 95 %", "detected", "false alarms"]
    rows = [
        [
            name,
            _with_interval(found.auroc),
            _with_interval(found.average_precision),
            _with_interval(found.fpr_at_95),
            f"{found.detection_rate.value:.3f}",
            f"{found.false_alarm_rate.value:.3f}",
        ]
        for name, found in result.detections.items()
    ]
    console.table(columns, rows, right=columns[1:])
    console.out()
    console.paragraph("In brackets: 95 % bootstrap intervals. Detected, false alarms: shares above the threshold.")
    for sentence in verdicts(result):
        console.paragraph(sentence)
    console.out()
    console.out("\n".join(str(file) for file in result.files))


def _with_interval(estimate: Estimate) -> str:
    return f"{estimate.value:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"
