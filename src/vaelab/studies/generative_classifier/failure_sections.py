"""The report's section about where the VAE's images fail: A8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.metrics import Metric
from vaelab.report.blocks import Answer, Block, Table, Text
from vaelab.studies.generative_classifier.failures import AROUND, EXTENT, PLACES, PURE, THIN, sure_enough
from vaelab.studies.generative_classifier.words import falls, in_words, place, share
from vaelab.studies.results import Results
from vaelab.studies.words import apart, counted, error_of, listed, metric, percent, plus_minus

VAE = "vae-2"


def failures(results: Results) -> Sequence[Block]:
    """A8."""
    values = results.values("failures")
    figures = results.values("space-vae")["figures"]
    blocks: list[Block] = [
        Text(
            f"The judge, a classifier trained on real images, was asked at {PLACES} × {PLACES} places over "
            f"[−{EXTENT:g}, {EXTENT:g}]² which class it sees in the decoded image. Where it is sure, the image looks "
            "like one class; dark places are where it does not."
        ),
        results.picture("failures", "map", "How sure the judge is of the image decoded at each place. Lines part the "
                        "classes it sees.", "A map of the latent plane: bright regions with dark seams between them."),
        Answer("Where does the VAE fail to generate real-looking images?", _where(values)),
        _group_table(values, results.values("judge")),
        Answer("Why does it fail there?", _why(values, results.values("judge")["grey"])),
        results.picture("failures", "worst", "Failures found automatically: the samples from the prior of which the "
                        "judge is least sure, above the training image encoded nearest to each.",
                        "Rows of blurred generated images above real images."),
        Text(
            "The gap finder looks for such places without a judge. A gap is a ball in which no encoded image lies, "
            "though many would be expected there if z followed the prior. A border is a place around which the encoded "
            "images are of several classes, as evenly as can be found."
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
        f"Of {counted(values['samples'], 'sample')} from the prior {percent(total)} are clear: the judge gives them "
        "one class with a probability of at least 0.9. The others look like no single class. "
    )
    rates = {name: metric(groups[name], "confident") for name in ("inside", "between", "thin") if name in groups}
    missed = {name: groups[name]["n"] * (1 - rates[name].value) for name in rates}
    every = sum(missed.values())
    words = {"inside": "inside a class", "between": "between classes", "thin": "in thinly covered places"}
    parts = [f"{100 * missed[name] / every:.0f} % lie {words[name]}" for name in rates if every > 0]
    text += f"Of these {listed(parts)}. " if parts else ""
    if "inside" in rates and "between" in rates:
        inside, between = rates["inside"], rates["between"]
        text += (
            f"Inside a class {percent(inside)} are clear, between classes only {percent(between)}: "
            + (
                "the failures are at the borders."
                if inside.value >= 0.8
                else "failures are commoner at the borders, but there are many inside of classes, too."
            )
            if falls(inside, between)
            else f"Inside a class {percent(inside)} are clear and between classes {percent(between)}: contrary to what "
            "one expects, that is no fewer beyond chance."
        )
    if "thin" in rates:
        text += f" In thinly covered places {percent(rates['thin'])} are."
    return text


def _group_table(values: Mapping[str, Any], judge: Mapping[str, Any]) -> Table:
    rows = [
        [words, f"{values['groups'][name]['n']:,}", share(values["groups"][name], "confident"),
         share(values["groups"][name], "grey")]
        for name, words in _GROUPS.items() if name in values["groups"]
    ]  # fmt: skip
    rows.append(["real test images", f"{metric(judge, 'judge_confident').n:,}", share(judge, "judge_confident"),
                 f"{100 * judge['grey']:.1f} %"])  # fmt: skip
    return Table(("where z comes from", "samples", "clear (≥ 0.9)", "grey pixels"), rows,
                 "Samples of the VAE with 2 latent dimensions by where they come from.")  # fmt: skip


def _why(values: Mapping[str, Any], real: float) -> str:
    """``real``: the share of grey pixels in real images."""
    text = (
        "The decoder is a continuous function of z, so on the way from one class to another it has to pass through "
        "images that are neither. It gives the mean of each pixel by itself; where images of several classes were "
        "encoded to about the same z, that mean is an average of them, grey and blurred. "
    )
    groups = values["groups"]
    if "inside" in groups and "between" in groups:
        text += _grey(metric(groups["inside"], "grey"), metric(groups["between"], "grey"), real)
    return text + (
        "And the prior gives probability to every place, whether an image was encoded there or not; at such places the "
        "decoder was hardly trained, and what it gives is carried over from around."
    )


def _grey(inside: Metric, between: Metric, real: float) -> str:
    """How much of the blur the mixing of classes explains."""
    numbers = (
        f"{percent(between)} of the pixels are grey between classes and {percent(inside)} inside a class; in real "
        f"images it is {100 * real:.1f} %"
    )
    excess = between.value - inside.value
    if excess <= 0 or not apart(inside, between):
        return f"But grey pixels do not show it here: {numbers}. "
    text = (
        f"Measured, {numbers}. So mixing of classes explains only the excess of "
        f"{plus_minus(100 * excess, 100 * error_of(inside, between), 1)} percentage points. "
    )
    if inside.value > real:
        text += (
            "The rest of the blur is there inside a class, too: two numbers do not tell everything of an image, and "
            "the decoder averages over what they leave open. "
        )
    return text


def _place_table(kind: str, found: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Table:
    rows = []
    for entry in found:
        about = f"{entry['expected_images']:.0f}" if kind == "gaps" else _classes(entry)
        seen = f"{names[entry['sees'][0]]} ({entry['sure']:.2f}), {names[entry['sees'][1]]} ({entry['second']:.2f})"
        rows.append([str(entry["rank"]), place(entry["position"]), f"{100 * entry['prior_mass_denser']:.0f} %", about,
                     seen])  # fmt: skip
    what = "images expected, none there" if kind == "gaps" else f"classes of the {AROUND} nearest images"
    columns = ("rank", "z", "share of the prior that is denser", what, "the judge sees")
    return Table(columns, rows, f"The {kind} in order of rank, and what the judge sees in the decoded image.")


def _classes(entry: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {100 * value:.0f} %" for name, value in list(entry["classes"].items())[:3])


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
    text = " ".join([*parts, ""]) if parts else "Neither gaps nor borders were found. "
    if not values["gaps"]:
        return text
    beyond, total = sum(entry["beyond_chance"] for entry in values["gaps"]), len(values["gaps"])
    text += f"{_how_many(beyond, total)} larger than chance would give if z followed the prior. "
    gaps, borders = (_sure(values[kind]) for kind in ("gaps", "borders"))
    if gaps.value <= 0.5:
        return text + "At most gaps the image is of no clear class either."
    text += "At most gaps the decoded image is clearly one class, so that such a gap does little harm."
    return text + (
        " It is at borders that images are of no class." if values["borders"] and falls(gaps, borders) else ""
    )


def _how_many(some: int, total: int) -> str:
    """``All of these gaps are``, ``One of these gaps is``, ``The gap is not``."""
    if total == 1:
        return "The gap is" if some else "The gap is not"
    many = "All" if some == total else in_words(some).capitalize() if some else "None"
    return f"{many} of these gaps {'is' if some < 2 else 'are'}"


def _sure(found: Sequence[Mapping[str, Any]]) -> Metric:
    """The share of the listed places whose image is clearly one class."""
    n = max(1, len(found))
    value = sum(sure_enough(entry) for entry in found) / n
    return Metric(value, (value * (1 - value) / n) ** 0.5, "share of places", n, "of the listed places")


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
        f"{100 * most[3]:.1f} % of the training images, {least[1]} is {100 * least[2]:.1f} % and {100 * least[3]:.1f} "
        "%. How much of the prior lies over a class's part of the plane decides how often it is drawn."
    )
