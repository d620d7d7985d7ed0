"""The generative classifier: a lower bound on log p(x|y) for every label, and Bayes' rule.

p(y|x) ∝ p(y) p(x|y), where a conditional VAE bounds log p(x|y) from below. Nothing is trained for it: each class
competes by how well the model explains the image under it. Kingma et al. 2014, arXiv:1406.5298 (section 3); Schott et
al. 2018, arXiv:1805.09190. Calibrated probabilities are in `calibration`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from vaelab.building import Model
from vaelab.data.images import ImageData
from vaelab.distributions import kl_per_dimension
from vaelab.errors import UsageError, VaelabError
from vaelab.evaluation.draws import (
    BLOCK,
    MEMORY,
    Batch,
    Progress,
    at_least,
    draws,
    frozen_copy,
    image_batches,
    images_within,
    rows_within,
)
from vaelab.semisupervised import SemiSupervisedVAE
from vaelab.specs import choice
from vaelab.vae import VAE

BOUNDS = ("importance", "elbo", "mean")
"""What stands for log p(x|y); see `label_bounds`."""

WAYS = ("bound", "posterior")
"""How labels are told: by Bayes' rule, or by the network q(y|x) of a semi-supervised model."""

_BATCH = 500  # images in the label network at a time

_Score = Callable[[VAE, Batch, int, int], Tensor]
"""(model, batch, rows, repeats) → the bound of each row of the batch, float64."""


