"""The diagnosis: what is wrong is named with its numbers, and what is right is left in peace."""

from __future__ import annotations

import pytest
import torch

from vaelab.evaluation import Finding, PosteriorStatistics, active_units, diagnose, posterior_statistics


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
        "Dimension 2 of 2 is not used: the variance of its posterior means is 0.0000 (> 0.01 if active); "
        "its KL is 0.00 nats."
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


def _dimensions(variances, kls):
    """Two images whose means have these variances, and a KL that does not follow from them."""
    scale = torch.tensor(variances, dtype=torch.float64).sqrt()
    return PosteriorStatistics(
        torch.stack([scale, -scale]), torch.zeros(2, len(variances)), torch.tensor([kls, kls], dtype=torch.float64)
    )


def test_the_verdict_agrees_with_the_active_units():
    statistics = _dimensions([0.9, 0.0287, 0.0095], [1.0, 0.04, 0.3])
    assert active_units(statistics.means) == 2
    hardly, none = diagnose(statistics)
    assert hardly.sentence == (
        "Dimension 2 of 3 is hardly used: its KL is 0.040 nats, below 0.05, though its posterior means vary "
        "(variance 0.0287)."
    )
    assert none.sentence == (
        "Dimension 3 of 3 is not used: the variance of its posterior means is 0.0095 (> 0.01 if active); "
        "its KL is 0.30 nats."
    )


def test_a_posterior_that_all_but_equals_the_prior():
    (finding,) = diagnose(_dimensions([0.02, 0.0287], [0.03, 0.04]))
    assert finding.kind == "collapse"
    assert finding.sentence == (
        "The posterior nearly equals the prior, so the decoder hardly uses z: the KL is 0.07 nats over 2 dimensions, "
        "below 0.05 each."
    )
    kinds = [finding.kind for finding in diagnose(_dimensions([0.02, 0.001], [0.03, 0.4]))]
    assert kinds == ["unused", "unused"]  # each for another reason, so neither sentence holds for both


@pytest.mark.parametrize("scale", [[1.0, 0.001], [0.001, 0.001]])
def test_no_remedy_names_what_was_done(scale):
    statistics = _statistics(scale, log_std=0.0)
    codes = PosteriorStatistics(statistics.means)
    for found, other in ((statistics, "warmup"), (codes, "--latent")):
        for finding in diagnose(found, init="he-encoder"):
            assert "--init" not in finding.remedy
            assert other in finding.remedy or finding.kind == "healthy"
    assert "--init he-encoder" in diagnose(statistics, init="torch")[0].remedy


def test_one_image_is_too_few():
    (finding,) = diagnose(PosteriorStatistics(torch.zeros(1, 2)))
    assert finding.kind == "too-few"
    assert finding.sentence == "A diagnosis needs at least 2 images, got 1."


def test_a_finding_prints_its_remedy():
    assert str(Finding("unused", "It is so.", "do this")) == "It is so. Remedy: do this."
