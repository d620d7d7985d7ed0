"""What `vaelab classify` does: classify a run's images by Bayes' rule, calibrate, measure, draw, save."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from vaelab import plots
from vaelab.applications.calibration import (
    BINS,
    calibration_error,
    class_log_prior,
    confusion,
    correct,
    fit_temperature,
    given_log_prior,
    log_posterior,
    negative_log_likelihood,
    reliability,
)
from vaelab.applications.classification import BOUNDS, WAYS, conditional, label_bounds, label_posterior
from vaelab.data.images import ImageData
from vaelab.data.pixels import prepare_fixed
from vaelab.data.progress import Progress, increments, no_progress
from vaelab.errors import DataError, UsageError, VaelabError
from vaelab.evaluation.protocol import Protocol, counted
from vaelab.files import write_text_atomic
from vaelab.metrics import Metric, MetricsNotSavedError
from vaelab.run import Run, as_seen
from vaelab.specs import choice

PRIORS = ("estimated", "uniform")
"""Named class priors; any other is given as probabilities."""

ERRORS = 10
"""At most so many errors are drawn."""

SHARE, UNITLESS = "share of images", "no unit"
NOT_FITTED = "this run held no labelled validation images out, so no temperature was fitted: T = 1"


@dataclass(frozen=True)
class Classification:
    """The images of a split, classified.

    ``metrics``: what was measured. ``indices`` ``(n,)``: which images of the split (those with a label). ``labels`` and
    ``predicted`` ``(n,)``: their own, and Bayes' rule's. ``probabilities`` ``(n, classes)``: calibrated. ``counts``
    ``(classes, classes)``: the confusion matrix, rows are labels. ``note``: why no temperature could be fitted, or
    nothing. ``files``: what was written.
    """

    metrics: dict[str, Metric]
    indices: Tensor
    labels: Tensor
    predicted: Tensor
    probabilities: Tensor
    counts: NDArray[np.int64]
    class_names: tuple[str, ...]
    seed: int = 0
    note: str = ""
    files: list[Path] = field(default_factory=list)


class ClassificationNotSavedError(MetricsNotSavedError):
    """The numbers, predictions or figures could not be written; ``result`` holds what was found."""

    def __init__(self, error: VaelabError, result: Classification) -> None:
        super().__init__(error, result.metrics)
        self.result = result


def classify_run(
    run: Run,
    *,
    bound: str = "importance",
    samples: int = 10,
    prior: str = "estimated",
    split: str = "test",
    by: str = "bound",
    seed: int = 0,
    figures: bool = True,
    progress: Progress | None = None,
) -> Classification:
    """Classify the images of ``split`` and add accuracy, negative log-likelihood and calibration to ``metrics.json``.

    ``by`` = bound: p(y|x) ∝ p(y) exp(bound(x|y) / T) with ``bound`` and ``samples`` as in `label_bounds`; ``prior`` is
    estimated (from the training labels), uniform, or probabilities separated by commas. ``by`` = posterior:
    q(y|x)^(1/T), normalised, of a semi-supervised model; it has its own prior. Accuracy, confusion matrix and
    predictions are those at T = 1; T is fitted on the validation split, to the probabilities alone. Writes
    ``predictions/<split>.csv`` and, with ``figures``, figures into the run folder: ``<split>-…`` for another split,
    in ``metrics.json`` ``<split>_…``. Raises `UsageError` for a model without classes or unknown words, `DataError`
    where the split has no labels, `ClassificationNotSavedError` where something cannot be written.
    """
    run.folder.metrics()  # what is damaged is found before the work, not after it
    rule = _Rule(run, bound, samples, prior, by, seed)
    indices, data = _labelled(run.split(split), split)
    held_out = data if split == "validation" else _held_out(run)
    images = len(data) + (0 if held_out is None or held_out is data else len(held_out))
    with (progress or no_progress)("classifying", images) as advance:
        scores = rule.scores(data, advance)
        known = scores if held_out is None or held_out is data else rule.scores(held_out, advance)
    temperature = _temperature(rule, known, held_out)
    labels = _labels(data)
    plain = log_posterior(scores, rule.log_prior)
    calibrated = log_posterior(scores, rule.log_prior, temperature.value)
    result = Classification(
        metrics=_metrics(rule, split, plain, calibrated, labels, temperature),
        indices=indices,
        labels=labels,
        predicted=plain.argmax(-1),
        probabilities=calibrated.exp(),
        counts=confusion(plain, labels),
        class_names=tuple(run.class_names),
        seed=seed,
        note="" if temperature.n else NOT_FITTED,
    )
    try:
        run.folder.write_metrics(result.metrics)
        _save(run, split, result, _figures(run, split, result, (plain, calibrated), data) if figures else {})
    except VaelabError as error:
        raise ClassificationNotSavedError(error, result) from error
    return result


class _Rule:
    """How scores and a class prior are had, and what protocols call it."""

    def __init__(self, run: Run, bound: str, samples: int, prior: str, by: str, seed: int) -> None:
        choice("way to classify", by, WAYS)
        self.model, self.variant, self.seed = conditional(run.model), run.config.data.variant, seed
        # Beside few labels in training, those of the validation images are no small thing: numbers say that they count.
        self.validation = "validation" + (" with all its labels" if run.config.data.labels else "")
        self._score: Callable[..., Tensor] = partial(label_posterior, seed=seed)
        self.words = "by q(y|x)"
        self.log_prior = torch.zeros(self.model.classes, dtype=torch.float64)
        if by == "bound":
            choice("bound", bound, BOUNDS)
            self._score = partial(label_bounds, seed=seed, bound=bound, samples=samples)
            self.log_prior, shares = _class_prior(run, prior, self.model.classes)
            self.words = f"Bayes' rule with the {_bound_words(bound, samples)}, {shares}"
        elif prior != "estimated":
            raise UsageError("q(y|x) has a class prior of its own; leave --prior out or classify by the bound")

    def scores(self, data: ImageData, advance: Callable[[int], None]) -> Tensor:
        """The bounds, or log q(y|x): ``(n, classes)``."""
        return self._score(self.model, data, self.variant, progress=increments(advance))

    def protocol(self, split: str, *parts: str) -> str:
        """Split, pixels, rule, ``parts``, seed."""
        pixels = Protocol(self.model, self.variant, split, self.seed).pixels
        return ", ".join([f"{split} split", pixels, self.words, *parts, f"seed {self.seed}"])


def _bound_words(bound: str, samples: int) -> str:
    drawn = counted(samples, "sample of z per image and label")
    if bound == "mean":
        return "ELBO at the posterior mean (no bound)"
    return f"importance-weighted bound, K = {drawn}" if bound == "importance" else f"ELBO, {drawn}"


def _class_prior(run: Run, prior: str, classes: int) -> tuple[Tensor, str]:
    """log p(y), and what it is called."""
    if prior == "uniform":
        return class_log_prior(None, classes), "uniform class prior"
    if prior == "estimated":
        return class_log_prior(
            as_seen(run.data.train, run.config).labels, classes
        ), "class prior of the training labels"
    try:
        probabilities = [float(word) for word in prior.split(",")]
    except ValueError:
        raise UsageError(
            f"expected the class prior to be estimated, uniform, or {classes} probabilities separated by commas, "
            f"got {prior!r}"
        ) from None
    return given_log_prior(probabilities, classes), f"class prior {prior}"


def _labelled(data: ImageData, split: str) -> tuple[Tensor, ImageData]:
    """The images whose label is known, and their places."""
    if data.labels is None or not bool((data.labels >= 0).any()):
        raise DataError(f"the {split} images of {data.name} have no labels to compare with; give labelled data")
    indices = torch.nonzero(data.labels.cpu() >= 0)[:, 0]
    return indices, data.take(indices)


def _held_out(run: Run) -> ImageData | None:
    """The validation images with a label, where the run has any."""
    if run.data.validation is None:
        return None
    try:
        return _labelled(run.split("validation"), "validation")[1]
    except DataError:
        return None


def _labels(data: ImageData) -> Tensor:
    assert data.labels is not None
    return data.labels.cpu()


def _temperature(rule: _Rule, scores: Tensor, held_out: ImageData | None) -> Metric:
    """T fitted on the held-out images, of whose number it is; 1 of none where there are none."""
    if held_out is None:
        return Metric(1.0, None, UNITLESS, 0, rule.protocol("validation", "not fitted: no labelled validation images"))
    value = fit_temperature(scores, rule.log_prior, _labels(held_out))
    words = f"of least negative log-likelihood, on {rule.validation}"
    return Metric(value, None, UNITLESS, len(held_out), rule.protocol("validation", words))


def _metrics(
    rule: _Rule, split: str, plain: Tensor, calibrated: Tensor, labels: Tensor, temperature: Metric
) -> dict[str, Metric]:
    """Name → metric; other splits than test stand before the name."""
    right = correct(plain, labels)
    metrics = {"accuracy": Metric.mean(right, SHARE, rule.protocol(split, "T = 1"))}
    scaled = f"T = {temperature.value:.4g} {f'fitted on {rule.validation}' if temperature.n else 'not fitted'}"
    for suffix, log_probabilities, words in (("_uncalibrated", plain, "T = 1"), ("", calibrated, scaled)):
        nats = negative_log_likelihood(log_probabilities, labels)
        metrics[f"classification_nll{suffix}"] = Metric.mean(nats, "nats per image", rule.protocol(split, words))
        error, spread = calibration_error(log_probabilities, labels, seed=rule.seed)
        text = rule.protocol(split, words, f"{BINS} bins of equal width", "standard error by bootstrap")
        metrics[f"expected_calibration_error{suffix}"] = Metric(error, spread, "share", len(labels), text)
    metrics["temperature"] = temperature
    for label in sorted(set(labels.tolist())):
        words = rule.protocol(split, "T = 1", f"images of class {label}")
        metrics[f"accuracy_of_class_{label}"] = Metric.mean(right[labels == label], SHARE, words)
    prefix = "" if split == "test" else f"{split}_"
    return {prefix + name: metric for name, metric in metrics.items()}


def _save(run: Run, split: str, result: Classification, figures: Mapping[str, Figure]) -> None:
    """Predictions and figures; the files' paths are added to the result."""
    prefix = "" if split == "test" else f"{split}-"
    path = run.folder.path / "predictions" / f"{split}.csv"
    write_text_atomic(path, _predictions(result))
    result.files.append(path)
    for name, figure in figures.items():
        path = run.folder.figures / f"{prefix}{name}.png"
        plots.save(figure, path)
        result.files.append(path)


