"""A linear-Gaussian VAE, whose every quantity is known exactly: p(x) = N(b, W Wᵀ + σ² I)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from vaelab.building import build_model
from vaelab.config import ModelConfig
from vaelab.posteriors import LOG_STD_RANGE
from vaelab.vae import VAE

STD = 0.5
LATENT = 2
CONFIG = ModelConfig(
    latent=LATENT,
    encoder="linear",
    decoder="linear",
    posterior="normal:head=log-std",
    likelihood=f"normal:std={STD},learned=true,mean=identity",
    image_shape=(1, 8, 8),
)


@dataclass
class LinearGaussian:
    """The model, images drawn from it, and log p(x) of each in float64."""

    model: VAE
    x: Tensor
    log_px: Tensor


def exact_log_px(model: VAE, x: Tensor) -> Tensor:
    """log N(x; b, W Wᵀ + σ² I) in float64."""
    weight, bias = (model.decoder.first.linear.get_parameter(name).detach().double() for name in ("weight", "bias"))
    noise = (2 * model.likelihood.log_std.detach().double()).exp() * torch.eye(len(weight)).double()
    normal = torch.distributions.MultivariateNormal(bias, weight @ weight.T + noise)
    return normal.log_prob(x.flatten(1).double())


@pytest.fixture
def linear_gaussian() -> LinearGaussian:
    """The columns of W are orthogonal, so that the exact posterior is diagonal; q is set to it."""
    generator = torch.Generator().manual_seed(0)
    model = build_model(CONFIG)
    assert isinstance(model, VAE)
    columns = torch.linalg.qr(torch.randn(64, LATENT, generator=generator)).Q * torch.tensor([1.5, 0.8])
    precision = 1 + columns.square().sum(0) / STD**2
    with torch.no_grad():
        bias = 0.3 * torch.randn(64, generator=generator)
        model.decoder.first.linear.weight.copy_(columns)
        model.decoder.first.linear.bias.copy_(bias)
        weight = columns.T / STD**2 / precision[:, None]
        model.posterior.mean.weight.copy_(weight)
        model.posterior.mean.bias.copy_(-weight @ bias)
        model.posterior.spread.weight.zero_()
        # The head's soft bound is near to the identity; what is left of it is undone here.
        model.posterior.spread.bias.copy_(unbound(-0.5 * precision.log()))
        x = model.sample(6, generator=generator, draw=True)
    return LinearGaussian(model, x, exact_log_px(model, x))


def unbound(log_std: Tensor) -> Tensor:
    """The inverse of the posterior's soft bound, exactly."""
    low, high = LOG_STD_RANGE
    inner = torch.log(torch.expm1(high - log_std.double()))
    return (torch.log(torch.expm1(high - low - inner)) + low).float()


@pytest.fixture
def standard_error():
    """Of the mean over the first dimension."""
    return lambda values: values.std(0) / math.sqrt(len(values))
