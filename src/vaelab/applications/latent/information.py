"""The KL term taken apart: how far q(z) is from the prior, and how much z tells about the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.applications.latent.encoding import Encoded, MarginalPrior
from vaelab.distributions import LOG_2PI, DiagonalNormal
from vaelab.errors import DataError
from vaelab.evaluation.draws import MEMORY
from vaelab.randomness import generator


@dataclass(frozen=True)
class Surgery:
    """For each image, at its draw z_i ~ q(z|x_i), nats, float64 ``(n,)``; their means over the images are the numbers.

    ``marginal_kl``: log q(z_i) − log p(z_i), of KL(q(z) ‖ p(z)). ``mutual_information``: log q(z_i|x_i) − log q(z_i),
    of I_q(x; z); at most log n. ``mutual_information_left_out``: the same with the image's own posterior left out of
    q(z).
    """

    marginal_kl: Tensor
    mutual_information: Tensor
    mutual_information_left_out: Tensor


def elbo_surgery(encoded: Encoded, prior: MarginalPrior, *, memory: int = MEMORY) -> Surgery:
    """1/n Σ_i KL(q(z|x_i) ‖ p(z)) = I_q(x; z) + KL(q(z) ‖ p(z)), q(z) = 1/n Σ_j q(z|x_j), in every draw.

    q(z) is that of these n images, x_i among them, so I_q ≤ log n. For images from the same source without end the
    first estimate of I_q is low and the one with x_i left out is high, in expectation, and the marginal KL the other
    way round: where the two are far apart, n is too small (Poole et al. 2019, arXiv:1905.06922). ``memory`` bounds the
    densities that are held at a time, bytes. Raises `UsageError` for an autoencoder, `DataError` below 2 images.
    Hoffman & Johnson 2016, "ELBO surgery".

    >>> from vaelab import build_model, presets
    >>> from vaelab.data.images import ImageData
    >>> from vaelab.applications.latent import encode
    >>> model = build_model(presets.get("conv-vae").model)
    >>> data = ImageData("noise", torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8))
    >>> encoded = encode(model, data, "grey")
    >>> bool((elbo_surgery(encoded, MarginalPrior.of(model, encoded)).mutual_information <= math.log(3) + 1e-9).all())
    True
    """
    z, qz = encoded.posterior()
    if len(z) < 2:
        raise DataError(f"expected at least 2 images to tell apart, got {len(z)}; give more images")
    aggregate, left_out = mixture_log_prob(z, qz, memory=memory, leave_out=True)
    own = qz.log_prob(z)
    return Surgery(aggregate - prior.log_prob(z), own - aggregate, own - left_out)


def mixture_log_prob(
    z: Tensor, qz: DiagonalNormal, *, memory: int = MEMORY, leave_out: bool = False
) -> tuple[Tensor, Tensor]:
    """log 1/n Σ_j q(z_i|x_j), float64 ``(m,)``, of ``z (m, latent)`` under the n posteriors ``qz (n, latent)``.

    The second has the i-th posterior left out of the i-th sum (with ``leave_out``, which needs m = n ≥ 2; else the two
    are the same). Log-sum-exp over blocks of rows of at most ``memory`` bytes.

    >>> one = DiagonalNormal(torch.zeros(5, 1), torch.zeros(5, 1))
    >>> round(mixture_log_prob(torch.zeros(1, 1), one)[0].item(), 4) == round(-0.5 * math.log(2 * math.pi), 4)
    True
    """
    n, latent = qz.mean.shape
    centre = qz.mean.double().mean(0)
    mean, log_std, points = qz.mean.double() - centre, qz.log_std.double(), z.double() - centre
    precision = (-2 * log_std).exp()
    # (z − μ)²/σ² = z² σ⁻² − 2 z μ σ⁻² + μ² σ⁻²: two products of matrices instead of n × m × latent numbers.
    weights = torch.cat([precision, -2 * mean * precision], dim=1).T
    constant = (mean.square() * precision + 2 * log_std).sum(1) + latent * LOG_2PI
    features = torch.cat([points.square(), points], dim=1)
    full, others = torch.empty(2, len(z), dtype=torch.float64)
    rows = max(1, memory // (32 * n))
    for start in range(0, len(z), rows):
        here = slice(start, start + rows)
        log_q = -0.5 * (features[here] @ weights + constant)
        full[here] = log_q.logsumexp(1) - math.log(n)
        if leave_out:
            number = torch.arange(len(log_q))
            log_q[number, start + number] = -torch.inf
            others[here] = log_q.logsumexp(1) - math.log(n - 1)
    return full, others if leave_out else full


def marginal_kl_per_dimension(encoded: Encoded, *, points: int = 1000, seed: int = 0, memory: int = MEMORY) -> Tensor:
    """log q(z_j) − log N(z_j; 0, 1) at the draws, nats, float64 ``(m, latent)``: KL(q(z_j) ‖ N(0, 1)) is its mean.

    q(z_j) is the mixture of all n posteriors in dimension j. Of more than ``points`` images, the draws of so many are
    taken, chosen at random by ``seed``. Raises `UsageError` for an autoencoder.
    """
    z, qz = encoded.posterior()
    if len(z) > points:
        z = z[torch.randperm(len(z), generator=generator(seed, "cpu", "dimensions"))[:points]]
    columns = []
    for j in range(z.shape[1]):
        here = slice(j, j + 1)
        marginal, _ = mixture_log_prob(z[:, here], DiagonalNormal(qz.mean[:, here], qz.log_std[:, here]), memory=memory)
        columns.append(marginal + 0.5 * (z[:, j].square() + LOG_2PI))
    return torch.stack(columns, dim=1)
