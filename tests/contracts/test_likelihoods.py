"""What every likelihood must do. A new one adds a row: its spec and, where it is a density, where that lives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vaelab.likelihoods import LIKELIHOODS, Likelihood
from vaelab.specs import Spec

ROWS = {
    "bernoulli": None,
    "normal:std=0.2": (-3.0, 4.0),
    "normal:std=0.3,learned=true,mean=identity": (-8.0, 9.0),
    "normal:std=0.1,mean=identity,heteroscedastic=true": (-20.0, 21.0),
    "continuous-bernoulli": (0.0, 1.0),
    "logistic": None,
    "logistic:components=3": None,
}
LEVELS = {"grey": torch.arange(256).double() / 255, "dynamic": torch.arange(2.0).double()}
LEVELS["static"] = LEVELS["dynamic"]
PIXELS = 6


@pytest.fixture(params=ROWS)
def row(request) -> str:
    return request.param


@pytest.fixture
def likelihood(row) -> Likelihood:
    return LIKELIHOODS.build(Spec.parse(row))


def outputs(likelihood: Likelihood, *batch: int, channels: int = 1, side: int = 1, scale: float = 2.0) -> Tensor:
    """Random decoder outputs ``(*batch, outputs, side, side)`` in float64."""
    return scale * torch.randn(*batch, likelihood.outputs_per_channel * channels, side, side).double()


def support(row: str, likelihood: Likelihood) -> tuple[Tensor, Tensor]:
    """Points of a pixel ``(points,)`` and their weights, so that sums are sums over levels or integrals."""
    if ROWS[row] is None:
        levels = next(LEVELS[variant] for variant, measure in likelihood.measures.items() if measure == "mass")
        return levels, torch.ones_like(levels)
    low, high = ROWS[row]
    x = torch.linspace(low, high, 20_001, dtype=torch.float64)
    weights = torch.full_like(x, float(x[1] - x[0]))
    weights[[0, -1]] /= 2
    return x, weights


def probabilities(row: str, likelihood: Likelihood, output: Tensor) -> tuple[Tensor, Tensor]:
    """The support ``(points, 1)`` and the probability of each point and pixel ``(points, pixels)``."""
    x, weights = support(row, likelihood)
    px = likelihood(output.expand(len(x), *output.shape))
    return x[:, None], px.log_prob(x[:, None, None, None, None]).exp() * weights[:, None]


def test_every_likelihood_has_a_row(assert_every_name_has_a_row):
    assert_every_name_has_a_row(LIKELIHOODS, ROWS)


def test_measures_are_known_words_for_known_variants(likelihood):
    assert likelihood.measures
    assert set(likelihood.measures) <= {"grey", "dynamic", "static", "dequantised"}
    assert set(likelihood.measures.values()) <= {"mass", "density", "unnormalised"}


def test_every_mass_sums_to_one_over_the_levels_of_its_variant(likelihood):
    output = outputs(likelihood, PIXELS)
    for variant in (name for name, measure in likelihood.measures.items() if measure == "mass"):
        x = LEVELS[variant]
        px = likelihood(output.expand(len(x), *output.shape))
        total = px.log_prob(x[:, None, None, None, None]).exp().sum(0)
        torch.testing.assert_close(total, torch.ones(PIXELS).double(), atol=1e-9, rtol=0)


def test_every_density_integrates_to_one(row, likelihood):
    assert (ROWS[row] is not None) == ("density" in likelihood.measures.values())
    _, mass = probabilities(row, likelihood, outputs(likelihood, PIXELS))
    torch.testing.assert_close(mass.sum(0), torch.ones(PIXELS).double(), atol=1e-5, rtol=0)


def test_the_mean_is_the_expectation(row, likelihood):
    output = outputs(likelihood, 50)
    x, mass = probabilities(row, likelihood, output)
    half_a_level = 1 / 510 if row.startswith("logistic") else 1e-5
    torch.testing.assert_close(likelihood(output).mean.flatten(), (mass * x).sum(0), atol=half_a_level, rtol=0)


def test_samples_have_the_moments_of_the_distribution(row, likelihood):
    output, n = outputs(likelihood, PIXELS), 20_000
    x, mass = probabilities(row, likelihood, output)
    draws = likelihood(output.expand(n, *output.shape)).sample(torch.Generator().manual_seed(1)).reshape(n, PIXELS)
    for power in (1, 2):
        exact, values = (mass * x**power).sum(0), draws**power
        assert ((values.mean(0) - exact).abs() <= 5 * values.std(0) / n**0.5 + 1e-6).all()


def test_samples_lie_where_the_pixels_of_the_variant_do(row, likelihood):
    draws = likelihood(outputs(likelihood, 500)).sample()
    if ROWS[row] is None:
        levels = support(row, likelihood)[0]
        assert (draws.flatten()[:, None] - levels).abs().amin(1).max() < 1e-7
    else:
        assert draws.min() >= ROWS[row][0]
        assert draws.max() <= ROWS[row][1]


@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_with_importance_samples_in_front(likelihood, channels):
    px = likelihood(outputs(likelihood, 5, 4, channels=channels, side=3))
    assert px.log_prob(torch.rand(4, channels, 3, 3).double()).shape == (5, 4)
    assert px.mean.shape == px.sample().shape == (5, 4, channels, 3, 3)
    assert likelihood(outputs(likelihood, 4, channels=channels, side=3)).log_prob(
        torch.zeros(4, channels, 3, 3)
    ).shape == (4,)


def test_log_prob_sums_over_pixels_and_channels_that_are_independent(likelihood):
    output, x = outputs(likelihood, 2, channels=3, side=2), torch.randint(2, (2, 3, 2, 2)).double()
    by_pixel = 0
    for channel in range(3):
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            own = output.unflatten(1, (-1, 3))[:, :, channel, row, column][..., None, None]
            by_pixel += likelihood(own).log_prob(x[:, channel, row, column][:, None, None, None])
    torch.testing.assert_close(likelihood(output).log_prob(x), by_pixel)


def test_draws_depend_on_the_generator_alone(likelihood):
    px = likelihood(outputs(likelihood, 20, side=4))
    first, second = (px.sample(torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("value", [0.0, 1e4, -1e4, 1e12, -1e12])
@pytest.mark.parametrize("pixel", [0.0, 1.0])
def test_extreme_outputs_give_finite_densities_means_draws_and_gradients(row, likelihood, value, pixel):
    output = torch.full((2, likelihood.outputs_per_channel, 8, 8), value, requires_grad=True)
    px = likelihood(output)
    log_p = px.log_prob(torch.full((2, 1, 8, 8), pixel))
    (log_p.sum() + px.mean.sum()).backward()
    assert log_p.isfinite().all()
    assert output.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in likelihood.parameters())
    assert px.mean.isfinite().all()
    assert px.sample().isfinite().all()


@pytest.mark.parametrize("scale", [0.0, 0.1, 3.0, 30.0])
def test_float32_agrees_with_float64(row, likelihood, scale):
    output = outputs(likelihood, 5, side=28, scale=scale).float()
    x = likelihood(output).sample(torch.Generator().manual_seed(1))
    in_float32, in_float64 = (
        likelihood(output.to(kind)).log_prob(x.to(kind)) for kind in (torch.float32, torch.float64)
    )
    torch.testing.assert_close(in_float32.double(), in_float64, atol=2e-3, rtol=3e-6)


def test_gradients_reach_every_parameter_and_the_output(row, likelihood, assert_gradients_reach_every_parameter):
    output = outputs(likelihood, 4, side=3).requires_grad_()
    log_p = likelihood(output).log_prob(torch.full((4, 1, 3, 3), 102 / 255).double())
    assert_gradients_reach_every_parameter(likelihood, log_p.sum())
    assert (output.grad.abs() > 0).all()


def test_gradients_are_those_of_finite_differences(likelihood):
    x = torch.tensor([0.0, 1.0, 102 / 255]).double()[:, None, None, None]
    for output in (outputs(likelihood, 3), torch.zeros_like(outputs(likelihood, 3))):
        assert torch.autograd.gradcheck(lambda value: likelihood(value).log_prob(x), (output.requires_grad_(),))


def test_state_dict_round_trip(likelihood, assert_state_dict_round_trip):
    output, x = outputs(likelihood, 2, side=2), torch.zeros(2, 1, 2, 2).double()
    assert_state_dict_round_trip(likelihood, lambda module: module(output).log_prob(x))
