"""Sections about training: losses and curves of both models, the sheet's unit, more latent dimensions (C5, C6, C14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Formula, Table, Text
from vaelab.studies.conv_cvae.words import NAMES, SHEET, SHEET_BATCH, SHEET_UNIT, error_of, is_the_sheets, nats, number
from vaelab.studies.results import Results

TERMS = ("negative_elbo", "reconstruction", "kl")


def vae(results: Results) -> Sequence[Block]:
    """C5."""
    return [_protocol(results, "vae"), *_losses(results, "vae"), *_unit(results)]


def cvae(results: Results) -> Sequence[Block]:
    """C14."""
    alike = results.config("vae").training == results.config("cvae").training
    label = "The label is given to both networks, in training and in testing."
    begin = (
        [Text(f"Trained as the VAE: the same batch size, rate and number of epochs. {label}")]
        if alike
        else [_protocol(results, "cvae"), Text(label)]
    )
    return [*begin, *_losses(results, "cvae"), Answer("What does the label change in the losses?", _label(results))]


def _label(results: Results) -> str:
    """VAE less CVAE, each image with itself."""
    gain, reconstruction, kl = (results.metric("losses", f"difference_{term}") for term in TERMS)
    size = f"{number(abs(gain.value))} ± {error_of(gain):.2f} nats"
    if abs(gain.value) <= 2 * error_of(gain):
        text = f"Nothing clear: on the same test images the −ELBO of VAE and CVAE differ by {size}"
    elif gain.value > 0:
        text = f"On the same test images the CVAE's −ELBO is {size} lower than the VAE's"
    else:
        text = f"On the same test images the CVAE's −ELBO is {size} higher than the VAE's: the label did not help"
    return (
        f"{text}. VAE less CVAE, each image with itself, is {nats(reconstruction)} in the reconstruction and "
        f"{nats(kl)} in the KL. What this compares is discussed under C20."
    )


def _protocol(results: Results, run: str) -> Text:
    config, facts = results.config(run), results.environment(run)
    training = config.training
    average = (
        " What is tested and kept after each epoch is a running average of the weights over about the last "
        f"{100 * training.average:g} % of the steps so far; the steps themselves are plain Adam's."
        if training.average
        else ""
    )
    return Text(
        f"Batch size {training.batch_size}, Adam with rate {training.lr:g}, {training.epochs} epochs, seed "
        f"{training.seed}; {facts.get('train', 0):,} training and {facts.get('test', 0):,} test images of "
        f"{config.data.name}, grey pixels.{average} While it trains, the curves can be watched: "
        f"`runs/{run}/figures/curves.png` is drawn anew after every epoch (after some of them where epochs take a few "
        "seconds, so that drawing takes a tenth of the time at most)."
    )


def _losses(results: Results, run: str) -> list[Block]:
    """Curves, the table of all epochs, and the end."""
    history = results.history(run)
    rows = []
    train, test = history.where(split="train"), history.where(split="test")
    for i, epoch in enumerate(train["epoch"]):
        cells = [f"{int(float(epoch))}"]
        cells += [
            number(float(part[term][i])) if i < len(part[term]) else "–" for part in (train, test) for term in TERMS
        ]
        rows.append(cells)
    return [
        results.run_picture(
            run,
            "curves",
            f"The {NAMES[run]}: −ELBO and its two parts. Faint: single batches; points: whole epochs.",
            f"Three panels with the negative ELBO, the reconstruction term and the KL of the {NAMES[run]} over the "
            "epochs.",
        ),
        Answer("Where did the training end?", _end(results, run, train, test)),
        Table(
            ["epoch", "train −ELBO", "reconstruction", "KL", "test −ELBO", "reconstruction", "KL"],
            rows,
            "Nats per image. Train: mean over the batches of the epoch, while the weights change. Test: after the "
            "epoch, with other draws of z than those of the final test.",
        ),
    ]


def _end(results: Results, run: str, train: Mapping[str, Any], test: Mapping[str, Any]) -> str:
    negative, reconstruction, kl = (results.metric(run, term) for term in TERMS)
    text = (
        f"The test −ELBO is {nats(negative)} per image (n = {negative.n:,}), of which reconstruction "
        f"{nats(reconstruction)} and KL {nats(kl)}."
    )
    if is_the_sheets(results, run):
        sheet = SHEET[run]
        gap = negative.value - sheet[0]
        clear = abs(gap) > 2 * error_of(negative)
        text += (
            f" The sheet's own results are {sheet[0]}, {sheet[1]} and {sheet[2]} nats: this run is {number(abs(gap))} "
            f"nats {'better' if gap <= 0 else 'worse'}{'' if clear else ', which is within two standard errors'}."
        )
    values = results.values("losses")
    if f"{run}_plain" in values:
        plain = results.metric("losses", f"{run}_plain")
        text += f" With the weights of the last step alone, not averaged, it is {nats(plain)}."
    last = [float(part["negative_elbo"][-1]) for part in (train, test) if part["negative_elbo"]]
    if len(last) == 2:
        gap = last[1] - last[0]
        text += f" In the last epoch test is {number(abs(gap))} nats {'above' if gap > 0 else 'below'} train" + (
            ": the model has begun to learn its training images rather than their kind."
            if gap > 0.03 * abs(last[0])
            else ", so there is next to no overfitting (train is a mean over the epoch, of weights that were still "
            "getting better)."
        )
    found = [float(value) for value in test["negative_elbo"]]
    if len(found) > 1:
        fall = found[-2] - found[-1]
        text += (
            f" The last epoch still gained {number(fall)} nats." if fall > 0 else " The last epoch gained nothing more."
        )
    return text


def _unit(results: Results) -> list[Block]:
    """The sheet prints nats divided by the batch size."""
    values = results.values("losses")
    rows = []
    for run in ("vae", "cvae"):
        value = results.metric(run, "negative_elbo").value
        sheet = f"{SHEET_UNIT[run]} = {SHEET[run][0]} / {SHEET_BATCH}" if is_the_sheets(results, run) else "–"
        rows.append(
            [
                NAMES[run],
                number(value),
                number(value / values[f"{run}_batch"], 3),
                number(values[f"{run}_sheet"], 3),
                sheet,
            ]
        )
    n, size = results.metric("vae", "negative_elbo").n, values["vae_batch"]
    batches = -(-n // size)
    return [
        Answer(
            "Why are the sheet's losses smaller by a factor of 32?",
            "The sheet adds up the mean loss of every batch and divides by the number of images, not by the number of "
            "batches. A mean over a batch is already divided by the batch size, so its numbers are nats per image "
            f'divided by the batch size (32 in the sheet, {size} here). Its "around 5" (4.872) is 4.872 · 32 = 155.9 '
            f"nats. Computed literally as the sheet does, the factor is {n:,} / {batches:,} = {n / batches:.2f}, as "
            + (
                "all batches are full."
                if n % size == 0
                else f"the last batch of {n % size} images counts as a full one."
            )
            + " Nats per image do not depend on the batch size, so they are used in all of this report.",
        ),
        Formula("(1/n) Σ_batches [ (1/B) Σ_images loss ] = (1/B) · (1/n) Σ_images loss"),
        Table(
            ["model", "test −ELBO, nats per image", f"÷ {size}", "as the sheet computes it", "the sheet's own"],
            rows,
            "The same losses in the sheet's unit.",
        ),
    ]


def latents(results: Results) -> Sequence[Block]:
    """C6."""
    found = results.values("latents")["rows"]
    rows = []
    for row in found:
        each = row["kl"] / row["active"] if row["active"] else None
        cells = [f"{number(row[term])} ± {row[f'{term}_error']:.2f}" for term in TERMS]
        rows.append([str(row["latent"]), *cells, "–" if row["active"] is None else f"{row['active']:g}", number(each)])
    sizes = [str(row["latent"]) for row in found]
    return [
        Answer("What do more latent dimensions do to the two terms?", _latents_text(results, found)),
        Table(
            ["latent dimensions", "test −ELBO", "reconstruction", "KL", "dimensions in use", "KL of each in use"],
            rows,
            "Nats per image ± standard error over test images; the same networks, batches and epochs, one training "
            "each. A dimension is in use where its posterior means vary over the images (variance above 0.01).",
            bold=[i for i, row in enumerate(found) if row["run"] == "vae"],
        ),
        results.picture("latents", "terms", f"The loss and its two terms with {' / '.join(sizes)} latent dimensions.",
                        "Three panels: negative ELBO, reconstruction and KL against the number of latent dimensions."),
        results.picture("latents", "reconstructions",
                        "The same test images through each model: what more dimensions keep.",
                        "A row of test images, and a row of their reconstructions for each number of latent "
                        "dimensions."),
        results.picture("latents", "kl", f"What each of {sizes[-1]} dimensions costs; a crossed-out one is not used.",
                        f"A bar for the KL of each of {sizes[-1]} latent dimensions."),
    ]  # fmt: skip


def _latents_text(results: Results, found: Sequence[Mapping[str, Any]]) -> str:
    if len(found) < 2:
        return "Only one size was trained, so nothing can be compared: give `--set latents=4/16`."
    first, last = found[0], found[-1]
    fall, rise = first["reconstruction"] - last["reconstruction"], last["kl"] - first["kl"]
    text = (
        f"From {first['latent']} to {last['latent']} dimensions the reconstruction term "
        f"{'falls' if fall > 0 else 'rises'} from {number(first['reconstruction'])} to "
        f"{number(last['reconstruction'])} nats, and the KL "
        f"{'rises' if rise > 0 else 'falls'} from {number(first['kl'])} to {number(last['kl'])}. "
    )
    if fall > 0 and rise > 0:
        text += (
            "More dimensions can hold more of the image, and what they hold has to be paid in KL: here "
            f"{number(rise)} nats were paid and {number(fall)} saved, so the −ELBO "
            f"{'falls' if fall > rise else 'rises'} by {number(abs(fall - rise))} nats. "
        )
    else:
        text += "This is not what the textbook expects (reconstruction falls, KL rises). "
    used = last["active"]
    if used is not None:
        text += (
            f"All {last['latent']} dimensions are in use. " if used == last["latent"] else
            f"Only {used:g} of {last['latent']} dimensions are in use: one that saves less than it costs is given up, "
            "its posterior is set to the prior and its KL is 0. "
        )  # fmt: skip
    if results.has("seeds") and results.values("seeds")["spread"] is not None:
        spread = results.values("seeds")["spread"]
        text += f"For comparison: trainings that differ in nothing but the seed spread by {number(spread)} nats (C9)."
    return text
