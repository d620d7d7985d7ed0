"""Small models and images, and a linear-Gaussian VAE whose best posterior and log p(x) are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from vaelab.building import build_model
from vaelab.config import ModelConfig
from vaelab.data.images import ImageData
from vaelab.posteriors import LOG_STD_RANGE
from vaelab.vae import VAE


def _model(**changes: Any) -> Any:
    values = {"latent": 3, "encoder": "mlp:hidden=16/", "decoder": "mlp:hidden=16/", "image_shape": (1, 8, 8)}
    return build_model(ModelConfig(**(values | changes)), seed=1)


def _images(n: int, channels: int = 1, seed: int = 0) -> ImageData:
    source = torch.Generator().manual_seed(seed)
    return ImageData("noise", torch.randint(256, (n, channels, 8, 8), dtype=torch.uint8, generator=source))


@pytest.fixture
def model() -> Callable[..., Any]:
    """Changes of the configuration → an untrained model on 8×8 images."""
    return _model


@pytest.fixture
def images() -> Callable[..., ImageData]:
    """n → 8×8 images of noise, without labels."""
    return _images


@dataclass
class LinearGaussian:
    """x = W z + b + σ ε with orthogonal columns of W: the best posterior is diagonal, and exact."""

    model: VAE
    weight: Tensor
    bias: Tensor
    std: float = 0.5

    def log_px(self, data: ImageData) -> Tensor:
        """log N(x; b, W Wᵀ + σ² I), float64."""
        covariance = self.weight @ self.weight.T + self.std**2 * torch.eye(64, dtype=torch.float64)
        normal = torch.distributions.MultivariateNormal(self.bias, covariance)
        return normal.log_prob(data.images.double().flatten(1) / 255)


@pytest.fixture
def linear_gaussian() -> Callable[..., LinearGaussian]:
    """(shift, widen), which take the encoder's posterior away from the best one."""

    def make(shift: float = 0.0, widen: float = 1.0, std: float = 0.5) -> LinearGaussian:
        parts = {"encoder": "linear", "decoder": "linear", "likelihood": f"normal:std={std},mean=identity"}
        made = _model(latent=2, **parts)
        source = torch.Generator().manual_seed(3)
        basis, _ = torch.linalg.qr(torch.randn(64, 2, generator=source, dtype=torch.float64))
        weight, bias = basis * torch.tensor([1.5, 0.7]), torch.full((64,), 0.5, dtype=torch.float64)
        precision = 1 + weight.square().sum(0) / std**2
        read = weight.T / std**2 / precision[:, None]
        with torch.no_grad():
            made.decoder.first.linear.weight.copy_(weight)
            made.decoder.first.linear.bias.copy_(bias)
            made.posterior.mean.weight.copy_(read)
            made.posterior.mean.bias.copy_(shift - read @ bias)
            made.posterior.spread.weight.zero_()
            made.posterior.spread.bias.copy_(2 * _unbounded(-0.5 * precision.log() + math.log(widen)))
        return LinearGaussian(made, weight, bias, std)

    return make


def _unbounded(log_std: Tensor) -> Tensor:
    """The value that the posterior's soft bound maps to ``log_std``."""
    low, high = LOG_STD_RANGE
    inner = torch.log(torch.expm1(high - log_std.double()))
    return torch.log(torch.expm1(high - low - inner)) + low
