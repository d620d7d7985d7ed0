"""What every evaluation shares: a copy of the model to score with, batches of prepared images, seeded draws of z."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from vaelab.autoencoder import Autoencoder
from vaelab.building import Model
from vaelab.data.images import ImageData
from vaelab.data.pixels import prepare_fixed
from vaelab.distributions import NormalMixture
from vaelab.errors import UsageError
from vaelab.layers import ROW
from vaelab.memory import keep_freed_memory
from vaelab.objectives import Draw
from vaelab.preflight import check_fit
from vaelab.randomness import image_seeds, normal_per_image
from vaelab.vae import VAE

Progress = Callable[[int], None]
"""Called with the number of images done so far."""

MEMORY = 512 * 2**20
"""Default bound on the working memory of a batch in the encoder or the decoder, bytes."""

BLOCK = 50
"""Samples of z whose noise comes from one generator. A part of the results: with another block, other draws."""

_LIVE = 8  # at most so many tensors as large as a network's largest one are alive at the same time, by measurement
_ROWS = {"cpu": ROW * BLOCK}  # decoder rows at a time, the fastest measured on a CPU: whole blocks of images
_ROWS_ACCELERATOR = 16384

AnyModel = TypeVar("AnyModel", bound=Model)


def frozen_copy(model: AnyModel, device: torch.device | str | None = None) -> AnyModel:
    """A copy in evaluation mode on ``device`` (None: where the model is), without gradients.

    So the model itself keeps its mode, device and memory layout, whatever happens while its copy is evaluated. On a CPU
    it lies channels last, and the process keeps freed memory (`memory.py`): both make it faster.

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("digits-vae").with_changes(model={"image_shape": (1, 8, 8)}).model)
    >>> frozen_copy(model).training, model.training
    (False, True)
    """
    copied = copy.deepcopy(model)
    copied.eval().requires_grad_(False)
    if device is not None:
        copied.to(device)
    if device_of(copied).type == "cpu":
        keep_freed_memory()
        copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return copied


def device_of(model: Model) -> torch.device:
    """Where the model's parameters are."""
    return next(model.parameters()).device


@dataclass(frozen=True)
class Batch:
    """Prepared images ``x (batch, channel, height, width)`` in [0, 1] and labels ``c (batch,)``, or None without
    condition, on the model's device; ``done`` is the number of images up to and with this batch.
    """

    x: Tensor
    c: Tensor | None
    done: int


def image_batches(model: Model, data: ImageData, variant: str, *, seed: int, size: int) -> Iterator[Batch]:
    """The images of ``data`` in order, ``size`` at a time, their pixels fixed by (``seed``, content).

    Raises `DataError` where the data does not fit the model, `UsageError` where its variant does not fit the likelihood
    and for a size below 1.
    """
    check_fit(model, data, variant)
    at_least("batch_size", size, 1)
    device = device_of(model)
    for start in range(0, len(data), size):
        images = data.between(start, start + size)
        labels = data.labels[start : start + size] if model.classes and data.labels is not None else None
        x = prepare_fixed(images, variant, seed).to(device)
        yield Batch(x, None if labels is None else labels.to(device), start + len(images))


def draws(model: VAE, batch: Batch, *, samples: int, seed: int, rows: int, repeats: int = 1) -> Iterator[Draw]:
    """``samples`` draws of z ~ q(z|x,c) for each image, decoded at most ``rows`` (but one sample) at a time.

    The batch is encoded once. The noise of an image comes in blocks of `BLOCK` samples, each from a generator seeded by
    (``seed``, prepared pixels, block): neither the batch nor ``rows`` nor the number of samples changes it. Where each
    image stands ``repeats`` times in a row in the batch, with other labels, its noise is drawn once for all of them.
    """
    at_least("samples", samples, 1)
    qz, pz = model.encode(batch.x, batch.c), model.pz(len(batch.x), batch.c)
    pixels = batch.x[::repeats].cpu()
    step = max(1, rows // len(batch.x))
    drawn = BLOCK * max(1, step // BLOCK)  # of few images several blocks are decoded together
    for first in range(0, samples, drawn):
        noise = _noise(pixels, seed, first, min(drawn, samples - first), model.latent).to(batch.x.device)
        noise = noise.repeat_interleave(repeats, 1) if repeats > 1 else noise
        for part in torch.split(noise, step):
            z = qz.rsample(len(part), noise=part)
            yield Draw(z, qz, pz, model.decode(z, batch.c).log_prob(batch.x))


def _noise(pixels: Tensor, seed: int, first: int, samples: int, latent: int) -> Tensor:
    """Standard normal ``(samples, image, latent)``, from sample ``first`` on, which begins a block."""
    numbers = range(first // BLOCK, -(-(first + samples) // BLOCK))
    seeds = (image_seeds(pixels, seed, f"z/{number}") for number in numbers)
    return torch.cat([normal_per_image(of_block, (BLOCK, latent)) for of_block in seeds])[:samples]


def rows_within(model: VAE, memory: int, rows: int | None = None) -> int:
    """How many z are decoded at a time: ``rows`` (None: what is fast on the device), less if ``memory`` asks for it.

    memory / (4 bytes × 8 tensors × floats of the largest tensor of one row); ``memory`` in bytes. At least 1. One row
    is decoded to see how large its tensors are.
    """
    device = device_of(model)
    if rows is None:
        rows = _ROWS.get(device.type, _ROWS_ACCELERATOR)
    at_least("rows", rows, 1)
    return max(1, min(rows, memory // (4 * _LIVE * _floats_of_a_row(model, device))))


def images_within(model: Model, memory: int, images: int) -> int:
    """How many images are encoded at a time: ``images``, less if ``memory`` asks for it, as in `rows_within`.

    Of an autoencoder the same images are decoded at once, so its decoder counts, too.
    """
    at_least("batch_size", images, 1)
    largest = _floats_of_an_image(model, device_of(model))
    if isinstance(model, Autoencoder):
        largest = max(largest, _floats_of_a_row(model, device_of(model)))
    return max(1, min(images, memory // (4 * _LIVE * largest)))


@torch.no_grad()
def _floats_of_an_image(model: Model, device: torch.device) -> int:
    x = torch.zeros(1, *model.image_shape, device=device, dtype=next(model.parameters()).dtype)
    with _sizes(model.encoder) as sizes:
        model.encode(x, _label(model, device))
    return max(x.numel(), *sizes)


@torch.no_grad()
def _floats_of_a_row(model: Model, device: torch.device) -> int:
    c = _label(model, device)
    with _sizes(model.decoder) as sizes:
        model.decode(torch.zeros(1, model.latent, device=device, dtype=next(model.parameters()).dtype), c)
    if isinstance(model, VAE):
        pz = model.pz(1, c)
        if isinstance(pz, NormalMixture):  # log p(z) compares each z with each component
            sizes.append(pz.mean.numel())
    return max(sizes)


def _label(model: Model, device: torch.device) -> Tensor | None:
    return torch.zeros(1, dtype=torch.int64, device=device) if model.classes else None


@contextmanager
def _sizes(network: nn.Module) -> Iterator[list[int]]:
    """Within: the list grows by the number of floats that each layer of ``network`` puts out."""
    sizes = [1]

    def note(module: Any, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel())

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        yield sizes
    finally:
        for hook in hooks:
            hook.remove()


def at_least(name: str, value: int, low: int) -> None:
    """Raise `UsageError` where ``value`` is below ``low``."""
    if value < low:
        raise UsageError(f"expected {name} ≥ {low}, got {value}")
