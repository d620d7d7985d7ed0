"""`VAEOutlierDetector`: anomaly scores with scikit-learn's signs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import OutlierMixin
from sklearn.utils.validation import validate_data

from vaelab.applications.anomaly import Reference, anomaly_scores, chosen_scores
from vaelab.estimators.base import VARIANT, GenerativeEstimator, plain, sentences
from vaelab.estimators.scaling import Array

_DENSITIES = ("reconstruction", "negative_elbo", "negative_log_likelihood")
"""Scores that are −log of a density: they change with the units of the data."""


class VAEOutlierDetector(OutlierMixin, GenerativeEstimator):
    """A variational autoencoder of normal rows: what it finds unlikely is an outlier (−1), the rest are inliers (1).

    ``score_samples`` is the negative anomaly score, ``decision_function`` = ``score_samples`` − ``offset_``, and a row
    is an outlier where that is below 0: ``offset_`` is such that a share ``contamination`` of the training rows is.

    ``anomaly_score``: a spec of `vaelab.applications.anomaly.scores.SCORES`, such as ``negative_elbo``,
    ``negative_log_likelihood``, ``likelihood_regret``, ``likelihood_path``. ``contamination`` in (0, 0.5]; ``samples``
    (≥ 1) of z per row in a score. Parameters and fitted attributes else as in `VAETransformer`, and ``offset_``. Raises
    `ValueError` where a parameter or the data does not fit, `TrainingError` where the loss is not finite.

    >>> X = np.random.RandomState(0).normal(size=(200, 3))
    >>> detector = VAEOutlierDetector(hidden=16, epochs=5, contamination=0.05, random_state=0).fit(X)
    >>> int((detector.predict(X) == -1).sum()), detector.predict([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]]).tolist()
    (10, [1, -1])
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
        anomaly_score: str = "negative_elbo",
        contamination: float = 0.1,
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
        self.anomaly_score = anomaly_score
        self.contamination = contamination
        self.samples = samples

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Train on ``X (n, features)``, mostly normal rows; ``y`` is not used."""
        del y
        checked = validate_data(self, X, dtype=(np.float64, np.float32))
        contamination = plain(self.contamination)
        if not isinstance(contamination, int | float) or not 0 < contamination <= 0.5:
            raise ValueError(f"expected a contamination in (0, 0.5], got {contamination!r}")
        self._fit(checked)
        with sentences():
            score = next(iter(chosen_scores(self.model_, [self.anomaly_score]).values()))
            self.reference_ = None
            if score.needs_reference:
                model, data, device = self._scoring(checked)
                self.reference_ = Reference.fit(
                    model, data, VARIANT, scores=[self.anomaly_score], seed=self.seed_, device=device
                )
        self.offset_ = float(np.percentile(self._scores(checked), 100 * contamination))
        return self

    def score_samples(self, X: ArrayLike) -> Array:
        """The negative anomaly score of each row, ``(n,)``: larger is more normal; of ``negative_elbo`` the ELBO."""
        return self._scores(self._checked(X))

    def decision_function(self, X: ArrayLike) -> Array:
        """`score_samples` − ``offset_``: below 0 for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """−1 for outliers, 1 for inliers."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _scores(self, X: Array) -> Array:
        model, data, device = self._scoring(X)
        with sentences():
            found = anomaly_scores(
                model,
                data,
                VARIANT,
                scores=[self.anomaly_score],
                reference=self.reference_,
                samples=self.samples,
                seed=self.seed_,
                device=device,
            )
        ((name, values),) = found.items()
        shift = self.scaling_.log_volume if name in _DENSITIES else 0.0
        return -values.numpy() - shift

    def _model_options(self) -> dict[str, Any]:
        return {"prior": self.prior}

    def _training_options(self, n: int, labels: NDArray[np.int64] | None) -> dict[str, Any]:
        return {"objective": self.objective}
