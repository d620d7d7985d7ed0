"""The latent space of a trained model: its aggregate posterior, information, classes, agreement with another, gaps.

`encode` images once; the rest are functions of what it returns.
"""

from vaelab.applications.latent.aggregate import (
    EnergyTest,
    Mardia,
    Moments,
    energy_test,
    kolmogorov_smirnov,
    mardia,
    moments,
)
from vaelab.applications.latent.agreement import Procrustes, bootstrap_error, linear_cka, procrustes
from vaelab.applications.latent.encoding import Encoded, MarginalPrior, base_model, decode_at, draw_z, encode, some_rows
from vaelab.applications.latent.gaps import Borders, Gaps, Positions, find_borders, find_gaps
from vaelab.applications.latent.information import (
    Surgery,
    elbo_surgery,
    marginal_kl_per_dimension,
    mixture_log_prob,
)
from vaelab.applications.latent.paths import PATHS, interpolate
from vaelab.applications.latent.separability import Separability, separability

__all__ = [
    "PATHS",
    "Borders",
    "Encoded",
    "EnergyTest",
    "Gaps",
    "Mardia",
    "MarginalPrior",
    "Moments",
    "Positions",
    "Procrustes",
    "Separability",
    "Surgery",
    "base_model",
    "bootstrap_error",
    "decode_at",
    "draw_z",
    "elbo_surgery",
    "encode",
    "energy_test",
    "find_borders",
    "find_gaps",
    "interpolate",
    "kolmogorov_smirnov",
    "linear_cka",
    "mardia",
    "marginal_kl_per_dimension",
    "mixture_log_prob",
    "moments",
    "procrustes",
    "separability",
    "some_rows",
]
