"""The report's section about the VAE's latent plane: A5 to A7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Plane, Table, Text
from vaelab.studies.generative_classifier.classes import NEIGHBOURS
from vaelab.studies.generative_classifier.words import clear, falls, foremost, nats, number, ordered, place, r2
from vaelab.studies.results import Results
from vaelab.studies.words import counted, listed, metric, percent, plus_minus, signed

OF = {"slant": "the slant", "width": "the width", "height": "the height", "thickness": "the thickness of the strokes",
      "ink": "the amount of ink"}  # fmt: skip


def plane(results: Results) -> Sequence[Block]:
    """A5, A6 and A7."""
    values, space = results.values("plane"), results.values("space-vae")
    extent, cells = values["extent"], values["cells"]
    return [
        Text(
            f"A5. The decoder's mean at {cells} × {cells} positions over [−{extent:g}, {extent:g}]². No image of the "
            "data is in this picture."
        ),
        results.picture("plane", "grid", "The decoded latent plane; the axes are the two latent values.",
                        "A square of small images that change gradually from place to place."),
        Text(
            f"A6. The posterior means of {counted(values['images'], 'training image')}, chosen at random, coloured by "
            "label; the model itself was never told a label."
        ),
        points(results, "plane", "embeddings", "Training images in the latent plane, one colour a class. Point at one "
                "to see the image.", "A scatter of points in the plane, coloured by class."),
        Answer("A7. What do the two pictures say about the structure of the latent space?", _structure(values, space)),
        _mixing_table(space),
        Answer("Which classes lie where, and which are neighbours?", _neighbours(values, space)),
        *style_blocks(results, "plane", "The same points coloured by the style of their image; the arrow is the "
                      "direction along which it grows fastest.", values["styles"]["all"], values["styles"]["within"]),
        Answer("What else than the class does the plane encode?", _styles(values["styles"])),
        Answer("Does the plane fill the prior?", _prior(space)),
        results.run_picture("vae-2", "aggregate-posterior", "One draw of z for each test image, against N(0, 1).",
                            "Two histograms with the curve of a standard normal density."),
    ]  # fmt: skip


def points(results: Results, step: str, still: str, caption: str, alt: str) -> Plane:
    """The interactive plane of a step; ``still``: the figure that shows the same."""
    found = results.arrays(step, "points")
    names = results.values(step)["class_names"]
    return Plane(found["z"], found["images"], found["labels"], names, results.picture(step, still, caption, alt))


def _structure(values: Mapping[str, Any], space: Mapping[str, Any]) -> str:
    near, far = values["step_difference"], values["any_difference"]
    step = 2 * values["extent"] / (values["cells"] - 1)
    smooth = near < 0.5 * far
    text = (
        f"{'It is smooth' if smooth else 'It is not very smooth'}: one step of {step:.2f} on the grid changes a pixel "
        f"by {100 * near:.1f} % of the range from black to white on average, a jump to any other place by "
        f"{100 * far:.1f} %. "
        + (
            "So images that are near in z look alike, and between two places the decoder morphs one image into the "
            "other.\n\n"
            if smooth
            else "So images that are near in z need not look alike.\n\n"
        )
    )
    knn, linear, chance = metric(space, "knn_accuracy"), metric(space, "linear_accuracy"), space["majority"]
    return text + (
        f"It is {ordered(knn.value, chance)} by class, though no label was given: the {NEIGHBOURS} nearest neighbours "
        f"among {counted(space['fitted'], 'encoded training image')} tell the class of {percent(knn)} of "
        f"{counted(space['images'], 'test image')}, a linear classifier on z of {percent(linear)}; always to say the "
        f"commonest class is right for {100 * chance:.1f} %. "
        + (
            "So the regions are not parted by straight lines. "
            if knn.value - linear.value > 0.05 and falls(knn, linear)
            else ""
        )
        + f"Of the spread of z, {100 * space['between']:.0f} % is between the class means and the rest within classes."
    )


def _mixing_table(space: Mapping[str, Any]) -> Table:
    names = space["class_names"]
    rows = [[name, *(f"{100 * value:.0f}" for value in row)] for name, row in zip(names, space["mixing"], strict=True)]
    return Table(("class", *names), rows, f"Of the {NEIGHBOURS} training images encoded nearest to a test image of "
                 "each class (row): how many per cent are of each class (column).")  # fmt: skip


def _neighbours(values: Mapping[str, Any], space: Mapping[str, Any]) -> str:
    names, mixing = space["class_names"], space["mixing"]
    pairs = sorted(
        ((mixing[i][j] + mixing[j][i]) / 2, names[i], names[j]) for i in range(len(names)) for j in range(i)
    )[::-1]
    own = sorted((mixing[i][i], names[i]) for i in range(len(names)) if sum(mixing[i]) > 0)
    mixed = [f"{a} and {b} ({100 * value:.0f} %)" for value, a, b in pairs[:3] if value > 0.02]
    known = [(entry["spread"], name, entry) for entry, name in zip(values["classes"], names, strict=True) if entry]
    tight, wide = min(known, key=lambda one: one[0]), max(known, key=lambda one: one[0])
    inner = min(known, key=lambda one: sum(value**2 for value in one[2]["centre"]))
    text = (
        f"Class {own[-1][1]} lies most by itself: {100 * own[-1][0]:.0f} % of its images' neighbours are of the same "
        f"class. Class {own[0][1]} does least ({100 * own[0][0]:.0f} %). "
    )
    if mixed:
        text += f"The classes that share most of their region, by their images' neighbours, are {listed(mixed)}. "
    return text + (
        f"Class {tight[1]} takes least room (standard deviation {tight[0]:.2f} around {place(tight[2]['centre'])}), "
        f"class {wide[1]} most ({wide[0]:.2f} around {place(wide[2]['centre'])}); nearest to the middle lies class "
        f"{inner[1]}, at {place(inner[2]['centre'])}."
    )


def style_blocks(
    results: Results, step: str, caption: str, common: Mapping[str, Any], within: Mapping[str, Any] | None = None
) -> Sequence[Block]:
    """The plane coloured by style, and the numbers; nothing where no style could be measured."""
    if not any(common.values()):
        return []
    picture = results.picture(step, "styles", caption, "A scatter of the plane with an arrow for each style.")
    return [picture, _style_table(common, within)]


def _style_table(common: Mapping[str, Any], within: Mapping[str, Any] | None = None) -> Table:
    """How z tells each style."""
    rows = []
    for style, fit in common.items():
        if fit is None:
            continue
        first, second = (plus_minus(r, error, 3) for r, error in zip(fit["correlations"], fit["errors"], strict=True))
        row = [style, first, second, r2(fit), f"{signed(fit['angle'], 0)}°"]
        if within is not None:
            row.append("" if within[style] is None else r2(within[style]))
        rows.append(row)
    columns = ["style", "r with z₁", "r with z₂", "R² of both", "direction"]
    return Table(
        columns + (["R² within classes"] if within is not None else []),
        rows,
        "How much z says about the style of an image: correlation r with each latent value, the share R² of the "
        "variance that both together explain by least squares, and the direction in the plane along which the style "
        "grows (0°: along z₁, 90°: along z₂). Slant is the shear of the ink, width and height its standard deviations "
        "in pixels once the slant is taken out, thickness twice the area of the ink over its perimeter, ink the mean "
        "brightness.",
    )


def _styles(found: Mapping[str, Mapping[str, Any]]) -> str:
    strong = {style: fit for style, fit in found["all"].items() if fit is not None and clear(fit)}
    if not strong:
        return "No style is related to z beyond chance."
    order = sorted(strong, key=lambda style: -strong[style]["r2"])
    words = [f"{OF[style]} (R² {r2(strong[style])}, along {signed(strong[style]['angle'], 0)}°)" for style in order]
    weak = [OF[style] for style in found["all"] if style not in strong]
    text = f"By their share of variance explained: {listed(words)}. " + (
        f"Not beyond chance: {listed(weak)}. " if weak else ""
    )
    within = {style: fit for style, fit in found["within"].items() if fit is not None and clear(fit)}
    if not within:
        return text + "Within classes nothing of it is left: what differs is the class."
    first = foremost(within)
    parts = [
        f"{OF[style]} (R² {r2(within[style])}"
        + (f"; over all images {strong[style]['r2']:.3f}" if style in strong else "")
        for style in first
    ]
    return text + (
        "Part of this is the class itself, because classes differ in style. Within classes, with one direction for all "
        f"of them, z says most about {listed([f'{part})' for part in parts])}. So the plane has to hold two things at "
        "once, which class an image is of and how it is written, and both with two numbers."
    )


def _prior(space: Mapping[str, Any]) -> str:
    kl = number(space, "marginal_kl")
    rejected = number(space, "aggregate_energy_p_value") < 0.05 if "aggregate_energy_p_value" in space else None
    verdict = "Nearly" if kl < 0.1 else "Not quite" if kl < 0.5 else "No"
    return (
        f"{verdict}. With one draw of z for each of {counted(space['images'], 'test image')} the mean of z has length "
        f"{nats(space, 'aggregate_mean_norm')} (0 under the prior) and its variance is "
        f"{nats(space, 'aggregate_variance')} a dimension (1 under the prior); KL(q(z) ‖ p(z)) is "
        f"{nats(space, 'marginal_kl')} nats. "
        + (
            ""
            if rejected is None
            else "The energy test finds the difference from N(0, I). "
            if rejected
            else "The energy test does not find a difference from N(0, I). "
        )
        + "Where the prior has more probability than q(z), it asks for images at places to which few or none were "
        "encoded: these are the gaps of the next section."
    )
