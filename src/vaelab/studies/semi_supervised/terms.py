"""The terms of the loss (E3–E7): the real code against numbers computed by hand, on small cases and on both models."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaelab.data.pixels import prepare_fixed
from vaelab.distributions import Bernoulli, DiagonalNormal, Normal
from vaelab.evaluation import posterior_statistics
from vaelab.objectives import draw
from vaelab.randomness import generator
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.vae import VAE

STEP = 0.1
"""Of the gradient descent on the KL alone that compares σ with log σ²."""

SMALL = 0.001
"""A σ that is too small, for comparison."""

DRAWS = 100_000
"""Of z, for a KL by Monte Carlo."""


def measure(ctx: Context) -> Mapping[str, Any]:
    """Spreads that the encoders give, hand cases, the layer that draws z, and both losses written out."""
    runs, seed = {name: ctx.run(name) for name in ctx.step.needs}, ctx.settings.seed
    batches = {name: _batch(run, ctx.options["batch"]) for name, run in runs.items()}
    spreads = {name: _spreads(run) for name, run in runs.items()}
    return {
        "spreads": spreads,
        "gradients": gradients(spreads.values()),
        "cases": [case.to_json() for case in hand_cases()],
        "whole": _every_binary_image(),
        "kl": kl_by_draws(seed),
        "layer": {name: layer(model, x, seed) for name, (model, x) in batches.items()},
        "source": layer_source(),
        "losses": {name: _written_out(model, x, seed) for name, (model, x) in batches.items()},
        "constant": constant(runs["gaussian"].config.model.image_shape, ctx.options["sigma"]),
        "networks": {name: networks(run) for name, run in runs.items()},
    }


# --- E3: why the log-variance -----------------------------------------------------------------------------------------


def _spreads(run: Run) -> dict[str, float]:
    """σ of q(z|x) over all test images and both dimensions; ``negative``: the share of log-variances below 0."""
    found = posterior_statistics(run.model, run.split("test"), run.config.data.variant)
    assert found.log_stds is not None
    stds = found.log_stds.double().exp().flatten()
    return {
        "least": float(stds.min()),
        "middle": float(stds.median()),
        "largest": float(stds.max()),
        "negative": float((found.log_stds < 0).double().mean()),
        "n": len(found.log_stds),
    }


def gradients(spreads: Iterable[Mapping[str, float]]) -> list[dict[str, Any]]:
    """∂KL/∂σ and ∂KL/∂v, v = log σ², by automatic differentiation; where a step of `STEP` against each leads σ to.

    At the least, middle and largest of ``spreads``, and at a σ as small as the first steps of a training may give.

    >>> [round(row["by_sigma"], 2) for row in gradients([{"least": 0.5, "middle": 1.0, "largest": 2.0}])]
    [-1000.0, -1.5, -0.0, 1.5]
    """
    found = list(spreads)
    places = {
        "very small": SMALL,
        "smallest here": min(part["least"] for part in found),
        "median here": sorted(part["middle"] for part in found)[0],
        "largest here": max(part["largest"] for part in found),
    }
    rows: list[dict[str, Any]] = []
    for name, value in places.items():
        sigma = torch.tensor(value, dtype=torch.float64, requires_grad=True)
        v = torch.tensor(2 * math.log(value), dtype=torch.float64, requires_grad=True)
        by_sigma = float(torch.autograd.grad(_kl(torch.zeros(()), sigma.log()), sigma)[0])
        by_v = float(torch.autograd.grad(_kl(torch.zeros(()), v / 2), v)[0])
        after = value * math.exp(-0.5 * STEP * by_v)
        rows.append(
            {
                "what": name,
                "sigma": value,
                "by_sigma": by_sigma,
                "by_v": by_v,
                "after_sigma": value - STEP * by_sigma,
                "after_v": after,
            }
        )
    return rows


def _kl(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(N(mean, σ²) ‖ N(0, 1)) by the code that trains the models; numbers for one dimension, or rows of several."""
    standard = DiagonalNormal(torch.zeros_like(log_std), torch.zeros_like(log_std))
    return DiagonalNormal(mean, log_std).kl_per_dimension(standard).sum()


# --- E6, E7: cases by hand --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """``by_hand``: how it is computed without the code, ``expected`` what that gives, ``found`` what the code gives."""

    term: str
    what: str
    by_hand: str
    expected: float
    found: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dict(vars(self))


