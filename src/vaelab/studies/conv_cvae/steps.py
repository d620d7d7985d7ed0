"""What the study does: two models and their variants to train, then measurements on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaelab import presets
from vaelab.studies.conv_cvae import draws, hand_cases, heads, labels, losses, networks, plane, spaces
from vaelab.studies.judging import judge_step
from vaelab.studies.settings import Settings
from vaelab.studies.study import Measure, Option, Step, Train

OPTIONS: Mapping[str, Option] = {
    "epochs": Option(10, 3, "epochs of every model"),
    "batch_size": Option(32, 32, "images in a batch"),
    "lr": Option(1e-3, 3e-3, "Adam's learning rate"),
    "seeds": Option(3, 2, "trainings of the VAE from different first weights, to be compared"),
    "latents": Option((4, 16), (4,), "more latent dimensions of the VAE, beside the sheet's 2", least=0),
    "draws": Option(10_000, 10_000, "draws by reparameterisation that are measured", least=100),
    "head_steps": Option(600, 20, "training steps with each kind of output for the spread"),
    "head_seeds": Option(2, 1, "first weights for each kind of output"),
    "cells": Option(31, 11, "images along a side of the decoded plane", least=2),
    "extent": Option(2.0, 2.0, "the decoded plane is [−extent, extent]²"),
    "points": Option(2000, 300, "images on the interactive plane"),
    "classes": Option((4, 8), (4, 8), "classes whose conditional planes are shown", least=0),
    "images": Option(10_000, 1000, "images of each split whose latents are compared", least=100),
    "judge_steps": Option(1000, 150, "training steps of the classifier that judges decoded images"),
    "samples": Option(10, 5, "draws of z for each image and label when classifying"),
    "transfers": Option(1000, 100, "images whose labels are changed and judged", least=2),
    "search_images": Option(100, 20, "images whose z is searched without the encoder", least=2),
    "search_steps": Option(200, 40, "steps of that search"),
}


def steps(settings: Settings) -> list[Step]:
    """Everything, in a possible order."""
    return [*_trainings(settings), *_models(settings), *_planes(settings), *_labels(settings)]


def seed_runs(settings: Settings) -> list[str]:
    """The VAEs of all seeds, the study's own first."""
    return ["vae", *(f"vae-seed-{settings.seed + number}" for number in range(1, max(1, settings["seeds"])))]


def latent_runs(settings: Settings) -> list[tuple[int, str]]:
    """Latent dimensions → run, rising; the sheet's model among them."""
    sizes = sorted({size for size in settings["latents"] if size > 0} - {own_latent(settings)})
    return sorted([(own_latent(settings), "vae"), *((size, f"vae-latent-{size}") for size in sizes)])


def own_latent(settings: Settings) -> int:
    """Of the VAE; 2, but for a change that the user asks for."""
    return settings.config("vae", "conv-vae").model.latent


def _trainings(settings: Settings) -> list[Step]:
    training = {"epochs": settings["epochs"], "batch_size": settings["batch_size"], "lr": settings["lr"]}
    found = [
        Train("vae", "the VAE", settings.config("vae", "conv-vae", training=training), cost=190),
        Train("cvae", "the conditional VAE", settings.config("cvae", "conv-cvae", training=training), cost=200),
    ]
    for number, name in enumerate(seed_runs(settings)[1:], start=1):
        seed = settings.seed + number
        config = settings.config(name, "conv-vae", training=training, seed=seed)
        found.append(Train(name, f"the VAE from seed {seed}", config, cost=190))
    for size, name in latent_runs(settings):
        if name != "vae":
            wide = presets.get("conv-vae").with_changes(model={"latent": size})
            config = settings.config(name, wide, training=training)
            found.append(Train(name, f"the VAE with {size} latent dimensions", config, cost=200))
    return list(found)


def _models(settings: Settings) -> list[Step]:
    """Measurements that need no latent plane."""
    runs = latent_runs(settings)
    heads_options = {"steps": settings["head_steps"], "seeds": settings["head_seeds"]}
    return [
        Measure("networks", "layers of both models", ("vae", "cvae"), networks.measure, cost=1),
        Measure("draws", "draws by reparameterisation", ("vae",), draws.measure,
                {"draws": settings["draws"], "images": 3}, cost=1),
        Measure("heads", "training with other outputs for the spread", ("vae",), heads.measure, heads_options, cost=40),
        Measure("hand-cases", "loss terms of hand cases", (), hand_cases.measure, {"posteriors": 10_000}, cost=1),
        Measure("losses", "bounds of every test image", ("vae", "cvae"), losses.measure, cost=15),
        Measure("latents", "more latent dimensions", tuple(name for _, name in runs), losses.measure_latents,
                {"runs": runs}, cost=5),
    ]  # fmt: skip


def _planes(settings: Settings) -> list[Step]:
    grid: dict[str, Any] = {name: settings[name] for name in ("cells", "extent", "points")}
    space = {"limit": settings["images"]}
    names = seed_runs(settings)
    return [
        judge_step(settings.data, settings["judge_steps"]),
        Measure("plane", "the latent plane of the VAE", ("vae", "judge"), plane.measure, grid, cost=20),
        Measure("space", "the latent space of the VAE", ("vae",), spaces.measure,
                {**space, "run": "vae", "gaps": 8}, cost=25),
        Measure("seeds", "the same VAE from other seeds", tuple(names), spaces.measure_seeds,
                {**space, "runs": names}, cost=15),
        Measure("cplane", "the latent planes of the CVAE", ("cvae", "judge"), plane.measure_conditional,
                {**grid, "classes": settings["classes"]}, cost=25),
        Measure("cspace", "the latent space of the CVAE", ("cvae",), spaces.measure,
                {**space, "run": "cvae", "gaps": 0}, cost=25),
    ]  # fmt: skip


def _labels(settings: Settings) -> list[Step]:
    images = settings["images"]
    return [
        # After "cspace", which writes into the same metrics.json.
        Measure("classification", "classification by Bayes' rule", ("cvae", "cspace"), labels.measure_classification,
                {"samples": settings["samples"]}, cost=90),
        Measure("transfer", "labels changed", ("cvae", "judge"), labels.measure_transfer,
                {"rows": 10, "images": settings["transfers"]}, cost=15),
        Measure("unlabelled", "the CVAE's bound without the label", ("cvae",), labels.measure_without_label,
                {"images": images}, cost=30),
        Measure("search", "z without an encoder", ("vae",), labels.measure_search,
                {"images": settings["search_images"], "steps": settings["search_steps"]}, cost=15),
    ]  # fmt: skip
