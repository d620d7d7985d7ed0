"""The importance-weighted log-likelihood against the exact one."""

from __future__ import annotations

import pytest
import torch

from vaelab.errors import UsageError
from vaelab.evaluation import evaluate_bounds, log_likelihood


@pytest.mark.parametrize(("shift", "widen"), [(0.0, 1.3), (0.15, 1.2)])
def test_estimate_is_the_exact_log_px_within_its_error(linear_gaussian, images, shift, widen):
    exact, data = linear_gaussian(shift, widen), images(12)
    scores = log_likelihood(exact.model, data, "grey", samples=2000)
    error = (1 / scores.effective_sample_size - 1 / scores.samples).clamp_min(0).sqrt()  # to first order
    assert ((scores.log_likelihood - exact.log_px(data)).abs() < 4 * error + 1e-4).all()
    assert (scores.effective_sample_size > 1).all()
    assert (scores.effective_sample_size < 2000).all()


def test_exact_posterior_needs_one_sample_and_wastes_none(linear_gaussian, images):
    exact, data = linear_gaussian(), images(5)
    for samples in (1, 60):
        scores = log_likelihood(exact.model, data, "grey", samples=samples)
        torch.testing.assert_close(scores.log_likelihood, exact.log_px(data), rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(
            scores.effective_sample_size, torch.full((5,), float(samples)).double(), rtol=1e-5, atol=0
        )


def test_one_sample_is_the_elbo_with_a_sampled_kl(small_model, images):
    # A mixture has no closed-form KL, so the bound takes it from the same draw.
    model, data = small_model(prior="mixture:components=4"), images(8)
    bound = evaluate_bounds(model, data, "grey", samples=1, seed=5).negative_elbo
    scores = log_likelihood(model, data, "grey", samples=1, seed=5)
    torch.testing.assert_close(-scores.log_likelihood, bound, rtol=1e-5, atol=1e-4)
    assert torch.equal(scores.effective_sample_size, torch.ones(8).double())


def test_more_samples_tighten_the_bound(linear_gaussian, images):
    exact, data = linear_gaussian(shift=0.4), images(60)
    means = [log_likelihood(exact.model, data, "grey", samples=k).log_likelihood.mean() for k in (1, 10, 100)]
    assert means[0] < means[1] < means[2] < exact.log_px(data).mean() + 0.05


def test_effective_sample_size_of_any_model_is_within_its_range(small_model, images):
    scores = log_likelihood(small_model(conditional=True), images(7), "dynamic", samples=75)
    assert (scores.effective_sample_size >= 1).all()
    assert (scores.effective_sample_size <= 75).all()


def test_an_autoencoder_has_no_likelihood(small_model, images):
    with pytest.raises(UsageError, match="no prior"):
        log_likelihood(small_model(kind="autoencoder"), images(2), "grey")
