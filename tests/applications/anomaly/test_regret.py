"""Likelihood regret against what it is where the best posterior is known."""

from __future__ import annotations

import itertools

import pytest
import torch

from vaelab.applications.anomaly import likelihood_regret
from vaelab.errors import UsageError
from vaelab.evaluation import evaluate_bounds


def test_it_is_the_gap_between_the_bound_and_log_px(linear_gaussian, images):
    """After enough steps the refined posterior is the best one, whose bound is log p(x) itself."""
    exact, data = linear_gaussian(shift=0.6, widen=2.0), images(8)
    found = likelihood_regret(exact.model, data, "grey", steps=100, lr=0.1, samples=1000)
    gap = exact.log_px(data) - found.before
    assert (gap > 1).all()
    torch.testing.assert_close(found.regret, gap, rtol=0.02, atol=0.15)


def test_at_the_best_posterior_there_is_next_to_none(linear_gaussian, images):
    exact, data = linear_gaussian(), images(8)
    regret = likelihood_regret(exact.model, data, "grey", steps=100, samples=1000).regret
    assert (regret.abs() < 0.1).all()


def test_more_steps_regret_more_and_none_regret_nothing(linear_gaussian, images):
    exact, data = linear_gaussian(shift=0.6, widen=2.0), images(8)
    found = [likelihood_regret(exact.model, data, "grey", steps=steps, samples=200) for steps in (0, 4, 15, 60)]
    assert (found[0].regret == 0).all()
    for fewer, more in itertools.pairwise(found):
        assert (more.regret > fewer.regret).all()
        assert torch.equal(more.before, fewer.before)


def test_the_bound_before_is_that_of_the_evaluation(model, images):
    data = images(7)
    for prior in ("normal", "mixture:components=3"):
        made = model(prior=prior)
        before = likelihood_regret(made, data, "dynamic", steps=1, samples=55, seed=3).before
        expected = -evaluate_bounds(made, data, "dynamic", samples=55, seed=3).negative_elbo
        torch.testing.assert_close(before, expected, rtol=1e-5, atol=1e-5)


def test_images_of_a_batch_do_not_mix(model, images):
    data = images(9)
    whole = likelihood_regret(model(), data, "grey", steps=12, samples=3)
    for size in (1, 4):
        parts = likelihood_regret(model(), data, "grey", steps=12, samples=3, batch_size=size)
        torch.testing.assert_close(parts.regret, whole.regret, rtol=1e-5, atol=1e-4)
    assert torch.allclose(likelihood_regret(model(), data, "grey", steps=12, samples=3, memory=1).after, whole.after)


def test_weights_gradients_and_the_global_generator_are_left_alone(model, images):
    made = model().train()
    before, state = {name: value.clone() for name, value in made.state_dict().items()}, torch.get_rng_state()
    with torch.no_grad():
        likelihood_regret(made, images(3), "grey", steps=3)
    assert made.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in made.parameters())


def test_refusals(model, images):
    with pytest.raises(UsageError, match="steps ≥ 0, got -1"):
        likelihood_regret(model(), images(2), "grey", steps=-1)
    with pytest.raises(UsageError, match="samples ≥ 1, got 0"):
        likelihood_regret(model(), images(2), "grey", samples=0)
