"""Images: data sets by name, arrays and folders → uint8 tensors; splits, pixel variants, batches, corruption."""

from vaelab.data.batches import batches, epoch_order
from vaelab.data.catalogue import check, fetch, list_datasets
from vaelab.data.corruption import CORRUPTIONS, Corruption, corrupt_fixed
from vaelab.data.images import ImageData, Splits
from vaelab.data.loading import load
from vaelab.data.pixels import VARIANTS, binarise_static, prepare, prepare_fixed
from vaelab.data.progress import Progress
from vaelab.data.splits import split

__all__ = [
    "CORRUPTIONS",
    "VARIANTS",
    "Corruption",
    "ImageData",
    "Progress",
    "Splits",
    "batches",
    "binarise_static",
    "check",
    "corrupt_fixed",
    "epoch_order",
    "fetch",
    "list_datasets",
    "load",
    "prepare",
    "prepare_fixed",
    "split",
]
