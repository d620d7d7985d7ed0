"""E8: the training of both VAEs with a latent plane, and whether it was long enough."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Table, Text
from vaelab.studies.results import Results
from vaelab.studies.semi_supervised.steps import PLANES
from vaelab.studies.semi_supervised.words import TITLES, data_name, number, quantity
from vaelab.studies.words import counted, listed, metric


def training(results: Results) -> Sequence[Block]:
    """E8."""
    blocks: list[Block] = []
    config = results.config("bernoulli").training
    images = results.environment("bernoulli")["train"]
    blocks.append(
        Text(
            f"Both VAEs were trained on the {images:,} training images of {data_name(results)} for "
            f"{counted(config.epochs, 'epoch')} with batches of {config.batch_size} (Adam, rate {config.lr:g}). The "
            "curves of the test images are those of the average of the weights over about the last tenth of the steps, "
            "which is kept; the training curve is the mean over an epoch's batches as they came."
        )
    )
    blocks += [
        results.picture(
            f"plane-{name}",
            "curves",
            f"{TITLES[name]}: −ELBO and its two parts by epoch, in nats per image. {_parts(results, name)}",
            f"Three curves of the {TITLES[name]} over {config.epochs} epochs: −ELBO, reconstruction, KL; training "
            "and test images.",
        )
        for name in PLANES
    ]
    rows = [_row(results, name) for name in PLANES]
    return [
        *blocks,
        Table(
            ["model", "test −ELBO", "reconstruction", "KL", "bits per dimension", "training −ELBO, last epoch"],
            rows,
            "After the last epoch, in nats per image ± standard error. The two rows cannot be compared with each "
            "other: one is a cross entropy of grey pixels, which is no normalised likelihood and so has no bits per "
            "dimension; the other is a bound on a density of dequantised pixels.",
        ),
        Answer("Are 50 epochs enough? (E8)" if config.epochs == 50 else "Was it long enough? (E8)", _enough(results)),
    ]


def _parts(results: Results, name: str) -> str:
    """What reconstruction and KL of the test images did from the first epoch to the last."""
    history = results.history(name)
    held = [place for place, split in enumerate(history["split"]) if split == "test"]
    first, last = ({key: float(history[key][held[at]]) for key in ("reconstruction", "kl")} for at in (0, -1))
    moves = [
        f"the {what} {'rises' if last[key] > first[key] else 'falls'} from {number(first[key], 1)} to "
        f"{number(last[key], 1)}"
        for key, what in (("reconstruction", "reconstruction term"), ("kl", "KL"))
    ]
    more = last["kl"] > first["kl"] and last["reconstruction"] < first["reconstruction"]
    meaning = ": the code comes to say more about an image, and it pays" if more else ""
    return f"From the first epoch to the last, on the test images, {listed(moves)}{meaning}."


def _row(results: Results, name: str) -> list[str]:
    values = results.values(name)
    bits = quantity(metric(values, "bits_per_dimension"), 3, unit=False) if "bits_per_dimension" in values else "—"
    return [
        TITLES[name],
        *(quantity(metric(values, term), unit=False) for term in ("negative_elbo", "reconstruction", "kl")),
        bits,
        number(results.values(f"plane-{name}")["curves"]["train"]),
    ]


def _enough(results: Results) -> str:
    curves = {name: results.values(f"plane-{name}")["curves"] for name in PLANES}
    # The errors of two losses of one model, as if they were of different images.
    errors = {name: math.sqrt(2) * (results.metric(name, "negative_elbo").standard_error or 0.0) for name in PLANES}
    return "\n\n".join([enough(curves, errors), *(_course(TITLES[name], found) for name, found in curves.items())])


def enough(curves: Mapping[str, Mapping[str, Any]], errors: Mapping[str, float]) -> str:
    """Yes or no, by what the second half of the epochs still brought: ``errors`` of a difference of two losses."""
    if any(found["epochs"] < 2 for found in curves.values()):
        return "After one epoch that cannot be said."
    late = {name: found["middle"] - found["last"] for name, found in curves.items()}
    short = [name for name in curves if late[name] > 2 * errors[name]]
    brought = listed([f"{number(late[name])} ± {errors[name]:.2f} nats to the {TITLES[name]}" for name in curves])
    numbers = f"the second half of the epochs still brought {brought} (± as if of different test images"
    if not short:
        return f"Yes: {numbers}), no more than two standard errors."
    end = all(curves[name]["best_epoch"] == curves[name]["epochs"] for name in short)
    best = "the best epoch was the last" if end else "though the best epoch was not the last"
    if len(short) == len(curves):
        return f"No: {numbers}), more than two standard errors, and {best}. What more epochs bring was not tried."
    fine = listed([f"the {TITLES[name]}" for name in curves if name not in short])
    return (
        f"For {fine} yes, for {listed([f'the {TITLES[name]}' for name in short])} no: {numbers}); only the latter is "
        f"more than two standard errors, and {best}."
    )


def _course(title: str, found: Mapping[str, Any]) -> str:
    """The test −ELBO from the first epoch to the last."""
    late, early = found["middle"] - found["last"], found["first"] - found["middle"]
    over = found["last"] - found["best"]
    worse = (
        "The best epoch was the last one"
        if over <= 0
        else f"The best epoch was number {found['best_epoch']}, {number(over)} nats better than the last"
    )
    gap = found["last"] - found["train"]
    return (
        f"{title}: the test −ELBO was {number(found['first'], 1)} after the first epoch, {number(found['middle'], 1)} "
        f"after epoch {found['middle_epoch']} and {number(found['last'], 1)} after epoch {found['epochs']}; the first "
        f"half brought {number(early)} nats, the second {number(late)}. {worse}. The test images' −ELBO is "
        f"{number(abs(gap))} nats {'above' if gap > 0 else 'below'} the training images'."
    )
