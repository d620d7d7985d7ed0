"""Where the prior expects images and there are none, and where classes meet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.applications.latent.encoding import Encoded, MarginalPrior
from vaelab.applications.latent.information import mixture_log_prob
from vaelab.errors import DataError, UsageError
from vaelab.evaluation.draws import MEMORY, at_least

CANDIDATES = 5_000
"""Positions that are looked at, drawn from the prior."""

SAMPLES = 10_000
"""Draws of the prior that say how much of it lies in a ball."""

MASS = 0.9
"""Candidates lie in the smallest region that holds so much of the prior."""

NEIGHBOURS = 20
"""Encoded images around a position whose classes are counted."""


@dataclass(frozen=True)
class Positions:
    """k positions in latent space and what is around them; rows in order of rank.

    ``z (k, latent)``; ``log_prior (k,)``: log p(z), nats; ``prior_mass (k,)``: the share of the prior's draws that have
    a higher density, 0 at its mode; ``nearest (k,)``: the image whose posterior mean is nearest, ``distance (k,)`` to
    it.
    """

    z: Tensor
    log_prior: Tensor
    prior_mass: Tensor
    nearest: Tensor
    distance: Tensor

    def __len__(self) -> int:
        return len(self.z)


@dataclass(frozen=True)
class Gaps:
    """Empty balls around ``positions``: of ``radius (k,)``, in which no draw of any q(z|x_i) lies.

    ``expected (k,)``: how many of the n images would lie there if z followed the prior, by which they are ranked;
    ``log_aggregate (k,)``: log q(z) at the centre, nats. ``chance``: what ``expected`` reaches, about, where q(z) is
    the prior: the logarithm of the number of candidates.
    """

    positions: Positions
    radius: Tensor
    expected: Tensor
    log_aggregate: Tensor
    chance: float


@dataclass(frozen=True)
class Borders:
    """``positions`` whose nearest images are of several classes.

    ``entropy (k,)`` of the classes of the ``neighbours`` nearest images, nats, by which they are ranked; ``shares (k,
    classes)`` of each class; ``radius (k,)``: distance to the farthest of these images.
    """

    positions: Positions
    entropy: Tensor
    shares: Tensor
    radius: Tensor
    neighbours: int


def find_gaps(
    encoded: Encoded,
    prior: MarginalPrior,
    *,
    count: int = 10,
    mass: float = MASS,
    candidates: int = CANDIDATES,
    samples: int = SAMPLES,
    seed: int = 0,
    memory: int = MEMORY,
) -> Gaps:
    """The ``count`` emptiest places that the prior makes likely, in any number of latent dimensions.

    A candidate z is drawn from the prior and kept where it is among the densest ``mass`` (0 to 1) of the prior. r(z) is
    its distance to the nearest of n points, one draw of each q(z|x_i); λ(z) = n P_p(‖Z − z‖ < r(z)) is how many images
    would lie in that empty ball if they followed the prior; P_p is the share of ``samples`` other draws of the prior.
    Were q(z) = p(z), a given ball would be empty with probability e^−λ (about), and the largest λ of m candidates be
    log m or less. Ranked by λ; a candidate within the ball of a better one is left out, so there may be fewer than
    ``count``. ``seed`` gives all draws. Raises `UsageError` for an autoencoder and numbers out of range.

    >>> from vaelab import build_model, presets
    >>> from vaelab.data.images import ImageData
    >>> from vaelab.applications.latent import encode
    >>> model = build_model(presets.get("conv-vae").model)
    >>> data = ImageData("noise", torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8))
    >>> encoded = encode(model, data, "grey")
    >>> found = find_gaps(encoded, MarginalPrior.of(model, encoded), count=2, candidates=50, samples=100)
    >>> bool((found.expected <= 3).all())
    True
    """
    at_least("gaps", count, 1)
    points, qz = encoded.posterior()
    found = _candidates(prior, candidates, samples, mass, seed)
    radius = _nearest(points, found.places, 1)[0][:, 0]
    expected = len(points) * _share_within(found.places, radius, found.samples, memory)
    chosen = _apart(found.places, _ranked(expected, found.log_prior), radius, count)
    aggregate, _ = mixture_log_prob(found.places[chosen], qz, memory=memory)
    chance = math.log(len(found.places))
    return Gaps(_positions(encoded, found, chosen), radius[chosen], expected[chosen], aggregate, chance)


def find_borders(
    encoded: Encoded,
    prior: MarginalPrior,
    *,
    count: int = 10,
    neighbours: int = NEIGHBOURS,
    mass: float = MASS,
    candidates: int = CANDIDATES,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Borders:
    """The ``count`` places, likely under the prior, around which classes split most evenly.

    Of the candidates (as in `find_gaps`) those with the highest entropy −Σ_c s_c log s_c, s_c the share of class c
    among the ``neighbours`` nearest posterior means; the denser under the prior first where equal; none whose classes
    are all the same, and none closer to a better one than that one's farthest neighbour. Raises `DataError` without
    labels or with a single class, `UsageError` for an autoencoder and numbers out of range.
    """
    at_least("borders", count, 1)
    at_least("neighbours", neighbours, 2)
    known = torch.arange(0) if encoded.labels is None else torch.nonzero(encoded.labels >= 0).flatten()
    if encoded.labels is None or len(torch.unique(encoded.labels[known])) < 2:
        raise DataError(
            "expected labels of at least 2 classes to find borders between, got fewer; give labelled images"
        )
    found = _candidates(prior, candidates, samples, mass, seed)
    k = min(neighbours, len(known))
    distance, index = _nearest(encoded.means[known], found.places, k)
    classes = torch.nn.functional.one_hot(encoded.labels[known], len(encoded.class_names)).double()
    shares = torch.stack([classes[index[:, i]] for i in range(k)]).mean(0)
    entropy = -torch.special.xlogy(shares, shares).sum(1)
    order = _ranked(entropy, found.log_prior)
    order = order[entropy[order] > 0]
    chosen = _apart(found.places, order, distance[:, -1], count)
    return Borders(_positions(encoded, found, chosen), entropy[chosen], shares[chosen], distance[chosen, -1], k)


@dataclass(frozen=True)
class _Candidates:
    """``places (m, latent)`` with ``log_prior`` and ``prior_mass (m,)``, and ``samples (s, latent)`` of the prior."""

    places: Tensor
    log_prior: Tensor
    prior_mass: Tensor
    samples: Tensor


def _candidates(prior: MarginalPrior, count: int, samples: int, mass: float, seed: int) -> _Candidates:
    at_least("candidates", count, 1)
    if not 0 < mass <= 1:
        raise UsageError(f"expected mass above 0 and at most 1, got {mass:g}")
    places, drawn = prior.sample(count, seed, "gaps").double(), prior.sample(samples, seed, "mass").double()
    log_prior, density = prior.log_prob(places), prior.log_prob(drawn).sort().values
    denser = 1 - torch.searchsorted(density, log_prior, right=True) / samples
    kept = denser <= mass
    kept[log_prior.argmax()] = True  # so that there is one however small the mass
    return _Candidates(places[kept], log_prior[kept], denser[kept].double(), drawn)


def _ranked(score: Tensor, log_prior: Tensor) -> Tensor:
    """Largest score first; where equal but for rounding, the one with the higher prior density."""
    return torch.from_numpy(np.lexsort((-log_prior.numpy(), -score.numpy().round(9))))


def _nearest(points: Tensor, places: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Distance to and number of the ``k`` nearest points of each place: two of ``(m, k)``."""
    from sklearn.neighbors import NearestNeighbors  # slow to load, and figures of a run do without

    search: Any = NearestNeighbors(n_neighbors=k).fit(points.double().numpy())
    distance, index = search.kneighbors(places.double().numpy())
    return torch.from_numpy(distance), torch.from_numpy(index)


