"""A5 to A7: the latent plane of the VAE, decoded and encoded, and what it encodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab import plots
from vaelab.applications.latent import Encoded
from vaelab.applications.style import image_styles
from vaelab.data.images import ImageData
from vaelab.pictures import decode_grid
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.studies.generative_classifier.classes import (
    between,
    encoded_part,
    fits,
    labels_of,
    mixing,
    neighbour_shares,
    spread_over,
)
from vaelab.tasks.latent import study_latent_space


def measure(ctx: Context) -> Mapping[str, Any]:
    """The plane decoded on a grid, training images in it, and which direction encodes which style."""
    run, seed = ctx.run(ctx.step.needs[0]), ctx.settings.seed
    cells, extent = ctx.options["cells"], ctx.options["extent"]
    data, encoded = encoded_part(run, "train", ctx.options["images"], seed)
    ctx.figure("grid", run.figure("latent-grid", cells=cells, extent=extent))
    title = f"{name(run)}: training images, encoded"
    ctx.figure("embeddings", plots.latent_scatter(encoded.means, labels_of(encoded), data.class_names, title=title))
    keep_points(ctx, data, encoded)
    styles, labels = image_styles(data.images), labels_of(encoded)
    found = {"all": fits(encoded.means, styles, None, seed), "within": fits(encoded.means, styles, labels, seed)}
    draw_styles(ctx, encoded, styles, found["all"], f"{name(run)}: style of the training images")
    return {
        "images": len(data),
        "cells": cells,
        "extent": extent,
        "class_names": list(data.class_names),
        "styles": found,
        "classes": class_places(encoded),
        **_smoothness(decode_grid(run, np.linspace(-extent, extent, cells), None), seed),
    }


def name(run: Run) -> str:
    """What titles call a model."""
    return f"{'CVAE' if run.model.classes else 'VAE'} with {run.model.latent} latent dimensions"


def keep_points(ctx: Context, data: ImageData, encoded: Encoded) -> None:
    """The interactive plane's points, spread over the images."""
    rows = torch.from_numpy(spread_over(len(data), ctx.options["points"]))
    images = data.images[rows].cpu()
    ctx.arrays(
        "points",
        z=encoded.means[rows].numpy(),
        images=(images[:, 0] if images.shape[1] == 1 else images).numpy(),
        labels=labels_of(encoded)[rows].numpy(),
    )


def draw_styles(
    ctx: Context, encoded: Encoded, styles: Mapping[str, Tensor], found: Mapping[str, Any], title: str
) -> None:
    """The plane coloured by each style that could be fitted."""
    shown = {style: fit for style, fit in found.items() if fit is not None}
    if shown:
        notes = {style: f"R² = {fit['r2']:.2f}" for style, fit in shown.items()}
        values = {style: styles[style].numpy() for style in shown}
        directions = {style: fit["direction"] for style, fit in shown.items()}
        ctx.figure("styles", plots.style_planes(encoded.means, values, directions, notes, title=title))


def class_places(encoded: Encoded) -> list[dict[str, Any] | None]:
    """Of each class: centre, and the standard deviation along both axes together; None without images."""
    labels = labels_of(encoded)
    found: list[dict[str, Any] | None] = []
    for label in range(len(encoded.class_names)):
        z = encoded.means[labels == label].double()
        if len(z) < 2:
            found.append(None)
            continue
        spread = float(z.var(0).mean().sqrt())
        found.append({"centre": z.mean(0).tolist(), "spread": spread, "images": len(z)})
    return found


def _smoothness(images: np.ndarray, seed: int) -> dict[str, float]:
    """The mean absolute difference of a pixel between neighbours on the grid, and between any two places."""
    across = np.abs(np.diff(images, axis=1)).mean()
    up = np.abs(np.diff(images, axis=0)).mean()
    flat = images.reshape(-1, *images.shape[2:])
    first, second = np.random.default_rng(seed % 2**64).integers(len(flat), size=(2, 2000))
    return {
        "step_difference": float((across + up) / 2),
        "any_difference": float(np.abs(flat[first] - flat[second]).mean()),
    }


def measure_space(ctx: Context) -> Mapping[str, Any]:
    """The latent space of ``options["run"]``: against the prior, classes, ``options["gaps"]`` gaps and borders."""
    run, limit, seed = ctx.run(ctx.options["run"]), ctx.options["images"], ctx.settings.seed
    report = study_latent_space(run, gaps=ctx.options["gaps"], limit=limit, seed=seed, progress=ctx.progress)
    _, fitted = encoded_part(run, "train", limit, seed)
    _, asked = encoded_part(run, "test", limit, seed)
    labels, classes = labels_of(asked), len(asked.class_names)
    shares = neighbour_shares(fitted, asked)
    largest = int(torch.bincount(labels_of(fitted), minlength=classes).argmax())
    return {
        **report.metrics,
        "gaps": report.gaps,
        "borders": report.borders,
        "notes": report.notes,
        "figures": sorted(file.stem for file in report.files),
        "class_names": list(asked.class_names),
        "mixing": mixing(shares, labels, classes),
        "majority": float((labels == largest).double().mean()),
        "between": between(asked.means, labels),
        "images": len(asked),
        "fitted": len(fitted),
    }
