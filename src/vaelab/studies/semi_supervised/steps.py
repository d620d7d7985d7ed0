"""What sheet E asks to train and to measure, and what can be adjusted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from vaelab.applications.representations import METHODS
from vaelab.config import RunConfig
from vaelab.studies.judging import judge_step
from vaelab.studies.semi_supervised import few_labels, planes, representations, terms
from vaelab.studies.settings import Settings, keep_latent
from vaelab.studies.study import Measure, Option, Step, Train

PLANES = ("bernoulli", "gaussian")
"""The two models with a latent plane, by their likelihood."""

LEARNED = ("vae", "denoising")
"""The two models whose representations are compared."""

OPTIONS = {
    "epochs": Option(50, 4, "epochs of the two VAEs with a latent plane"),
    "batch": Option(100, 100, "their batch size"),
    "hidden": Option((128, 64), (64, 32), "hidden units of their encoder; the decoder has them in reverse"),
    "sigma": Option(0.2, 0.2, "σ of the Gaussian likelihood, in pixel values from 0 to 1"),
    "cells": Option(21, 9, "images along a side of the decoded plane", least=2),
    "points": Option(2000, 300, "test images in the interactive plane"),
    "near": Option(0.8, 0.8, "the share of the prior's mass around the origin in which gaps are sought", most=0.99),
    "gaps": Option(10, 6, "gaps that are decoded"),
    "samples": Option(1000, 200, "generated images that the judge is asked about", least=10),
    "judge_steps": Option(1000, 150, "training steps of the classifier that judges generated images"),
    "epochs_other": Option(5, 2, "epochs of the VAE and the denoising autoencoder"),
    "latent": Option(32, 8, "their latent dimensions"),
    "labels": Option((100, 500, 5000, 0), (10, 20), "numbers of labels; 0: all", least=0),
    "seeds": Option(3, 1, "how often the labels are chosen"),
    "seeds_all": Option(1, 1, "fits with all labels, where nothing is left to choose"),
    "methods": Option(
        "random-forest+svm+mlp", "random-forest+svm+mlp", "classifiers on the representations", known=tuple(METHODS)
    ),
}


def steps(settings: Settings) -> Sequence[Step]:
    """In a possible order."""
    return [
        *(_plane_model(settings, name) for name in PLANES),
        *(_representation_model(settings, name) for name in LEARNED),
        judge_step(settings.data, settings["judge_steps"]),
        judge_step(settings.other, settings["judge_steps"], "judge-other"),
        Measure(
            "terms",
            "the terms of the loss, checked",
            PLANES,
            terms.measure,
            {"sigma": settings["sigma"], "batch": settings["batch"]},
            cost=5,
        ),
        *(_plane(settings, name) for name in PLANES),
        Measure(
            "representations",
            "reconstructions, generated images and codes of the VAE and the denoising autoencoder",
            (*LEARNED, "judge-other"),
            representations.measure,
            {"samples": settings["samples"]},
            cost=40,
        ),
        Measure(
            "few-labels",
            "classifiers with few labels on the representations and on raw pixels",
            LEARNED,
            few_labels.measure,
            {name: settings[name] for name in ("labels", "seeds", "seeds_all", "methods")},
            cost=460,
            alone=True,
        ),
    ]


def _plane_model(settings: Settings, name: str) -> Train:
    """An MLP on each side of two latent dimensions; the Gaussian needs pixels that have a density."""
    hidden = settings["hidden"]
    gaussian = name == "gaussian"
    config = settings.config(
        name,
        "mlp-vae",
        variant="dequantised" if gaussian else "grey",
        validation=0.0,
        model={
            "latent": 2,
            "encoder": f"mlp:hidden={_widths(hidden)}",
            "decoder": f"mlp:hidden={_widths(hidden[::-1])}",
            "likelihood": f"normal:std={settings['sigma']}" if gaussian else "bernoulli",
        },
        training={
            "epochs": settings["epochs"],
            "batch_size": settings["batch"],
            "schedule": "constant",
            "lr": 1e-3,
            "average": 0.1,
        },
    )
    config = keep_latent(name, config, 2)
    config = dataclasses.replace(config, preset=f"{name.capitalize()} VAE")  # what its figures are titled with
    what = f"a Gaussian likelihood, σ = {settings['sigma']:g}" if gaussian else "a Bernoulli likelihood"
    return Train(name, f"VAE with a latent plane and {what}", config, cost=150)


def _widths(hidden: Sequence[int]) -> str:
    return "/".join(map(str, hidden)) + ("/" if len(hidden) == 1 else "")


def _representation_model(settings: Settings, name: str) -> Train:
    preset = "representation-vae" if name == "vae" else "denoising"
    config: RunConfig = settings.config(
        name,
        preset,
        data=settings.other,
        model={"latent": settings["latent"]},
        training={"epochs": settings["epochs_other"]},
    )
    title = "VAE for representations" if name == "vae" else "denoising autoencoder with the same networks"
    return Train(name, title, config, cost=120)


def _plane(settings: Settings, name: str) -> Measure:
    names = ("cells", "points", "near", "gaps", "samples")
    return Measure(
        f"plane-{name}",
        f"the latent plane of the {name.capitalize()} VAE and its gaps",
        (name, "judge"),
        planes.measure,
        {option: settings[option] for option in names},
        cost=25,
    )
