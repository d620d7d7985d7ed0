"""The section about trainings from other seeds (C9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.metrics import Metric
from vaelab.report.blocks import Answer, Block, Table
from vaelab.studies.conv_cvae.words import apart, beyond, number, plus_minus, small
from vaelab.studies.results import Results
from vaelab.studies.words import listed

SAME = 0.95
"""From this R² on, after the best rotation, two spaces count as the same."""


def seeds(results: Results) -> Sequence[Block]:
    """C9."""
    found = results.values("seeds")
    pairs = found["pairs"]
    if not pairs:
        return [
            Answer("Does retraining give the same latent space?", "Only one seed was trained: give `--set seeds=3`.")
        ]
    blocks: list[Block] = [Answer("Does retraining give the same latent space?", _answer(found)), _pairs(found)]
    if found["latent"] == 2:
        others = len(found["seeds"]) - 1
        blocks.append(
            results.picture(
                "seeds",
                "planes",
                "The same test images, encoded by trainings that differ in nothing but the seed; then the "
                f"{'other one' if others == 1 else 'others'} turned (or mirrored), scaled and shifted to lie as well "
                "as possible on the first.",
                "Scatter plots of the latent planes of several seeds, with the same colours for the classes.",
            )
        )
    blocks.append(_losses(found))
    return blocks


def _answer(found: Mapping[str, Any]) -> str:
    """No, unless the numbers say otherwise."""
    pairs = found["pairs"]
    plain = [pair["r2_plain"] for pair in pairs]
    begin = "Yes, which one would not expect" if min(plain) > 0.9 else "No"
    text = (
        f"{begin}: taken as they are, one space explains a share R² of {_range(plain)} of another's variance (1: the "
        f"same; below 0: worse than the mean), over the same {found['images']:,} test images and "
        f"{len(found['seeds'])} trainings from other first weights (and another order of batches). "
    )
    if found["latent"] == 2:
        text += (
            "N(0, I) looks the same from every side, so nothing in the loss fixes the axes: they may come out turned, "
            f"mirrored or swapped. What lays one best on the other is {_turns(found)}. "
        )
    text += (
        f"{_after_rotation(found)} Linear CKA, which needs no rotation, is "
        f"{_range([_value(pair['linear_cka']) for pair in pairs])}. Between unrelated spaces (the images of one in "
        f"another order) the R² would be at most {small(max(pair['shuffled'] for pair in pairs))}. Only swapping and "
        f"mirroring axes, without turning, leaves a mean correlation of {_range([pair['axes'] for pair in pairs])} "
        "between paired axes."
    )
    return text if found["spread"] is None else f"{text}\n\n{_quality(found)}"


def _seeds(found: Mapping[str, Any], pair: Mapping[str, Any]) -> str:
    seed = dict(zip(found["names"], found["seeds"], strict=True))
    return f"{seed[pair['first']]} and {seed[pair['second']]}"


def _turns(found: Mapping[str, Any]) -> str:
    return listed(
        [
            f"{'a mirror image' if pair['mirrored'] else 'a turn by ' + number(pair['angle'], 0) + '°'} (seeds "
            f"{_seeds(found, pair)})"
            for pair in found["pairs"]
        ]
    )


def _after_rotation(found: Mapping[str, Any]) -> str:
    """Which pairs are the same space but for the axes."""
    turned = {_seeds(found, pair): _value(pair["procrustes"]) for pair in found["pairs"]}
    text = f"After the best rotation, reflection and scale R² is {_range(list(turned.values()))} (Procrustes)"
    same = [names for names, value in turned.items() if value > SAME]
    if len(same) == len(turned):
        return f"{text}: the spaces are the same but for that."
    much = [names for names, value in turned.items() if 0.5 < value <= SAME]
    less = [names for names, value in turned.items() if value <= 0.5]
    kinds = (("the same but for that", same), ("much is shared", much), ("less than half is shared", less))
    parts = [f"{words} {listed([f'between seeds {pair}' for pair in names])}" for words, names in kinds if names]
    return f"{text}: {'; '.join(parts)}. So turning is not all that differs: the arrangement itself is another one."


def _quality(found: Mapping[str, Any]) -> str:
    """Whether the trainings differ in what they are worth."""
    metrics = [
        Metric(loss, error, "nats", found["images"], "")
        for loss, error in zip(found["losses"], found["losses_error"], strict=True)
    ]
    best, worst = min(metrics, key=lambda one: one.value), max(metrics, key=lambda one: one.value)
    text = (
        f"The test −ELBO is {number(best.value)} to {number(worst.value)} nats, {number(found['mean'])} on average, "
        f"with a standard deviation of {number(found['spread'])} over the seeds. The best and the worst are "
        f"{apart(worst, best)} nats apart (the error is that of other test images, on the same ones it is smaller), "
    )
    if beyond(worst, best):
        return f"{text}more than two standard errors: the start decides how good the training becomes, too."
    other = min(_value(pair["procrustes"]) for pair in found["pairs"]) <= SAME
    return f"{text}within two standard errors. " + (
        "So different latent spaces explain the images about equally well, and a position in one means nothing in "
        "another."
        if other
        else "So the trainings are about equally good, and their spaces differ in the axes alone."
    )


def _value(found: Any) -> float:
    return float(found["value"]) if isinstance(found, Mapping) else float(found)


def _range(values: Sequence[float], digits: int = 2) -> str:
    low, high = number(min(values), digits), number(max(values), digits)
    return low if low == high else f"{low} to {high}"


def _pairs(found: Mapping[str, Any]) -> Table:
    rows = []
    for pair in found["pairs"]:
        procrustes, cka = (Metric.from_json(pair[name]) for name in ("procrustes", "linear_cka"))
        turn = "–" if "angle" not in pair else "mirrored" if pair["mirrored"] else f"{number(pair['angle'], 0)}°"
        rows.append([_seeds(found, pair), number(pair["r2_plain"]), number(pair["axes"]), turn,
                     plus_minus(procrustes, 3), plus_minus(cka, 3), number(pair["shuffled"], 4)])  # fmt: skip
    return Table(
        ["seeds", "R² as they are", "axes paired", "rotation", "R² after rotation", "linear CKA", "R² if shuffled"],
        rows,
        f"Agreement of latent spaces over the same {found['images']:,} test images; ± bootstrap standard error. "
        "Axes paired: mean correlation, without its sign, of each axis with its best partner.",
    )


def _losses(found: Mapping[str, Any]) -> Table:
    rows = [
        [str(seed), f"{number(loss)} ± {error:.2f}", "–" if active is None else f"{active:g} of {found['latent']}"]
        for seed, loss, error, active in zip(
            found["seeds"], found["losses"], found["losses_error"], found["active"], strict=True
        )
    ]
    return Table(["seed", "test −ELBO, nats per image", "dimensions in use"], rows, "The same training from each seed.")
