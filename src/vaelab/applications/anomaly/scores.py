"""Anomaly scores of images under a trained model: higher is more anomalous.

A score is a class here and one row in a contract test. It says what it needs of the training images (`Score.fit`, plain
arrays) and makes one number of each image from what `Measured` offers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.applications.anomaly.features import FEATURES
from vaelab.applications.anomaly.measuring import Effort, Measured
from vaelab.applications.anomaly.outliers import DETECTORS, State
from vaelab.building import Model
from vaelab.data.images import ImageData
from vaelab.data.progress import Progress
from vaelab.errors import DataError, UsageError, VaelabError
from vaelab.evaluation.draws import MEMORY, at_least
from vaelab.evaluation.protocol import counted
from vaelab.specs import Registry, Spec, choice
from vaelab.vae import VAE

ALL = "all"
"""Every score that the model allows."""


class Score:
    """``score(measured, state)`` → float64 ``(n,)``; what options a score has are keyword-only parameters."""

    unit: ClassVar[str] = "nats"
    needs_posterior: ClassVar[bool] = True
    needs_reference: ClassVar[bool] = False

    def fit(self, training: Measured) -> dict[str, NDArray[np.float64]]:
        """What the score remembers of the training images; nothing, where they do not matter."""
        del training
        return {}

    def __call__(self, measured: Measured, state: State) -> Tensor:
        """See the class."""
        raise NotImplementedError

    def words(self, effort: Effort) -> str:
        """How exactly it is measured, for a protocol."""
        return counted(effort.samples, "sample of z per image")


SCORES: Registry[Score] = Registry("score")


@SCORES.register("reconstruction")
class ReconstructionScore(Score):
    """−E_q(z|x) log p(x|z), nats; of an autoencoder −log p(x|z)."""

    needs_posterior = False

    def __call__(self, measured: Measured, state: State) -> Tensor:
        """See the class."""
        return measured.bounds.reconstruction


@SCORES.register("negative_elbo")
class NegativeELBOScore(Score):
    """−ELBO(x), an upper bound on −log p(x), nats."""

    def __call__(self, measured: Measured, state: State) -> Tensor:
        """See the class."""
        assert measured.bounds.negative_elbo is not None
        return measured.bounds.negative_elbo


@SCORES.register("negative_log_likelihood")
class NegativeLogLikelihoodScore(Score):
    """−log (1/K) Σ_k p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q(z|x), nats. Burda et al. 2015, arXiv:1509.00519."""

    def __call__(self, measured: Measured, state: State) -> Tensor:
        """See the class."""
        return -measured.log_likelihood

    def words(self, effort: Effort) -> str:
        """See `Score`."""
        return counted(effort.samples, "importance sample per image")


@SCORES.register("kl")
class KLScore(Score):
    """KL(q(z|x) ‖ p(z)), nats."""

    def __call__(self, measured: Measured, state: State) -> Tensor:
        """See the class."""
        assert measured.bounds.kl is not None
        return measured.bounds.kl

    def words(self, effort: Effort) -> str:
        """See `Score`."""
        return f"in closed form where the prior has one, else {super().words(effort)}"


@SCORES.register("likelihood_regret")
class LikelihoodRegretScore(Score):
    """What the ELBO gains when the image's own (μ, log σ) is refined, nats; see `likelihood_regret`.

    Xiao, Yan & Amit 2020, arXiv:2003.02977.
    """

    def __init__(self, *, lr: float = 0.05) -> None:
        if not 0 < lr < float("inf"):
            raise ValueError(f"expected a finite lr > 0, got {lr}")
        self.lr = lr

    def __call__(self, measured: Measured, state: State) -> Tensor:
        """See the class."""
        return measured.regret(self.lr).regret

    def words(self, effort: Effort) -> str:
        """See `Score`."""
        return f"{effort.steps} steps of Adam from {self.lr:g}, {super().words(effort)}"


class _PathScore(Score):
    """How far the features of an image's path lie from the training images'."""

    unit = "no unit"
    needs_reference = True

    def __init__(self, features: tuple[str, ...], detector: str) -> None:
        for name in features:
            choice("feature", name, FEATURES)
        choice("detector", detector, DETECTORS)
        if not features:
            raise ValueError("expected at least one feature, got none")
        self.features, self.detector = features, detector

    def fit(self, training: Measured) -> dict[str, NDArray[np.float64]]:
        """See `Score`."""
        found = training.features(self.features)
        groups = np.repeat(np.arange(len(found)), [values.shape[1] for values in found])
        return DETECTORS[self.detector].fit(np.concatenate(found, axis=1), groups)

    def __call__(self, measured: Measured, state: State) -> Tensor:
        """See the class."""
        features = np.concatenate(measured.features(self.features), axis=1)
        return torch.from_numpy(DETECTORS[self.detector].score(features, state))

    def words(self, effort: Effort) -> str:
        """See `Score`."""
        return f"{self.detector} of {', '.join(self.features)}"


@SCORES.register("likelihood_path")
class LikelihoodPathScore(_PathScore):
    """Mahalanobis distance of (‖x − E[x|μ]‖, ‖μ‖, ‖σ‖) from the training images'; ``features`` chooses others.

    ``detector`` is mahalanobis, copod or mixture, see `Mahalanobis`, `Copod` and `Mixture`; ``features`` are names of
    `FEATURES`. Huang, He & Lui 2024, arXiv:2401.04933.
    """

    def __init__(
        self, *, features: tuple[str, ...] = ("error", "mean_norm", "std_norm"), detector: str = "mahalanobis"
    ) -> None:
        super().__init__(features, detector)


@SCORES.register("likelihood_path_copod")
class CopodPathScore(_PathScore):
    """Tail probabilities of (‖x − E[x|μ]‖, ‖μ‖, ‖σ‖) among the training images', see `Copod`; no unit.

    Huang, He & Lui 2024, arXiv:2401.04933; Li et al. 2020, arXiv:2009.09463.
    """

    def __init__(self, *, features: tuple[str, ...] = ("error", "mean_norm", "std_norm")) -> None:
        super().__init__(features, "copod")


@SCORES.register("likelihood_path_mixture")
class MixturePathScore(_PathScore):
    """−log density of (‖x − E[x|μ]‖, μ, log σ) under a normal mixture of the training images', see `Mixture`; no unit.

    The whole path and not its lengths alone; after Huang, He & Lui 2024, arXiv:2401.04933.
    """

    def __init__(self, *, features: tuple[str, ...] = ("error", "mean", "log_std")) -> None:
        super().__init__(features, "mixture")


def chosen_scores(model: Model, scores: Sequence[str]) -> dict[str, Score]:
    """Spec → score, in the order given; ``all`` stands for each that the model allows.

    Raises `UsageError` for a conditional model, an unknown or repeated score, wrong options, or one that an autoencoder
    does not have.
    """
    if model.classes:
        raise UsageError(
            "a conditional model scores an image given its label, and an anomaly has none of its labels; "
            "train a model without condition (--unconditional)"
        )
    has_posterior = isinstance(model, VAE)
    words: list[str] = []
    for word in scores:
        if word != ALL:
            words.append(word)
        else:
            words += [name for name in SCORES.names() if has_posterior or not SCORES.build(Spec(name)).needs_posterior]
    made: dict[str, Score] = {}
    for word in words:
        spec = Spec.parse(word)
        if str(spec) in made:
            raise UsageError(f"the score {str(spec)!r} stands twice; leave one out")
        score = made[str(spec)] = SCORES.build(spec)
        if score.needs_posterior and not has_posterior:
            raise UsageError(
                f"an autoencoder has no posterior, so no score {spec.name!r}; use the score reconstruction "
                "or train a VAE"
            )
    if not made:
        raise UsageError(f"expected at least one score, got none; known: {', '.join([ALL, *SCORES.names()])}")
    return made


class Reference:
    """What scores remember of the training images: plain arrays, by score.

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("conv-vae").model)
    >>> data = ImageData("noise", torch.randint(256, (30, 1, 28, 28), dtype=torch.uint8))
    >>> reference = Reference.fit(model, data, "grey")
    >>> Reference.from_arrays(reference.arrays()).n
    30
    >>> sorted(anomaly_scores(model, data, "grey", scores=["kl", "likelihood_path"], reference=reference))
    ['kl', 'likelihood_path']
    """

    def __init__(self, states: Mapping[str, State], n: int) -> None:
        self.states, self.n = dict(states), n

    @classmethod
    def fit(
        cls,
        model: Model,
        data: ImageData,
        variant: str,
        *,
        scores: Sequence[str] = (ALL,),
        seed: int = 0,
        memory: int = MEMORY,
        device: torch.device | str | None = None,
        progress: Progress | None = None,
    ) -> Reference:
        """The states of those ``scores`` that need training images, from ``data``; arguments as in `anomaly_scores`."""
        training = Measured(model, data, variant, Effort(seed=seed, memory=memory, device=device, progress=progress))
        made = chosen_scores(model, scores)
        return cls({name: score.fit(training) for name, score in made.items() if score.needs_reference}, len(data))

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Flat names → arrays, as ``np.savez`` takes them."""
        found = {f"{name}|{key}": array for name, state in self.states.items() for key, array in state.items()}
        return {"n": np.array(float(self.n)), **found}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> Reference:
        """The inverse of `arrays`; raises `DataError` for others."""
        states: dict[str, dict[str, NDArray[np.float64]]] = {}
        for name in arrays:
            score, bar, key = name.partition("|")
            if bar:
                states.setdefault(score, {})[key] = arrays[name]
        if "n" not in arrays:
            raise DataError("expected the arrays of a reference, got some without n; fit the reference anew")
        return cls(states, int(arrays["n"]))


