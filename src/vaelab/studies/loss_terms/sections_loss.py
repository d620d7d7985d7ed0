"""B2 of the report: the sheet's loss, its weight in nats, how to train with it, and what the weight changes."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

from vaelab import presets
from vaelab.metrics import Metric
from vaelab.report.blocks import Answer, Block, Formula, Listing, Table, Text
from vaelab.studies.loss_terms.weights import sheet_loss
from vaelab.studies.loss_terms.words import brief, difference, written
from vaelab.studies.results import Results, percent

PAIR = ("cvae-sheet", "cvae-both")


def loss(results: Results) -> Sequence[Block]:
    """B2."""
    found = results.values("weights")
    return [
        Text(
            "The sheet takes the reconstruction loss as a mean over the pixels and adds the KL, summed over the latent "
            f"dimensions, with a small weight w = {_number(found['weight'])}. Both are averaged over the images of a "
            "batch. Here ℓ_i is the cross entropy of pixel i in nats and D the number of pixel values of an image:"
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
        Answer(
            f"Does the learning rate of {brief(results.config('cvae-sheet').training.lr, 4)} mean the same for both "
            "forms of the loss?",
            _adam(found),
        ),
        *_trained(results),
    ]


def _trained(results: Results) -> list[Block]:
    """How to train with the sheet's weight, and what comes out, with it and with the full weight."""
    found = results.values("weights")
    return [
        Listing(
            routine(results),
            "The complete training routine of the model with the sheet's weight, to repeat it. With β = 1 the "
            f"objective is `{results.config('cvae-both').training.objective}`.",
        ),
        Table(
            ["model", "β", "loss in the sheet's unit", "reconstruction", "KL", "−ELBO", "samples recognised"],
            [_row(results, name) for name in PAIR],
            "Test images after the last epoch, in nats per image with standard errors; the sheet's unit is "
            f"(reconstruction + {_number(found['beta'])} · KL) / {found['pixels']} for both rows. −ELBO is the bound "
            "on −log p(x|y), the same quantity for both. The last column is the share of samples in which a "
            "classifier sees the class that was asked for. The errors of differences, here and below, are those of "
            "independent numbers: rather too large for numbers from the same test images.",
        ),
        Answer("Are the results good after these epochs?", _good(results)),
        Answer("What does the sheet's weight change?", _effect(results)),
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
    return brief(value, 4)


def _weights(found: Mapping[str, Any]) -> list[list[str]]:
    w, pixels, latent = found["weight"], found["pixels"], found["latent"]
    return [
        [
            "reconstruction: mean over pixels; KL: sum over latent dimensions (the sheet)",
            f"w · D = {_number(w)} · {pixels}",
            _number(w * pixels),
        ],
        [
            "reconstruction: mean over pixels; KL: mean over latent dimensions",
            f"w · D / d = {_number(w)} · {pixels} / {latent}",
            _number(w * pixels / latent),
        ],
        ["reconstruction: sum over pixels; KL: sum over latent dimensions", f"w = {_number(w)}", _number(w)],
    ]


def _equivalent(found: Mapping[str, Any]) -> str:
    straight = found["gradient_cosine"] > 0.9999
    same = abs(found["ratio"] / found["pixels"] - 1) < 1e-3 and straight
    text = (
        f"β = {_number(found['weight'])} · {found['pixels']} = {_number(found['beta'])}. Checked on "
        f"{found['images']} test images with the same draws of z: the sheet's loss, computed as the sheet writes it, "
        f"is {found['sheet_loss']:.5f}; the loss that was minimised here is {found['loss']:.3f} nats per image, "
        f"{found['ratio']:.2f} times as much. The gradients of all parameters "
        f"{'point' if straight else 'do not point'} in the same direction (cosine {found['gradient_cosine']:.6f}), and "
        f"one is {found['gradient_ratio']:.2f} times as long as the other. "
    )
    if same:
        return text + f"Both factors are D = {found['pixels']}: it is the same training objective in another unit."
    return text + f"That is not the factor D = {found['pixels']} that was expected, so the two losses are not the same."


def _adam(found: Mapping[str, Any]) -> str:
    near = found["adam_step"] > 0.9
    text = (
        f"{'Nearly' if near else 'Not quite'}. The gradient of the sheet's loss is {found['gradient_ratio']:.0f} "
        "times shorter, but Adam divides each gradient by its own running size, so the factor drops out, except "
        "where a gradient is as small as the 10⁻⁸ that Adam adds to that size. For the trained model and one batch, "
        f"Adam's first step with the sheet's loss would be on average {100 * found['adam_step']:.2f} % as long as "
        "with the loss in nats. "
    )
    if near:
        return text + "So the sheet's rate is used as it stands. With plain gradient descent the factor would matter."
    return text + "That is a visible difference: with the loss in nats the same rate trains a little faster."


SHOWN = {
    "model": ("encoder", "decoder", "latent"),
    "training": ("objective", "optimizer", "lr", "epochs", "batch_size", "seed"),
}
"""Keys of the routine even where they are the preset's."""

FOUND = {"data": ("name",), "model": ("image_shape", "classes"), "training": ("device",)}
"""Keys that follow from the data and the machine."""


def routine(results: Results) -> str:
    """The call that trains the CVAE with the sheet's weight, all that differs from its preset among its words."""
    config = results.config("cvae-sheet")
    preset = presets.get(config.preset)
    changes = {
        part: {
            key: value
            for key, value in dataclasses.asdict(getattr(config, part)).items()
            if key in SHOWN.get(part, ()) or (value != getattr(getattr(preset, part), key) and key not in FOUND[part])
        }
        for part in FOUND
    }
    data = {"name": results.settings.data, **changes["data"]}
    return "\n".join(
        [
            "import vaelab",
            "",
            "run = vaelab.train(",
            f'    "{config.preset}",',
            f"    data={data if len(data) > 1 else _literal(results.settings.data)},",
            '    out="runs/cvae-sheet",',
            *(line for part in ("model", "training") for line in _keyword(part, changes[part])),
            ")",
        ]
    )


def _keyword(name: str, values: Mapping[str, Any]) -> list[str]:
    return [f"    {name}={{", *(f'        "{key}": {_literal(value)},' for key, value in values.items()), "    },"]


def _literal(value: Any) -> str:
    """As Python reads it, words in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


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
    text = (
        f"After {len(losses)} epochs the classifier, which is right for {percent(judge, 1)} of the real test images, "
        f"sees the class that was asked for in {percent(asked, 1)} of {asked.n:,} samples. "
    )
    if asked.value > 0.9:
        text += "That is a good result. "
    elif asked.value > 0.6:
        text += "Most samples show what they should, but not all. "
    else:
        text += "That is not a good result yet. "
    if len(losses) > 1:
        text += f"In the last epoch the test loss {_fell(losses[-2] - losses[-1])}. "
    return text + _longer(results)


def _fell(nats: float) -> str:
    return f"{'fell' if nats > 0 else 'rose'} by {abs(nats):.2f} nats"


def _longer(results: Results) -> str:
    """What more epochs brought where they were tried: with the same model without the label."""
    few, many = (results.config(name) for name in ("vae-both", "longest"))
    epochs = few.training.epochs, many.training.epochs
    alike = few.model == many.model and dataclasses.replace(few.training, epochs=epochs[1]) == many.training
    if not alike or epochs[1] <= epochs[0]:
        return "No model here was trained for more epochs and was the same otherwise, so what more bring is not known."
    bound = [results.metric(name, "negative_elbo") for name in ("vae-both", "longest")]
    images = [results.environment(name).get("train", 0) for name in ("vae-both", "longest")]
    on = f" (on {images[1]:,} images instead of {images[0]:,})" if images[0] != images[1] else ""
    gain = difference(*bound)
    text = (
        f"More epochs were tried with the VAE without the label: after {epochs[0]} epochs its −ELBO is "
        f"{written(bound[0])}, after {epochs[1]}{on} it is {written(bound[1], unit=False)}"
    )
    if not gain.clear:
        return f"{text}: no difference beyond two standard errors."
    if gain.value > 0:
        return f"{text}. So more epochs still help: {gain.size} nats there."
    return f"{text}. So more epochs did harm there: {gain.size} nats."


def _effect(results: Results) -> str:
    sheet, both = ({k: results.metric(name, k) for k in ("reconstruction", "kl", "negative_elbo")} for name in PAIR)
    beta = results.values("weights")["beta"]
    return " ".join(
        [
            _spent(beta, sheet["kl"], both["kl"]),
            _bought(beta, sheet["reconstruction"], both["reconstruction"]),
            _bound(sheet["negative_elbo"], both["negative_elbo"]),
            _paid(results),
        ]
    )


def _spent(beta: float, sheet: Metric, both: Metric) -> str:
    """The KL that the weight makes cheap, or dear."""
    light, more = beta < 1, sheet.value > both.value
    numbers = f"{sheet.value:.2f} against {both.value:.2f} nats with β = 1"
    if light != more:
        size = "larger" if light else "smaller"
        return f"Contrary to what one expects, the KL with β = {_number(beta)} is not {size}: {numbers}."
    return (
        f"With β = {_number(beta)} a nat of KL costs {'only ' if light else ''}{_number(beta)} nats of reconstruction, "
        f"so the model spends {'more' if light else 'less'} of it: KL {numbers}."
    )


def _bought(beta: float, sheet: Metric, both: Metric) -> str:
    """What becomes of the reconstruction for it."""
    gain = difference(both, sheet)
    if not gain.clear:
        return (
            f"Its reconstruction loss is {gain.size} nats {'lower' if gain.value > 0 else 'higher'}, which is within "
            "two standard errors."
        )
    if gain.value > 0:
        begin = "What it buys is" if beta < 1 else "Contrary to what one expects, it has"
        return f"{begin} a reconstruction loss that is {gain.size} nats lower."
    begin = "It does not buy a better reconstruction in this run" if beta < 1 else "That is paid by the reconstruction"
    return f"{begin}: its loss is {gain.size} nats higher."


def _bound(sheet: Metric, both: Metric) -> str:
    worse = difference(sheet, both)
    if not worse.clear:
        return f"As a bound on −log p(x|y) it is about as good as β = 1 ({worse.size} nats apart)."
    if worse.value > 0:
        return f"As a bound on −log p(x|y) it is {worse.size} nats worse than β = 1."
    return f"Even as a bound on −log p(x|y) it is {worse.size} nats better than β = 1 here."


def _paid(results: Results) -> str:
    """Whether samples suffer."""
    recognised = [results.metric("samples", f"{name}.recognised") for name in PAIR]
    loss = difference(recognised[1], recognised[0])
    shares = f"{percent(recognised[0], 1)} of the samples are recognised, {percent(recognised[1], 1)} with β = 1"
    if not loss.clear:
        return f"The samples are about as good: {shares}, a difference within two standard errors."
    if loss.value < 0:
        return f"The samples do not suffer from it, on the contrary: {shares}."
    total = results.values("planes")["cvae-sheet.total"]
    return (
        f"The price is paid by the samples: {shares}. The codes of the test images have a variance of {total:.2f} in "
        "each dimension (one draw of z for each image), the prior has 1, so a z from the prior need not be one that "
        "the decoder knows."
    )
