"""What the path of an image through a VAE leaves behind: x → (μ, σ) → E[x|z=μ], as features of each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data.images import ImageData
from vaelab.distributions import DiagonalNormal, PixelDistribution
from vaelab.evaluation.draws import MEMORY, Progress, frozen_copy, image_batches, images_within, rows_within
from vaelab.specs import choice
from vaelab.vae import VAE


@dataclass(frozen=True)
class Path:
    """A batch's way through the model, without randomness: x, q(z|x), p(x|z) at the posterior mean."""

    x: Tensor
    qz: DiagonalNormal
    px: PixelDistribution


FEATURES: dict[str, Callable[[Path], Tensor]] = {
    "error": lambda path: (path.x - path.px.mean).flatten(1).norm(dim=1, keepdim=True),
    "nats": lambda path: -path.px.log_prob(path.x)[:, None],
    "mean_norm": lambda path: path.qz.mean.norm(dim=1, keepdim=True),
    "std_norm": lambda path: path.qz.log_std.exp().norm(dim=1, keepdim=True),
    "mean": lambda path: path.qz.mean,
    "log_std": lambda path: path.qz.log_std,
    "residual": lambda path: (path.x - path.px.mean).flatten(1),
    "pixel_nats": lambda path: path.px.nats_per_pixel(path.x).flatten(1),
}
"""Name → ``(batch, k)`` of a `Path`.

‖x − E[x|μ]‖, −log p(x|μ), ‖μ‖ and ‖σ‖ are one feature each; μ and log σ one for each latent dimension, x − E[x|μ] and
−log p(x_i|μ) one for each pixel and channel. Huang, He & Lui 2024, arXiv:2401.04933, take the first, third and fourth.
"""


@torch.no_grad()
def path_features(
    model: VAE,
    data: ImageData,
    variant: str,
    names: Sequence[str],
    *,
    seed: int = 0,
    batch_size: int = 500,
    memory: int = MEMORY,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Name → float32 ``(n, k)`` of `FEATURES`, for every image, in the order of the data; one decoding an image.

    ``seed`` fixes the pixels of the random variants; ``batch_size`` (images) and ``memory`` (bytes, of a batch in a
    network) change a number only by rounding. ``progress`` is called with the number of images done. Raises
    `UsageError` for an unknown name or another variant than the likelihood's, `DataError` where the data does not fit.

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("conv-vae").model)
    >>> data = ImageData("noise", torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8))
    >>> {name: values.shape for name, values in path_features(model, data, "grey", ["error", "mean"]).items()}
    {'error': (3, 1), 'mean': (3, 2)}
    """
    for name in names:
        choice("feature", name, FEATURES)
    scorer = frozen_copy(model, device)
    size = min(images_within(scorer, memory, batch_size), rows_within(scorer, memory, batch_size))
    found: dict[str, NDArray[np.float32]] = {}
    for batch in image_batches(scorer, data, variant, seed=seed, size=size):
        qz = scorer.encode(batch.x, batch.c)
        path = Path(batch.x, qz, scorer.decode(qz.mean, batch.c))
        for name in names:
            values = FEATURES[name](path).float().cpu().numpy()
            # Whole results at once: small arrays kept from each batch would pin the freed memory between them.
            whole = found.setdefault(name, np.empty((len(data), values.shape[1]), dtype=np.float32))
            whole[batch.done - len(batch.x) : batch.done] = values
        if progress is not None:
            progress(batch.done)
    return found
