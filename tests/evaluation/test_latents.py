"""Posterior statistics, embeddings, KL per dimension, active units."""

from __future__ import annotations

import torch

from vaelab.evaluation import (
    PosteriorStatistics,
    active_units,
    embed,
    evaluate_bounds,
    kl_per_dimension,
    posterior_statistics,
)


def test_statistics_are_the_encoders(small_model, images):
    model, data = small_model(conditional=True), images(11)
    statistics = posterior_statistics(model, data, "grey", batch_size=4)
    with torch.no_grad():
        qz = model.encode(data.images.float() / 255, data.labels)
    torch.testing.assert_close(statistics.means, qz.mean)
    torch.testing.assert_close(statistics.log_stds, qz.log_std)


def test_kl_of_the_dimensions_sums_to_the_kl(small_model, images):
    model, data = small_model(), images(9)
    statistics = posterior_statistics(model, data, "grey")
    torch.testing.assert_close(statistics.kl.sum(1), evaluate_bounds(model, data, "grey").kl)
    torch.testing.assert_close(kl_per_dimension(statistics), statistics.kl.mean(0))


def test_a_mixture_prior_has_no_kl_per_dimension(small_model, images):
    statistics = posterior_statistics(small_model(prior="mixture"), images(4), "grey")
    assert statistics.kl is None
    assert kl_per_dimension(statistics) is None


def test_embeddings_are_posterior_means_or_codes(small_model, images):
    data = images(7)
    x = data.images.float() / 255
    for kind in ("vae", "autoencoder"):
        model = small_model(kind=kind)
        torch.testing.assert_close(embed(model, data, "grey", batch_size=3), model.embed(x))
    assert posterior_statistics(model, data, "grey").log_stds is None


def test_active_units_hand_case():
    # Variances of the means over three images: 2/3, 0.0096, 0.0104.
    means = torch.tensor([[-1.0, -0.12, -0.125], [0.0, 0.0, 0.0], [1.0, 0.12, 0.125]])
    assert active_units(means) == 2
    assert active_units(means, threshold=0.5) == 1
    assert active_units(torch.full((4, 2), 7.0)) == 0


def test_kl_per_dimension_hand_case():
    kl = torch.tensor([[1.0, 0.0], [3.0, 0.5]])
    assert kl_per_dimension(PosteriorStatistics(torch.zeros(2, 2), torch.zeros(2, 2), kl)).tolist() == [2.0, 0.25]
