"""The metrics of a latent space: each number with unit, standard error, n and protocol."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from vaelab.applications.latent import (
    Encoded,
    MarginalPrior,
    bootstrap_error,
    elbo_surgery,
    energy_test,
    kolmogorov_smirnov,
    linear_cka,
    mardia,
    marginal_kl_per_dimension,
    moments,
    procrustes,
    separability,
)
from vaelab.errors import DataError
from vaelab.metrics import Metric
from vaelab.priors import StandardNormal

Words = Callable[..., str]
"""Parts of a protocol → the protocol; ``seeded=False`` leaves the seed out."""

LISTED_DIMENSIONS = 32
"""Up to this many latent dimensions, each one's numbers are metrics of their own."""

_UNITS = {"mean": "units of z", "variance": "units of z squared", "skewness": "no unit", "kurtosis": "no unit"}
_DRAW = "one draw of z per image"


def separability_metrics(fitted: Encoded, asked: Encoded, words: Words, on: str) -> dict[str, Metric]:
    """``linear_accuracy`` and ``knn_accuracy`` on posterior means; `DataError` without labels or with one class."""
    if fitted.labels is None or asked.labels is None:
        raise DataError("expected labelled images, got none; give labelled data")
    train, test = fitted.labels >= 0, asked.labels >= 0
    if not bool(test.any()):
        raise DataError("expected labelled images, got none; give labelled data")
    found = separability(fitted.means[train], fitted.labels[train], asked.means[test], asked.labels[test])
    code = "codes" if asked.log_stds is None else "posterior means"
    end = "" if found.converged else " (not converged)"
    linear, nearest = (
        words(f"{how} on {code}", on, seeded=False)
        for how in (f"logistic regression{end}", f"{found.neighbours} nearest neighbours")
    )
    return {
        "linear_accuracy": Metric.mean(found.linear.double(), "share of images", linear),
        "knn_accuracy": Metric.mean(found.knn.double(), "share of images", nearest),
    }


def information_metrics(encoded: Encoded, prior: MarginalPrior, words: Words) -> dict[str, Metric]:
    """``marginal_kl``, ``mutual_information`` and its counterpart with each image's own posterior left out."""
    surgery, n = elbo_surgery(encoded, prior), len(encoded)
    of, others = f"q(z) of these {n} images", f"q(z) of the other {n - 1} images for each image"
    against = "p(z) = Σ_c π_c p(z|c)" if prior.shares is not None else "p(z)"
    most = f"at most log n = {math.log(n):.2f}, a lower bound for images without end"
    parts = {
        "marginal_kl": (surgery.marginal_kl, f"KL(q(z) ‖ p(z)), {of}, {against}"),
        "mutual_information": (surgery.mutual_information, f"I_q(x; z), {of}: {most}"),
        "mutual_information_left_out": (
            surgery.mutual_information_left_out,
            f"I_q(x; z), {others}: an upper bound for images without end",
        ),
    }
    return {name: Metric.mean(values, "nats", words(what, _DRAW)) for name, (values, what) in parts.items()}


def aggregate_metrics(
    encoded: Encoded, prior: MarginalPrior, words: Words, seed: int
) -> tuple[dict[str, Metric], list[str]]:
    """Moments and tests of the draws, moments of the posterior means; sentences about what is left out."""
    z, _ = encoded.posterior()
    latent, notes = z.shape[1], []
    metrics = _joint_moments(z, words)
    try:
        metrics |= _mardia(z, words)
    except DataError as error:
        notes.append(f"Mardia's tests are left out: {error}.")
    normal = isinstance(prior.model.prior, StandardNormal)
    if normal:
        metrics |= _energy(z, words, seed)
    else:
        notes.append(
            "The prior is not N(0, I), so tests against N(0, I) are left out; marginal_kl is against the prior."
        )
    if latent > LISTED_DIMENSIONS:
        notes.append(f"Numbers of each dimension are left out: {latent} are more than {LISTED_DIMENSIONS}.")
        return metrics, notes
    if normal:
        metrics |= _dimension_tests(encoded, z, words, seed)
    metrics |= _dimension_moments(z, "aggregate", words(f"q(z), {_DRAW}"))
    metrics |= _dimension_moments(encoded.means, "posterior_mean", words("posterior means", seeded=False))
    return metrics, notes


