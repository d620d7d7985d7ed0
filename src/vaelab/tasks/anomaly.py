"""What `vaelab anomaly` does: score a run's test images and another data set's, compare, measure, draw, save."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vaelab import plots
from vaelab.applications.anomaly import (
    ALL,
    Detection,
    Effort,
    Estimate,
    Reference,
    Score,
    anomaly_scores,
    chosen_scores,
    detect,
    roc_curve,
    threshold,
)
from vaelab.data.images import ImageData
from vaelab.data.pixels import prepare_fixed
from vaelab.data.progress import Progress
from vaelab.data.sources import names as data_names
from vaelab.data.splits import some_places
from vaelab.errors import DataError, UsageError, VaelabError
from vaelab.evaluation.protocol import Protocol
from vaelab.files import write_text_atomic
from vaelab.metrics import Metric, MetricsNotSavedError
from vaelab.randomness import generator
from vaelab.run import Run
from vaelab.vae import VAE

RESAMPLES = 1000
"""Bootstrap resamples of an interval."""

SHOWN = 10
"""So many images of each set are drawn."""

POINTS = np.linspace(0, 1, 1001)
"""False-alarm rates at which ROC curves are drawn."""

IN_SAMPLE = "this run held no validation images out, so the thresholds are those of the normal test images themselves"
SAME = "the images called anomalous are the normal ones themselves; no score can tell them apart"
TOO_FEW = "too few normal images to promise this false-alarm rate: no threshold, nothing is called anomalous"


@dataclass(frozen=True)
class Anomalies:
    """Two sets of images, scored.

    ``metrics``: what was measured, without the prefix under which ``metrics.json`` keeps it. ``normal`` and
    ``anomalous``: score → float64 ``(n,)`` and ``(m,)``; ``detections``: score → how it does. ``names``: the two data
    sets'. ``notes``: what a reader should know of the thresholds. ``files``: what was written.
    """

    metrics: dict[str, Metric]
    normal: dict[str, Tensor]
    anomalous: dict[str, Tensor]
    detections: dict[str, Detection]
    names: tuple[str, str]
    notes: tuple[str, ...] = ()
    files: list[Path] = field(default_factory=list)


class AnomaliesNotSavedError(MetricsNotSavedError):
    """The numbers, scores or figures could not be written; ``result`` holds what was found."""

    def __init__(self, error: VaelabError, result: Anomalies) -> None:
        super().__init__(error, result.metrics)
        self.result = result


@dataclass(frozen=True)
class Chosen:
    """Images of a split, and their places in it ``(n,)``."""

    places: Tensor
    data: ImageData

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True)
class _Sets:
    """The images of one comparison; ``held_out`` set the thresholds, where the run has some."""

    normal: Chosen
    anomalous: Chosen
    training: Chosen
    held_out: Chosen | None


def detect_anomalies(
    run: Run,
    against: str,
    *,
    scores: Sequence[str] = (ALL,),
    false_alarms: float = 0.05,
    samples: int = 10,
    steps: int = 25,
    seed: int = 0,
    limit: int = 0,
    figures: bool = True,
    progress: Progress | None = None,
) -> Anomalies:
    """Score the run's test images, which are normal, and the test images of ``against``, which are anomalous.

    ``against`` is a data set's name, a .npz file or a folder: its own test part, or where it has none all images; they
    are brought to the model's size. ``scores``, ``samples``, ``steps`` and ``seed`` as in `anomaly_scores`. Thresholds
    are those of the rate ``false_alarms`` on the run's validation images, or on the normal test images where it held
    none out. ``limit`` (≥ 1; 0: none): at most so many images of each set, the training images among them, chosen by
    ``seed``.

    Adds the metrics to ``metrics.json`` under ``anomaly_<data>_<name>``; writes ``anomaly/<data>.csv`` and, with
    ``figures``, figures into the run folder. Nothing is fitted to the anomalous images. Raises `UsageError` for a
    conditional model, unknown scores or numbers out of range, `DataError` where the other data cannot be had or has
    other channels, `AnomaliesNotSavedError` where something cannot be written.
    """
    run.folder.metrics()  # what is damaged is found before the work, not after it
    made = chosen_scores(run.model, scores)
    threshold([0.0], false_alarms)  # a wrong rate, too
    sets = _sets(run, against, limit, seed)
    result = _compare(run, made, sets, Effort(samples, steps, seed, progress=progress), false_alarms)
    key = _key(against)
    try:
        run.folder.write_metrics({f"anomaly_{key}_{name}": metric for name, metric in result.metrics.items()})
        _save(run, key, result, sets, seed if figures else None)
    except VaelabError as error:
        raise AnomaliesNotSavedError(error, result) from error
    return result


def _sets(run: Run, against: str, limit: int, seed: int) -> _Sets:
    few = partial(_limited, limit=limit, seed=seed)
    normal, anomalous = few(run.split("test")), few(_other(run, against))
    held_out = None if run.data.validation is None else few(run.split("validation"))
    return _Sets(normal, anomalous, few(run.split("train")), held_out)


def _compare(run: Run, made: Mapping[str, Score], sets: _Sets, effort: Effort, false_alarms: float) -> Anomalies:
    """Score all images and see how well each score does; no file is written."""
    reference = _reference(run, made, sets.training.data, effort)
    normal, anomalous = (_scores(run, made, chosen.data, reference, effort) for chosen in (sets.normal, sets.anomalous))
    known = normal if sets.held_out is None else _scores(run, made, sets.held_out.data, reference, effort)
    cuts = {name: threshold(values.numpy(), false_alarms) for name, values in known.items()}
    detections = {
        name: detect(values.numpy(), anomalous[name].numpy(), cuts[name], resamples=RESAMPLES, seed=effort.seed)
        for name, values in normal.items()
    }
    words = _Words(run, sets, reference, effort, false_alarms)
    metrics = {key: metric for name in made for key, metric in words.metrics(name, made[name], detections[name])}
    notes = [] if sets.held_out else [IN_SAMPLE]
    if not all(math.isfinite(cut) for cut in cuts.values()):
        notes.append(TOO_FEW)
    if _same_images(sets.normal.data, sets.anomalous.data):
        notes.append(SAME)
    names = sets.normal.data.name, sets.anomalous.data.name
    return Anomalies(metrics, normal, anomalous, detections, names, tuple(notes))


def _same_images(one: ImageData, other: ImageData) -> bool:
    """Looked at piece by piece: neither need fit into memory."""
    return len(one) == len(other) and all(map(torch.equal, one.chunks(), other.chunks()))


def _reference(run: Run, made: Mapping[str, Score], training: ImageData, effort: Effort) -> Reference:
    if not any(score.needs_reference for score in made.values()):
        return Reference({}, 0)
    return Reference.fit(
        run.model,
        training,
        run.config.data.variant,
        scores=list(made),
        seed=effort.seed,
        progress=effort.progress,
    )


def _scores(
    run: Run, made: Mapping[str, Score], data: ImageData, reference: Reference, effort: Effort
) -> dict[str, Tensor]:
    return anomaly_scores(
        run.model,
        data,
        run.config.data.variant,
        scores=list(made),
        reference=reference,
        samples=effort.samples,
        steps=effort.steps,
        seed=effort.seed,
        progress=effort.progress,
    )


def verdicts(result: Anomalies) -> list[str]:
    """A sentence for each score that is no better than chance, or worse, and one for the best.

    The best is that of the largest AUROC here: on other anomalies it may be another.
    """
    normal, anomalous = result.names
    sentences = []
    for name, found in result.detections.items():
        area = found.auroc
        pairs = f"{anomalous} images score higher than {normal} images in {_percent(area.value)} of the pairs"
        if area.high < 0.5:
            sentences.append(f"{name} fails, worse than chance: {pairs}, where chance gives 50 %.")
        elif area.low <= 0.5:
            sentences.append(f"{name} fails, no better than chance: {pairs}.")
    best = max(result.detections, key=lambda name: result.detections[name].auroc.value)
    area = result.detections[best].auroc
    if area.low > 0.5:
        alarms, detected = result.detections[best].false_alarm_rate, result.detections[best].detection_rate
        sentences.append(
            f"{best} tells them apart best of these: AUROC {area.value:.4f}; with {_percent(alarms.value)} false "
            f"alarms it finds {_percent(detected.value)} of the {anomalous} images."
        )
    return sentences


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _limited(data: ImageData, limit: int, seed: int) -> Chosen:
    """At most ``limit`` images, in the order of the data."""
    if limit < 0:
        raise UsageError(f"expected a limit ≥ 1, or 0 for none, got {limit}")
    if not limit or len(data) <= limit:
        return Chosen(torch.arange(len(data)), data)
    places = some_places(len(data), limit, seed)
    return Chosen(places, data.take(places))


def _other(run: Run, against: str) -> ImageData:
    """The images called anomalous, of the model's shape; whether they have labels does not matter."""
    channels, height, width = run.model.image_shape
    size = height if height == width else None
    # Of the run's own data only what it was not trained on.
    own = against == run.config.data.name
    found = run.data.test if own else run.access.load_unseen(against, size)
    if found.image_shape != run.model.image_shape:
        wanted, got = ("×".join(map(str, shape)) for shape in (run.model.image_shape, found.image_shape))
        remedy = "resize" if found.image_shape[0] == channels else "convert"
        raise DataError(
            f"expected images of {wanted} (channels × height × width), as the model's, got {got} in {against}; "
            f"{remedy} them or train a model on such images"
        )
    return found