def anomaly_scores(
    model: Model,
    data: ImageData,
    variant: str,
    *,
    scores: Sequence[str] = (ALL,),
    reference: Reference | None = None,
    samples: int = 10,
    steps: int = 25,
    seed: int = 0,
    memory: int = MEMORY,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Score → float64 ``(n,)`` on the CPU, in the order of the data; higher is more anomalous.

    ``scores`` are specs of `SCORES`, or ``all``: each that the model allows (an autoencoder has ``reconstruction``
    alone), those that need training images only where a ``reference`` is given. ``variant`` is the pixel variant,
    ``samples`` (≥ 1) the draws of z for each image of a bound or log-likelihood, ``steps`` (≥ 0) those of the
    likelihood regret. ``seed`` and an image's content give its noise: its score depends neither on the batch nor on the
    order nor on other images but the reference's, up to rounding. ``memory``: bytes, of a batch in a network.
    ``progress`` shows each pass over the images. The model must have no condition. Labels are not looked at.

    Raises `UsageError` as `chosen_scores` does, for a score whose reference is missing, another variant than the
    likelihood's or numbers below their least; `DataError` where the data does not fit the model; `VaelabError` for
    scores that are not finite.

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("conv-vae").model)
    >>> data = ImageData("noise", torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8))
    >>> found = anomaly_scores(model, data, "grey", scores=["negative_elbo", "kl"], samples=2)
    >>> found["kl"].shape, bool((found["negative_elbo"] > found["kl"]).all())
    (torch.Size([3]), True)
    """
    at_least("samples", samples, 1)
    at_least("steps", steps, 0)
    made = chosen_scores(model, scores)
    if reference is None and ALL in scores:
        made = {name: score for name, score in made.items() if not score.needs_reference or name in scores}
    measured = Measured(model, data, variant, Effort(samples, steps, seed, memory, device, progress))
    found = {}
    for name, score in made.items():
        state = {} if reference is None else reference.states.get(name, {})
        if score.needs_reference and not state:
            raise UsageError(
                f"the score {name!r} compares with the training images; give a reference that was fitted for it"
            )
        found[name] = _finite(name, score(measured, state))
    return found


def _finite(name: str, values: Tensor) -> Tensor:
    wrong = int((~values.isfinite()).sum())
    if wrong:
        raise VaelabError(
            f"expected finite scores, got others for {wrong} of {len(values)} images from {name}; "
            "check the training, or lower the learning rate and train again"
        )
    return values.double().cpu()
