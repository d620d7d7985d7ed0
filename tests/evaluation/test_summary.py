"""The metrics: which there are, their units, errors and protocols."""

from __future__ import annotations

import math

import pytest
import torch

from vaelab.data.corruption import CORRUPTIONS, corrupt_fixed
from vaelab.errors import UsageError
from vaelab.evaluation import evaluate, evaluate_bounds, log_likelihood, posterior_statistics
from vaelab.specs import Spec

NATS = "nats per image"


def test_names_units_and_protocols(small_model, images):
    metrics = evaluate(small_model(), images(9), variant="grey", split="test", samples=2, importance_samples=4, seed=3)
    start, end = "test split, grey pixels (unnormalised Bernoulli), ", ", seed 3"
    two, four = "2 samples of z per image", "K = 4 samples of z per image"
    expected = {
        "negative_elbo": (NATS, f"upper bound on −log p(x), {two}"),
        "reconstruction": (NATS, two),
        "kl": (NATS, "closed form"),
        "negative_log_likelihood": (NATS, f"importance-weighted estimate of −log p(x), {four}"),
        "effective_sample_size": ("samples", four),
        "active_units": ("latent dimensions", "variance of the posterior mean over the images > 0.01"),
    } | {f"kl_of_dimension_{j}": (NATS, "closed form") for j in (1, 2, 3)}
    assert {name: (m.unit, m.protocol) for name, m in metrics.items()} == {
        name: (unit, start + words + end) for name, (unit, words) in expected.items()
    }
    assert all(metric.n == 9 for metric in metrics.values())


def test_values_are_means_with_their_errors(small_model, images):
    model, data = small_model(), images(9)
    metrics = evaluate(model, data, variant="grey", split="test", importance_samples=4, batch_size=4)
    scores = evaluate_bounds(model, data, "grey")
    assert math.isclose(metrics["negative_elbo"].value, float(scores.negative_elbo.mean()), rel_tol=1e-5)
    error = float(scores.negative_elbo.std()) / 3
    assert math.isclose(metrics["negative_elbo"].standard_error, error, rel_tol=1e-3)
    weighted = log_likelihood(model, data, "grey", samples=4)
    assert math.isclose(metrics["negative_log_likelihood"].value, -float(weighted.log_likelihood.mean()), rel_tol=1e-5)
    by_dimension = posterior_statistics(model, data, "grey").kl.mean(0)
    got = [metrics[f"kl_of_dimension_{j}"].value for j in (1, 2, 3)]
    torch.testing.assert_close(torch.tensor(got).double(), by_dimension)
    assert math.isclose(sum(got), metrics["kl"].value, rel_tol=1e-6)


@pytest.mark.parametrize(
    ("likelihood", "variant", "words"),
    [
        ("bernoulli", "dynamic", "dynamically binarised pixels (Bernoulli mass)"),
        ("bernoulli", "static", "statically binarised pixels (Bernoulli mass)"),
        ("logistic", "grey", "grey pixels (logistic mass)"),
        ("normal", "dequantised", "dequantised pixels (normal density)"),
        ("normal", "grey", "grey pixels (unnormalised normal)"),
        ("continuous-bernoulli", "dequantised", "dequantised pixels (continuous Bernoulli density)"),
    ],
)
def test_pixels_and_bits(small_model, images, likelihood, variant, words):
    metrics = evaluate(small_model(likelihood=likelihood), images(4), variant=variant, split="validation")
    elbo = metrics["negative_elbo"]
    assert elbo.protocol.startswith(f"validation split, {words}, upper bound on −log p(x)")
    if "unnormalised" in words:
        assert "bits_per_dimension" not in metrics
        return
    bits = metrics["bits_per_dimension"]
    offset = math.log(256) if variant == "dequantised" else 0
    assert math.isclose(bits.value, (elbo.value / 64 + offset) / math.log(2), rel_tol=1e-6)
    assert math.isclose(bits.standard_error, elbo.standard_error / 64 / math.log(2), rel_tol=1e-6)
    assert bits.protocol == elbo.protocol


