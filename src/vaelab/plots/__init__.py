"""Pictures: pure functions from arrays to a matplotlib `Figure`, all in one style.

They never see a model and keep no global state. `save` writes a figure as PNG; equal figures give equal bytes.
"""

from __future__ import annotations

from vaelab.plots.aggregate import aggregate_posterior, gap_map
from vaelab.plots.anomaly import pixel_maps, roc_curves, score_histograms, scored_images
from vaelab.plots.captioned import captioned_images
from vaelab.plots.classification import confident_errors, confusion_matrix, reliability_diagram
from vaelab.plots.coloured import confidence_map, style_planes
from vaelab.plots.comparison import comparison_curves
from vaelab.plots.curves import loss_curve, training_curves
from vaelab.plots.images import (
    class_epoch_sheet,
    image_grid,
    interpolation,
    reconstructions,
    samples,
    samples_per_class,
)
from vaelab.plots.labels import label_curves
from vaelab.plots.latent import kl_per_dimension, latent_grid, latent_scatter
from vaelab.plots.latent_panels import latent_panels
from vaelab.plots.latent_scales import latent_scales
from vaelab.plots.style import save
from vaelab.plots.sweep import Panel, sweep
from vaelab.plots.transfer import label_transfer

__all__ = [
    "Panel",
    "aggregate_posterior",
    "captioned_images",
    "class_epoch_sheet",
    "comparison_curves",
    "confidence_map",
    "confident_errors",
    "confusion_matrix",
    "gap_map",
    "image_grid",
    "interpolation",
    "kl_per_dimension",
    "label_curves",
    "label_transfer",
    "latent_grid",
    "latent_panels",
    "latent_scales",
    "latent_scatter",
    "loss_curve",
    "pixel_maps",
    "reconstructions",
    "reliability_diagram",
    "roc_curves",
    "samples",
    "samples_per_class",
    "save",
    "score_histograms",
    "scored_images",
    "style_planes",
    "sweep",
    "training_curves",
]
