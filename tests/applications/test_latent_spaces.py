"""Classes, agreement, gaps, borders and ways through latent spaces, against cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.spatial
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.applications.latent_models import NAMES, model_of, noise
from vaelab.applications.latent import (
    Encoded,
    MarginalPrior,
    bootstrap_error,
    decode_at,
    encode,
    find_borders,
    find_gaps,
    interpolate,
    linear_cka,
    procrustes,
    separability,
    some_rows,
)
from vaelab.errors import DataError, UsageError

seeds = st.integers(0, 10_000)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(size: int, seed: int = 0) -> torch.Tensor:
    return torch.linalg.qr(normal(size, size, seed=seed))[0]


# --- classes --------------------------------------------------------------------------------------------------------


def test_separated_classes_are_told_apart_and_mixed_ones_are_not():
    labels = torch.arange(300) % 3
    blobs = normal(300, 2) * 0.1 + 5 * torch.nn.functional.one_hot(labels, 3)[:, :2]
    found = separability(blobs[:150], labels[:150], blobs[150:], labels[150:])
    assert bool(found.linear.all())
    assert bool(found.knn.all())
    assert found.converged
    mixed = separability(normal(150, 2), labels[:150], normal(150, 2, seed=1), labels[150:])
    assert float(mixed.linear.double().mean()) < 0.5


def test_a_ring_around_a_blob_is_not_linear():
    labels = torch.arange(200) % 2
    z = torch.nn.functional.normalize(normal(200, 2), dim=1) * (1 + 4 * labels[:, None])
    found = separability(z[:100], labels[:100], z[100:], labels[100:], neighbours=3)
    assert bool(found.knn.all())
    assert float(found.linear.double().mean()) < 0.75


def test_neighbours_are_no_more_than_images_and_one_class_is_refused():
    z, labels = normal(4, 2), torch.tensor([0, 1, 0, 1])
    assert separability(z, labels, z, labels).neighbours == 4
    with pytest.raises(DataError, match=r"^expected images of at least 2 classes to tell apart, got 1; give .*$"):
        separability(z, labels * 0, z, labels)


# --- agreement ------------------------------------------------------------------------------------------------------


@given(seeds, st.integers(1, 5), st.floats(0.01, 100), st.floats(-10, 10))
@settings(max_examples=25, deadline=None)
def test_rotation_scale_and_shift_change_nothing(seed, size, scale, shift):
    a, q = normal(30, size, seed=seed), rotation(size, seed)
    b = scale * a @ q + shift
    found = procrustes(a, b)
    assert found.residual == pytest.approx(0, abs=1e-9)
    assert found.scale == pytest.approx(scale)
    torch.testing.assert_close(found.rotation, q, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.scale * (a - a.mean(0)) @ found.rotation + found.shift, b)
    assert linear_cka(a, b) == pytest.approx(1)


@given(seeds, st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_cka_is_the_same_after_rotation_and_scaling_of_either(seed, first, second):
    a, b = normal(20, first, seed=seed), normal(20, second, seed=seed + 1)
    turned = linear_cka(3 * a @ rotation(first, seed), 0.1 * b @ rotation(second, seed) - 2)
    assert turned == pytest.approx(linear_cka(a, b))
    assert linear_cka(b, a) == pytest.approx(linear_cka(a, b))
    assert 0 <= turned <= 1


def test_procrustes_is_scipys_and_fills_up_with_zeros():
    a, b = normal(40, 3), normal(40, 3, seed=1) + normal(40, 3)
    assert procrustes(a, b).residual == pytest.approx(scipy.spatial.procrustes(a.numpy(), b.numpy())[2])
    assert procrustes(a, b).residual == pytest.approx(procrustes(b, a).residual)
    padded = torch.cat([a[:, :2], torch.zeros(40, 1)], 1)
    assert procrustes(a[:, :2], b).residual == pytest.approx(procrustes(padded, b).residual)
    assert procrustes(a, b).r2 == 1 - procrustes(a, b).residual


def test_cka_is_its_definition_by_kernels():
    a, b = normal(15, 2), normal(15, 4, seed=1)
    centre = torch.eye(15, dtype=torch.float64) - 1 / 15
    k, m = centre @ a @ a.T @ centre, centre @ b @ b.T @ centre
    assert linear_cka(a, b) == pytest.approx(float((k * m).sum() / k.norm() / m.norm()))


def test_bootstrap_error_is_the_spread_over_other_images():
    sets = [(normal(200, 2, seed=s), normal(200, 2, seed=s) + normal(200, 2, seed=s + 500)) for s in range(60)]
    spread = np.std([linear_cka(a, b) for a, b in sets])
    errors = [bootstrap_error(linear_cka, a, b, draws=50) for a, b in sets[:5]]
    assert 0.6 < np.mean(errors) / spread < 1.6
    a = torch.tensor([[0.0], [1.0]])
    assert bootstrap_error(linear_cka, a, a, draws=50) is None


@pytest.mark.parametrize("measure", [procrustes, linear_cka])
def test_agreement_needs_the_same_images_and_some_variety(measure):
    with pytest.raises(DataError, match=r"^expected the same images in both .*, got 4 and 5; encode one .*$"):
        measure(normal(4, 2), normal(5, 2))
    with pytest.raises(DataError, match=r"^expected latents that differ between images, got the same .*; give .*$"):
        measure(normal(4, 2), torch.full((4, 2), 0.3))


# --- gaps and borders -----------------------------------------------------------------------------------------------


def with_hole(n: int, latent: int, centre: float, radius: float, seed: int = 0) -> Encoded:
    """Draws of the prior without a ball around (centre, 0, …)."""
    z = normal(3 * n, latent, seed=seed).float()
    place = torch.zeros(latent)
    place[0] = centre
    z = z[(z - place).norm(dim=1) > radius][:n]
    assert len(z) == n
    return Encoded(z, torch.full_like(z, -3.0), z, torch.arange(n) % 3, NAMES)


def prior_of(latent: int) -> MarginalPrior:
    return MarginalPrior.of(model_of(latent=latent), Encoded(torch.zeros(2, latent)))


@pytest.mark.parametrize(("latent", "radius"), [(1, 0.3), (2, 0.7), (4, 1.7)])
def test_a_planted_hole_is_found_first(latent, radius):
    encoded = with_hole(2000, latent, 0.5, radius)
    found = find_gaps(encoded, prior_of(latent), count=3, candidates=3000, samples=5000)
    centre = torch.zeros(latent, dtype=torch.float64)
    centre[0] = 0.5
    assert float((found.positions.z[0] - centre).norm()) < 0.4 * radius
    assert float(found.expected[0]) > 3 * found.chance
    assert latent > 1 or float(found.expected[1]) < 2 * found.chance  # nothing else is empty
    assert float(found.log_aggregate[0]) < float(found.positions.log_prior[0]) - 5
    assert bool((found.expected.diff() <= 0).all())


def test_a_gap_is_what_it_says():
    encoded, prior = with_hole(500, 2, 0.5, 0.6), prior_of(2)
    found = find_gaps(encoded, prior, count=5, candidates=500, samples=4000)
    assert encoded.z is not None
    distance = torch.cdist(found.positions.z, encoded.z.double())
    torch.testing.assert_close(found.radius, distance.amin(1))
    assert torch.equal(found.positions.nearest, torch.cdist(found.positions.z, encoded.means.double()).argmin(1))
    apart = torch.cdist(found.positions.z, found.positions.z)
    assert all(apart[i, j] > found.radius[i] for i in range(5) for j in range(i + 1, 5))
    squared = found.positions.z.square().sum(1)
    torch.testing.assert_close(found.positions.log_prior, -0.5 * squared - math.log(2 * math.pi), rtol=1e-5, atol=1e-5)
    denser = 1 - (-0.5 * squared).exp()  # of N(0, I) in the plane
    torch.testing.assert_close(found.positions.prior_mass, denser, atol=0.03, rtol=0)
    share = scipy.stats.ncx2.cdf(found.radius.square().numpy(), 2, squared.numpy())  # of N(0, I) in the ball
    np.testing.assert_allclose(found.expected.numpy() / 500, share, atol=0.02)


@pytest.mark.parametrize("mass", [1e-9, 0.2, 1.0])
def test_gaps_lie_where_the_prior_is_dense(mass):
    z = normal(300, 2).float()
    encoded = Encoded(z[z[:, 0] > 0], torch.zeros(300, 2)[z[:, 0] > 0], z[z[:, 0] > 0])  # half the plane is empty
    found = find_gaps(encoded, prior_of(2), mass=mass, count=4, candidates=2000, samples=2000)
    radius = math.sqrt(-2 * math.log(max(1 - mass, 1e-9)))
    assert float(found.positions.z.norm(dim=1).max()) < radius + 0.1
    assert bool((found.positions.prior_mass <= mass + 0.01).all())
    assert mass < 1 or float(found.positions.z[0].norm()) > 1.5  # the largest empty ball is far out


def test_where_the_prior_is_followed_no_gap_is_much_beyond_chance():
    z = normal(1000, 2).float()
    encoded = Encoded(z, torch.full_like(z, -3.0), z)
    found = find_gaps(encoded, prior_of(2), count=1, candidates=2000, samples=5000)
    assert float(found.expected[0]) < 2 * found.chance


def test_gaps_are_the_same_for_another_order_and_seeded():
    encoded = with_hole(300, 2, 0.5, 0.6)
    order = torch.randperm(300)
    assert encoded.z is not None
    other = Encoded(encoded.means[order], torch.full((300, 2), -3.0), encoded.z[order])
    first, second = (find_gaps(e, prior_of(2), count=3, candidates=300, samples=500) for e in (encoded, other))
    torch.testing.assert_close(first.positions.z, second.positions.z)
    assert torch.equal(order[second.positions.nearest], first.positions.nearest)
    third = find_gaps(encoded, prior_of(2), count=3, candidates=300, samples=500, seed=1)
    assert not torch.equal(first.positions.z, third.positions.z)


def test_borders_lie_between_the_classes():
    z = normal(900, 2).float()
    labels = (z[:, 0] > 0.3).long()
    encoded = Encoded(z, torch.full_like(z, -3.0), z, labels, ("left", "right"))
    found = find_borders(encoded, prior_of(2), count=5, candidates=2000, samples=1000)
    assert bool((found.positions.z[:, 0] - 0.3).abs().max() < 0.15)
    torch.testing.assert_close(found.entropy[0], torch.tensor(math.log(2)).double())
    torch.testing.assert_close(found.shares[0], torch.tensor([0.5, 0.5]).double())
    assert bool((found.entropy.diff() <= 1e-9).all())
    hidden = torch.where(torch.arange(900) % 2 == 0, labels, -1)
    partly = find_borders(Encoded(z, None, None, hidden, ("left", "right")), prior_of(2), count=2, candidates=500)
    assert bool((partly.positions.z[:, 0] - 0.3).abs().max() < 0.3)


def test_no_borders_where_classes_are_far_apart_and_none_without_classes():
    z = torch.cat([normal(30, 2), normal(30, 2) + 50]).float()
    labels = torch.arange(60) // 30
    encoded = Encoded(z, torch.zeros_like(z), z, labels, ("a", "b"))
    found = find_borders(encoded, prior_of(2), neighbours=2, candidates=50, samples=100)
    assert len(found.positions) == len(found.entropy) == 0
    for none in (None, labels * 0, labels * 0 - 1):
        with pytest.raises(
            DataError, match=r"^expected labels of at least 2 classes to find borders between, got fewer"
        ):
            find_borders(Encoded(z, None, z, none, ("a", "b")), prior_of(2))


@pytest.mark.parametrize("prior", ["mixture:components=2", "vamp:components=3"])
def test_gaps_under_a_learned_prior_of_a_conditional_model(prior):
    model, data = model_of(prior=prior, conditional=True), noise(12)
    encoded = encode(model, data, "grey")
    found = find_gaps(encoded, MarginalPrior.of(model, encoded), count=2, candidates=40, samples=50)
    images = decode_at(model, found.positions.z, data.labels[found.positions.nearest])
    assert images.shape == (len(found.positions), *data.image_shape)


def test_numbers_out_of_range_are_refused():
    encoded, prior = with_hole(20, 2, 0.5, 0.1), prior_of(2)
    with pytest.raises(UsageError, match=r"^expected gaps ≥ 1, got 0$"):
        find_gaps(encoded, prior, count=0)
    with pytest.raises(UsageError, match=r"^expected mass above 0 and at most 1, got 1.5$"):
        find_gaps(encoded, prior, mass=1.5)
    with pytest.raises(UsageError, match=r"^expected neighbours ≥ 2, got 1$"):
        find_borders(encoded, prior, neighbours=1)
    with pytest.raises(UsageError, match=r"^expected limit ≥ 2, got 1$"):
        some_rows(5, 1, 0)


def test_some_rows_are_in_order_and_seeded():
    rows = some_rows(30, 10, 4)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(rows) == 10
    assert torch.equal(rows, some_rows(30, 10, 4))
    assert not torch.equal(rows, some_rows(30, 10, 5))


def test_decoding_does_not_depend_on_what_is_beside():
    model, z = model_of(conditional=True), normal(9, 3).float()
    labels = torch.arange(9) % 3
    whole = decode_at(model, z, labels)
    torch.testing.assert_close(decode_at(model, z[4:6], labels[4:6]), whole[4:6], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(decode_at(model, z, labels, memory=1), whole, rtol=1e-5, atol=1e-6)


# --- ways -----------------------------------------------------------------------------------------------------------


@given(seeds, st.integers(1, 6), st.integers(2, 12), st.sampled_from(["linear", "spherical"]))
@settings(max_examples=40, deadline=None)
def test_a_way_begins_and_ends_where_it_should(seed, latent, steps, path):
    a, b = normal(latent, seed=seed), normal(latent, seed=seed + 1)
    line = interpolate(a, b, steps, path)
    assert line.shape == (steps, latent)
    torch.testing.assert_close(line[[0, -1]], torch.stack([a, b]))


@given(seeds, st.integers(2, 6), st.floats(0.1, 10))
@settings(max_examples=25, deadline=None)
def test_an_arc_keeps_the_norm_and_its_speed(seed, latent, norm):
    a, b = (norm * torch.nn.functional.normalize(normal(latent, seed=seed + i), dim=0) for i in range(2))
    arc = interpolate(a, b, 9, "spherical")
    torch.testing.assert_close(arc.norm(dim=1), torch.full((9,), norm).double(), rtol=1e-6, atol=1e-6)
    steps = arc.diff(dim=0).norm(dim=1)
    torch.testing.assert_close(steps, steps[:1].expand(8), rtol=1e-6, atol=1e-9)
    straight = interpolate(a, b, 9)
    assert bool((straight.norm(dim=1) <= norm * (1 + 1e-9)).all())


def test_where_there_is_no_arc_the_line_is_taken():
    a = torch.tensor([1.0, 0.0])
    for b in (a, -a, 3 * a, 0 * a):
        torch.testing.assert_close(interpolate(a, b, 5, "spherical"), interpolate(a, b, 5))


def test_another_path_or_number_is_refused():
    a = torch.zeros(2)
    with pytest.raises(UsageError, match="spheric"):
        interpolate(a, a, 5, "spheric")
    with pytest.raises(UsageError, match=r"^expected steps ≥ 2, got 1$"):
        interpolate(a, a, 1)
