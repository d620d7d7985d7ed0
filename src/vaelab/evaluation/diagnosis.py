"""What a model's latent space says about its training, in plain words with the measured numbers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vaelab.errors import DataError
from vaelab.evaluation.latents import ACTIVE, PosteriorStatistics, kl_per_dimension, mean_variances

UNUSED_KL = 0.05
"""A dimension whose mean KL is smaller, in nats, tells the decoder nothing."""
LARGE_KL = 20.0
"""A mean KL of one dimension, in nats, that no sample of the prior comes near to."""
NARROW = 1e-3
"""A (geometric mean) standard deviation of the posterior that amounts to no noise at all."""
UNUSED_CODE = 1e-4
"""An autoencoder's code has no unit: a dimension is unused where its variance is less than this part of the largest."""

_WAKE = (
    "train with KL warm-up (elbo:warmup=1), free bits (elbo:free_bits=0.1) or a smaller β (elbo:beta=0.5), "
    "from He initialisation (--init he-encoder)"
)


@dataclass(frozen=True)
class Finding:
    """``kind``: healthy, collapse, unused, narrow or not-finite. ``dimensions`` it is about, numbered from 1.

    ``sentence`` says what was measured, ``remedy`` what to do (empty where nothing is wrong).
    """

    kind: str
    sentence: str
    remedy: str = ""
    dimensions: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.sentence} Remedy: {self.remedy}." if self.remedy else self.sentence


def diagnose(statistics: PosteriorStatistics) -> list[Finding]:
    """Posterior collapse, unused dimensions, a posterior without noise; or one sentence that nothing is wrong.

    ``statistics``: of at least two images (`posterior_statistics`), else `DataError`. A dimension is unused where its
    KL is below 0.05 nats or the variance of its posterior means below 0.01 (Burda et al. 2015, arXiv:1509.00519).
    Collapse: Bowman et al. 2015, arXiv:1511.06349.

    >>> import torch
    >>> means, kl = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.5, 0.0], [0.5, 0.0]])
    >>> print(diagnose(PosteriorStatistics(means, torch.zeros(2, 2), kl))[0].sentence)
    Dimension 2 of 2 is not used: its KL is 0.00 nats and the variance of its posterior means 0.0000.
    """
    n, latent = statistics.means.shape
    if n < 2:
        raise DataError(f"expected at least 2 images for a diagnosis, got {n}; give more images")
    broken = _not_finite(statistics)
    if broken:
        return broken
    unused = _unused(statistics)
    findings = [_collapse(statistics)] if len(unused) == latent else [_dead(statistics, j) for j in unused]
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


def _unused(statistics: PosteriorStatistics) -> list[int]:
    """Indices of the unused dimensions, from 0."""
    variances = mean_variances(statistics.means)
    if statistics.log_stds is None:
        unused = variances <= UNUSED_CODE * variances.max()
    else:
        unused = variances < ACTIVE
        kl = kl_per_dimension(statistics)
        if kl is not None:
            unused |= kl < UNUSED_KL
    return [int(j) for j in unused.nonzero().flatten()]


def _collapse(statistics: PosteriorStatistics) -> Finding:
    latent = statistics.means.shape[1]
    numbers = tuple(range(1, latent + 1))
    largest = f"the largest variance of a dimension's means over the images is {_largest_variance(statistics):.4f}"
    if statistics.log_stds is None:
        sentence = f"The code is the same for every image: {largest}."
        return Finding("collapse", sentence, "start from He initialisation (--init he-encoder)", numbers)
    kl = kl_per_dimension(statistics)
    if kl is None:
        sentence = f"The posterior is the same for every image, so the decoder ignores z: {largest}."
    elif float(kl.sum()) < UNUSED_KL * latent:
        total = f"{float(kl.sum()):.2f} nats over {_dimensions(latent)}"
        sentence = f"The posterior equals the prior, so the decoder ignores z: the KL is {total}."
    else:
        sentence = f"No dimension tells images apart: the KL is {float(kl.sum()):.2f} nats, but {largest}."
    return Finding("collapse", sentence, _WAKE, numbers)


def _dead(statistics: PosteriorStatistics, j: int) -> Finding:
    name = f"Dimension {j + 1} of {statistics.means.shape[1]} is not used"
    variance = f"{float(mean_variances(statistics.means)[j]):.4f}"
    kl = kl_per_dimension(statistics)
    if statistics.log_stds is None:
        largest = f"{_largest_variance(statistics):.4f}"
        sentence = f"{name}: the variance of its code over the images is {variance}, the largest {largest}."
        return Finding("unused", sentence, "start from He initialisation (--init he-encoder)", (j + 1,))
    measured = f"the variance of its posterior means is {variance}"
    if kl is not None:
        measured = f"its KL is {float(kl[j]):.2f} nats and the variance of its posterior means {variance}"
    return Finding("unused", f"{name}: {measured}.", _WAKE, (j + 1,))


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
