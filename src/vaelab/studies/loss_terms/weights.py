"""B1 and B2: what the networks are given, and the sheet's loss beside the one that was minimised, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from vaelab.building import build_objective
from vaelab.data.pixels import prepare_fixed
from vaelab.metrics import Metric
from vaelab.objectives import draw
from vaelab.randomness import generator
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.vae import VAE

BATCH = 128
"""Images that the two losses are compared on."""

EPSILON = 1e-8
"""What Adam adds to its denominator."""

SHIFTED = 1000
"""At most so many images are encoded with another label."""


def measure(ctx: Context) -> Mapping[str, Any]:
    """The layers, both losses on one batch with the same z, their gradients, and what the label does in the encoder."""
    run = ctx.run("cvae-sheet")
    pictures = {"class-epochs": {}, "loss": {}, "reconstructions": {"count": 10}}
    for kind, options in pictures.items():
        ctx.figure(kind, run.figure(kind, **options))
    model = run.model
    assert isinstance(model, VAE)
    return {
        "layers": layers(model),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "classes": model.classes,
        "class_names": list(run.class_names),
        **_losses(run, model, ctx.options["weight"]),
        **_label_effect(run, model),
    }


def layers(model: VAE) -> list[list[str]]:
    """Part, number of the layer in it, and the size of its weights.

    >>> from vaelab import build_model, presets
    >>> layers(build_model(presets.get("mlp-cvae").model))[0]
    ['encoder', '1', '794 → 512']
    """
    found: list[list[str]] = []
    for name, weight in model.named_parameters():
        if not name.endswith("weight"):
            continue
        part, _, layer = name.removesuffix(".weight").partition(".")
        if part == "posterior":
            part, layer = "posterior", {"mean": "μ", "spread": "log σ"}.get(layer, layer)
        else:
            layer = str(1 + sum(row[0] == part for row in found))
        shape = list(weight.shape)
        size = f"{shape[1]} → {shape[0]}" if weight.ndim == 2 else " × ".join(map(str, shape))
        found.append([part, layer, size])
    return found


def _losses(run: Run, model: VAE, weight: float) -> dict[str, Any]:
    """The sheet's loss, written as the sheet has it, and the objective's, on one batch with the same draws of z."""
    data = run.data.test.take(torch.arange(min(BATCH, len(run.data.test)))).to(run.device)
    x = prepare_fixed(data.images, run.config.data.variant, 0)
    c = data.labels
    objective = build_objective(run.config.training.objective, model)
    sheet = sheet_loss(model, x, c, weight, _noise(run))
    ours = objective(model, x, c, generator=_noise(run)).loss
    first, second = (_gradient(model, loss) for loss in (sheet, ours))
    pixels = x[0].numel()
    cosine = torch.nn.functional.cosine_similarity(first, second, dim=0)
    moved = second != 0
    shorter = (first[moved].abs() / (first[moved].abs() + EPSILON)) / (
        second[moved].abs() / (second[moved].abs() + EPSILON)
    )
    return {
        "pixels": pixels,
        "latent": model.latent,
        "weight": weight,
        "beta": weight * pixels,
        "images": len(x),
        "sheet_loss": sheet.detach().item(),
        "loss": ours.detach().item(),
        "ratio": (ours / sheet).detach().item(),
        "gradient_ratio": float(second.norm() / first.norm()),
        "gradient_cosine": float(cosine),
        "adam_step": float(shorter.mean()),
    }


def sheet_loss(model: VAE, x: Tensor, c: Tensor | None, weight: float, noise: torch.Generator) -> Tensor:
    """Mean over images and pixels of the reconstruction loss + ``weight`` · mean over images of the KL; a scalar.

    ``x (batch, channel, height, width)`` in [0, 1], ``c (batch,)`` labels or None; z is drawn with ``noise``. The KL is
    the sum over latent dimensions. The reconstruction loss is the binary cross entropy of the decoder's probabilities;
    where the likelihood is not Bernoulli, its −log p.
    """
    drawn = draw(model, x, c, generator=noise)
    pixels = model.decode(drawn.z[0], c)
    if type(model.likelihood).__name__ == "BernoulliLikelihood":
        reconstruction = binary_cross_entropy(pixels.mean, x)
    else:
        reconstruction = -pixels.log_prob(x).mean() / x[0].numel()
    log_variance = 2 * drawn.qz.log_std
    kl = 0.5 * (drawn.qz.mean**2 + log_variance.exp() - log_variance - 1).sum(1).mean()
    return reconstruction + weight * kl


def _noise(run: Run) -> torch.Generator:
    return generator(0, run.device, "sheet's loss")


def _gradient(model: VAE, loss: Tensor) -> Tensor:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat([g.flatten().double() for g in found if g is not None])


@torch.no_grad()
def _label_effect(run: Run, model: VAE) -> dict[str, Metric]:
    """How far an image's posterior mean moves where the encoder is given the next class instead of the true one."""
    data = run.data.test.take(torch.arange(min(SHIFTED, len(run.data.test)))).to(run.device)
    assert data.labels is not None
    known = torch.nonzero(data.labels >= 0).flatten()
    x, labels = prepare_fixed(data.images[known], run.config.data.variant, 0), data.labels[known]
    true = model.embed(x, labels)
    moved = (model.embed(x, (labels + 1) % model.classes) - true).norm(dim=1)
    spread = (true - true.mean(0)).square().sum(1).mean().sqrt()
    words = f"encoded with the next class instead of the true one, {len(x)} test images; spread {float(spread):.3f}"
    return {"label_moves": Metric.mean(moved / spread, "of the spread of the means", words)}
