"""Sections about the latent plane: the grid, the scatter, how they fit, with labels (C7, C10, C11, C15, C16)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Plane, Table, Text
from vaelab.studies.conv_cvae.words import number, percent_of, share
from vaelab.studies.results import Results
from vaelab.studies.words import listed

NO_PLANE = "The model has {latent} latent dimensions here, not 2, so there is no plane to decode."


def grid(results: Results) -> Sequence[Block]:
    """C7."""
    found = results.values("plane")
    if not found["plane"]:
        return [Text(NO_PLANE.format(latent=found["latent"]))]
    cells, extent = found["cells"], found["extent"]
    names, area, of_prior = found["class_names"], found["area"], found["of_prior"]
    images = sum(found["of_images"])
    rows = [
        [names[i], percent_of(area[i] / sum(area)), percent_of(of_prior[i]), percent_of(found["of_images"][i] / images)]
        for i in range(len(names))
    ]
    text = (
        f"The square holds {percent_of(found['prior_inside'])} of the prior N(0, I) and "
        f"{share(results.metric('plane', 'inside'))} of the training images' posterior means. A classifier of real "
        f"images (right for {share(results.metric('judge', 'judge_accuracy'), 2)} of the real test images) says what "
        f"the decoded images show. {_regions(found)} New images are decoded from draws of the prior, so they come "
        "about in the proportions of the third column, not in those of the data."
    )
    return [
        results.picture(
            "plane",
            "grid",
            f"The decoder's image at each of {cells}×{cells} places z in [−{extent:g}, {extent:g}]². Neighbours look "
            "alike: one shape turns into the next.",
            f"A grid of {cells} by {cells} decoded images with axes in latent units from −{extent:g} to {extent:g}.",
        ),
        Answer("What is on the plane?", text),
        Table(
            ["class", "of the square's cells", "weighted by the prior", "of the training images"],
            rows,
            "What the classifier sees in the decoded cells, and how frequent the classes really are.",
        ),
    ]


def _regions(found: Mapping[str, Any]) -> str:
    """How large the classes' regions are, weighted by the prior, and which class has none."""
    names, of_prior = found["class_names"], found["of_prior"]
    ordered = sorted((i for i in range(len(names)) if found["area"][i]), key=lambda i: -of_prior[i])
    sizes = [f"{names[i]} ({percent_of(of_prior[i])})" for i in ordered]
    none = [names[i] for i in range(len(names)) if not found["area"][i]]
    text = f"Weighted by the prior, the largest region is that of {sizes[0]}"
    if len(sizes) > 1:
        ratio = of_prior[ordered[0]] / max(of_prior[ordered[-1]], 1e-12)
        text += f", {number(ratio, 1)} times as large as the smallest, that of {sizes[-1]}"
    if not none:
        return f"{text}. Every class is somewhere."
    return (
        f"{text}. It sees none as {listed(none)}: between −{found['extent']:g} and {found['extent']:g} the decoder has "
        f"no place for {'that class' if len(none) == 1 else 'these classes'}."
    )


def scatter(results: Results) -> Sequence[Block]:
    """C10."""
    found = results.values("plane")
    text = (
        f"Each point is the posterior mean of one of the {found['scatter_images']:,} training images: where the "
        "encoder puts it. The colour is its label, which the VAE has never seen."
        + (
            f" Below, the same plane to explore: {found['points']:,} of the images; point at one to see it."
            if found.get("latent", 2) == 2
            else ""
        )
    )
    return [Text(text), *_planes(results, "plane", "vae")]


def _planes(results: Results, step: str, run: str) -> list[Block]:
    """The still scatter, interactive where z has two dimensions."""
    what = "VAE" if run == "vae" else "CVAE"
    still = results.picture(
        step,
        "scatter",
        f"Posterior means of the training images in the {what}'s latent plane, one colour a class.",
        f"A scatter plot of the {what}'s latent plane, points coloured by class, with a colour bar.",
    )
    if results.values(step).get("latent", 2) != 2:
        return [still]
    found = results.arrays(step, "plane")
    names = results.values("space" if run == "vae" else "cspace")["class_names"]
    return [Plane(found["z"], found["images"], found["labels"], names, still)]


def relation(results: Results) -> Sequence[Block]:
    """C11."""
    found = results.values("plane")
    if not found["plane"]:
        return [Text(NO_PLANE.format(latent=found["latent"]))]
    text = f"{_agreement(results, found)}\n\n{_back(found)}"
    blocks: list[Block] = [Answer("How do the grid and the scatter relate?", text)]
    borders = results.values("space")["borders"]
    if borders:
        classes = list(borders[0]["classes"].items())[:3]
        mixed = listed([f"{name} ({percent_of(value, 0)})" for name, value in classes])
        blocks.append(
            results.run_picture(
                "vae",
                "latent-borders",
                "Places where classes meet, found automatically, as the decoder shows them; below, the nearest test "
                f"image. At the first, the nearest images are above all of the classes {mixed}.",
                "A row of decoded images from borders between classes, above a row of the nearest test images.",
            )
        )
    return blocks


