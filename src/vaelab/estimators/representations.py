"""What the two transformers share: rows → latents → rows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from vaelab.estimators.base import VARIANT, GenerativeEstimator
from vaelab.estimators.scaling import Array
from vaelab.evaluation import embed

_DECODED = 1000  # latents decoded at a time


class Representation(ClassNamePrefixFeaturesOutMixin, TransformerMixin, GenerativeEstimator):
    """The base of the transformers: ``transform`` encodes, ``inverse_transform`` decodes."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # what the networks are trained in
        return tags

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Train on ``X (n, features)``; ``y`` is not used."""
        del y
        self._fit(validate_data(self, X, dtype=(np.float64, np.float32)))
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """The latents of ``X``, float32 ``(n, latent)``: posterior means or codes, no randomness."""
        model, data, device = self._scoring(self._checked(X))
        latents: NDArray[np.float32] = embed(model, data, VARIANT, seed=self.seed_, device=device).numpy()
        return latents

    def inverse_transform(self, X: ArrayLike) -> Array:
        """E[x|z] of latents ``X (n, latent)``, ``(n, features)`` in the units of the data."""
        check_is_fitted(self)
        checked = check_array(X, dtype=np.float32)
        if checked.shape[1] != self.model_.latent:
            raise ValueError(f"expected {self.model_.latent} columns (latent dimensions), got {checked.shape[1]}")
        with torch.no_grad():
            parts = [self.model_.decode(z).mean.flatten(1) for z in torch.split(torch.tensor(checked), _DECODED)]
        return self.scaling_.inverse(torch.cat(parts).double().numpy())

    @property
    def _n_features_out(self) -> int:
        return self.model_.latent