def _predictions(result: Classification) -> str:
    """CSV: the image's place in the split, label, prediction, probabilities. Labels are numbers, as in the data."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    classes = range(result.probabilities.shape[1])
    writer.writerow(["image", "label", "predicted", *(f"probability_{label}" for label in classes)])
    columns = (result.indices, result.labels, result.predicted, result.probabilities)
    for image, label, predicted, probabilities in zip(*(column.tolist() for column in columns), strict=True):
        writer.writerow([image, label, predicted, *(f"{probability:.6g}" for probability in probabilities)])
    return text.getvalue()


def _figures(
    run: Run, split: str, result: Classification, log_probabilities: tuple[Tensor, Tensor], data: ImageData
) -> dict[str, Figure]:
    """Name → figure; no errors, no figure of them. ``log_probabilities``: before and after the temperature."""
    title = f"{run.title()}, {split} images: "
    before, after = (reliability(values, result.labels) for values in log_probabilities)
    figures = {
        "confusion-matrix": plots.confusion_matrix(result.counts, result.class_names, title + "confusion matrix"),
        "reliability": plots.reliability_diagram(
            after.confidence,
            after.accuracy,
            after.count,
            before=None if result.note else (before.confidence, before.accuracy, before.count),
            title=title + "reliability",
        ),
    }
    wrong = torch.nonzero(result.predicted != result.labels)[:, 0]
    if len(wrong):
        figures["classification-errors"] = _errors(run, result, data, wrong, title + "its surest errors")
    return figures


def _errors(run: Run, result: Classification, data: ImageData, errors: Tensor, title: str) -> Figure:
    """Of the images ``errors`` (places among the classified ones), those whose wrong label got the most probability."""
    surest = result.probabilities[errors, result.predicted[errors]].argsort(descending=True, stable=True)[:ERRORS]
    chosen = errors[surest]
    labels, predicted = result.labels[chosen], result.predicted[chosen]
    x = prepare_fixed(data.take(chosen).images, run.config.data.variant, result.seed).to(run.device)
    model = conditional(run.model)
    right, wrong = (model.reconstruct(x, c.to(x.device)).cpu().clamp(0, 1).numpy() for c in (labels, predicted))
    names = result.class_names
    return plots.confident_errors(
        x.cpu().numpy(),
        right,
        wrong,
        [(names[label], names[other]) for label, other in zip(labels.tolist(), predicted.tolist(), strict=True)],
        torch.stack([result.probabilities[chosen, labels], result.probabilities[chosen, predicted]], 1).numpy(),
        title,
    )
