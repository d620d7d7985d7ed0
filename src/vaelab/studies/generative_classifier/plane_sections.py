"""The report's section about the VAE's latent plane: A5 to A7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Plane, Table, Text
from vaelab.studies.generative_classifier.words import (
    clear,
    counted,
    listed,
    metric,
    number,
    place,
    r2,
    share,
    signed,
)
from vaelab.studies.results import Results, percent

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
    ratio = values["step_difference"] / max(values["any_difference"], 1e-12)
    step = 2 * values["extent"] / (values["cells"] - 1)
    smooth = "It is smooth" if ratio < 0.5 else "It is not very smooth"
    knn, chance = metric(space, "knn_accuracy"), space["majority"]
    clustered = knn.value - chance > 0.3 * (1 - chance)
    return (
        f"{smooth}: one step of {step:.2f} on the grid changes a pixel by {100 * values['step_difference']:.1f} % of "
        f"the range from black to white on average, a jump to any other place by {100 * values['any_difference']:.1f} "
        "%. So images that are near in z look alike, and between two places the decoder morphs one image into the "
        "other.\n\n"
        + ("It is ordered by class, though no label was given: " if clustered else "It is hardly ordered by class: ")
        + f"the 15 nearest neighbours among {counted(space['fitted'], 'encoded training image')} tell the "
        f"class of {percent(knn, 1)} of {counted(space['images'], 'test image')}, a linear classifier on z "
        f"{share(space, 'linear_accuracy')}, always the commonest class {100 * chance:.1f} %. "
        + (
            "So the regions are not parted by straight lines. "
            if knn.value - number(space, "linear_accuracy") > 0.05
            else ""
        )
        + f"Of the spread of z, {100 * space['between']:.0f} % is between the class means and the rest within classes."
    )


def _mixing_table(space: Mapping[str, Any]) -> Table:
    names = space["class_names"]
    rows = [[name, *(f"{100 * value:.0f}" for value in row)] for name, row in zip(names, space["mixing"], strict=True)]
    return Table(("class", *names), rows, "Of the 15 training images encoded nearest to a test image of each class "
                 "(row): how many per cent are of each class (column).")  # fmt: skip


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
        f"Most by itself lies class {own[-1][1]}: {100 * own[-1][0]:.0f} % of its images' neighbours are of the same "
        f"class; least class {own[0][1]} ({100 * own[0][0]:.0f} %). "
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
        first, second = (
            f"{signed(r)} ± {error:.2f}" for r, error in zip(fit["correlations"], fit["errors"], strict=True)
        )
        row = [style, first, second, r2(fit), f"{signed(fit['angle'], 0)}°"]
        if within is not None:
            row.append("" if within[style] is None else r2(within[style]))
        rows.append(row)
    columns = ["style", "r with z₁", "r with z₂", "R² of both", "direction"]
    return Table(
        columns + (["R² within classes"] if within is not None else []),
        rows,
        "How z tells the style of an image: correlation with each latent value, the share R² of the variance that both "
        "together explain by least squares, and the direction in the plane along which the style grows (0°: along z₁, "
        "90°: along z₂). Slant is the shear of the ink, width and height its standard deviations in pixels once the "
        "slant is taken out, thickness twice the area of the ink over its perimeter, ink the mean brightness.",
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
    best = max(within, key=lambda style: within[style]["r2"])
    total = strong.get(best, within[best])["r2"]
    return text + (
        "Part of this is the class itself, because classes differ in style. Within classes, with one direction for "
        f"all of them, most is told of {OF[best]} (R² {r2(within[best])}"
        + (f"; over all images {total:.2f}" if best in strong else "")
        + "). So the plane has to hold two things at once, which class an image is of and how it is written, and both "
        "with two numbers."
    )


def _prior(space: Mapping[str, Any]) -> str:
    length, variance = metric(space, "aggregate_mean_norm"), metric(space, "aggregate_variance")
    kl = metric(space, "marginal_kl")
    near = kl.value < 0.1
    rejected = number(space, "aggregate_energy_p_value") < 0.05 if "aggregate_energy_p_value" in space else None
    verdict = "Nearly" if near else "Not quite" if kl.value < 0.5 else "No"
    return (
        f"{verdict}. With one draw of z for each of {counted(space['images'], 'test image')} the mean of z has length "
        f"{length.value:.2f} ± {length.standard_error or 0:.2f} (0 under the prior) and its variance is "
        f"{variance.value:.2f} ± {variance.standard_error or 0:.2f} a dimension (1 under the prior); "
        f"KL(q(z) ‖ p(z)) is {kl.value:.2f} ± {kl.standard_error or 0:.2f} nats. "
        + (
            ""
            if rejected is None
            else "The energy test finds the difference from N(0, I). "
            if rejected
            else "The energy test does not find a difference from N(0, I). "
        )
        + "Where the two differ, the prior asks for images at places that no image was encoded to: these are the gaps "
        "of the next section."
    )
