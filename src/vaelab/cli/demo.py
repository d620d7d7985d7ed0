"""``vaelab demo``: from nothing to two trained models with figures and numbers, on the digits inside scikit-learn."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaelab.cli import console, options
from vaelab.errors import UsageError

if TYPE_CHECKING:
    from vaelab.metrics import Metric
    from vaelab.run import Run

EPILOG = """\
Examples

$ vaelab demo
$ vaelab demo --out /tmp/demo --seed 1
$ vaelab plot runs/demo/cvae latent-grid --label 4"""

MODELS = {"vae": "digits-vae", "cvae": "digits-cvae"}
IMPORTANCE_SAMPLES = 100
QUICK_EPOCHS = 5
SHOWN = ("negative_elbo", "reconstruction", "kl", "negative_log_likelihood")


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Gets two run folders: vae and cvae.")] = Path(
        "runs/demo"
    ),
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of weights, order and draws.")] = 0,
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", help="Instead of the presets'.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", metavar="", help=f"{QUICK_EPOCHS} epochs, for a first look.")
    ] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Train a VAE and a conditional VAE with two latent dimensions on 8×8 digits, measure and draw them.

    Needs no download and less than two minutes. An earlier demo in DIR is replaced.
    """
    from vaelab.devices import threads  # torch is loaded when a command runs, not for its help

    start = time.monotonic()
    for name, preset in MODELS.items():
        _check_replaceable(out / name, preset)
    settings = {"seed": seed}
    if epochs is not None or quick:
        settings["epochs"] = QUICK_EPOCHS if epochs is None else epochs
    runs, metrics = {}, {}
    # So small a model gains nothing from more threads, and loses much where others want the processors, too.
    with threads(1):
        for name, preset in MODELS.items():
            runs[name], metrics[name] = _make(out / name, preset, settings, quiet)
    if as_json:
        console.out_json(
            {
                name: {"run": str(run.folder.path), "metrics": {k: v.to_json() for k, v in metrics[name].items()}}
                for name, run in runs.items()
            }
        )
        return
    _show(runs, metrics, time.monotonic() - start)


def _check_replaceable(folder: Path, preset: str) -> None:
    """Refuse to remove a run that is no demo's."""
    from vaelab.runfolder import RunFolder

    if not (folder / "config.json").exists():
        return
    values = RunFolder.open(folder).config()
    data = values.get("data")
    if values.get("preset") != preset or not isinstance(data, dict) or data.get("name") != "digits":
        raise UsageError(f"{folder} holds a run that is no demo's; choose another --out")


def _make(folder: Path, preset: str, settings: dict[str, int], quiet: bool) -> tuple[Run, dict[str, Metric]]:
    """Train, measure and draw one model."""
    from vaelab import workflows
    from vaelab.callbacks import ProgressCallback

    console.note(f"{preset}: training on the embedded digits", quiet)
    with ProgressCallback(console.stderr(), lines=False) as progress:
        run = workflows.train(
            preset, out=folder, training=settings, callbacks=[] if quiet else [progress], overwrite=True
        )
    console.note(f"{preset}: measuring and drawing", quiet)
    metrics = run.evaluate(importance_samples=IMPORTANCE_SAMPLES, progress=console.bars(quiet))
    run.plot()
    return run, metrics


def _show(runs: dict[str, Run], metrics: dict[str, dict[str, Metric]], seconds: float) -> None:
    presets = [run.config.preset for run in runs.values()]
    first = next(iter(metrics.values()))["negative_elbo"]
    console.out(f"test images: {first.n}; {first.unit}, ± one standard error")
    rows = [[name, *(_number(measured[name]) for measured in metrics.values())] for name in SHOWN]
    console.table(["", *presets], rows, right=presets)
    for name, run in runs.items():
        console.out()
        console.paragraph(f"{run.config.preset}: {metrics[name]['negative_log_likelihood'].protocol}")
        for sentence in run.diagnose():
            console.paragraph(sentence)
        for path in (run.folder.metrics_path, *sorted(run.folder.figures.glob("*.png"))):
            console.out(f"  {path}")
    console.out(f"\n{seconds:.0f} s in all")


def _number(metric: Metric) -> str:
    error = "" if metric.standard_error is None else f" ± {metric.standard_error:.2f}"
    return f"{metric.value:.2f}{error}"
