"""−ELBO, reconstruction and KL against exact values."""

from __future__ import annotations

import pytest
import torch

from vaelab.data.images import ImageData
from vaelab.errors import DataError
from vaelab.evaluation import evaluate_bounds
from vaelab.evaluation.draws import BLOCK
from vaelab.objectives import draw
from vaelab.randomness import image_seeds, normal_per_image


def test_exact_posterior_with_monte_carlo_kl_gives_log_px(linear_gaussian, images):
    exact, data = linear_gaussian(), images(6)
    x = data.images.float() / 255
    noise = normal_per_image(image_seeds(x, 0, "z/0"), (BLOCK, 2))
    with torch.no_grad():
        weights = draw(exact.model, x, noise=noise).log_weights()
    torch.testing.assert_close(weights.double(), exact.log_px(data).expand(BLOCK, -1), rtol=1e-5, atol=1e-4)


def test_elbo_of_the_exact_posterior_is_log_px_within_its_error(linear_gaussian, images):
    exact, data, samples = linear_gaussian(), images(20), 400
    scores = evaluate_bounds(exact.model, data, "grey", samples=samples)
    # The closed-form KL leaves the reconstruction's own noise; over images and samples it averages out.
    single = evaluate_bounds(exact.model, data, "grey", samples=1).reconstruction - scores.reconstruction
    error = single.std() / samples**0.5
    assert ((-scores.negative_elbo - exact.log_px(data)).abs() < 5 * error).all()


def test_bound_lies_below_log_px(linear_gaussian, images):
    exact, data = linear_gaussian(shift=0.5), images(10)
    assert (-evaluate_bounds(exact.model, data, "grey", samples=200).negative_elbo < exact.log_px(data)).all()


def test_the_noise_is_the_images_own(small_model, images):
    model, data = small_model(), images(4)
    scores = evaluate_bounds(model, data, "grey", samples=3, seed=7)
    x = data.images.float() / 255
    noise = normal_per_image(image_seeds(x, 7, "z/0"), (BLOCK, 3))[:3]
    with torch.no_grad():
        drawn = draw(model, x, noise=noise)
    torch.testing.assert_close(scores.reconstruction, -drawn.log_px.mean(0).double(), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(scores.kl, drawn.kl.double(), rtol=1e-5, atol=1e-5)


def test_the_last_batch_weighs_no_more_than_its_images(small_model, images):
    model, data = small_model(), images(23)
    means = [evaluate_bounds(model, data, "grey", batch_size=size).negative_elbo.mean() for size in (5, 23)]
    torch.testing.assert_close(means[0], means[1], rtol=1e-6, atol=1e-5)


def test_labels_are_the_condition(small_model, images):
    model, data = small_model(conditional=True), images(6)
    shifted = ImageData(data.name, data.images, (data.labels + 1) % 3, data.class_names)
    first, second = (evaluate_bounds(model, d, "grey").negative_elbo for d in (data, shifted))
    assert (first != second).all()
    with pytest.raises(DataError, match="label"):
        evaluate_bounds(model, ImageData("bare", data.images), "grey")


def test_an_autoencoder_has_a_reconstruction_alone(small_model, images):
    model, data = small_model(kind="autoencoder"), images(5)
    scores = evaluate_bounds(model, data, "grey", batch_size=2)
    x = data.images.float() / 255
    with torch.no_grad():
        expected = -model.decode(model.encode(x)).log_prob(x)
    torch.testing.assert_close(scores.reconstruction, expected.double(), rtol=1e-5, atol=1e-5)
    assert scores.kl is None
    assert scores.negative_elbo is None


def test_scores_are_doubles_in_the_order_of_the_data(small_model, images):
    scores = evaluate_bounds(small_model(), images(9), "dynamic", batch_size=4)
    assert scores.negative_elbo.dtype == torch.float64
    assert scores.reconstruction.shape == scores.kl.shape == (9,)
    assert torch.equal(scores.negative_elbo, scores.reconstruction + scores.kl)
