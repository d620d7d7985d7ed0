"""Layers one after the other, forwards and backwards in one piece, and the images of a batch side by side.

A small network's step is mostly bookkeeping: PyTorch notes every operation of the forward pass, and for each a step of
the backward pass. `through` notes one for a whole stack of layers, whose gradients are written here. And kernels of
convolutions want long rows, where images have rows of 7 or 14 numbers: within a stack, images lie `beside` each other.
On other devices than a CPU, without oneDNN, under autocast, and where a hook listens, they are called one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
FEW = 3  # channels: grey or colour images
MANY = 512  # images, from which on laying weights out anew costs less than moving planes
ROW = 32  # images side by side, at best; with less than half of that the copies cost what the kernels gain

Saved = tuple[Tensor, ...]
"""What a layer keeps of its forward pass for the backward pass."""

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]
"""Of a layer's input, weight and bias."""


class Relu(IntEnum):
    """The ReLU after a layer: none, one that keeps what is no number, or one that makes 0 of it, but costs no pass."""

    NONE = 0
    EXACT = 1
    OF_FINITE = 2


class Layer(Protocol):
    """A layer with a gradient of its own.

    Planes lie `beside` each other, ``(block, channel, height, width, image)``; blocks of one image will do.
    """

    weight: Tensor
    bias: Tensor

    def run(self, x: Tensor, relu: Relu) -> tuple[Tensor, Saved]:
        """The output, a tensor of its own, through the ReLU asked for, and what `back` needs."""
        ...

    def back(self, gradient: Tensor, saved: Saved, *, of_x: bool, of_own: bool) -> Gradients:
        """The gradients of x (where ``of_x`` asks for it), weight and bias (``of_own``) from that of the output."""
        ...


def ours(x: Tensor) -> bool:
    """Where the layers written here are the faster ones: on a CPU with oneDNN's kernels, but not under autocast.

    Nor while they are compiled: a compiler wants PyTorch's own, to join what it can see through.
    """
    if torch.compiler.is_compiling():
        return False
    return ONEDNN and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def through(x: Tensor, *layers: nn.Module) -> Tensor:
    """``x`` through ``layers``: those of this package, and ReLUs.

    >>> layers = [Linear(3, 4), nn.ReLU(), Linear(4, 2)]
    >>> x = torch.rand(5, 3)
    >>> torch.allclose(through(x, *layers), nn.Sequential(*layers)(x))
    True
    """
    heard = any(layer._forward_hooks or layer._forward_pre_hooks for layer in layers)  # as PyTorch itself looks
    if heard or not ours(x):
        own = False  # what a layer before has made is nobody else's, unless a gradient or a hook wants to see it
        for layer in layers:
            x = x.relu_() if own and isinstance(layer, nn.ReLU) else layer(x)
            own = not heard and not torch.is_grad_enabled()
        return x
    steps: list[tuple[Any, bool]] = []  # a layer, and whether a ReLU follows
    for layer in layers:
        if not isinstance(layer, nn.ReLU):
            steps.append((layer, False))
        elif steps:
            steps[-1] = (steps[-1][0], True)
        else:
            x = torch.relu(x)
    return run_all(x, steps) if steps else x


def run_all(x: Tensor, steps: Sequence[tuple[Any, bool]]) -> Tensor:
    """Layers, each with or without a ReLU after it, as one operation of the graph."""
    if torch.is_grad_enabled():
        parameters = [parameter for layer, _ in steps for parameter in (layer.weight, layer.bias)]
        out: Tensor = _Stack.apply(x, steps, *parameters)  # type: ignore[no-untyped-call]
        return out
    passes = any(relu and layer.weight.dim() == 4 for layer, relu in steps)  # only a convolution has one to save
    kind = Relu.OF_FINITE if passes and _finite(x, steps) else Relu.EXACT
    x = _entering(x, steps)
    for layer, relu in steps:
        x = layer.run(x, kind if relu else Relu.NONE)[0]  # what it keeps for a backward pass is let go
    return apart(x) if x.dim() == 5 else x


def _finite(x: Tensor, steps: Sequence[tuple[Any, bool]]) -> bool:
    """Whether what goes in and all weights are numbers: then what comes out is no number only where it overflows."""
    sums = [x.sum(), *(parameter.sum() for layer, _ in steps for parameter in (layer.weight, layer.bias))]
    return bool(torch.stack(sums).isfinite().all())


def _entering(x: Tensor, steps: Sequence[tuple[Any, bool]]) -> Tensor:
    """Planes as the layers want them: a layer by itself takes them as they lie, since they would have to go back."""
    if x.dim() != 4:
        return x
    return beside(x) if len(steps) > 1 else x.unsqueeze(-1)


