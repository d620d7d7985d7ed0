"""Why the log-variance (C3): the same training with other outputs for the spread, and the gradient of the KL."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vaelab.building import build_model, build_objective
from vaelab.data.batches import batches, epoch_order
from vaelab.data.images import ImageData
from vaelab.data.pixels import prepare
from vaelab.data.progress import increments
from vaelab.distributions import DiagonalNormal
from vaelab.optimisation import make_optimizer
from vaelab.posteriors import NormalPosterior
from vaelab.randomness import generator
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.studies.conv_cvae.drawing import spread_heads
from vaelab.vae import VAE

HEADS: dict[str, Callable[[Tensor], Tensor] | None] = {
    "log-variance": None,
    "σ": lambda output: output.log(),
    "σ by ReLU": lambda output: output.relu().log(),
    "σ by absolute value": lambda output: output.abs().log(),
    "σ by softplus": lambda output: nn.functional.softplus(output).log(),
}
"""What the second linear layer's output means → its log σ; None: as the model has it."""

SPREADS = (1.0, 0.1, 0.01, 0.001)
RATE = 0.001
"""Of the one plain gradient step that is shown, and of the sheet's Adam."""
LAST = 100
"""Steps whose mean loss is compared."""


class Head(nn.Module):
    """A posterior with the weights of another, whose spread layer's output is read in another way."""

    def __init__(self, posterior: NormalPosterior, log_std: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.mean, self.spread, self.log_std = posterior.mean, posterior.spread, log_std

    def forward(self, features: Tensor) -> DiagonalNormal:
        """``(batch, features)`` → q(z|x,c)."""
        return DiagonalNormal(self.mean(features), self.log_std(self.spread(features)))


def measure(ctx: Context) -> Mapping[str, Any]:
    """``options``: ``steps`` of each head, ``seeds`` first weights."""
    run, steps, seeds = ctx.run("vae"), ctx.options["steps"], ctx.options["seeds"]
    trained: dict[str, list[dict[str, Any]]] = {name: [] for name in HEADS}
    with ctx.progress("training with other heads", steps * seeds * len(HEADS)) as advance:
        tell, done = increments(advance), 0
        for name in HEADS:
            for number in range(seeds):
                trained[name].append(train(run, name, steps, ctx.settings.seed + number))
                done += steps
                tell(done)
    losses = {name: found[0]["losses"] for name, found in trained.items()}
    table = gradients()
    figure = spread_heads([row["sigma"] for row in gradients(41)], [row["by_sigma"] for row in gradients(41)],
                          [row["by_log_variance"] for row in gradients(41)], losses)  # fmt: skip
    ctx.figure("heads", figure)
    ctx.table("losses", ["head", "step", "loss"], _rows(losses))
    heads = {name: _summary(found) for name, found in trained.items()}
    return {"gradients": table, "heads": heads, "steps": steps, "seeds": seeds, "last": min(LAST, steps)}


def gradients(count: int = 0) -> list[dict[str, float]]:
    """∂KL/∂σ and ∂KL/∂v at the same posterior, v = log σ², by differentiating the code; and where one step leads."""
    places = SPREADS if not count else [10 ** (1 - 4 * i / (count - 1)) for i in range(count)]
    found = []
    for place in places:
        sigma = torch.tensor([[place]], dtype=torch.float64, requires_grad=True)
        v = (2 * sigma).detach().new_tensor([[2 * math.log(place)]]).requires_grad_()
        by_sigma, by_log = (_kl_slope(output, log_std) for output, log_std in ((sigma, sigma.log()), (v, 0.5 * v)))
        row = {
            "sigma": place,
            "by_sigma": by_sigma,
            "by_log_variance": by_log,
            "step_of_sigma": place - RATE * by_sigma,
        }
        found.append({**row, "step_of_log_variance": math.exp(0.5 * (float(v.detach()) - RATE * by_log))})
    return found


def _kl_slope(output: Tensor, log_std: Tensor) -> float:
    standard = DiagonalNormal(torch.zeros_like(log_std), torch.zeros_like(log_std))
    kl = DiagonalNormal(torch.zeros_like(log_std), log_std).kl_per_dimension(standard).sum()
    return float(torch.autograd.grad(kl, output)[0])


def train(run: Run, head: str, steps: int, seed: int) -> dict[str, Any]:
    """The first ``steps`` of the run's training from the weights of ``seed``, with another head.

    ``stopped``: the first step whose loss or gradient is not finite, or None. ``losses``: of the steps before it.
    ``not_positive``: the share of the spread layer's outputs in the first batch that are ≤ 0. ``largest``, ``median``:
    of the size of the spread layer's gradient.
    """
    config = run.config.with_changes(training={"seed": seed})
    model = build_model(config.model, seed)
    assert isinstance(model, VAE)
    assert isinstance(model.posterior, NormalPosterior)
    posterior, read = model.posterior, HEADS[head]
    if read is not None:
        model.posterior = Head(posterior, read)
    model.to(device=run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    objective, optimizer = build_objective(config.training.objective, model), make_optimizer(model, config.training)
    source = generator(seed, run.device, "training")
    losses: list[float] = []
    sizes: list[float] = []
    stopped, share = None, math.nan
    for step, images in enumerate(_images(run.data.train, config.training.batch_size, steps, seed), start=1):
        x = prepare(images.to(run.device), config.data.variant, source)
        if step == 1:
            with torch.no_grad():
                share = float((posterior.spread(model.encoder(x, None)) <= 0).double().mean())
        loss = objective(model, x, generator=source).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        size = float(posterior.spread.weight.grad.norm())  # type: ignore[union-attr]
        if not (math.isfinite(float(loss.detach())) and math.isfinite(size)):
            stopped = step
            break
        optimizer.step()
        losses.append(float(loss.detach()))
        sizes.append(size)
    median = float(torch.tensor(sizes).median()) if sizes else None
    return {
        "stopped": stopped,
        "losses": losses,
        "not_positive": share,
        "largest": max(sizes, default=None),
        "median": median,
    }


def _images(data: ImageData, size: int, steps: int, seed: int) -> Iterator[Tensor]:
    """``steps`` batches, in the order of the training."""
    done, epoch = 0, 0
    while done < steps:
        for images, _ in batches(data, size, epoch_order(len(data), seed, epoch)):
            if done < steps:
                yield images
            done += 1
        epoch += 1


def _summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Over the seeds; the losses are means of the last steps of those that came to the end."""
    ends = [sum(one["losses"][-LAST:]) / len(one["losses"][-LAST:]) for one in found if one["stopped"] is None]
    largest, median = ([one[name] for one in found if one[name] is not None] for name in ("largest", "median"))
    return {
        "stopped": [one["stopped"] for one in found],
        "not_positive": sum(one["not_positive"] for one in found) / len(found),
        "losses": ends,
        "largest": max(largest, default=None),
        "median": sorted(median)[len(median) // 2] if median else None,
    }


def _rows(losses: Mapping[str, list[float]]) -> list[tuple[str, int, float]]:
    return [(name, step, value) for name, values in losses.items() for step, value in enumerate(values, start=1)]
