"""The bound taken apart (D1, D3, D4): by the formulas, its largest value, the pixels, and image by image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab import plots
from vaelab.data.images import ImageData
from vaelab.data.pixels import prepare_fixed
from vaelab.evaluation.bounds import ImageScores, evaluate_bounds
from vaelab.likelihoods import NormalLikelihood
from vaelab.metrics import Metric
from vaelab.randomness import generator
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.vae import VAE

Array = NDArray[np.float64]

_DRAWS = 2000  # of z for one image, to estimate its KL without the closed form
_LEVELS = 256


def measure(ctx: Context) -> Mapping[str, Any]:
    """All of it, on the test images."""
    run = ctx.run("vae")
    model, data = run.model, run.split("test")
    assert isinstance(model, VAE)
    assert isinstance(model.likelihood, NormalLikelihood)
    variant, sigma = run.config.data.variant, float(model.likelihood.log_std.exp())
    scores = evaluate_bounds(model, data, variant, seed=ctx.settings.seed)
    checked = data.take(torch.arange(min(len(data), ctx.options["checked"])))
    ctx.figure("curves", run.figure("curves"))
    ctx.figure("reconstructions", run.figure("reconstructions", seed=ctx.settings.seed))
    return {
        **constants(sigma, math.prod(data.image_shape)),
        **_error(scores, sigma, math.prod(data.image_shape)),
        "by_hand": by_hand(model, checked, sigma, ctx.settings.seed),
        "pixels": pixels(checked, ctx.settings.seed),
        "inside": inside(model, checked, sigma, ctx.settings.seed),
        "sampling": _sampling(run),
        "classes": _classes(ctx, data, scores),
        "brightness": _brightness(data, scores),
    }


def constants(sigma: float, dimensions: int) -> dict[str, float]:
    """Of log N(x; m, σ²): what a pixel and an image have at x = m, and what 8-bit levels cost, nats and bits.

    >>> found = constants(0.1, 784)
    >>> round(found["per_pixel"], 4), round(found["largest"], 1), round(found["least_bits"], 2)
    (1.3836, 1084.8, 6.0)
    """
    per_pixel = -0.5 * math.log(2 * math.pi * sigma**2)
    return {
        "sigma": sigma,
        "dimensions": dimensions,
        "per_pixel": per_pixel,
        "largest": dimensions * per_pixel,
        "levels": math.log(_LEVELS),
        "least_bits": (math.log(_LEVELS) - per_pixel) / math.log(2),
    }


def _error(scores: ImageScores, sigma: float, dimensions: int) -> dict[str, Any]:
    """The squared error behind the reconstruction term, and the σ that it asks for, the networks as they are."""
    assert scores.kl is not None
    assert scores.negative_elbo is not None
    squared = 2 * sigma**2 * (scores.reconstruction - 0.5 * dimensions * math.log(2 * math.pi * sigma**2))
    best = math.sqrt(float(squared.mean()) / dimensions)
    elbo = -0.5 * dimensions * (math.log(2 * math.pi * best**2) + 1) - float(scores.kl.mean())
    return {
        "squared_error": Metric.mean(
            squared, "units of a pixel squared, per image", "test split, one draw of z an image"
        ),
        "best_sigma": best,
        "elbo_at_best_sigma": elbo,
        "elbo": Metric.mean(-scores.negative_elbo, "nats per image", "test split, one draw of z an image"),
        "log_likelihood": Metric.mean(-scores.reconstruction, "nats per image", "test split, one draw of z an image"),
        "kl": Metric.mean(scores.kl, "nats per image", "test split, closed form"),
    }


@torch.no_grad()
def by_hand(model: VAE, data: ImageData, sigma: float, seed: int) -> dict[str, float]:
    """The largest differences between the library's terms and the sheet's formulas, in float64 with numpy alone."""
    x = prepare_fixed(data.images, "dequantised", seed).to(next(model.parameters()).device)
    qz = model.encode(x)
    z = qz.rsample(1, generator(seed, x.device, "by hand"))
    px = model.decode(z)
    reconstruction = normal_log_density(_double(x)[None], _double(px.mean), sigma).sum((-3, -2, -1))[0]
    kl = normal_kl(_double(qz.mean), _double(qz.log_std))
    library_kl = qz.kl_per_dimension(model.pz(len(x))).sum(-1)  # type: ignore[arg-type]
    one = type(qz)(qz.mean[:1], qz.log_std[:1])
    drawn = one.rsample(_DRAWS, generator(seed, x.device, "kl"))
    ratio = _double(one.log_prob(drawn) - model.pz(1).log_prob(drawn))[:, 0]
    return {
        "images": len(data),
        "reconstruction_difference": float(np.abs(reconstruction - _double(px.log_prob(x))[0]).max()),
        "kl_difference": float(np.abs(kl - _double(library_kl)).max()),
        "integral": integral(float(px.mean.flatten()[px.mean.numel() // 2]), sigma),
        "kl_closed": float(kl[0]),
        "kl_drawn": float(ratio.mean()),
        "kl_drawn_error": float(ratio.std(ddof=1) / math.sqrt(_DRAWS)),
        "kl_draws": _DRAWS,
    }


def normal_log_density(x: Array, mean: Array, sigma: float) -> Array:
    """−½ log(2πσ²) − (x − m)²/(2σ²) of each pixel.

    >>> round(float(normal_log_density(np.array(0.3), np.array(0.3), 0.1)), 4)
    1.3836
    """
    found: Array = -0.5 * math.log(2 * math.pi * sigma**2) - (x - mean) ** 2 / (2 * sigma**2)
    return found


def normal_kl(mean: Array, log_std: Array) -> Array:
    """Σ_j ½ (μ_j² + σ_j² − 1) − log σ_j of each image.

    >>> normal_kl(np.zeros((2, 3)), np.zeros((2, 3))).tolist()
    [0.0, 0.0]
    """
    found: Array = (0.5 * (mean**2 + np.exp(2 * log_std) - 1) - log_std).sum(-1)
    return found


def integral(mean: float, sigma: float) -> float:
    """∫ N(x; mean, σ²) dx by the trapezoidal rule over ± 10 σ: 1 for a density.

    >>> round(integral(0.2, 0.1), 9)
    1.0
    """
    place = np.linspace(mean - 10 * sigma, mean + 10 * sigma, 4001)
    return float(np.trapezoid(np.exp(normal_log_density(place, np.array(mean), sigma)), place))


def pixels(data: ImageData, seed: int) -> dict[str, float]:
    """What dequantisation makes of the levels: range, what was added, whether the level can be read back."""
    x = prepare_fixed(data.images, "dequantised", seed).double()
    again = prepare_fixed(data.images, "dequantised", seed + 1).double()
    noise = 256 * x - data.images.double()
    return {
        "images": len(data),
        "levels": len(torch.unique(data.images)),
        "least": float(x.min()),
        "largest": float(x.max()),
        "noise_least": float(noise.min()),
        "noise_largest": float(noise.max()),
        "noise_mean": float(noise.mean()),
        "noise_variance": float(noise.var(correction=0)),
        "read_back": float(((256 * x).floor() == data.images).double().mean()),
        "values": len(torch.unique(x)),
        "other_seed": float((x != again).double().mean()),
    }


@torch.no_grad()
def inside(model: VAE, data: ImageData, sigma: float, seed: int) -> dict[str, float]:
    """How much of p(x|z) lies in [0, 1], where the pixels are: share of a pixel's mass, and nats lost an image."""
    x = prepare_fixed(data.images, "dequantised", seed).to(next(model.parameters()).device)
    mean = model.decode(model.encode(x).mean).mean.cpu().double()
    mass = torch.special.ndtr((1 - mean) / sigma) - torch.special.ndtr(-mean / sigma)
    edge = ((mean < sigma) | (mean > 1 - sigma)).double().mean()
    return {"mass": float(mass.mean()), "edge": float(edge), "nats": float(-mass.log().sum((-3, -2, -1)).mean())}


