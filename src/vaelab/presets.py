"""Named, printable configurations, among them the course sheets' own networks.

A preset is a function that returns a `RunConfig`; add one by writing a function with the decorator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from vaelab.config import DataConfig, ModelConfig, RunConfig, TrainingConfig
from vaelab.errors import UsageError
from vaelab.specs import nearest

_PRESETS: dict[str, Callable[[], RunConfig]] = {}


def preset(name: str) -> Callable[[Callable[[], RunConfig]], Callable[[], RunConfig]]:
    """Decorator that adds a preset under ``name``; the first line of its docstring describes it."""

    def add(function: Callable[[], RunConfig]) -> Callable[[], RunConfig]:
        _PRESETS[name] = function
        return function

    return add


def names() -> list[str]:
    """All presets' names, sorted."""
    return sorted(_PRESETS)


def describe(name: str) -> str:
    """The first line of a preset's description; raises `UsageError` as `get` does."""
    return (_maker(name).__doc__ or "").strip().splitlines()[0]


def get(name: str) -> RunConfig:
    """The configuration under ``name``; raises `UsageError` naming the nearest ones.

    >>> get("conv-vae").training.batch_size
    32
    """
    config = _maker(name)()
    return dataclasses.replace(config, preset=name)


def _maker(name: str) -> Callable[[], RunConfig]:
    if name not in _PRESETS:
        raise UsageError(f"unknown preset {name!r}; {nearest(name, _PRESETS)}")
    return _PRESETS[name]


@preset("conv-vae")
def conv_vae() -> RunConfig:
    """Sheet C's convolutional VAE (C1–C5): 2 latent dimensions, grey pixels, batch 32, Adam 1e-3, 10 epochs."""
    # The sheet's steps as they are; what is kept is their average over about the last epoch.
    return RunConfig(training=TrainingConfig(batch_size=32, epochs=10, lr=1e-3, average=0.1))


@preset("conv-cvae")
def conv_cvae() -> RunConfig:
    """Sheet C's conditional VAE (C13–C14): conv-vae with the label added through linear layers of its own."""
    return RunConfig(
        model=ModelConfig(conditional=True, condition="add"),
        training=conv_vae().training,
    )


@preset("mlp-vae")
def mlp_vae() -> RunConfig:
    """A fully connected VAE, 2×512 hidden units, 20 latent dimensions, dynamically binarised pixels."""
    return RunConfig(
        data=DataConfig(variant="dynamic", validation=5000),
        model=ModelConfig(latent=20, encoder="mlp:hidden=512/512", decoder="mlp:hidden=512/512"),
        training=TrainingConfig(batch_size=128, epochs=30, schedule="one-cycle", lr=2e-3),
    )


@preset("mlp-cvae")
def mlp_cvae() -> RunConfig:
    """A fully connected conditional VAE, 2 latent dimensions (B1): the label beside the inputs of both networks."""
    return RunConfig(
        model=ModelConfig(conditional=True, encoder="mlp:hidden=512/256", decoder="mlp:hidden=256/512"),
        training=TrainingConfig(batch_size=128, epochs=5),
    )


@preset("gaussian-vae")
def gaussian_vae() -> RunConfig:
    """Sheet D's Gaussian VAE (D1–D4): dequantised pixels, σ = 0.1, three convolutions, 24 latent dimensions."""
    return RunConfig(
        data=DataConfig(variant="dequantised", validation=5000),
        model=ModelConfig(
            latent=24,
            # Halved at once and widest in the linear layers: a third of the time of convolutions at full size.
            encoder="conv:channels=32/64/32,strides=2/2/1,hidden=512/256",
            decoder="conv:channels=32/64/32,strides=1/2/2,hidden=256/512",
            posterior="normal:head=log-std",
            likelihood="normal:std=0.1",
        ),
        training=TrainingConfig(batch_size=64, epochs=20, schedule="one-cycle", lr=2e-3),
    )


@preset("classifier")
def classifier() -> RunConfig:
    """The generative classifier (A11, C18): a CVAE with 16 latent dimensions, moved images; minutes on two cores."""
    return RunConfig(
        data=DataConfig(validation=5000),
        model=ModelConfig(latent=16, conditional=True, encoder="mlp:hidden=768/512", decoder="mlp:hidden=512/768"),
        training=TrainingConfig(
            augmentation="shift:pixels=1", batch_size=256, epochs=50, schedule="one-cycle", lr=3e-3
        ),
    )


@preset("classifier-large")
def classifier_large() -> RunConfig:
    """The generative classifier for a GPU: residual networks, larger moves, 150 epochs. Not measured yet."""
    return RunConfig(
        data=DataConfig(validation=5000),
        model=ModelConfig(
            latent=16,
            conditional=True,
            encoder="residual:channels=64/128,blocks=2,hidden=512",
            decoder="residual:channels=128/64,blocks=2,hidden=512",
        ),
        training=TrainingConfig(
            augmentation="shift:pixels=2", batch_size=512, epochs=150, schedule="one-cycle", lr=2e-3, clip=100.0
        ),
    )


