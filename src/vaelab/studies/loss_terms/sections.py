"""B1 to B4 of the report: the network, the loss and its weight, samples and losses while it trains."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vaelab.metrics import Metric
from vaelab.report.blocks import Answer, Block, Formula, Listing, Table, Text
from vaelab.studies.loss_terms.weights import sheet_loss
from vaelab.studies.results import Results, percent, written

PAIR = ("cvae-sheet", "cvae-both")


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
            "One row for each class. Every column is one draw of z from the prior, the same in all rows: only the "
            "label given to the decoder differs. So z holds what is left when the class is known, the style.",
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


def loss(results: Results) -> Sequence[Block]:
    """B2."""
    found = results.values("weights")
    return [
        Text(
            "The sheet takes the reconstruction loss as a mean over the pixels and adds the KL, summed over the latent "
            f"dimensions, with a small weight w = {found['weight']:g}. Both are averaged over the images of a batch. "
            "Here ℓ_i is the cross entropy of pixel i in nats and D the number of pixel values of an image:"
        ),
        Formula("L(x) = (1/D) Σ_i ℓ_i(x) + w · KL(q(z|x,y) ‖ N(0, I))"),
        Text(
            "Multiplied by D, which changes nothing about where the minimum lies, this is the loss in nats per image:"
        ),
        Formula("D · L(x) = Σ_i ℓ_i(x) + w · D · KL(q(z|x,y) ‖ N(0, I)),    so β = w · D"),
        Table(
            ["what the code averages", "β", "here"],
            _weights(found),
            f"The equivalent β for images of D = {found['pixels']} pixel values and d = {found['latent']} latent "
            "dimensions: with how much of the KL, in nats, the sum of the pixels' losses is weighed.",
            bold=[0],
        ),
        Answer("What is the sheet's weight in nats?", _equivalent(found)),
        Listing(inspect.getsource(sheet_loss), "The sheet's loss as code. It was used for the comparison above."),
        Answer("Does the learning rate of 0.001 mean the same for both forms of the loss?", _adam(found)),
        Listing(_routine(results), "The complete training routine of the models below, to repeat it."),
        Table(
            ["model", "β", "loss in the sheet's unit", "reconstruction", "KL", "−ELBO", "samples recognised"],
            [_row(results, name) for name in PAIR],
            "Test images after the last epoch, in nats per image with standard errors; the sheet's unit is "
            f"(reconstruction + {_number(found['beta'])} · KL) / {found['pixels']} for both rows. −ELBO is the bound "
            "on −log p(x|y), the same quantity for both. The last column is the share of samples in which a "
            "classifier sees the class that was asked for.",
        ),
        Answer("Are the results good after these epochs?", _good(results)),
        Answer("What does so small a weight change?", _effect(results)),
        results.picture(
            "weights",
            "reconstructions",
            "Test images above their reconstructions by the model with the sheet's weight; below each pair its "
            "reconstruction loss at the posterior mean, in nats.",
            "Ten test images and their reconstructions.",
        ),
        results.picture(
            "samples",
            "cvae-both",
            "Samples of each class with the full weight, β = 1, from the same draws of z as in the figure with the "
            "sheet's weight above.",
            "Samples of the conditional VAE with β = 1: a row for each class.",
        ),
    ]


def _number(value: float) -> str:
    return f"{value:.4g}"


def _weights(found: Mapping[str, Any]) -> list[list[str]]:
    w, pixels, latent = found["weight"], found["pixels"], found["latent"]
    return [
        [
            "reconstruction: mean over pixels; KL: sum over latent dimensions (the sheet)",
            f"w · D = {w:g} · {pixels}",
            _number(w * pixels),
        ],
        [
            "reconstruction: mean over pixels; KL: mean over latent dimensions",
            f"w · D / d = {w:g} · {pixels} / {latent}",
            _number(w * pixels / latent),
        ],
        ["reconstruction: sum over pixels; KL: sum over latent dimensions", f"w = {w:g}", _number(w)],
    ]


def _equivalent(found: Mapping[str, Any]) -> str:
    same = abs(found["ratio"] / found["pixels"] - 1) < 1e-3 and found["gradient_cosine"] > 0.9999
    text = (
        f"β = {found['weight']:g} · {found['pixels']} = {_number(found['beta'])}. Checked on {found['images']} test "
        f"images with the same draws of z: the sheet's loss, computed as the sheet writes it, is "
        f"{found['sheet_loss']:.5f}; the loss that was minimised here is {found['loss']:.3f} nats per image, "
        f"{found['ratio']:.2f} times as much. The gradients of all parameters point in the same direction (cosine "
        f"{found['gradient_cosine']:.6f}), and one is {found['gradient_ratio']:.2f} times as long as the other. "
    )
    if same:
        return text + f"Both factors are D = {found['pixels']}: it is the same training objective in another unit."
    return text + f"That is not the factor D = {found['pixels']} that was expected, so the two losses are not the same."


def _adam(found: Mapping[str, Any]) -> str:
    near = found["adam_step"] > 0.9
    text = (
        f"{'Nearly' if near else 'Not quite'}. The gradient of the sheet's loss is {found['gradient_ratio']:.0f} "
        "times shorter, but Adam divides each gradient by its own running size, so the factor drops out, except "
        "where a gradient is as small as the 1e-8 that Adam adds to that size. For the trained model and one batch, "
        f"Adam's first step with the sheet's loss would be on average {100 * found['adam_step']:.2f} % as long as "
        "with the loss in nats. "
    )
    if near:
        return text + "So the sheet's rate is used as it stands. With plain gradient descent the factor would matter."
    return text + "That is a visible difference: with the loss in nats the same rate trains a little faster."


def _routine(results: Results) -> str:
    config = results.config("cvae-sheet")
    training, model = config.training, config.model
    condition = "" if model.conditional else ', "conditional": False'
    return "\n".join(
        [
            "import vaelab",
            "",
            "run = vaelab.train(",
            f'    "mlp-cvae",  # encoder {model.encoder}, decoder {model.decoder}',
            f'    data="{results.settings.data}",',
            '    out="runs/cvae-sheet",',
            f'    model={{"latent": {model.latent}{condition}}},',
            "    training={",
            f'        "objective": "{training.objective}",',
            f'        "optimizer": "{training.optimizer}",',
            f'        "lr": {training.lr:g},',
            f'        "epochs": {training.epochs},',
            f'        "batch_size": {training.batch_size},',
            f'        "seed": {training.seed},',
            "    },",
            ")",
        ]
    )


def in_sheets_unit(results: Results, run: str) -> float:
    """(reconstruction + β · KL) / D with the sheet's β, of the test images."""
    found = results.values("weights")
    reconstruction, kl = (results.metric(run, name).value for name in ("reconstruction", "kl"))
    return float((reconstruction + found["beta"] * kl) / found["pixels"])


