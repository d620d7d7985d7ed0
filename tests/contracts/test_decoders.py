"""What every decoder network must do. A new one adds a row."""

from __future__ import annotations

import pytest
import torch

from vaelab.nn import DECODERS, NetworkShape
from vaelab.specs import Spec

ROWS = [
    "mlp:hidden=8/16",
    "linear",
    "conv:channels=6/4,strides=2/2",
    "conv:channels=6/4/4,strides=2/2/1,hidden=16/12",
    "residual:channels=8/4,blocks=1,hidden=16",
]


@pytest.fixture(params=ROWS)
def spec(request):
    return Spec.parse(request.param)


def test_every_decoder_has_a_row(assert_every_name_has_a_row):
    assert_every_name_has_a_row(DECODERS, ROWS)


def test_the_output_has_exactly_the_image_size_and_the_asked_channels(spec, image_shape):
    outputs = 2 * image_shape[0]
    decoder = DECODERS.build(spec, NetworkShape(image_shape, latent=3, outputs=outputs))
    assert decoder(torch.randn(4, 3), None).shape == (4, outputs, *image_shape[1:])


@pytest.mark.parametrize("size", [(8, 8), (8, 11), (15, 16), (17, 10)])
def test_three_halvings_of_any_size_are_undone(size):
    shape = NetworkShape((1, *size), latent=2)
    for spec in ("conv:channels=4/4/4,strides=2/2/2", "residual:channels=4/4/4"):
        assert DECODERS.build(Spec.parse(spec), shape)(torch.randn(1, 2), None).shape == (1, 1, *size)


def test_another_condition_gives_another_image(spec, network_shape, conditioned):
    decoder = DECODERS.build(spec, network_shape)
    z = torch.randn(4, network_shape.latent)
    same = torch.equal(decoder(z, conditioned(network_shape, 4)), decoder(z, conditioned(network_shape, 4, first=1)))
    assert same == (network_shape.classes == 0)


def test_gradients_reach_every_parameter(spec, network_shape, conditioned, assert_gradients_reach_every_parameter):
    decoder = DECODERS.build(spec, network_shape)
    output = decoder(torch.randn(8, network_shape.latent), conditioned(network_shape, 8))
    assert_gradients_reach_every_parameter(decoder, output.square().sum())


def test_every_latent_dimension_gets_a_gradient(spec, network_shape, conditioned):
    decoder = DECODERS.build(spec, network_shape)
    z = torch.randn(8, network_shape.latent, requires_grad=True)
    decoder(z, conditioned(network_shape, 8)).square().sum().backward()
    assert (z.grad.abs().amax(0) > 0).all()


def test_an_image_is_independent_of_its_batch(spec, network_shape, conditioned):
    decoder = DECODERS.build(spec, network_shape)
    z, c = torch.randn(7, network_shape.latent), conditioned(network_shape, 7)
    together = decoder(z, c)
    alone = torch.cat([decoder(z[i : i + 1], None if c is None else c[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_state_dict_round_trip(spec, network_shape, conditioned, assert_state_dict_round_trip):
    z, c = torch.randn(2, network_shape.latent), conditioned(network_shape, 2)
    assert_state_dict_round_trip(DECODERS.build(spec, network_shape), lambda decoder: decoder(z, c))


@pytest.mark.parametrize("value", [0.0, 1e6, -1e6])
def test_extreme_latents_give_finite_images(spec, network_shape, conditioned, value):
    decoder = DECODERS.build(spec, network_shape)
    assert decoder(torch.full((2, network_shape.latent), value), conditioned(network_shape, 2)).isfinite().all()
