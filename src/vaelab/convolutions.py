"""3×3 convolutions, the same numbers as PyTorch's, computed the way that costs a CPU least.

Three things a library of convolutions leaves on the table for images (each gain is in docs/performance.md):
a convolution of one to three channels is a thin matrix product, for which its blocked kernels are the wrong tool; its
transposed convolution sums the bias' gradient in a reference loop; and going from planes to a vector and back moves
every activation, where moving the weights would do. On other devices, and under autocast, PyTorch's own are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv_transpose2d, linear, pad
from torch.nn.grad import conv2d_input

FEW = 3  # channels: grey or colour images
KERNEL = 3


def _ours(x: Tensor) -> bool:
    """Where PyTorch's own layers are left alone: on other devices than a CPU, and under autocast."""
    return x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


class Conv(nn.Conv2d):
    """A 3×3 convolution with padding 1: ``(batch, inputs, h, w)`` → ``(batch, outputs, ⌈h/stride⌉, ⌈w/stride⌉)``.

    >>> layer = Conv(1, 4, stride=2)
    >>> x = torch.rand(2, 1, 28, 28)
    >>> torch.allclose(layer(x), nn.functional.conv2d(x, layer.weight, layer.bias, 2, 1), atol=1e-6)
    True
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, KERNEL, stride=stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        # Without a gradient there is nothing to gain: PyTorch's forward pass is as fast.
        if self.in_channels <= FEW and _ours(x) and torch.is_grad_enabled():
            out: Tensor = _PatchProduct.apply(x, self.weight, self.bias, self.stride[0])  # type: ignore[no-untyped-call]
            return out
        return super().forward(x)


class ConvTransposed(nn.ConvTranspose2d):
    """A transposed 3×3 convolution with padding 1: ``(batch, inputs, h, w)`` → ``(batch, outputs, …)``.

    A side of n becomes (n − 1) · stride + 1 + ``padding`` (of the output, for height and width).

    >>> layer = ConvTransposed(4, 1, stride=2, padding=(1, 1))
    >>> x = torch.rand(2, 4, 14, 14)
    >>> want = nn.functional.conv_transpose2d(x, layer.weight, layer.bias, 2, 1, 1)
    >>> torch.allclose(layer(x), want, atol=1e-6)
    True
    """

    def __init__(self, inputs: int, outputs: int, stride: int, padding: tuple[int, int]) -> None:
        super().__init__(inputs, outputs, KERNEL, stride=stride, padding=1, output_padding=padding)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """See the class; ``output_size`` is PyTorch's and not needed."""
        if output_size is not None or not _ours(x):
            return super().forward(x, output_size)
        assert self.bias is not None
        added = (self.output_padding[0], self.output_padding[1])
        if self.out_channels <= FEW:
            out: Tensor = _SpreadProduct.apply(x, self.weight, self.bias, self.stride[0], added)  # type: ignore[no-untyped-call]
            return out
        # In place: the convolution keeps its input and weights for the gradient, not its output.
        return conv_transpose2d(x, self.weight, None, self.stride, 1, added).add_(self.bias[:, None, None])


class FromPlanes(nn.Linear):
    """Flatten, then a linear layer: ``(batch, channel, height, width)`` → ``(batch, outputs)``.

    The weights are those for the order channel, height, width, wherever the planes lie in memory.

    >>> layer = FromPlanes((4, 7, 7), 16)
    >>> x = torch.rand(2, 4, 7, 7)
    >>> torch.allclose(layer(x), linear(x.flatten(1), layer.weight, layer.bias), atol=1e-6)
    True
    """

    def __init__(self, planes: tuple[int, int, int], outputs: int) -> None:
        super().__init__(planes[0] * planes[1] * planes[2], outputs)
        self.planes = planes

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        channels = self.planes[0]
        weight = self.weight.view(self.out_features, channels, -1).transpose(1, 2).reshape(self.out_features, -1)
        return linear(x.permute(0, 2, 3, 1).flatten(1), weight, self.bias)


class ToPlanes(nn.Linear):
    """A linear layer whose output is planes: ``(batch, inputs)`` → ``(batch, channel, height, width)``.

    >>> layer = ToPlanes(2, (4, 7, 7))
    >>> z = torch.rand(3, 2)
    >>> want = linear(z, layer.weight, layer.bias).unflatten(1, (4, 7, 7))
    >>> out = layer(z)
    >>> torch.allclose(out, want, atol=1e-6), out.is_contiguous(memory_format=torch.channels_last)
    (True, True)
    """

    def __init__(self, inputs: int, planes: tuple[int, int, int]) -> None:
        super().__init__(inputs, planes[0] * planes[1] * planes[2])
        self.planes = planes

    def forward(self, value: Tensor) -> Tensor:
        """See the class."""
        channels, height, width = self.planes
        weight = self.weight.view(channels, -1, self.in_features).transpose(0, 1).reshape(-1, self.in_features)
        out = linear(value, weight, self.bias.view(channels, -1).t().reshape(-1))
        return out.view(-1, height, width, channels).permute(0, 3, 1, 2)


