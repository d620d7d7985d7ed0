"""What every objective must do. A new one adds a row: its spec and the kind of model it is for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vaelab.building import Model, build_model, build_objective
from vaelab.config import ModelConfig
from vaelab.errors import UsageError
from vaelab.objectives import OBJECTIVES, Objective, Terms
from vaelab.stacked import StackedVAE

ROWS = {
    "elbo": "vae",
    "elbo:beta=4,warmup=2,free_bits=0.001,samples=3": "vae",
    "elbo:beta=0": "vae",
    "elbo:beta=0.01,per_pixel=true": "vae",
    "iwae:samples=3": "vae",
    "iwae:samples=3,doubly=true": "vae",
    "reconstruction": "autoencoder",
    "m2": "m2",
    "m2:alpha=2,labelled=0.5,samples=3": "m2",
    "m2:alpha=1": "m1+m2",
}
PRIORS = ["normal", "mixture:components=3", "vamp:components=3"]
BATCH = 6


@pytest.fixture(params=ROWS)
def row(request) -> str:
    return request.param


def build(row: str, prior: str = "normal", classes: int = 0) -> tuple[Model, Objective]:
    config = ModelConfig(
        kind=ROWS[row],
        latent=2,
        conditional=classes > 0,
        classes=classes or (3 if ROWS[row].endswith("m2") else 0),
        encoder="mlp:hidden=16",
        decoder="mlp:hidden=16",
        prior=prior,
        likelihood="normal:learned=true",
        classifier="mlp:hidden=16",
        top="m2:latent=2,hidden=16,classifier=16",
        image_shape=(1, 8, 8),
    )
    model = build_model(config)
    return model, build_objective(row, model)


def images(seed: int = 0) -> Tensor:
    return torch.rand(BATCH, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def call(row: str, seed: int = 0, **options) -> Terms:
    model, objective = build(row)
    return objective(model, images(), generator=torch.Generator().manual_seed(seed), **options)


def test_every_objective_has_a_row(assert_every_name_has_a_row):
    assert_every_name_has_a_row(OBJECTIVES, ROWS)


@pytest.mark.parametrize("prior", PRIORS)
def test_terms_are_one_finite_number_per_image_and_a_scalar_loss(row, prior):
    model, objective = build(row, prior)
    terms = objective(model, images())
    assert terms.loss.shape == ()
    assert terms.loss.requires_grad
    assert terms.reconstruction.shape == terms.kl.shape == (BATCH,)
    assert (terms.bound is None) == (ROWS[row] == "autoencoder")
    assert terms.bound is None or terms.bound.shape == (BATCH,)
    logged = (terms.loss, terms.reconstruction, terms.kl, terms.bound)
    assert all(values.isfinite().all() for values in logged if values is not None)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("classes", [0, 3])
def test_gradients_reach_every_parameter(row, prior, classes, assert_gradients_reach_every_parameter):
    model, objective = build(row, prior, classes)
    if prior != "normal" and ("beta=0" in row or "free_bits" in row):
        pytest.skip("a prior learns nothing from the reconstruction alone, nor while the KL is among the free bits")
    c = torch.arange(BATCH) % 3 if classes else None
    loss = objective(model, images(), c).loss
    learned = model.top if isinstance(model, StackedVAE) else model  # M1 stays as it is
    assert_gradients_reach_every_parameter(learned, loss)


def test_draws_depend_on_the_generator_alone(row):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second, other = call(row, 1), call(row, 1), call(row, 2)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.loss, second.loss)
    assert torch.equal(first.reconstruction, second.reconstruction)
    assert torch.equal(first.loss, other.loss) == (ROWS[row] == "autoencoder")


def test_the_target_is_what_is_scored(row):
    to_itself, to_another = call(row), call(row, target=images(seed=5))
    assert not torch.equal(to_itself.reconstruction, to_another.reconstruction)
    assert torch.equal(to_itself.kl, to_another.kl)


def test_the_logged_terms_do_not_depend_on_weights_and_epoch(row):
    at_start, later = call(row, epoch=0.0), call(row, epoch=10.0)
    for name in ("reconstruction", "kl", "bound"):
        first, second = getattr(at_start, name), getattr(later, name)
        assert (first is None and second is None) or torch.equal(first, second)


@pytest.mark.parametrize("row", [row for row, kind in ROWS.items() if kind.endswith("m2")], indirect=True)
def test_an_image_with_its_label_hidden_is_scored_as_one_without(row):
    model, objective = build(row)
    labels = torch.tensor([0, -1, 2, 1, -1, 0])
    hidden = objective(model, images(), labels, generator=torch.Generator().manual_seed(0))
    none = objective(model, images(), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(hidden.bound[labels < 0], none.bound[labels < 0])
    assert not torch.isclose(hidden.bound[labels >= 0], none.bound[labels >= 0]).any()


def test_a_model_of_the_other_kind_is_refused_with_the_remedy(row):
    other = next(name for name, kind in ROWS.items() if kind != ROWS[row])
    with pytest.raises(UsageError, match=r"does not fit a model of kind .*; use "):
        build_objective(row, build(other)[0])
