"""Sections about the latent space: classes, seeds, the prior, VAE against CVAE (C8, C9, C12, C17)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.metrics import Metric
from vaelab.report.blocks import Answer, Block, Formula, Table
from vaelab.studies.conv_cvae.words import beyond, error_of, nats, number, percent_of, plus_minus, share, small
from vaelab.studies.results import Results
from vaelab.studies.words import listed


def classes(results: Results) -> Sequence[Block]:
    """C8."""
    linear, knn, majority = (results.metric("space", name) for name in ("linear_accuracy", "knn_accuracy", "majority"))
    found = results.values("space")
    best = max(linear, knn, key=lambda metric: metric.value)
    mixed = mixtures(found)
    if not beyond(best, majority):
        verdict = "No. Neither classifier is better than always saying the most frequent class"
    elif best.value > 0.95:
        verdict = "Yes, and well"
    else:
        verdict = "Yes, but with errors"
    text = (
        f"{verdict}: from {'the two numbers of z' if found['latent'] == 2 else 'z'} alone, 15 nearest neighbours are "
        f"right for {share(knn)} and a linear classifier for {share(linear)} of {knn.n:,} test images; always the most "
        f"frequent class, {found['majority_class']}, would be right for {share(majority)}. "
    )
    gap = knn.value - linear.value
    if beyond(knn, linear):
        text += (
            f"Neighbours do better than straight lines by {number(100 * gap, 1)} percentage points: the regions are "
            "bent, or one class has several parts. "
        )
    if mixed:
        text += "The classes that share a region most: " + listed(
            [f"{percent_of(value, 0)} of the neighbours of {a} are {b}" for a, b, value in mixed[:3]]
        ) + (
            ". The encoder puts similar images near each other; that labels come out apart is a by-product, as the "
            "loss never sees them."
        )  # fmt: skip
    rows = [["always the most frequent class", share(majority)], ["linear (logistic regression)", share(linear)],
            ["15 nearest neighbours", share(knn)]]  # fmt: skip
    return [
        Answer("Can the classes be told from z?", text),
        Table(["classifier on posterior means", "test accuracy"], rows,
              f"Fitted on training images with their labels, asked about {knn.n:,} test images; ± standard error."),
        _neighbours(found),
    ]  # fmt: skip


def mixtures(found: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    """(class, other class, share of the other among its neighbours), largest first."""
    names = found["class_names"]
    pairs = [
        (names[i], names[j], row[j])
        for i, row in enumerate(found["neighbours"])
        if row is not None
        for j in range(len(names))
        if i != j and row[j] > 0.01
    ]
    return sorted(pairs, key=lambda pair: -pair[2])


def _neighbours(found: Mapping[str, Any]) -> Table:
    names = found["class_names"]
    rows = []
    for i, row in enumerate(found["neighbours"]):
        if row is None:
            continue
        others = sorted((j for j in range(len(names)) if j != i), key=lambda j: -row[j])[:3]
        rest = ", ".join(f"{names[j]} {percent_of(row[j], 0)}" for j in others if row[j] >= 0.005)
        rows.append([names[i], percent_of(row[i], 0), rest or "–"])
    return Table(["class", "neighbours of the same class", "of others, most frequent first"], rows,
                 "Of each test image the 15 nearest training images in the latent space: their labels.")  # fmt: skip


def prior(results: Results) -> Sequence[Block]:
    """C12."""
    found = results.values("space")
    rows = []
    for j in range(1, found["latent"] + 1):
        if f"aggregate_mean_of_dimension_{j}" not in found:
            break
        names = ("mean", "variance", "skewness", "kurtosis")
        cells = [
            plus_minus(results.metric("space", f"aggregate_{name}_of_dimension_{j}"), 3)
            if f"aggregate_{name}_of_dimension_{j}" in found
            else "–"
            for name in names
        ]
        ks = (
            number(results.metric("space", f"aggregate_ks_of_dimension_{j}").value, 3)
            if f"aggregate_ks_of_dimension_{j}" in found
            else "–"
        )
        kl = (
            plus_minus(results.metric("space", f"marginal_kl_of_dimension_{j}"), 3)
            if f"marginal_kl_of_dimension_{j}" in found
            else "–"
        )
        rows.append([f"z{j}", *cells, ks, kl])
    rows.append(["N(0, 1)", "0", "1", "0", "0", "0", "0"])
    blocks: list[Block] = [
        Formula("q(z) = (1/n) Σ_i q(z|x_i)   should be   p(z) = N(0, I)"),
        Answer("What distribution should z follow over the data, and does it?", _prior_text(results, found)),
        Table(
            ["", "mean", "variance", "skewness", "excess kurtosis", "Kolmogorov–Smirnov D", "KL to N(0, 1), nats"],
            rows,
            f"Draws of q(z|x), one for each of {found['images']:,} test images: the aggregate posterior, one "
            "dimension at a time.",
        ),
    ]
    if found["drawn"]:
        blocks.append(
            results.run_picture("vae", "aggregate-posterior",
                                "Bars: the aggregate posterior of the test images. Line: N(0, 1), which it should be.",
                                "Histograms of each latent dimension with the standard normal density drawn over them.")
        )  # fmt: skip
    return blocks


def _prior_text(results: Results, found: Mapping[str, Any]) -> str:
    length, variance = results.metric("space", "aggregate_mean_norm"), results.metric("space", "aggregate_variance")
    marginal, kl = results.metric("space", "marginal_kl"), results.metric("vae", "kl")
    information = results.metric("space", "mutual_information")
    text = (
        "Taken over all images, z should follow the prior N(0, I): new images are decoded from draws of it. A single "
        f"image's posterior need not: it says where this image is. Measured on {found['images']:,} test images: the "
        f"mean of z is {number(length.value, 3)} ± {error_of(length):.3f} from the origin (should be 0), its variance "
        f"{plus_minus(variance, 3)} (should be 1). "
    )
    narrow = _own_variance(results, found)
    if narrow is not None:
        text += f"A single image's posterior has a standard deviation of about {number(math.sqrt(max(narrow, 0.0)))}. "
    part = marginal.value / kl.value if kl.value > 0 else math.nan
    text += (
        f"The marginal KL(q(z) ‖ N(0, I)) is {nats(marginal, 3)}, which is {percent_of(part)} of the mean KL of single "
        f"images ({nats(kl)}); the rest, {nats(information)}, is what z tells about which image it was (mutual "
        "information). "
    )
    if "aggregate_energy_p_value" in found:
        p = results.metric("space", "aggregate_energy_p_value")
        if p.value <= 0.05:
            text += (
                f"A test finds the difference from N(0, I) beyond chance (energy test on {p.n:,} draws, p = "
                f"{small(p.value)}): z does not follow it exactly. {_size(marginal.value)}"
            )
        else:
            text += (
                f"With {p.n:,} draws an energy test sees no difference from N(0, I) (p = {small(p.value)}). "
                f"{_size(marginal.value)}"
            )
    return text


def _own_variance(results: Results, found: Mapping[str, Any]) -> float | None:
    """The mean variance of a single image's posterior: that of the draws less that of the means."""
    pairs = [
        (f"aggregate_variance_of_dimension_{j}", f"posterior_mean_variance_of_dimension_{j}")
        for j in range(1, found["latent"] + 1)
    ]
    if any(name not in found for pair in pairs for name in pair):
        return None
    differences = [results.metric("space", a).value - results.metric("space", b).value for a, b in pairs]
    return sum(differences) / len(differences)


