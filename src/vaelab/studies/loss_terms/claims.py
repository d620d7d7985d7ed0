"""What theory says of the loss terms, held against the numbers of this run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vaelab.metrics import Metric
from vaelab.studies.loss_terms.words import brief, error, quantity, written
from vaelab.studies.results import Results, percent

COLLAPSED = 0.01
"""Below this variance of its means a latent dimension carries nothing (Burda et al. 2015, arXiv:1509.00519)."""

NO_KL = 0.05
"""A KL below this, in nats, counts as none."""


@dataclass(frozen=True)
class Claim:
    """``says``: a sentence of theory; ``measured``: the numbers that speak to it; ``holds``: whether they agree."""

    says: str
    measured: str
    holds: bool


@dataclass(frozen=True)
class Measured:
    """The numbers of one model."""

    reconstruction: Metric
    kl: Metric
    negative_elbo: Metric
    variance: Metric
    sigma: Metric
    knn: Metric
    chance: float

    @classmethod
    def of(cls, results: Results, model: str) -> Measured:
        """From the values of its training and of the step ``planes``."""
        losses = {name: results.metric(model, name) for name in ("reconstruction", "kl", "negative_elbo")}
        found = {name: results.metric("planes", f"{model}.{name}") for name in ("variance", "sigma", "knn")}
        return cls(**losses, **found, chance=float(results.values("planes")[f"{model}.chance"]))

    @property
    def at_chance(self) -> bool:
        """Whether z tells the class no better than the most frequent class alone does."""
        return self.knn.value < self.chance + 3 * error(self.knn)

    @property
    def collapsed(self) -> bool:
        """Whether the posterior is the prior for every image."""
        return self.kl.value < NO_KL and self.variance.value < COLLAPSED and abs(self.sigma.value - 1) < NO_KL


def claims(results: Results) -> list[Claim]:
    """Of the models without the label."""
    alone, nothing, both, sheet = (
        Measured.of(results, f"vae-{loss}") for loss in ("reconstruction", "kl", "both", "sheet")
    )
    constant = results.metric("planes", "constant") if "constant" in results.values("planes") else None
    return [*_reconstruction(alone, both), *_kl(nothing, constant), *_both(alone, nothing, both, sheet)]


def _pair(first: Metric, second: Metric, names: tuple[str, str]) -> str:
    return f"{quantity(first)} ({names[0]}), {quantity(second)} ({names[1]})"


def _reconstruction(alone: Measured, both: Measured) -> list[Claim]:
    names = ("reconstruction only", "both terms")
    return [
        Claim(
            "Without the KL nothing keeps the posterior means near the origin: they spread wider than with both terms.",
            f"variance of the means {_pair(alone.variance, both.variance, names)}",
            alone.variance.value > both.variance.value,
        ),
        Claim(
            "Without the KL noise in z only harms: the posterior's σ shrinks.",
            f"mean σ {_pair(alone.sigma, both.sigma, names)}",
            alone.sigma.value < both.sigma.value,
        ),
        Claim(
            "So the KL, which nobody minimises, becomes large.",
            f"KL {_pair(alone.kl, both.kl, names)}",
            alone.kl.value > 2 * both.kl.value,
        ),
        Claim(
            "The reconstruction is at least as good as with both terms.",
            f"reconstruction loss {_pair(alone.reconstruction, both.reconstruction, names)}",
            alone.reconstruction.value <= both.reconstruction.value + 2 * error(both.reconstruction),
        ),
    ]


def _kl(nothing: Measured, constant: Metric | None) -> list[Claim]:
    found = [
        Claim(
            "With the KL alone the posterior becomes the prior: the KL is 0.",
            f"KL {quantity(nothing.kl)}",
            nothing.kl.value < NO_KL,
        ),
        Claim(
            "Every image has its posterior mean at the origin …",
            f"variance of the means {quantity(nothing.variance)}, less than {COLLAPSED:g} counts as none",
            nothing.variance.value < COLLAPSED,
        ),
        Claim("… and σ = 1.", f"mean σ {quantity(nothing.sigma)}", abs(nothing.sigma.value - 1) < 0.05),
        Claim(
            "So z tells no classes apart: a classifier on z is at chance.",
            f"{quantity(nothing.knn)} right, the most frequent class is {100 * nothing.chance:.1f} % of the images",
            nothing.at_chance,
        ),
    ]
    if constant is not None:
        found.append(
            Claim(
                "The decoder has learned nothing: it is worse than one picture for all, the mean training image.",
                f"reconstruction loss {_pair(nothing.reconstruction, constant, ('KL only', 'mean image'))}",
                nothing.reconstruction.value > constant.value,
            )
        )
    return found


def _both(alone: Measured, nothing: Measured, both: Measured, sheet: Measured) -> list[Claim]:
    names = ("KL only", "both terms", "reconstruction only")

    def three(what: str, values: Sequence[Metric]) -> str:
        pieces = (f"{quantity(value)} ({name})" for value, name in zip(values, names, strict=True))
        return f"{what} {', '.join(pieces)}"

    kl = [nothing.kl, both.kl, alone.kl]
    sigma = [nothing.sigma, both.sigma, alone.sigma]
    bound = [nothing.negative_elbo, both.negative_elbo, alone.negative_elbo]
    weights = ("β = 1", "the sheet's β", "β = 0")
    steps = list(zip([both.kl, sheet.kl, alone.kl], weights, strict=True))
    return [
        Claim("With both terms the KL lies between.", three("KL", kl), kl[0].value < kl[1].value < kl[2].value),
        Claim(
            "And so does σ.",
            three("mean σ", sigma),
            sigma[0].value > sigma[1].value > sigma[2].value,
        ),
        Claim(
            "Only the sum of both terms bounds log p(x): trained on it, −ELBO is the smallest.",
            three("−ELBO", bound),
            bound[1].value < min(bound[0].value, bound[2].value),
        ),
        Claim(
            "The sheet's small weight lies between no weight and the full one.",
            "KL " + ", ".join(f"{quantity(value)} ({name})" for value, name in steps),
            both.kl.value < sheet.kl.value < alone.kl.value,
        ),
    ]


def agree(found: Sequence[Claim]) -> str:
    """How many hold, in words.

    >>> agree([Claim("a", "b", True), Claim("c", "d", False)])
    '1 of 2 sentences of theory hold; the others do not in this run'
    """
    count = sum(claim.holds for claim in found)
    if count == len(found):
        return f"all {count} sentences of theory hold"
    return f"{count} of {len(found)} sentences of theory hold; the others do not in this run"


def row(results: Results, model: str, name: str) -> list[str]:
    """A row of the table of numbers: losses, moments, classifiers."""
    values = results.values("planes")
    found = Measured.of(results, model)
    mean, variances = (_several(values[f"{model}.{key}"]) for key in ("mean", "variances"))
    means = results.metric("planes", f"{model}.knn_means")
    return [
        name,
        written(found.reconstruction, 2, unit=False),
        written(found.kl, 2, unit=False),
        written(found.negative_elbo, 2, unit=False),
        mean,
        variances,
        brief(found.sigma.value, 3),
        percent(found.knn, 1),
        percent(means, 1),
    ]


def _several(values: Sequence[float]) -> str:
    """The values of each dimension; their mean where there are more than three."""
    if len(values) > 3:
        return f"{_short(sum(values) / len(values))} on average"
    return ", ".join(_short(value) for value in values)


def _short(value: float) -> str:
    """
    >>> _short(-12.34), _short(0.0), _short(0.00012), _short(-2.4e-6)
    ('−12', '0.00', '0.00012', '−2.4·10⁻⁶')
    """
    if value != 0 and abs(value) < 0.1:
        return brief(value)
    return f"{value:.{0 if abs(value) >= 10 else 2}f}".replace("-", "−")
