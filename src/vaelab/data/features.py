"""`FeatureData`: rows of real numbers in the place of images."""

from __future__ import annotations

from dataclasses import dataclass

from vaelab.data.images import ImageData
from vaelab.errors import DataError


@dataclass(frozen=True, eq=False)
class FeatureData(ImageData):
    """Real numbers with optional labels, held whole in memory; taken as they are, under the variant ``grey``.

    ``images`` float32 or float64 ``(n, 1, 1, features)``, or of an image's shape, all finite; labels and errors as in
    `ImageData`. Whether the numbers lie in the range of a likelihood is for the caller to see.

    >>> import torch
    >>> data = FeatureData("lengths", torch.tensor([[[[-1.5, 2.5]]]]))
    >>> len(data), data.image_shape, type(data.to("cpu")).__name__
    (1, (1, 1, 2), 'FeatureData')
    """

    def _check_images(self) -> None:
        images = self.images
        if not images.is_floating_point():
            raise DataError(f"{self.name}: expected floating-point numbers, got {images.dtype}; convert them")
        if images.ndim != 4 or images.numel() == 0:
            raise DataError(
                f"{self.name}: expected numbers of shape (n, 1, 1, features), n and features ≥ 1, got "
                f"{tuple(images.shape)}; reshape them"
            )
        if not bool(images.isfinite().all()):
            raise DataError(f"{self.name}: expected finite numbers, got some that are not; leave those rows out")
