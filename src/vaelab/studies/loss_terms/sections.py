"""B1, B3 and B4 of the report: the network, samples and losses while it trains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaelab.report.blocks import Answer, Block, Formula, Table, Text
from vaelab.studies.loss_terms.sections_loss import PAIR, by_epoch
from vaelab.studies.loss_terms.words import written
from vaelab.studies.results import Results, percent


def network(results: Results) -> Sequence[Block]:
    """B1."""
    found = results.values("weights")
    classes, pixels, latent = found["classes"], found["pixels"], found["latent"]
    return [
        Text(
            "A conditional VAE is a VAE whose two networks also receive the class label y. The label is written as a "
            f"one-hot vector of {classes} numbers (one is 1, the others are 0) and put beside the input of each "
            f"network: the encoder sees {pixels} pixel values and {classes} label values, the decoder {latent} latent "
            f"values and {classes} label values. Everything else is an ordinary VAE."
        ),
        Formula(
            "encoder: (x, y) → μ, log σ²    z = μ + σ · ε, ε ~ N(0, I)    decoder: (z, y) → probability of each pixel"
        ),
        Table(
            ["part", "layer", "inputs → outputs"],
            found["layers"],
            f"The layers of the conditional VAE, {found['parameters']:,} parameters with the biases. The first layer "
            "of the encoder and the first layer of the decoder have the label among their inputs.",
        ),
        Answer("Do both networks use the label?", _label_use(results)),
        results.picture(
            "samples",
            "cvae-sheet",
            "One row for each class. Every column is one draw of z from the prior, the same in all rows: down a column "
            "only the label given to the decoder differs, along a row only z.",
            "Samples of the conditional VAE: a row for each class, a column for each draw of z.",
        ),
    ]


def _label_use(results: Results) -> str:
    found = results.values("weights")
    moved = results.metric("weights", "label_moves")
    asked = results.metric("samples", "cvae-sheet.recognised")
    chance = 1 / found["classes"]
    decoder = (
        f"The decoder: of {asked.n:,} samples, each decoded with a label that was asked for, a classifier of real "
        f"images sees that label in {percent(asked, 1)}. "
    )
    if asked.value > chance + 5 * (asked.standard_error or 0.0) + 0.2:
        decoder += f"A decoder that ignores its label would reach about {100 * chance:.0f} %, so it uses the label."
    else:
        decoder += f"A decoder that ignores its label would reach about {100 * chance:.0f} %: it hardly uses it."
    encoder = (
        f"The encoder: when the same {moved.n:,} test images are encoded with the next class instead of their own, "
        f"their posterior means move by {written(moved, unit=False)} times the spread of all means. "
    )
    if moved.value > 0.1:
        encoder += "So the code of an image depends on the label it is given, too."
    else:
        encoder += "So the encoder hardly looks at the label."
    return f"{decoder}\n\n{encoder}"


def training(results: Results) -> Sequence[Block]:
    """B3 and B4."""
    rows = {name: results.values("samples")[f"{name}.epochs"] for name in PAIR}
    table = [
        [str(epoch), f"{right} of {count}", f"{other} of {count}"]
        for (epoch, right, count), (_, other, _) in zip(rows["cvae-sheet"], rows["cvae-both"], strict=False)
    ]
    step = 1 + (len(table) - 1) // 12
    kept = sorted({*range(0, len(table), step), len(table) - 1})
    return [
        results.picture(
            "weights",
            "class-epochs",
            "One sample of each class after every epoch (long trainings: twelve of the epochs), with the sheet's "
            "weight. The draw of z is the same in all epochs and classes, so what changes along a row is only the "
            "network.",
            "Samples: a row for each class, a column for each epoch.",
        ),
        Table(
            ["epoch", "recognised, the sheet's weight", "recognised, β = 1"],
            [table[place] for place in kept],
            "In how many of these samples, one a class, a classifier of real images sees the right class.",
        ),
        Answer("From when on are the samples recognisable?", _recognisable(rows["cvae-sheet"])),
        results.picture(
            "weights",
            "loss",
            "The training curve: the loss that is minimised, reconstruction + β · KL, over the steps (one batch each). "
            "Single batches are faint, the line is their running mean; triangles are the test images after each epoch.",
            "The loss of each step, its running mean, and the loss of the test images after each epoch.",
        ),
        Answer("What does the training curve show?", _curve(results)),
    ]


def _recognisable(rows: Sequence[Sequence[int]]) -> str:
    whole = [epoch for epoch, right, count in rows if right == count]
    epoch, right, count = rows[-1]
    last = f"after the last epoch ({epoch}) it does in {right} of {count}"
    if whole:
        first = f"for the first time after epoch {whole[0]}"
        return f"The classifier sees the right class in all {count} samples {first}; {last}."
    best = max(rows, key=lambda row: row[1])
    return f"Never in all {count} samples at once: at best in {best[1]}, after epoch {best[0]}; {last}."


def _curve(results: Results) -> str:
    pixels = results.values("weights")["pixels"]
    history = results.history("cvae-sheet").where(split="step")
    values = np.array(history["loss"], dtype=float)
    part = max(1, len(values) // 20)
    begin, early, end = float(values[0]), float(values[part : 2 * part].mean()), float(values[-part:].mean())
    share = (begin - early) / (begin - end) if begin > end else 0.0
    train, test = (by_epoch(results, "cvae-sheet", split)[-1] for split in ("train", "test"))
    text = (
        f"Over {len(values):,} steps the loss goes from {begin:.1f} nats per image in the first batch to {end:.1f} "
        f"(mean of the last {part} batches); in the sheet's unit, divided by {pixels}, from {begin / pixels:.4f} to "
        f"{end / pixels:.4f}. After the first tenth of the steps {100 * share:.0f} % of the way is done. "
    )
    gap = test - train
    text += f"The loss of the test images after the last epoch is {test:.2f}, of the training images {train:.2f}: "
    if gap > 0.03 * train:
        return text + "the model does better on what it has seen, it begins to overfit."
    return text + "no sign of overfitting."
