"""The report's sections about the CVAE's latent plane: A9, and A10 against the VAE's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.metrics import Metric
from vaelab.report.blocks import Answer, Block, Picture, Table, Text
from vaelab.studies.generative_classifier.plane_sections import OF, points, style_blocks
from vaelab.studies.generative_classifier.words import clear, falls, foremost, nats, r2, share
from vaelab.studies.results import Results
from vaelab.studies.words import apart, counted, listed, metric, percent, signed

STEP = "conditional-plane"

TOLD = 0.1
"""A style whose R² is below is not told from z, so that its direction means little."""


def conditional(results: Results) -> Sequence[Block]:
    """A9."""
    values = results.values(STEP)
    names = values["class_names"]
    grids = [
        results.picture(STEP, f"grid-{place}", f"The plane decoded as {names[label]}.",
                        "A square of small images of one class that change gradually.")
        for place, label in enumerate(values["chosen"], start=1)
    ]  # fmt: skip
    blocks: list[Block] = [
        Text(
            f"The decoder's mean at {values['cells']} × {values['cells']} positions over [−{values['extent']:g}, "
            f"{values['extent']:g}]², given the labels {listed([names[label] for label in values['chosen']])}: the "
            "same positions in each picture."
        ),
        *grids,
        Answer("Is the class still in z?", _class_words(values)),
        *style_blocks(results, STEP, "Training images of all classes in the CVAE's plane, coloured by the style of "
                      "their image relative to the mean of their class; the arrow is the direction of the style.",
                      values["styles"]),
        Answer("What does the latent space encode now?", _styles(values)),
        Answer("Is a direction the same for every class?", _directions(values)),
    ]  # fmt: skip
    if values["walks"]:
        blocks.append(_walk_picture(results))
        blocks.append(_walk_table(values))
        blocks.append(Answer("Does moving along a direction change the style?", _walk_words(values)))
    return blocks


def _walk_picture(results: Results) -> Picture:
    caption = (
        "From the middle of each class along its own direction of each style, −2 to 2 units of z. Everything else that "
        "changes is encoded along the same direction."
    )
    return results.picture(STEP, "walks", caption, "Rows of images: each row one class and one style.")


def _class_words(values: Mapping[str, Any]) -> str:
    told, n = values["told"], 100 * len(values["class_names"])  # so many are drawn of each class
    heeded = Metric(told, (told * (1 - told) / n) ** 0.5, "share of images", n, "by the judge")
    always = (
        "The label decides"
        if told >= 0.95
        else "Mostly the label decides"
        if told >= 0.8
        else "Not only the label decides"
    )
    cvae, vae = values["between"]["cvae"], values["between"]["vae"]
    still = "Hardly" if cvae < 0.15 and cvae < vae else "Less than in the VAE" if cvae < vae else "Yes"
    return (
        f"{still}: of the spread of the posterior means of the training images {100 * cvae:.1f} % lies between the "
        f"class means; in the VAE it is {100 * vae:.1f} %. {always} which class is drawn: of {n:,} images with z drawn "
        f"from the prior the judge sees the class that the decoder was given in {percent(heeded)}."
    )


def _styles(values: Mapping[str, Any]) -> str:
    found = {style: fit for style, fit in values["styles"].items() if fit is not None and clear(fit)}
    if not found:
        return "No style is related to z beyond chance, so what z encodes is none of those measured."
    order = sorted(found, key=lambda style: -found[style]["r2"])
    best, first = order[0], foremost(found)
    parts = [f"{OF[style]} (R² {r2(found[style])}, along {signed(found[style]['angle'], 0)}°)" for style in order]
    rest = f", less about {listed(parts[len(first) :])}" if len(first) < len(parts) else ""
    text = (
        "Style, as far as these measures see it: with the class known, z need not say which class an image is of. "
        f"Within classes z says most about {listed(parts[: len(first)])}{rest}. "
    )
    axes = [_axis(found, index) for index in (0, 1)]
    text += f"z₁ goes most with {axes[0]}, z₂ with {axes[1]}. "
    if len(order) > 1:
        other = order[1]
        turn = abs((found[best]["angle"] - found[other]["angle"] + 90) % 180 - 90)
        text += f"The directions of {OF[best]} and of {OF[other]} are {turn:.0f}° apart" + (
            ", nearly at right angles: two styles, one for each dimension of the plane."
            if turn > 60
            else ", so the two change together."
            if turn < 30
            else "."
        )
    return text


def _axis(found: Mapping[str, Any], index: int) -> str:
    style = max(found, key=lambda one: abs(found[one]["correlations"][index]))
    return f"{OF[style]} (r = {signed(found[style]['correlations'][index])})"


def _directions(values: Mapping[str, Any]) -> str:
    parts = []
    for style, fit in values["styles"].items():
        own, turned = values["separate"][style], values["turned"][style]
        if fit is not None and own is not None and turned is not None and clear(fit):
            same = "much the same" if turned > 0.85 else "similar" if turned > 0.5 else "not the same"
            parts.append(
                f"- for {OF[style]} it is {same} (mean cosine with the common direction {signed(turned)}; R² "
                f"{fit['r2']:.2f} with one direction for all classes, {own:.2f} with one for each)"
            )
    if not parts:
        return "No style is told well enough to ask."
    return (
        "Nothing in the model asks for that; the networks are free to use z differently for each label. "
        "Measured:\n\n" + ";\n".join(parts) + "."
    )


def _walk_table(values: Mapping[str, Any]) -> Table:
    names, rows = values["class_names"], []
    for walk in values["walks"]:
        measured = walk["measured"]
        some = [measured[i] for i in (0, len(measured) // 2, len(measured) - 1)]
        words = ["—" if value is None else signed(value) for value in some]
        rows.append([names[walk["label"]], walk["style"], f"{signed(walk['angle'], 0)}°", f"{walk['r2']:.2f}", *words])
    columns = ("class", "style", "direction", "R² in this class", "at −2", "at 0", "at +2")
    return Table(columns, rows, "The style measured in the decoded images of each row above (slant: pixels to the "
                 "right for each pixel upwards; width and thickness in pixels).")  # fmt: skip


def _walk_words(values: Mapping[str, Any]) -> str:
    right = total = 0
    for walk in values["walks"]:
        first, last = walk["measured"][0], walk["measured"][-1]
        if first is not None and last is not None and walk["r2"] >= TOLD:
            # A quarter of what the regression on encoded images lets expect over four units of z.
            total, right = total + 1, right + (last - first > walk["slope"])
    if not total:
        return f"No row's style is told well enough from z (R² ≥ {TOLD:g}) to ask."
    verdict = "Yes" if right == total else "Mostly" if right > 0.7 * total else "Not reliably"
    return (
        f"{verdict}: in {f'all {total}' if right == total else f'{right} of the {total}'} rows whose style z tells (R² "
        f"≥ {TOLD:g} in the class) the style measured in the decoded images grows from one end to the other, by at "
        "least a quarter of what the regression says. The correlation was found on encoded images and is checked here "
        "on decoded ones, so the direction does "
        + ("encode the style and not only go with it." if right > 0.7 * total else "not always encode the style.")
    )


def encodings(results: Results) -> Sequence[Block]:
    """A10."""
    values, vae, cvae = results.values(STEP), results.values("space-vae"), results.values("space-cvae")
    names = [values["class_names"][label] for label in values["chosen"]]
    return [
        Text(
            f"Posterior means of {counted(values['shown'], 'training image')} of the classes {listed(names)}: by the "
            "CVAE, given their label, and by the VAE."
        ),
        points(results, STEP, "embeddings-cvae", "CVAE: training images of a few classes. Point at one to see the "
               "image.", "A scatter of points, coloured by class."),
        results.picture(STEP, "embeddings-vae", "VAE: the same images.", "A scatter of points, coloured by class."),
        _difference_table(values, vae, cvae),
        Answer("How do the CVAE's and the VAE's encodings differ?", _difference(values, vae, cvae, names)),
        Answer("Which of them follows the prior more closely?", _closer(vae, cvae)),
        results.run_picture("cvae-2", "aggregate-posterior", "CVAE: one draw of z for each test image, against N(0, "
                            "1).", "Two histograms with the curve of a standard normal density."),
    ]  # fmt: skip


_ROWS = (
    ("nearest neighbours tell the class of", "knn_accuracy", "share"),
    ("a linear classifier tells the class of", "linear_accuracy", "share"),
    ("KL(q(z) ‖ p(z)) (nats)", "marginal_kl", "number"),
    ("length of the mean of z (prior: 0)", "aggregate_mean_norm", "number"),
    ("variance of z, a dimension (prior: 1)", "aggregate_variance", "number"),
    ("information of z about the image (nats)", "mutual_information", "number"),
)


def _difference_table(values: Mapping[str, Any], vae: Mapping[str, Any], cvae: Mapping[str, Any]) -> Table:
    rows = []
    for words, name, kind in _ROWS:
        if name in vae and name in cvae:
            rows.append(
                [words, *(share(space, name) if kind == "share" else nats(space, name, 3) for space in (vae, cvae))]
            )
    for words, name in (("spread of z between class means (training images)", "between"),
                        ("the same of the classes shown", "between_shown")):  # fmt: skip
        rows.append([words, *(f"{100 * values[name][kind]:.1f} %" for kind in ("vae", "cvae"))])
    n = counted(vae["images"], "test image")
    return Table(("all classes", "VAE", "CVAE"), rows, f"Both models' encodings of {n}; always the commonest class "
                 f"would be right for {100 * vae['majority']:.1f} %.")  # fmt: skip


def _difference(
    values: Mapping[str, Any], vae: Mapping[str, Any], cvae: Mapping[str, Any], names: Sequence[str]
) -> str:
    told, over = metric(vae, "knn_accuracy"), metric(cvae, "knn_accuracy")
    if falls(told, over) and told.value - over.value > 0.1:
        text = _regions(told, over, cvae["majority"])
    else:
        text = (
            f"Contrary to what one expects, the class is told from z in the CVAE ({percent(over)}) little or no less "
            f"often than in the VAE ({percent(told)}). "
        )
    shown = values["between_shown"]
    return text + (
        f"Of the spread of the classes {listed(list(names))}, {100 * shown['vae']:.1f} % is between their means in the "
        f"VAE and {100 * shown['cvae']:.1f} % in the CVAE"
        + (
            ": their styles are not spread alike, so they do not cover one another exactly"
            if shown["cvae"] > 0.1
            else ""
        )
        + ". A place in the VAE's plane means what and how, in the CVAE's plane it means how, for every label."
        if shown["cvae"] < shown["vae"]
        else f"But of the spread of the classes shown {100 * shown['cvae']:.0f} % is between their means in the CVAE, "
        f"no less than in the VAE ({100 * shown['vae']:.0f} %)."
    )


def _regions(told: Metric, over: Metric, majority: float) -> str:
    """Where the classes lie in the two planes, where that of the CVAE tells them clearly less."""
    own = (
        "each class has its own region"
        if told.value >= 0.9
        else "most classes have a region mostly of their own"
        if told.value >= 0.6
        else "classes lie partly apart"
    )
    near, beyond = over.value - majority < 0.15, over.value - majority > 2 * (over.standard_error or 0)
    lie = "all classes lie over one another" if near else "they lie more over one another"
    left = (
        ""
        if not beyond
        else " Little more than that is left of the class in its z."
        if near
        else " Something of the class is left in its z, though: the encoder, too, is given the label, and classes use "
        "the plane in different ways."
    )
    return (
        f"In the VAE {own}, in the CVAE {lie} around the middle of the plane: nearest neighbours in z tell the class "
        f"of {percent(told)} of the test images in the VAE and of {percent(over)} in the CVAE, where always to say the "
        f"commonest class is right for {100 * majority:.1f} %.{left} The CVAE is given the label, so the class in z "
        "would cost KL and save nothing; the VAE has to keep it to reconstruct. "
    )


def _closer(vae: Mapping[str, Any], cvae: Mapping[str, Any]) -> str:
    first, second = metric(vae, "marginal_kl"), metric(cvae, "marginal_kl")
    which = "the CVAE's" if falls(first, second) else "the VAE's"
    verdict = (
        f"Of all images together, {which}"
        if apart(first, second)
        else "Neither clearly; the two are within twice the error of each other"
    )
    return (
        f"{verdict}: KL(q(z) ‖ p(z)) is {nats(vae, 'marginal_kl', 3)} nats for the VAE and "
        f"{nats(cvae, 'marginal_kl', 3)} for the CVAE."
    )
