"""B6 of the report: which images do not belong to the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Table, Text
from vaelab.studies.loss_terms.names import MODELS
from vaelab.studies.loss_terms.words import difference, written
from vaelab.studies.results import Results, percent
from vaelab.studies.words import counted


def detection(results: Results) -> Sequence[Block]:
    """B6."""
    values = results.values("anomalies")
    normal, other = values["names"]
    n, m = values["n"]
    return [
        Text(
            f"{_scorer(results)} It has seen images of {normal} only. It now scores {n:,} test images of {normal} and "
            f"{m:,} images of {other}; the score is the reconstruction loss −E_q[log p(x|z)] in nats. It has no label "
            "as its condition, because nobody knows the label of an anomaly; what the sheet's conditional model does "
            "when every label is tried is in the table below."
        ),
        _pair(results, "normal", f"images of {normal}, chosen at random"),
        _pair(results, "anomalous", f"images of {other}, chosen at random"),
        Answer(f"Does the reconstruction loss tell {other} from {normal}?", detected(results)),
        results.picture(
            "anomalies",
            "histogram",
            "The reconstruction losses of all images of both sets. The dashed line is the threshold of 5 % false "
            "alarms, set on validation images.",
            "Two histograms of losses on one axis.",
        ),
        results.picture(
            "anomalies",
            "roc",
            "ROC curves: the share of anomalies found against the share of normal images called anomalous, for every "
            "threshold. The dashed diagonal is chance.",
            "ROC curves of several detectors.",
        ),
        _detectors(results),
        Answer("What else could be used as a score?", compared(results)),
        *_classes(results),
        _pair(results, "hard-anomalous", f"images of {other} that look least anomalous: the smallest losses"),
        _pair(results, "hard-normal", f"images of {normal} that look most anomalous: the largest losses"),
        Answer("What does it get wrong?", wrong(results)),
    ]


def _scorer(results: Results) -> str:
    """The model that scores, as it was trained."""
    config, kept = results.config("longest"), results.values("anomalies").get("kept_epoch")
    epochs, others = config.training.epochs, max(results.config(name).training.epochs for name in MODELS)
    longer = f", the longest training of all here (the others: {others})" if epochs > others else ""
    best = f" Its weights are those of epoch {kept}, the best on held-out images." if kept not in (None, epochs) else ""
    return (
        f"The model is a VAE with both terms and {counted(config.model.latent, 'latent dimension')}, trained for "
        f"{counted(epochs, 'epoch')}{longer}.{best}"
    )


def _pair(results: Results, name: str, what: str) -> Block:
    return results.picture(
        "anomalies",
        name,
        f"{what[0].upper()}{what[1:]}, above their reconstructions, with the reconstruction loss in nats below.",
        f"Ten {what}, and their reconstructions.",
    )


def detected(results: Results) -> str:
    """The answer in numbers."""
    values = results.values("anomalies")
    normal, other = values["names"]
    low, high = (results.metric("anomalies", f"reconstruction.{name}") for name in ("normal", "anomalous"))
    area = results.metric("anomalies", "reconstruction.auroc")
    alarms, found = (
        results.metric("anomalies", f"{name}_reconstruction") for name in ("false_alarm_rate", "detection_rate")
    )
    text = (
        f"The loss is {written(low, 1)} for {normal} and {written(high, 1, unit=False)} for {other}. An image of "
        f"{other} has a larger loss than an image of {normal} in {percent(area)} of all pairs (AUROC "
        f"{written(area, 4, unit=False)}; chance is 50 %). "
    )
    if area.value > 0.95:
        text = f"Yes. {text}"
    elif area.value > 0.55:
        text = f"Only in part. {text}"
    else:
        text = f"No. {text}"
    text += (
        f"With a threshold set on held-out images of {normal} for 5 % false alarms, {percent(found)} of the images "
        f"of {other} are found, and {percent(alarms)} of the test images of {normal} are false alarms. "
    )
    return text + " ".join(f"Note: {note}." for note in values["notes"])


def _detectors(results: Results) -> Table:
    values = results.values("anomalies")
    rows = []
    for name, title in values["detectors"].items():
        area, rate = (results.metric("anomalies", f"{name}.{key}") for key in ("auroc", "fpr"))
        rows.append([title, written(area, 4, unit=False), percent(rate)])
    return Table(
        ["detector", "AUROC", "false alarms where 95 % of the anomalies are found"],
        rows,
        "Areas under the ROC curves (AUROC) with DeLong's standard errors, false alarms with those of the bootstrap; "
        "nothing was fitted to the anomalous images. Unusual brightness: how far an image's mean pixel lies from the "
        "training images' mean pixel.",
        bold=[0],
    )


def compared(results: Results) -> str:
    """The detectors against one another."""
    values = results.values("anomalies")
    area = {name: results.metric("anomalies", f"{name}.auroc") for name in values["detectors"]}

    def against(name: str) -> str:
        gain = difference(area[name], area["reconstruction"])
        words = "about as good" if not gain.clear else "better" if gain.value > 0 else "worse"
        return f"{area[name].value:.4f}, {words}"

    def mean(name: str, kind: str) -> float:
        return results.metric("anomalies", f"{name}.{kind}").value

    normal, other = values["names"]
    gains = [mean("reconstruction", kind) - mean("wide", kind) for kind in ("normal", "anomalous")]
    epochs = results.config("wide").training.epochs
    return (
        f"Against its AUROC of {area['reconstruction'].value:.4f}: the KL alone has {against('kl')}; it is "
        f"{mean('kl', 'normal'):.1f} nats on average for {normal} and {mean('kl', 'anomalous'):.1f} for {other}. The "
        f"−ELBO, reconstruction loss plus KL, has {against('negative_elbo')}. A VAE with {values['wide']} latent "
        f"dimensions ({counted(epochs, 'epoch')}) has {against('wide')}; its loss is {_lower(gains[0])} for {normal} "
        f"and {_lower(gains[1])} for {other}. The conditional model with the sheet's weight, every label tried and the "
        f"best one taken, has {against('labelled')}. {_without_model(area['brightness'].value)}"
    )


def _without_model(area: float) -> str:
    """What the one rule that needs no model says."""
    text = f"For comparison, no model at all, only how unusual an image's mean brightness is: {area:.4f}. "
    if area > 0.9:
        return f"{text}So these anomalies are easy: their brightness tells most of them."
    if area > 0.6:
        return f"{text}So brightness tells a part of them; no other rule without a model was tried."
    return f"{text}So brightness alone would hardly do; no other rule without a model was tried."


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _lower(nats: float) -> str:
    return f"{abs(nats):.1f} nats {'lower' if nats >= 0 else 'higher'}"


def _classes(results: Results) -> list[Block]:
    rows = results.values("anomalies")["classes"]
    if not rows:
        return []
    other = results.values("anomalies")["names"][1]
    ordered = sorted(rows, key=lambda row: row[2])[:20]
    table = [
        [str(name), f"{count:,}", f"{median:.1f}", f"{100 * share:.1f} %"] for name, count, share, median in ordered
    ]
    caption = f"The classes of {other}, those found least often first (at most 20)."
    return [Table(["class", "images", "median loss, nats", "found at 5 % false alarms"], table, caption)]


def wrong(results: Results) -> str:
    """Which anomalies are missed and which images raise false alarms."""
    values = results.values("anomalies")
    normal, other = values["names"]
    scores = results.arrays("anomalies", "scores")
    known, unknown = scores["reconstruction.normal"], scores["reconstruction.anomalous"]
    cut = results.metric("anomalies", "threshold_reconstruction").value
    text = (
        "The reconstruction loss asks how well a decoder that knows one kind of image can imitate another. "
        f"{_by_class(values['classes'], other)}"
        f"The smallest loss of {other} is {unknown.min():.1f} nats, the largest of {normal} {known.max():.1f}. "
    )
    if unknown.min() < cut:
        missed = int((unknown <= cut).sum())
        text += (
            f"{counted(missed, 'image')} of {other} {'lies' if missed == 1 else 'lie'} below the threshold of "
            f"{cut:.1f} nats. The figures show the cheapest of them and the dearest images of {normal}. "
        )
    else:
        text += f"Not one of them lies below the threshold of {cut:.1f} nats, so the only errors are the false alarms. "
    return text + _brightness([values[f"correlation.{kind}"] for kind in ("normal", "anomalous")], (normal, other))


def _by_class(classes: Sequence[Sequence[Any]], other: str) -> str:
    """The classes of the other set that are found least and most often."""
    rows = sorted(classes, key=lambda row: row[2])
    if len(rows) < 2:
        return ""
    least, most = rows[0], rows[-1]
    if least[2] == most[2]:
        return f"All classes of {other} are found equally often ({100 * least[2]:.1f} %). "
    best = [row for row in rows if row[2] == most[2]]
    others = best[0][0] if len(best) == 1 else f"{len(best)} of the {len(rows)} classes"
    return (
        f"Of the classes of {other}, {least[0]} is found least often ({100 * least[2]:.1f} %, median loss "
        f"{least[3]:.0f} nats), {others} most often ({100 * most[2]:.1f} %). "
    )


def _brightness(correlations: Sequence[float], names: Sequence[str]) -> str:
    """How much of a loss is the image's brightness."""
    first, second = (_signed(value) for value in correlations)
    text = (
        "The loss is a sum over pixels. Its correlation with an image's mean brightness is "
        f"{first} for {names[0]} and {second} for {names[1]}"
    )
    if min(correlations) > 0.4:
        return f"{text}: in both sets an image with many bright pixels is dear, one with few is cheap."
    if max(correlations) > 0.4:
        return f"{text}: in one of the sets an image with many bright pixels is dear for that alone."
    return f"{text}: so it is not brightness that decides."
