"""Layers one after the other, forwards and backwards in one piece where that is faster.

A small network's step is mostly bookkeeping: PyTorch notes every operation of the forward pass, and for each a step of
the backward pass. `through` notes one for a whole stack of layers, whose gradients are written here. On other devices
than a CPU, under autocast, without gradients, and where a hook listens, the layers are called one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Saved = tuple[Tensor, ...]
"""What a layer keeps of its forward pass for the backward pass."""

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]
"""Of a layer's input, weight and bias."""


class Layer(Protocol):
    """A layer with a gradient of its own."""

    weight: Tensor
    bias: Tensor

    def run(self, x: Tensor) -> tuple[Tensor, Saved]:
        """The output, a tensor of its own, and what `back` needs."""
        ...

    def back(self, gradient: Tensor, saved: Saved, *, of_x: bool, of_own: bool) -> Gradients:
        """The gradients of x (where ``of_x`` asks for it), weight and bias (``of_own``) from that of the output."""
        ...


def ours(x: Tensor) -> bool:
    """Where the layers written here are the faster ones: on a CPU, but not under autocast."""
    return x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def differentiated(x: Tensor) -> bool:
    """Whether layers are run in one piece: where they are `ours`, with gradients."""
    return torch.is_grad_enabled() and ours(x)


def through(x: Tensor, *layers: nn.Module) -> Tensor:
    """``x`` through ``layers``: those of this package, and ReLUs.

    >>> layers = [Linear(3, 4), nn.ReLU(), Linear(4, 2)]
    >>> x = torch.rand(5, 3)
    >>> torch.allclose(through(x, *layers), nn.Sequential(*layers)(x))
    True
    """
    heard = any(layer._forward_hooks or layer._forward_pre_hooks for layer in layers)  # as PyTorch itself looks
    if heard or not differentiated(x):
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
    parameters = [parameter for layer, _ in steps for parameter in (layer.weight, layer.bias)]
    out: Tensor = _Stack.apply(x, steps, *parameters)  # type: ignore[no-untyped-call]
    return out


class _Stack(torch.autograd.Function):
    """Every layer's `run`, then every layer's `back` in the other direction."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, steps: list[tuple[Layer, bool]], *parameters: Tensor) -> Tensor:
        kept: list[Tensor] = []
        ends: list[int] = []
        for layer, relu in steps:
            x, saved = layer.run(x)
            kept += saved
            if relu:  # where the numbers lie
                x = x.relu_()
                kept.append(x)
            ends.append(len(kept))
        ctx.save_for_backward(*kept)
        ctx.steps, ctx.ends = steps, ends
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        kept = ctx.saved_tensors
        found: list[Tensor | None] = []
        last = len(ctx.steps) - 1
        for number in range(last, -1, -1):
            layer, relu = ctx.steps[number]
            saved = kept[ctx.ends[number - 1] if number else 0 : ctx.ends[number]]
            if relu and number < last:  # made here, by the layer after: nobody else's
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
                break
        return (gradient, None, *reversed(found))


class Linear(nn.Linear):
    """PyTorch's linear layer, for `through`: ``(batch, inputs)`` → ``(batch, outputs)``."""

    def run(self, x: Tensor) -> tuple[Tensor, Saved]:
        """See `Layer`."""
        return torch.addmm(self.bias, x, self.weight.t()), (x, self.weight)

    def back(self, gradient: Tensor, saved: Saved, *, of_x: bool, of_own: bool) -> Gradients:
        """See `Layer`."""
        x, weight = saved
        below = gradient @ weight if of_x else None
        return (below, gradient.t() @ x, gradient.sum(0)) if of_own else (below, None, None)


class FromPlanes(nn.Linear):
    """Flatten, then a linear layer: ``(batch, channel, height, width)`` → ``(batch, outputs)``.

    The weights are those for the order height, width, channel, in which the planes of a convolution lie in memory: so
    neither has to be moved.

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

    def run(self, x: Tensor) -> tuple[Tensor, Saved]:
        """See `Layer`."""
        rows = flat(x)
        return torch.addmm(self.bias, rows, self.weight.t()), (rows, self.weight)

    def back(self, gradient: Tensor, saved: Saved, *, of_x: bool, of_own: bool) -> Gradients:
        """See `Layer`."""
        rows, weight = saved
        below = shaped(gradient @ weight, self.planes) if of_x else None
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

    def run(self, x: Tensor) -> tuple[Tensor, Saved]:
        """See `Layer`."""
        return shaped(torch.addmm(self.bias, x, self.weight.t()), self.planes), (x, self.weight)

    def back(self, gradient: Tensor, saved: Saved, *, of_x: bool, of_own: bool) -> Gradients:
        """See `Layer`."""
        x, weight = saved
        rows = flat(gradient)
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
