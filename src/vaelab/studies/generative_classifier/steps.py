"""What the study does: both kinds of model in several sizes and a classifier to train, then measurements on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.config import RunConfig
from vaelab.errors import UsageError
from vaelab.studies.generative_classifier import classifier, conditional, failures, one_class, plane, sizes
from vaelab.studies.judging import judge_step
from vaelab.studies.settings import Settings, keep_latent
from vaelab.studies.study import Measure, Option, Step, Train

PLANE = 2
"""Latent dimensions of the models whose latent plane is looked at."""

KINDS = ("vae", "cvae")

OPTIONS: Mapping[str, Option] = {
    "latents": Option((2, 4, 8, 16, 32), (2, 8), "latent dimensions of the VAEs and CVAEs that are compared"),
    "epochs": Option(5, 3, "epochs of each of them"),
    "hidden": Option((512, 256), (128, 64), "hidden units of their encoder; those of the decoder are the mirror image"),
    "batch_size": Option(128, 64, "images in a batch"),
    "lr": Option(3e-3, 4e-3, "peak of the one-cycle learning rate"),
    "classifier_hidden": Option((768, 512), (256, 128), "hidden units of the encoder of the CVAE that classifies"),
    "classifier_epochs": Option(50, 4, "its epochs"),
    "classifier_batch_size": Option(256, 64, "images in one of its batches"),
    "classifier_lr": Option(3e-3, 3e-3, "peak of its one-cycle learning rate"),
    "augmentation": Option("shift:pixels=1", "none", "of the images it is trained on"),
    "bound_samples": Option(10, 5, "draws of z for each image and label when classifying"),
    "judge_steps": Option(1000, 150, "training steps of the classifier of real images that judges samples"),
    "samples": Option(1000, 200, "samples of each model that are judged", least=10),
    "images": Option(10_000, 1000, "images of each split whose latents are looked at", least=100),
    "cells": Option(21, 11, "images along a side of the decoded plane", least=2),
    "extent": Option(2.5, 2.5, "the decoded plane is [−extent, extent]²"),
    "points": Option(2000, 300, "training images on the interactive plane"),
    "classes": Option((0, 1, 2), (0, 1, 2), "three different classes whose conditional planes are shown", least=0),
    "gaps": Option(10, 10, "gaps and borders of the plane that are sought"),
}


def steps(settings: Settings) -> list[Step]:
    """Everything, in a possible order."""
    return [*_trainings(settings), *_planes(settings), *_rest(settings)]


def sizes_of(settings: Settings) -> list[int]:
    """The latent dimensions that are compared, rising; the plane's two among them."""
    wanted = settings["latents"]
    if min(wanted) < 1:
        raise UsageError(f"expected latents of at least 1 dimension, got {'/'.join(map(str, wanted))}")
    return sorted({PLANE, *wanted})


def name_of(kind: str, size: int) -> str:
    """The step and run of a model: vae-2."""
    return f"{kind}-{size}"


def config_of(settings: Settings, kind: str, size: int) -> RunConfig:
    """The VAE or CVAE with so many latent dimensions: the same class, networks and training."""
    name = name_of(kind, size)
    config = settings.config(
        name,
        f"mlp-{kind}",
        variant="grey",
        validation=0,
        model={"latent": size, "conditional": kind == "cvae", **_networks(settings["hidden"])},
        training={
            "epochs": settings["epochs"],
            "batch_size": settings["batch_size"],
            "schedule": "one-cycle",
            "lr": settings["lr"],
        },
    )
    return keep_latent(name, config, size)


def classifier_config(settings: Settings) -> RunConfig:
    """The CVAE that classifies: the preset `classifier`, its settings adjustable."""
    training = {
        "epochs": settings["classifier_epochs"],
        "batch_size": settings["classifier_batch_size"],
        "lr": settings["classifier_lr"],
        "augmentation": settings["augmentation"],
    }
    return settings.config(
        "classifier", "classifier", model=_networks(settings["classifier_hidden"]), training=training
    )


def _networks(hidden: Sequence[int]) -> dict[str, str]:
    """Encoder and decoder with so many hidden units, as specs."""
    words = ("/".join(map(str, layers)) + ("/" if len(layers) == 1 else "") for layers in (hidden, hidden[::-1]))
    encoder, decoder = (f"mlp:hidden={layers}" for layers in words)
    return {"encoder": encoder, "decoder": decoder}


def _trainings(settings: Settings) -> list[Step]:
    words = {"vae": "a VAE", "cvae": "a CVAE"}
    found: list[Step] = [
        Train(
            "classifier",
            "the CVAE that classifies",
            classifier_config(settings),
            cost=280,
            importance_samples=settings["bound_samples"],
        )
    ]
    for size in sizes_of(settings):
        for kind in KINDS:
            title = f"{words[kind]} with {size} latent dimension{'s' if size > 1 else ''}"
            found.append(Train(name_of(kind, size), title, config_of(settings, kind, size), cost=40))
    return found


def _planes(settings: Settings) -> list[Step]:
    vae, cvae = (name_of(kind, PLANE) for kind in KINDS)
    grid: dict[str, Any] = {name: settings[name] for name in ("cells", "extent", "points", "images")}
    space = {"images": settings["images"]}
    return [
        judge_step(settings.data, settings["judge_steps"], cost=25),
        Measure("one-class", "one class with and without a condition", (vae, cvae), one_class.measure,
                {"images": min(500, settings["images"])}, cost=2),
        Measure("plane", "the latent plane of the VAE", (vae,), plane.measure, grid, cost=15),
        Measure("space-vae", "the latent space of the VAE", (vae,), plane.measure_space,
                {**space, "run": vae, "gaps": settings["gaps"]}, cost=25),
        Measure("space-cvae", "the latent space of the CVAE", (cvae,), plane.measure_space,
                {**space, "run": cvae, "gaps": 0}, cost=25),
        Measure("failures", "where the VAE's images fail", (vae, "judge", "space-vae"), failures.measure,
                {**space, "samples": 2 * settings["samples"]}, cost=15),
        Measure("conditional-plane", "the latent planes of the CVAE", (cvae, vae, "judge"), conditional.measure,
                {**grid, "classes": settings["classes"]}, cost=20),
    ]  # fmt: skip


def _rest(settings: Settings) -> list[Step]:
    compared = [(kind, size, name_of(kind, size)) for kind in KINDS for size in sizes_of(settings)]
    runs: Sequence[str] = [name for _, _, name in compared]
    return [
        Measure("sizes", "reconstructions and samples of each size", (*runs, "judge"), sizes.measure,
                {"runs": compared, "samples": settings["samples"], "images": min(2000, settings["images"])}, cost=30),
        Measure("classification", "classification by Bayes' rule", ("classifier", "judge"), classifier.measure,
                {"samples": settings["bound_samples"]}, cost=150),
    ]  # fmt: skip
