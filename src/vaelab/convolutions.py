"""3×3 convolutions, the same numbers as PyTorch's, computed the way that costs a CPU least.

Two things a library of convolutions leaves on the table for images (each gain is in docs/performance.md): a convolution
of one to three channels is a thin matrix product, for which its blocked kernels are the wrong tool; and the gradient of
the weights is one large matrix product once the patches are laid out, twice as fast as its own kernel. On other
devices, and under autocast, PyTorch's own are called.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, pad

from vaelab.layers import Gradients, Saved, differentiated, ours, run_all

FEW = 3  # channels: grey or colour images
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
        # With stride 1 the patches are nine times the image, so only those of a few channels are laid out.
        self.by_patches = inputs <= FEW or stride > 1

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return run_all(x, [(self, False)]) if self.by_patches and differentiated(x) else super().forward(x)

    def run(self, x: Tensor) -> tuple[Tensor, Saved]:
        """See `layers.Layer`."""
        if not self.by_patches:
            return conv2d(x, self.weight, self.bias, self.stride, 1), (x, self.weight)
        columns = patches(x, self.stride[0])
        out = torch.addmm(self.bias, columns, _matrix(self.weight).t())
        sides = ((side - 1) // self.stride[0] + 1 for side in x.shape[2:])
        return _planes(out, len(x), *sides), (columns, self.weight, x)

    def back(self, gradient: Tensor, saved: Saved, *, of_x: bool, of_own: bool) -> Gradients:
        """See `layers.Layer`."""
        if not self.by_patches:
            x, weight = saved
            return _pytorchs(gradient, x, weight, self, (of_x, of_own, of_own))
        columns, weight, x = saved
        below = _pytorchs(gradient, x, weight, self, (True, False, False))[0] if of_x else None
        if not of_own:
            return below, None, None
        rows = _rows(gradient)
        return below, _of_weight(rows, columns), rows.sum(0)


class ConvTransposed(nn.ConvTranspose2d):
    """A transposed 3×3 convolution with padding 1: ``(batch, inputs, h, w)`` → ``(batch, outputs, …)``.

    A side of n becomes (n − 1) · stride + 1 + ``padding`` (of the output, for height and width). Backwards it is a
    convolution: patches of the gradient.

    >>> layer = ConvTransposed(4, 1, stride=2, padding=(1, 1))
    >>> x = torch.rand(2, 4, 14, 14)
    >>> want = nn.functional.conv_transpose2d(x, layer.weight, layer.bias, 2, 1, 1)
    >>> torch.allclose(layer(x), want, atol=1e-6)
    True
    """

    bias: Tensor

    def __init__(self, inputs: int, outputs: int, stride: int, padding: tuple[int, int]) -> None:
        super().__init__(inputs, outputs, KERNEL, stride=stride, padding=1, output_padding=padding)
        self.by_patches = outputs <= FEW or stride > 1  # as in `Conv`, of the gradient

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """See the class; ``output_size`` is PyTorch's and not needed."""
        if output_size is not None or not ours(x):
            return super().forward(x, output_size)
        return run_all(x, [(self, False)]) if torch.is_grad_enabled() else self.run(x)[0]

    def run(self, x: Tensor) -> tuple[Tensor, Saved]:
        """See `layers.Layer`."""
        channels, stride, added = self.out_channels, self.stride[0], self.output_padding
        if channels <= FEW:  # each product spread over its 3×3 places
            taps = (_matrix(self.weight).t() @ _rows(x).t()).view(KERNEL, KERNEL, channels, len(x), *x.shape[2:])
            size = (x.shape[2] - 1) * stride + 1 + added[0], (x.shape[3] - 1) * stride + 1 + added[1]
            out = spread(taps, size, stride).transpose(0, 1)
        else:
            out = conv_transpose2d(x, self.weight, None, stride, 1, (added[0], added[1]))
        return out.add_(self.bias[:, None, None]), (x, self.weight)

    def back(self, gradient: Tensor, saved: Saved, *, of_x: bool, of_own: bool) -> Gradients:
        """See `layers.Layer`."""
        x, weight = saved
        bias = gradient.sum((0, 2, 3)) if of_own else None  # PyTorch's own kernel adds it up in a reference loop
        if not self.by_patches:
            below, of_weight, _ = _pytorchs(gradient, x, weight, self, (of_x, of_own, False))
            return below, of_weight, bias
        columns = patches(gradient, self.stride[0])
        below = _planes(columns @ _matrix(weight).t(), len(x), *x.shape[2:]) if of_x else None
        return below, _of_weight(_rows(x), columns) if of_own else None, bias