# --- products of patches ------------------------------------------------------------------------------------------


def patches(x: Tensor, stride: int) -> Tensor:
    """The 3×3 neighbourhoods, padded with 0, of ``x (batch, channel, h, w)``: ``(channel · 9, batch · positions)``.

    >>> patches(torch.ones(1, 1, 3, 3), 1).sum(0).int().view(3, 3).tolist()
    [[4, 6, 4], [6, 9, 6], [4, 6, 4]]
    """
    views = pad(x, (1, 1, 1, 1)).unfold(2, KERNEL, stride).unfold(3, KERNEL, stride)
    return views.permute(1, 4, 5, 0, 2, 3).reshape(x.shape[1] * KERNEL**2, -1)


def spread(taps: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """The adjoint of `patches`: ``taps (batch, channel, 3, 3, h, w)`` added up as a transposed convolution does.

    ``size``: the output's height and width, stride · (h − 1) + 1 or, with stride 2, one more.

    >>> spread(torch.ones(1, 1, 3, 3, 2, 2), (4, 4), 2).int()[0, 0].tolist()
    [[1, 2, 1, 1], [2, 4, 2, 2], [1, 2, 1, 1], [1, 2, 1, 1]]
    """
    rows = _along(taps.unbind(2), -2, stride)
    return _along(rows.unbind(2), -1, stride)[..., : size[0], : size[1]]


def _along(taps: Sequence[Tensor], dim: int, stride: int) -> Tensor:
    """One dimension of `spread`: place stride · i − 1 + k gets tap k of input i."""
    before, here, after = taps
    n = here.shape[dim]
    ahead = _padded(before.narrow(dim, 1, n - 1), dim, at_the_end=True)
    if stride == 1:
        return here + ahead + _padded(after.narrow(dim, 0, n - 1), dim, at_the_end=False)
    # Even places get the middle tap, odd ones the two others: written side by side, without a scatter.
    return torch.stack([here, ahead.add_(after)], dim).flatten(dim - 1, dim)


def _padded(x: Tensor, dim: int, *, at_the_end: bool) -> Tensor:
    """``x`` with one 0 more along ``dim`` (−1 or −2)."""
    one = (0, 1) if at_the_end else (1, 0)
    return pad(x, one if dim == -1 else (0, 0, *one))


class _PatchProduct(torch.autograd.Function):
    """A convolution of few channels: weights · patches."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        columns = patches(x, stride)
        height, width = ((side - 1) // stride + 1 for side in x.shape[2:])
        out = torch.addmm(bias, columns.t(), weight.flatten(1).t())
        ctx.save_for_backward(columns, weight, x if ctx.needs_input_grad[0] else None)
        ctx.stride = stride
        return out.view(len(x), height, width, len(weight)).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        columns, weight, x = ctx.saved_tensors
        rows = gradient.permute(0, 2, 3, 1).reshape(-1, len(weight))
        of_x = None
        if x is not None:
            of_x = conv2d_input(x.shape, weight, gradient, stride=ctx.stride, padding=1)  # type: ignore[no-untyped-call]
        return of_x, (columns @ rows).t().reshape(weight.shape), rows.sum(0), None


class _SpreadProduct(torch.autograd.Function):
    """A transposed convolution to few channels: weights · inputs, each product spread over its 3×3 places."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int, added: tuple[int, int]) -> Tensor:
        batch, channels = len(x), weight.shape[1]
        taps = torch.matmul(weight.flatten(1).t(), x.flatten(2))
        size = (x.shape[2] - 1) * stride + 1 + added[0], (x.shape[3] - 1) * stride + 1 + added[1]
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.added = stride, added
        return spread(taps.view(batch, channels, KERNEL, KERNEL, *x.shape[2:]), size, stride) + bias[:, None, None]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride = [ctx.stride, ctx.stride]
        # Backwards PyTorch's kernels are good at it, but for the bias.
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient, x, weight, [weight.shape[1]], stride, [1, 1], [1, 1], True, list(ctx.added), 1,
            [ctx.needs_input_grad[0], True, False],
        )  # fmt: skip
        return of_x, of_weight, gradient.sum((0, 2, 3)), None, None
