"""Scores of a trained model: bounds, log-likelihood, latent space, diagnosis.

Nothing here changes the model or draws from PyTorch's global generator, and every score of an image is its own: the
batch size, the order and the other images do not matter.
"""

from vaelab.evaluation.bounds import ImageScores, evaluate_bounds
from vaelab.evaluation.diagnosis import Finding, diagnose
from vaelab.evaluation.latents import PosteriorStatistics, active_units, embed, kl_per_dimension, posterior_statistics
from vaelab.evaluation.likelihood import LikelihoodScores, log_likelihood
from vaelab.evaluation.summary import evaluate

__all__ = [
    "Finding",
    "ImageScores",
    "LikelihoodScores",
    "PosteriorStatistics",
    "active_units",
    "diagnose",
    "embed",
    "evaluate",
    "evaluate_bounds",
    "kl_per_dimension",
    "log_likelihood",
    "posterior_statistics",
]
