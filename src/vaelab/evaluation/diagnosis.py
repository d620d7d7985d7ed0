"""What a model's latent space says about its training, in plain words with the measured numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.evaluation.latents import ACTIVE, PosteriorStatistics, kl_per_dimension, mean_variances

UNUSED_KL = 0.05
"""A dimension whose mean KL is smaller, in nats, tells the decoder nothing."""
LARGE_KL = 20.0
"""A mean KL of one dimension, in nats, that no sample of the prior comes near to."""
NARROW = 1e-3
"""A (geometric mean) standard deviation of the posterior that amounts to no noise at all."""
UNUSED_CODE = 1e-4
"""An autoencoder's code has no unit: a dimension is unused where its variance is less than this part of the largest."""

_HE = "he-encoder"
_WAKE = "train with KL warm-up (elbo:warmup=1), free bits (elbo:free_bits=0.1) or a smaller β (elbo:beta=0.5)"


@dataclass(frozen=True)
class Finding:
    """``kind``: healthy, collapse, unused, narrow, not-finite or too-few. ``dimensions`` it is about, numbered from 1.

    ``sentence`` says what was measured, ``remedy`` what to do (empty where nothing is wrong).
    """

    kind: str
    sentence: str
    remedy: str = ""
    dimensions: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.sentence} Remedy: {self.remedy}." if self.remedy else self.sentence


def diagnose(statistics: PosteriorStatistics, init: str = "") -> list[Finding]:
    """Posterior collapse, unused dimensions, a posterior without noise; or one sentence that nothing is wrong.

    ``statistics``: of at least two images (`posterior_statistics`); of fewer, the finding says so. ``init`` is how the
    weights began, so that no remedy names what was done. A dimension is not used where the variance of its posterior
    means is at most 0.01, so that it is no active unit (Burda et al. 2015, arXiv:1509.00519), and hardly used where its
    KL is below 0.05 nats. Collapse: Bowman et al. 2015, arXiv:1511.06349.

    >>> import torch
    >>> means, kl = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.5, 0.0], [0.5, 0.0]])
    >>> print(diagnose(PosteriorStatistics(means, torch.zeros(2, 2), kl))[0].sentence)
    Dimension 2 of 2 is not used: the variance of its posterior means is 0.0000 (> 0.01 if active); its KL is 0.00 nats.
    """
    n = len(statistics.means)
    if n < 2:
        return [Finding("too-few", f"A diagnosis needs at least 2 images, got {n}.", "choose a split with more images")]
    broken = _not_finite(statistics)
    if broken:
        return broken
    inactive, weak = _inactive(statistics), _weak(statistics)
    if bool(inactive.all() | weak.all()):
        findings = [_collapse(statistics, bool(inactive.all()), init)]
    else:
        findings = [_dead(statistics, int(j), bool(inactive[j]), init) for j in (inactive | weak).nonzero().flatten()]
    findings += _narrow(statistics)
    return findings or [_healthy(statistics)]


def _not_finite(statistics: PosteriorStatistics) -> list[Finding]:
    parts = [part for part in (statistics.means, statistics.log_stds, statistics.kl) if part is not None]
    wrong = sum((~part.isfinite()).any(1).int() for part in parts)
    assert isinstance(wrong, Tensor)
    count = int((wrong > 0).sum())
    if not count:
        return []
    sentence = f"The encoder's output is not finite for {count} of {len(statistics.means)} images."
    return [Finding("not-finite", sentence, "train again with a smaller learning rate or with --clip")]


def _inactive(statistics: PosteriorStatistics) -> Tensor:
    """Which dimensions are the same for every image: those that are no active units."""
    variances = mean_variances(statistics.means)
    return variances <= (UNUSED_CODE * variances.max() if statistics.log_stds is None else ACTIVE)


def _weak(statistics: PosteriorStatistics) -> Tensor:
    """Which dimensions have next to no KL; none where it is unknown."""
    kl = kl_per_dimension(statistics)
    return torch.zeros(statistics.means.shape[1], dtype=torch.bool) if kl is None else kl < UNUSED_KL


