"""E13: what representations are worth with few labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vaelab.applications.representations import METHODS, Summary, conclude, paired_difference
from vaelab.applications.representations.conclusions import BASELINE, RAW
from vaelab.applications.representations.summary import Difference
from vaelab.report.blocks import Answer, Block, Table, Text
from vaelab.studies.results import Results
from vaelab.studies.semi_supervised.words import TITLES, number, other_name, share
from vaelab.studies.words import listed


def few_labels(results: Results) -> Sequence[Block]:
    """E13."""
    found = results.values("few-labels")
    conclusions = conclude([in_words(_summary(row)) for row in found["summaries"]])
    helped = [line for line in conclusions if "unlabelled images" in line]
    representation = [line for line in conclusions if "best representation" in line]
    rest = [line for line in conclusions if line not in helped and line not in representation]
    rows = [[TITLES.get(name, "raw pixels" if name == RAW else name), *row] for name, *row in found["rows"]]
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
        Table(found["columns"], rows, _caption(results), bold=_best_rows(found["best"], rows)),
        Answer(
            "Did unlabelled data help? (E13)",
            "\n\n".join([_by_same_method(found), f"{_by_best(found)}\n{_listed(helped)}", _saved(found)]),
        ),
        Answer(
            "Which representation was best? (E13)",
            "\n\n".join([f"{_which(found)}\n{_listed(representation)}", _methods(found)]),
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


VERDICTS = ("helped", "made no clear difference", "did harm")


def same_method(found: Mapping[str, Any]) -> dict[str, dict[int, Difference]]:
    """Representation → labels → the MLP on it less the MLP on raw pixels, where both were measured."""
    rows = {(row["representation"], row["method"], row["labels"]): row for row in found["summaries"]}
    differences: dict[str, dict[int, Difference]] = {}
    for (name, method, labels), row in rows.items():
        raw = rows.get((RAW, BASELINE, labels))
        if name != RAW and method == BASELINE and raw is not None:
            differences.setdefault(name, {})[labels] = paired_difference(_summary(row), _summary(raw))
    return differences


def _summary(row: Mapping[str, Any]) -> Summary:
    """Read back what `summaries_json` wrote; without a spread one computation stands for all seeds."""
    return Summary(
        row["representation"],
        row["method"],
        row["labels"],
        row["choice"],
        row["accuracy"],
        row["spread"],
        row["standard_error"],
        row["n"],
        1 if row["spread"] is None else len(row["seeds"]),
        tuple(row["seeds"]),
        tuple(row["accuracies"]),
    )


def in_words(row: Summary) -> Summary:
    """With the representation's title, for readers; the raw pixels keep the name by which they are told apart."""
    return replace(row, representation=TITLES.get(row.representation, row.representation))


def points(mean: float, spread: float | None) -> str:
    """A difference of accuracies in percentage points.

    >>> points(0.051, 0.012), points(-0.02, None)
    ('+5.1 ± 1.2', '−2.0')
    """
    return f"{'+' if mean > 0 else ''}{number(100 * mean, 1)}" + ("" if spread is None else f" ± {100 * spread:.1f}")


def _by_same_method(found: Mapping[str, Any]) -> str:
    """Where the unlabelled images helped, with an MLP on the representations and on the raw pixels."""
    differences = same_method(found)
    if not differences:
        return (
            "The MLP was not tried on the representations, so what is due to the unlabelled images and what to the "
            "method cannot be told apart."
        )
    verdicts: dict[str, list[int]] = {}
    for labels in sorted({labels for by_labels in differences.values() for labels in by_labels}):
        rows = [by_labels[labels] for by_labels in differences.values() if labels in by_labels]
        helped = any(row.clear and row.mean > 0 for row in rows)
        harmed = all(row.clear and row.mean < 0 for row in rows)
        verdicts.setdefault(VERDICTS[0] if helped else VERDICTS[2] if harmed else VERDICTS[1], []).append(labels)
    lines = [
        f"- {TITLES[name]}: "
        + ", ".join(
            f"{points(row.mean, row.spread)}{' (clear)' if row.clear else ''} with {labels:,}"
            for labels, row in sorted(by_labels.items())
        )
        + " labels"
        for name, by_labels in differences.items()
    ]
    begin = (
        f"With the same method on both sides, an MLP, the unlabelled images {_grouped(verdicts)} labels. The accuracy "
        "of an MLP on the representation less that of one on the raw pixels, in percentage points:"
    )
    return "\n".join([begin, *lines])


def _by_best(found: Mapping[str, Any]) -> str:
    """The same by the best of all that was tried."""
    verdicts: dict[str, list[int]] = {}
    for row in found["best"]:
        gain = row["gain"]
        verdict = VERDICTS[1] if not gain["clear"] else VERDICTS[0] if gain["mean"] > 0 else VERDICTS[2]
        verdicts.setdefault(verdict, []).append(row["labels"])
    return (
        "Of all methods and representations the best was chosen with the test images in view, which favours it a "
        f"little. By it, against the same MLP on the raw pixels, they {_grouped(verdicts)} labels:"
    )


def _grouped(verdicts: Mapping[str, Sequence[int]]) -> str:
    """``helped with 100 and 500; made no clear difference with 5,000``."""
    return "; ".join(f"{verdict} with {listed([f'{count:,}' for count in at])}" for verdict, at in verdicts.items())


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
    return (
        f"Of each representation its best classifier is taken, chosen with the test images in view: {'; '.join(parts)}."
    )


def _best_rows(best: Sequence[Mapping[str, Any]], rows: Sequence[Sequence[str]]) -> list[int]:
    """The rows that are best at one number of labels or more."""
    names = {(TITLES[row["first"]["representation"]], METHODS[row["first"]["method"]].title) for row in best}
    return [place for place, row in enumerate(rows) if (row[0], row[1]) in names]


def _saved(found: Mapping[str, Any]) -> str:
    """How many labels the raw pixels need for the same accuracy."""
    better = [row for row in found["best"] if row["gain"]["clear"] and row["gain"]["mean"] > 0]
    if not better:
        return "With no number of labels is the best of them clearly better, so no label was clearly saved."
    first = better[0]
    text = (
        f"The accuracy of {share(first['first']['accuracy'])} that the best of them has with {first['labels']:,} labels"
    )
    if first["raw_needs"] is None:
        return f"{text} was not reached by the MLP on raw pixels at all."
    return (
        f"{text} is first reached by the MLP on raw pixels with {first['raw_needs']:,}, of the numbers that were tried."
    )


def _methods(found: Mapping[str, Any]) -> str:
    """The best classifier at each number of labels."""
    names: dict[str, list[str]] = {}
    for row in found["best"]:
        first = row["first"]
        name = f"{METHODS[first['method']].title} on that of the {TITLES[first['representation']]}"
        names.setdefault(name, []).append(f"{row['labels']:,} ({share(first['accuracy'])})")
    parts = [f"{name} with {listed(at)} labels" for name, at in names.items()]
    last = found["best"][-1]
    gain = last["gain"]
    order = "not clearly different from" if not gain["clear"] else "below" if gain["mean"] > 0 else "above"
    return (
        f"Best classifier on a representation: {'; '.join(parts)}. With {last['labels']:,} labels the MLP on raw "
        f"pixels has {share(last['raw']['accuracy'])}, {order} the best of them."
    )
