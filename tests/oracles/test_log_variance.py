"""Why the encoder gives a (bounded) log-variance and not a standard deviation (C3): shown on numbers."""

from __future__ import annotations

import pytest
import torch

from vaelab.distributions import DiagonalNormal, kl_per_dimension
from vaelab.posteriors import POSTERIORS
from vaelab.specs import Spec

STANDARD = DiagonalNormal(torch.zeros(1, 1), torch.zeros(1, 1))


@pytest.fixture(params=["log-variance", "log-std"])
def posterior(request):
    head = POSTERIORS.build(Spec("normal", {"head": request.param}), 1, 1)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.spread.weight.fill_(1.0)
    return head


@pytest.mark.parametrize("output", [1e30, -1e30, 1e4, -1e4, 30.0, -30.0])
def test_any_network_output_gives_a_standard_deviation_with_a_finite_kl_and_gradient(posterior, output):
    features = torch.full((1, 1), output, requires_grad=True)
    qz = posterior(features)
    kl = kl_per_dimension(qz, STANDARD).sum()
    (kl + qz.log_prob(qz.rsample(3)).sum()).backward()
    assert (qz.log_std.exp() > 0).all()
    assert kl.isfinite()
    assert features.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in posterior.parameters())


@pytest.mark.parametrize("output", [0.0, -0.5])
def test_a_standard_deviation_as_the_network_output_has_no_kl_where_it_is_not_positive(output):
    std = torch.tensor(output)
    naive = 0.5 * (std.square() - 1 - 2 * std.log())
    assert not naive.isfinite()


def test_an_unbounded_log_variance_overflows():
    log_variance = torch.tensor(100.0)
    naive = 0.5 * (log_variance.exp() - 1 - log_variance)
    assert not naive.isfinite()


@pytest.mark.parametrize("log_std", [-4.0, -2.0, 0.0, 2.0])
def test_in_the_range_that_training_visits_the_bound_changes_next_to_nothing(posterior, log_std):
    output = torch.full((1, 1), log_std / posterior.factor)
    assert float(posterior(output).log_std.detach()) == pytest.approx(log_std, abs=0.003)