def _row(results: Results, name: str) -> list[str]:
    found = results.values("weights")
    beta, title = (found["beta"], "the sheet's weight") if name == "cvae-sheet" else (1.0, "full weight: the ELBO")
    losses = [written(results.metric(name, key), unit=False) for key in ("reconstruction", "kl", "negative_elbo")]
    recognised = percent(results.metric("samples", f"{name}.recognised"), 1)
    return [title, _number(beta), f"{in_sheets_unit(results, name):.4f}", *losses, recognised]


def by_epoch(results: Results, run: str, split: str = "test") -> list[float]:
    """The loss of each epoch, in nats per image."""
    return [float(value) for value in results.history(run).where(split=split)["loss"]]


def _good(results: Results) -> str:
    losses = by_epoch(results, "cvae-sheet")
    asked = results.metric("samples", "cvae-sheet.recognised")
    judge = results.metric("judge", "judge_accuracy")
    epochs = len(losses)
    text = (
        f"After {epochs} epochs the classifier, which is right for {percent(judge, 1)} of the real test images, sees "
        f"the class that was asked for in {percent(asked, 1)} of {asked.n:,} samples. "
    )
    if asked.value > 0.9:
        text += "That is a good result. "
    elif asked.value > 0.6:
        text += "Most samples show what they should, but not all. "
    else:
        text += "That is not a good result yet. "
    if epochs > 1:
        gain, first = losses[-2] - losses[-1], losses[0] - losses[1]
        text += (
            f"The test loss fell by {first:.2f} nats from the first to the second epoch and by {gain:.2f} in the last"
        )
        text += ", so more epochs would bring little." if gain < 0.2 * first else ", so more epochs would still help."
    return text


def _effect(results: Results) -> str:
    sheet, both = ({k: results.metric(name, k) for k in ("reconstruction", "kl", "negative_elbo")} for name in PAIR)
    recognised = [results.metric("samples", f"{name}.recognised") for name in PAIR]
    beta = _number(results.values("weights")["beta"])
    gain = both["reconstruction"].value - sheet["reconstruction"].value
    text = (
        f"With β = {beta} a nat of KL costs only {beta} nats of reconstruction, so the model spends more of it: "
        f"KL {sheet['kl'].value:.2f} against {both['kl'].value:.2f} nats with β = 1. "
    )
    if sheet["kl"].value <= both["kl"].value:
        text = f"Contrary to what one expects, the KL with β = {beta} is not larger: {sheet['kl'].value:.2f} against "
        text += f"{both['kl'].value:.2f} nats. "
    if gain > 0:
        text += f"What it buys is a reconstruction loss that is {gain:.2f} nats lower. "
    else:
        text += f"It does not buy a better reconstruction in this run: the loss is {-gain:.2f} nats higher. "
    text += _bound(sheet["negative_elbo"], both["negative_elbo"])
    difference = recognised[1].value - recognised[0].value
    spread = math.hypot(*(metric.standard_error or 0.0 for metric in recognised))
    shares = f"{percent(recognised[0], 1)} of the samples are recognised, with β = 1 {percent(recognised[1], 1)}"
    if difference > 2 * spread:
        total = results.values("planes")["cvae-sheet.total"]
        return (
            f"{text}The price is paid by the samples: {shares}. The codes of the test images no longer have the "
            f"prior's distribution (a draw of z has the variance {total:.2f} in each dimension, the prior 1), so a z "
            "from the prior need not be one that the decoder knows."
        )
    if difference < -2 * spread:
        return f"{text}Contrary to what one expects, the samples do not suffer from it: {shares}."
    return f"{text}The samples are about as good: {shares}, a difference within two standard errors."


def _bound(sheet: Metric, both: Metric) -> str:
    if sheet.value > both.value:
        return f"As a bound on −log p(x|y) it is {sheet.value - both.value:.2f} nats worse than β = 1. "
    return f"Even as a bound on −log p(x|y) it is {both.value - sheet.value:.2f} nats better than β = 1 here. "


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
            "The loss falls steeply at first, then slowly.",
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