def _joint_moments(z: Tensor, words: Words) -> dict[str, Metric]:
    """How long the mean is, and the variance over all dimensions."""
    n, latent = z.shape
    mean = z.mean(0)
    length = float(mean.norm())
    error = float((z @ mean).std()) / length / math.sqrt(n) if length else None
    spread = f"variance of z, mean over {latent} dimensions, 1 under N(0, I)"
    return {
        "aggregate_mean_norm": Metric(
            length, error, "units of z", n, words("length of the mean of z, 0 under N(0, I)", _DRAW)
        ),
        "aggregate_variance": Metric.mean(
            (z - mean).square().mean(1), "units of z squared", words(spread, "divided by n", _DRAW)
        ),
    }


def _mardia(z: Tensor, words: Words) -> dict[str, Metric]:
    found, n = mardia(z), len(z)
    parts = {
        "aggregate_mardia_skewness": (found.skewness, "no unit", "Mardia's skewness b₁, 0 under any normal"),
        "aggregate_mardia_skewness_p_value": (found.skewness_p, "probability", "of n b₁/6 under χ², any normal"),
        "aggregate_mardia_kurtosis": (found.kurtosis, "no unit", "Mardia's excess kurtosis, 0 under any normal"),
        "aggregate_mardia_kurtosis_p_value": (found.kurtosis_p, "probability", "of Mardia's kurtosis, any normal"),
    }
    return {name: Metric(value, None, unit, n, words(what, _DRAW)) for name, (value, unit, what) in parts.items()}


def _energy(z: Tensor, words: Words, seed: int) -> dict[str, Metric]:
    found = energy_test(z, seed=seed)
    drawn = f"{found.n} draws" if found.n == len(z) else f"{found.n} of {len(z)} draws"
    test = words(f"energy distance to N(0, I), {drawn}, critical value at 5 % {found.critical:.2g}", _DRAW)
    p_value = words(f"energy test against N(0, I), {drawn}, 199 Monte Carlo sets, at least 0.005", _DRAW)
    return {
        "aggregate_energy_distance": Metric(found.distance, None, "units of z", found.n, test),
        "aggregate_energy_p_value": Metric(found.p, None, "probability", found.n, p_value),
    }


def _dimension_tests(encoded: Encoded, z: Tensor, words: Words, seed: int) -> dict[str, Metric]:
    """Kolmogorov–Smirnov and the marginal KL of each dimension."""
    n = len(z)
    distance, p = kolmogorov_smirnov(z)
    kl = marginal_kl_per_dimension(encoded, seed=seed)
    ks = words(f"Kolmogorov–Smirnov against N(0, 1), critical D at 5 % {1.358 / math.sqrt(n):.2g}", _DRAW)
    of = words(f"KL(q(z_j) ‖ N(0, 1)), q(z_j) of these {n} images", _DRAW)
    metrics = {}
    for j in range(z.shape[1]):
        name = f"of_dimension_{j + 1}"
        metrics[f"aggregate_ks_{name}"] = Metric(float(distance[j]), None, "probability", n, ks)
        metrics[f"aggregate_ks_p_value_{name}"] = Metric(float(p[j]), None, "probability", n, ks)
        metrics[f"marginal_kl_{name}"] = Metric.mean(kl[:, j], "nats", of)
    return metrics


def _dimension_moments(z: Tensor, prefix: str, protocol: str) -> dict[str, Metric]:
    """Mean, variance, skewness and excess kurtosis of each dimension; those that are not defined are left out."""
    found, metrics = moments(z), {}
    for (kind, unit), error in zip(_UNITS.items(), found.errors, strict=True):
        for j, value in enumerate(getattr(found, kind).tolist()):
            if math.isfinite(value):
                name = f"{prefix}_{kind}_of_dimension_{j + 1}"
                metrics[name] = Metric(value, float(error[j]), unit, len(z), protocol)
    return metrics


def agreement_metrics(encoded: Encoded, other: Encoded, words: Words, against: str, seed: int) -> dict[str, Metric]:
    """``procrustes`` (R²) and ``linear_cka`` of the two runs' posterior means, with bootstrap standard errors."""
    a, b = encoded.means.double(), other.means.double()
    sizes = f"{a.shape[1]} and {b.shape[1]} dimensions" if a.shape[1] != b.shape[1] else f"{a.shape[1]} dimensions"
    parts: dict[str, tuple[Callable[[Tensor, Tensor], float], str]] = {
        "procrustes": (lambda x, y: procrustes(x, y).r2, "R² after rotation, reflection and scaling"),
        "linear_cka": (linear_cka, "linear centred kernel alignment"),
    }
    metrics = {}
    for name, (measure, what) in parts.items():
        error = bootstrap_error(measure, a, b, seed=seed)
        protocol = words(
            what, f"of the posterior means of both runs ({sizes}), against {against}", "bootstrap of 100 sets"
        )
        metrics[name] = Metric(measure(a, b), error, "no unit", len(a), protocol)
    return metrics
