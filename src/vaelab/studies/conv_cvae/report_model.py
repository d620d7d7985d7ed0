"""Sections about the model and its loss: networks, sampling, log-variance, hand cases (C1 to C4, C13)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from vaelab.report.blocks import Answer, Block, Formula, Table, Text
from vaelab.studies.conv_cvae.words import number, percent_of, small
from vaelab.studies.results import Results
from vaelab.studies.words import counted, listed


def networks(results: Results) -> Sequence[Block]:
    """C1."""
    found = results.values("networks")["vae"]
    config = results.config("vae")
    return [
        Text(
            "The encoder halves an image twice and ends in two linear layers, one for the mean of q(z|x), one for its "
            f"log-variance. The decoder is its mirror. {_verdict(found)}\n\n"
            "Two remarks. The sigmoid is part of the loss: the cross entropy is computed from its input (the logits), "
            "which is the same number without rounding to log 0. And the sheet does not say with which random weights "
            f"to start; here it is `{config.model.init}` ("
            + (
                "the encoder by He's rule, so that its 16 units begin alive; the decoder as PyTorch does)."
                if config.model.init == "he-encoder"
                else "see the documentation of `init`)."
            )
        ),
        _table(found, "the VAE"),
    ]


def conditional(results: Results) -> Sequence[Block]:
    """C13."""
    found = results.values("networks")["cvae"]
    plain = results.values("networks")["vae"]
    config = results.config("cvae")
    added = found["parameters"] - plain["parameters"]
    way = (
        "The label, a one-hot vector, goes through a linear layer of its own in both networks. In the encoder the "
        "result is shaped as 32 planes and added to the output of the first convolution; in the decoder it is added to "
        "the output of the first linear layer, so before the ReLU in both."
        if config.model.condition == "add"
        else f"The label enters by `{config.model.condition}` here, which is not the sheet's way."
    )
    return [
        Text(
            f"{way} {_verdict(found)} The label costs {added:,} more weights. In the code it is the same class as the "
            "VAE: without a condition, these two layers are not there."
        ),
        _table(found, "the conditional VAE"),
    ]


def _verdict(found: Mapping[str, Any]) -> str:
    """Whether the layers are the sheet's."""
    same = [row["layer"] for row in found["layers"]] == list(found["sheet"])
    size = list(found["image"])
    if not same:
        return "The layers differ from the sheet's, because the configuration was changed; the last column compares."
    if size == [1, 28, 28]:
        return "Every layer below was read from the built model and is the sheet's."
    shape = "×".join(str(side) for side in size[1:])
    return (
        f"Every layer is the sheet's, with the sizes that follow for images of {shape} pixels and {size[0]} channel(s)."
    )


def _table(found: Mapping[str, Any], what: str) -> Table:
    layers, sheet = found["layers"], list(found["sheet"])
    same = [row["layer"] for row in layers] == sheet
    columns = ["part", "layer", "output", "weights"] + ([] if same else ["the sheet"])
    rows: list[list[str]] = []
    empty: Mapping[str, Any] = {"part": "", "layer": "–", "output": [], "weights": 0}
    for row, asked in zip_longest(layers, sheet):
        found_here = empty if row is None else row
        size = "×".join(str(side) for side in found_here["output"])
        weights = f"{found_here['weights']:,}" if found_here["weights"] else ""
        cells = [found_here["part"], found_here["layer"], size, weights]
        rows.append(cells if same else [*cells, asked or "–"])
    return Table(columns, rows, f"Layers of {what}, as one image passes them; {found['parameters']:,} weights in all.")


