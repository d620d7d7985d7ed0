"""Label transfer: own labels in, every label out."""

from __future__ import annotations

import pytest
import torch

from tests.applications.latent_models import NAMES, SHAPE, model_of, noise
from vaelab.applications.transfer import transfer
from vaelab.data.images import ImageData
from vaelab.errors import DataError, UsageError


def test_every_label_at_the_mean_of_the_images_own():
    model, data = model_of(conditional=True), noise(5)
    images, x = transfer(model, data, "grey"), data.images.float() / 255
    with torch.no_grad():
        z = model.encode(x, data.labels).mean
        for label in range(3):
            expected = model.decode(z, torch.full((5,), label)).mean
            torch.testing.assert_close(images[:, label], expected, rtol=1e-5, atol=1e-6)
    own = images[torch.arange(5), data.labels]
    torch.testing.assert_close(own, model.reconstruct(x, data.labels), rtol=1e-5, atol=1e-6)
    assert not torch.equal(images[:, 0], images[:, 1])


@pytest.mark.parametrize("kind", ["vae", "autoencoder", "m2"])
@pytest.mark.parametrize("variant", ["grey", "dynamic"])
def test_an_image_is_the_same_whatever_is_beside_it(kind, variant):
    model, data = model_of(kind=kind, conditional=True), noise(7)
    whole, order = transfer(model, data, variant), torch.randperm(7)
    torch.testing.assert_close(
        transfer(model, data.take(order), variant, batch_size=2, memory=1), whole[order], rtol=1e-5, atol=1e-6
    )


def test_m2_takes_images_without_labels():
    model, data = model_of(kind="m2"), noise(4)
    inferred = ImageData("noise", data.images, model.likeliest(data.images.float() / 255), NAMES)
    torch.testing.assert_close(
        transfer(model, ImageData("bare", data.images), "grey"), transfer(model, inferred, "grey")
    )


def test_m1_m2_changes_the_label_of_z1():
    model = model_of(kind="m1+m2", latent=4, top="m2:latent=2,hidden=8,classifier=8")
    data = noise(4)
    images = transfer(model, data, "grey")
    with torch.no_grad():
        z = model.embed(data.images.float() / 255, data.labels)[:, 4:]
        expected = model.decode_top(z, torch.full((4,), 2)).mean
    torch.testing.assert_close(images[:, 2], expected, rtol=1e-5, atol=1e-6)
    assert not torch.equal(images[:, 0], images[:, 1])


def test_one_image_colour_and_constant_pixels():
    model = model_of(conditional=True, image_shape=(3, *SHAPE[1:]))
    flat = ImageData("flat", torch.full((1, 3, 8, 8), 7, dtype=torch.uint8), torch.tensor([1]), NAMES)
    images = transfer(model, flat, "grey")
    assert images.shape == (1, 3, 3, 8, 8)
    assert bool(((images >= 0) & (images <= 1)).all())


def test_models_without_condition_and_images_without_labels_are_refused():
    with pytest.raises(UsageError, match=r"^this model has no condition, .*; train a conditional one$"):
        transfer(model_of(), noise(2), "grey")
    with pytest.raises(DataError, match="needs a label for each image"):
        transfer(model_of(conditional=True), ImageData("bare", noise(2).images), "grey")
