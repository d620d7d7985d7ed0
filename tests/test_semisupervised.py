"""M2 and M1+M2 against what is known exactly, and as models like the others."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vaelab.building import build_model, build_objective
from vaelab.config import ModelConfig
from vaelab.data import ImageData
from vaelab.errors import DataError, UsageError
from vaelab.evaluation import embed, evaluate, evaluate_bounds, log_likelihood
from vaelab.objectives import ELBO, M2, Terms, draw, importance_bound
from vaelab.semisupervised import SemiSupervisedVAE
from vaelab.stacked import StackedVAE

CLASSES, BATCH = 4, 6
CONFIG = ModelConfig(
    kind="m2",
    latent=3,
    classes=CLASSES,
    encoder="mlp:hidden=16",
    decoder="mlp:hidden=16",
    classifier="mlp:hidden=16",
    top="m2:latent=2,hidden=16,classifier=16",
    likelihood="normal:std=0.3",
    image_shape=(1, 8, 8),
)
X = torch.rand(BATCH, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])


@pytest.fixture
def m2() -> SemiSupervisedVAE:
    return build_model(CONFIG)


@pytest.fixture
def stacked() -> StackedVAE:
    return build_model(ModelConfig(**{**vars(CONFIG), "kind": "m1+m2"}))


@pytest.fixture(params=["m2", "stacked"])
def model(request) -> SemiSupervisedVAE:
    return request.getfixturevalue(request.param)


def call(model, c: Tensor | None = None, x: Tensor = X, seed: int = 1, **options) -> Terms:
    return M2(**options)(model, x, c, generator=torch.Generator().manual_seed(seed))


# --- the bounds -----------------------------------------------------------------------------------------------------


def test_the_labelled_bound_is_the_conditional_bound_and_log_p_of_the_label(m2):
    conditional = ELBO()(m2, X, LABELS, generator=torch.Generator().manual_seed(1))
    terms = call(m2, LABELS)
    torch.testing.assert_close(terms.bound, conditional.bound - math.log(CLASSES))
    torch.testing.assert_close(terms.reconstruction, conditional.reconstruction)


def test_with_the_exact_posterior_over_labels_the_unlabelled_bound_is_the_log_sum_over_them(model):
    x = X[:1]
    with torch.no_grad():
        by_label = torch.cat([call(model, torch.tensor([label]), x).bound for label in range(CLASSES)])
        head = (model.top if isinstance(model, StackedVAE) else model).classifier.head
        head.weight.zero_()
        head.bias.copy_(by_label - by_label.mean())  # q(y|x) ∝ exp(−L(x, y))
        exact = call(model, None, x)
        torch.testing.assert_close(exact.bound[0], by_label.logsumexp(0))
        head.bias.zero_()
        assert call(model, None, x).bound[0] < exact.bound[0]  # any other q is looser


def test_the_unlabelled_bound_by_hand(m2):
    with torch.no_grad():
        terms, q = call(m2), m2.classify(X).softmax(-1)
        every = torch.stack([call(m2, torch.full((BATCH,), label)).bound for label in range(CLASSES)])
        torch.testing.assert_close(terms.bound, (q.T * every).sum(0) - (q * q.log()).sum(-1))
        torch.testing.assert_close(terms.bound, -(terms.reconstruction + terms.kl))


def test_the_stacked_bound_is_made_of_both_models_bounds(stacked):
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        qz = stacked.m1.encode(X)
        z = qz.rsample(1, source)[0]
        top = ELBO()(stacked.top, z[:, None, None, :], LABELS, generator=source).bound - math.log(CLASSES)
        by_hand = stacked.m1.decode(z).log_prob(X) - qz.log_prob(z) + top
        torch.testing.assert_close(call(stacked, LABELS).bound, by_hand)


@torch.no_grad()
def test_bounds_are_below_the_importance_weighted_log_likelihood(model):
    x = X[:1]
    estimates = []
    for label in range(CLASSES):
        c = torch.tensor([label])
        drawn = draw(model, x, c, samples=5000, generator=torch.Generator().manual_seed(label))
        estimates.append(importance_bound(drawn.log_weights())[0] - math.log(CLASSES))
        repeated = call(model, c.expand(2000), x.expand(2000, -1, -1, -1)).bound
        assert repeated.mean() < estimates[-1] + 3 * repeated.std() / math.sqrt(2000)
    repeated = call(model, None, x.expand(2000, -1, -1, -1)).bound
    assert repeated.mean() < torch.stack(estimates).logsumexp(0) + 3 * repeated.std() / math.sqrt(2000)


# --- the loss -------------------------------------------------------------------------------------------------------


def test_alpha_and_labelled_weigh_the_loss_alone(m2):
    c = torch.tensor([0, -1, 2, -1, -1, 1])
    with torch.no_grad():
        plain, weighted = call(m2, c, alpha=0), call(m2, c, alpha=2, labelled=0.25)
        errors = torch.nn.functional.cross_entropy(m2.classify(X[c >= 0]), c[c >= 0])
    torch.testing.assert_close(plain.loss, -plain.bound.mean())
    torch.testing.assert_close(plain.bound, weighted.bound)
    rest = (plain.bound[c < 0].sum() + 0.25 * plain.bound[c >= 0].sum()) / (3 + 0.25 * 3)
    torch.testing.assert_close(weighted.loss, -rest + 2 * errors)


def test_the_classifiers_gradient_from_unlabelled_images_agrees_with_finite_differences(model):
    head = (model.top if isinstance(model, StackedVAE) else model).classifier.head
    call(model).loss.backward()
    step = 1e-2
    for label in range(CLASSES):
        losses = []
        for sign in (1, -1):
            with torch.no_grad():
                head.bias[label] += sign * step
                losses.append(call(model).loss.double())
                head.bias[label] -= sign * step
        numeric = (losses[0] - losses[1]) / (2 * step)
        assert float(head.bias.grad[label]) == pytest.approx(float(numeric), abs=2e-3)


def test_labels_alone_leave_out_unlabelled_images_and_their_order_does_not_matter(m2):
    c = torch.tensor([0, -1, 2, -1, -1, 1])
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        # A nearly certain posterior: the noise, which goes with the place in the batch, plays no part.
        m2.posterior.spread.bias.fill_(-29.0)
        m2.posterior.spread.weight.zero_()
        one, other = call(m2, c), call(m2, c[order], X[order])
    torch.testing.assert_close(one.bound[order], other.bound)
    torch.testing.assert_close(one.loss, other.loss)


# --- as models ------------------------------------------------------------------------------------------------------


def test_m1_gets_no_gradient_and_the_top_does(stacked):
    call(stacked).loss.backward()
    for name, parameter in stacked.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad == name.startswith("top."), name


def test_the_joint_density_of_the_stack_is_that_of_its_parts(stacked):
    drawn = draw(stacked, X, LABELS, samples=3, generator=torch.Generator().manual_seed(0))
    lower, upper = drawn.z[..., :3], drawn.z[..., 3:]
    flat, labels = lower.flatten(0, 1)[:, None, None, :], LABELS.repeat(3)
    top = stacked.top
    expected_q = stacked.m1.encode(X).log_prob(lower) + top.encode(flat, labels).log_prob(upper.flatten(0, 1)).view(
        3, -1
    )
    likelihood = top.decode(upper.flatten(0, 1), labels).log_prob(flat).view(3, -1)
    torch.testing.assert_close(drawn.qz.log_prob(drawn.z), expected_q)
    torch.testing.assert_close(drawn.pz.log_prob(drawn.z), top.pz(BATCH, LABELS).log_prob(upper) + likelihood)
    torch.testing.assert_close(drawn.log_px, stacked.m1.decode(lower).log_prob(X))


@torch.no_grad()
def test_it_classifies_embeds_reconstructs_and_samples(model):
    logits = model.classify(X)
    assert logits.shape == (BATCH, CLASSES)
    torch.testing.assert_close(model.classify(X[2:3]), logits[2:3])
    likeliest = logits.argmax(-1)
    assert torch.equal(model.embed(X), model.embed(X, likeliest))
    assert torch.equal(model.reconstruct(X), model.reconstruct(X, likeliest))
    assert model.embed(X).shape == (BATCH, model.latent)
    assert model.sample(BATCH, LABELS, torch.Generator().manual_seed(0)).shape == X.shape
    with pytest.raises(DataError, match="expected one label in 0…3 for each image, got none"):
        model.encode(X)


def test_a_style_decoded_with_another_label_gives_another_image(stacked):
    z = torch.randn(BATCH, 2, generator=torch.Generator().manual_seed(0))
    one, other = (stacked.decode_top(z, c).mean for c in (LABELS, (LABELS + 1) % CLASSES))
    assert one.shape == X.shape
    assert not torch.isclose(one, other).all()


def images() -> ImageData:
    pixels = torch.randint(256, (9, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return ImageData("random", pixels, torch.arange(9) % CLASSES, tuple("abcd"))


def test_scores_and_embeddings_do_not_depend_on_the_batch(model):
    one, other = (evaluate_bounds(model, images(), "dequantised", samples=3, batch_size=size) for size in (9, 2))
    torch.testing.assert_close(one.negative_elbo, other.negative_elbo, rtol=1e-5, atol=1e-5)
    vectors = [embed(model, images(), "dequantised", batch_size=size) for size in (9, 2)]
    torch.testing.assert_close(*vectors, rtol=1e-5, atol=1e-5)
    weighted = [log_likelihood(model, images(), "dequantised", samples=20, rows=rows) for rows in (100, 7)]
    torch.testing.assert_close(weighted[0].log_likelihood, weighted[1].log_likelihood, rtol=1e-5, atol=1e-4)


def test_evaluate_measures_it_given_the_label(model):
    metrics = evaluate(model, images(), variant="dequantised", split="test", importance_samples=20)
    assert "given the label" in metrics["negative_elbo"].protocol
    assert metrics["negative_log_likelihood"].value < metrics["negative_elbo"].value


def test_images_without_a_label_cannot_be_scored_given_the_label(model):
    data = images()
    unlabelled = ImageData(data.name, data.images, torch.full_like(data.labels, -1), data.class_names)
    with pytest.raises(DataError, match=r"expected labels in 0…3, got -1…-1"):
        evaluate_bounds(model, unlabelled, "dequantised")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"classifier": "mpl"}, "did you mean mlp"),
        ({"kind": "m1+m2", "top": "m3"}, "unknown top 'm3'; known: m2"),
        ({"kind": "m1+m2", "top": "m2:latent=0"}, "expected latent ≥ 1, got 0"),
        ({"kind": "m1+m2", "top": "m2:hidden=0"}, "expected hidden to be whole numbers ≥ 1"),
        ({"classes": 0}, "needs labelled data"),
        ({"kind": "m1+m2", "classes": 0}, "needs labelled data"),
        ({"likelihood": "normal:learned=true,heteroscedastic=true"}, "leave one of them out"),
    ],
)
def test_a_wrong_model_is_refused_in_one_sentence(changes, sentence):
    with pytest.raises(UsageError) as caught:
        build_model(ModelConfig(**{**vars(CONFIG), **changes}))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", ["elbo", "iwae:samples=3", "reconstruction"])
def test_other_objectives_are_refused_with_the_one_to_use(model, spec):
    with pytest.raises(UsageError, match=r"does not fit a model of kind .*; use m2"):
        build_objective(spec, model)


def test_a_wrong_option_is_refused(m2):
    with pytest.raises(UsageError, match="expected a finite alpha ≥ 0, got -1"):
        build_objective("m2:alpha=-1", m2)