def _share_within(places: Tensor, radius: Tensor, samples: Tensor, memory: int) -> Tensor:
    """The share of ``samples (s, latent)`` closer to each place than its radius, ``(m,)``."""
    # ‖s‖² − 2 s·z < r² − ‖z‖²: a product of matrices, of no more rows at a time than stay in a processor's cache.
    rows = max(1, min(memory // 32, 2**18) // len(samples))
    limit, squared, counts = radius.square() - places.square().sum(1), samples.square().sum(1)[None], []
    for part, most in zip(torch.split(places, rows), torch.split(limit, rows), strict=True):
        counts.append((squared - 2 * part @ samples.T < most[:, None]).sum(1))
    return torch.cat(counts).double() / len(samples)


def _apart(places: Tensor, order: Tensor, radius: Tensor, count: int) -> Tensor:
    """The first ``count`` of ``order`` that are not within the ball of one chosen before."""
    free: NDArray[np.bool_] = np.ones(len(places), dtype=bool)
    chosen: list[int] = []
    for i in order.tolist():
        if len(chosen) == count:
            break
        if free[i]:
            chosen.append(i)
            free &= ((places - places[i]).norm(dim=1) > radius[i]).numpy()
    return torch.tensor(chosen, dtype=torch.long)


def _positions(encoded: Encoded, found: _Candidates, chosen: Tensor) -> Positions:
    z, log_prior, mass = found.places[chosen], found.log_prior[chosen], found.prior_mass[chosen]
    if not len(z):
        return Positions(z, log_prior, mass, torch.empty(0, dtype=torch.long), mass)
    distance, index = _nearest(encoded.means, z, 1)
    return Positions(z, log_prior, mass, index[:, 0], distance[:, 0])