class _Stack(torch.autograd.Function):
    """Every layer's `run`, then every layer's `back` in the other direction."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, steps: list[tuple[Layer, bool]], *parameters: Tensor) -> Tensor:
        ctx.planes = x.dim() == 4
        x = _entering(x, steps)
        kept: list[Tensor] = []
        ends: list[int] = []
        for layer, relu in steps:
            x, saved = layer.run(x, Relu.EXACT if relu else Relu.NONE)
            kept += (*saved, x) if relu else saved
            ends.append(len(kept))
        ctx.save_for_backward(*kept)
        ctx.steps, ctx.ends, ctx.out = steps, ends, x.shape
        return apart(x) if x.dim() == 5 else x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        kept, given = ctx.saved_tensors, gradient
        if len(ctx.out) == 5:
            gradient = beside(gradient, ctx.out[0])
        found: list[Tensor | None] = []
        for number in range(len(ctx.steps) - 1, -1, -1):
            layer, relu = ctx.steps[number]
            saved = kept[ctx.ends[number - 1] if number else 0 : ctx.ends[number]]
            if relu and gradient.data_ptr() != given.data_ptr():  # made here: nobody else's
                torch.ops.aten.threshold_backward.grad_input(gradient, saved[-1], 0, grad_input=gradient)
            elif relu:
                gradient = torch.ops.aten.threshold_backward(gradient, saved[-1], 0)
            own = 2 + 2 * number  # where the layer's weight and bias are among the inputs
            needed = ctx.needs_input_grad
            of_x, of_own = any(needed[:own]), any(needed[own : own + 2])
            gradient, of_weight, of_bias = layer.back(gradient, saved[: len(saved) - relu], of_x=of_x, of_own=of_own)
            found += (of_bias, of_weight)
            if not of_x:
                found += [None] * (2 * number)
                return (None, None, *reversed(found))
        return (apart(gradient) if ctx.planes else gradient, None, *reversed(found))


def activated(out: Tensor, relu: Relu) -> Tensor:
    """``out`` through a ReLU, where the numbers lie, or as it is."""
    return out.relu_() if relu else out


class Linear(nn.Linear):
    """PyTorch's linear layer, for `through`: ``(batch, inputs)`` → ``(batch, outputs)``."""

    def run(self, x: Tensor, relu: Relu) -> tuple[Tensor, Saved]:
        """See `Layer`."""
        return activated(torch.addmm(self.bias, x, self.weight.t()), relu), (x, self.weight)

    def back(self, gradient: Tensor, saved: Saved, *, of_x: bool, of_own: bool) -> Gradients:
        """See `Layer`."""
        x, weight = saved
        below = gradient @ weight if of_x else None
        return (below, gradient.t() @ x, gradient.sum(0)) if of_own else (below, None, None)


class FromPlanes(nn.Linear):
    """Flatten, then a linear layer: ``(batch, channel, height, width)`` → ``(batch, outputs)``.

    The weights are those for the order height, width, channel, in which the planes of a convolution lie in memory: so
    they never have to be moved, nor do planes that lie one image after the other.

    >>> layer = FromPlanes((4, 7, 7), 16)
    >>> x = torch.rand(2, 4, 7, 7)
    >>> torch.allclose(layer(x), nn.functional.linear(flat(x), layer.weight, layer.bias), atol=1e-6)
    True
    """

    def __init__(self, planes: tuple[int, int, int], outputs: int) -> None:
        super().__init__(planes[0] * planes[1] * planes[2], outputs)
        self.planes = planes

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return super().forward(flat(x))

    def run(self, x: Tensor, relu: Relu) -> tuple[Tensor, Saved]:
        """See `Layer`."""
        rows = flat(apart(x))
        return activated(torch.addmm(self.bias, rows, self.weight.t()), relu), (rows, self.weight)

    def back(self, gradient: Tensor, saved: Saved, *, of_x: bool, of_own: bool) -> Gradients:
        """See `Layer`."""
        rows, weight = saved
        below = beside(shaped(gradient @ weight, self.planes)) if of_x else None
        return (below, gradient.t() @ rows, gradient.sum(0)) if of_own else (below, None, None)

    @torch.no_grad()
    def from_channels_first(self) -> None:
        """Take the weights as they are for the order channel, height, width."""
        channels, height, width = self.planes
        before = self.weight.view(-1, channels, height, width)
        self.weight.copy_(before.permute(0, 2, 3, 1).flatten(1))