def _key(against: str) -> str:
    """What stands in the names of metrics and files; two paths with one last word get different ones."""
    if against in data_names():
        return against
    word = re.sub(r"[^a-z0-9]+", "-", Path(against).stem.lower()).strip("-")
    digest = hashlib.blake2b(str(Path(against).expanduser().resolve()).encode(), digest_size=3).hexdigest()
    return f"{word}-{digest}" if word else digest


@dataclass(frozen=True)
class _Words:
    """Makes metrics: numbers and how they were measured."""

    run: Run
    sets: _Sets
    reference: Reference
    effort: Effort
    false_alarms: float

    def metrics(self, name: str, score: Score, found: Detection) -> Iterator[tuple[str, Metric]]:
        """Name → metric of one score."""
        pixels = Protocol(self.run.model, self.run.config.data.variant, "test", self.effort.seed).pixels
        how = score.words(self.effort) if isinstance(self.run.model, VAE) else "at the code, no draw of z"
        if score.needs_reference:
            how += f", compared with {self.reference.n} training images"
        normal, anomalous = self.sets.normal, self.sets.anomalous
        n, m = len(normal), len(anomalous)
        sets = f"test split of {normal.data.name} (normal) against {m} images of {anomalous.data.name} (anomalous)"

        def text(*parts: str) -> str:
            return ", ".join([sets, pixels, f"score {name}: {how}", *parts, f"seed {self.effort.seed}"])

        def of(estimate: Estimate, unit: str, count: int, *parts: str) -> Metric:
            return Metric(estimate.value, estimate.standard_error, unit, count, text(*parts, _interval(estimate)))

        resampled = f"{RESAMPLES} bootstrap resamples of both sets"
        chance = f"by chance {m / (n + m):.4g}"
        yield f"auroc_{name}", of(found.auroc, "share of pairs", n + m, "standard error by DeLong", resampled)
        yield f"average_precision_{name}", of(found.average_precision, "share", n + m, chance, resampled)
        yield f"fpr_at_95_{name}", of(found.fpr_at_95, "share of normal images", n + m, "95 % detected", resampled)
        known, whose = (self.sets.held_out, "validation") if self.sets.held_out else (normal, "normal test")
        cut = f"threshold for a false-alarm rate of {self.false_alarms:g} on {len(known)} {whose} images"
        yield f"threshold_{name}", Metric(found.threshold, None, score.unit, len(known), text(cut))
        yield f"detection_rate_{name}", of(found.detection_rate, "share of anomalous images", m, cut)
        yield f"false_alarm_rate_{name}", of(found.false_alarm_rate, "share of normal images", n, cut)


