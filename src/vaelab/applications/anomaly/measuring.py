"""What scores are made of, each part measured once: bounds, log-likelihood, regret, features of the path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.applications.anomaly.features import path_features
from vaelab.applications.anomaly.regret import Regret, likelihood_regret
from vaelab.building import Model
from vaelab.data.images import ImageData
from vaelab.data.progress import Progress, increments, no_progress
from vaelab.errors import UsageError
from vaelab.evaluation import ImageScores, evaluate_bounds, log_likelihood
from vaelab.evaluation.draws import MEMORY
from vaelab.vae import VAE

Done = Callable[[int], None]


@dataclass(frozen=True)
class Effort:
    """How exactly is measured, and with what.

    ``samples`` (≥ 1): draws of z for each image in a bound or log-likelihood. ``steps`` (≥ 0): gradient steps of the
    likelihood regret. ``memory``: bytes, of a batch in a network.
    """

    samples: int = 10
    steps: int = 25
    seed: int = 0
    memory: int = MEMORY
    device: torch.device | str | None = None
    progress: Progress | None = None


@dataclass
class Measured:
    """A data set under a model; what a score asks for is computed once and kept."""

    model: Model
    data: ImageData
    variant: str
    effort: Effort = field(default_factory=Effort)
    _features: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    _regrets: dict[float, Regret] = field(default_factory=dict, repr=False)

    @property
    def vae(self) -> VAE:
        """The model, where it has a posterior; `UsageError` for an autoencoder."""
        if not isinstance(self.model, VAE):
            raise UsageError("an autoencoder has no posterior; use the score reconstruction or train a VAE")
        return self.model

    @cached_property
    def bounds(self) -> ImageScores:
        """−ELBO, reconstruction and KL, nats."""
        with self._pass("bounds") as done:
            return evaluate_bounds(
                self.model,
                self.data,
                self.variant,
                samples=self.effort.samples,
                seed=self.effort.seed,
                memory=self.effort.memory,
                device=self.effort.device,
                progress=done,
            )

    @cached_property
    def log_likelihood(self) -> Tensor:
        """log p(x) with importance samples, nats, ``(n,)``."""
        with self._pass("log-likelihood") as done:
            found = log_likelihood(
                self.vae,
                self.data,
                self.variant,
                samples=self.effort.samples,
                seed=self.effort.seed,
                memory=self.effort.memory,
                device=self.effort.device,
                progress=done,
            )
        return found.log_likelihood

    def regret(self, lr: float) -> Regret:
        """The likelihood regret with rates that start at ``lr``."""
        if lr not in self._regrets:
            with self._pass("likelihood regret") as done:
                self._regrets[lr] = likelihood_regret(
                    self.vae,
                    self.data,
                    self.variant,
                    steps=self.effort.steps,
                    lr=lr,
                    samples=self.effort.samples,
                    seed=self.effort.seed,
                    memory=self.effort.memory,
                    device=self.effort.device,
                    progress=done,
                )
        return self._regrets[lr]

    def features(self, names: Sequence[str]) -> list[NDArray[np.float32]]:
        """Of each name in `FEATURES`, ``(n, k)``."""
        missing = [name for name in names if name not in self._features]
        if missing:
            with self._pass("features") as done:
                self._features |= path_features(
                    self.vae,
                    self.data,
                    self.variant,
                    missing,
                    seed=self.effort.seed,
                    memory=self.effort.memory,
                    device=self.effort.device,
                    progress=done,
                )
        return [self._features[name] for name in names]

    @contextmanager
    def _pass(self, what: str) -> Iterator[Done]:
        """Within: a progress bar of one pass over the images, told how many are done so far."""
        with (self.effort.progress or no_progress)(f"{what}, {self.data.name}", len(self.data)) as advance:
            yield increments(advance)
