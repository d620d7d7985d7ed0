"""Label transfer: an image's style with every other label."""

from __future__ import annotations

import torch
from torch import Tensor

from vaelab.applications.latent.encoding import condition
from vaelab.building import Model
from vaelab.data.images import ImageData
from vaelab.errors import UsageError
from vaelab.evaluation.draws import MEMORY, Progress, frozen_copy, image_batches, images_within, rows_within
from vaelab.stacked import StackedVAE
from vaelab.vae import VAE


@torch.no_grad()
def transfer(
    model: Model,
    data: ImageData,
    variant: str,
    *,
    seed: int = 0,
    batch_size: int = 500,
    memory: int = MEMORY,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Every image with every label, ``(n, classes, channel, height, width)`` in [0, 1], on the CPU.

    E[x|z, c'] at the mean z of q(z|x, c), c the image's own label, for c' = 0 … classes − 1; at c' = c it is the
    reconstruction. What z holds apart from the label, the style, is the same in a row. A conditional autoencoder
    decodes its code; M2 infers a label that is not known; M1+M2 keeps z₂ and decodes E[z₁|z₂, c'], so that c' = c is no
    plain reconstruction. ``variant`` is the pixel variant; ``seed`` fixes the pixels of the random ones; ``batch_size``
    (images) and ``memory`` (bytes, of a batch in a network) change a result only by rounding. ``progress`` is called
    with the number of images done. Raises `UsageError` for a model without condition, `DataError` where the data does
    not fit the model or has no labels. Kingma et al. 2014, arXiv:1406.5298.

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("conv-cvae").model)
    >>> names = tuple(map(str, range(10)))
    >>> data = ImageData("noise", torch.randint(256, (2, 1, 28, 28), dtype=torch.uint8), torch.tensor([3, 1]), names)
    >>> transfer(model, data, "grey").shape
    torch.Size([2, 10, 1, 28, 28])
    """
    check_conditional(model)
    scorer = frozen_copy(model, device)
    size = images_within(scorer, memory, batch_size)
    rows = rows_within(scorer, memory) if isinstance(scorer, VAE) else size
    images = torch.empty(len(data), scorer.classes, *scorer.image_shape)
    for batch in image_batches(scorer, data, variant, seed=seed, size=min(size, rows)):
        here = slice(batch.done - len(batch.x), batch.done)
        z = scorer.embed(batch.x, condition(scorer, batch))
        for label in range(scorer.classes):
            c = torch.full((len(z),), label, device=z.device)
            px = scorer.decode_top(z[:, scorer.split :], c) if isinstance(scorer, StackedVAE) else scorer.decode(z, c)
            images[here, label] = px.mean.clamp(0, 1).cpu()
        if progress is not None:
            progress(batch.done)
    return images


def check_conditional(model: Model) -> None:
    """Raise `UsageError` for a model without condition."""
    if not model.classes:
        raise UsageError("this model has no condition, so no label can be changed; train a conditional one")
