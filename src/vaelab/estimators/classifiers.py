"""`CVAEClassifier` and `SemiSupervisedVAEClassifier`: generative models as classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from vaelab.applications.calibration import class_log_prior, given_log_prior, log_posterior
from vaelab.applications.classification import label_bounds, label_posterior
from vaelab.data.images import HIDDEN
from vaelab.estimators.base import VARIANT, GenerativeEstimator, plain, sentences
from vaelab.estimators.scaling import Array
from vaelab.specs import Spec


class _Classifier(ClassifierMixin, GenerativeEstimator):
    """Predictions from `predict_log_proba`."""

    classes_: NDArray[Any]

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """log p(y|x), ``(n, classes)``, in the order of ``classes_``."""
        raise NotImplementedError

    def predict_proba(self, X: ArrayLike) -> Array:
        """p(y|x), ``(n, classes)``, in the order of ``classes_``."""
        probabilities: Array = np.exp(self.predict_log_proba(X))
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each row, ``(n,)``."""
        best = self.predict_log_proba(X).argmax(axis=1)
        chosen: NDArray[Any] = self.classes_[best]
        return chosen

    def _read(self, X: ArrayLike, y: ArrayLike) -> tuple[Array, NDArray[Any]]:
        rows, labels = validate_data(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(labels)
        return rows, labels


class CVAEClassifier(_Classifier):
    """A conditional variational autoencoder as a classifier: p(y|x) ∝ p(y) exp(bound(x|y)), nothing else is trained.

    Kingma et al. 2014, arXiv:1406.5298; see `label_bounds` for the bounds. The probabilities tend to be too sure;
    ``sklearn.calibration.CalibratedClassifierCV`` can mend that.

    ``bound``: ``importance``, ``elbo`` or ``mean``; ``samples`` (≥ 1) of z per row and class in it. ``priors``: p(y) in
    the order of ``classes_``; None: from the training labels, (n_y + 1) / (n + classes). Parameters and fitted
    attributes else as in `VAETransformer`; also ``classes_`` and ``class_log_prior_``. Raises `ValueError` where a
    parameter or the data does not fit, `TrainingError` where the loss is not finite.

    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits().data / 16, load_digits().target
    >>> classifier = CVAEClassifier(likelihood="bernoulli", epochs=10, lr=1e-2, bound="mean", random_state=0)
    >>> classifier.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.85
    True
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
        bound: str = "importance",
        samples: int = 10,
        priors: ArrayLike | None = None,
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
        self.bound = bound
        self.samples = samples
        self.priors = priors

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on ``X (n, features)`` and labels ``y (n,)`` of any kind."""
        rows, labels = self._read(X, y)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        count = len(self.classes_)
        with sentences():
            if self.priors is None:
                log_prior = class_log_prior(torch.from_numpy(numbers), count)
            else:
                log_prior = given_log_prior([float(value) for value in np.ravel(self.priors)], count)
        self.class_log_prior_ = log_prior.numpy()
        self._fit(rows, numbers.astype(np.int64), count)
        return self

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """log p(y|x), ``(n, classes)``, in the order of ``classes_``; a row's noise is seeded by its content."""
        model, data, device = self._scoring(self._checked(X))
        with sentences():
            bounds = label_bounds(
                model, data, VARIANT, bound=self.bound, samples=self.samples, seed=self.seed_, device=device
            )
        found: Array = log_posterior(bounds, torch.from_numpy(self.class_log_prior_)).numpy()
        return found

    def _model_options(self) -> dict[str, Any]:
        return {"conditional": True, "prior": self.prior}

    def _training_options(self, n: int, labels: NDArray[np.int64] | None) -> dict[str, Any]:
        return {"objective": self.objective}


class SemiSupervisedVAEClassifier(_Classifier):
    """M2: learns from labelled rows and from rows whose label is −1, which are not known; predicts by q(y|x).

    Kingma, Rezende, Mohamed & Welling 2014, arXiv:1406.5298. −1 is scikit-learn's sign for "unlabelled",
    so it is no class; in an array of strings all are classes.

    ``alpha`` (≥ 0): the weight of the labelled rows' cross entropy. Where some labels are not known, half of each batch
    are labelled rows, again and again. Parameters and fitted attributes else as in `VAETransformer`, and ``classes_``.
    Raises `ValueError` where a parameter or the data does not fit or all labels are −1, `TrainingError` where the loss
    is not finite.

    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits().data / 16, load_digits().target
    >>> some = np.where(np.arange(1000) < 100, y[:1000], -1)
    >>> classifier = SemiSupervisedVAEClassifier(likelihood="bernoulli", epochs=5, lr=1e-2, random_state=0)
    >>> classifier.fit(X[:1000], some).score(X[1000:], y[1000:]) > 0.7
    True
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
        alpha: float = 1.0,
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
        self.alpha = alpha

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on ``X (n, features)`` and labels ``y (n,)``, −1 where not known."""
        rows, labels = self._read(X, y)
        hidden = labels == HIDDEN if labels.dtype.kind in "if" else np.zeros(len(labels), dtype=bool)
        if hidden.all():
            raise ValueError("expected at least one labelled row, got the label -1 (not known) for all; label some")
        self.classes_ = np.unique(labels[~hidden])
        numbers = np.where(hidden, HIDDEN, np.searchsorted(self.classes_, np.where(hidden, self.classes_[0], labels)))
        self._fit(rows, numbers.astype(np.int64), len(self.classes_))
        return self

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """log q(y|x), ``(n, classes)``, in the order of ``classes_``: no randomness."""
        model, data, device = self._scoring(self._checked(X))
        found: Array = label_posterior(model, data, VARIANT, seed=self.seed_, device=device).numpy()
        return found

    def _networks(self) -> dict[str, Any]:
        networks = super()._networks()
        return {**networks, "classifier": networks["encoder"]}

    def _model_options(self) -> dict[str, Any]:
        return {"kind": "m2", "conditional": True, "prior": self.prior}

    def _training_options(self, n: int, labels: NDArray[np.int64] | None) -> dict[str, Any]:
        assert labels is not None
        size = plain(self.batch_size)
        half = min(size, n) // 2 if type(size) is int and bool((labels == HIDDEN).any()) else 0
        return {"objective": str(Spec("m2", {"alpha": plain(self.alpha)})), "labelled_batch": half}
