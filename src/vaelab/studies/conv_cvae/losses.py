"""The two trainings in numbers (C5, C14, C20), and what more latent dimensions change (C6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vaelab import plots
from vaelab.building import build_model
from vaelab.checkpoint import load_checkpoint, load_into
from vaelab.evaluation import ImageScores, evaluate_bounds
from vaelab.metrics import Metric
from vaelab.run import Run
from vaelab.studies.context import Context

TERMS = ("negative_elbo", "reconstruction", "kl")


def measure(ctx: Context) -> Mapping[str, Any]:
    """Bounds of every test image: in the sheet's unit, with the last steps' weights, and VAE less CVAE."""
    seed = ctx.settings.seed
    runs = {name: ctx.run(name) for name in ("vae", "cvae")}
    scores = {name: bounds(run, seed) for name, run in runs.items()}
    batch = {name: run.config.training.batch_size for name, run in runs.items()}
    found: dict[str, Any] = {}
    for name, run in runs.items():
        negative = scores[name].negative_elbo
        assert negative is not None
        found[f"{name}_sheet"] = as_the_sheet(negative, batch[name])
        found[f"{name}_batch"] = batch[name]
        if run.config.training.average:
            plain = bounds(run, seed, averaged=False).negative_elbo
            assert plain is not None
            found[f"{name}_plain"] = Metric.mean(plain, "nats per image", "test split, the weights of the last step")
    for term in TERMS:
        first, second = (getattr(scores[name], term) for name in ("vae", "cvae"))
        words = f"{term} of the VAE less that of the CVAE, of the same test images"
        found[f"difference_{term}"] = Metric.mean(first - second, "nats per image", words)
    return found


def bounds(run: Run, seed: int, *, averaged: bool = True) -> ImageScores:
    """Of the test images; ``averaged``: with the weights that were kept, else with those of the last step."""
    model = run.model
    if not averaged:
        model = build_model(run.config.model, run.config.training.seed)
        load_into(model, load_checkpoint(run.folder.checkpoints, "last").tensors["model"], str(run.folder.path))
        model = model.to(run.device).eval()
    return evaluate_bounds(model, run.split("test"), run.config.data.variant, seed=seed)


def as_the_sheet(nats: Tensor, batch: int) -> float:
    """The sheet's number: means of batches of ``batch`` images added up, divided by the number of images.

    >>> as_the_sheet(torch.full((64,), 160.0), 32)
    5.0
    """
    return float(sum(part.mean() for part in torch.split(nats.double(), batch)) / len(nats))


def measure_latents(ctx: Context) -> Mapping[str, Any]:
    """``options["runs"]``: latent dimensions → run; both terms, the dimensions in use, and each one's KL."""
    rows = []
    for size, name in ctx.options["runs"]:
        values = ctx.values(name)
        dimensions = [
            values[f"kl_of_dimension_{j + 1}"]["value"] for j in range(size) if f"kl_of_dimension_{j + 1}" in values
        ]
        row: dict[str, Any] = {"latent": size, "run": name, "per_dimension": sorted(dimensions, reverse=True)}
        row |= {term: values[term]["value"] for term in TERMS}
        row |= {f"{term}_error": values[term]["standard_error"] for term in TERMS}
        row["active"] = values["active_units"]["value"] if "active_units" in values else None
        rows.append(row)
    sizes = [row["latent"] for row in rows]
    panels = [
        plots.Panel(
            title, "nats per image", {"VAE": ([row[term] for row in rows], [row[f"{term}_error"] for row in rows])}
        )
        for term, title in (("negative_elbo", "−ELBO"), ("reconstruction", "reconstruction"), ("kl", "KL"))
    ]
    ctx.figure("terms", plots.sweep(sizes, panels, title="the two terms on test images, by latent dimensions"))
    largest = ctx.run(rows[-1]["run"])
    ctx.figure("kl", largest.figure("kl-per-dimension"))
    ctx.figure("reconstructions", _reconstructions([ctx.run(row["run"]) for row in rows], sizes))
    return {"rows": rows, "seed": ctx.settings.seed}


def _reconstructions(runs: list[Run], sizes: list[int]) -> Any:
    """Ten test images above what each model makes of them."""
    data = runs[0].split("test")
    chosen = data.take(torch.arange(min(10, len(data))))
    x = chosen.images.float() / 255
    rows = [x, *(run.model.reconstruct(x.to(run.device)).cpu().clamp(0, 1) for run in runs)]
    names = ["input", *(f"{size} dimensions" for size in sizes)]
    return plots.image_grid(torch.cat(rows), len(x), names, title="test images and their reconstructions")
