"""A9 and A10: the latent planes of the CVAE, what they encode, and how the VAE's encodings of the images differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab import plots
from vaelab.applications.judge import Judge
from vaelab.applications.latent import Encoded, decode_at
from vaelab.applications.style import STYLES, background_level, image_styles
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.studies.generative_classifier.classes import (
    between,
    encoded_part,
    fits,
    labels_of,
    without_class_means,
)
from vaelab.studies.generative_classifier.plane import class_places, draw_styles, keep_points, name
from vaelab.studies.judging import judge_of

WALKED = ("slant", "width", "thickness")
"""Styles along whose direction the plane is decoded."""

FEW = 20
"""Bootstrap resamples where a standard error is not reported."""

STEPS = np.linspace(-2, 2, 9)
"""In units of z, from the middle of the class."""


def measure(ctx: Context) -> Mapping[str, Any]:
    """Three classes' planes and embeddings; styles within classes; both models' encodings of the same images."""
    cvae, vae, seed = ctx.run(ctx.step.needs[0]), ctx.run(ctx.step.needs[1]), ctx.settings.seed
    data, encoded = encoded_part(cvae, "train", ctx.options["images"], seed)
    chosen = choose(ctx.options["classes"], len(data.class_names))
    for place, label in enumerate(chosen, start=1):
        figure = cvae.figure("latent-grid", label=label, cells=ctx.options["cells"], extent=ctx.options["extent"])
        ctx.figure(f"grid-{place}", figure)
    three = torch.isin(labels_of(encoded), torch.tensor(chosen))
    _, plain = encoded_part(vae, "train", ctx.options["images"], seed)
    for run, codes in ((cvae, encoded), (vae, plain)):
        _scatter(ctx, run, rows_of(codes, three))
    keep_points(ctx, data.take(torch.nonzero(three).flatten()), rows_of(encoded, three))
    styles, labels = image_styles(data.images), labels_of(encoded)
    common = fits(encoded.means, styles, labels, seed)
    relative = {style: without_class_means(values, labels) for style, values in styles.items()}
    draw_styles(ctx, encoded, relative, common, f"{name(cvae)}: style of the training images within their class")
    own = {label: _own(encoded, styles, label, seed) for label in range(len(data.class_names))}
    return {
        "images": len(data),
        "chosen": chosen,
        "shown": int(three.sum()),
        "class_names": list(data.class_names),
        "cells": ctx.options["cells"],
        "extent": ctx.options["extent"],
        "styles": common,
        "separate": {style: _separate(own, styles[style], labels, style) for style in STYLES},
        "turned": {style: _turned(own, common, style) for style in STYLES},
        "walks": _walks(ctx, cvae, encoded, own, chosen, background_level(data.images)),
        "places": {"cvae": class_places(encoded), "vae": class_places(plain)},
        "between": {"cvae": between(encoded.means, labels), "vae": between(plain.means, labels_of(plain))},
        "between_shown": {
            "cvae": between(encoded.means[three], labels[three]),
            "vae": between(plain.means[three], labels[three]),
        },
        "told": _told(cvae, judge_of(ctx), len(data.class_names), seed),
    }


def choose(wanted: tuple[int, ...], classes: int) -> list[int]:
    """Three different classes: those wanted that there are, then the first others; all where there are fewer."""
    known = [label for label in dict.fromkeys([*wanted, *range(classes)]) if 0 <= label < classes]
    return known[:3]


def rows_of(encoded: Encoded, rows: Tensor) -> Encoded:
    """Some of the images."""
    return Encoded(encoded.means[rows], labels=labels_of(encoded)[rows], class_names=encoded.class_names)


def _scatter(ctx: Context, run: Run, encoded: Encoded) -> None:
    classes = len(torch.unique(labels_of(encoded)))
    title = f"{name(run)}: training images of {classes} classes, encoded"
    kind = "cvae" if run.model.classes else "vae"
    figure = plots.latent_scatter(encoded.means, labels_of(encoded), encoded.class_names, title=title)
    ctx.figure(f"embeddings-{kind}", figure)


def _own(encoded: Encoded, styles: dict[str, Tensor], label: int, seed: int) -> dict[str, Any]:
    """The same regression for one class by itself."""
    here = labels_of(encoded) == label
    if not bool(here.any()):
        return dict.fromkeys(STYLES)
    own = {style: values[here] for style, values in styles.items()}
    return fits(encoded.means[here], own, None, seed, FEW)


def _separate(own: Mapping[int, Mapping[str, Any]], values: Tensor, labels: Tensor, style: str) -> float | None:
    """R² within classes where each class has a direction of its own: 1 − Σ_c (1 − R²_c) S_c / Σ_c S_c."""
    total, left = 0.0, 0.0
    for label, found in own.items():
        if found[style] is not None:
            here = values[(labels == label) & values.isfinite()]
            squares = float((here - here.mean()).square().sum())
            total, left = total + squares, left + squares * (1 - found[style]["r2"])
    return 1 - left / total if total else None


def _turned(own: Mapping[int, Mapping[str, Any]], common: Mapping[str, Any], style: str) -> float | None:
    """The mean cosine between the classes' own directions and the common one: 1 where all are the same."""
    if common[style] is None:
        return None
    shared = np.array(common[style]["direction"])
    found = [float(np.dot(fit[style]["direction"], shared)) for fit in own.values() if fit[style] is not None]
    return float(np.mean(found)) if found else None


def _walks(
    ctx: Context, run: Run, encoded: Encoded, own: Mapping[int, Mapping[str, Any]], chosen: list[int], level: float
) -> list[dict[str, Any]]:
    """For each class and style: the plane decoded along its direction, and the style of what comes out."""
    found, rows, heads = [], [], []
    for label in chosen:
        middle = encoded.means[labels_of(encoded) == label].mean(0)
        for style in WALKED:
            fit = own[label][style]
            if fit is None:
                continue
            steps = torch.from_numpy(STEPS).float()[:, None]
            z = middle + steps * torch.tensor(fit["direction"], dtype=torch.float32)
            images = decode_at(run.model, z, torch.full((len(z),), label))
            measured = image_styles(images, level)[style]
            rows.append(images)
            heads.append(f"{encoded.class_names[label]}: {style}")
            found.append({"label": label, "style": style, "measured": [_plain(value) for value in measured.tolist()],
                          "r2": fit["r2"], "angle": fit["angle"], "slope": fit["slope"]})  # fmt: skip
    if rows:
        columns = [f"{step:+.1f}".replace("-", "−").replace("+0.0", "0") for step in STEPS]
        title = f"{name(run)}: decoded along the direction of each style"
        ctx.figure("walks", plots.image_grid(torch.cat(rows), len(STEPS), heads, columns, title=title))
    return found


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _told(run: Run, judge: Judge, classes: int, seed: int) -> float:
    """How often the judge sees the class that the decoder was given, over draws of z from the prior."""
    n = 100 * classes
    seen = judge.log_probabilities(run.sample(n, seed=seed)).argmax(1)
    return float((seen == torch.arange(n) % classes).double().mean())