class ToPlanes(nn.Linear):
    """A linear layer whose output is planes: ``(batch, inputs)`` → ``(batch, channel, height, width)``.

    Its outputs are in the order height, width, channel, as in `FromPlanes`.

    >>> layer = ToPlanes(2, (4, 7, 7))
    >>> z = torch.rand(3, 2)
    >>> out = layer(z)
    >>> torch.allclose(flat(out), nn.functional.linear(z, layer.weight, layer.bias), atol=1e-6)
    True
    >>> out.is_contiguous(memory_format=torch.channels_last)
    True
    """

    def __init__(self, inputs: int, planes: tuple[int, int, int]) -> None:
        super().__init__(inputs, planes[0] * planes[1] * planes[2])
        self.planes = planes

    def forward(self, value: Tensor) -> Tensor:
        """See the class."""
        return shaped(super().forward(value), self.planes)

    def run(self, x: Tensor, relu: Relu) -> tuple[Tensor, Saved]:
        """See `Layer`."""
        if len(x) >= MANY and blocks(len(x))[1] > 1:
            return activated(self._of_one_pixel(x), relu), (x, self.weight)
        rows = shaped(torch.addmm(self.bias, x, self.weight.t()), self.planes)
        return beside(rows, relu=relu), (x, self.weight)

    def _of_one_pixel(self, x: Tensor) -> Tensor:
        """As a transposed convolution of one pixel with a kernel as large as the planes: they lie `beside` at once."""
        channels, height, width = self.planes
        with_one = torch.cat([x, x.new_ones(len(x), 1)], 1)  # the bias is the weight of a one
        kernels = torch.cat([self.weight, self.bias[:, None]], 1).view(height, width, channels, -1)
        pixels = with_one.view(*blocks(len(x)), -1).transpose(1, 2)[:, :, None, None]
        pixels = pixels.contiguous(memory_format=torch.channels_last_3d)
        return torch.conv_transpose3d(pixels, kernels.permute(3, 2, 0, 1).unsqueeze(-1))

    def back(self, gradient: Tensor, saved: Saved, *, of_x: bool, of_own: bool) -> Gradients:
        """See `Layer`."""
        x, weight = saved
        rows = flat(apart(gradient))
        below = rows @ weight if of_x else None
        return (below, (x.t() @ rows).t(), rows.sum(0)) if of_own else (below, None, None)

    @torch.no_grad()
    def from_channels_first(self) -> None:
        """Take weights and biases as they are for the order channel, height, width."""
        channels, height, width = self.planes
        before = torch.cat([self.weight, self.bias[:, None]], 1).view(channels, height, width, -1)
        after = before.permute(1, 2, 0, 3).flatten(0, 2)
        self.weight.copy_(after[:, :-1])
        self.bias.copy_(after[:, -1])


def flat(x: Tensor) -> Tensor:
    """``(batch, channel, height, width)`` → ``(batch, height · width · channel)``."""
    return x.permute(0, 2, 3, 1).flatten(1)


def shaped(rows: Tensor, planes: tuple[int, int, int]) -> Tensor:
    """The inverse of `flat`."""
    channels, height, width = planes
    return rows.view(-1, height, width, channels).permute(0, 3, 1, 2)


# --- images side by side -----------------------------------------------------------------------------------------


@cache
def blocks(batch: int) -> tuple[int, int]:
    """Into how many blocks of how many images a batch is laid: (blocks, images in each).

    Two blocks at least: PyTorch calls oneDNN for three-dimensional convolutions of more than one. Their images are as
    many as divide the batch, `ROW` or, if less than half of that would be the most, above; or each is a block of its
    own.

    >>> blocks(128), blocks(32), blocks(94), blocks(127), blocks(7)
    ((4, 32), (2, 16), (2, 47), (127, 1), (7, 1))
    """
    divisors = [images for images in range(ROW // 2, batch // 2 + 1) if batch % images == 0]
    images = max((images for images in divisors if images <= ROW), default=min(divisors, default=1))
    return batch // images, images


def beside(x: Tensor, count: int | None = None, relu: Relu = Relu.NONE) -> Tensor:
    """``(batch, channel, height, width)`` → ``(block, channel, height, width, image)``, with ``count`` blocks.

    In memory the channels come last, the images before them; a few channels come first. With ``relu`` through a ReLU in
    the same pass, where x lies if nothing has to move.

    >>> beside(torch.rand(64, 8, 7, 7)).shape
    torch.Size([2, 8, 7, 7, 32])
    """
    batch, channels, *sides = x.shape
    count, each = blocks(batch) if count is None else (count, batch // count if count else 1)
    laid = x.reshape(count, each, channels, *sides).permute(0, 2, 3, 4, 1)
    layout = torch.contiguous_format if channels <= FEW else torch.channels_last_3d
    if not relu or each == 1:
        return activated(laid.contiguous(memory_format=layout), relu)
    return torch.clamp_min(laid, 0, out=torch.empty_like(laid, memory_format=layout))


def apart(x: Tensor) -> Tensor:
    """The inverse of `beside`.

    >>> x = torch.rand(64, 8, 7, 7)
    >>> bool(torch.equal(apart(beside(x)), x))
    True
    """
    if x.shape[1] <= FEW:
        return x.permute(0, 4, 1, 2, 3).flatten(0, 1)
    return x.permute(0, 4, 2, 3, 1).flatten(0, 1).permute(0, 3, 1, 2)
