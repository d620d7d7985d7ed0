"""The parts put together: shapes, conditions, determinism, and what is refused."""

from __future__ import annotations

import pytest
import torch

from vaelab.autoencoder import Autoencoder
from vaelab.building import Model, build_model
from vaelab.config import ModelConfig
from vaelab.errors import DataError
from vaelab.vae import VAE

X = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([2, 0, 1, 1])


def build(kind: str = "vae", **changes) -> Model:
    config = ModelConfig(
        kind=kind, latent=3, encoder="mlp:hidden=8", decoder="mlp:hidden=8", image_shape=(1, 8, 8), classes=3
    )
    return build_model(ModelConfig(**{**vars(config), **changes}))


@pytest.fixture(params=["vae", "autoencoder"])
def kind(request) -> str:
    return request.param


def test_kinds(kind):
    assert isinstance(build(kind), {"vae": VAE, "autoencoder": Autoencoder}[kind])
    assert build(kind).kind == kind


@pytest.mark.parametrize("conditional", [False, True])
def test_embeddings_and_reconstructions_have_no_randomness_and_no_graph(kind, conditional):
    model, c = build(kind, conditional=conditional), LABELS if conditional else None
    for result, shape in ((model.embed, (4, 3)), (model.reconstruct, (4, 1, 8, 8))):
        before = torch.get_rng_state()
        first, second = result(X, c), result(X, c)
        assert torch.equal(before, torch.get_rng_state())
        assert torch.equal(first, second)
        assert first.shape == shape
        assert not first.requires_grad


@pytest.mark.parametrize("condition", ["concat", "add"])
def test_importance_samples_are_decoded_as_one_by_one_with_their_own_labels(kind, condition):
    model = build(kind, conditional=True, condition=condition)
    z = torch.randn(5, 4, 3)
    together = model.decode(z, LABELS).log_prob(X)
    alone = torch.stack([model.decode(sample, LABELS).log_prob(X) for sample in z])
    torch.testing.assert_close(together, alone)


def test_samples_come_from_the_prior_and_the_class():
    model = build(conditional=True)
    assert isinstance(model, VAE)
    means = model.sample(4, LABELS, torch.Generator().manual_seed(0))
    again = model.sample(4, LABELS, torch.Generator().manual_seed(0))
    others = model.sample(4, (LABELS + 1) % 3, torch.Generator().manual_seed(0))
    draws = model.sample(4, LABELS, torch.Generator().manual_seed(0), draw=True)
    assert torch.equal(means, again)
    assert not torch.equal(means, others)
    assert means.shape == draws.shape == (4, 1, 8, 8)
    assert set(draws.flatten().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("conditional", [False, True])
def test_mixed_precision_leaves_the_bound_in_float32(kind, conditional):
    model, c = build(kind, conditional=conditional), LABELS if conditional else None
    with torch.autocast("cpu", torch.bfloat16):
        z = model.embed(X, c)
        assert z.dtype == torch.float32
        assert model.decode(z, c).log_prob(X).dtype == torch.float32


@pytest.mark.parametrize(
    ("conditional", "labels", "sentence"),
    [
        (False, LABELS, "this model has no condition, but labels were given"),
        (True, None, "expected one label in 0…2 for each image, got none"),
        (True, LABELS[:2], r"expected one label for each of 4 images, got a tensor of shape \(2,\)"),
        (True, LABELS[:, None], r"got a tensor of shape \(4, 1\)"),
        (True, LABELS + 1, "expected labels in 0…2, got 1…3"),
        (True, LABELS - 1, "expected labels in 0…2, got -1…1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(kind, conditional, labels, sentence):
    model = build(kind, conditional=conditional)
    with pytest.raises(DataError, match=sentence):
        model.encode(X, labels)
    with pytest.raises(DataError, match=sentence):
        model.decode(torch.zeros(4, 3), labels)
    if isinstance(model, VAE):
        with pytest.raises(DataError, match=sentence):
            model.pz(4, labels)


@pytest.mark.parametrize("shape", [(4, 1, 9, 8), (4, 3, 8, 8), (4, 8, 8), (1, 8, 8)])
def test_images_of_another_shape_are_refused(kind, shape):
    with pytest.raises(DataError, match=r"expected images of shape \(batch, 1, 8, 8\), got "):
        build(kind).encode(torch.zeros(shape))
