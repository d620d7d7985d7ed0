"""The section of the report about ways between two images (D6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.metrics import Metric
from vaelab.report.blocks import Answer, Block, Table, Text
from vaelab.studies.gaussian_elbo.words import above, share, written
from vaelab.studies.results import Results
from vaelab.studies.words import apart, counted, error_of, listed, metric, percent, plus_minus


def lines(results: Results) -> Sequence[Block]:
    """D6: traversals between posterior samples of two images of different classes."""
    values = results.values("lines")
    rows = []
    for way in values["shown"]:
        seen = [f"{name} {100 * sure:.0f} %" for name, sure in zip(way["seen"], way["confidence"], strict=True)]
        rows.append([" → ".join(way["names"]), *seen])
    points = [f"{i + 1}" for i in range(values["points"])]
    return [
        Text(
            f"Two test images of different classes, one draw of each posterior q(z|x), {values['points']} points on "
            "the straight line between the two, both ends included, decoded in order (decoder means). Images and "
            "classes are chosen at random by the seed."
        ),
        results.picture(
            "lines",
            "ways",
            f"{counted(len(values['shown']), 'pair')} of images; below each image what the judge sees (rounded down).",
            "Rows of decoded images that change from one class to another, each with a class and a percentage.",
        ),
        Table(("pair", *points), rows, "The judge's most probable class along each way, and its probability."),
        Answer("What happens between the two?", _shown(values)),
        Answer("Is that so for other pairs?", _along(values)),
        _along_table(values),
        Answer("Is it a cross-fade of two images?", _overlay(values)),
    ]


def changes(way: Mapping[str, Any]) -> list[str]:
    """The classes that are seen along a way, one after another.

    >>> changes({"seen": ["3", "3", "8", "5"]})
    ['3', '8', '5']
    """
    found: list[str] = []
    for name in way["seen"]:
        if not found or found[-1] != name:
            found.append(name)
    return found


def _shown(values: Mapping[str, Any]) -> str:
    parts = []
    for way in values["shown"]:
        seen = changes(way)
        low = min(range(len(way["seen"])), key=lambda i: way["confidence"][i])
        passed = [name for name in seen if name not in way["names"]]
        if len(seen) == 1:
            turn = f"the judge sees {seen[0]} all along"
        elif not passed and len(seen) == 2:
            last = max(i for i, name in enumerate(way["seen"]) if name == seen[0])
            turn = f"the class changes once, between the points {last + 1} and {last + 2}"
        else:
            turn = f"the judge sees {', then '.join(seen)}"
        through = f", on the way through {listed(sorted(set(passed)))}" if passed else ""
        third = through if len(seen) > 1 else ", which is neither of the two" if passed else ""
        parts.append(
            f"- {' → '.join(way['names'])}: {turn}{third}; it is least sure at point {low + 1} "
            f"({100 * way['confidence'][low]:.0f} % for {way['seen'][low]})."
        )
    return "\n".join(parts)


def _along(values: Mapping[str, Any]) -> str:
    found = values["along"]
    ends, middle = metric(found, "clear_at_ends"), metric(found, "clear_in_the_middle")
    norm, points = found["norm"], len(found["norm"])
    outer, inner = (norm[0] + norm[-1]) / 2, norm[(points - 1) // 2]
    unclear = ": on the way there are images that the judge gives no class clearly" if above(ends, middle) else ""
    return (
        f"Over {found['pairs']:,} pairs {percent(ends)} of the images at the ends are clear and {percent(middle)} in "
        f"the middle{unclear}. In the middle the judge sees a third class, neither the first nor the last, in "
        f"{share(found, 'third_in_the_middle')} of the pairs, and {share(found, 'clear_third')} pass clearly through a "
        f"third class somewhere. The class changes {written(metric(found, 'changes'))} times on a way. The length ‖z‖ "
        f"is {outer:.2f} at the ends and {inner:.2f} in the middle, so the line "
        + (
            f"passes nearer to the origin than its ends ({_nearer(metric(found, 'nearer'))})."
            if inner < 0.95 * outer
            else "stays about as far from the origin as its ends."
        )
    )


def _nearer(found: Metric) -> str:
    """How many of the ends lie as near to the origin as the middle does."""
    total = f"{2 * found.n:,} ends"
    if found.value in (0.0, 1.0):
        return f"all of the {total} lie as near" if found.value else f"none of the {total} lies as near"
    return f"{'only ' if found.value < 0.25 else ''}{percent(found)} of the {total} lie as near"


def _along_table(values: Mapping[str, Any]) -> Table:
    found = values["along"]
    rows = []
    for i in range(values["points"]):
        shares = [found[name][i] for name in ("first", "second", "third", "clear", "confidence")]
        rows.append([f"{i + 1}", *(f"{100 * one:.1f} %" for one in shares), f"{found['norm'][i]:.2f}"])
    columns = ("point", "first class", "last class", "a third", "clear", "mean probability", "mean ‖z‖")
    return Table(columns, rows, f"What the judge sees at each point, shares of {found['pairs']:,} pairs.")


def _overlay(values: Mapping[str, Any]) -> str:
    overlay, middle = metric(values, "overlay_share"), metric(values["along"], "clear_in_the_middle")
    gap = plus_minus(100 * abs(middle.value - overlay.value), 100 * error_of(overlay, middle), 1)
    points = f"by {gap} percentage points (errors taken as independent, though the pairs are the same)"
    if not apart(overlay, middle):
        verdict = "The judge finds no difference between the two here, so this does not tell whether it is one."
    elif middle.value > overlay.value:
        verdict = f"The decoded points are clear more often, {points}. So to the judge they are no such overlays."
    else:
        verdict = (
            f"The overlays are clear more often, {points}, so being clear does not tell fading from changing here."
        )
    return (
        f"A cross-fade would be the mean of the two end images, pixel by pixel. Of these overlays {percent(overlay)} "
        f"are clear, of the decoded points in the middle {percent(middle)}. {verdict}"
    )
