"""`VAETransformer`: latent coordinates, a bound on the log-density, and new samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from vaelab.estimators.base import VARIANT, sentences
from vaelab.estimators.representations import Representation
from vaelab.estimators.scaling import Array
from vaelab.evaluation import evaluate_bounds
from vaelab.randomness import generator
from vaelab.vae import VAE


class VAETransformer(Representation):
    """A variational autoencoder: ``transform`` gives the posterior means, ``score`` the ELBO.

    ELBO(x) = E_q(z|x) log p(x|z) − KL(q(z|x) ‖ p(z)) ≤ log p(x), in nats. Kingma & Welling 2013, arXiv:1312.6114.

    ``prior``, ``objective``: specs, such as ``mixture:components=20``, ``elbo:beta=4``; ``samples`` (≥ 1) of z per row
    in a score. The other parameters are those of `GenerativeEstimator`. Raises `ValueError` where a parameter or the
    data does not fit, `TrainingError` where the loss is not finite.

    Fitted: ``model_`` (a torch module), ``config_``, ``loss_curve_`` (the mean loss of each epoch), ``seed_``,
    ``scaling_``, ``n_features_in_``, ``feature_names_in_``.

    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data / 16
    >>> vae = VAETransformer(latent=2, likelihood="bernoulli", epochs=2, random_state=0).fit(X)
    >>> vae.transform(X).shape, vae.inverse_transform([[0.0, 0.0]]).shape, vae.sample(3).shape
    ((1797, 2), (1, 64), (3, 64))
    """

    def __init__(
        self,
        latent: int = 8,
        *,
        hidden: int | Sequence[int] = (256,),
        encoder: str = "auto",
        decoder: str = "auto",
        prior: str = "normal",
        likelihood: str = "auto",
        image_shape: tuple[int, int, int] | None = None,
        objective: str = "elbo",
        samples: int = 10,
        epochs: int | str = "auto",
        batch_size: int = 128,
        lr: float = 2e-3,
        device: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            latent,
            hidden=hidden,
            encoder=encoder,
            decoder=decoder,
            likelihood=likelihood,
            image_shape=image_shape,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.prior = prior
        self.objective = objective
        self.samples = samples

    def score_samples(self, X: ArrayLike) -> Array:
        """The ELBO of each row, a lower bound on log p(x) in nats, ``(n,)``; a row's noise is seeded by its content."""
        model, data, device = self._scoring(self._checked(X))
        with sentences():
            scores = evaluate_bounds(model, data, VARIANT, samples=self.samples, seed=self.seed_, device=device)
        assert scores.negative_elbo is not None
        return -scores.negative_elbo.numpy() - self.scaling_.log_volume

    def score(self, X: ArrayLike, y: object = None) -> float:
        """The mean of `score_samples`: larger is better."""
        del y
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, *, random_state: Any = None, draw: bool = False) -> Array:
        """New rows ``(n_samples, features)``: z from the prior, then E[x|z], or with ``draw`` a draw from p(x|z).

        ``random_state`` as scikit-learn has it; None: the estimator's own, so that an integer there gives the same rows
        in every call.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"expected n_samples ≥ 1, got {n_samples}")
        source = check_random_state(self.random_state if random_state is None else random_state)
        noise = generator(int(source.randint(np.iinfo(np.int32).max)), "cpu", "samples")
        assert isinstance(self.model_, VAE)
        rows = self.model_.sample(n_samples, generator=noise, draw=draw).flatten(1)
        return self.scaling_.inverse(rows.to(torch.float64).numpy())

    def _model_options(self) -> dict[str, Any]:
        return {"prior": self.prior}

    def _training_options(self, n: int, labels: NDArray[np.int64] | None) -> dict[str, Any]:
        return {"objective": self.objective}
