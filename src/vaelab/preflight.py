"""Checks before the first step: data that does not fit the model is refused in one sentence."""

from __future__ import annotations

from vaelab.building import Model
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
        raise DataError(
            f"this model is conditional and needs a label for each image, but {data.name} has none; "
            "train without a condition or give labelled data"
        )
    highest = int(data.labels.max())
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


def check_batch(data: ImageData, batch_size: int) -> None:
    """Refuse a training set smaller than one batch."""
    if len(data) < batch_size:
        raise DataError(
            f"expected at least one batch of {batch_size} training images, got {len(data)} from {data.name}; "
            "lower --batch-size or give more images"
        )


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