@preset("anomaly")
def anomaly() -> RunConfig:
    """Anomaly detection (B6): a convolutional VAE with 32 latent dimensions, grey pixels."""
    return RunConfig(
        data=DataConfig(validation=5000),
        model=ModelConfig(
            latent=32, encoder="conv:channels=32/64,hidden=128", decoder="conv:channels=64/32,hidden=128"
        ),
        training=TrainingConfig(batch_size=128, epochs=5, schedule="one-cycle", lr=2e-3),
    )


@preset("residual-vae")
def residual_vae() -> RunConfig:
    """A small residual VAE with a VampPrior, 32 latent dimensions, dynamically binarised pixels."""
    return RunConfig(
        data=DataConfig(variant="dynamic", validation=5000),
        model=ModelConfig(latent=32, encoder="residual", decoder="residual", prior="vamp:components=100"),
        training=TrainingConfig(batch_size=128, epochs=20, schedule="one-cycle", lr=2e-3, clip=100.0),
    )


@preset("representation-vae")
def representation_vae() -> RunConfig:
    """A VAE for representations (E11): convolutional, 32 latent dimensions; the networks of denoising."""
    return RunConfig(
        # The small σ makes the VAE keep more of the image than a Bernoulli does, which the classifiers profit from.
        model=ModelConfig(latent=32, encoder="conv:hidden=128", decoder="conv:hidden=128", likelihood="normal:std=0.1"),
        training=TrainingConfig(epochs=5, schedule="one-cycle", lr=2e-3),
    )


@preset("denoising")
def denoising() -> RunConfig:
    """A denoising autoencoder (E11): convolutional, 32 latent dimensions, Gaussian corruption."""
    config = representation_vae()
    return config.with_changes(
        model={"kind": "autoencoder", "likelihood": "bernoulli"},
        training={"objective": "reconstruction", "corruption": "gaussian:std=0.3"},
    )


@preset("m1")
def m1() -> RunConfig:
    """M1: a VAE without labels whose latents an m1m2 classifies: 2×600 hidden units, 10 latent dimensions."""
    # With 50, as in the paper, two thirds are not used, and their noise is in the way of M2.
    return RunConfig(
        data=DataConfig(variant="dynamic"),
        model=ModelConfig(latent=10, encoder="mlp:hidden=600/600", decoder="mlp:hidden=600/600"),
        training=TrainingConfig(batch_size=200, epochs=20, schedule="one-cycle", lr=2e-3),
    )


@preset("m2")
def m2() -> RunConfig:
    """M2: semi-supervised, 100 labels; fully connected, 50 latent dimensions, dynamically binarised pixels."""
    return RunConfig(
        data=DataConfig(variant="dynamic", labels=100),
        model=ModelConfig(
            kind="m2",
            latent=50,
            conditional=True,
            encoder="mlp:hidden=500/",
            decoder="mlp:hidden=500/",
            classifier="mlp:hidden=500/",
        ),
        training=TrainingConfig(objective="m2:labelled=0.02", batch_size=200, labelled_batch=20, epochs=5),
    )


@preset("m1m2")
def m1m2() -> RunConfig:
    """M1+M2: an M2 with 100 labels on the latents of a run of the preset m1 (--m1 RUN)."""
    return RunConfig(
        data=DataConfig(variant="dynamic", labels=100),
        model=dataclasses.replace(m1().model, kind="m1+m2", top="m2:latent=5,hidden=500"),
        training=TrainingConfig(
            objective="m2:labelled=0.02", batch_size=200, labelled_batch=20, epochs=15, schedule="one-cycle", lr=3e-3
        ),
    )


@preset("digits-m2")
def digits_m2() -> RunConfig:
    """A semi-supervised VAE on the embedded 8×8 digits with 100 labels: seconds to train."""
    return RunConfig(
        data=DataConfig(name="digits", labels=100),
        model=ModelConfig(
            kind="m2",
            latent=8,
            conditional=True,
            encoder="mlp:hidden=128/",
            decoder="mlp:hidden=128/",
            classifier="mlp:hidden=128/",
        ),
        training=TrainingConfig(objective="m2", batch_size=128, labelled_batch=64, epochs=30, lr=2e-3),
    )


@preset("digits-vae")
def digits_vae() -> RunConfig:
    """The demo's VAE on the embedded 8×8 digits: small, 2 latent dimensions, seconds to train."""
    return RunConfig(
        data=DataConfig(name="digits"),
        model=ModelConfig(encoder="mlp:hidden=128/64", decoder="mlp:hidden=64/128"),
        training=TrainingConfig(batch_size=64, epochs=60, schedule="one-cycle", lr=4e-3),
    )


@preset("digits-cvae")
def digits_cvae() -> RunConfig:
    """The demo's conditional VAE on the embedded 8×8 digits."""
    config = digits_vae()
    return config.with_changes(model={"conditional": True})
