"""A1: the same class with and without a condition, and what its loss is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vaelab.applications.latent import some_rows
from vaelab.building import build_model, build_objective
from vaelab.data.pixels import prepare_fixed
from vaelab.objectives import draw
from vaelab.randomness import generator
from vaelab.run import Run
from vaelab.specs import Spec
from vaelab.studies.context import Context
from vaelab.vae import VAE


@torch.no_grad()
def measure(ctx: Context) -> Mapping[str, Any]:
    """Both configurations; the loss computed a second time by the formulas; the CVAE with its condition taken out."""
    vae, cvae = (ctx.run(name) for name in ctx.step.needs)
    data = vae.split("test")
    data = data.take(some_rows(len(data), ctx.options["images"], ctx.settings.seed))
    x, c = prepare_fixed(data.images, vae.config.data.variant, 0).to(vae.device), data.labels
    assert c is not None
    labels = c.to(vae.device)
    return {
        "images": len(x),
        "classes": cvae.model.classes,
        "pixels": x[0].numel(),
        "same_class": type(vae.model) is type(cvae.model) is VAE,
        "parameters": {name: count(run) for name, run in (("vae", vae), ("cvae", cvae))},
        "objective": vae.config.training.objective,
        "formulas": {
            name: _by_hand(run, x, given) for name, run, given in (("vae", vae, None), ("cvae", cvae, labels))
        },
        **_taken_out(cvae, x, labels),
    }


def count(run: Run) -> dict[str, int]:
    """Parameters of the parts."""
    return {
        part: sum(weights.numel() for weights in getattr(run.model, part).parameters())
        for part in ("encoder", "posterior", "prior", "decoder", "likelihood")
    }


def _by_hand(run: Run, x: Tensor, c: Tensor | None) -> dict[str, float]:
    """The loss of these images as training minimises it, and as the formulas give it for the same draws of z."""
    model, stream = run.model, "loss by hand"
    assert isinstance(model, VAE)
    objective = build_objective(run.config.training.objective, model)
    terms = objective(model, x, c, generator=generator(0, run.device, stream))
    qz = model.encode(x, c)
    z = qz.rsample(1, generator(0, run.device, stream))[0]
    mean, variance = qz.mean.double(), (2 * qz.log_std.double()).exp()
    kl = 0.5 * (mean.square() + variance - 1 - variance.log()).sum(1)
    px = model.decode(z, c)
    reconstruction = -px.log_prob(x).double()
    if Spec.parse(run.config.model.likelihood).name == "bernoulli":
        p = px.mean.double().clamp(1e-12, 1 - 1e-12)
        reconstruction = -(x * p.log() + (1 - x) * (1 - p).log()).sum((1, 2, 3))
    assert terms.bound is not None
    return {
        "loss": float(terms.loss),
        "negative_elbo": float(-terms.bound.mean()),
        "by_hand": float((reconstruction + kl).mean()),
    }


def _taken_out(run: Run, x: Tensor, c: Tensor) -> dict[str, float]:
    """−ELBO of the CVAE, of the same with the condition's weights at zero, and of a VAE with the remaining weights."""
    model = run.model
    assert isinstance(model, VAE)
    plain = build_model(run.config.with_changes(model={"conditional": False}).model, 0).to(run.device).eval()
    silent = build_model(run.config.model, 0).to(run.device).eval()
    assert isinstance(plain, VAE)
    assert isinstance(silent, VAE)
    remaining, zeroed = without_condition(model.state_dict(), plain.state_dict())
    plain.load_state_dict(remaining)
    silent.load_state_dict(zeroed)
    noise = torch.randn(1, len(x), model.latent, generator=generator(0, run.device, "noise"), device=run.device)

    def bounds(of: VAE, given: Tensor | None) -> Tensor:
        drawn = draw(of, x, given, noise=noise)
        return (drawn.kl - drawn.log_px[0]).double()

    without, zero = bounds(plain, None), bounds(silent, c)
    return {
        "with_condition": float(bounds(model, c).mean()),
        "zeroed": float(zero.mean()),
        "plain": float(without.mean()),
        "largest_difference": float((without - zero).abs().max()),
    }


def without_condition(
    weights: Mapping[str, Tensor], plain: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A conditional model's ``weights``: what remains for one without condition, and all, the condition's at zero.

    A condition enters beside an input, behind it along the second axis, or through a layer that ``plain`` has not.
    """
    remaining, zeroed = {}, {}
    for name, value in weights.items():
        kept = value.clone()
        if name not in plain:
            kept.zero_()
        elif value.shape != plain[name].shape:
            kept[:, plain[name].shape[1] :] = 0
        zeroed[name] = kept
        if name in plain:
            remaining[name] = kept if value.shape == plain[name].shape else kept[:, : plain[name].shape[1]]
    return remaining, zeroed
