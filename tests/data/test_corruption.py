from __future__ import annotations

import pytest
import torch

from vaelab.data import CORRUPTIONS, corrupt_fixed
from vaelab.errors import UsageError
from vaelab.specs import Spec

X = torch.rand(20, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def corrupt(spec: str, x: torch.Tensor = X) -> torch.Tensor:
    return CORRUPTIONS.build(Spec.parse(spec))(x, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", CORRUPTIONS.names())
def test_a_corruption_keeps_shape_range_and_input_and_follows_its_generator(name: str) -> None:
    before = X.clone()
    noisy = corrupt(name)
    assert (noisy.shape, noisy.dtype) == (X.shape, X.dtype)
    assert 0 <= float(noisy.min()) <= float(noisy.max()) <= 1
    assert torch.equal(X, before)
    assert torch.equal(noisy, corrupt(name))
    assert torch.equal(noisy, X) == (name == "none")


@pytest.mark.parametrize("name", CORRUPTIONS.names())
@pytest.mark.parametrize("size", [1, 6, 20])
def test_fixed_noise_depends_neither_on_the_batch_nor_on_the_order(name: str, size: int) -> None:
    corruption = CORRUPTIONS.build(Spec(name))
    whole = corrupt_fixed(corruption, X, 7)
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(1))
    parts = [corrupt_fixed(corruption, X[indices], 7) for indices in torch.split(order, size)]
    assert torch.equal(torch.cat(parts), whole[order])
    assert torch.equal(whole, corrupt_fixed(corruption, X, 8)) == (name == "none")


def test_gaussian_noise_has_the_given_deviation() -> None:
    noise = corrupt("gaussian:std=0.05", torch.full_like(X, 0.5)) - 0.5
    assert float(noise.std()) == pytest.approx(0.05, rel=0.05)
    assert float(noise.mean()) == pytest.approx(0, abs=0.002)
    assert torch.equal(corrupt("gaussian:std=0"), X)


def test_masking_sets_the_fraction_of_pixels_to_0_in_all_channels() -> None:
    noisy = corrupt("masking:fraction=0.4", X + 0.001)
    masked = noisy == 0
    assert torch.equal(masked.all(dim=1), masked.any(dim=1))
    assert float(masked.float().mean()) == pytest.approx(0.4, abs=0.03)
    assert torch.equal(noisy[~masked], (X + 0.001)[~masked])
    assert float(corrupt("masking:fraction=1").max()) == 0
    assert torch.equal(corrupt("masking:fraction=0"), X)


def test_salt_and_pepper_come_evenly() -> None:
    noisy = corrupt("salt-and-pepper:fraction=0.4", torch.full_like(X, 0.5))
    assert set(noisy.unique().tolist()) == {0.0, 0.5, 1.0}
    assert float((noisy == 0).float().mean()) == pytest.approx(0.2, abs=0.03)
    assert float((noisy == 1).float().mean()) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(
    "spec",
    [
        "gaussian:std=-1",
        "gaussian:std=inf",
        "gaussian:std=nan",
        "masking:fraction=1.1",
        "salt-and-pepper:fraction=-0.1",
    ],
)
def test_options_out_of_range_are_refused(spec: str) -> None:
    with pytest.raises(UsageError, match=r"corruption .*: expected a (finite std|fraction) .*, got "):
        corrupt(spec)