def _interval(estimate: Estimate) -> str:
    return f"95 % interval {estimate.low:.4f} to {estimate.high:.4f}"


def _save(run: Run, key: str, result: Anomalies, sets: _Sets, seed: int | None) -> None:
    """Scores and, with a ``seed``, figures; the files' paths are added to the result."""
    path = run.folder.path / "anomaly" / f"{key}.csv"
    both = (sets.normal, sets.anomalous)
    write_text_atomic(path, _table(result, both))
    result.files.append(path)
    for name, figure in () if seed is None else _figures(run, result, both, seed):
        path = run.folder.figures / f"anomaly-{key}-{name}.png"
        plots.save(figure, path)
        result.files.append(path)


def _table(result: Anomalies, sets: tuple[Chosen, Chosen]) -> str:
    """CSV: which set, its name, the image's place in the split, its label where it has one, each score."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["set", "data", "image", "label", *result.detections])
    for kind, chosen, scores in zip(("normal", "anomalous"), sets, (result.normal, result.anomalous), strict=True):
        labels = [""] * len(chosen)
        if chosen.data.labels is not None:
            labels = [str(label) if label >= 0 else "" for label in chosen.data.labels.tolist()]
        columns = [[f"{value:.8g}" for value in scores[name].tolist()] for name in result.detections]
        for place, label, *values in zip(chosen.places.tolist(), labels, *columns, strict=True):
            writer.writerow([kind, chosen.data.name, place, label, *values])
    return text.getvalue()


def _figures(run: Run, result: Anomalies, sets: tuple[Chosen, Chosen], seed: int) -> Iterator[tuple[str, Figure]]:
    names, found = list(result.detections), result.detections
    title = f"{run.title()} against {result.names[1]}: "
    heads = [f"{name} · AUROC {found[name].auroc.value:.4f}" for name in names]
    normal, anomalous = (
        np.stack([values[name].numpy() for name in names]) for values in (result.normal, result.anomalous)
    )
    cuts = [found[name].threshold for name in names]
    yield "histograms", plots.score_histograms(normal, anomalous, heads, cuts, result.names, title + "scores")
    curves = [np.interp(POINTS, *roc_curve(*both)) for both in zip(normal, anomalous, strict=True)]
    yield "roc", plots.roc_curves(np.stack(curves), POINTS, heads, title + "ROC")
    count = min(SHOWN, *(len(chosen) for chosen in sets))
    shown = [torch.randperm(len(chosen), generator=generator(seed, "cpu", "shown"))[:count] for chosen in sets]
    both_sets = list(zip(sets, shown, strict=True))
    x = [prepare_fixed(chosen.data.take(at).images, run.config.data.variant, seed) for chosen, at in both_sets]
    scores = np.stack([values[:, at.numpy()] for values, at in zip((normal, anomalous), shown, strict=True)])
    yield "images", plots.scored_images(torch.stack(x), scores, names, result.names, title + "scores of images")
    rebuilt, maps = zip(*(_costs(run, images) for images in x), strict=True)
    sheets = torch.stack(x), torch.stack(rebuilt), torch.stack(maps)
    yield "pixels", plots.pixel_maps(*sheets, result.names, title + "what each pixel costs")


@torch.no_grad()
def _costs(run: Run, x: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstructions, and −log p(x_i|z) summed over channels ``(n, height, width)``, at the posterior mean or code."""
    x = x.to(run.device)
    px = run.model.decode(run.model.embed(x))
    return px.mean.clamp(0, 1).cpu(), px.nats_per_pixel(x).sum(1).cpu()
