"""What the numbers say, in sentences that are built from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vaelab.applications.representations.methods import METHODS
from vaelab.applications.representations.summary import Difference, Summary, paired_difference

RAW = "raw"
"""The name of the pixels themselves as a representation."""
BASELINE = "mlp"
"""The method on the pixels that everything is compared with."""


def conclude(summaries: Sequence[Summary]) -> list[str]:
    """Did unlabelled images help, and which representation was best, for each choice and number of labels.

    Of each representation the method with the best mean is taken. It is chosen by the test accuracy, which favours it
    a little; the sentences say so, and compare the same method on both where it was measured.

    >>> scores = {"vae": (0.70, 0.72), "raw": (0.60, 0.62)}
    >>> rest = (0.01, 0.005, 10_000, 2, (0, 1))
    >>> rows = [Summary(name, "mlp", 50, "plain", sum(a) / 2, *rest, a) for name, a in scores.items()]
    >>> print(conclude(rows)[0])
    50 labels: unlabelled images helped: MLP on vae 71.0 %, MLP on raw pixels 61.0 %, +10.0 ± 0.0 points.
    """
    sentences = []
    choices = list(dict.fromkeys(summary.choice for summary in summaries))
    for choice in choices:
        where = f"{choice} choice, " if len(choices) > 1 else ""
        found = [summary for summary in summaries if summary.choice == choice]
        sentences += [where + sentence for sentence in _helped(found) + _best(found)]
    if any(len(row.seeds) > 1 for row in summaries) and sentences:
        sentences.append(
            "± is the standard deviation over the seeds, with the same labels on both sides; a difference is clear "
            "beyond its margin for so few seeds and so many test images. The best method of a representation is the "
            "best on the test images, which favours it a little."
        )
    return sentences


def _helped(summaries: Sequence[Summary]) -> list[str]:
    """The best learned representation against an MLP on pixels, at each number of labels, and all in one."""
    sentences: list[str] = []
    verdicts: dict[str, list[int]] = {"helped": [], "made no clear difference": [], "did worse than raw pixels": []}
    for labels, rows in _by_labels(summaries):
        baseline = _find(rows, RAW, BASELINE)
        learned = [row for row in rows if row.representation != RAW]
        if baseline is None or not learned:
            continue
        best = _top(learned)
        difference = paired_difference(best, baseline)
        verdict = _verdict(difference, list(verdicts))
        verdicts[verdict].append(labels)
        sentence = f"{labels:,} {_labels(labels)}: unlabelled images {verdict}: {_named(best)}, {_named(baseline)}, "
        sentences.append(sentence + f"{_points(difference)}{_same_method(learned, best, baseline)}.")
    if len(sentences) > 1:
        parts = [f"{verdict} at {_numbers(at)}" for verdict, at in verdicts.items() if at]
        sentences.append(f"In all: unlabelled images {'; '.join(parts)} labels.")
    return sentences


def _same_method(learned: Sequence[Summary], best: Summary, baseline: Summary) -> str:
    """The same method on the same representation, where that is not what was compared already."""
    same = _find(learned, best.representation, baseline.method)
    if same is None or same == best:
        return ""
    difference = paired_difference(same, baseline)
    clear = "" if difference.clear else ", no clear difference"
    return f" (the same method on both, {METHODS[baseline.method].title}: {_points(difference)}{clear})"


def _best(summaries: Sequence[Summary]) -> list[str]:
    """Which learned representation was best, where there are two or more."""
    sentences: list[str] = []
    wins: dict[str, list[int]] = {}
    for labels, rows in _by_labels(summaries):
        names = dict.fromkeys(row.representation for row in rows if row.representation != RAW)
        if len(names) < 2:
            return []
        tops = [_top([row for row in rows if row.representation == name]) for name in names]
        first, second = sorted(tops, key=lambda row: -row.mean)[:2]
        difference = paired_difference(first, second)
        clear = "" if difference.clear else ", no clear difference"
        wins.setdefault(first.representation if difference.clear else "", []).append(labels)
        sentences.append(
            f"{labels:,} {_labels(labels)}: best representation {first.representation}: {_named(first)}, "
            f"{_named(second)}, {_points(difference)}{clear}."
        )
    if len(sentences) > 1:
        parts = [
            f"{name} at {_numbers(at)}" if name else f"none clearly at {_numbers(at)}" for name, at in wins.items()
        ]
        sentences.append(f"In all: best representation {'; '.join(parts)} labels.")
    return sentences


def _by_labels(summaries: Iterable[Summary]) -> list[tuple[int, list[Summary]]]:
    groups: dict[int, list[Summary]] = {}
    for summary in summaries:
        groups.setdefault(summary.labels, []).append(summary)
    return sorted(groups.items())


def _top(rows: Sequence[Summary]) -> Summary:
    return max(rows, key=lambda row: row.mean)


def _find(rows: Iterable[Summary], representation: str, method: str) -> Summary | None:
    return next((row for row in rows if (row.representation, row.method) == (representation, method)), None)


def _verdict(difference: Difference, words: Sequence[str]) -> str:
    """Of (more, no difference, less)."""
    return words[1] if not difference.clear else words[0] if difference.mean > 0 else words[2]


def _named(row: Summary) -> str:
    place = "raw pixels" if row.representation == RAW else row.representation
    return f"{METHODS[row.method].title} on {place} {100 * row.mean:.1f} %"


def _points(difference: Difference) -> str:
    spread = "" if difference.spread is None else f" ± {100 * difference.spread:.1f}"
    return f"{100 * difference.mean:+.1f}{spread} points".replace("-", "−")


def _labels(count: int) -> str:
    return "label" if count == 1 else "labels"


def _numbers(counts: Sequence[int]) -> str:
    return ", ".join(f"{count:,}" for count in counts)
