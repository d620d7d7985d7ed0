"""The diagnosis: what is wrong is named with its numbers, and what is right is left in peace."""

from __future__ import annotations

import pytest
import torch

from vaelab.errors import DataError
from vaelab.evaluation import Finding, PosteriorStatistics, diagnose, posterior_statistics


def _statistics(scale, log_std=-1.0, kl=True, n=200):
    """Means of the given standard deviations, against N(0, I)."""
    scale = torch.as_tensor(scale, dtype=torch.float64)
    means = torch.randn(n, len(scale), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * scale
    log_stds = torch.as_tensor(log_std, dtype=torch.float64).expand_as(means)
    values = 0.5 * (means**2 + torch.exp(2 * log_stds) - 1) - log_stds
    return PosteriorStatistics(means, log_stds, values if kl else None)


def test_a_healthy_model_gets_one_sentence():
    (finding,) = diagnose(_statistics([1.0, 0.9]))
    assert finding.kind == "healthy"
    assert finding.sentence.startswith("Healthy: 2 of 2 dimensions are used; their KLs are ")
    assert str(finding) == finding.sentence
    assert diagnose(_statistics([1.0], kl=False))[0].sentence == "Healthy: 1 of 1 dimension is used."


def test_a_zeroed_head_is_a_dead_dimension(small_model, images):
    model = small_model(latent=2)
    with torch.no_grad():
        for head in (model.posterior.mean, model.posterior.spread):
            head.weight[1].zero_()
            head.bias[1].zero_()
    (finding,) = diagnose(posterior_statistics(model, images(50), "grey"))
    assert finding.kind == "unused"
    assert finding.dimensions == (2,)
    assert finding.sentence == (
        "Dimension 2 of 2 is not used: its KL is 0.00 nats and the variance of its posterior means 0.0000."
    )
    assert "--init he-encoder" in finding.remedy
    assert "warmup" in str(finding)


@pytest.mark.parametrize("kl", [True, False])
def test_collapse(kl):
    (finding,) = diagnose(_statistics([0.001, 0.001], log_std=0.0, kl=kl))
    assert finding.kind == "collapse"
    assert finding.dimensions == (1, 2)
    assert "the decoder ignores z" in finding.sentence
    assert "free_bits" in finding.remedy
    if kl:
        assert "0.00 nats over 2 dimensions" in finding.sentence


def test_a_constant_posterior_far_from_the_prior_tells_nothing_either():
    (finding,) = diagnose(_statistics([0.001, 0.001], log_std=-2.0))
    assert finding.kind == "collapse"
    assert "No dimension tells images apart" in finding.sentence


def test_a_dimension_without_a_closed_kl_is_judged_by_its_means():
    (finding,) = diagnose(_statistics([1.0, 0.01], kl=False))
    assert finding.dimensions == (2,)
    assert "variance of its posterior means is 0.0001" in finding.sentence


def test_a_posterior_without_noise():
    (finding,) = diagnose(_statistics([1.0, 1.0], log_std=[-8.0, -1.0]))
    assert finding.kind == "narrow"
    assert finding.dimensions == (1,)
    assert "0.00034" in finding.sentence
    assert "larger β" in finding.remedy


def test_a_posterior_far_from_the_prior():
    (finding,) = diagnose(_statistics([1.0, 10.0]))
    assert finding.kind == "narrow"
    assert finding.dimensions == (2,)
    assert "nats at the largest" in finding.sentence


def test_numbers_that_are_not_finite():
    statistics = _statistics([1.0, 1.0])
    statistics.means[3, 1] = torch.nan
    (finding,) = diagnose(statistics)
    assert finding.kind == "not-finite"
    assert "1 of 200 images" in finding.sentence


def test_an_autoencoders_codes(small_model, images):
    model = small_model(kind="autoencoder")
    data = images(30)
    assert diagnose(posterior_statistics(model, data, "grey"))[0].kind == "healthy"
    with torch.no_grad():
        model.bottleneck.weight[0].zero_()
    (finding,) = diagnose(posterior_statistics(model, data, "grey"))
    assert finding.dimensions == (1,)
    assert "variance of its code" in finding.sentence
    with torch.no_grad():
        model.bottleneck.weight.zero_()
    assert diagnose(posterior_statistics(model, data, "grey"))[0].kind == "collapse"


def test_one_image_is_too_few():
    with pytest.raises(DataError, match="at least 2 images"):
        diagnose(PosteriorStatistics(torch.zeros(1, 2)))


def test_a_finding_prints_its_remedy():
    assert str(Finding("unused", "It is so.", "do this")) == "It is so. Remedy: do this."