def _size(marginal: float) -> str:
    begin = "By the marginal KL the difference is"
    if marginal < 0.1:
        return f"{begin} small: the prior is a good stand-in for where images are."
    if marginal < 0.5:
        return (
            f"{begin} moderate: the outline is right, but there are thin places between the classes' regions, where "
            "the prior draws and no image is (see the scatter, C10)."
        )
    return f"{begin} large: draws of the prior often fall where few images or none are (see the scatter, C10)."


def compared(results: Results) -> Sequence[Block]:
    """C17."""
    names = {"vae": "space", "cvae": "cspace"}
    metric = {(run, name): results.metric(step, name) for run, step in names.items()
              for name in ("linear_accuracy", "knn_accuracy", "majority", "marginal_kl")}  # fmt: skip
    values = {run: results.values(step) for run, step in names.items()}
    rows = [
        ["linear classifier on z", *(share(metric[run, "linear_accuracy"]) for run in names)],
        ["15 nearest neighbours", *(share(metric[run, "knn_accuracy"]) for run in names)],
        ["always the most frequent class", *(share(metric[run, "majority"]) for run in names)],
        ["variance of z between classes", *(percent_of(values[run]["between_all"]) for run in names)],
        ["marginal KL to N(0, I), nats", *(plus_minus(metric[run, "marginal_kl"], 3) for run in names)],
    ]
    rows += [
        [f"{name} told by z within a class (R²)", *(_r2(values[run]["style"][name]) for run in names)]
        for name in values["vae"]["style"]
    ]
    return [
        Answer("Why does the CVAE's scatter differ from the VAE's?", _compared_text(metric, values)),
        Table(
            ["over test images", "VAE", "CVAE"],
            rows,
            "What z holds: the class, and the style within a class (linear fit on image moments).",
        ),
    ]


