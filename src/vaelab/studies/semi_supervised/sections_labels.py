"""E13: what representations are worth with few labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.applications.representations import METHODS
from vaelab.report.blocks import Answer, Block, Table, Text
from vaelab.studies.results import Results
from vaelab.studies.semi_supervised.words import TITLES, listed, other_name, share


def few_labels(results: Results) -> Sequence[Block]:
    """E13."""
    found = results.values("few-labels")
    helped = [line for line in found["conclusions"] if "unlabelled images" in line]
    representation = [line for line in found["conclusions"] if "best representation" in line]
    rest = [line for line in found["conclusions"] if line not in helped and line not in representation]
    counts = [row["labels"] for row in found["best"]]
    return [
        Text(
            f"Each classifier is given l of the {found['known']:,} training labels of {other_name(results)}, chosen at "
            "random with each class's share, and no other label, also not for its hyperparameters, which "
            f"cross-validation on these l chooses. l goes over {listed([f'{count:,}' for count in counts])}; every "
            f"choice is made {_times(results.settings['seeds'])}, the same labels for all methods. "
            "The representations were learned from all training images without labels; the MLP on raw pixels "
            "learns from the labelled images alone."
        ),
        results.picture(
            "few-labels",
            "accuracy",
            "Test accuracy against the number of labels for all methods; error bars are the standard deviation over "
            "the seeds, grey is the MLP on raw pixels.",
            "Two panels, one for each representation, with a curve for each classifier and a grey one for the MLP on "
            "raw pixels.",
        ),
        Table(found["columns"], found["rows"], _caption(results), bold=_best_rows(found)),
        Answer("Did unlabelled data help? (E13)", "\n\n".join([_whether(found), _listed(helped), _saved(found)])),
        Answer(
            "Which representation was best? (E13)",
            "\n\n".join([_which(found), _listed(representation), _methods(found)]),
        ),
        *([Text(" ".join(rest))] if rest else []),
        Text(
            "Every single result with its hyperparameters is in `data/few-labels-results.csv`; `few-labels/` and "
            "`all-labels/` hold what `vaelab semi-supervised` writes."
        ),
    ]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _caption(results: Results) -> str:
    found, seeds, whole = results.values("few-labels"), results.settings["seeds"], results.settings["seeds_all"]
    spread = f"mean ± standard deviation over {seeds} choices of labels" if seeds > 1 else "one choice of labels"
    counts = [row["labels"] for row in found["best"]]
    with_all = ""
    if found["known"] in counts:
        fits = "one fit each" if whole == 1 else f"{whole} fits, and one where nothing is drawn at random"
        with_all = f"; with all {found['known']:,} labels {fits}"
    return (
        f"Test accuracy in %, {spread}{with_all}; {found['images']:,} test images. "
        "VAE and denoising autoencoder: the representations. Bold: best representation and method with some number."
    )


def _listed(sentences: Sequence[str]) -> str:
    """One line for each number of labels."""
    return "\n".join(f"- {line}" for line in sentences if not line.startswith("In all"))


def _whether(found: Mapping[str, Any]) -> str:
    """The answer in a sentence: where the unlabelled images helped, clearly or not."""
    helped: dict[str, list[str]] = {}
    verdicts = ("helped", "made no clear difference", "did not help but did harm")
    for row in found["best"]:
        gain = row["gain"]
        verdict = verdicts[1] if not gain["clear"] else verdicts[0] if gain["mean"] > 0 else verdicts[2]
        helped.setdefault(verdict, []).append(f"{row['labels']:,}")
    parts = [f"{verdict} with {listed(at)}" for verdict, at in helped.items()]
    baseline = "Against an MLP on the raw pixels that is given the same labels"
    return f"{baseline}, the unlabelled images {'; they '.join(parts)} labels."


def _which(found: Mapping[str, Any]) -> str:
    """The better representation in a sentence."""
    better: dict[str, list[str]] = {}
    for row in found["best"]:
        between = row["between"]
        name = TITLES[row["first"]["representation"]] if between is not None and between["clear"] else ""
        better.setdefault(name, []).append(f"{row['labels']:,}")
    parts = [
        f"that of the {name} is clearly better with {listed(at)} labels"
        if name
        else f"neither is clearly better with {listed(at)} labels"
        for name, at in better.items()
    ]
    return f"Of each representation its best classifier is taken: {'; '.join(parts)}."


def _best_rows(found: Mapping[str, Any]) -> list[int]:
    """The rows that are best at one number of labels or more."""
    best = {(TITLES[row["first"]["representation"]], METHODS[row["first"]["method"]].title) for row in found["best"]}
    return [place for place, row in enumerate(found["rows"]) if (row[0], row[1]) in best]


def _saved(found: Mapping[str, Any]) -> str:
    """How many labels the raw pixels need for the same accuracy."""
    first = found["best"][0]
    accuracy = share(first["first"]["accuracy"])
    if first["gain"]["mean"] <= 0:
        return (
            f"With {first['labels']:,} labels the raw pixels are as good or better, so no label was saved by the "
            "unlabelled images there."
        )
    if first["raw_needs"] is None:
        return f"The accuracy of {accuracy} that {first['labels']:,} labels give was not reached on raw pixels at all."
    return (
        f"The accuracy of {accuracy} that the best representation has with {first['labels']:,} labels is first reached "
        f"on raw pixels with {first['raw_needs']:,}, of the numbers that were tried."
    )


def _methods(found: Mapping[str, Any]) -> str:
    """The best classifier at each number of labels."""
    parts = [
        f"{METHODS[row['first']['method']].title} on that of the {TITLES[row['first']['representation']]} with {row['labels']:,} labels "
        f"({share(row['first']['accuracy'])})"
        for row in found["best"]
    ]
    last = found["best"][-1]
    raw, top = last["raw"]["accuracy"], last["first"]["accuracy"]
    order = "above" if raw > top else "below"
    return (
        f"Best classifier on a representation: {listed(parts)}. With {last['labels']:,} labels the MLP on raw pixels "
        f"has {share(raw)}, {order} the best of them."
    )
