"""``vaelab train``: a preset, a file and flags → a run folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaelab import presets, recipes
from vaelab.cli import console, options
from vaelab.config import RunConfig, check, read_toml
from vaelab.errors import Interrupted, UsageError
from vaelab.launch import is_first

if TYPE_CHECKING:
    from vaelab.run import Run
    from vaelab.training import Callback

EPILOG = """\
Examples

$ vaelab train --preset conv-vae --data mnist --out runs/vae
$ vaelab train --preset conv-cvae --data mnist --out runs/cvae --seed 1
$ vaelab train --recipe fast --out runs/fast
$ vaelab train --config mine.toml --out runs/mine --epochs 3
$ vaelab train --data photos --image-size 32 --out runs/photos
$ vaelab train --prior mixture:components=20 --out runs/mixture
$ vaelab train --resume --out runs/vae
$ torchrun --nproc-per-node 4 -m vaelab train --data mnist --out runs/vae

Flags win over environment variables, these over the --config file, the file over the recipe, the \
recipe over the preset. Every setting has a variable: --batch-size is VAELAB_BATCH_SIZE (but \
VAELAB_DATA is the folder of data sets). A SPEC is a name with options, as in \
conv:channels=32/64,hidden=16; an unknown name lists the known ones."""

DEFAULT = "conv-vae"
RECIPES = "; ".join(f"{name}, for {' and '.join(it.presets)}" for name, it in recipes.RECIPES.items())
SETTINGS = {
    "data": ("variant", "image_size", "validation", "test", "labels", "labels_choice", "labels_seed"),
    "model": (
        "latent", "conditional", "condition", "encoder", "decoder", "posterior", "prior", "likelihood", "classifier",
        "top", "init",
    ),
    "training": (
        "objective", "augmentation", "corruption", "m1", "epochs", "batch_size", "labelled_batch", "optimizer", "lr",
        "beta2", "weight_decay", "schedule", "average", "clip", "patience", "precision", "compile", "seed",
        "device", "checkpoint_steps",
    ),
}  # fmt: skip
"""Section of the configuration → its keys that have a flag of the same name."""
WITH_RESUME = {"out", "resume", "epochs", "device", "compile", "data_dir", "offline", "as_json", "quiet", "debug"}


def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="The run folder to write.")],
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="NAME",
            help=f"Where to start from; see vaelab presets. Default: {DEFAULT}.",
            envvar="VAELAB_PRESET",
            show_envvar=False,
            autocompletion=options.complete_preset,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME",
            help=f"How to train it sooner: {RECIPES}.",
            envvar="VAELAB_RECIPE",
            show_envvar=False,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE.toml", help="Changes to the preset, in a file.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            metavar="",
            help="Continue the run in --out, bit for bit; takes --epochs, --device and --no-compile.",
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", metavar="", help="Remove an earlier run in --out.")] = False,
    data: options.Data = None,
    data_dir: options.DataDir = None,
    offline: options.Offline = False,
    variant: options.Variant = None,
    image_size: options.ImageSize = None,
    validation: options.Validation = None,
    test: options.Test = None,
    labels: options.Labels = None,
    labels_choice: options.LabelsChoice = None,
    labels_seed: options.LabelsSeed = None,
    latent: options.Latent = None,
    conditional: options.Conditional = None,
    condition: options.Condition = None,
    encoder: options.Encoder = None,
    decoder: options.Decoder = None,
    posterior: options.Posterior = None,
    prior: options.Prior = None,
    likelihood: options.Likelihood = None,
    classifier: options.Classifier = None,
    top: options.Top = None,
    init: options.Init = None,
    objective: options.Objective = None,
    augmentation: options.Augmentation = None,
    corruption: options.Corruption = None,
    m1: options.M1 = None,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    labelled_batch: options.LabelledBatch = None,
    lr: options.LearningRate = None,
    optimizer: options.Optimizer = None,
    beta2: options.Beta2 = None,
    schedule: options.Schedule = None,
    weight_decay: options.WeightDecay = None,
    average: options.Average = None,
    clip: options.Clip = None,
    patience: options.Patience = None,
    precision: options.Precision = None,
    compile: options.Compile = None,
    device: options.TrainingDevice = None,
    seed: options.TrainingSeed = None,
    checkpoint_steps: options.CheckpointSteps = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Train a model into a run folder, or continue a run."""
    if resume:
        _check_resumable(context)
        chosen = None
    else:
        chosen = configuration(preset, config, given_settings(context.params), recipe)
    first = is_first()
    run, seconds = _fit(chosen, context, quiet or not first)
    if not first:
        return
    report(run, seconds, as_json)
    console.note(f"next: vaelab evaluate {run.folder.path}, vaelab plot {run.folder.path}", quiet or as_json)


