"""Every layer gives PyTorch's own numbers and gradients, whatever the size, the stride and the layout."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, linear

from vaelab import convolutions
from vaelab.convolutions import Conv, ConvTransposed, patches, spread
from vaelab.layers import FEW, MANY, ONEDNN, ROW, FromPlanes, Linear, Relu, ToPlanes, apart, beside, blocks, through

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


def stack(channels: int, side: int, stride: int) -> list[nn.Module]:
    """An encoder and a decoder in a row, of every kind of layer, in float64."""
    half = -(-side // stride)
    quarter = -(-half // 2)
    added = [(after - (before - 1) * by - 1,) * 2 for before, after, by in ((quarter, half, 2), (half, side, stride))]
    layers: list[nn.Module] = [
        Conv(channels, 4, stride), nn.ReLU(), Conv(4, 5, 2), nn.ReLU(), FromPlanes((5, quarter, quarter), 6), nn.ReLU(),
        Linear(6, 3), ToPlanes(3, (5, quarter, quarter)), nn.ReLU(),
        ConvTransposed(5, 4, 2, added[0]), nn.ReLU(), ConvTransposed(4, channels, stride, added[1]),
    ]  # fmt: skip
    return [layer.double() for layer in layers]


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([3, 2 * ROW, 3 * ROW + 3]), st.sampled_from([1, 3, 4]), st.integers(2, 9),
    st.sampled_from([1, 2]), st.booleans(), st.integers(0, 12),
)  # fmt: skip
def test_layers_in_a_row(batch: int, channels: int, side: int, stride: int, of_x: bool, frozen: int) -> None:
    torch.manual_seed(0)
    layers = stack(channels, side, stride)
    if frozen < len(layers):  # no gradient is asked for these
        layers[frozen].requires_grad_(False)
    x = images(batch, channels, side, side, last=True).detach().requires_grad_(of_x)
    handle = layers[2].register_forward_hook(lambda *_: None)  # who listens gets the layers one by one
    expected = through(x, *layers)
    handle.remove()
    own = through(x, *layers)
    torch.testing.assert_close(own, expected, rtol=1e-9, atol=1e-9)
    inputs = [p for layer in layers for p in layer.parameters() if p.requires_grad] + ([x] if of_x else [])
    gradient = torch.randn(own.shape, dtype=own.dtype)
    before = gradient.clone()
    for ours, theirs in zip(
        torch.autograd.grad(own, inputs, gradient), torch.autograd.grad(expected, inputs, gradient), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    assert torch.equal(gradient, before)
    with torch.no_grad():
        torch.testing.assert_close(through(x, *layers), expected)


@pytest.mark.parametrize("batch", [1, 2 * ROW, MANY, MANY + 1])
def test_layers_in_a_row_in_float32(batch: int) -> None:
    """Where the library's float32 kernels are called, for few images and many."""
    torch.manual_seed(0)
    exact = stack(1, 12, 2)
    layers = [copy.deepcopy(layer).float() for layer in exact]
    x = images(batch, 1, 12, 12, last=False).detach()
    handle = exact[0].register_forward_hook(lambda *_: None)
    expected = through(x, *exact)
    handle.remove()
    own = through(x.float(), *layers)
    torch.testing.assert_close(own, expected.float(), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(through(x.float(), *layers), expected.float(), rtol=1e-4, atol=1e-5)
    for one, other in zip(
        torch.autograd.grad(own.sum(), [p for layer in layers for p in layer.parameters()]),
        torch.autograd.grad(expected.sum(), [p for layer in exact for p in layer.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(one, other.float(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("batch", [3, 2 * ROW])
def test_a_stack_that_ends_in_a_relu_leaves_the_gradient_as_it_is(batch: int) -> None:
    torch.manual_seed(0)
    layers = [Conv(1, 4, 2).double(), nn.ReLU(), Conv(4, 5, 2).double(), nn.ReLU()]
    x = images(batch, 1, 8, 8, last=False)
    own, expected = through(x, *layers), nn.Sequential(*layers)(x)
    gradient = torch.randn(own.shape, dtype=own.dtype)
    before = gradient.clone()
    inputs = [x, *(p for layer in layers for p in layer.parameters())]
    found, wanted = (torch.autograd.grad(out, inputs, gradient) for out in (own, expected))
    torch.testing.assert_close(found, wanted)
    assert torch.equal(gradient, before)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
def test_what_is_no_number_stays_no_number(number: float, grad: bool) -> None:
    """A ReLU within a library's convolution would make a 0 of it, and nobody would see that training has failed."""
    layers = [layer.float() for layer in stack(1, 12, 2)]
    x = torch.rand(2 * ROW, 1, 12, 12)
    x[3] = number
    with torch.set_grad_enabled(grad):
        out = through(x, *layers)
        assert bool(out[3].isnan().all())
        assert bool(out[:3].isfinite().all())
        for layer in (layers[2], layers[9]):  # convolutions of many channels
            changed = copy.deepcopy(layers)
            for found in changed[layers.index(layer)].parameters():
                found.data.view(-1)[0] = number
            assert torch.equal(through(x[:3], *changed).isnan(), nn.Sequential(*changed)(x[:3]).isnan())


def test_this_pytorch_does_a_convolution_and_its_relu_in_one_pass() -> None:
    if not ONEDNN:
        pytest.skip("PyTorch without oneDNN")
    convolutions.one_pass.cache_clear()
    assert convolutions.one_pass()


def test_a_pytorch_that_does_not_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> Tensor:
        raise AttributeError("no such operator")

    try:
        for broken in (gone, lambda x, weight, bias, arguments: torch.convolution(x, weight, bias, *arguments)):
            monkeypatch.setattr(convolutions, "_with_relu", broken)
            convolutions.one_pass.cache_clear()
            assert not convolutions.one_pass()
            layers = [layer.float() for layer in stack(1, 12, 2)]
            x = torch.rand(2 * ROW, 1, 12, 12)
            with torch.no_grad():
                torch.testing.assert_close(through(x, *layers), nn.Sequential(*layers)(x), rtol=1e-4, atol=1e-5)
    finally:
        convolutions.one_pass.cache_clear()


def test_images_side_by_side_know_nothing_of_each_other() -> None:
    layers, x = [layer.float() for layer in stack(1, 12, 2)], torch.rand(2 * ROW, 1, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(through(x, *layers)[5:6], through(x[5:6], *layers), rtol=1e-5, atol=1e-6)


@given(st.integers(0, 3000))
def test_a_batch_is_laid_in_equal_blocks(batch: int) -> None:
    count, each = blocks(batch)
    assert count * each == batch
    assert each == 1 or (count >= 2 and each >= ROW // 2)
    assert batch % ROW or batch < 2 * ROW or each == ROW


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 70), st.integers(1, 6), sizes, sizes, st.booleans(), st.booleans())
def test_beside_and_apart(batch: int, channels: int, height: int, width: int, last: bool, relu: bool) -> None:
    x = images(batch, channels, height, width, last).detach()
    there = beside(x.clone(), relu=Relu.EXACT if relu else Relu.NONE)
    count, each = blocks(batch)
    assert there.shape == (count, channels, height, width, each)
    assert torch.equal(apart(there), x.relu() if relu else x)
    if channels > FEW:  # as the library wants them
        assert there.is_contiguous(memory_format=torch.channels_last_3d)
    if batch:
        assert torch.equal(there[0, ..., 0], (x.relu() if relu else x)[0])


def test_a_layer_used_twice_gets_both_gradients() -> None:
    layer, x = Linear(3, 3).double(), torch.randn(4, 3).double()
    found = torch.autograd.grad(through(x, layer, nn.ReLU(), layer).sum(), layer.weight)
    expected = torch.autograd.grad(linear(layer(x).relu(), layer.weight, layer.bias).sum(), layer.weight)
    torch.testing.assert_close(found, expected)


def test_what_a_hook_has_seen_stays() -> None:
    layers = [Conv(1, 2), nn.ReLU()]
    seen: list[Tensor] = []
    layers[0].register_forward_hook(lambda module, given, out: seen.append(out))
    with torch.no_grad():
        through(torch.randn(2, 1, 5, 5), *layers)
    assert bool((seen[0] < 0).any())


def test_no_images_are_no_error() -> None:
    layers = [layer.float() for layer in stack(1, 8, 2)]
    out = through(torch.rand(0, 1, 8, 8), *layers)
    assert out.shape == (0, 1, 8, 8)
    out.sum().backward()


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), sizes, sizes)
def test_weights_counted_channel_by_channel_keep_their_meaning(channels: int, height: int, width: int) -> None:
    x, z = images(2, channels, height, width, last=True), torch.randn(2, 3).double()
    down, up = FromPlanes((channels, height, width), 5).double(), ToPlanes(3, (channels, height, width)).double()
    expected = linear(x.flatten(1), down.weight, down.bias), linear(z, up.weight, up.bias)
    down.from_channels_first()
    up.from_channels_first()
    torch.testing.assert_close(down(x), expected[0])
    torch.testing.assert_close(up(z).flatten(1), expected[1])


@settings(deadline=None, max_examples=20)
@given(sizes, sizes, st.sampled_from([1, 2]))
def test_spreading_is_the_adjoint_of_taking_patches(height: int, width: int, stride: int) -> None:
    for channels in (1, FEW):
        x = beside(images(4, channels, height, width, last=False).detach(), 2)
        columns = patches(x, stride)
        places = [(side - 1) // stride + 1 for side in (height, width)]
        taps = torch.randn(2, 3, 3, channels, *places, 2, dtype=torch.float64)
        back = spread(taps, (height, width), stride)
        torch.testing.assert_close((columns * taps.view(columns.shape)).sum(), (x * back).sum())


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
