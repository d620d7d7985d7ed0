"""The heads of the normal posterior."""

from __future__ import annotations

import pytest
import torch

from vaelab.errors import UsageError
from vaelab.posteriors import POSTERIORS
from vaelab.specs import Spec


@pytest.mark.parametrize(("head", "log_std"), [("log-variance", 0.75), ("log-std", 1.5)])
def test_the_second_head_gives_the_log_variance_or_the_log_standard_deviation(head, log_std):
    posterior = POSTERIORS.build(Spec("normal", {"head": head}), 1, 1)
    with torch.no_grad():
        posterior.spread.weight.fill_(1.5)
        posterior.spread.bias.zero_()
        qz = posterior(torch.ones(1, 1))
    assert float(qz.log_std) == pytest.approx(log_std, abs=2e-4)


def test_under_mixed_precision_the_parameters_are_float32():
    posterior = POSTERIORS.build(Spec("normal"), 4, 2)
    with torch.autocast("cpu", torch.bfloat16):
        qz = posterior(torch.randn(3, 4))
    assert qz.mean.dtype == qz.log_std.dtype == torch.float32


def test_an_unknown_head_is_refused():
    with pytest.raises(UsageError, match="expected head=log-variance or head=log-std, got variance"):
        POSTERIORS.build(Spec("normal", {"head": "variance"}), 1, 1)
