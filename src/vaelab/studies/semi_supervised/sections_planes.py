"""E9 and E10: the latent planes, whether they are generative models, and what lies in their gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vaelab.metrics import Metric
from vaelab.report.blocks import Answer, Block, Plane, Table, Text
from vaelab.studies.results import Results
from vaelab.studies.semi_supervised.planes import BRIGHT, INK
from vaelab.studies.semi_supervised.steps import PLANES
from vaelab.studies.semi_supervised.words import TITLES, data_name, number, quantity, share, shares
from vaelab.studies.words import apart, counted, listed, metric

FAR = 0.5
"""Above this marginal KL, in nats, the codes are far from the prior."""


def planes(results: Results) -> Sequence[Block]:
    """E9."""
    blocks: list[Block] = [
        Text(
            f"Every test image of {data_name(results)} at its posterior mean, coloured by its label; no label was used "
            "in training. Then the plane decoded: one image for each point of a regular grid."
        )
    ]
    for name in PLANES:
        blocks += [_plane(results, name), _grid(results, name)]
    rows = [_separation_row(results, name) for name in PLANES]
    return [
        *blocks,
        Table(
            ["model", "logistic regression on z (%)", "nearest neighbours on z (%)", "squared error", "KL (nats)"],
            rows,
            "How far the plane tells the classes apart: test accuracy of logistic regression and of nearest "
            "neighbours on the posterior means, fitted on training images with all their labels. Beside it the squared "
            "error of the reconstructions (pixels from 0 to 1, mean over pixels and test images, ± standard error) and "
            "the KL.",
        ),
        Answer("What differs between the two likelihoods? (E9)", _difference(results)),
    ]


def _plane(results: Results, name: str) -> Plane:
    step, found = f"plane-{name}", results.arrays(f"plane-{name}", "points")
    known = found["labels"] >= 0
    still = results.picture(
        step,
        "scatter",
        f"{TITLES[name]}: posterior means of the test images, coloured by label; {int(known.sum()):,} of them are "
        "in the interactive plane.",
        f"Scatter plot of a plane with {len(results.values(step)['classes'])} colours, one for each class.",
    )
    return Plane(
        found["z"][known].astype(np.float32),
        found["images"][known],
        found["labels"][known].astype(np.int64),
        results.values(step)["classes"],
        still,
    )


def _grid(results: Results, name: str) -> Block:
    cells = results.settings["cells"]
    return results.picture(
        f"plane-{name}",
        "grid",
        f"{TITLES[name]}: the plane from −2 to 2 in both directions, decoded at {cells} × {cells} points. Neighbouring "
        "images are alike: the decoder is continuous, so between two classes it has to pass through something.",
        f"A square of {cells} × {cells} images decoded from the latent plane.",
    )


def _separation_row(results: Results, name: str) -> list[str]:
    values = results.values(f"plane-{name}")
    latent = values["latent"]
    accuracy = [_accuracy(latent, key) for key in ("linear_accuracy", "knn_accuracy")]
    error = quantity(Metric.from_json(values["error"]), 5, unit=False)
    return [TITLES[name], *accuracy, error, quantity(results.metric(name, "kl"), unit=False)]


def _accuracy(latent: Mapping[str, Any], key: str) -> str:
    return shares(metric(latent, key)).removesuffix(" %") if key in latent else "—"


def _difference(results: Results) -> str:
    values = {name: results.values(f"plane-{name}") for name in PLANES}
    errors = {name: Metric.from_json(values[name]["error"]) for name in PLANES}
    kl = {name: results.metric(name, "kl") for name in PLANES}
    price = (
        "Only the price of an error differs: a cross entropy for the Bernoulli, a squared error divided by 2σ² for the "
        "Gaussian."
    )
    words = [
        price,
        _larger(kl, "KL", quantity),
        _larger(errors, "squared error", lambda found: quantity(found, 5, False)),
    ]
    if all("knn_accuracy" in values[name]["latent"] for name in PLANES):
        accuracy = {name: metric(values[name]["latent"], "knn_accuracy") for name in PLANES}
        words.append(_larger(accuracy, "accuracy of nearest neighbours on the plane", shares))
    words.append(
        "The size of σ is a choice: 1/(2σ²) weighs the squared error against the KL, so with a smaller σ a larger KL "
        "pays."
    )
    return " ".join(words)


def _larger(found: Mapping[str, Metric], what: str, write: Any) -> str:
    high, low = sorted(found, key=lambda name: -found[name].value)
    numbers = f"{write(found[high])} against {write(found[low])}"
    if not apart(found[high], found[low]):
        return f"The {what} is not clearly different: {numbers}."
    return f"The {what} of the {TITLES[high]} is larger: {numbers} of the {TITLES[low]}."


# --- E10 --------------------------------------------------------------------------------------------------------------


def generative(results: Results) -> Sequence[Block]:
    """E10."""
    judge = results.values("judge")
    blocks: list[Block] = [Answer("Is it a generative model of the data? (E10)", _is_generative(results))]
    blocks += [
        results.picture(
            f"plane-{name}",
            "samples",
            f"{TITLES[name]}: 40 images from z ~ N(0, I), not chosen.",
            "40 generated images in four rows.",
        )
        for name in PLANES
    ]
    blocks += [
        results.run_picture(
            name,
            "aggregate-posterior",
            f"{TITLES[name]}: one draw of z for each test image, each dimension by itself, with the density of "
            "N(0, 1); D is the Kolmogorov–Smirnov distance.",
            "Two histograms with the curve of the normal density.",
        )
        for name in PLANES
        if (results.store.run_path(name) / "figures" / "aggregate-posterior.png").exists()  # not for another prior
    ]
    blocks.append(
        Table(
            ["model", "images", "n", "one class with ≥ 0.9 (%)", "mean confidence", "effective classes", "faint (%)"],
            [row for name in PLANES for row in _judged_rows(results, name)],
            f"A classifier trained on the real images (test accuracy {shares(metric(judge, 'judge_accuracy'))}) looks "
            "at images: how many it gives one class with at least 0.9, its mean largest probability, and the effective "
            "number of classes that it sees, the exponential of the entropy of their shares: so many equally frequent "
            f"classes would be as varied. Faint: the share of the pixels of the ink (above {INK}) that are at most "
            f"{BRIGHT}. ± is the standard error. Of the real test images it is sure of "
            f"{shares(metric(judge, 'judge_confident'))}.",
        )
    )
    for name in PLANES:
        blocks += _gap_blocks(results, name)
    return [*blocks, Answer("What lies in the gaps near the origin? (E10)", _in_the_gaps(results))]


def _judged_rows(results: Results, name: str) -> list[list[str]]:
    values = results.values(f"plane-{name}")
    parts = (
        ("z from N(0, I)", values["samples"], values["grey"]["samples"]),
        ("reconstructions of test images", values["rebuilt"], values["grey"]["rebuilt"]),
        ("gaps near the origin", values["gaps"]["judged"], values["gaps"]["grey"]),
    )
    return [
        [
            TITLES[name],
            what,
            f"{metric(found, 'confident').n:,}",
            shares(metric(found, "confident")).removesuffix(" %"),
            quantity(metric(found, "confidence"), 3, unit=False),
            number(metric(found, "classes").value, 1),
            shares(Metric.from_json(faint)).removesuffix(" %"),
        ]
        for what, found, faint in parts
    ]


def _is_generative(results: Results) -> str:
    begin = (
        "By its construction it is: p(z) = N(0, I) and p(x|z) define a distribution of images, and drawing z and "
        "decoding it draws from that. How well it fits the data is measured."
    )
    parts = [begin]
    judge = results.values("judge")
    real = metric(judge, "judge_confident")
    for name in PLANES:
        values = results.values(f"plane-{name}")
        made, rebuilt = metric(values["samples"], "confident"), metric(values["rebuilt"], "confident")
        latent = values["latent"]
        clear = "most of them look" if made.value >= 0.5 else "less than half of them look"
        sentence = (
            f"{TITLES[name]}: the classifier is sure of {shares(made)} of {made.n:,} draws, so {clear} like one class; "
            f"of the reconstructions it is sure of {shares(rebuilt)}, of the real images of {shares(real)}."
        )
        if "marginal_kl" in latent:
            sentence += f" {_prior(latent)}"
        parts.append(sentence)
    return "\n\n".join(parts)


def _prior(latent: Mapping[str, Any]) -> str:
    """Whether draws of the prior are where the training images are encoded."""
    kl = metric(latent, "marginal_kl")
    how = "clearly not" if kl.value > FAR else "not exactly"
    sentence = f"The encoded test images are {how} distributed as the prior: KL(q(z) ‖ p(z)) is {quantity(kl, 3)}"
    if kl.value < 2 * (kl.standard_error or 0.0):
        sentence = (
            f"The encoded test images are distributed as the prior, as far as can be seen: KL(q(z) ‖ p(z)) is "
            f"{quantity(kl, 3)}"
        )
    if "aggregate_mean_norm" in latent and "aggregate_variance" in latent:
        sentence += (
            f", the mean of z is {quantity(metric(latent, 'aggregate_mean_norm'), 3, False)} from 0 and its variance "
            f"{quantity(metric(latent, 'aggregate_variance'), 3, False)} (1 under the prior)"
        )
    return sentence + "."


def _gap_blocks(results: Results, name: str) -> list[Block]:
    step, found = f"plane-{name}", results.values(f"plane-{name}")["gaps"]
    rows = [
        [
            str(place),
            f"({number(row['z'][0])}, {number(row['z'][1])})",
            f"{row['radius']:.2f}",
            _expected(row["expected"]),
            f"{row['seen']} ({row['sure']:.2f})",
            ", ".join(f"{label} {share(part, 0)}" for label, part in row["around"]),
        ]
        for place, row in enumerate(found["found"], start=1)
    ]
    return [
        results.picture(
            step,
            "map",
            f"{TITLES[name]}: the middle of the plane with the gaps, found automatically. Blue: one draw of z for each "
            "test image; beyond the edges there are more.",
            f"The latent plane with the encoded test images and {len(rows)} numbered circles, the gaps.",
        ),
        results.picture(
            step,
            "gaps",
            f"{TITLES[name]}: above, the centres of the gaps decoded, by rank; below, the test image whose code is "
            "nearest, with its distance.",
            f"Two rows of {len(rows)} images: decoded gaps and the nearest test images.",
        ),
        Table(
            ["gap", "position", "radius", "images expected", "looks like", "codes around"],
            rows,
            f"{TITLES[name]}: the emptiest balls whose centres lie in the circle of radius {found['radius']:.2f} "
            f"that holds {share(results.settings['near'], 0)} of the prior. Images expected: how many of the "
            f"{found['images']:,} test images would be in the ball if their z followed the prior; there are none. "
            f"Up to about {_expected(found['chance'])} is what chance leaves among so many places. Looks like: the "
            "classifier's class and its probability. Codes around: classes of the 20 nearest posterior means.",
        ),
    ]


def _in_the_gaps(results: Results) -> str:
    begin = (
        "Gaps are searched for without looking at the plane: among thousands of points drawn from the prior, those "
        "around which the largest share of the prior holds no encoded image."
    )
    parts = [begin]
    for name in PLANES:
        values = results.values(f"plane-{name}")
        found, rows = values["gaps"], values["gaps"]["found"]
        beyond = sum(row["expected"] > found["chance"] for row in rows)
        mixed = [row for row in rows if len(row["around"]) > 1 and row["around"][0][1] < 0.9]
        first = rows[0]
        sentence = (
            f"{TITLES[name]}: {beyond} of {counted(len(rows), 'gap')} {'is' if beyond == 1 else 'are'} larger than "
            f"chance leaves; the largest, at ({number(first['z'][0])}, {number(first['z'][1])}), would hold "
            f"{_expected(first['expected'])} images. Around {len(mixed)} of {len(rows)} the codes belong to several "
            f"classes, no class having nine tenths of them{_example(mixed)}. "
        )
        parts.append(sentence + _blends(values))
    return "\n\n".join(parts)


def _expected(images: float) -> str:
    """A count that is expected: ``55``, ``8.3``."""
    return number(images, 0 if images >= 10 else 1)


def _example(mixed: Sequence[Mapping[str, Any]]) -> str:
    if not mixed:
        return ""
    pair = listed([label for label, _ in mixed[0]["around"][:2]])
    return f"; the first of these lies between {pair}"


def _blends(values: Mapping[str, Any]) -> str:
    """What the judge and the pixels say of the decoded gaps."""
    gaps = values["gaps"]
    sure, made = metric(gaps["judged"], "confidence"), metric(values["samples"], "confidence")
    faint, rebuilt = Metric.from_json(gaps["grey"]), Metric.from_json(values["grey"]["rebuilt"])
    certain = round(metric(gaps["judged"], "confident").value * sure.n)
    numbers = (
        f"The classifier gives {certain} of these {sure.n} images one class with at least 0.9; its mean confidence is "
        f"{quantity(sure, 3, False)} against {quantity(made, 3, False)} for draws from the prior. Of the pixels of "
        f"their ink {shares(faint)} are faint, in reconstructions {shares(rebuilt)}. "
    )
    less = apart(sure, made) and sure.value < made.value
    fainter = apart(faint, rebuilt) and faint.value > rebuilt.value
    if less and fainter:
        return f"{numbers}So there lie blends: images between classes, less certain and fainter than others."
    if less:
        return f"{numbers}So there lie images between classes, less certain than others, though not clearly fainter."
    if fainter:
        return f"{numbers}So the images there are fainter than reconstructions, but not clearly less like a class."
    return (
        f"{numbers}So no clear difference from images elsewhere is seen in so few: the decoder is continuous and gives "
        "an image for every place, and a gap in the codes is not a gap in what can be generated."
    )