def hand_cases() -> list[Case]:
    """Both negative log-likelihoods and the KL, small enough for paper.

    >>> all(abs(case.found - case.expected) < 1e-6 for case in hand_cases())
    True
    """
    e = math.exp

    def pixels(*values: float) -> Tensor:
        return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)

    def bernoulli(logits: Tensor, x: Tensor) -> float:
        return -float(Bernoulli(logits).log_prob(x))

    def normal(mean: Tensor, std: float, x: Tensor) -> float:
        return -float(Normal(mean, torch.tensor(math.log(std), dtype=torch.float64)).log_prob(x))

    def kl(mean: float, variance: float) -> float:
        return float(_kl(torch.tensor(mean).double(), torch.tensor(0.5 * math.log(variance)).double()))

    each = 0.5 * math.log(2 * math.pi) + math.log(0.1)
    return [
        Case("Bernoulli", "π = ½, pixel 1", "−log ½", math.log(2), bernoulli(pixels(0), pixels(1))),
        Case(
            "Bernoulli",
            "logits 2 and −1, pixels 1 and 0",
            "log(1 + e⁻²) + log(1 + e⁻¹)",
            math.log(1 + e(-2)) + math.log(1 + e(-1)),
            bernoulli(pixels(2, -1), pixels(1, 0)),
        ),
        Case(
            "Bernoulli",
            "π = ½, grey pixel 0.3",
            "log 2, whatever the pixel",
            math.log(2),
            bernoulli(pixels(0), pixels(0.3)),
        ),
        Case("Gaussian", "x = m = 0.4, σ = 0.1", "½ log 2π + log 0.1", each, normal(pixels(0.4), 0.1, pixels(0.4))),
        Case(
            "Gaussian",
            "x = 0.5 and 0.7, m = 0.4 and 0.4, σ = 0.1",
            "2 (½ log 2π + log 0.1) + (0.1² + 0.3²) / (2 · 0.1²)",
            2 * each + 5,
            normal(pixels(0.4, 0.4), 0.1, pixels(0.5, 0.7)),
        ),
        Case("KL", "μ = 0, σ² = 1", "0", 0.0, kl(0, 1)),
        Case("KL", "μ = 1, σ² = 1", "½ · 1²", 0.5, kl(1, 1)),
        Case("KL", "μ = 0, σ² = ¼", "½ (¼ + log 4 − 1)", 0.5 * (0.25 + math.log(4) - 1), kl(0, 0.25)),
        Case("KL", "μ = −1, σ² = ¼", "½ (1 + ¼ + log 4 − 1)", 0.5 * (0.25 + math.log(4)), kl(-1, 0.25)),
    ]


def _every_binary_image() -> float:
    """The probabilities of all images of two black or white pixels, added."""
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 2).double().view(4, 1, 1, 2)
    logits = torch.tensor([2.0, -1.0]).double().expand(4, 1, 1, 2)
    return float(Bernoulli(logits).log_prob(images).exp().sum())


def kl_by_draws(seed: int) -> dict[str, float]:
    """KL(N(1, ½²) ‖ N(0, 1)): in closed form, and as the mean of log q(z) − log p(z) over `DRAWS` of z."""
    q = DiagonalNormal(torch.tensor([[1.0]]).double(), torch.tensor([[math.log(0.5)]]).double())
    p = DiagonalNormal(torch.zeros(1, 1).double(), torch.zeros(1, 1).double())
    z = q.rsample(DRAWS, generator(seed, "cpu", "kl"))
    ratio = (q.log_prob(z) - p.log_prob(z)).flatten()
    return {
        "closed": float(q.kl_per_dimension(p)),
        "mean": float(ratio.mean()),
        "error": float(ratio.std()) / math.sqrt(DRAWS),
    }


def constant(image_shape: tuple[int, ...], sigma: float) -> dict[str, float]:
    """What of a Gaussian log-likelihood does not depend on the image: −D/2 log 2π − D log σ, in nats."""
    pixels = math.prod(image_shape)
    return {"pixels": pixels, "nats": -pixels * (0.5 * math.log(2 * math.pi) + math.log(sigma))}


# --- E5: the layer that draws z ---------------------------------------------------------------------------------------


