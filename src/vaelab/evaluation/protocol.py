"""What was measured on what, in words: the protocol of a metric."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vaelab.building import Model
from vaelab.data.pixels import VARIANTS
from vaelab.likelihoods import Likelihood

_MEASURES = {"mass": "{} mass", "density": "{} density", "unnormalised": "unnormalised {}"}


def likelihood_name(likelihood: Likelihood) -> str:
    """The class's name in words.

    >>> from vaelab.likelihoods import ContinuousBernoulliLikelihood
    >>> likelihood_name(ContinuousBernoulliLikelihood())
    'continuous Bernoulli'
    """
    words = re.findall(r"[A-Z][a-z0-9]*", type(likelihood).__name__.removesuffix("Likelihood"))
    return " ".join(word if word == "Bernoulli" else word.lower() for word in words)


@dataclass(frozen=True)
class Protocol:
    """Builds the sentences; ``split`` is the name of the data's part, ``samples`` draws of z for each image.

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("conv-vae").model)
    >>> Protocol(model, "grey", "test", seed=0).text("1 sample of z per image")
    'test split, grey pixels (unnormalised Bernoulli), 1 sample of z per image, seed 0'
    """

    model: Model
    variant: str
    split: str
    seed: int

    @property
    def measured(self) -> str:
        """What a bound bounds."""
        return "−log p(x|c)" if self.model.classes else "−log p(x)"

    @property
    def pixels(self) -> str:
        """The pixel variant, and what log p(x|z,c) is on it."""
        likelihood = self.model.likelihood
        measure = likelihood.measures[self.variant]
        return f"{VARIANTS[self.variant]} ({_MEASURES[measure].format(likelihood_name(likelihood))})"

    def text(self, *parts: str) -> str:
        """Split, pixels, condition, ``parts``, seed."""
        condition = ["given the label"] if self.model.classes else []
        return ", ".join([f"{self.split} split", self.pixels, *condition, *parts, f"seed {self.seed}"])


def counted(number: int, what: str) -> str:
    """The number and its noun.

    >>> counted(1, "sample of z per image"), counted(5, "sample of z per image")
    ('1 sample of z per image', '5 samples of z per image')
    """
    first, _, rest = what.partition(" ")
    return f"{number} {first}{'s' if number != 1 else ''}" + (f" {rest}" if rest else "")
