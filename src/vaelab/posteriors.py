"""Posteriors: network features → q(z|x,c)."""

from __future__ import annotations

from torch import Tensor, nn

from vaelab.distributions import DiagonalNormal, float32_or_more, soft_bound
from vaelab.specs import Registry

POSTERIORS: Registry[nn.Module] = Registry("posterior")

# Bounds of log σ. exp(±15) is far outside what a latent of unit scale needs, and its square is far inside float32. In
# the range that training visits, |log σ| < 6, the soft bound moves log σ by less than 2e-4.
LOG_STD_RANGE = (-15.0, 15.0)


@POSTERIORS.register("normal")
class NormalPosterior(nn.Module):
    """q(z|x,c) = N(μ, diag σ²) from two linear heads on the encoder's features.

    ``head`` says what the second one gives: ``log-variance`` (log σ²) or ``log-std`` (log σ). Either is softly bounded,
    so that exp cannot overflow; in the range that training visits the bound changes next to nothing.
    Kingma & Welling 2013, arXiv:1312.6114.
    """

    def __init__(self, features: int, latent: int, *, head: str = "log-variance") -> None:
        super().__init__()
        if head not in ("log-variance", "log-std"):
            raise ValueError(f"expected head=log-variance or head=log-std, got {head}")
        self.mean = nn.Linear(features, latent)
        self.spread = nn.Linear(features, latent)
        self.factor = 0.5 if head == "log-variance" else 1.0

    def forward(self, features: Tensor) -> DiagonalNormal:
        """``(batch, features)`` → q(z|x,c)."""
        # float32 even under mixed precision: the bound is computed from these.
        log_std = soft_bound(self.factor * float32_or_more(self.spread(features)), *LOG_STD_RANGE)
        return DiagonalNormal(float32_or_more(self.mean(features)), log_std)