def layer(model: VAE, x: Tensor, seed: int) -> dict[str, float]:
    """Derivatives of z = μ + e^(v/2) ε by μ and v for the images ``x``, and what a draw without it does.

    ``mean_error`` and ``v_error``: largest distance of ∂z/∂μ from 1 and of ∂z/∂v from ½σε. ``gradient``: the length of
    the reconstruction's gradient by the weights of both heads, ``detached``: the same where z is a constant.
    """
    qz = model.encode(x)
    noise = torch.randn(1, *qz.mean.shape, generator=generator(seed, "cpu", "layer")).to(x.device)
    mean = qz.mean.detach().requires_grad_()
    v = (2 * qz.log_std).detach().requires_grad_()
    z = DiagonalNormal(mean, v / 2).rsample(noise=noise)
    by_mean, by_v = torch.autograd.grad(z.sum(), (mean, v))
    expected = 0.5 * (v / 2).exp() * noise[0]
    heads = [weight for name, weight in model.named_parameters() if name.startswith("posterior.")]
    lengths = []
    for detached in (False, True):
        z = qz.rsample(noise=noise)
        loss = -model.decode(z.detach() if detached else z).log_prob(x).mean()
        found = torch.autograd.grad(loss, heads, retain_graph=True, allow_unused=True)
        lengths.append(math.sqrt(sum(float(part.square().sum()) for part in found if part is not None)))
    return {
        "images": len(x),
        "mean_error": float((by_mean - 1).abs().max()),
        "v_error": float((by_v - expected).detach().abs().max()),
        "v_largest": float(by_v.abs().max()),
        "gradient": lengths[0],
        "detached": lengths[1],
    }


def layer_source() -> str:
    """What the layer does, as it is in the code.

    >>> layer_source()
    'return self.mean + self.log_std.exp() * noise'
    """
    return inspect.getsource(DiagonalNormal.rsample).splitlines()[-1].strip()


def networks(run: Run) -> dict[str, Any]:
    """The layers with their weights: name → how many numbers; and the networks as the configuration names them."""
    weights: dict[str, int] = {}
    for name, parameter in run.model.named_parameters():
        owner = name.rsplit(".", 1)[0]
        weights[owner] = weights.get(owner, 0) + parameter.numel()
    shapes = {
        name.rsplit(".", 1)[0]: f"{parameter.shape[1]} → {parameter.shape[0]}"
        for name, parameter in run.model.named_parameters()
        if parameter.ndim == 2
    }
    return {"weights": weights, "shapes": shapes, "pixels": math.prod(run.config.model.image_shape)}


# --- E6, E7: the losses of the trained models -------------------------------------------------------------------------


def _batch(run: Run, count: int) -> tuple[VAE, Tensor]:
    """The model and the first test images as it sees them."""
    assert isinstance(run.model, VAE)
    images = run.split("test").images[:count].to(run.device)
    return run.model, prepare_fixed(images, run.config.data.variant, 0)


@torch.no_grad()
def _written_out(model: VAE, x: Tensor, seed: int) -> dict[str, float]:
    """Both terms of a batch by the objective's code and by the formulas; the largest difference over the images."""
    noise = torch.randn(1, len(x), model.latent, generator=generator(seed, "cpu", "losses")).to(x.device)
    drawn = draw(model, x, noise=noise)
    found, kl = -drawn.log_px[0].double(), drawn.kl.double()
    px, target = model.decode(drawn.z[0]), x.double()
    if isinstance(px, Normal):
        sigma = float(px.log_std.exp())
        each = 0.5 * math.log(2 * math.pi) + math.log(sigma) + (target - px.mean.double()).square() / (2 * sigma**2)
    else:
        assert isinstance(px, Bernoulli)
        pi = px.logits.double().sigmoid()
        each = -(target * pi.log() + (1 - target) * (1 - pi).log())
    by_hand = each.sum((1, 2, 3))
    mean, variance = drawn.qz.mean.double(), (2 * drawn.qz.log_std.double()).exp()
    kl_by_hand = 0.5 * (mean.square() + variance - variance.log() - 1).sum(1)
    return {
        "images": len(x),
        "reconstruction": float(found.mean()),
        "reconstruction_by_hand": float(by_hand.mean()),
        "reconstruction_difference": float((found - by_hand).abs().max()),
        "kl": float(kl.mean()),
        "kl_by_hand": float(kl_by_hand.mean()),
        "kl_difference": float((kl - kl_by_hand).abs().max()),
    }
