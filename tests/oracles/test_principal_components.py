"""A linear-Gaussian VAE trained on real images reaches probabilistic PCA, its exact optimum (Tipping & Bishop 1999)."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import Tensor

from vaelab.building import build_model
from vaelab.config import ModelConfig
from vaelab.objectives import ELBO, draw

CONFIG = ModelConfig(
    latent=2,
    encoder="linear",
    decoder="linear",
    likelihood="normal:std=0.5,learned=true,mean=identity",
    image_shape=(1, 8, 8),
)


@pytest.fixture(scope="module")
def digits() -> Tensor:
    return torch.tensor(load_digits().images[:100] / 16).float().unsqueeze(1)


@pytest.fixture(scope="module")
def optimum(digits) -> float:
    """The maximum of the mean log-likelihood over all models with two components."""
    flat = digits.flatten(1).double().numpy()
    return float(PCA(n_components=2, svd_solver="full").fit(flat).score_samples(flat).mean())


@pytest.fixture(scope="module")
def optimum_by_eigenvalues(digits) -> float:
    """−D/2 log 2π − ½ [log |C| + D] with σ² the mean of the discarded eigenvalues of the covariance (divided by n)."""
    values = torch.linalg.eigvalsh(torch.cov(digits.flatten(1).T.double(), correction=0)).flip(0)
    noise = values[2:].mean()
    return float(-0.5 * (64 * torch.log(torch.tensor(2 * torch.pi)) + values[:2].log().sum() + 62 * noise.log() + 64))


def exact_elbo(model, x: Tensor) -> Tensor:
    """The mean ELBO without sampling noise: sigma points integrate what is quadratic in z exactly."""
    points = 2**0.5 * torch.cat([torch.eye(2), -torch.eye(2)])[:, None, :].expand(-1, len(x), -1)
    drawn = draw(model, x, samples=4, noise=points)
    return (drawn.log_px.mean(0) - drawn.kl).mean()


def test_the_two_closed_forms_agree(optimum, optimum_by_eigenvalues):
    # scikit-learn divides the covariance by n − 1, which costs it about D/(4 n²) of the likelihood.
    assert 0 < optimum_by_eigenvalues - optimum < 64 / (2 * 100**2)


def test_training_to_convergence_reaches_the_exact_likelihood(digits, optimum_by_eigenvalues):
    model = build_model(CONFIG)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=300, line_search_fn="strong_wolfe", tolerance_change=0)

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = -exact_elbo(model, digits)
        loss.backward()
        return loss

    optimizer.step(step)
    assert float(exact_elbo(model, digits).detach()) == pytest.approx(optimum_by_eigenvalues, abs=5e-3)


def test_training_by_sampling_comes_close_and_never_passes_the_optimum(digits, optimum_by_eigenvalues):
    model, objective = build_model(CONFIG), ELBO(samples=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, 700)
    generator = torch.Generator().manual_seed(0)
    for _ in range(700):
        optimizer.zero_grad()
        objective(model, digits, generator=generator).loss.backward()
        optimizer.step()
        schedule.step()
    reached = float(exact_elbo(model, digits).detach())
    assert optimum_by_eigenvalues - 0.1 < reached < optimum_by_eigenvalues + 1e-3
