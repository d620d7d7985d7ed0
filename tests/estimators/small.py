"""Small estimators, and everything they say of rows."""

from __future__ import annotations

import numpy as np

from vaelab.estimators import (
    CVAEClassifier,
    DenoisingAutoencoder,
    SemiSupervisedVAEClassifier,
    VAEOutlierDetector,
    VAETransformer,
)

QUICK = {"latent": 2, "hidden": 16, "epochs": 3, "batch_size": 32, "lr": 1e-2, "random_state": 0}
CLASSES = [VAETransformer, CVAEClassifier, SemiSupervisedVAEClassifier, VAEOutlierDetector, DenoisingAutoencoder]
OUTPUTS = ("transform", "score_samples", "predict_log_proba", "decision_function", "predict")


def outputs(estimator, X):
    """Everything it says of rows."""
    return {name: getattr(estimator, name)(X) for name in OUTPUTS if hasattr(estimator, name)}


def assert_same(one, other, rtol=0.0, atol=0.0):
    assert one.keys() == other.keys()
    for name, values in one.items():
        if values.dtype.kind in "fi":
            np.testing.assert_allclose(values, other[name], rtol=rtol, atol=atol, err_msg=name)
        else:
            np.testing.assert_array_equal(values, other[name], err_msg=name)
