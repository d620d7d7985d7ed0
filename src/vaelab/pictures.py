"""Pictures of a trained model: which arrays each kind of figure shows. `plots` draws them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vaelab import plots
from vaelab.applications.latent import PATHS, draw_z, interpolate
from vaelab.data.images import ImageData
from vaelab.data.pixels import prepare_fixed
from vaelab.distributions import DiagonalNormal
from vaelab.errors import UsageError, VaelabError
from vaelab.evaluation import embed, posterior_statistics
from vaelab.evaluation import kl_per_dimension as mean_kl_per_dimension
from vaelab.randomness import generator
from vaelab.specs import choice, nearest
from vaelab.vae import VAE

if TYPE_CHECKING:
    from vaelab.run import Run


@dataclass(frozen=True)
class PictureOptions:
    """What a figure shows; each kind uses what it needs."""

    split: str = "test"
    count: int = 10
    """Images, pairs of images, or samples of each class."""
    label: int | None = None
    """Only this class, or this condition."""
    cells: int = 21
    """Images along a side of the latent grid."""
    extent: float = 2.0
    """The latent grid's range is [−extent, extent]²."""
    scale: str = "uniform"
    """The latent grid's steps: uniform, or quantile (equal prior probability)."""
    steps: int = 10
    """Images along an interpolation."""
    path: str = "linear"
    """The interpolation's way: linear or spherical."""
    draw: bool = False
    """Interpolate between one draw of each posterior, not between their means."""
    legend: str = "outside"
    """The scatter's legend: outside or colorbar."""
    seed: int = 0

    def __post_init__(self) -> None:
        choice("scale", self.scale, ("uniform", "quantile"))
        choice("legend", self.legend, ("outside", "colorbar"))
        choice("path", self.path, tuple(PATHS))
        for name, value, fits, expected in (
            ("count", self.count, self.count >= 1, "a number ≥ 1"),
            ("cells", self.cells, self.cells >= 2, "a number ≥ 2"),
            ("range", self.extent, 0 < self.extent < math.inf, "a finite number > 0"),
            ("steps", self.steps, self.steps >= 2, "a number ≥ 2"),
        ):
            if not fits:
                raise UsageError(f"expected {expected} for {name}, got {value}")


Picture = Callable[["Run", PictureOptions], Figure]


_KINDS: dict[str, Picture] = {}


def picture(name: str) -> Callable[[Picture], Picture]:
    """Decorator that adds a kind of figure under ``name``."""

    def add(maker: Picture) -> Picture:
        _KINDS[name] = maker
        return maker

    return add


def kinds() -> list[str]:
    """All kinds of figures, sorted."""
    return sorted(_KINDS)


def describe(kind: str) -> str:
    """The first line of a kind's description."""
    return (_KINDS[kind].__doc__ or "").strip().splitlines()[0]


def draw_picture(run: Run, kind: str, options: PictureOptions | None = None) -> Figure:
    """The figure ``kind`` of a run; `UsageError` for an unknown kind, or one that does not fit the model."""
    if kind not in _KINDS:
        raise UsageError(f"unknown figure {kind!r}; {nearest(kind, _KINDS)}")
    options = options or PictureOptions()
    if options.label is not None:
        run.check_label(options.label)
    return _KINDS[kind](run, options)


def fitting_kinds(run: Run) -> list[str]:
    """The kinds that fit the run's model, in a sensible order to look at."""
    found = ["curves", "loss", "reconstructions"]
    if isinstance(run.model, VAE):
        found.append("samples-per-class" if run.model.classes else "samples")
        if _has_kl_per_dimension(run.model):
            found.append("kl-per-dimension")
    if run.model.latent == 2:
        found.append("latent-grid")
    if run.model.latent >= 2:
        found.append("latent-scatter")
    if len(run.split("test")) > 1:
        found.append("interpolation")
    if len(run.epoch_samples()) > 1:
        found.append("class-epochs")
    return found


def _has_kl_per_dimension(model: VAE) -> bool:
    """Whether the KL to the prior has a closed form."""
    c = torch.zeros(1, dtype=torch.long, device=next(model.parameters()).device) if model.classes else None
    with torch.no_grad():
        return isinstance(model.pz(1, c), DiagonalNormal)


@picture("curves")
def curves(run: Run, options: PictureOptions) -> Figure:
    """−ELBO, reconstruction and KL over the epochs, training and held-out images."""
    return plots.training_curves(run.history(), title=run.title())


@picture("loss")
def loss(run: Run, options: PictureOptions) -> Figure:
    """The training loss over the steps."""
    return plots.loss_curve(run.history(), title=run.title())


