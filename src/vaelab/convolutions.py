"""3×3 convolutions, the same numbers as PyTorch's, computed the way that costs a CPU least.

A convolution of one to three channels is a thin matrix product, for which a library's blocked kernels are the wrong
tool: it is computed from the images' patches. Those of more channels are the library's, called with the images of a
batch side by side (`layers.beside`), since its kernels want long rows. What each is worth is in docs/performance.md. On
other devices, under autocast and without oneDNN, PyTorch's own layers are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from vaelab.layers import FEW, Gradients, Relu, Saved, activated, ours, run_all

KERNEL = 3


class Conv(nn.Conv2d):
    """A 3×3 convolution with padding 1: ``(batch, inputs, h, w)`` → ``(batch, outputs, ⌈h/stride⌉, ⌈w/stride⌉)``.

    >>> layer = Conv(1, 4, stride=2)
    >>> x = torch.rand(2, 1, 28, 28)
    >>> torch.allclose(layer(x), nn.functional.conv2d(x, layer.weight, layer.bias, 2, 1), atol=1e-6)
    True
    """

    bias: Tensor

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, KERNEL, stride=stride, padding=1)
        self.library = _Library(stride, False, (0, 0))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return run_all(x, [(self, False)]) if self.in_channels <= FEW and ours(x) else super().forward(x)

    def run(self, x: Tensor, relu: Relu) -> tuple[Tensor, Saved]:
        """See `layers.Layer`."""
        if self.in_channels > FEW:
            return _convolution(x, self, relu), (x, self.weight)
        columns = patches(x, self.stride[0])
        matrix = _matrix(self.weight).t()
        out = torch.baddbmm(self.bias, columns.transpose(1, 2), matrix.expand(len(x), -1, -1))
        height, width = ((side - 1) // self.stride[0] + 1 for side in x.shape[2:4])
        return _planes(activated(out, relu), height, width), (x, self.weight, columns)

    def back(self, gradient: Tensor, saved: Saved, *, of_x: bool, of_own: bool) -> Gradients:
        """See `layers.Layer`."""
        x, weight, *columns = saved
        of_bias = gradient.sum((0, 2, 3, 4)) if of_own else None
        if not columns:
            return *_gradients(gradient, x, weight, self, (of_x, of_own)), of_bias
        below = _gradients(gradient, x, weight, self, (True, False))[0] if of_x else None
        return below, _of_weight(columns[0], _rows(gradient)) if of_own else None, of_bias


class ConvTransposed(nn.ConvTranspose2d):
    """A transposed 3×3 convolution with padding 1: ``(batch, inputs, h, w)`` → ``(batch, outputs, …)``.

    A side of n becomes (n − 1) · stride + 1 + ``padding`` (of the output, for height and width).

    >>> layer = ConvTransposed(4, 1, stride=2, padding=(1, 1))
    >>> x = torch.rand(2, 4, 14, 14)
    >>> want = nn.functional.conv_transpose2d(x, layer.weight, layer.bias, 2, 1, 1)
    >>> torch.allclose(layer(x), want, atol=1e-6)
    True
    """

    bias: Tensor

    def __init__(self, inputs: int, outputs: int, stride: int, padding: tuple[int, int]) -> None:
        super().__init__(inputs, outputs, KERNEL, stride=stride, padding=1, output_padding=padding)
        self.library = _Library(stride, True, padding)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """See the class; ``output_size`` is PyTorch's and not needed."""
        if output_size is None and self.out_channels <= FEW and ours(x):
            return run_all(x, [(self, False)])
        return super().forward(x, output_size)

    def run(self, x: Tensor, relu: Relu) -> tuple[Tensor, Saved]:
        """See `layers.Layer`."""
        channels, stride = self.out_channels, self.stride[0]
        if channels > FEW:
            return _convolution(x, self, relu), (x, self.weight)
        blocks, _, *sides, images = x.shape  # each product is spread over its 3×3 places
        matrix = _matrix(self.weight).t().expand(blocks, -1, -1)
        taps = torch.bmm(matrix, _rows(x).transpose(1, 2)).view(blocks, KERNEL, KERNEL, channels, *sides, images)
        height, width = ((side - 1) * stride + 1 + more for side, more in zip(sides, self.output_padding, strict=True))
        out = spread(taps, (height, width), stride).add_(self.bias[:, None, None, None])
        return activated(out, relu), (x, self.weight)

    def back(self, gradient: Tensor, saved: Saved, *, of_x: bool, of_own: bool) -> Gradients:
        """See `layers.Layer`."""
        x, weight = saved
        of_bias = gradient.sum((0, 2, 3, 4)) if of_own else None  # the library adds it up in a reference loop
        if self.out_channels > FEW:
            return *_gradients(gradient, x, weight, self, (of_x, of_own)), of_bias
        columns = patches(gradient, self.stride[0])
        below = None
        if of_x:
            matrix = _matrix(weight).t().expand(len(x), -1, -1)
            below = _planes(torch.bmm(columns.transpose(1, 2), matrix), x.shape[2], x.shape[3])
        return below, _of_weight(columns, _rows(x)) if of_own else None, of_bias