def _agreement(results: Results, found: Mapping[str, Any]) -> str:
    """Whether the grid shows what the scatter says, inside of regions and at their borders."""
    agreement = results.metric("plane", "agreement")
    text = (
        "The scatter shows where the encoder puts images of each class; the grid shows what the decoder makes of the "
        f"same places. They are two views of one map. Of the {found['cells'] ** 2:,} cells of the grid, "
        f"{share(agreement)} show (to the classifier) the class that most of the 15 nearest encoded images have"
    )
    if "agreement_clear" not in found:
        return f"{text}."
    clear, border = results.metric("plane", "agreement_clear"), results.metric("plane", "agreement_border")
    text += (
        f": {share(clear)} of the {found['clear_cells']:,} cells inside a class's region, {share(border)} of the "
        f"{found['border_cells']:,} at borders, where the nearest images are of mixed classes. At borders the decoded "
        "images are "
    )
    if found["sure_border"] >= found["sure_clear"]:
        return f"{text}no less clear to the classifier, contrary to what one would expect."
    return (
        f"{text}also less clearly of one class: the classifier's confidence is {percent_of(found['sure_border'], 0)} "
        f"on average there, {percent_of(found['sure_clear'], 0)} inside. That is what happens between clusters: the "
        "decoder is continuous, so it has to blend one class into the other."
    )


def _back(found: Mapping[str, Any]) -> str:
    """Whether a decoded place is encoded where it was."""
    how = "by and large" if found["back_correlation"] > 0.9 else "only roughly"
    text = (
        f"The two networks undo each other {how}: a decoded cell, encoded again, comes back at a distance of "
        f"{number(found['back_median'])} from where it was (median; the cells are {number(found['step'])} apart, the "
        f"correlation of places is {number(found['back_correlation'], 3)}). "
    )
    if found["back_far"] <= found["back_near"]:
        return (
            f"{text}Cells far from all training images come back no worse ({number(found['back_far'])} against "
            f"{number(found['back_near'])})."
        )
    return (
        f"{text}The tenth of the cells farthest from all training images come back less well, "
        f"{number(found['back_far'])} away against {number(found['back_near'])} for the others: nothing was encoded "
        "there, so nothing has taught the decoder."
    )


def conditional_grids(results: Results) -> Sequence[Block]:
    """C15."""
    found = results.values("cplane")
    if not found["plane"]:
        return [Text(NO_PLANE.format(latent=found["latent"]))]
    names = found["class_names"]
    seen = [
        f"{share(results.metric('cplane', f'judged_{label}'))} of the cells for {names[label]}"
        for label in found["classes"]
    ]
    note = ""
    if list(found["classes"]) != list(results.settings["classes"]):
        wanted = listed([str(label) for label in results.settings["classes"]])
        note = f" (The data has {len(names)} classes, so these were taken for the classes {wanted}.)"
    text = (
        f"The same plane, decoded with the {'label' if len(seen) == 1 else 'labels'} "
        f"{listed([names[label] for label in found['classes']])}.{note} Every cell should show that class, and the "
        f"classifier sees it in {listed(seen)}. {_style(results.values('cspace')['style'])}"
    )
    pictures = [
        results.picture(
            "cplane",
            f"grid-{label}",
            f"The plane of the CVAE decoded as {names[label]}: one class, many ways to write it.",
            f"A grid of {found['cells']} by {found['cells']} images of the class {names[label]} over the latent plane.",
        )
        for label in found["classes"]
    ]
    return [Text(text), *pictures]


def _style(style: Mapping[str, Mapping[str, float] | None]) -> str:
    """What changes over the plane of one class."""
    known = {name: row["r2"] for name, row in style.items() if row is not None}
    if not known:
        return "What changes over the plane was not measured: no measure of style varies among these images."
    best = sorted(known, key=lambda name: -known[name])
    told = listed([f"{percent_of(known[name], 0)} of the variance of the {name}" for name in best])
    text = (
        "What changes over the plane is how it is written: among test images of one class, z tells "
        f"{told} (R² of a linear fit; image moments)."
    )
    most = [name for name in best if known[name] > 0.3][:2]
    return f"{text} So the plane of this CVAE is above all one of {listed(most)}." if most else text


def conditional_scatter(results: Results) -> Sequence[Block]:
    """C16."""
    found = results.values("cplane")
    text = (
        f"The {found['scatter_images']:,} training images in the plane of the CVAE, each encoded with its own label: "
        "compare it with the VAE's (C10)."
        + (" Below, the same plane to explore." if found.get("latent", 2) == 2 else "")
    )
    return [Text(text), *_planes(results, "cplane", "cvae")]