@picture("reconstructions")
def reconstructions(run: Run, options: PictureOptions) -> Figure:
    """Images beside their reconstructions at the posterior mean, each with its −log p(x|z)."""
    data = _chosen(run.split(options.split), options)
    x, c = _inputs(run, data, options.seed)
    with torch.no_grad():
        px = run.model.decode(run.model.embed(x, c), c)
        outputs, scores = px.mean.clamp(0, 1).cpu(), -px.log_prob(x).cpu()
    title = f"{run.title()}: {options.split} images and their reconstructions, with −log p(x|z)"
    return plots.reconstructions(x.cpu(), outputs, scores, title=title)


@picture("samples")
def samples(run: Run, options: PictureOptions) -> Figure:
    """New images: z drawn from the prior, decoded."""
    model = _vae(run)
    if model.classes and options.label is None:
        return samples_per_class(run, options)
    n = options.count**2
    images = run.sample(n, label=options.label, seed=options.seed)
    of_class = "" if options.label is None else f" of class {run.class_names[options.label]}"
    return plots.samples(images, title=f"{run.title()}: samples{of_class} from the prior")


@picture("samples-per-class")
def samples_per_class(run: Run, options: PictureOptions) -> Figure:
    """New images of each class, from the same draws of z in every row."""
    model = _vae(run)
    if not model.classes:
        raise UsageError("samples-per-class needs a conditional model; use samples")
    images = per_class_samples(model, options.count, options.seed)
    return plots.samples_per_class(images.cpu(), run.class_names, title=f"{run.title()}: samples per class")


def per_class_samples(model: VAE, count: int, seed: int) -> Tensor:
    """``(classes, count, channel, height, width)``: every class decoded from the same noise."""
    device = next(model.parameters()).device
    rows = []
    for label in range(model.classes):
        c = torch.full((count,), label, device=device)
        rows.append(model.sample(count, c, generator(seed, device, "samples")))
    return torch.stack(rows)


@picture("class-epochs")
def class_epochs(run: Run, options: PictureOptions) -> Figure:
    """One sample of each class (or a few samples) after each epoch."""
    found = run.epoch_samples()
    if not found:
        raise VaelabError(f"{run.folder.path} holds no samples of its epochs; train it again")
    first = next(iter(found.values()))
    names = run.class_names if run.model.classes else [f"sample {i + 1}" for i in range(len(first))]
    what = "one sample of each class" if run.model.classes else "the same draws of z"
    images = np.stack(list(found.values())).astype(np.float32) / 255
    return plots.class_epoch_sheet(images, names, list(found), title=f"{run.title()}: {what} after each epoch")


@picture("latent-grid")
def latent_grid(run: Run, options: PictureOptions) -> Figure:
    """The decoded latent plane of a 2-D model."""
    _plane(run, "latent-grid")
    axis = _axis(options)
    label, of_class = options.label, ""
    if run.model.classes:
        label = label or 0
        of_class = f", class {run.class_names[label]}"
    images = decode_grid(run, axis, label)
    title = f"{run.title()}: decoded latent plane{of_class}"
    scale: Literal["uniform", "quantile"] = "quantile" if options.scale == "quantile" else "uniform"
    return plots.latent_grid(images, axis, axis, title=title, scale=scale)


def _axis(options: PictureOptions) -> np.ndarray:
    if options.scale == "uniform":
        return np.linspace(-options.extent, options.extent, options.cells)
    middle = (torch.arange(options.cells, dtype=torch.float64) + 0.5) / options.cells
    quantiles: np.ndarray = torch.special.ndtri(middle).numpy()
    return quantiles


def decode_grid(run: Run, axis: np.ndarray, label: int | None) -> np.ndarray:
    """E[x|z,c] at every point of the plane, ``(z₂, z₁, channel, height, width)``."""
    device = run.device
    across, up = np.meshgrid(axis, axis)
    z = torch.tensor(np.stack([across.ravel(), up.ravel()], axis=1), dtype=torch.float32, device=device)
    c = None if label is None or not run.model.classes else torch.full((len(z),), label, device=device)
    with torch.no_grad():
        images = run.model.decode(z, c).mean.clamp(0, 1).cpu().numpy()
    shaped: np.ndarray = images.reshape(len(axis), len(axis), *images.shape[1:])
    return shaped


@picture("latent-scatter")
def latent_scatter(run: Run, options: PictureOptions) -> Figure:
    """The posterior means of a split, coloured by label; their two principal components where z has more than two."""
    if run.model.latent < 2:
        raise UsageError(f"latent-scatter needs at least 2 latent dimensions, this model has {run.model.latent}")
    data = run.split(options.split)
    if options.label is not None and data.labels is not None:
        data = data.take(torch.nonzero(data.labels == options.label).flatten())
    z = embed(run.model, data, run.config.data.variant).numpy()
    names, what = ("latent z₁", "latent z₂"), "codes" if run.model.kind == "autoencoder" else "posterior means"
    if run.model.latent > 2:
        centred = z - z.mean(0)
        z = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
        names = ("first principal component of z", "second principal component of z")
    return plots.latent_scatter(
        z,
        None if data.labels is None else data.labels.cpu().numpy(),
        data.class_names,
        title=f"{run.title()}: {what} of the {options.split} images",
        legend="colorbar" if options.legend == "colorbar" else "outside",
        prior_circles=run.model.kind != "autoencoder" and run.model.latent == 2,
        axis_names=names,
    )


