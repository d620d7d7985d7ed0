"""Networks: tensors → tensors, no probability.

An encoder maps images ``(batch, channel, height, width)`` to features ``(batch, features)``; a decoder maps latents
``(batch, latent)`` to ``(batch, outputs, height, width)``, unbounded. Both take an optional condition, one-hot
``(batch, classes)``, in one of two ways: ``concat`` (beside the input: constant planes for an image) or ``add`` (a
linear layer of its own, added to the output of the first layer). Any image size ≥ 8 works.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Protocol

import torch
from torch import Tensor, nn

from vaelab.convolutions import Conv, ConvTransposed
from vaelab.layers import FromPlanes, Linear, ToPlanes, through
from vaelab.specs import Registry


@dataclass(frozen=True)
class NetworkShape:
    """What a network is built for: the image's shape, the latent size, the condition, the decoder's output channels."""

    image: tuple[int, int, int]
    latent: int
    classes: int = 0
    condition: str = "concat"
    outputs: int = 1

    @property
    def concatenated(self) -> int:
        """Entries that the condition adds beside an input."""
        return self.classes if self.condition == "concat" else 0

    @property
    def added(self) -> int:
        """Entries of a condition that goes through a linear layer of its own."""
        return self.classes if self.condition == "add" else 0


class Encoder(Protocol):
    """An `nn.Module` with the number of its ``features``."""

    features: int

    def __call__(self, x: Tensor, c: Tensor | None) -> Tensor:
        """``x (batch, channel, height, width)``, ``c (batch, classes)`` → ``(batch, features)``."""
        ...


RELU = nn.ReLU()  # made once: a module costs more to make than a small batch's ReLU to compute
ENCODERS: Registry[nn.Module] = Registry("encoder")
DECODERS: Registry[nn.Module] = Registry("decoder")


def _positive(name: str, values: Sequence[int]) -> None:
    if any(not isinstance(value, int) or isinstance(value, bool) or value < 1 for value in values):
        raise ValueError(f"expected {name} to be whole numbers ≥ 1, got {'/'.join(map(str, values))}")


Size = int | tuple[int, int, int]  # of a vector, or of planes (channel, height, width)


def _linear(before: Size, after: Size) -> nn.Linear:
    """A linear layer between vectors and planes."""
    if isinstance(before, tuple):
        assert isinstance(after, int)
        return FromPlanes(before, after)
    return Linear(before, after) if isinstance(after, int) else ToPlanes(before, after)


def _linear_stack(sizes: Sequence[Size], activate_last: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(sizes), start=1):
        layers.append(_linear(before, after))
        if activate_last or number < len(sizes) - 1:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def _planes(x: Tensor, c: Tensor) -> Tensor:
    """The one-hot condition as constant planes beside the image's channels."""
    return torch.cat([x, c[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)


class FirstLinear(nn.Module):
    """A linear layer that takes the condition, concatenated to its input or through a layer of its own."""

    def __init__(self, inputs: int, outputs: Size, shape: NetworkShape) -> None:
        super().__init__()
        self.concatenated = shape.concatenated
        self.linear = _linear(inputs + shape.concatenated, outputs)
        self.condition = _linear(shape.added, outputs) if shape.added else None

    def forward(self, value: Tensor, c: Tensor | None, rest: Iterable[nn.Module] = ()) -> Tensor:
        """``(batch, inputs)`` → ``(batch, outputs)``, or planes; then through the ``rest`` of the layers."""
        if self.concatenated and c is not None:
            value = torch.cat([value, c], dim=1)
        if self.condition is None or c is None:
            return through(value, self.linear, *rest)
        return through(self.linear(value) + self.condition(c), *rest)


class FirstConv(nn.Module):
    """A convolution that takes the condition, as planes or through a linear layer added to its output."""

    def __init__(self, shape: NetworkShape, channels: int, stride: int) -> None:
        super().__init__()
        self.concatenated = shape.concatenated
        self.conv = Conv(shape.image[0] + shape.concatenated, channels, stride)
        height, width = (-(-side // stride) for side in shape.image[1:])
        self.out_shape = (channels, height, width)
        self.condition = ToPlanes(shape.added, self.out_shape) if shape.added else None

    def forward(self, x: Tensor, c: Tensor | None, rest: Iterable[nn.Module] = ()) -> Tensor:
        """``(batch, channel, height, width)`` → ``(batch, *out_shape)``; then through the ``rest`` of the layers."""
        if self.concatenated and c is not None:
            x = _planes(x, c)
        if self.condition is None or c is None:
            return through(x, self.conv, *rest)
        return through(self.conv(x) + self.condition(c), *rest)


@ENCODERS.register("mlp")
class MLPEncoder(nn.Module):
    """Flatten, then linear layers with ReLU."""

    def __init__(self, shape: NetworkShape, *, hidden: tuple[int, ...] = (512, 256)) -> None:
        super().__init__()
        _positive("hidden", hidden)
        if not hidden:
            raise ValueError("expected at least one hidden layer, got none")
        self.first = FirstLinear(prod(shape.image), hidden[0], shape)
        self.rest = _linear_stack(hidden, activate_last=True)
        self.features = hidden[-1]

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """See `Encoder`."""
        return self.first(x.flatten(1), c, (RELU, *self.rest))  # type: ignore[no-any-return]


@ENCODERS.register("linear")
class LinearEncoder(nn.Module):
    """Flatten and nothing else: with linear heads and decoder, the VAE whose optimum is probabilistic PCA."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.features = prod(shape.image) + shape.classes

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """See `Encoder`."""
        return x.flatten(1) if c is None else torch.cat([x.flatten(1), c], dim=1)


@ENCODERS.register("conv")
class ConvEncoder(nn.Module):
    """3×3 convolutions with ReLU, flatten, linear layers with ReLU. The defaults are sheet C's encoder (C1)."""

    def __init__(
        self,
        shape: NetworkShape,
        *,
        channels: tuple[int, ...] = (32, 64),
        strides: tuple[int, ...] = (2, 2),
        hidden: tuple[int, ...] = (16,),
    ) -> None:
        super().__init__()
        _check_convolutions(channels, strides)
        _positive("hidden", hidden)
        self.first = FirstConv(shape, channels[0], strides[0])
        layers: list[nn.Module] = [nn.ReLU()]
        for before, after, stride in zip(channels, channels[1:], strides[1:], strict=False):
            layers += [Conv(before, after, stride), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        planes = (channels[-1], *_sizes(shape.image[1:], strides)[-1])
        self.linear = _linear_stack((planes, *hidden), activate_last=True)
        self.features = hidden[-1] if hidden else prod(planes)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """See `Encoder`."""
        out: Tensor = self.first(x, c, (*self.convolutions, *self.linear))
        return out.flatten(1)


def _check_convolutions(channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
    _positive("channels", channels)
    _positive("strides", strides)
    if not channels or len(channels) != len(strides):
        raise ValueError(f"expected one stride for each of the channels, got {len(channels)} and {len(strides)}")
    if any(stride > 2 for stride in strides):
        raise ValueError(f"expected strides of 1 or 2, got {'/'.join(map(str, strides))}")


def _sizes(size: tuple[int, int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """The image's size before and after each stride (padding 1, kernel 3: halves are rounded up)."""
    sizes = [size]
    for stride in strides:
        height, width = sizes[-1]
        sizes.append((-(-height // stride), -(-width // stride)))
    return sizes


@DECODERS.register("mlp")
class MLPDecoder(nn.Module):
    """Linear layers with ReLU, the last one without, as an image."""

    def __init__(self, shape: NetworkShape, *, hidden: tuple[int, ...] = (256, 512)) -> None:
        super().__init__()
        _positive("hidden", hidden)
        self.out_shape = (shape.outputs, *shape.image[1:])
        sizes = (*hidden, prod(self.out_shape))
        self.first = FirstLinear(shape.latent, sizes[0], shape)
        self.rest = nn.Sequential(*([nn.ReLU(), *_linear_stack(sizes, activate_last=False)] if hidden else []))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """``(batch, latent)`` → ``(batch, outputs, height, width)``."""
        return torch.unflatten(self.first(z, c, self.rest), 1, self.out_shape)


@DECODERS.register("linear")
class LinearDecoder(MLPDecoder):
    """One linear layer: the decoder of probabilistic PCA."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__(shape, hidden=())


@DECODERS.register("conv")
class ConvDecoder(nn.Module):
    """Linear layers, then 3×3 transposed convolutions; the mirror of `ConvEncoder`. The defaults are sheet C's decoder.

    ``channels`` and ``strides`` are in the order of the layers: the first is what the last linear layer is shaped to.
    """

    def __init__(
        self,
        shape: NetworkShape,
        *,
        channels: tuple[int, ...] = (64, 32),
        strides: tuple[int, ...] = (2, 2),
        hidden: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        _check_convolutions(channels, strides)
        _positive("hidden", hidden)
        sizes = _sizes(shape.image[1:], strides[::-1])[::-1]
        linear: tuple[Size, ...] = (*hidden, (channels[0], *sizes[0]))
        self.first = FirstLinear(shape.latent, linear[0], shape)
        self.linear = nn.Sequential(nn.ReLU(), *_linear_stack(linear, activate_last=True))
        layers: list[nn.Module] = []
        widths = (*channels, shape.outputs)
        for number, (before, after, stride) in enumerate(zip(widths, widths[1:], strides, strict=False)):
            # Output padding makes the size exactly the mirrored encoder's, even or odd.
            (height, width), (height_after, width_after) = sizes[number : number + 2]
            padding = (height_after - (height - 1) * stride - 1, width_after - (width - 1) * stride - 1)
            layers += [ConvTransposed(before, after, stride, padding), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers[:-1])

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """``(batch, latent)`` → ``(batch, outputs, height, width)``."""
        out: Tensor = self.first(z, c, (*self.linear, *self.convolutions))
        return out


def _groups(channels: int) -> int:
    """Up to 8 groups of at least four channels each, so that a group has something to vary even in a 1×1 plane."""
    return next(groups for groups in (8, 4, 2, 1) if groups == 1 or (channels % groups == 0 and channels >= 4 * groups))


def _check_residual(channels: tuple[int, ...], blocks: int, hidden: int) -> None:
    _positive("channels", channels)
    _positive("blocks and hidden", (blocks, hidden))
    if not channels or min(channels) < 2:
        raise ValueError(f"expected channels to be whole numbers ≥ 2, got {'/'.join(map(str, channels)) or 'none'}")


class ResidualBlock(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))). Group norm, not batch norm: an image's result is its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [
                nn.GroupNorm(_groups(channels), channels),
                nn.SiLU(),
                Conv(channels, channels),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        out: Tensor = x + self.layers(x)
        return out


@ENCODERS.register("residual")
class ResidualEncoder(nn.Module):
    """A stem, then for each entry of ``channels`` a halving convolution and ``blocks`` residual blocks."""

    def __init__(
        self, shape: NetworkShape, *, channels: tuple[int, ...] = (32, 64), blocks: int = 1, hidden: int = 128
    ) -> None:
        super().__init__()
        _check_residual(channels, blocks, hidden)
        self.first = FirstConv(shape, channels[0], 1)
        layers: list[nn.Module] = []
        for before, after in zip((channels[0], *channels), channels, strict=False):
            layers.append(Conv(before, after, 2))
            layers += [ResidualBlock(after) for _ in range(blocks)]
        layers += [nn.GroupNorm(_groups(channels[-1]), channels[-1]), nn.SiLU()]
        self.blocks = nn.Sequential(*layers)
        planes = (channels[-1], *_sizes(shape.image[1:], [2] * len(channels))[-1])
        self.linear = nn.Sequential(FromPlanes(planes, hidden), nn.SiLU())
        self.features = hidden

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """See `Encoder`."""
        out: Tensor = self.linear(self.blocks(self.first(x, c)))
        return out


@DECODERS.register("residual")
class ResidualDecoder(nn.Module):
    """The mirror of `ResidualEncoder`: nearest-neighbour upsampling to the exact size, then convolutions."""

    def __init__(
        self, shape: NetworkShape, *, channels: tuple[int, ...] = (64, 32), blocks: int = 1, hidden: int = 128
    ) -> None:
        super().__init__()
        _check_residual(channels, blocks, hidden)
        sizes = _sizes(shape.image[1:], [2] * len(channels))[::-1]
        self.first = FirstLinear(shape.latent, hidden, shape)
        self.linear = nn.Sequential(nn.SiLU(), ToPlanes(hidden, (channels[0], *sizes[0])))
        layers: list[nn.Module] = []
        for before, after, size in zip(channels, (*channels[1:], channels[-1]), sizes[1:], strict=True):
            layers += [ResidualBlock(before) for _ in range(blocks)]
            layers += [nn.Upsample(size=size), Conv(before, after)]
        layers += [nn.GroupNorm(_groups(channels[-1]), channels[-1]), nn.SiLU()]
        self.blocks = nn.Sequential(*layers, Conv(channels[-1], shape.outputs))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """``(batch, latent)`` → ``(batch, outputs, height, width)``."""
        out: Tensor = self.blocks(self.linear(self.first(z, c)))
        return out
