"""What every encoder network must do. A new one adds a row."""

from __future__ import annotations

import pytest
import torch

from vaelab.nn import ENCODERS, NetworkShape
from vaelab.specs import Spec

ROWS = [
    "mlp:hidden=16/8",
    "linear",
    "conv:channels=4/6,strides=2/2,hidden=16",
    "conv:channels=4/4/6,strides=1/2/2,hidden=/",
    "residual:channels=4/8,blocks=1,hidden=16",
]


@pytest.fixture(params=ROWS)
def spec(request):
    return Spec.parse(request.param)


def test_every_encoder_has_a_row(assert_every_name_has_a_row):
    assert_every_name_has_a_row(ENCODERS, ROWS)


def test_features_have_the_announced_shape_for_any_image_size(spec, image_shape):
    encoder = ENCODERS.build(spec, NetworkShape(image_shape, latent=2))
    assert encoder(torch.rand(3, *image_shape), None).shape == (3, encoder.features)


@pytest.mark.parametrize("name", ENCODERS.names())
def test_the_defaults_take_the_smallest_image(name):
    encoder = ENCODERS.build(Spec(name), NetworkShape((3, 8, 8), latent=2))
    assert encoder(torch.rand(2, 3, 8, 8), None).shape == (2, encoder.features)


def test_another_condition_gives_other_features(spec, network_shape, conditioned):
    encoder = ENCODERS.build(spec, network_shape)
    x = torch.rand(4, *network_shape.image)
    same = torch.equal(encoder(x, conditioned(network_shape, 4)), encoder(x, conditioned(network_shape, 4, first=1)))
    assert same == (network_shape.classes == 0)


def test_gradients_reach_every_parameter(spec, network_shape, conditioned, assert_gradients_reach_every_parameter):
    encoder = ENCODERS.build(spec, network_shape)
    features = encoder(torch.rand(8, *network_shape.image), conditioned(network_shape, 8))
    if list(encoder.parameters()):
        assert_gradients_reach_every_parameter(encoder, features.square().sum())


def test_the_image_gets_a_gradient(spec, network_shape, conditioned):
    encoder = ENCODERS.build(spec, network_shape)
    x = torch.rand(4, *network_shape.image, requires_grad=True)
    encoder(x, conditioned(network_shape, 4)).square().sum().backward()
    assert (x.grad.flatten(1).abs().amax(1) > 0).all()


def test_an_image_is_independent_of_its_batch(spec, network_shape, conditioned):
    encoder = ENCODERS.build(spec, network_shape)
    x, c = torch.rand(7, *network_shape.image), conditioned(network_shape, 7)
    together = encoder(x, c)
    alone = torch.cat([encoder(x[i : i + 1], None if c is None else c[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_state_dict_round_trip(spec, network_shape, conditioned, assert_state_dict_round_trip):
    x, c = torch.rand(2, *network_shape.image), conditioned(network_shape, 2)
    assert_state_dict_round_trip(ENCODERS.build(spec, network_shape), lambda encoder: encoder(x, c))


@pytest.mark.parametrize("value", [0.0, 1.0, 1e6, -1e6])
def test_constant_images_give_finite_features(spec, network_shape, conditioned, value):
    encoder = ENCODERS.build(spec, network_shape)
    assert encoder(torch.full((2, *network_shape.image), value), conditioned(network_shape, 2)).isfinite().all()