def _sampling(run: Run) -> dict[str, Any]:
    """What `sample(n)` gives with nothing but a number."""
    model = run.model
    assert isinstance(model, VAE)
    means, draws = model.sample(7), run.sample(7, draw=True)
    return {"asked": 7, "shape": list(means.shape), "least": float(means.min()), "largest": float(means.max()),
            "draw_shape": list(draws.shape)}  # fmt: skip


def _classes(ctx: Context, data: ImageData, scores: ImageScores) -> list[dict[str, Any]]:
    """Bound and terms of each class, and a table of every image's."""
    assert scores.kl is not None
    assert scores.negative_elbo is not None
    labels = torch.full((len(data),), -1) if data.labels is None else data.labels.cpu()
    rows = zip(range(len(data)), labels.tolist(), (-scores.negative_elbo).tolist(), (-scores.reconstruction).tolist(),
               scores.kl.tolist(), strict=True)  # fmt: skip
    ctx.table("images", ("image", "label", "elbo", "log_likelihood", "kl"), list(rows))
    found = []
    for label, name in enumerate(data.class_names):
        here = labels == label
        if bool(here.any()):
            parts = {"elbo": -scores.negative_elbo, "log_likelihood": -scores.reconstruction, "kl": scores.kl}
            found.append({"name": name, **{key: _mean(value[here]) for key, value in parts.items()}})
    elbo = -scores.negative_elbo
    order = torch.argsort(elbo)
    shown = torch.stack([order[:10], order.flip(0)[:10]])
    captions = [[f"{elbo[i]:.0f}".replace("-", "−") for i in row] for row in shown.tolist()]
    images = data.images[shown].float() / 255
    ctx.figure(
        "extremes",
        plots.captioned_images(
            images, captions, ("lowest ELBO", "highest ELBO"), title="test images with their ELBO in nats"
        ),
    )
    return found


def _brightness(data: ImageData, scores: ImageScores) -> float:
    """The correlation over the images of the ELBO with the mean pixel; 0 where one of them does not vary."""
    assert scores.negative_elbo is not None
    ink = data.images.double().mean((-3, -2, -1)).cpu()
    both = torch.stack([ink - ink.mean(), scores.negative_elbo.mean() - scores.negative_elbo])
    norms = both.norm(dim=1).prod()
    return float((both[0] @ both[1]) / norms) if float(norms) > 0 else 0.0


def _mean(values: Tensor) -> dict[str, Any]:
    return Metric.mean(values, "nats per image", "test split, images of one class").to_json()


def _double(value: Tensor) -> Array:
    array: Array = value.detach().cpu().double().numpy()
    return array
