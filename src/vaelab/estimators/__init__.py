"""The scikit-learn face: estimators over ``(n, features)`` arrays, for pipelines, searches and `clone`.

All take `GenerativeEstimator`'s parameters, refuse what does not fit with a `ValueError` in one sentence, and give the
same result for the same ``random_state``; no other row changes what a row gets.
"""

from vaelab.estimators.base import GenerativeEstimator
from vaelab.estimators.classifiers import CVAEClassifier, SemiSupervisedVAEClassifier
from vaelab.estimators.denoising import DenoisingAutoencoder
from vaelab.estimators.outliers import VAEOutlierDetector
from vaelab.estimators.transformer import VAETransformer

__all__ = [
    "CVAEClassifier",
    "DenoisingAutoencoder",
    "GenerativeEstimator",
    "SemiSupervisedVAEClassifier",
    "VAEOutlierDetector",
    "VAETransformer",
]