def given_settings(parameters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Section → the keys that a flag or an environment variable sets."""
    given: dict[str, dict[str, Any]] = {
        section: {key: parameters[key] for key in keys if parameters.get(key) is not None}
        for section, keys in SETTINGS.items()
    }
    if parameters.get("data") is not None:
        given["data"]["name"] = parameters["data"]
    return given


def configuration(
    preset: str | None, file: Path | None, given: Mapping[str, Mapping[str, Any]], recipe: str | None = None
) -> RunConfig:
    """Preset, then recipe, then file, then what was given; checked before torch is loaded."""
    values = {} if file is None else read_toml(file)
    try:
        named = values.pop("preset", DEFAULT)
        base = RunConfig.from_dict({"preset": named, "recipe": values.pop("recipe", "")})  # refuses another type
        recipe, base = recipe or base.recipe, presets.get(preset or base.preset)
        base = RunConfig.from_dict(values, recipes.apply(base, recipe) if recipe else base)
    except UsageError as error:
        raise error if file is None else UsageError(f"{file}: {error}") from error
    chosen = RunConfig.from_dict(given, base)
    check(chosen)
    return chosen


def _check_resumable(context: typer.Context) -> None:
    given = {name for name in context.params if _on_the_line(context, name)}
    if refused := sorted(given - WITH_RESUME):
        flags = ", ".join("--" + name.replace("_", "-") for name in refused)
        raise UsageError(
            f"--resume continues a run as it is configured; leave out {flags}, or train into another --out"
        )


def _on_the_line(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _fit(config: RunConfig | None, context: typer.Context, quiet: bool) -> tuple[Run, float]:
    """Train anew, or resume where there is no configuration; the run and the seconds it took."""
    from vaelab import workflows
    from vaelab.callbacks import ProgressCallback
    from vaelab.distributed import processes
    from vaelab.run import DataAccess

    given = context.params
    access = DataAccess(given["data_dir"], given["offline"], console.bars(quiet))
    out, start = given["out"], time.monotonic()
    try:
        with processes() as together, ProgressCallback(console.stderr()) as progress:
            callbacks: list[Callback] = [] if quiet else [progress]
            if config is None:
                changes = {name: given[name] for name in ("epochs", "device", "compile") if _on_the_line(context, name)}
                run = workflows.resume(out, access=access, callbacks=callbacks, processes=together, **changes)
            else:
                overwrite = given["overwrite"]
                run = workflows.train(
                    config, out=out, access=access, callbacks=callbacks, overwrite=overwrite, processes=together
                )
    except Interrupted:
        console.note(f"continue with: vaelab train --resume --out {out}", quiet)
        raise
    return run, time.monotonic() - start


def report(run: Run, seconds: float, as_json: bool) -> None:
    """The losses of the weights that were kept, from the history."""
    results = run.final_losses()
    epochs, steps = results["train"]["epoch"], results["train"]["step"]
    if as_json:
        kept = {split: {k: v for k, v in row.items() if k != "step"} for split, row in results.items()}
        console.out_json(
            {"run": str(run.folder.path), "epochs": epochs, "steps": steps, "seconds": round(seconds, 2), **kept}
        )
        return
    console.out(f"{run.folder.path}: {epochs} epochs, {steps} steps, {seconds:.0f} s")
    console.losses(results)
    if "validation" in results and results["validation"]["epoch"] != epochs:
        console.out(f"kept: the weights of epoch {results['validation']['epoch']}, the best on the validation images")
