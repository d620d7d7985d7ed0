"""The aggregate posterior q(z) = 1/n Σ_i q(z|x_i) against N(0, I): moments and tests, from one draw an image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.errors import DataError
from vaelab.evaluation.draws import MEMORY, at_least
from vaelab.randomness import generator

_FAR = 800.0
"""Squared radius, halved, from which on the mean distance to a standard normal is taken from its expansion."""


@dataclass(frozen=True)
class Moments:
    """Of each dimension, float64 ``(latent,)``; ``errors`` are standard errors of the four, in the same order.

    ``skewness`` and ``kurtosis`` (excess: 0 for a normal distribution) are NaN for a dimension without variance.
    """

    mean: Tensor
    variance: Tensor
    skewness: Tensor
    kurtosis: Tensor
    errors: tuple[Tensor, Tensor, Tensor, Tensor]


def moments(z: Tensor) -> Moments:
    """Mean, variance, skewness and excess kurtosis of each dimension of ``z (n, latent)``, n ≥ 2; `DataError` else.

    m_k = 1/n Σ (z − z̄)^k: variance m₂, skewness m₃/m₂^{3/2}, excess kurtosis m₄/m₂² − 3. Under N(0, 1) they are 1, 0,
    0. The standard errors come from the influence functions, without an assumption about the distribution.

    >>> found = moments(torch.tensor([[-1.0], [1.0]]))
    >>> found.mean.item(), found.variance.item(), found.kurtosis.item()
    (0.0, 1.0, -2.0)
    """
    n = len(_several(z))
    values = z.double()
    mean, variance = values.mean(0), values.var(0, correction=0)
    # Rounding alone is no variance: of a constant dimension, skewness and kurtosis are not defined.
    flat = variance <= 1e-12 * (1 + mean.square())
    u = (values - mean) / torch.where(flat, torch.nan, variance.sqrt())
    skewness, kurtosis = u.pow(3).mean(0), u.pow(4).mean(0)
    influences = (
        values,
        (values - mean).square(),
        u.pow(3) - 3 * u - 1.5 * skewness * (u.square() - 1),
        u.pow(4) - 4 * skewness * u - 2 * kurtosis * (u.square() - 1),
    )
    first, second, third, fourth = (part.std(0, correction=0) / math.sqrt(n) for part in influences)
    return Moments(mean, variance, skewness, kurtosis - 3, (first, second, third, fourth))


def kolmogorov_smirnov(z: Tensor) -> tuple[Tensor, Tensor]:
    """D = sup |F_n − Φ| of each dimension against N(0, 1), and its p-value: two of ``(latent,)``, float64.

    p = 2 Σ_k (−1)^{k−1} exp(−2 k² t²), t = (√n + 0.12 + 0.11/√n) D; the correction for finite n is Stephens' (1970). D
    is in [0, 1] whatever n is; p falls with n for any distribution that is not exactly N(0, 1). `DataError` below 2.

    >>> quantiles = torch.special.ndtri(torch.linspace(0.005, 0.995, 100).double())
    >>> statistic, p = kolmogorov_smirnov(quantiles[:, None])
    >>> round(statistic.item(), 3), round(p.item(), 3)
    (0.005, 1.0)
    """
    n = len(_several(z))
    below = torch.special.ndtr(z.double().sort(dim=0).values)
    rank = torch.arange(n, dtype=torch.float64)[:, None]
    statistic = torch.maximum(below - rank / n, (rank + 1) / n - below).amax(0)
    scaled = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * statistic
    return statistic, _kolmogorov(scaled)


def _kolmogorov(t: Tensor) -> Tensor:
    """The probability that the Kolmogorov distribution exceeds ``t``."""
    k = torch.arange(1, 101, dtype=torch.float64)[:, None]
    signs = 1 - 2 * ((k - 1) % 2)
    value = 2 * (signs * (-2 * (k * t).square()).exp()).sum(0)
    return torch.where(t < 0.2, 1.0, value.clamp(0, 1))  # below 0.2 it is 1 to twelve digits; the sum is slow there


@dataclass(frozen=True)
class Mardia:
    """Multivariate ``skewness`` and excess ``kurtosis`` with the p-values of both under any normal distribution."""

    skewness: float
    skewness_p: float
    kurtosis: float
    kurtosis_p: float


def mardia(z: Tensor, memory: int = MEMORY) -> Mardia:
    """Mardia's tests of joint normality, of ``z (n, latent)``: whatever mean and covariance.

    With g_ij = (z_i − z̄)ᵀ S⁻¹ (z_j − z̄), S the covariance (divided by n) and d = latent: skewness b₁ = 1/n² Σ_ij
    g_ij³, n b₁/6 ~ χ² with d(d+1)(d+2)/6 degrees of freedom; kurtosis 1/n Σ_i g_ii² − d(d+2), its standard deviation is
    √(8 d(d+2)/n). ``memory`` bounds the part of g that is held, bytes. Raises `DataError` where S is singular, for
    instance for n ≤ d. Mardia 1970, "Measures of multivariate skewness and kurtosis with applications".

    >>> found = mardia(torch.tensor([[-1.0], [0.0], [1.0], [0.0]]))
    >>> round(found.skewness, 6), round(found.kurtosis, 6)
    (0.0, -1.0)
    """
    n, d = _several(z).shape
    centred = z.double() - z.double().mean(0)
    white = _whitened(centred)
    rows = max(1, memory // (16 * n))
    skewness = sum(float((part @ white.T).pow(3).sum()) for part in torch.split(white, rows)) / n**2
    kurtosis = float(white.square().sum(1).square().mean()) - d * (d + 2)
    freedom = d * (d + 1) * (d + 2) / 6
    chi = torch.tensor(n * skewness / 6, dtype=torch.float64).clamp(min=0)
    skewness_p = float(torch.special.gammaincc(torch.tensor(freedom / 2, dtype=torch.float64), chi / 2))
    standard = abs(kurtosis) / math.sqrt(8 * d * (d + 2) / n)
    return Mardia(skewness, skewness_p, kurtosis, math.erfc(standard / math.sqrt(2)))


def _whitened(centred: Tensor) -> Tensor:
    """``centred`` in coordinates in which its covariance is the identity."""
    n, d = centred.shape
    scaled = centred / centred.square().mean(0).sqrt().clamp(min=1e-300)
    values, vectors = torch.linalg.eigh(scaled.T @ scaled / n)
    if n <= d or float(values[0]) < 1e-10 * d:
        raise DataError(
            f"expected images whose latents vary in all {d} dimensions, got {n} in fewer; "
            "give more images or train with fewer latent dimensions"
        )
    white: Tensor = scaled @ (vectors / values.sqrt())
    return white


@dataclass(frozen=True)
class EnergyTest:
    """``distance`` between the points and N(0, I), its ``p`` value and the ``critical`` value at 5 %; ``n`` points."""

    distance: float
    p: float
    critical: float
    n: int


def energy_test(z: Tensor, *, points: int = 1000, draws: int = 199, seed: int = 0) -> EnergyTest:
    """The energy distance of ``z (n, latent)`` to N(0, I): zero for equal distributions only, in any dimension.

    E = 2/n Σ_i 𝔼‖z_i − Z‖ − 𝔼‖Z − Z'‖ − 1/n² Σ_ij ‖z_i − z_j‖ with Z, Z' ~ N(0, I), whose expectations are exact. Of
    more than ``points`` rows, so many are drawn at random. The p-value is the share of ``draws`` sets of as many points
    from N(0, I), and this one, whose E is as large: at least 1/(draws + 1). Székely & Rizzo 2005, "A new test for
    multivariate normality". Raises `DataError` below 2 rows, `UsageError` for numbers below 1.

    >>> z = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> energy_test(z, draws=19).p > 0.05, energy_test(z + 2, draws=19).p
    (True, 0.05)
    """
    at_least("points", points, 2)
    at_least("draws", draws, 1)
    source = generator(seed, "cpu", "energy")
    values = _several(z).double()
    if len(values) > points:
        values = values[torch.randperm(len(values), generator=source)[:points]]
    distance = energy_distance(values)
    null = torch.empty(draws, dtype=torch.float64)
    for k in range(draws):
        null[k] = energy_distance(torch.randn(values.shape, generator=source, dtype=torch.float64))
    p = (1 + int((null >= distance).sum())) / (draws + 1)
    return EnergyTest(distance, p, float(null.quantile(0.95)), len(values))


def energy_distance(z: Tensor) -> float:
    """The E of `energy_test`, of all rows of ``z (n, latent)``; memory grows with n²."""
    values = z.double()
    d = values.shape[1]
    between = 2 * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    to_normal = mean_distance(values.square().sum(1), d).mean()
    return float(2 * to_normal - between - torch.cdist(values, values).mean())


def mean_distance(squared: Tensor, d: int) -> Tensor:
    """𝔼‖a − Z‖ for Z ~ N(0, I) in ``d`` dimensions, of ``squared (n,)`` = ‖a‖²: a Poisson mixture of χ distributions.

    Σ_k Poisson(k; ‖a‖²/2) √2 Γ((d+1)/2 + k)/Γ(d/2 + k); far outside, the expansion of a root around its mean.

    >>> round(mean_distance(torch.zeros(1), 1).item() ** 2, 6) == round(2 / math.pi, 6)
    True
    """
    rate = squared.double() / 2
    near = rate.clamp(max=_FAR)
    most = float(near.max())
    k = torch.arange(math.ceil(most + 12 * math.sqrt(most) + 40), dtype=torch.float64)
    chi = 0.5 * math.log(2) + torch.lgamma((d + 1) / 2 + k) - torch.lgamma(d / 2 + k)
    weights = torch.special.xlogy(k, near[:, None]) - near[:, None] - torch.lgamma(k + 1)
    exact = (weights + chi).exp().sum(1)
    middle, spread = 2 * rate + d, 8 * rate + 2 * d
    return torch.where(rate > _FAR, middle.sqrt() * (1 - spread / (8 * middle.square())), exact)


def _several(z: Tensor) -> Tensor:
    if len(z) < 2:
        raise DataError(f"expected at least 2 images to compare with the prior, got {len(z)}; give more images")
    return z
