"""Anomaly detection: scores of images under a trained model, and how well they tell anomalies from normal images.

`anomaly_scores` gives one number an image, higher where more anomalous; `detect` compares those of two sets.
"""

from vaelab.applications.anomaly.detection import (
    Detection,
    Estimate,
    auroc,
    average_precision,
    detect,
    fpr_at_95,
    roc_curve,
    threshold,
)
from vaelab.applications.anomaly.features import FEATURES, Path, path_features
from vaelab.applications.anomaly.measuring import Effort, Measured
from vaelab.applications.anomaly.outliers import DETECTORS, Copod, Mahalanobis, Mixture
from vaelab.applications.anomaly.regret import Regret, likelihood_regret
from vaelab.applications.anomaly.scores import ALL, SCORES, Reference, Score, anomaly_scores, chosen_scores

__all__ = [
    "ALL",
    "DETECTORS",
    "FEATURES",
    "SCORES",
    "Copod",
    "Detection",
    "Effort",
    "Estimate",
    "Mahalanobis",
    "Measured",
    "Mixture",
    "Path",
    "Reference",
    "Regret",
    "Score",
    "anomaly_scores",
    "auroc",
    "average_precision",
    "chosen_scores",
    "detect",
    "fpr_at_95",
    "likelihood_regret",
    "path_features",
    "roc_curve",
    "threshold",
]
