"""Sections about the latent space: classes, seeds, the prior, VAE against CVAE (C8, C9, C12, C17)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.metrics import Metric
from vaelab.report.blocks import Answer, Block, Formula, Table
from vaelab.studies.conv_cvae.words import (
    beyond,
    error_of,
    listed,
    nats,
    number,
    percent_of,
    plus_minus,
    share,
    small,
)
from vaelab.studies.results import Results


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
    text = (f"{verdict}: from the two numbers of z alone" if found["latent"] == 2 else f"{verdict}: from z alone") + (
        f", 15 nearest neighbours are right for {share(knn)} and a linear classifier for {share(linear)} of "
        f"{knn.n:,} test images; "
        f"always the most frequent class, {found['majority_class']}, would be right for {share(majority)}. "
    )
    gap = knn.value - linear.value
    if beyond(knn, linear):
        text += (
            f"Neighbours do better than straight lines by {number(100 * gap, 1)} percentage points: the regions are "
            "bent, or one class "
            "has several parts. "
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


def seeds(results: Results) -> Sequence[Block]:
    """C9."""
    found = results.values("seeds")
    pairs = found["pairs"]
    if not pairs:
        return [
            Answer("Does retraining give the same latent space?", "Only one seed was trained: give `--set seeds=3`.")
        ]
    blocks: list[Block] = [Answer("Does retraining give the same latent space?", _seeds_text(found)), _pairs(found)]
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


def _seeds_text(found: Mapping[str, Any]) -> str:
    """No, unless the numbers say otherwise."""
    pairs = found["pairs"]
    plain, turned, cka, shuffled = (
        [_value(pair[name]) for pair in pairs] for name in ("r2_plain", "procrustes", "linear_cka", "shuffled")
    )
    same = min(plain) > 0.9
    text = ("Yes: the spaces agree as they are, which one would not expect. " if same else "No. ") + (
        f"{len(found['seeds'])} trainings from other first weights (and another order of batches), the same "
        f"{found['images']:,} test images: taken as "
        f"they are, one space explains a share R² of {_range(plain)} of another's variance (1: the same; below 0: "
        "worse than the mean). "
    )
    if found["latent"] == 2:
        turns = listed([
            f"a turn by {number(pair['angle'], 0)}°" if not pair["mirrored"] else "a mirror image"
            for pair in pairs
        ])  # fmt: skip
        text += (
            "N(0, I) looks the same from every side, so nothing in the loss fixes the axes: they may come out "
            "turned, mirrored or "
            f"swapped. What lays one best on the other is {turns}. "
        )
    if min(turned) > 0.95:
        text += (
            f"After the best rotation, reflection and scale R² is {_range(turned)} (Procrustes): the spaces are the "
            "same but for that. "
        )
    else:
        text += (
            f"After the best rotation, reflection and scale R² is {_range(turned)} (Procrustes): "
            f"{'much is shared, but' if min(turned) > 0.5 else 'less than half is shared, and'} turning is not all "
            "that differs: the "
            "arrangement itself is another one. "
        )
    text += (
        f"Linear CKA, which needs no rotation, is {_range(cka)}. Between unrelated spaces (the images of one in "
        "another order) the R² would be "
        f"{_range(shuffled, 4)}. Only swapping and mirroring axes, without turning, leaves a mean correlation of "
        f"{_range([pair['axes'] for pair in pairs])} between paired axes.\n\n"
    )
    if found["spread"] is not None:
        alike = found["spread"] < 0.02 * abs(found["mean"])
        text += (
            f"{'Yet the models are about equally good' if alike else 'Nor are the models equally good'}: the test "
            "−ELBO is "
            f"{number(found['mean'])} nats on average, with a standard deviation of {number(found['spread'])} over the "
            f"seeds (the standard error of one of them over images is {number(max(found['losses_error']))}). "
        )
        text += (
            "So many different latent spaces explain the images equally well, and a position in one means nothing in "
            "another."
            if alike
            else "The start decides how good the training becomes, too."
        )
    return text


def _value(found: Any) -> float:
    return float(found["value"]) if isinstance(found, Mapping) else float(found)


def _range(values: Sequence[float], digits: int = 2) -> str:
    low, high = number(min(values), digits), number(max(values), digits)
    return low if low == high else f"{low} to {high}"


def _pairs(found: Mapping[str, Any]) -> Table:
    seed = dict(zip(found["names"], found["seeds"], strict=True))
    rows = []
    for pair in found["pairs"]:
        procrustes, cka = (Metric.from_json(pair[name]) for name in ("procrustes", "linear_cka"))
        turn = "–" if "angle" not in pair else "mirrored" if pair["mirrored"] else f"{number(pair['angle'], 0)}°"
        both = f"{seed[pair['first']]} and {seed[pair['second']]}"
        rows.append([both, number(pair["r2_plain"]), number(pair["axes"]), turn,
                     plus_minus(procrustes, 3), plus_minus(cka, 3), number(pair["shuffled"], 4)])  # fmt: skip
    return Table(
        ["seeds", "R² as they are", "axes paired", "rotation", "R² after rotation", "linear CKA", "R² if shuffled"],
        rows,
        f"Agreement of latent spaces over the same {found['images']:,} test images; ± bootstrap standard error. Axes "
        "paired: mean "
        "correlation, without its sign, of each axis with its best partner.",
    )


def _losses(found: Mapping[str, Any]) -> Table:
    rows = [
        [str(seed), f"{number(loss)} ± {error:.2f}", "–" if active is None else f"{active:g} of {found['latent']}"]
        for seed, loss, error, active in zip(
            found["seeds"], found["losses"], found["losses_error"], found["active"], strict=True
        )
    ]
    return Table(["seed", "test −ELBO, nats per image", "dimensions in use"], rows, "The same training from each seed.")


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
        "image's posterior "
        f"need not: it says where this image is. Measured on {found['images']:,} test images: the mean of z is "
        f"{number(length.value, 3)} ± {error_of(length):.3f} from the origin (should be 0), its variance "
        f"{plus_minus(variance, 3)} (should be 1). "
    )
    narrow = _own_variance(results, found)
    if narrow is not None:
        text += f"A single image's posterior has a standard deviation of about {number(math.sqrt(max(narrow, 0.0)))}. "
    part = marginal.value / kl.value if kl.value > 0 else math.nan
    text += (
        f"The marginal KL(q(z) ‖ N(0, I)) is {nats(marginal, 3)}, which is {percent_of(part)} of the mean KL of "
        f"single images ({nats(kl)}); the rest, "
        f"{nats(information)}, is what z tells about which image it was (mutual information). "
    )
    if "aggregate_energy_p_value" in found:
        p = results.metric("space", "aggregate_energy_p_value")
        if p.value <= 0.05:
            text += (
                f"A test finds the difference from N(0, I) beyond chance (energy test on {p.n:,} draws, p = "
                f"{small(p.value)}): z does not follow it "
                f"exactly. {_size(marginal.value)}"
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
    if marginal < 0.1:
        return (
            "How large the difference is, says the marginal KL: it is small, so the prior is a good stand-in for where "
            "images are."
        )
    if marginal < 0.5:
        return (
            "How large it is, says the marginal KL: moderate. The outline is right, but there are thin places "
            "between the classes' regions, where "
            "the prior draws and no image is (see the scatter, C10)."
        )
    return "How large it is, says the marginal KL: large. Many draws of the prior fall where no image is."


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
    return "–" if found is None else f"{percent_of(found['r2'])} ± {100 * found['error']:.1f}"


def _compared_text(metric: Mapping[tuple[str, str], Metric], values: Mapping[str, Mapping[str, Any]]) -> str:
    first, second = metric["vae", "knn_accuracy"], metric["cvae", "knn_accuracy"]
    linear, other = metric["vae", "linear_accuracy"], metric["cvae", "linear_accuracy"]
    majority = metric["cvae", "majority"]
    falls = beyond(first, second)
    text = (
        "The VAE's z has to say everything about an image, so also which class it is: classes come apart. The CVAE's "
        "decoder is told the class, and "
        "every nat that z spent on it would be paid for nothing in the KL. "
    )
    text += (
        f"So z forgets it: from z, 15 nearest neighbours tell {share(first)} of the test images' classes in the VAE "
        f"and {share(second)} in the CVAE, a linear "
        f"classifier {share(linear)} and {share(other)}; guessing gives {share(majority)}. The classes lie over each "
        "other, which is why the scatter shows one "
        "mixed cloud. "
        if falls
        else f"Yet here z tells the class no worse than in the VAE ({share(first)} and {share(second)} by nearest "
        "neighbours), contrary to the textbook. "
    )
    text += (
        f"Of the variance of z {percent_of(values['vae']['between_all'])} is between the classes' means in the VAE, "
        f"{percent_of(values['cvae']['between_all'])} in "
        "the CVAE. "
    )
    if beyond(second, majority, 3):
        text += (
            f"It does not forget all: {share(second)} is above guessing, so the clouds of the classes are not all "
            "alike, as they would be if each "
            "of them followed N(0, I). "
        )
    style = {name: (values["vae"]["style"][name], values["cvae"]["style"][name]) for name in values["vae"]["style"]}
    gained = [
        name
        for name, (a, b) in style.items()
        if a is not None and b is not None and b["r2"] - a["r2"] > 2 * math.hypot(a["error"], b["error"])
    ]
    lost = [
        name
        for name, (a, b) in style.items()
        if a is not None and b is not None and a["r2"] - b["r2"] > 2 * math.hypot(a["error"], b["error"])
    ]
    if gained:
        more = listed(gained)
        text += f"The room is used for style: the CVAE's z tells more about {more} within a class than the VAE's. "
    if lost:
        text += f"It tells less about {listed(lost)}. "
    return text
