"""Named, printable configurations, among them the course sheets' own networks.

A preset is a function that returns a `RunConfig`; add one by writing a function with the decorator.
"""

from __future__ import annotations

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
    return RunConfig(name, config.data, config.model, config.training)


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
    """Sheet D's Gaussian VAE (D1–D4): dequantised pixels, σ = 0.1, four convolutions, 16 latent dimensions."""
    return RunConfig(
        data=DataConfig(variant="dequantised", validation=5000),
        model=ModelConfig(
            latent=16,
            encoder="conv:channels=32/32/64/64,strides=1/2/1/2,hidden=256/128",
            decoder="conv:channels=64/64/32/32,strides=2/1/2/1,hidden=128/256",
            posterior="normal:head=log-std",
            likelihood="normal:std=0.1",
        ),
        training=TrainingConfig(batch_size=128, epochs=10, schedule="one-cycle", lr=2e-3),
    )


@preset("residual-vae")
def residual_vae() -> RunConfig:
    """A small residual VAE with a VampPrior, 32 latent dimensions, dynamically binarised pixels."""
    return RunConfig(
        data=DataConfig(variant="dynamic", validation=5000),
        model=ModelConfig(latent=32, encoder="residual", decoder="residual", prior="vamp:components=100"),
        training=TrainingConfig(batch_size=128, epochs=20, schedule="one-cycle", lr=2e-3, clip=100.0),
    )


@preset("denoising")
def denoising() -> RunConfig:
    """A denoising autoencoder (E11): convolutional, 32 latent dimensions, Gaussian corruption."""
    return RunConfig(
        model=ModelConfig(kind="autoencoder", latent=32, encoder="conv:hidden=128", decoder="conv:hidden=128"),
        training=TrainingConfig(objective="reconstruction", corruption="gaussian:std=0.3", epochs=10),
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