@picture("interpolation")
def interpolation(run: Run, options: PictureOptions) -> Figure:
    """Pairs of images of different classes; the way between their latents, decoded in order."""
    data = run.split(options.split)
    pairs = _pairs(data, min(options.count, 6), options.seed)
    strips, names = [], []
    for first, second in pairs:
        both = data.take(torch.tensor([first, second]))
        x, c = _inputs(run, both, options.seed)
        start, end = _ends(run, x, c, options)
        line = interpolate(start, end, options.steps, options.path)
        # A conditional model keeps the first image's label: the line is in z alone.
        condition = None if c is None else c[:1].expand(options.steps)
        with torch.no_grad():
            strips.append(run.model.decode(line, condition).mean.clamp(0, 1).cpu())
        names.append(_pair_name(both, conditional=c is not None))
    ends = "posterior draws" if options.draw else "posterior means" if isinstance(run.model, VAE) else "codes"
    title = f"{run.title()}: {PATHS[options.path]} between two {ends}"
    return plots.interpolation(torch.stack(strips), names, title=title)


def _ends(run: Run, x: Tensor, c: Tensor | None, options: PictureOptions) -> Tensor:
    """The latents of a pair, ``(2, latent)``: means or codes, or draws, whose noise is seeded by each image."""
    if not options.draw:
        return run.model.embed(x, c)
    if not isinstance(run.model, VAE):
        raise UsageError("an autoencoder has no posterior to draw from; leave --draw out or train a VAE")
    with torch.no_grad():
        return draw_z(run.model.encode(x, c), x, options.seed)


def _pair_name(both: ImageData, conditional: bool) -> str:
    if both.labels is None:
        return ""
    first, second = (both.class_names[int(label)] for label in both.labels)
    return f"{first} → {second}" + (f" (as {first})" if conditional else "")


def _pairs(data: ImageData, count: int, seed: int) -> list[tuple[int, int]]:
    """Random pairs of images, of different classes where there are labels."""
    order = torch.randperm(len(data), generator=generator(seed, "cpu", "pairs")).tolist()
    labels = None if data.labels is None else data.labels.cpu()
    pairs: list[tuple[int, int]] = []
    while len(order) > 1 and len(pairs) < count:
        first = order.pop()
        other = (i for i in reversed(order) if labels is None or labels[i] != labels[first])
        second = next(other, order[-1])
        order.remove(second)
        pairs.append((first, second))
    if not pairs:
        raise UsageError("an interpolation needs at least two images")
    return pairs


@picture("kl-per-dimension")
def kl_per_dimension(run: Run, options: PictureOptions) -> Figure:
    """The KL of each latent dimension: which ones the model uses."""
    model = _vae(run)
    kl = mean_kl_per_dimension(posterior_statistics(model, run.split(options.split), run.config.data.variant))
    if kl is None:
        raise UsageError(f"the KL to the prior {run.config.model.prior!r} has no closed form, so none per dimension")
    return plots.kl_per_dimension(kl, title=f"{run.title()}: KL of each latent dimension, {options.split} images")


def _vae(run: Run) -> VAE:
    if not isinstance(run.model, VAE):
        raise UsageError("this model is an autoencoder: it has no prior to sample from and no KL; use reconstructions")
    return run.model


def _plane(run: Run, kind: str) -> None:
    if run.model.latent != 2:
        raise UsageError(f"{kind} needs a model with 2 latent dimensions, this one has {run.model.latent}")


def _chosen(data: ImageData, options: PictureOptions) -> ImageData:
    """``count`` images at random, evenly over the classes where there are labels."""
    order = torch.randperm(len(data), generator=generator(options.seed, "cpu", "chosen images"))
    if data.labels is None:
        return data.take(order[: options.count])
    labels = data.labels.cpu()[order]
    if options.label is not None:
        order = order[labels == options.label]
        return data.take(order[: options.count])
    # The first of each class, then the second of each, …
    turn = torch.empty(len(order), dtype=torch.long)
    for label in range(int(labels.max()) + 1):
        members = labels == label
        turn[members] = torch.arange(int(members.sum()))
    ranked = torch.argsort(turn * (int(labels.max()) + 1) + labels)
    return data.take(order[ranked[: options.count]])


def _inputs(run: Run, data: ImageData, seed: int) -> tuple[Tensor, Tensor | None]:
    moved = data.to(run.device)
    x = prepare_fixed(moved.images, run.config.data.variant, seed)
    return x, moved.labels if run.model.classes else None
