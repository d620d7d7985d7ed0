"""B5: the test images embedded by every model, and what their posteriors are like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from vaelab import plots
from vaelab.applications.latent import Encoded, encode, some_rows
from vaelab.data.images import ImageData
from vaelab.data.pixels import prepare_fixed
from vaelab.metrics import Metric
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.studies.loss_terms.names import KINDS, of_kind, title

CENTRE = 0.95
"""The share of the prior's mass, around the origin, in which posterior means are counted."""

NEIGHBOURS = 15

SHOWN = 10
"""Images that every model reconstructs in the figure."""


def measure(ctx: Context) -> Mapping[str, Any]:
    """Means, spreads and separability of each model's plane; scatters of those with two dimensions."""
    values: dict[str, Any] = {}
    planes: dict[str, NDArray[np.float32]] = {}
    labels: NDArray[np.int64] | None = None
    names: list[str] = []
    with ctx.progress("embedding", len(ctx.step.needs)) as advance:
        for name in ctx.step.needs:
            run = ctx.run(name)
            test = encode(run.model, run.data.test, run.config.data.variant)
            values |= {f"{name}.{key}": value for key, value in statistics(run, test, ctx.options["limit"]).items()}
            if run.model.latent == 2:
                planes[name] = test.means.numpy()
            assert test.labels is not None
            labels, names = test.labels.numpy(), list(run.class_names)
            advance(1)
    run = ctx.run("vae-both")
    values |= _references(run) | {"class_names": names}
    assert labels is not None
    _draw(ctx, planes, labels, names)
    _reconstruct(ctx)
    _interactive(ctx, run, planes.get("vae-both"), labels)
    return values


def statistics(run: Run, test: Encoded, limit: int) -> dict[str, Any]:
    """Of the posteriors q(z|x) of the test images.

    ``mean`` and ``variances``: of the posterior means, by dimension; ``variance``: the mean of those; ``inside``: the
    share of the means where the middle 0.95 of the prior is; ``sigma``: the mean posterior standard deviation;
    ``total``: the variance of a draw of z, averaged over dimensions; ``knn``: accuracy of nearest neighbours on draws
    of z, ``knn_means``: on posterior means, fitted on at most ``limit`` training images and asked about as many test
    images; ``chance``: the share of the most frequent class.
    """
    assert test.log_stds is not None
    assert test.z is not None
    means, sigma = test.means.double(), test.log_stds.double().exp()
    words = "posteriors of the test images"
    centred = (means - means.mean(0)).square()
    mass = torch.special.gammainc(torch.tensor(means.shape[1] / 2, dtype=torch.float64), means.square().sum(1) / 2)
    found: dict[str, Any] = {
        "mean": means.mean(0).tolist(),
        "variances": centred.mean(0).tolist(),
        "variance": Metric.mean(centred.mean(1), "units of z squared", f"{words}: variance of the means"),
        "sigma": Metric.mean(sigma.mean(1), "units of z", f"{words}: mean standard deviation"),
        "inside": Metric.mean(
            (mass <= CENTRE).double(), "share of images", f"{words}: |μ| where {CENTRE:g} of N(0, I) is"
        ),
        "total": float(test.z.double().var(0, correction=0).mean()),
        "farthest": float(means.abs().max()),
    }
    asked = _labelled(run.data.test, limit)
    fitted = _labelled(run.data.train, limit)
    a = encode(run.model, fitted, run.config.data.variant)
    b = encode(run.model, asked, run.config.data.variant)
    assert a.labels is not None
    assert b.labels is not None
    assert a.z is not None
    assert b.z is not None
    on = f"{NEIGHBOURS} nearest neighbours, fitted on {len(a)} training images, asked about {len(b)} test images"
    drawn, at_means = nearest(a.z, a.labels, b.z), nearest(a.means, a.labels, b.means)
    found["knn"] = _accuracy(drawn == b.labels, f"on a draw of z, {on}")
    found["knn_means"] = _accuracy(at_means == b.labels, f"on posterior means, {on}")
    found["chance"] = float(torch.bincount(b.labels).max()) / len(b)
    return found