def _pytorchs(
    gradient: Tensor, x: Tensor, weight: Tensor, layer: Conv | ConvTransposed, wanted: tuple[bool, bool, bool]
) -> Gradients:
    """PyTorch's own gradients of x, weight and bias, those that are ``wanted``."""
    found: Gradients = torch.ops.aten.convolution_backward(
        gradient, x, weight, [layer.out_channels], layer.stride, [1, 1], [1, 1], isinstance(layer, ConvTransposed),
        layer.output_padding, 1, wanted,
    )  # fmt: skip
    return found


# --- products of patches ------------------------------------------------------------------------------------------


def patches(x: Tensor, stride: int) -> Tensor:
    """The 3×3 neighbourhoods, padded with 0, of ``x (batch, channel, h, w)``: ``(batch · positions, 9 · channel)``.

    A row has them in the order row of the neighbourhood, its column, channel. The few channels of an image are laid out
    the other way round in memory: long runs of one place are copied faster than runs of three numbers.

    >>> patches(torch.ones(1, 1, 3, 3), 1).sum(1).int().view(3, 3).tolist()
    [[4, 6, 4], [6, 9, 6], [4, 6, 4]]
    """
    batch, channels, *sides = x.shape
    padded = pad(x, (1, 1, 1, 1))
    each, channel, row, column = padded.stride()
    height, width = ((side - 1) // stride + 1 for side in sides)
    if channels <= FEW:
        size = (KERNEL, KERNEL, channels, batch, height, width)
        views = padded.as_strided(size, (row, column, channel, each, stride * row, stride * column))
        return views.reshape(channels * KERNEL**2, -1).t()
    size = (batch, height, width, KERNEL, KERNEL, channels)
    views = padded.as_strided(size, (each, stride * row, stride * column, row, column, channel))
    return views.reshape(-1, channels * KERNEL**2)


def spread(taps: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """The adjoint of `patches`: ``taps (3, 3, channel, batch, h, w)`` added up as a transposed convolution does.

    ``size``: the output's height and width, stride · (h − 1) + 1 or, with stride 2, one more. ``(channel, batch, …)``.

    >>> spread(torch.ones(3, 3, 1, 1, 2, 2), (4, 4), 2).int()[0, 0].tolist()
    [[1, 2, 1, 1], [2, 4, 2, 2], [1, 2, 1, 1], [1, 2, 1, 1]]
    """
    rows = _along(taps.unbind(0), -2, stride)
    return _along(rows.unbind(0), -1, stride)[..., : size[0], : size[1]]


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
    """``(batch, channel, h, w)`` → ``(batch · h · w, channel)``; nothing moves where channels lie last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _planes(rows: Tensor, batch: int, height: int, width: int) -> Tensor:
    """The inverse of `_rows`."""
    return rows.view(batch, height, width, rows.shape[1]).permute(0, 3, 1, 2)


def _matrix(weight: Tensor) -> Tensor:
    """``(a, b, 3, 3)`` → ``(a, 9 · b)``, in the order of `patches`."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def _of_weight(rows: Tensor, columns: Tensor) -> Tensor:
    """rowsᵀ · columns, as weights ``(a, b, 3, 3)``: the gradient of both kinds of convolution."""
    few = columns.shape[1] <= FEW * KERNEL**2
    product = (columns.t() @ rows).t() if few else rows.t() @ columns  # a thin result is found faster lying down
    return product.reshape(rows.shape[1], KERNEL, KERNEL, -1).permute(0, 3, 1, 2)