def _r2(found: Mapping[str, float] | None) -> str:
    return "–" if found is None else f"{number(100 * found['r2'], 1)} ± {100 * found['error']:.1f} %"


def _compared_text(metric: Mapping[tuple[str, str], Metric], values: Mapping[str, Mapping[str, Any]]) -> str:
    first, second = metric["vae", "knn_accuracy"], metric["cvae", "knn_accuracy"]
    linear, other = metric["vae", "linear_accuracy"], metric["cvae", "linear_accuracy"]
    majority = metric["cvae", "majority"]
    text = (
        "The VAE's z has to say everything about an image, so also which class it is: classes come apart. The CVAE's "
        "decoder is told the class, and every nat that z spent on it would be paid for nothing in the KL. "
    )
    between = (
        f"Of the variance of z {percent_of(values['vae']['between_all'])} is between the classes' means in the VAE, "
        f"{percent_of(values['cvae']['between_all'])} in the CVAE. "
    )
    if not beyond(first, second):
        return (
            f"{text}Yet here z tells the class no worse than in the VAE ({share(first)} and {share(second)} by nearest "
            f"neighbours), contrary to the textbook. {between}{_room(values)}"
        )
    text += (
        f"So z forgets it: from z, 15 nearest neighbours tell {share(first)} of the test images' classes in the VAE "
        f"and {share(second)} in the CVAE, a linear classifier {share(linear)} and {share(other)}; always the most "
        f"frequent class would be right for {share(majority)}. The classes lie over each other, which is why the "
        f"scatter shows one mixed cloud. {between}"
    )
    if beyond(second, majority, 3):
        text += (
            f"It does not forget all: {share(second)} is above the share of the most frequent class, so the clouds of "
            "the classes are not all alike, as they would be if each of them followed N(0, I). "
        )
    return text + _room(values)


def _room(values: Mapping[str, Mapping[str, Any]]) -> str:
    """Which measures of style z tells more of, and less of, where it need not tell the class."""
    gained: list[str] = []
    lost: list[str] = []
    for name, a in values["vae"]["style"].items():
        b = values["cvae"]["style"][name]
        if a is None or b is None or abs(b["r2"] - a["r2"]) <= 2 * math.hypot(a["error"], b["error"]):
            continue
        (gained if b["r2"] > a["r2"] else lost).append(name)
    text = ""
    if gained:
        text = f"The room is used for style: the CVAE's z tells more about {listed(gained)} within a class. "
    if lost:
        text += f"It tells less about {listed(lost)} within a class than the VAE's. "
    return text
