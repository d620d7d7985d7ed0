"""Loss terms on cases small enough to check by hand (C4), computed by the objective that trains the models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vaelab.likelihoods import LIKELIHOODS
from vaelab.objectives import ELBO
from vaelab.posteriors import NormalPosterior
from vaelab.priors import PRIORS
from vaelab.randomness import generator
from vaelab.specs import Spec
from vaelab.studies.context import Context
from vaelab.vae import VAE

Rows = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Case:
    """A batch: ``pixels`` and what the decoder gives for them, ``mean`` and ``log_variance``; the two terms by hand."""

    what: str
    by_hand: str
    reconstruction: float | None = None
    kl: float | None = None
    pixels: Rows = ((0.0,),)
    decoded: Rows = ((0.5,),)
    mean: Rows = ((0.0,),)
    log_variance: Rows = ((0.0,),)


LOG_2 = math.log(2)
CASES = (
    Case("KL: mean 0, log-variance 0", "0", kl=0.0),
    Case("KL: mean 1, log-variance 0", "½ · 1² = ½", kl=0.5, mean=((1.0,),)),
    Case("KL: mean 0, log-variance 1", "½ (e − 1 − 1)", kl=0.5 * (math.e - 2), log_variance=((1.0,),)),
    Case("KL: mean 0, log-variance −1", "½ (1/e + 1 − 1)", kl=0.5 / math.e, log_variance=((-1.0,),)),
    Case(
        "KL adds over dimensions: means 1 and 2", "½ + 2 = 2½", kl=2.5, mean=((1.0, 2.0),), log_variance=((0.0, 0.0),)
    ),
    Case(
        "KL is averaged over the batch: an image with 0, one with 2½",
        "(0 + 2½) / 2 = 1¼",
        kl=1.25,
        pixels=((0.0,), (0.0,)),
        decoded=((0.5,), (0.5,)),
        mean=((0.0, 0.0), (1.0, 2.0)),
        log_variance=((0.0, 0.0), (0.0, 0.0)),
    ),
    Case("BCE: pixel 1, decoded 0.8", "−log 0.8", reconstruction=-math.log(0.8), pixels=((1.0,),), decoded=((0.8,),)),
    Case("BCE: pixel 0, decoded 0.8", "−log 0.2", reconstruction=-math.log(0.2), decoded=((0.8,),)),
    Case("BCE: grey pixel ½, decoded ½", "log 2, not 0", reconstruction=LOG_2, pixels=((0.5,),)),
    Case(
        "BCE adds over pixels: four pixels decoded ½",
        "4 log 2",
        reconstruction=4 * LOG_2,
        pixels=((0.0, 1.0, 1.0, 0.0),),
        decoded=((0.5,) * 4,),
    ),
    Case(
        "BCE is averaged over the batch: an image with log 2, one with −log 0.8",
        "(log 2 − log 0.8) / 2",
        reconstruction=0.5 * (LOG_2 - math.log(0.8)),
        pixels=((1.0,), (1.0,)),
        decoded=((0.5,), (0.8,)),
        mean=((0.0,), (0.0,)),
        log_variance=((0.0,), (0.0,)),
    ),
)


class Given(nn.Module):
    """A network that gives what it was made with, whatever comes in."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)

    def forward(self, value: Tensor, c: Tensor | None = None) -> Tensor:
        """The value."""
        given = self.value
        assert isinstance(given, Tensor)
        return given


def model_of(case: Case) -> tuple[VAE, Tensor]:
    """A VAE whose networks give the case's numbers, its other parts those of a trained one; and the images."""
    mean, log_variance = torch.tensor(case.mean), torch.tensor(case.log_variance)
    latent = mean.shape[1]
    posterior = NormalPosterior(2 * latent, latent)
    with torch.no_grad():
        for parameter in posterior.parameters():
            parameter.zero_()
        posterior.mean.weight[:, :latent] = torch.eye(latent)
        posterior.spread.weight[:, latent:] = torch.eye(latent)
    pixels = torch.tensor(case.pixels)[:, None, None, :]
    logits = torch.logit(torch.tensor(case.decoded))[:, None, None, :]
    shape = (1, 1, pixels.shape[-1])
    prior = PRIORS.build(Spec("normal"), latent, shape, 0)
    encoder, likelihood = Given(torch.cat([mean, log_variance], 1)), LIKELIHOODS.build(Spec("bernoulli"))
    return VAE(encoder, posterior, prior, Given(logits), likelihood, image_shape=shape, latent=latent), pixels


def check(case: Case) -> dict[str, Any]:
    """The case's term as the objective gives it, and by hand.

    >>> found = check(CASES[1])
    >>> round(found["found"], 6), found["expected"]
    (0.5, 0.5)
    """
    model, x = model_of(case)
    with torch.no_grad():
        terms = ELBO()(model, x, generator=generator(0, "cpu", "hand"))
    term, expected = (terms.kl, case.kl) if case.kl is not None else (terms.reconstruction, case.reconstruction)
    assert expected is not None
    both = float((terms.reconstruction + terms.kl).mean())
    found = float(term.mean())
    return {
        "what": case.what,
        "by_hand": case.by_hand,
        "expected": expected,
        "found": found,
        "loss_is_the_sum": abs(float(terms.loss) - both) < 1e-5,
    }


def least_kl(count: int, seed: int) -> float:
    """The least KL of ``count`` posteriors with random mean and log-variance, of size 0.001 to 3: positive."""
    source = generator(seed, "cpu", "least")
    size = 10 ** (torch.rand(2, count, 1, generator=source) * 3.5 - 3)
    mean, log_variance = size * torch.randn(2, count, 1, generator=source).sign()
    case = Case("", "", kl=0.0, mean=mean.tolist(), log_variance=log_variance.tolist(),
                pixels=[[0.0]] * count, decoded=[[0.5]] * count)  # fmt: skip
    model, x = model_of(case)
    with torch.no_grad():
        # In double precision: of numbers as small as these, rounding alone would give a KL a little below 0.
        terms = ELBO()(model.double(), x.double(), generator=generator(seed, "cpu", "hand"))
    return float(terms.kl.min())


def measure(ctx: Context) -> Mapping[str, Any]:
    """All cases, and the least KL of ``options["posteriors"]`` random posteriors."""
    count = ctx.options["posteriors"]
    return {
        "cases": [check(case) for case in CASES],
        "posteriors": count,
        "least_kl": least_kl(count, ctx.settings.seed),
    }