# --- the library's convolutions ----------------------------------------------------------------------------------


Arguments = tuple[list[int], list[int], list[int], bool, list[int], int]
"""Stride, padding, dilation, whether transposed, output padding, groups."""


class _Library:
    """The library's arguments for images that lie `apart`, of two sides, and `beside` each other, of three."""

    def __init__(self, stride: int, transposed: bool, added: tuple[int, int]) -> None:
        self.apart: Arguments = ([stride, stride], [1, 1], [1, 1], transposed, [*added], 1)
        self.beside: Arguments = ([stride, stride, 1], [1, 1, 0], [1, 1, 1], transposed, [*added, 0], 1)


def _convolution(x: Tensor, layer: Conv | ConvTransposed, relu: Relu) -> Tensor:
    """The layer's output, images side by side: a three-dimensional convolution whose third side is the images."""
    beside = x.shape[-1] > 1
    x, weight = (x, layer.weight.unsqueeze(-1)) if beside else (x.squeeze(-1), layer.weight)
    arguments = layer.library.beside if beside else layer.library.apart
    if relu == Relu.OF_FINITE and x.dtype == weight.dtype == torch.float32 and one_pass():
        out = _with_relu(x, weight, layer.bias, arguments)
    else:
        out = activated(torch.convolution(x, weight, layer.bias, *arguments), relu)
    return out if beside else out.unsqueeze(-1)


def _with_relu(x: Tensor, weight: Tensor, bias: Tensor, arguments: Arguments) -> Tensor:
    """Convolution and ReLU in one pass, by the operator that `torch.compile` calls; NaN becomes 0. It is not public."""
    stride, padding, dilation, transposed, added, groups = arguments
    more: Any = (stride, dilation, groups, "relu", [], "")
    out: Tensor
    if transposed:
        out = torch.ops.mkldnn._convolution_transpose_pointwise(x, weight, bias, padding, added, *more)
    else:
        out = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, padding, *more)
    return out


@cache
def one_pass() -> bool:
    """Whether this PyTorch can do `_with_relu`, tried on two images: a version without it is only a little slower."""
    x, weight = (
        torch.ones(shape, dtype=torch.float32, device="cpu") for shape in ((2, 4, 5, 5), (4, 4, KERNEL, KERNEL))
    )
    bias = torch.linspace(-30, 30, 4, dtype=torch.float32, device="cpu")
    try:
        for transposed in (False, True):
            library = _Library(2, transposed, (0, 0))
            for given, kernel, arguments in (
                (x, -weight, library.apart),
                (x.unsqueeze(-1).expand(-1, -1, -1, -1, 2), -weight.unsqueeze(-1), library.beside),
            ):
                expected = torch.convolution(given, kernel, bias, *arguments).relu()
                if not torch.allclose(_with_relu(given, kernel, bias, arguments), expected):
                    return False
    except (AttributeError, RuntimeError):
        return False
    return True


