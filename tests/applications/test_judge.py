"""The judge of samples: learns classes, says how sure it is, comes back from arrays, refuses what does not fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from vaelab.applications.judge import Judge, confident_share, judge_quality, train_judge
from vaelab.data.images import ImageData
from vaelab.errors import CheckpointError, DataError, UsageError


def halves(n: int, seed: int = 0, channels: int = 1) -> ImageData:
    """Images whose upper (class 0) or lower (class 1) half is bright."""
    source = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    images = torch.randint(100, (n, channels, 8, 8), dtype=torch.uint8, generator=source)
    for image, label in zip(images, labels, strict=True):
        image[:, 4 * int(label) : 4 * int(label) + 4] += 100
    return ImageData("halves", images, labels, ("upper", "lower"))


@pytest.fixture(scope="module")
def judge() -> Judge:
    return train_judge(halves(200), steps=40)


def test_tells_classes_and_is_sure_of_them(judge):
    test = halves(100, seed=1)
    found = judge_quality(judge, test)
    assert found["judge_accuracy"].value == 1.0
    assert found["judge_confident"].value > 0.95
    assert found["judge_confidence"].value > 0.95
    assert found["judge_calibration_error"].value < 0.05
    assert {metric.n for metric in found.values()} == {100}
    assert "test split" in found["judge_accuracy"].protocol
    probabilities = judge.probabilities(test.images)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(100, dtype=torch.float64))


def test_floats_and_levels_are_read_alike_and_one_by_one(judge):
    images = halves(7, seed=2).images
    whole = judge.log_probabilities(images)
    torch.testing.assert_close(judge.log_probabilities(images.float() / 255), whole)
    # One by one the network multiplies other matrices: equal to float32's rounding, not to its last digit.
    one_by_one = torch.cat([judge.log_probabilities(image[None]) for image in images])
    torch.testing.assert_close(one_by_one, whole, rtol=1e-6, atol=1e-5)


def test_same_seed_same_judge_whatever_torch_drew_before(judge):
    torch.randn(3)
    state = torch.random.get_rng_state()
    again, other = train_judge(halves(200), steps=40), train_judge(halves(200), steps=40, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    images = halves(10, seed=3).images
    assert torch.equal(judge.log_probabilities(images), again.log_probabilities(images))
    assert not torch.equal(judge.log_probabilities(images), other.log_probabilities(images))


def test_comes_back_from_a_file_without_pickle(judge, tmp_path):
    np.savez(tmp_path / "judge.npz", **judge.arrays())
    with np.load(tmp_path / "judge.npz", allow_pickle=False) as found:
        again = Judge.from_arrays(dict(found))
    images = halves(5, seed=4).images
    assert torch.equal(judge.log_probabilities(images), again.log_probabilities(images))
    assert again.class_names == ("upper", "lower")
    with pytest.raises(CheckpointError, match="not those of a judge"):
        Judge.from_arrays({"z": np.zeros(3)})
    with pytest.raises(CheckpointError, match="judge's arrays"):
        Judge.from_arrays({name: array for name, array in judge.arrays().items() if name != "head.bias"})


def test_hidden_labels_are_left_out():
    data = halves(40)
    assert data.labels is not None
    spoiled = torch.cat([data.images, torch.zeros_like(data.images)])
    hidden = ImageData("half", spoiled, torch.cat([data.labels, torch.full((40,), -1)]), data.class_names)
    images = halves(5, seed=5).images
    expected = train_judge(data, steps=3).log_probabilities(images)
    assert torch.equal(train_judge(hidden, steps=3).log_probabilities(images), expected)
    assert judge_quality(train_judge(data, steps=3), hidden)["judge_accuracy"].n == 40


def test_colour_and_progress():
    done: list[int] = []
    judge = train_judge(halves(30, channels=3), steps=5, batch_size=8, progress=done.append)
    assert done == [1, 2, 3, 4, 5]
    assert judge.probabilities(torch.rand(2, 3, 8, 8)).shape == (2, 2)


def test_share_of_confident_images():
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.01, 0.99], [0.5, 0.5]], dtype=torch.float64)
    found = confident_share(probabilities, "samples")
    assert (found.value, found.n) == (0.5, 4)
    assert found.standard_error == pytest.approx(np.std([1, 0, 1, 0], ddof=1) / 2)
    assert "at least 0.9" in found.protocol
    assert confident_share(probabilities, "samples", threshold=0.8).value == 0.75


def test_refuses_what_does_not_fit(judge):
    data = halves(4)
    unlabelled = ImageData("images", data.images)
    assert data.labels is not None
    for wrong in (unlabelled, dataclasses.replace(data, labels=torch.full((4,), -1))):
        with pytest.raises(DataError, match="labels of at least 2 classes"):
            train_judge(wrong)
    with pytest.raises(DataError, match="labels of at least 2 classes"):
        judge_quality(judge, unlabelled)
    with pytest.raises(DataError, match="expected images of shape"):
        judge.probabilities(torch.rand(1, 1, 9, 9))
    for numbers in ({"steps": 0}, {"batch_size": 0}):
        with pytest.raises(UsageError, match="at least one"):
            train_judge(data, **numbers)
