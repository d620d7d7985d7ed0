"""Images: data sets by name, arrays, folders → uint8, in memory or streamed; splits, pixels, batches, changes."""

from vaelab.data.augmentation import AUGMENTATIONS, Augmentation
from vaelab.data.batches import batches, epoch_order, mixed_order, steps_in_epoch
from vaelab.data.catalogue import check, fetch, list_datasets
from vaelab.data.corruption import CORRUPTIONS, Corruption, corrupt_fixed
from vaelab.data.features import FeatureData
from vaelab.data.images import ImageData, Splits
from vaelab.data.labels import hide_labels
from vaelab.data.loading import load
from vaelab.data.pixels import VARIANTS, binarise_static, prepare, prepare_fixed
from vaelab.data.progress import Progress
from vaelab.data.splits import split
from vaelab.data.streaming import MappedImages, StreamedImages

__all__ = [
    "AUGMENTATIONS",
    "CORRUPTIONS",
    "VARIANTS",
    "Augmentation",
    "Corruption",
    "FeatureData",
    "ImageData",
    "MappedImages",
    "Progress",
    "Splits",
    "StreamedImages",
    "batches",
    "binarise_static",
    "check",
    "corrupt_fixed",
    "epoch_order",
    "fetch",
    "hide_labels",
    "list_datasets",
    "load",
    "mixed_order",
    "prepare",
    "prepare_fixed",
    "split",
    "steps_in_epoch",
]
