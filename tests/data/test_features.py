"""Rows of real numbers in the place of images."""

from __future__ import annotations

import pytest
import torch

from vaelab import build_model
from vaelab.config import ModelConfig, TrainingConfig
from vaelab.data import CORRUPTIONS, FeatureData, prepare, prepare_fixed
from vaelab.errors import DataError, UsageError
from vaelab.evaluation import evaluate_bounds
from vaelab.specs import Spec
from vaelab.training import fit

FLAT = {"encoder": "mlp:hidden=8/", "decoder": "mlp:hidden=8/", "likelihood": "normal:mean=identity"}


def rows(n=6, features=3, dtype=torch.float32):
    return torch.randn(n, 1, 1, features, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_are_taken_as_they_are(dtype):
    x = rows(dtype=dtype)
    assert prepare(x, "grey", torch.Generator()) is x
    assert prepare_fixed(x, "grey", 0) is x


def test_parts_of_it_are_of_its_kind():
    data = FeatureData("x", rows(), torch.arange(6) % 2, ("a", "b"))
    part = data.take(torch.tensor([4, 1])).to("cpu")
    assert isinstance(part, FeatureData)
    assert torch.equal(part.images, data.images[[4, 1]])
    assert part.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 1, 1, 3, dtype=torch.uint8), "floating-point"),
        (torch.zeros(2, 3), "shape"),
        (torch.zeros(0, 1, 1, 3), "n and features ≥ 1"),
        (torch.full((1, 1, 1, 1), torch.inf), "finite"),
    ],
)
def test_others_are_refused(images, message):
    with pytest.raises(DataError, match=message):
        FeatureData("x", images)


@pytest.mark.parametrize("features", [1, 3, 20])
def test_a_model_of_features_is_trained_and_scored(features):
    model = build_model(ModelConfig(image_shape=(1, 1, features), **FLAT))
    data = FeatureData("x", rows(6, features))
    fit(model, data, TrainingConfig(epochs=1, batch_size=3))
    single = evaluate_bounds(model, data, "grey").negative_elbo
    double = evaluate_bounds(model.double(), FeatureData("x", data.images.double()), "grey")
    # Another precision is other content, and so other noise; the KL has none.
    assert single.shape == (6,)
    torch.testing.assert_close(evaluate_bounds(model.float(), data, "grey").kl, double.kl, rtol=1e-5, atol=1e-6)


def test_networks_that_look_for_neighbours_need_images():
    for part in ("encoder", "decoder"):
        with pytest.raises(UsageError, match="at least 8×8"):
            build_model(ModelConfig(image_shape=(1, 1, 20), **{**FLAT, part: "conv"}))


def test_normal_noise_need_not_be_clipped():
    corrupt = CORRUPTIONS.build(Spec.parse("gaussian:std=2,clip=false"))
    x = torch.zeros(1000, 1, 1, 1)
    noisy = corrupt(x, torch.Generator().manual_seed(0))
    assert noisy.std() == pytest.approx(2, rel=0.1)
    assert noisy.min() < -2
