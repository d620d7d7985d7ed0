"""A VAE and a denoising autoencoder side by side (E11, E12): codes, reconstructions, generated images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaelab import plots
from vaelab.applications.judge import Judge
from vaelab.applications.latent import Encoded, decode_at, encode, energy_test
from vaelab.data.corruption import CORRUPTIONS
from vaelab.data.images import ImageData
from vaelab.data.pixels import prepare_fixed
from vaelab.metrics import Metric
from vaelab.pictures import PictureOptions
from vaelab.randomness import generator
from vaelab.run import Run
from vaelab.specs import Spec
from vaelab.studies.context import Context
from vaelab.studies.judging import judge_of, judged
from vaelab.studies.semi_supervised.planes import faint_share
from vaelab.tasks.embed import embed_run

SHOWN = 10
"""Images in a row of a figure."""


def measure(ctx: Context) -> Mapping[str, Any]:
    """Both runs on the same test images, the same noise and the same draws of z."""
    learned, judge = {name: ctx.run(name) for name in ctx.step.needs[:2]}, judge_of(ctx, ctx.step.needs[2])
    vae, denoising = learned.values()
    data, seed, count = vae.split("test"), ctx.settings.seed, ctx.options["samples"]
    corruption = denoising.config.training.corruption
    inputs = {"clean": _pixels(data)}
    inputs["noisy"] = CORRUPTIONS.build(Spec.parse(corruption))(inputs["clean"], generator(seed, "cpu", "noise"))
    outputs = {name: {kind: _through(run, x) for kind, x in inputs.items()} for name, run in learned.items()}
    _draw_reconstructions(ctx, learned, data, inputs, outputs)
    codes = {name: encode(run.model, data, run.config.data.variant, seed=seed) for name, run in learned.items()}
    ways = generated(learned, codes, count, seed)
    _draw_generated(ctx, vae, ways)
    for name, run in learned.items():
        ctx.figure(f"scatter-{name}", run.figure("latent-scatter"))
    return {
        "corruption": corruption,
        "embedded": {name: _embedded(ctx, run) for name, run in learned.items()},
        "networks": {name: sum(p.numel() for p in run.model.parameters()) for name, run in learned.items()},
        "errors": {n: {k: _error(y, inputs["clean"]) for k, y in found.items()} for n, found in outputs.items()},
        "noise": _error(inputs["noisy"].clamp(0, 1), inputs["clean"]),
        "recognised": {
            name: {kind: _recognised(judge, y, data) for kind, y in found.items()} for name, found in outputs.items()
        },
        "generated": {way.name: {"model": way.model, "z": way.z, **way.judged(judge)} for way in ways},
        "real": _judged(judge, inputs["clean"], "test images"),
        "rebuilt": {name: _judged(judge, found["clean"], "reconstructions") for name, found in outputs.items()},
        "codes": {name: statistics(found, seed) for name, found in codes.items()},
    }


def _pixels(data: ImageData) -> Tensor:
    return prepare_fixed(data.images, "grey", 0).cpu()


@torch.no_grad()
def _through(run: Run, x: Tensor) -> Tensor:
    """Encoded to the posterior mean or code, and decoded."""
    parts = [run.model.reconstruct(part.to(run.device)).clamp(0, 1).cpu() for part in torch.split(x, 500)]
    return torch.cat(parts)


def _error(y: Tensor, x: Tensor) -> dict[str, Any]:
    values = (y - x).square().mean((1, 2, 3))
    return Metric.mean(values, "squared pixel value", "against the clean test images, mean over pixels").to_json()


def _recognised(judge: Judge, y: Tensor, data: ImageData) -> dict[str, Any]:
    """How many reconstructions the judge gives the class of their image."""
    assert data.labels is not None
    right = (judge.probabilities(y).argmax(-1) == data.labels.cpu()).double()
    return Metric.mean(right, "share of images", "reconstructions of test images, judged as their own class").to_json()


def _judged(judge: Judge, images: Tensor, what: str) -> dict[str, Any]:
    found = {name: metric.to_json() for name, metric in judged(judge.probabilities(images), what).items()}
    return {**found, "grey": faint_share(images)}


def _embedded(ctx: Context, run: Run) -> dict[str, Any]:
    """The representation of every image, in ``embeddings.npz`` of the run's folder."""
    found = embed_run(run, progress=ctx.progress)
    shapes = {name: list(found.arrays[name].shape) for name in ("train", "validation", "test") if name in found.arrays}
    return {"file": found.file.relative_to(ctx.store.path).as_posix(), "shapes": shapes, "protocol": found.protocol}


# --- what comes out of random codes -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """Images decoded from random codes: of which ``model``, from which ``z``."""

    name: str
    model: str
    z: str
    images: Tensor

    def judged(self, judge: Judge) -> dict[str, Any]:
        """What the judge says of them."""
        return _judged(judge, self.images, f"{len(self.images)} images, z from {self.z}")