def _gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, layer: Conv | ConvTransposed, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """The library's gradients of x and weight, those that are ``wanted``."""
    backward, mask = torch.ops.aten.convolution_backward, (*wanted, False)
    if x.shape[-1] > 1:
        found = backward(gradient, x, weight.unsqueeze(-1), None, *layer.library.beside, mask)
        return found[0], None if found[1] is None else found[1].squeeze(-1)
    found = backward(gradient.squeeze(-1), x.squeeze(-1), weight, None, *layer.library.apart, mask)
    return None if found[0] is None else found[0].unsqueeze(-1), found[1]


# --- products of patches ------------------------------------------------------------------------------------------


def patches(x: Tensor, stride: int) -> Tensor:
    """The 3×3 neighbourhoods, padded with 0, of ``x``: ``(block, 9 · channel, positions · image)``.

    They are in the order row of the neighbourhood, its column, channel.

    >>> patches(torch.ones(1, 1, 3, 3, 1), 1).sum((0, 1)).int().view(3, 3).tolist()
    [[4, 6, 4], [6, 9, 6], [4, 6, 4]]
    """
    blocks, channels, *sides, images = x.shape
    padded = pad(x, (0, 0, 1, 1, 1, 1))
    block, channel, row, column, image = padded.stride()
    height, width = ((side - 1) // stride + 1 for side in sides)
    views = padded.as_strided(
        (blocks, KERNEL, KERNEL, channels, height, width, images),
        (block, row, column, channel, stride * row, stride * column, image),
    )
    return views.reshape(blocks, KERNEL**2 * channels, height * width * images)


def spread(taps: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """The adjoint of `patches`: ``taps (block, 3, 3, channel, h, w, image)`` added up as a transposed convolution does.

    ``size``: the output's height and width, stride · (h − 1) + 1 or, with stride 2, one more.

    >>> spread(torch.ones(1, 3, 3, 1, 2, 2, 1), (4, 4), 2).int()[0, 0, ..., 0].tolist()
    [[1, 2, 1, 1], [2, 4, 2, 2], [1, 2, 1, 1], [1, 2, 1, 1]]
    """
    rows = _along(taps.unbind(1), -3, stride)
    return _along(rows.unbind(1), -2, stride)[..., : size[0], : size[1], :]


def _along(taps: Sequence[Tensor], dim: int, stride: int) -> Tensor:
    """One dimension of `spread`, counted from the end: place stride · i − 1 + k gets tap k of input i."""
    before, here, after = taps
    dim, n = here.dim() + dim, here.shape[dim]
    if stride == 1:
        out = here.clone()
        out.narrow(dim, 0, n - 1).add_(before.narrow(dim, 1, n - 1))
        out.narrow(dim, 1, n - 1).add_(after.narrow(dim, 0, n - 1))
        return out
    # Even places get the middle tap, odd ones the two others: every number is written once, where it belongs.
    out = here.new_empty(*here.shape[: dim + 1], 2, *here.shape[dim + 1 :])
    even, odd = out.unbind(dim + 1)
    even.copy_(here)
    torch.add(before.narrow(dim, 1, n - 1), after.narrow(dim, 0, n - 1), out=odd.narrow(dim, 0, n - 1))
    odd.narrow(dim, n - 1, 1).copy_(after.narrow(dim, n - 1, 1))
    return out.flatten(dim, dim + 1)


def _rows(x: Tensor) -> Tensor:
    """``(block, channel, h, w, image)`` → ``(block, h · w · image, channel)``; channels that lie last stay there."""
    return x.permute(0, 2, 3, 4, 1).flatten(1, 3)


def _planes(rows: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `_rows`."""
    return torch.unflatten(rows, 1, (height, width, rows.shape[1] // (height * width))).permute(0, 4, 1, 2, 3)


def _matrix(weight: Tensor) -> Tensor:
    """``(a, b, 3, 3)`` → ``(a, 9 · b)``, in the order of `patches`."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def _of_weight(columns: Tensor, rows: Tensor) -> Tensor:
    """Patches times rows, as weights ``(a, b, 3, 3)``: the gradient of both kinds of convolution."""
    return torch.bmm(columns, rows).sum(0).view(KERNEL, KERNEL, -1, rows.shape[2]).permute(3, 2, 0, 1)
