"""Checks before the first step: data that does not fit the model is refused in one sentence."""

from __future__ import annotations

from vaelab.building import Model
from vaelab.config import TrainingConfig
from vaelab.data.images import ImageData
from vaelab.errors import DataError, UsageError
from vaelab.likelihoods import LIKELIHOODS


def check_fit(model: Model, data: ImageData, variant: str, what: str = "images") -> None:
    """Refuse ``data`` of another shape or set of labels than ``model`` is made for (`DataError`), or variant."""
    if tuple(data.image_shape) != tuple(model.image_shape):
        raise DataError(
            f"expected {what} of {_size(model.image_shape)} (channels × height × width), got {_size(data.image_shape)} "
            f"from {data.name}; give --image-size or train a model on this data"
        )
    check_variant(model, variant)
    if not model.classes:
        return
    if data.labels is None:
        if not model.needs_labels:
            return
        raise DataError(
            f"this model is conditional and needs a label for each image, but {data.name} has none; "
            "train without a condition or give labelled data"
        )
    lowest, highest = int(data.labels.min()), int(data.labels.max())
    if lowest < 0 and model.needs_labels:
        raise DataError(
            f"expected a label for each image, got images of {data.name} without one (label −1); "
            "train a model of kind m2 or m1+m2, or leave those images out"
        )
    if highest >= model.classes:
        raise DataError(f"expected labels in 0…{model.classes - 1}, got {highest} in {data.name}; train on this data")


def check_variant(model: Model, variant: str) -> None:
    """Refuse a pixel variant that the model's likelihood is not valid for (`UsageError`)."""
    measures = model.likelihood.measures
    if variant not in measures:
        raise UsageError(
            f"the likelihood {LIKELIHOODS.name_of(model.likelihood)!r} takes pixels of the variant "
            f"{' or '.join(measures)}, got {variant!r}; change --variant or --likelihood"
        )


def check_batch(model: Model, data: ImageData, config: TrainingConfig) -> None:
    """Refuse a training set smaller than one batch, and batches of labels that there are not or that are not seen."""
    batch_size = config.batch_size
    if len(data) < batch_size:
        raise DataError(
            f"expected at least one batch of {batch_size} training images, got {len(data)} from {data.name}; "
            "lower --batch-size or give more images"
        )
    if model.needs_labels:
        if config.labelled_batch:
            raise UsageError(
                f"labelled_batch={config.labelled_batch} is for models of kind m2 or m1+m2, this one is of kind "
                f"{model.kind}; leave it out or choose the preset m2"
            )
        return
    if data.labels is None or not bool((data.labels >= 0).any()):
        raise DataError(
            f"a model of kind {model.kind} learns its classes from labelled images, but {data.name} has none; "
            "give some of its images labels"
        )


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
