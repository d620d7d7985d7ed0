"""Every layer gives PyTorch's own numbers and gradients, whatever the size, the stride and the layout."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, linear

from vaelab.convolutions import FEW, Conv, ConvTransposed, patches, spread
from vaelab.layers import FromPlanes, ToPlanes

sizes = st.integers(1, 9)


def compare(layer: nn.Module, own: Tensor, reference: Tensor, x: Tensor) -> None:
    """Same output; same gradients of input and parameters for a random gradient of the output."""
    torch.testing.assert_close(own, reference, rtol=1e-9, atol=1e-9)
    inputs = [x, *layer.parameters()]
    gradient = torch.randn(own.shape, dtype=own.dtype)
    for ours, theirs in zip(
        torch.autograd.grad(own, inputs, gradient), torch.autograd.grad(reference, inputs, gradient), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def images(batch: int, channels: int, height: int, width: int, last: bool) -> Tensor:
    torch.manual_seed(0)
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.randn(batch, channels, height, width).double().contiguous(memory_format=layout).requires_grad_()


@settings(deadline=None, max_examples=40)
@given(sizes, sizes, st.integers(1, 4), st.integers(1, 5), st.sampled_from([1, 2]), st.booleans())
def test_a_convolution(height: int, width: int, inputs: int, outputs: int, stride: int, last: bool) -> None:
    x = images(3, inputs, height, width, last)
    layer = Conv(inputs, outputs, stride).double()
    want = conv2d(x, layer.weight, layer.bias, stride, 1)
    compare(layer, layer(x), want, x)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), want)


@settings(deadline=None, max_examples=40)
@given(sizes, sizes, st.integers(1, 5), st.integers(1, 4), st.sampled_from([1, 2]), st.booleans(), st.data())
def test_a_transposed_convolution(
    height: int, width: int, inputs: int, outputs: int, stride: int, last: bool, data: st.DataObject
) -> None:
    padding = (data.draw(st.integers(0, stride - 1)), data.draw(st.integers(0, stride - 1)))
    x = images(2, inputs, height, width, last)
    layer = ConvTransposed(inputs, outputs, stride, padding).double()
    compare(layer, layer(x), conv_transpose2d(x, layer.weight, layer.bias, stride, 1, padding), x)


@settings(deadline=None, max_examples=20)
@given(sizes, sizes, st.integers(1, 4), st.booleans())
def test_between_planes_and_vectors(height: int, width: int, channels: int, last: bool) -> None:
    x = images(2, channels, height, width, last)
    layer = FromPlanes((channels, height, width), 5).double()
    compare(layer, layer(x), linear(x.permute(0, 2, 3, 1).flatten(1), layer.weight, layer.bias), x)
    z = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    back = ToPlanes(3, (channels, height, width)).double()
    want = linear(z, back.weight, back.bias).unflatten(1, (height, width, channels)).permute(0, 3, 1, 2)
    compare(back, back(z), want, z)


@settings(deadline=None, max_examples=20)
@given(sizes, sizes, st.sampled_from([1, 2]))
def test_spreading_is_the_adjoint_of_taking_patches(height: int, width: int, stride: int) -> None:
    for channels in (1, FEW + 1):  # laid out in two ways
        x = images(2, channels, height, width, last=False).detach()
        columns = patches(x, stride)
        places = [(side - 1) // stride + 1 for side in (height, width)]
        taps = torch.randn(3, 3, channels, 2, *places, dtype=torch.float64)
        back = spread(taps, (height, width), stride).transpose(0, 1)
        rows = taps.permute(3, 4, 5, 0, 1, 2).reshape(columns.shape)
        torch.testing.assert_close((columns * rows).sum(), (x * back).sum())


def test_under_autocast_pytorch_is_left_to_it() -> None:
    x, layer, back = torch.rand(2, 1, 8, 8), Conv(1, 4, 2), ConvTransposed(4, 1, 2, (1, 1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = back(layer(x))
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in [*layer.parameters(), *back.parameters()] if p.grad is not None)


@pytest.mark.parametrize("channels", [1, FEW, FEW + 1])
def test_an_image_does_not_depend_on_its_batch(channels: int) -> None:
    layer = ConvTransposed(8, channels, 2, (1, 1))
    x = torch.randn(6, 8, 7, 7)
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[2:3], layer(x[2:3]), rtol=1e-6, atol=1e-6)


def test_weights_keep_the_names_and_shapes_of_pytorch() -> None:
    own = [Conv(2, 4, 2), ConvTransposed(4, 2, 2, (1, 1)), FromPlanes((4, 2, 2), 3), ToPlanes(3, (4, 2, 2))]
    theirs = [nn.Conv2d(2, 4, 3), nn.ConvTranspose2d(4, 2, 3), nn.Linear(16, 3), nn.Linear(3, 16)]
    for one, other in zip(own, theirs, strict=True):
        assert {k: v.shape for k, v in one.state_dict().items()} == {k: v.shape for k, v in other.state_dict().items()}