def nearest(fitted: Tensor, labels: Tensor, asked: Tensor, count: int = NEIGHBOURS) -> Tensor:
    """The most frequent of the ``labels (n,)`` of the ``count`` nearest of ``fitted (n, latent)``: ``(m,)``.

    For each of ``asked (m, latent)``; ``count`` is n where that is less.

    >>> nearest(torch.tensor([[0.0], [9.0]]), torch.tensor([3, 5]), torch.tensor([[8.0]]), count=1).tolist()
    [5]
    """
    from sklearn.neighbors import KNeighborsClassifier

    classifier: Any = KNeighborsClassifier(min(count, len(fitted)))
    classifier.fit(fitted.double().numpy(), labels.numpy())
    return torch.from_numpy(classifier.predict(asked.double().numpy()))


def _labelled(data: ImageData, limit: int) -> ImageData:
    assert data.labels is not None
    known = torch.nonzero(data.labels >= 0).flatten()
    return data.take(known[some_rows(len(known), limit, 0)])


def _accuracy(right: Tensor, protocol: str) -> Metric:
    return Metric.mean(right.double(), "share of images", protocol)


def _references(run: Run) -> dict[str, Metric]:
    """``constant``: the reconstruction loss where every image is reconstructed as the training images' mean."""
    if run.config.model.likelihood != "bernoulli":
        return {}
    mean = run.data.train.images.float().mean(0, keepdim=True) / 255
    x = prepare_fixed(run.data.test.images, run.config.data.variant, 0)
    mean = mean.expand_as(x)
    nats = binary_cross_entropy(mean, x, reduction="none").flatten(1).sum(1)
    words = "test split: every image reconstructed as the mean of the training images"
    return {"constant": Metric.mean(nats, "nats per image", words)}


def _draw(ctx: Context, planes: Mapping[str, NDArray[np.float32]], labels: NDArray[np.int64], names: list[str]) -> None:
    """A figure for the models without and one for those with the label, where they have a plane."""
    known = labels >= 0
    for kind, how in zip(KINDS, ("without the label", "given the label"), strict=True):
        shown = [name for name in of_kind(kind) if name in planes]
        if shown:
            z, heads = np.stack([planes[name][known] for name in shown]), [title(name) for name in shown]
            what = f"posterior means of the same {int(known.sum()):,} test images, {how}"
            ctx.figure(kind, plots.latent_scales(z, heads, labels[known], names, title=what))
    if "vae-both" in planes:
        what = "posterior means of the test images, both terms"
        ctx.figure("both", plots.latent_scatter(planes["vae-both"][known], labels[known], names, title=what))


@torch.no_grad()
def _reconstruct(ctx: Context) -> None:
    """The same images by every model without the label, at the posterior mean."""
    rows: list[Tensor] = []
    heads = ["test image"]
    for name in of_kind("vae"):
        run = ctx.run(name)
        data = run.data.test.take(torch.arange(min(SHOWN, len(run.data.test)))).to(run.device)
        x = prepare_fixed(data.images, run.config.data.variant, 0)
        rows = rows or [x.cpu()]
        rows.append(run.model.decode(run.model.embed(x)).mean.clamp(0, 1).cpu())
        heads.append(title(name))
    what = "test images and their reconstructions at the posterior mean"
    ctx.figure("reconstructions", plots.samples_per_class(torch.stack(rows), heads, title=what))


def _interactive(ctx: Context, run: Run, z: NDArray[np.float32] | None, labels: NDArray[np.int64]) -> None:
    """Some points of the plane of both terms with their images."""
    if z is None:
        return
    known = np.flatnonzero(labels >= 0)
    chosen = known[some_rows(len(known), ctx.options["points"], 0).numpy()]
    images = run.data.test.images.cpu().numpy()[chosen]
    grey = images[:, 0] if images.shape[1] == 1 else images
    ctx.arrays("plane", z=z[chosen], images=grey, labels=labels[chosen])
