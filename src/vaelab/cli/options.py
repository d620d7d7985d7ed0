"""The options of the commands: flag, help and environment variable, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vaelab import presets
from vaelab.cli import console

DATA_SETS = ("digits", "fashion-mnist", "mnist")
PARTS, PIXELS, LOOP = "The model", "The data", "The training"


def complete_preset(incomplete: str) -> list[str]:
    """Presets that begin with what has been typed."""
    return [name for name in presets.names() if name.startswith(incomplete)]


def complete_data(incomplete: str) -> list[str]:
    """Data sets that begin with what has been typed."""
    return [name for name in DATA_SETS if name.startswith(incomplete)]


def _set_debug(value: bool) -> None:
    console.settings.debug = console.settings.debug or value


def setting(flag: str, panel: str, help: str, metavar: str | None = None, **more: Any) -> Any:
    """An option that changes one key of the configuration; ``--batch-size`` is also ``$VAELAB_BATCH_SIZE``."""
    variable = "VAELAB_" + flag.partition("/")[0].removeprefix("--").replace("-", "_").upper()
    return typer.Option(
        flag, help=help, metavar=metavar, envvar=variable, show_envvar=False, rich_help_panel=panel, **more
    )


# --- of every command ---------------------------------------------------------------------------------------------

AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Show no progress.")]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        metavar="",
        help="Show a traceback with an error; also VAELAB_DEBUG=1.",
        envvar="VAELAB_DEBUG",
        show_envvar=False,
        callback=_set_debug,
    ),
]

# --- where data comes from ----------------------------------------------------------------------------------------

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Look for data sets here first, then in VAELAB_DATA and the user's cache.",
        rich_help_panel=PIXELS,
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        metavar="",
        help="Never use the network.",
        envvar="VAELAB_OFFLINE",
        show_envvar=False,
        rich_help_panel=PIXELS,
    ),
]

# --- of a run -----------------------------------------------------------------------------------------------------

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The folder that a training wrote.")]
Split = Annotated[str, typer.Option("--split", metavar="SPLIT", help="train, validation or test.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of the random draws.")]
Label = Annotated[int | None, typer.Option("--label", metavar="L", help="Only this class, counted from 0.")]
Device = Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.")]

# --- of a training: the data --------------------------------------------------------------------------------------

Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="NAME|PATH",
        help="mnist, fashion-mnist, digits, a .npz file, a folder of images or one with images.npy, to be streamed.",
        autocompletion=complete_data,
        rich_help_panel=PIXELS,
    ),
]
Variant = Annotated[
    str | None, setting("--variant", PIXELS, "Pixels: grey, dynamic, static or dequantised.", "VARIANT")
]
Validation = Annotated[
    float | None,
    setting("--validation", PIXELS, "Training images held out to choose the best epoch: fraction or number.", "PART"),
]
Test = Annotated[
    float | None, setting("--test", PIXELS, "Fraction for testing, of data without a test part of its own.", "PART")
]
ImageSize = Annotated[int | None, setting("--image-size", PIXELS, "Resize images to this many pixels a side.", "N")]
Labels = Annotated[
    int | None,
    setting("--labels", PIXELS, "Keep so many labels, hide the others; for m2 and m1+m2. 0: all.", "N"),
]
LabelsChoice = Annotated[
    str | None, setting("--labels-choice", PIXELS, "Which labels: stratified (as many of each class) or random.", "WAY")
]
LabelsSeed = Annotated[int | None, setting("--labels-seed", PIXELS, "Of the choice of labels.", "N")]

# --- the model ----------------------------------------------------------------------------------------------------

Latent = Annotated[int | None, setting("--latent", PARTS, "Latent dimensions.", "N")]
Conditional = Annotated[
    bool | None, setting("--conditional/--unconditional", PARTS, "Give the label to encoder, prior and decoder.", "")
]
Condition = Annotated[
    str | None, setting("--condition", PARTS, "How a label enters the networks: concat or add.", "WAY")
]
Encoder = Annotated[str | None, setting("--encoder", PARTS, "For instance conv, or mlp:hidden=512/512", "SPEC")]
Decoder = Annotated[str | None, setting("--decoder", PARTS, "For instance conv, or mlp:hidden=512/512", "SPEC")]
Posterior = Annotated[str | None, setting("--posterior", PARTS, "For instance normal, or normal:head=log-std", "SPEC")]
Prior = Annotated[str | None, setting("--prior", PARTS, "For instance normal, or mixture:components=20", "SPEC")]
Likelihood = Annotated[str | None, setting("--likelihood", PARTS, "For instance bernoulli, or normal:std=0.1", "SPEC")]
Classifier = Annotated[
    str | None, setting("--classifier", PARTS, "Network of q(y|x) of an m2; for instance mlp:hidden=500/500", "SPEC")
]
Top = Annotated[str | None, setting("--top", PARTS, "M2 of an m1+m2; for instance m2:latent=50,hidden=500", "SPEC")]
Init = Annotated[
    str | None, setting("--init", PARTS, "First weights: he-encoder, he, or torch (PyTorch's default).", "NAME")
]

# --- the training -------------------------------------------------------------------------------------------------

Objective = Annotated[str | None, setting("--objective", LOOP, "For instance elbo, or elbo:beta=4,warmup=1", "SPEC")]
Augmentation = Annotated[
    str | None,
    setting("--augmentation", LOOP, "Of the training images; for instance none, or shift:pixels=1", "SPEC"),
]
Corruption = Annotated[
    str | None,
    setting("--corruption", LOOP, "Of the input alone; for instance none, or gaussian:std=0.3", "SPEC"),
]
M1 = Annotated[str | None, setting("--m1", LOOP, "The run whose VAE is the M1 of an m1+m2.", "RUN")]
Epochs = Annotated[int | None, setting("--epochs", LOOP, "Passes over the training images.", "N")]
BatchSize = Annotated[int | None, setting("--batch-size", LOOP, "Images a step.", "N")]
LabelledBatch = Annotated[
    int | None, setting("--labelled-batch", LOOP, "Labelled images in each batch of an m2; 0: as they come.", "N")
]
Optimizer = Annotated[str | None, setting("--optimizer", LOOP, "adam, adamw or muon.", "NAME")]
LearningRate = Annotated[float | None, setting("--lr", LOOP, "Learning rate, or its peak.", "RATE")]
Beta2 = Annotated[float | None, setting("--beta2", LOOP, "Adam's memory of squared gradients, β₂.", "RATE")]
WeightDecay = Annotated[float | None, setting("--weight-decay", LOOP, "Weight decay.", "RATE")]
Schedule = Annotated[
    str | None, setting("--schedule", LOOP, "Of the learning rate: constant, one-cycle or linear.", "NAME")
]
Average = Annotated[
    float | None,
    setting("--average", LOOP, "Share of the steps that the average of the weights remembers; 0: none.", "SHARE"),
]
Clip = Annotated[float | None, setting("--clip", LOOP, "Largest gradient norm; 0: no clipping.", "NORM")]
Patience = Annotated[
    int | None, setting("--patience", LOOP, "Stop after this many epochs without a better validation; 0: never.", "N")
]
Precision = Annotated[str | None, setting("--precision", LOOP, "float32 or bf16.", "NAME")]
Compile = Annotated[
    bool | None, setting("--compile/--no-compile", LOOP, "Compile the networks; the first step then takes long.", "")
]
TrainingSeed = Annotated[int | None, setting("--seed", LOOP, "Of weights, order and draws.", "N")]
TrainingDevice = Annotated[str | None, setting("--device", LOOP, "auto, cpu, cuda, cuda:N or mps.", "DEVICE")]
CheckpointSteps = Annotated[
    int | None, setting("--checkpoint-steps", LOOP, "Steps between checkpoints within an epoch.", "N")
]