@torch.no_grad()
def label_bounds(
    model: Model,
    data: ImageData,
    variant: str,
    *,
    bound: str = "importance",
    samples: int = 10,
    seed: int = 0,
    memory: int = MEMORY,
    rows: int | None = None,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """A lower bound on log p(x|y) of every image for every label y: nats, float64 ``(n, classes)`` on the CPU.

    ``importance``: log (1/K) Σ_k p(x|z_k,y) p(z_k|y) / q(z_k|x,y), K = ``samples``, a bound in expectation.
    ``elbo``: (1/S) Σ_s log p(x|z_s,y) − KL(q(z|x,y) ‖ p(z|y)), S = ``samples``, likewise.
    ``mean``: log p(x|z=μ,y) − KL, the ELBO with z at the posterior mean μ in place of its expectation: no randomness,
    but no bound either (the KL without a closed form: −H(q) − log p(μ|y)).

    The labels of ``data`` are not used and may be missing. All labels of some images go through encoder and decoder in
    one batch of at most ``rows`` (None: what is fast on the device; fewer where the working memory would pass
    ``memory`` bytes). An image's noise is seeded by (``seed``, its content) and is the same for all labels, so that
    they are compared with common random numbers, and neither the batch nor the order changes a number but by rounding.
    ``progress`` is called with the number of images done. Raises `UsageError` for a model without condition, an unknown
    bound, another variant than the likelihood's or numbers below 1, `DataError` where the images do not fit the model,
    `VaelabError` where a bound is not finite. Burda et al. 2015, arXiv:1509.00519 (``importance``); Kingma & Welling
    2013, arXiv:1312.6114 (``elbo``).

    >>> from vaelab import build_model, presets
    >>> config = presets.get("digits-cvae").with_changes(model={"image_shape": (1, 8, 8)})
    >>> data = ImageData("noise", torch.randint(256, (3, 1, 8, 8), dtype=torch.uint8))
    >>> label_bounds(build_model(config.model), data, "grey", samples=5).shape
    torch.Size([3, 10])
    """
    score = _score(bound, samples, seed)
    scorer = frozen_copy(conditional(model), device)
    classes, samples = scorer.classes, 1 if bound == "mean" else samples
    rows = rows_within(scorer, memory, rows)
    pairs = images_within(scorer, memory, max(1, rows // min(samples, BLOCK)))  # image and label, in the encoder
    # Where even one image's labels are too many, they come in parts.
    parts = torch.split(torch.arange(classes), min(classes, pairs))
    bounds = torch.empty(len(data), classes, dtype=torch.float64)
    for batch in image_batches(scorer, _unlabelled(data, classes), variant, seed=seed, size=max(1, pairs // classes)):
        here = slice(batch.done - len(batch.x), batch.done)
        for labels in parts:
            bounds[here, int(labels[0]) : int(labels[-1]) + 1] = _of_labels(score, scorer, batch, labels, rows)
        if progress is not None:
            progress(batch.done)
    return _finite(bounds)


@torch.no_grad()
def label_posterior(
    model: Model,
    data: ImageData,
    variant: str,
    *,
    seed: int = 0,
    memory: int = MEMORY,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """log q(y|x) of every image, float64 ``(n, classes)`` on the CPU, by a semi-supervised model's own label network.

    Arguments as in `label_bounds`; no randomness but that of the pixels (``seed``). Raises `UsageError` for a model
    without such a network. Kingma et al. 2014, arXiv:1406.5298.
    """
    if not isinstance(model, SemiSupervisedVAE):
        raise UsageError(
            "this model has no label network q(y|x); classify by the bound, or train a semi-supervised one"
        )
    scorer = frozen_copy(model, device)
    log_probabilities = torch.empty(len(data), scorer.classes, dtype=torch.float64)
    size = images_within(scorer, memory, _BATCH)
    for batch in image_batches(scorer, _unlabelled(data, scorer.classes), variant, seed=seed, size=size):
        here = slice(batch.done - len(batch.x), batch.done)
        log_probabilities[here] = scorer.classify(batch.x).cpu().double().log_softmax(-1)
        if progress is not None:
            progress(batch.done)
    return _finite(log_probabilities)


def conditional(model: Model) -> VAE:
    """The model; `UsageError` where it has no p(x|y)."""
    if not isinstance(model, VAE):
        raise UsageError("an autoencoder has no likelihood of an image given a label; train a conditional VAE")
    if not model.classes:
        raise UsageError(
            "this model has no condition, so it cannot tell classes apart; train a conditional one (--conditional)"
        )
    return model


def _score(bound: str, samples: int, seed: int) -> _Score:
    choice("bound", bound, BOUNDS)
    at_least("samples", samples, 1)
    if bound == "mean":
        return lambda model, batch, rows, repeats: _at_the_mean(model, batch)
    return partial(_sampled, importance=bound == "importance", samples=samples, seed=seed)


def _of_labels(score: _Score, model: VAE, batch: Batch, labels: Tensor, rows: int) -> Tensor:
    """The bounds of a batch of images for ``labels``, ``(batch, labels)``: each image stands once for each label."""
    count = len(labels)
    x = batch.x.repeat_interleave(count, 0)
    c = labels.to(x.device).repeat(len(batch.x))
    return score(model, Batch(x, c, batch.done), rows, count).view(-1, count)


def _sampled(model: VAE, batch: Batch, rows: int, repeats: int, *, importance: bool, samples: int, seed: int) -> Tensor:
    total = torch.full((len(batch.x),), -torch.inf if importance else 0.0, dtype=torch.float64)
    for drawn in draws(model, batch, samples=samples, seed=seed, rows=rows, repeats=repeats):
        if importance:
            total = torch.logaddexp(total, drawn.log_weights().cpu().double().logsumexp(0))
        else:
            total += drawn.log_px.cpu().double().sum(0) - len(drawn.z) * drawn.kl.cpu().double()
    count = torch.tensor(float(samples), dtype=torch.float64)
    return total - count.log() if importance else total / count


def _at_the_mean(model: VAE, batch: Batch) -> Tensor:
    qz, pz = model.encode(batch.x, batch.c), model.pz(len(batch.x), batch.c)
    z = qz.mean[None]
    kl = kl_per_dimension(qz, pz)
    # Without a closed form: −H(q) is log q at the mean less ½ a dimension.
    divergence = (qz.log_prob(z) - pz.log_prob(z))[0] - 0.5 * model.latent if kl is None else kl.sum(-1)
    return (model.decode(z, batch.c).log_prob(batch.x)[0] - divergence).cpu().double()


def _unlabelled(data: ImageData, classes: int) -> ImageData:
    """The same images with the label 0, which is never used: so images without labels will do."""
    labels = torch.zeros(len(data), dtype=torch.int64, device=data.device)
    return dataclasses.replace(data, labels=labels, class_names=tuple(map(str, range(classes))))


def _finite(values: Tensor) -> Tensor:
    wrong = int((~values.isfinite()).any(1).sum())
    if wrong:
        raise VaelabError(
            f"expected finite numbers from the model, got others for {wrong} of {len(values)} images; "
            "train it anew with a lower --lr"
        )
    return values
