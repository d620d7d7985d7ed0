"""Small models and images, and a linear-Gaussian VAE whose log p(x) is known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from vaelab.building import Model, build_model
from vaelab.config import ModelConfig
from vaelab.data.images import ImageData
from vaelab.posteriors import LOG_STD_RANGE

SHAPE = (1, 8, 8)
PIXELS = 64


def _images(n: int, seed: int = 0) -> ImageData:
    source = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (n, *SHAPE), dtype=torch.uint8, generator=source)
    return ImageData("noise", pixels, torch.arange(n) % 3, ("a", "b", "c"))


def _model(**changes: Any) -> Model:
    values = {"latent": 3, "encoder": "mlp:hidden=16/", "decoder": "mlp:hidden=16/", "image_shape": SHAPE, "classes": 3}
    return build_model(ModelConfig(**(values | changes)), seed=1)


@pytest.fixture
def images() -> Callable[..., ImageData]:
    """n → labelled 8×8 images of noise."""
    return _images


@pytest.fixture
def small_model() -> Callable[..., Model]:
    """Changes of the configuration → an untrained model on 8×8 images."""
    return _model


@dataclass
class LinearGaussian:
    """x = W z + b + σ ε, W with orthogonal columns, so that the exact posterior is a diagonal normal."""

    model: Model
    weight: Tensor
    bias: Tensor
    std: float

    def log_px(self, data: ImageData) -> Tensor:
        """log N(x; b, W Wᵀ + σ² I), float64."""
        x = data.images.double().flatten(1) / 255
        covariance = self.weight @ self.weight.T + self.std**2 * torch.eye(PIXELS, dtype=torch.float64)
        return torch.distributions.MultivariateNormal(self.bias, covariance).log_prob(x)


@pytest.fixture
def linear_gaussian() -> Callable[..., LinearGaussian]:
    """(shift, widen), which take the posterior away from the exact one → model and exact log p(x)."""

    def make(shift: float = 0.0, widen: float = 1.0, std: float = 0.5) -> LinearGaussian:
        parts = {"encoder": "linear", "decoder": "linear", "likelihood": f"normal:std={std},mean=identity"}
        model: Any = _model(latent=2, **parts)
        source = torch.Generator().manual_seed(3)
        basis, _ = torch.linalg.qr(torch.randn(PIXELS, 2, generator=source, dtype=torch.float64))
        weight = basis * torch.tensor([1.5, 0.7])
        bias = torch.full((PIXELS,), 0.5, dtype=torch.float64)
        precision = 1 + weight.square().sum(0) / std**2
        read = weight.T / std**2 / precision[:, None]
        log_std = -0.5 * precision.log() + math.log(widen)
        with torch.no_grad():
            model.decoder.first.linear.weight.copy_(weight)
            model.decoder.first.linear.bias.copy_(bias)
            model.posterior.mean.weight.copy_(read)
            model.posterior.mean.bias.copy_(shift - read @ bias)
            model.posterior.spread.weight.zero_()
            model.posterior.spread.bias.copy_(2 * _unbounded(log_std))
        return LinearGaussian(model, weight, bias, std)

    return make


def _unbounded(log_std: Tensor) -> Tensor:
    """The value that `soft_bound` maps to ``log_std``."""
    low, high = LOG_STD_RANGE

    def inverse_softplus(value: Tensor) -> Tensor:
        return value + torch.log(-torch.expm1(-value))

    return low + inverse_softplus(high - low - inverse_softplus(high - log_std))