def _collapse(statistics: PosteriorStatistics, inactive: bool, init: str) -> Finding:
    """``inactive``: no dimension is active; else they all are weak."""
    latent = statistics.means.shape[1]
    numbers = tuple(range(1, latent + 1))
    largest = f"the largest variance of a dimension's means over the images is {_largest_variance(statistics):.4f}"
    kl = kl_per_dimension(statistics)
    total = "" if kl is None else f"the KL is {float(kl.sum()):.2f} nats over {_dimensions(latent)}"
    if statistics.log_stds is None:
        sentence = f"The code is the same for every image: {largest}."
    elif kl is None:
        sentence = f"The posterior is the same for every image, so the decoder ignores z: {largest}."
    elif not inactive:
        sentence = (
            f"The posterior nearly equals the prior, so the decoder hardly uses z: {total}, below {UNUSED_KL} each."
        )
    elif float(kl.sum()) < UNUSED_KL * latent:
        sentence = f"The posterior equals the prior, so the decoder ignores z: {total}."
    else:
        sentence = f"No dimension tells images apart: {total}, but {largest}."
    return Finding("collapse", sentence, _remedy(statistics, init), numbers)


def _dead(statistics: PosteriorStatistics, j: int, inactive: bool, init: str) -> Finding:
    """``inactive``: dimension ``j`` is no active unit; else it is weak."""
    name = f"Dimension {j + 1} of {statistics.means.shape[1]} is {'not' if inactive else 'hardly'} used"
    variance = f"{float(mean_variances(statistics.means)[j]):.4f}"
    kl = kl_per_dimension(statistics)
    weak = 0.0 if kl is None else float(kl[j])
    if statistics.log_stds is None:
        largest = f"{_largest_variance(statistics):.4f}"
        measured = f"the variance of its code over the images is {variance}, the largest {largest}"
    elif inactive:
        measured = f"the variance of its posterior means is {variance} (> {ACTIVE} if active)"
        measured += "" if kl is None else f"; its KL is {weak:.2f} nats"
    else:
        measured = (
            f"its KL is {weak:.3f} nats, below {UNUSED_KL}, though its posterior means vary (variance {variance})"
        )
    return Finding("unused", f"{name}: {measured}.", _remedy(statistics, init), (j + 1,))


def _remedy(statistics: PosteriorStatistics, init: str) -> str:
    """For dimensions that are not used; He initialisation only where the run does not have it."""
    if statistics.log_stds is None:
        return "lower --latent or --lr" if init == _HE else f"start from He initialisation (--init {_HE})"
    return _WAKE if init == _HE else f"{_WAKE}, from He initialisation (--init {_HE})"


def _narrow(statistics: PosteriorStatistics) -> list[Finding]:
    """Dimensions whose posterior is nearly a point, or far from the prior."""
    if statistics.log_stds is None:
        return []
    stds = statistics.log_stds.double().mean(0).exp()
    kl = kl_per_dimension(statistics)
    narrow = stds < NARROW
    if kl is not None:
        narrow |= kl > LARGE_KL
    numbers = tuple(int(j) + 1 for j in narrow.nonzero().flatten())
    if not numbers:
        return []
    which = f"{'dimension' if len(numbers) == 1 else 'dimensions'} {', '.join(map(str, numbers))}"
    smallest = f"its standard deviation is {float(stds[narrow].min()):.2g} at the smallest"
    amount = "" if kl is None else f" and the KL is {float(kl[narrow].max()):.1f} nats at the largest"
    sentence = (
        f"The posterior of {which} has almost no noise or lies far from the prior: {smallest}{amount}, "
        "so samples from the prior miss what the decoder has learned."
    )
    return [
        Finding("narrow", sentence, "train with a larger β (elbo:beta=2), or with fewer latent dimensions", numbers)
    ]


def _healthy(statistics: PosteriorStatistics) -> Finding:
    latent = statistics.means.shape[1]
    kl = kl_per_dimension(statistics)
    used = f"{latent} of {_dimensions(latent)} {'is' if latent == 1 else 'are'} used"
    if kl is None:
        return Finding("healthy", f"Healthy: {used}.")
    spread = f"their KLs are {float(kl.min()):.2f} to {float(kl.max()):.2f} nats"
    return Finding("healthy", f"Healthy: {used}; {spread if latent > 1 else f'its KL is {float(kl[0]):.2f} nats'}.")


def _largest_variance(statistics: PosteriorStatistics) -> float:
    return float(mean_variances(statistics.means).max())


def _dimensions(latent: int) -> str:
    return f"{latent} {'dimension' if latent == 1 else 'dimensions'}"