def sampling(results: Results) -> Sequence[Block]:
    """C2."""
    found = results.values("draws")
    rows = []
    for i, name in enumerate(found["names"]):
        digits = 3 if found["mean_error"][i] >= 0.001 else 4
        mean = f"{number(found['mean'][i], digits)} ± {found['mean_error'][i]:.{digits}f}"
        spread = f"{number(found['log_variance'][i], 3)} ± {found['log_variance_error']:.3f}"
        given = [number(found["given_mean"][i], digits), number(found["given_log_variance"][i], 3)]
        rows.append([name, given[0], mean, given[1], spread])
    count, numbers = found["draws"], 2 * len(rows)
    right = found["p"] > 0.001
    verdict = (
        f"so the draws have the mean and the log-variance they should have. With right draws the sum of the squared "
        f"deviations would be larger than this one in {percent_of(found['p'], 0)} of all cases."
        if right
        else f"which right draws would do in {percent_of(found['p'], 3)} of all cases only: something is wrong."
    )
    return [
        Formula("z = μ + σ ε,   σ = exp(v / 2),   ε ~ N(0, I),   v = log σ²"),
        Text(
            "A random draw has no derivative. Written as above, the randomness ε comes from outside and z is a smooth "
            "function of what the encoder gives: ∂z/∂μ = 1 and ∂z/∂v = (z − μ) / 2. The derivatives that the code "
            f"computes differ from these by {small(found['gradient_error'], 0)} at most, over 1,000 random cases."
        ),
        Answer(
            "Do the draws have the right mean and log-variance?",
            f"Of each of {len(rows)} distributions {count:,} draws were made with the model's own code. The {numbers} "
            f"measured numbers deviate from the given ones by {number(found['largest_score'])} standard errors at "
            f"most, {verdict}",
        ),
        Table(
            ["distribution", "mean, given", "measured", "log-variance, given", "measured"],
            rows,
            f"{count:,} draws each, ± the standard error that so many draws should have. Distributions with (mean, "
            "log-variance) chosen by hand, and posteriors that the trained VAE gives to test images.",
        ),
    ]


def log_variance(results: Results) -> Sequence[Block]:
    """C3."""
    found = results.values("heads")
    slopes = found["gradients"]
    rows = [
        [small(row["sigma"]), number(row["by_sigma"]), f"{row['step_of_sigma']:.5f}",
         number(row["by_log_variance"], 3), f"{row['step_of_log_variance']:.5f}"]
        for row in slopes
    ]  # fmt: skip
    least = slopes[-1]
    return [
        Formula("KL = ½ (μ² + σ² − log σ² − 1) = ½ (μ² + exp(v) − v − 1),   v = log σ²"),
        Formula("∂KL/∂σ = σ − 1/σ,      ∂KL/∂v = ½ (exp(v) − 1)"),
        Answer(
            "Why does the encoder give the log-variance and not the standard deviation?",
            "A linear layer gives any real number. As v = log σ² every one of them is allowed, because σ = exp(v/2) is "
            "positive; as σ itself only positive ones are. And towards small σ the gradient stays small: that of the "
            f"KL with respect to v is never below −½. At σ = {least['sigma']:g} it is "
            f"{number(least['by_log_variance'], 2)}, while the one with respect to σ is "
            f"{number(least['by_sigma'], 0)}: one plain gradient step with rate 0.001 would move σ from "
            f"{least['sigma']:g} to {small(least['step_of_sigma'])}, a factor of "
            f"{least['step_of_sigma'] / least['sigma']:,.0f}; the step in v moves it to "
            f"{least['step_of_log_variance']:.7f}.",
        ),
        Table(
            ["σ", "∂KL/∂σ", "σ after a step in σ", "∂KL/∂v", "σ after a step in v"],
            rows,
            "The same posterior (μ = 0) and the same KL, differentiated by the code; one plain gradient step of rate "
            "0.001.",
        ),
        Answer("What can go wrong if the encoder outputs the standard deviation? An experiment", _heads_text(found)),
        _heads_table(found),
        results.picture(
            "heads",
            "heads",
            "Left: towards small σ the gradient with respect to σ grows as 1/σ, the one with respect to v does not. "
            "Right: the loss of the first steps with each head, from the same first weights and the same batches.",
            "Two panels: the size of the two gradients over sigma on logarithmic axes, and loss curves of the heads.",
        ),
    ]


def _heads_text(found: Mapping[str, Any]) -> str:
    """What each head did."""
    heads = found["heads"]
    own = heads["log-variance"]
    first = (
        f"Sheet C's VAE was trained for {found['steps']:,} steps, from {counted(found['seeds'], 'set')} of first "
        "weights, with the second linear layer's output read in five ways."
    )
    each = [_head_text(name, head, own, found["steps"]) for name, head in heads.items()]
    return "\n\n".join([first, *each, _heads_conclusion(heads)])


def _heads_conclusion(heads: Mapping[str, Any]) -> str:
    """What tells the heads that can be trained from those that cannot."""
    failed = [name for name, head in heads.items() if any(step is not None for step in head["stopped"])]
    fine = [name for name in heads if name not in failed]
    if not failed or not fine:
        return "All of them could be trained here." if fine else "None of them could be trained here."
    return (
        f"So the training breaks off with {listed(failed)} and runs with {listed(fine)}. What is needed is that every "
        "output of the layer means a positive σ. The log-variance gives that without a special function, and towards "
        "small σ the gradient of its KL does not grow."
    )


