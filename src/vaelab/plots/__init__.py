"""Pictures: pure functions from arrays to a matplotlib `Figure`, all in one style.

They never see a model and keep no global state. `save` writes a figure as PNG; equal figures give equal bytes.
"""

from __future__ import annotations

from vaelab.plots.curves import loss_curve, training_curves
from vaelab.plots.images import (
    class_epoch_sheet,
    image_grid,
    interpolation,
    reconstructions,
    samples,
    samples_per_class,
)
from vaelab.plots.latent import kl_per_dimension, latent_grid, latent_scatter
from vaelab.plots.style import save

__all__ = [
    "class_epoch_sheet",
    "image_grid",
    "interpolation",
    "kl_per_dimension",
    "latent_grid",
    "latent_scatter",
    "loss_curve",
    "reconstructions",
    "samples",
    "samples_per_class",
    "save",
    "training_curves",
]
