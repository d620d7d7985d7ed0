"""The report's section about where the VAE's images fail: A8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Table, Text
from vaelab.studies.generative_classifier.failures import AROUND, PURE, THIN, sure_enough
from vaelab.studies.generative_classifier.words import counted, in_words, listed, metric, number, place, share
from vaelab.studies.results import Results, percent

VAE = "vae-2"


def failures(results: Results) -> Sequence[Block]:
    """A8."""
    values = results.values("failures")
    figures = results.values("space-vae")["figures"]
    blocks: list[Block] = [
        Text(
            "The judge, a classifier trained on real images, was asked about every place of the plane. Where it is "
            "sure, the decoded image looks like one class; dark places are where it does not."
        ),
        results.picture("failures", "map", "How sure the judge is of the image decoded at each place. Lines part the "
                        "classes it sees.", "A map of the latent plane: bright regions with dark seams between them."),
        Answer("Where does the VAE fail to generate real-looking images?", _where(values)),
        _group_table(values, results.values("judge")),
        Answer("Why does it fail there?", _why(values)),
        results.picture("failures", "worst", "Failures found automatically: the samples from the prior of which the "
                        "judge is least sure, above the training image encoded nearest to each.",
                        "Rows of blurred generated images above real images."),
        Text(
            "The gap finder looks for such places without a judge: for gaps, balls in which many images are expected "
            "if z follows the prior and no encoded image lies; for borders, places around which encoded images are of "
            "several classes, most evenly."
        ),
    ]  # fmt: skip
    if "latent-map" in figures:
        caption = "The prior's density, the encoded test images, gaps (circles) and borders (crosses)."
        blocks.append(results.run_picture(VAE, "latent-map", caption, "A latent plane with circles and crosses."))
    for kind, what in (("gaps", "gaps"), ("borders", "borders between classes")):
        if values[kind] and f"latent-{kind}" in figures:
            caption = f"The {what}, decoded, above the nearest encoded image."
            alt = "Rows of decoded images above real images."
            blocks.append(results.run_picture(VAE, f"latent-{kind}", caption, alt))
            blocks.append(_place_table(kind, values[kind], results.values("judge")["class_names"]))
    blocks.append(Answer("What is decoded at these places?", _found_words(values)))
    blocks.append(Answer("Are all classes generated as often as they are in the data?", _balance(values, results)))
    return blocks


_GROUPS = {
    "all": "all samples",
    "inside": f"inside a class: at least {100 * PURE:.0f} % of the {AROUND} nearest training images of one class",
    "between": "between classes: fewer than that of one class",
    "thin": f"thinly covered: the {100 * THIN:.0f} % of samples with least q(z) for their p(z)",
}


def _where(values: Mapping[str, Any]) -> str:
    groups = values["groups"]
    total = metric(groups["all"], "confident")
    text = (
        f"Of {counted(values['samples'], 'sample')} from the prior the judge gives {percent(total, 1)} one class with "
        "a probability of at least 0.9; the others are not clearly any class. "
    )
    rates = {name: metric(groups[name], "confident").value for name in ("inside", "between", "thin") if name in groups}
    sizes = {name: groups[name]["n"] for name in rates}
    missed = {name: sizes[name] * (1 - rates[name]) for name in rates}
    every = max(sum(missed.values()), 1e-12)
    words = {"inside": "inside a class", "between": "between classes", "thin": "in thinly covered places"}
    parts = [f"{100 * missed[name] / every:.0f} % lie {words[name]}" for name in rates]
    text += f"Of the failures {listed(parts)}. "
    if "inside" in rates and "between" in rates:
        contrast = rates["inside"] - rates["between"]
        text += (
            f"Inside a class {100 * rates['inside']:.0f} % are recognised, between classes only "
            f"{100 * rates['between']:.0f} %: the failures are at the borders."
            if contrast > 0.1
            else f"Inside a class {100 * rates['inside']:.0f} % are recognised and between classes "
            f"{100 * rates['between']:.0f} %: contrary to what one expects, borders matter little."
        )
    if "thin" in rates:
        text += f" In thinly covered places it is {100 * rates['thin']:.0f} %."
    return text


def _group_table(values: Mapping[str, Any], judge: Mapping[str, Any]) -> Table:
    rows = [
        [words, f"{values['groups'][name]['n']:,}", share(values["groups"][name], "confident"),
         share(values["groups"][name], "grey")]
        for name, words in _GROUPS.items() if name in values["groups"]
    ]  # fmt: skip
    rows.append(["real test images", f"{metric(judge, 'judge_confident').n:,}", share(judge, "judge_confident"),
                 f"{100 * judge['grey']:.1f} %"])  # fmt: skip
    return Table(("where z comes from", "samples", "recognised (≥ 0.9)", "grey pixels"), rows,
                 "Samples of the VAE with 2 latent dimensions by where they come from.")  # fmt: skip


def _why(values: Mapping[str, Any]) -> str:
    groups = values["groups"]
    text = (
        "The decoder is a continuous function of z, so on the way from one class to another it has to pass through "
        "images that are neither. It gives the mean of each pixel by itself; where images of several classes were "
        "encoded to about the same z, that mean is an average of them, grey and blurred. "
    )
    if "inside" in groups and "between" in groups:
        inside, between = (number(groups[name], "grey") for name in ("inside", "between"))
        text += (
            f"This is measured: between classes {100 * between:.1f} % of the pixels are grey, inside a class "
            f"{100 * inside:.1f} %. "
            if between > inside
            else f"But grey pixels do not show it here: {100 * between:.1f} % between classes and {100 * inside:.1f} % "
            "inside a class. "
        )
    return text + (
        "And the prior gives probability to every place, whether an image was encoded there or not; at such places the "
        "decoder was hardly trained, and what it gives is carried over from around."
    )


def _place_table(kind: str, found: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Table:
    rows = []
    for entry in found:
        about = f"{entry['expected_images']:.1f}" if kind == "gaps" else _classes(entry)
        seen = f"{names[entry['sees'][0]]} ({entry['sure']:.2f}), {names[entry['sees'][1]]} ({entry['second']:.2f})"
        rows.append([str(entry["rank"]), place(entry["position"]), f"{100 * entry['prior_mass_denser']:.0f} %", about,
                     seen])  # fmt: skip
    what = "images expected, none there" if kind == "gaps" else f"classes of the {AROUND} nearest images"
    columns = ("rank", "z", "share of the prior that is denser", what, "the judge sees")
    return Table(columns, rows, f"The {kind} in order of rank, and what the judge sees in the decoded image.")


def _classes(entry: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {100 * value:.0f} %" for name, value in list(entry["classes"].items())[:3])


def _found_words(values: Mapping[str, Any]) -> str:
    parts = []
    for kind, word in (("borders", "border"), ("gaps", "gap")):
        found = values[kind]
        if found:
            sure = sum(sure_enough(entry) for entry in found)
            grey = 100 * sum(entry["grey"] for entry in found) / len(found)
            whole = f"{word}{'' if len(found) == 1 else 's'}"
            parts.append(
                f"Of {in_words(len(found))} {whole} {in_words(sure) if sure else 'none'} {'is' if sure < 2 else 'are'} "
                f"clearly one class to the judge; {grey:.1f} % of the pixels are grey."
            )
    beyond = [entry for entry in values["gaps"] if entry["beyond_chance"]]
    text = " ".join([*parts, ""]) if parts else "Neither gaps nor borders were found. "
    if values["gaps"]:
        text += (
            f"Of the gaps {in_words(len(beyond)) if beyond else 'none'} {'is' if len(beyond) < 2 else 'are'} larger "
            "than chance would give if z followed the prior. "
        )
        gaps, borders = (_sure(values[kind]) for kind in ("gaps", "borders"))
        if gaps > 0.5:
            text += "A gap inside the region of one class does little harm: the decoder fills it with that class."
            text += " It is at borders that images are of no class." if borders < gaps else ""
        else:
            text += "At most gaps the image is of no clear class either."
    return text


def _sure(found: Sequence[Mapping[str, Any]]) -> float:
    """The share of the listed places whose image is clearly one class."""
    return sum(sure_enough(entry) for entry in found) / max(1, len(found))


def _balance(values: Mapping[str, Any], results: Results) -> str:
    judge = results.values("judge")
    names, real = judge["class_names"], judge["train_shares"]
    n = values["samples"]
    off = [(made - share_, name, made, share_) for made, share_, name in
           zip(values["classes"], real, names, strict=True)]  # fmt: skip
    most, least = max(off), min(off)
    noise = 3 * max((value * (1 - value) / n) ** 0.5 for value in real)
    verdict = "No" if max(most[0], -least[0]) > noise else "Yes, within the error of sampling"
    return (
        f"{verdict}. By the most probable class, {most[1]} is {100 * most[2]:.1f} % of the samples and "
        f"{100 * most[3]:.1f} % of the training images, {least[1]} is {100 * least[2]:.1f} % and "
        f"{100 * least[3]:.1f} %. How much room a class has in the plane decides how often it is drawn."
    )
