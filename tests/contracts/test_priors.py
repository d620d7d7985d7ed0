"""What every prior must do. A new one adds a row."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vaelab.distributions import DiagonalNormal
from vaelab.priors import PRIORS, Prior
from vaelab.specs import Spec

ROWS = ["normal", "mixture:components=3", "mixture:components=3,per_class=true", "vamp:components=3"]
BY_CLASS = {"mixture:components=3,per_class=true", "vamp:components=3"}
IMAGE, CLASSES = (1, 8, 8), 4


class Encoder(nn.Module):
    """A stand-in for the model's encoder, in float64, that uses the label."""

    def __init__(self, latent: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 2 * latent)
        self.label = nn.Embedding(classes, 2 * latent)

    def forward(self, x: Tensor, c: Tensor | None) -> DiagonalNormal:
        mean, log_std = (self.linear(x.flatten(1)) + (0 if c is None else self.label(c))).chunk(2, dim=1)
        return DiagonalNormal(mean, log_std)


@pytest.fixture(params=ROWS)
def row(request) -> str:
    return request.param


@pytest.fixture
def make(row) -> Callable[..., tuple[Prior, Encoder]]:
    """The prior in float64 with every parameter moved away from its start, and an encoder."""

    def build(latent: int = 2, classes: int = CLASSES) -> tuple[Prior, Encoder]:
        prior = PRIORS.build(Spec.parse(row), latent, IMAGE, classes).double()
        with torch.no_grad():
            for parameter in prior.parameters():
                parameter.add_(0.5 * torch.randn_like(parameter))
        return prior, Encoder(latent, max(classes, 1)).double()

    return build


def labels(batch: int) -> Tensor:
    return torch.arange(batch) % CLASSES


def test_every_prior_has_a_row(assert_every_name_has_a_row):
    assert_every_name_has_a_row(PRIORS, ROWS)


def test_shapes_of_samples_and_densities(make):
    prior, encode = make()
    pz = prior(5, labels(5), encode)
    z = pz.rsample(3)
    assert z.shape == (3, 5, 2)
    assert pz.log_prob(z).shape == (3, 5)
    assert pz.log_prob(z).isfinite().all()


def test_a_model_without_a_condition_needs_no_label(row, make):
    if "per_class" in row:
        with pytest.raises(Exception, match="per_class needs a model with a condition"):
            make(classes=0)
    else:
        prior, encode = make(classes=0)
        assert prior(5, None, encode).log_prob(torch.zeros(1, 5, 2).double()).shape == (1, 5)


def test_draws_depend_on_the_generator_alone(make):
    prior, encode = make()
    pz = prior(5, labels(5), encode)
    first, second = (pz.rsample(3, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, pz.rsample(3, torch.Generator().manual_seed(8)))


def test_the_density_integrates_to_one_and_has_the_moments_of_its_samples_in_one_dimension(make):
    prior, encode = make(latent=1)
    pz = prior(CLASSES, labels(CLASSES), encode)
    grid = torch.linspace(-30, 30, 6001, dtype=torch.float64)[:, None, None]
    density = pz.log_prob(grid.expand(-1, CLASSES, -1)).exp()
    draws = pz.rsample(20_000, torch.Generator().manual_seed(1)).squeeze(-1)
    torch.testing.assert_close(density.sum(0) * 0.01, torch.ones(CLASSES).double(), atol=1e-6, rtol=0)
    for power in (1, 2):
        exact = (density * grid.squeeze(-1) ** power).sum(0) * 0.01
        values = draws**power
        assert ((values.mean(0) - exact).abs() < 5 * values.std(0) / len(draws) ** 0.5).all()


def test_the_density_integrates_to_one_and_has_the_covariance_of_its_samples_in_two_dimensions(make):
    prior, encode = make(latent=2)
    pz = prior(1, labels(1), encode)
    axis = torch.linspace(-15, 15, 301, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    mass = pz.log_prob(grid[:, None]).exp().squeeze(1) * 0.01
    assert float(mass.detach().sum()) == pytest.approx(1, abs=1e-6)
    draws = pz.rsample(20_000, torch.Generator().manual_seed(1)).squeeze(1)
    products = draws[:, 0] * draws[:, 1]
    exact = (mass * grid[:, 0] * grid[:, 1]).sum()
    assert (products.mean() - exact).abs() < 5 * products.std() / len(draws) ** 0.5


def test_gradients_reach_every_parameter(make, assert_gradients_reach_every_parameter):
    prior, encode = make()
    log_p = prior(8, labels(8), encode).log_prob(torch.randn(4, 8, 2).double())
    if list(prior.parameters()):
        assert_gradients_reach_every_parameter(prior, log_p.sum())


def test_only_priors_that_know_the_class_depend_on_it(row, make):
    prior, encode = make()
    z = torch.randn(1, 1, 2).double().expand(1, CLASSES, 2)
    log_p = prior(CLASSES, labels(CLASSES), encode).log_prob(z)
    assert (len(set(log_p.flatten().tolist())) == CLASSES) == (row in BY_CLASS)


def test_an_image_is_independent_of_its_batch(make):
    prior, encode = make()
    c, z = torch.tensor([3, 0, 3, 1]), torch.randn(2, 4, 2).double()
    together = prior(4, c, encode).log_prob(z)
    alone = torch.cat([prior(1, c[i : i + 1], encode).log_prob(z[:, i : i + 1]) for i in range(4)], dim=1)
    torch.testing.assert_close(together, alone)


def test_state_dict_round_trip(make, assert_state_dict_round_trip):
    prior, encode = make()
    z = torch.randn(1, 4, 2).double()
    assert_state_dict_round_trip(prior, lambda module: module(4, labels(4), encode).log_prob(z))


@pytest.mark.parametrize("value", [0.0, 1e6, -1e6])
def test_extreme_latents_and_parameters_give_finite_densities_and_gradients(row, value):
    prior = PRIORS.build(Spec.parse(row), 2, IMAGE, CLASSES)
    encode = Encoder(2, CLASSES)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.fill_(value)
    z = torch.full((1, 4, 2), value, requires_grad=True)
    pz = prior(4, labels(4), encode)
    pz.log_prob(z).sum().backward()
    assert pz.log_prob(z).isfinite().all()
    assert pz.rsample(2).isfinite().all()
    assert z.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in prior.parameters())
