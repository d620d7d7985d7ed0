"""Units, and the parameters of the likelihoods."""

from __future__ import annotations

import math

import pytest
import torch

from vaelab.distributions import Normal
from vaelab.likelihoods import LIKELIHOODS
from vaelab.specs import Spec


def build(spec: str):
    return LIKELIHOODS.build(Spec.parse(spec))


def test_bits_of_a_fair_coin_and_of_a_uniform_level():
    assert build("bernoulli").bits_per_dimension(10 * math.log(2), 10, "static") == pytest.approx(1)
    assert build("logistic").bits_per_dimension(10 * math.log(256), 10, "grey") == pytest.approx(8)


def test_bits_of_the_uniform_density_are_eight():
    """log p = 0 on [0, 1] for all pixels: as good as guessing one of 256 levels."""
    assert build("continuous-bernoulli").bits_per_dimension(0.0, 10, "dequantised") == pytest.approx(8)


@pytest.mark.parametrize(
    ("spec", "variant"),
    [("bernoulli", "grey"), ("bernoulli", "dequantised"), ("normal", "grey"), ("continuous-bernoulli", "grey")],
)
def test_what_is_no_likelihood_of_the_pixels_has_no_bits_and_says_so(spec, variant):
    likelihood = build(spec)
    assert likelihood.measures[variant] == "unnormalised"
    assert likelihood.bits_per_dimension(100.0, 10, variant) is None


def test_a_variant_that_is_not_listed_has_no_bits():
    assert build("logistic").bits_per_dimension(100.0, 10, "dynamic") is None


@pytest.mark.parametrize("learned", ["true", "false"])
def test_the_fixed_and_the_learned_standard_deviation_start_where_asked(learned):
    likelihood = build(f"normal:std=0.25,learned={learned}")
    px = likelihood(torch.zeros(1, 1, 2, 2))
    assert isinstance(px, Normal)
    assert float(px.log_std.exp().detach()) == pytest.approx(0.25)
    assert len(list(likelihood.parameters())) == (learned == "true")


@pytest.mark.parametrize(("mean", "expected"), [("sigmoid", 0.7310586), ("identity", 1.0)])
def test_the_mean_is_squashed_or_left_alone(mean, expected):
    assert float(build(f"normal:mean={mean}")(torch.ones(1, 1, 1, 1)).mean) == pytest.approx(expected)


def test_the_negative_log_likelihood_of_a_normal_by_hand():
    """Two pixels, σ = 0.1 (E6): ½ (0.2/0.1)² + ½ (0/0.1)² + 2 log 0.1 + log 2π."""
    px = build("normal:std=0.1,mean=identity")(torch.tensor([[[[0.3, 0.5]]]]))
    by_hand = 0.5 * 4 + 2 * math.log(0.1) + math.log(2 * math.pi)
    assert float(px.log_prob(torch.tensor([[[[0.5, 0.5]]]]))) == pytest.approx(-by_hand, rel=1e-5)


def test_logistic_outputs_are_grouped_by_part_then_component_then_channel():
    likelihood = build("logistic:components=2")
    output = torch.zeros(1, 3 * 2 * 3, 1, 1)
    output[0, [0, 1, 2]] = 2.0  # the locations of the first component, three channels
    output[0, 12:15] = 30.0  # its weights
    px = likelihood(output)
    torch.testing.assert_close(px.locations[0, 0].flatten(), torch.full((3,), 1.2 * 0.8807971 - 0.1))
    torch.testing.assert_close(px.log_weights[0, 0].exp().flatten(), torch.ones(3))