def generated(learned: Mapping[str, Run], codes: Mapping[str, Encoded], count: int, seed: int) -> list[Way]:
    """``count`` images of each model from N(0, I), and from a Gaussian with the mean and covariance of its codes.

    The noise is the same in all.
    """
    ways = []
    for name, run in learned.items():
        noise = torch.randn(count, run.model.latent, generator=generator(seed, "cpu", "generated"))
        fitted = fitted_normal(codes[name].means if codes[name].z is None else codes[name].z, noise)
        for short, what, z in (("prior", "N(0, I)", noise), ("fitted", "a Gaussian fitted to its codes", fitted)):
            ways.append(Way(f"{name}-{short}", name, what, decode_at(run.model, z)))
    return ways


def fitted_normal(codes: Tensor | None, noise: Tensor) -> Tensor:
    """Mean of ``codes (n, d)`` + L ``noise (m, d)``, L Lᵀ their covariance.

    >>> codes = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    >>> fitted_normal(codes, torch.zeros(1, 2)).tolist()
    [[2.0, 0.0]]
    """
    assert codes is not None
    exact = codes.double()
    values, vectors = torch.linalg.eigh(torch.cov(exact.T).reshape(exact.shape[1], -1))  # may be singular
    root = vectors * values.clamp_min(0).sqrt()
    drawn: Tensor = exact.mean(0) + noise.double() @ root.T
    return drawn.float()


def statistics(encoded: Encoded, seed: int) -> dict[str, Any]:
    """How codes (a VAE's draws of z) compare with N(0, I): moments, the covariance's spread, energy distance.

    ``means``: of each dimension, the largest in size; ``variances``: the least and largest; ``correlation``: the
    largest of two dimensions; ``axes``: least and largest variance along principal axes; ``length``: mean of ‖z‖, and
    √2 Γ((d+1)/2) / Γ(d/2) under N(0, I).
    """
    z = (encoded.means if encoded.z is None else encoded.z).double()
    d = z.shape[1]
    covariance = torch.cov(z.T).reshape(d, d)
    variances = covariance.diagonal()
    scale = variances.sqrt().clamp_min(1e-12)
    correlation = (covariance / scale / scale[:, None] - torch.eye(d)).abs()
    axes = torch.linalg.eigvalsh(covariance)
    test = energy_test(z, seed=seed)
    return {
        "kind": "codes" if encoded.z is None else "draws",
        "n": len(z),
        "latent": d,
        "mean": float(z.mean(0).abs().max()),
        "mean_norm": float(z.mean(0).norm()),
        "variances": [float(variances.min()), float(variances.mean()), float(variances.max())],
        "correlation": float(correlation.max()),
        "axes": [float(axes.min()), float(axes.max())],
        "length": Metric.mean(z.norm(dim=1), "units of z", "test split").to_json(),
        "normal_length": math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2)),
        "energy": {"distance": test.distance, "p": test.p, "critical": test.critical, "n": test.n},
    }


# --- figures ----------------------------------------------------------------------------------------------------------


def _draw_reconstructions(
    ctx: Context,
    learned: Mapping[str, Run],
    data: ImageData,
    inputs: Mapping[str, Tensor],
    outputs: Mapping[str, Mapping[str, Tensor]],
) -> None:
    """Of one image of each class, as far as there is room: originals, both models' outputs, from clean and noisy."""
    chosen = one_of_each(data, PictureOptions(count=SHOWN, seed=ctx.settings.seed))
    rows = [("original", inputs["clean"])]
    rows += [(f"{SHORT[name]}", outputs[name]["clean"]) for name in learned]
    rows += [("with noise", inputs["noisy"].clamp(0, 1))]
    rows += [(f"{SHORT[name]}, from noise", outputs[name]["noisy"]) for name in learned]
    images = torch.cat([images[chosen] for _, images in rows])
    title = f"{next(iter(learned.values())).config.data.name}: test images and their reconstructions"
    ctx.figure(
        "reconstructions", plots.image_grid(images, len(chosen), row_labels=[name for name, _ in rows], title=title)
    )


SHORT = {"vae": "VAE", "denoising": "denoising"}


def one_of_each(data: ImageData, options: PictureOptions) -> Tensor:
    """Places of ``count`` images: of each class in turn."""
    order = torch.randperm(len(data), generator=generator(options.seed, "cpu", "chosen images"))
    assert data.labels is not None
    labels = data.labels.cpu()[order]
    turn = torch.zeros(len(order), dtype=torch.long)
    for label in range(data.classes):
        members = labels == label
        turn[members] = torch.arange(int(members.sum()))
    ranked = torch.argsort(turn * data.classes + labels, stable=True)
    return order[ranked[: options.count]]


def _draw_generated(ctx: Context, run: Run, ways: list[Way]) -> None:
    """Two rows of each."""
    images = torch.cat([way.images[: 2 * SHOWN] for way in ways])
    names = [(f"{SHORT[way.model]}, z ~ {'N(0, I)' if way.name.endswith('prior') else 'fitted'}", "") for way in ways]
    title = f"{run.config.data.name}: images decoded from random codes"
    figure = plots.image_grid(images, SHOWN, row_labels=[word for pair in names for word in pair], title=title)
    ctx.figure("generated", figure)
