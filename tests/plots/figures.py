"""Every plotting function once, with small realistic arguments: the rows of the contract tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vaelab import plots


def history(epochs: int = 2, per_epoch: int = 30, more_steps: int = 0) -> dict[str, list[Any]]:
    generator = np.random.default_rng(0)
    rows: list[tuple[Any, ...]] = []

    def add(step: int, epoch: int, split: str) -> None:
        reconstruction = 150 + 100 * np.exp(-step / per_epoch) + generator.normal()
        kl = 6 - 6 * np.exp(-step / per_epoch)
        rows.append((step, epoch, split, reconstruction + kl, reconstruction + kl, reconstruction, kl))

    for epoch in range(1, epochs + 1):
        for step in range((epoch - 1) * per_epoch + 1, epoch * per_epoch + 1):
            add(step, epoch, "step")
        add(epoch * per_epoch, epoch, "train")
        add(epoch * per_epoch, epoch, "test")
    for step in range(epochs * per_epoch + 1, epochs * per_epoch + more_steps + 1):
        add(step, epochs + 1, "step")
    names = ("step", "epoch", "split", "loss", "negative_elbo", "reconstruction", "kl")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def histories(**epochs: int) -> dict[str, list[Any]]:
    """Group → epochs: two runs of each, of which the second is a little worse and stops an epoch earlier."""
    found: dict[str, list[Any]] = {}
    for place, (group, count) in enumerate(epochs.items()):
        for run in range(2):
            rows = history(count - run)
            for name, column in rows.items():
                found.setdefault(name, []).extend(v + 9.0 * place + run if name == "kl" else v for v in column)
            for name, word in (("group", group), ("run", f"{group}-{run}")):
                found.setdefault(name, []).extend([word] * len(rows["kl"]))
    return found


def images(*lead: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(1).random((*lead, channels, 8, 8))


def points(count: int = 60, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(count) % classes
    return np.random.default_rng(2).normal(size=(count, 2)) * 0.2 + labels[:, None], labels


Z, LABELS = points()
GRID = np.linspace(-2, 2, 5)
BINS = (np.array([0.5, 0.7, 0.95]), np.array([0.4, 0.7, 0.9]), np.array([5.0, 30.0, 270.0]))
POINTS = [(50, 0.6, 0.03), (100, 0.7, 0.02), (1000, 0.8, 0.01), (60_000, 0.9, 0.0)]
CURVES = {name: {"SVM (RBF)": POINTS, "random forest": POINTS[:2]} for name in ("vae", "dae", "another one", "4")}
ACTIVE = plots.Panel("active units", "units", {"CVAE": ([2, 4, np.nan], None)}, {"all": [2, 4, 8]})
PANELS = [
    plots.Panel(f"panel {i} of a long name", "nats", {"VAE": ([3, 2, 1], [0.1, 0.2, np.nan])}, {"ten": 10.0})
    for i in range(4)
]
PANELS.append(ACTIVE)
PAIRS = [("cat", "a dog with a long name")] * 4
SCORES = np.random.default_rng(4).normal(size=(2, 50))

FIGURES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "training_curves": (plots.training_curves, (history(),), {}),
    "loss_curve": (plots.loss_curve, (history(),), {}),
    "comparison_curves": (plots.comparison_curves, (histories(vae=12, cvae=4, another_of_a_very_long_name=2),), {}),
    "image_grid": (plots.image_grid, (images(5),), {"columns": 3, "row_labels": ["a", "b"]}),
    "captioned_images": (
        plots.captioned_images,
        (images(2, 3), [["cat 0.99", "a dog with a long name", "ant"]] * 2, ["cat → ant", "<b>"], ["0", "½", "1"]),
        {"columns_name": "place"},
    ),
    "image_grid rgb": (plots.image_grid, (images(5, channels=3),), {}),
    "reconstructions": (plots.reconstructions, (images(12), images(12), np.arange(12.0)), {}),
    "reconstructions in blocks": (plots.reconstructions, (images(24), images(24)), {"names": ("in", "a long name")}),
    "samples": (plots.samples, (images(9),), {}),
    "samples_per_class": (plots.samples_per_class, (images(2, 3), ["cat", "dog"]), {}),
    "class_epoch_sheet": (plots.class_epoch_sheet, (images(4, 2), ["cat", "dog"]), {}),
    "interpolation": (plots.interpolation, (images(2, 5), ["3 → 5", "1 → 7"]), {}),
    "latent_grid": (plots.latent_grid, (images(5, 5), GRID, GRID), {}),
    "latent_scatter": (plots.latent_scatter, (Z, LABELS), {}),
    "latent_scatter bar": (plots.latent_scatter, (Z, LABELS), {"legend": "colorbar"}),
    "latent_scatter density": (plots.latent_scatter, (Z,), {}),
    "latent_panels": (
        plots.latent_panels,
        (np.stack([Z, -Z, Z, Z]), ["seed 0, a long name", *"bcd"], LABELS, "xyz"),
        {},
    ),
    "latent_panels one": (plots.latent_panels, (Z[None], ["seed 0"], LABELS, range(3)), {}),
    "latent_scales": (
        plots.latent_scales,
        (np.stack([Z, 9 * Z - 3, Z / 500]), ["one", "a longer name, and longer", "c"], LABELS, "xyz"),
        {},
    ),
    "latent_scales one": (plots.latent_scales, (Z[None], ["one"], LABELS, range(3)), {}),
    "kl_per_dimension": (plots.kl_per_dimension, (np.array([2.0, 1.0, 0.001]),), {}),
    "aggregate_posterior": (plots.aggregate_posterior, (np.random.default_rng(3).normal(size=(200, 5)),), {}),
    "gap_map": (plots.gap_map, (Z, Z[:3], np.array([0.3, 0.2, 0.1]), np.eye(9) + 0.1, 3.0), {"borders": Z[4:6]}),
    "label_curves": (plots.label_curves, (CURVES,), {"reference": {"MLP on raw pixels": POINTS}}),
    "label_transfer": (plots.label_transfer, (images(3, 2), images(3), np.array([0, 1, -1]), ["cat", "dog"]), {}),
    "style_planes": (
        plots.style_planes,
        (Z, {name: [np.nan, *Z[1:, 0]] for name in "abcd"}, dict.fromkeys("abcd", np.array([0.6, 0.8]))),
        {"notes": {"a": "R² = 0.98"}},
    ),
    "style_planes of one": (plots.style_planes, (Z, {"a": Z[:, 0]}, {"a": [1, 0]}), {}),
    "confidence_map": (
        plots.confidence_map,
        (np.linspace(0, 1, 25).reshape(5, 5), np.arange(25).reshape(5, 5) // 9, GRID, GRID),
        {"class_names": ["cat", "a dog with a long name", "<b>"]},
    ),
    "sweep": (plots.sweep, (np.array([2.0, 4, 8]), PANELS), {}),
    "sweep of one number": (plots.sweep, (np.array([2.0]), [plots.Panel("KL", "nats", {"VAE": ([1.0], None)})]), {}),
    "confusion_matrix": (plots.confusion_matrix, (np.array([[90.0, 3], [8, 40]]), ["cat", "a dog with a name"]), {}),
    "reliability_diagram": (plots.reliability_diagram, BINS, {"before": ([0.5, 0.99], [0.2, 0.9], [5, 300])}),
    "confident_errors": (plots.confident_errors, (images(4), images(4), images(4), PAIRS, np.full((4, 2), 0.5)), {}),
    "score_histograms": (
        plots.score_histograms,
        (SCORES, SCORES[:, :40] + 1, ["kl", "a score"]),
        {"thresholds": [1, 2]},
    ),
    "score_histograms one": (plots.score_histograms, (SCORES[:1], SCORES[1:] + 1, ["kl"]), {"sets": ("cats", "dogs")}),
    "roc_curves": (
        plots.roc_curves,
        (np.sort(np.abs(SCORES) % 1), np.linspace(0, 1, 50), ["kl", "negative_log_likelihood · AUROC 0.1234"]),
        {},
    ),
    "scored_images": (
        plots.scored_images,
        (images(2, 10), np.arange(60.0).reshape(2, 3, 10), ["kl", "b", "negative_log_likelihood"]),
        {},
    ),
    "scored_images of long names": (
        plots.scored_images,
        (images(2, 10), -0.0123 - np.arange(60.0).reshape(2, 3, 10) / 1e4, ["kl", "likelihood_path_mixture", "b"]),
        {},
    ),
    "pixel_maps": (plots.pixel_maps, (images(2, 4, channels=3), images(2, 4, channels=3), images(2, 4)[:, :, 0]), {}),
}