def test_bits_hand_case(small_model, images):
    # A decoder that gives probability ½ to every pixel: 1 bit per dimension, whatever z is.
    model = small_model()
    with torch.no_grad():
        for parameter in [*model.decoder.parameters(), *model.posterior.parameters()]:
            parameter.zero_()
    for k in (0, 3):
        metrics = evaluate(model, images(4), variant="dynamic", split="test", importance_samples=k)
        assert math.isclose(metrics["bits_per_dimension"].value, 1, rel_tol=1e-5)
    assert "importance-weighted estimate" in metrics["bits_per_dimension"].protocol


def test_bits_are_of_the_tighter_bound(small_model, images):
    metrics = evaluate(small_model(), images(6), variant="dynamic", split="test", importance_samples=50)
    nll = metrics["negative_log_likelihood"].value
    assert nll < metrics["negative_elbo"].value
    assert math.isclose(metrics["bits_per_dimension"].value, nll / 64 / math.log(2), rel_tol=1e-6)


def test_conditional_models_say_so(small_model, images):
    metrics = evaluate(small_model(conditional=True), images(4), variant="grey", split="test")
    assert "given the label, upper bound on −log p(x|c)" in metrics["negative_elbo"].protocol


def test_a_sampled_kl_says_so(small_model, images):
    metrics = evaluate(small_model(prior="mixture"), images(4), variant="grey", split="test")
    assert "1 sample of z per image" in metrics["kl"].protocol
    assert not any(name.startswith("kl_of") for name in metrics)


def test_many_dimensions_are_not_listed_and_one_image_has_no_active_units(small_model, images):
    assert "kl_of_dimension_1" not in evaluate(small_model(latent=65), images(2), variant="grey", split="test")
    metrics = evaluate(small_model(), images(1), variant="grey", split="test")
    assert "active_units" not in metrics
    assert metrics["kl"].standard_error is None


def test_an_autoencoder_has_its_reconstruction(small_model, images):
    model = small_model(kind="autoencoder")
    metrics = evaluate(model, images(4), variant="grey", split="test")
    assert list(metrics) == ["reconstruction"]
    assert metrics["reconstruction"].protocol == (
        "test split, grey pixels (unnormalised Bernoulli), clean input, at the code, no bound on −log p(x), seed 0"
    )
    with pytest.raises(UsageError, match="no prior"):
        evaluate(model, images(4), variant="grey", split="test", importance_samples=5)


def test_a_denoising_autoencoder_is_scored_on_both_inputs(small_model, images):
    model, data, spec = small_model(kind="autoencoder"), images(6), "masking:fraction=0.5"
    clean = evaluate(model, data, variant="grey", split="test", corruption="none")
    metrics = evaluate(model, data, variant="grey", split="test", seed=3, batch_size=4, corruption=spec)
    assert list(metrics) == ["reconstruction", "denoising"]
    assert metrics["reconstruction"].value == pytest.approx(clean["reconstruction"].value)
    assert metrics["denoising"].unit == NATS
    assert metrics["denoising"].protocol == (
        "test split, grey pixels (unnormalised Bernoulli), input corrupted by masking:fraction=0.5, clean target, "
        "at the code, no bound on −log p(x), seed 3"
    )
    x = data.images.float() / 255
    with torch.no_grad():
        codes = model.encode(corrupt_fixed(CORRUPTIONS.build(Spec.parse(spec)), x, 3))
        expected = -model.decode(codes).log_prob(x).mean()
    assert metrics["denoising"].value == pytest.approx(float(expected))
    assert metrics["denoising"].value != pytest.approx(metrics["reconstruction"].value, abs=1e-3)
    with pytest.raises(UsageError, match="autoencoders alone"):
        evaluate(small_model(), data, variant="grey", split="test", corruption=spec)


def test_bad_input_is_refused(small_model, images):
    with pytest.raises(UsageError, match="importance samples ≥ 0"):
        evaluate(small_model(), images(4), variant="grey", split="test", importance_samples=-1)
    with pytest.raises(UsageError, match="likelihood 'logistic' takes pixels of the variant grey, got 'dynamic'"):
        evaluate(small_model(likelihood="logistic"), images(4), variant="dynamic", split="test")