def _head_text(name: str, head: Mapping[str, Any], own: Mapping[str, Any], steps: int) -> str:
    reference = _mean(own["losses"])
    failed = [step for step in head["stopped"] if step is not None]
    count = len(head["stopped"])
    if failed:
        when = listed([str(step) for step in sorted(set(failed))])
        return (
            f"{name}: {len(failed)} of {counted(count, 'training')} ended in a loss or gradient that is no number, "
            f"at step {when}. {percent_of(head['not_positive'], 0)} of the first batch's outputs are not "
            "positive, and their log is no finite number."
        )
    loss = _mean(head["losses"])
    sizes = f"The layer's gradient was {_size(head['largest'])} at the largest, {_size(head['median'])} in the median."
    ends = "the training" if count == 1 else "both trainings" if count == 2 else f"all {count} trainings"
    if name == "log-variance" or reference is None or loss is None:
        return f"{name}: {ends} came to the end, at a loss of {number(loss)} nats. {sizes}"
    if own["largest"]:
        sizes = sizes[:-1] + f": {head['largest'] / own['largest']:.1f} times the largest with the log-variance."
    difference = loss - reference
    if abs(difference) < 0.01 * reference:
        compared = "within 1 % of the log-variance's: a positive function of the output can work, too"
    else:
        compared = f"{number(abs(difference))} nats {'above' if difference > 0 else 'below'} the log-variance's"
    return f"{name}: {ends} came to the end of {steps:,} steps, at {number(loss)} nats, {compared}. {sizes}"


def _heads_table(found: Mapping[str, Any]) -> Table:
    rows = []
    for name, head in found["heads"].items():
        stopped = [step for step in head["stopped"] if step is not None]
        steps = listed([str(step) for step in sorted(set(stopped))])
        end = f"no number at step {steps}" if stopped else "came to the end"
        rows.append([name, percent_of(head["not_positive"], 0), end, number(_mean(head["losses"])),
                     _size(head["largest"]), _size(head["median"])])  # fmt: skip
    return Table(
        [
            "output read as",
            "outputs ≤ 0 at first",
            "training",
            "loss at the end",
            "largest gradient",
            "median gradient",
        ],
        rows,
        f"Five ways to read the second layer's output; the loss is the mean of the last {found['last']} steps, nats "
        "per image; gradients are of that layer's weights. Where there are several first weights: means, of the "
        "largest the largest.",
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _size(gradient: float | None) -> str:
    """``11,821``, ``3.25``."""
    if gradient is None or not math.isfinite(gradient) or gradient < 1000:
        return number(gradient)
    return f"{gradient:,.0f}"


def hand_cases(results: Results) -> Sequence[Block]:
    """C4."""
    found = results.values("hand-cases")
    cases = found["cases"]
    worst = max(abs(case["found"] - case["expected"]) for case in cases)
    right = worst < 1e-5 and all(case["loss_is_the_sum"] for case in cases)
    rows = [[case["what"], case["by_hand"], f"{case['expected']:.6f}", f"{case['found']:.6f}"] for case in cases]
    least = found["least_kl"]
    return [
        Formula(
            "−log p(x|z) = −Σ_pixels [x log π + (1 − x) log (1 − π)],   summed over pixels, averaged over the batch"
        ),
        Formula(
            "KL(q(z|x) ‖ N(0, I)) = ½ Σ_dimensions [μ² + σ² − log σ² − 1],   summed over dimensions, averaged over "
            "the batch"
        ),
        Answer(
            "Are both terms right?",
            (
                f"Yes. All {len(cases)} cases below were computed by the same objective that trains the models, and "
                f"the largest difference from the number by hand is {small(worst, 0)} (rounding, and the soft bound "
                "that keeps log σ from overflowing); the loss is the sum of the two terms each time. "
                if right
                else f"No: the largest difference from the number by hand is {small(worst)}. "
            )
            + f"The KL is 0 where mean and log-variance are 0; over {found['posteriors']:,} other posteriors, as near "
            f"to it as a thousandth, the least KL is {small(least)}, "
            f"{'positive as it must be' if least > 0 else 'not positive: wrong'}. For grey pixels the cross entropy is "
            "not 0 even where the decoder is exactly right, as the case of ½ shows: so the reconstruction term of grey "
            "images has a floor above 0.",
        ),
        Table(
            ["case", "by hand", "number", "the code gives"],
            rows,
            "Both terms on cases that can be checked by hand, in nats.",
        ),
    ]
