"""Bounds for every label: exact where p(x|y) is, one image's own, bounded in memory, refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from vaelab.applications.calibration import class_log_prior, log_posterior
from vaelab.applications.classification import BOUNDS, label_bounds, label_posterior
from vaelab.building import Model, build_model
from vaelab.config import ModelConfig
from vaelab.data.images import ImageData
from vaelab.errors import DataError, UsageError, VaelabError
from vaelab.evaluation import draws as drawing
from vaelab.evaluation import evaluate_bounds, log_likelihood
from vaelab.evaluation.draws import BLOCK
from vaelab.objectives import draw
from vaelab.randomness import image_seeds, normal_per_image

SHAPE, CLASSES = (1, 8, 8), 3
PRIORS = ("normal", "mixture:components=3,per_class=true", "vamp:components=3")


def made(**changes: Any) -> Any:
    values = {"latent": 3, "encoder": "mlp:hidden=16/", "decoder": "mlp:hidden=16/", "image_shape": SHAPE}
    return build_model(ModelConfig(**(values | {"classes": CLASSES, "conditional": True} | changes)), seed=1)


def images(n: int, channels: int = 1, seed: int = 0) -> ImageData:
    source = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (n, channels, 8, 8), dtype=torch.uint8, generator=source)
    return ImageData("noise", pixels, torch.arange(n) % CLASSES, ("a", "b", "c"))


def close(first: Tensor, second: Tensor) -> None:
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-5)


@pytest.fixture
def exact() -> tuple[Model, Tensor]:
    """A model whose decoder ignores z and whose posterior is the prior: Bernoulli pixels of each class's own rates."""
    model = made(encoder="linear", decoder="linear")
    logits = torch.randn(CLASSES, 64, generator=torch.Generator().manual_seed(5)) * 0.4
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.decoder.first.linear.weight[:, model.latent :] = logits.T
    return model, logits.double()


@pytest.mark.parametrize("bound", BOUNDS)
def test_where_p_x_given_y_is_known_it_is_bayes_rule(exact, bound):
    model, logits = exact
    labels = torch.arange(300) % CLASSES
    x = torch.bernoulli(logits.sigmoid()[labels], generator=torch.Generator().manual_seed(2))
    data = ImageData("drawn", (x.view(-1, *SHAPE) * 255).to(torch.uint8))
    log_px = torch.distributions.Bernoulli(logits=logits).log_prob(x[:, None]).sum(-1)
    bounds = label_bounds(model, data, "dynamic", bound=bound, samples=4)
    torch.testing.assert_close(bounds, log_px, rtol=0, atol=1e-4)
    shares = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    joint = log_px.exp() * shares
    expected = joint / joint.sum(1, keepdim=True)
    torch.testing.assert_close(log_posterior(bounds, shares.log()).exp(), expected, rtol=0, atol=1e-4)
    right = (log_posterior(bounds, class_log_prior(None, CLASSES)).argmax(1) == labels).double().mean()
    assert right == (log_px.argmax(1) == labels).double().mean()
    assert 0.7 < right < 1


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("samples", [1, 7, BLOCK + 3])
def test_of_its_own_label_it_is_what_evaluation_says(prior, samples):
    model, data = made(prior=prior), images(5)
    own = data.labels[:, None]
    weighted = label_bounds(model, data, "dynamic", samples=samples, seed=3)
    expected = log_likelihood(model, data, "dynamic", samples=samples, seed=3).log_likelihood
    close(weighted.gather(1, own)[:, 0], expected)
    elbo = label_bounds(model, data, "dynamic", bound="elbo", samples=samples, seed=3)
    close(elbo.gather(1, own)[:, 0], -evaluate_bounds(model, data, "dynamic", samples=samples, seed=3).negative_elbo)


def test_one_importance_sample_is_one_log_weight():
    model, data = made(), images(4)
    x, c = data.images.float() / 255, torch.full((4,), 2)
    noise = normal_per_image(image_seeds(x, 0, "z/0"), (BLOCK, 3))[:1]
    with torch.no_grad():
        expected = draw(model, x, c, noise=noise).log_weights()[0].double()
    close(label_bounds(model, data, "grey", samples=1)[:, 2], expected)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_bound_at_the_mean_has_no_randomness_and_the_exact_entropy(prior):
    model, data = made(prior=prior), images(4)
    first, second = (label_bounds(model, data, "grey", bound="mean", samples=k, seed=k) for k in (1, 2))
    assert torch.equal(first, second)
    x, c = data.images.float() / 255, torch.full((4,), 1)
    with torch.no_grad():
        qz, pz = model.encode(x, c), model.pz(4, c)
        normal = torch.distributions.Independent(torch.distributions.Normal(qz.mean, qz.log_std.exp()), 1)
        log_px = model.decode(qz.mean, c).log_prob(x)
        if prior == "normal":
            standard = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(4, 3), 1.0), 1)
            kl = torch.distributions.kl_divergence(normal, standard)
        else:
            kl = -normal.entropy() - pz.log_prob(qz.mean[None])[0]
    close(first[:, 1], (log_px - kl).double())


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("variant", ["grey", "dynamic"])
def test_neither_batch_nor_order_nor_company_matters(bound, variant):
    model, data = made(), images(17)
    whole = label_bounds(model, data, variant, bound=bound, samples=4, rows=10_000)
    order = torch.randperm(17, generator=torch.Generator().manual_seed(1))
    for rows in (1, 2, 7, 50, 100):  # 1 and 2: the labels of one image come in parts
        close(label_bounds(model, data.take(order), variant, bound=bound, samples=4, rows=rows), whole[order])
    close(label_bounds(model, data.take(torch.tensor([9])), variant, bound=bound, samples=4), whole[9:10])


def test_more_samples_than_a_block_do_not_depend_on_rows():
    model, data = made(), images(3)
    whole = label_bounds(model, data, "grey", samples=BLOCK + 5, rows=10_000)
    for rows in (4, 33):
        close(label_bounds(model, data, "grey", samples=BLOCK + 5, rows=rows), whole)


@pytest.mark.parametrize("bound", BOUNDS)
def test_labels_meet_the_same_noise(bound):
    """Where the label makes no difference, all bounds of an image are equal."""
    model = made()
    with torch.no_grad():
        model.encoder.first.linear.weight[:, 64:] = 0
        model.decoder.first.linear.weight[:, 3:] = 0
    bounds = label_bounds(model, images(6), "grey", bound=bound, samples=3)
    close(bounds, bounds[:, :1].expand_as(bounds))
    assert (bounds[0] != bounds[1]).all()


def test_labels_are_not_looked_at():
    model, data = made(), images(6)
    bare = ImageData("bare", data.images)
    assert torch.equal(label_bounds(model, bare, "grey"), label_bounds(model, data, "grey"))


def test_noise_is_drawn_once_for_an_image(monkeypatch):
    seen: list[int] = []

    def counted(pixels: Tensor, seed: int, stream: str) -> list[int]:
        seen.append(len(pixels))
        return image_seeds(pixels, seed, stream)

    monkeypatch.setattr(drawing, "image_seeds", counted)
    label_bounds(made(), images(11), "grey", samples=10, rows=90)
    assert seen == [3, 3, 3, 2]


def test_memory_bounds_both_networks():
    model, seen = made(), {"encoder": [], "decoder": []}
    hooked: Callable[..., Any] = lambda name: lambda module, inputs, output: seen[name].append(len(inputs[0]))  # noqa: E731
    model.encoder.register_forward_hook(hooked("encoder"))
    model.decoder.register_forward_hook(hooked("decoder"))
    label_bounds(model, images(20), "grey", samples=5, memory=4 * 8 * 64 * 20)
    assert max(seen["encoder"]) <= 20
    assert max(seen["decoder"]) <= 20
    assert sum(seen["encoder"]) == 20 * CLASSES + 1
    label_bounds(model, images(2), "grey", samples=5, memory=1)


def test_progress_counts_images():
    seen: list[int] = []
    label_bounds(made(), images(7), "grey", samples=2, rows=18, progress=seen.append)
    assert seen == [3, 6, 7]


@pytest.mark.parametrize("bound", BOUNDS)
def test_colours_one_image_one_class_and_constant_pixels(bound):
    flat = ImageData("flat", torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    bounds = label_bounds(made(image_shape=(3, 8, 8)), flat, "grey", bound=bound)
    assert torch.equal(bounds[0], bounds[1])
    single = label_bounds(made(classes=1), ImageData("one", images(1).images), "grey", bound=bound)
    assert log_posterior(single, class_log_prior(None, 1)).tolist() == [[0.0]]


def test_the_model_and_the_global_generator_are_left_alone():
    model = made().train()
    before, state = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    label_bounds(model, images(3), "grey")
    assert model.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_refusals():
    data = images(2)
    with pytest.raises(UsageError, match=r"no condition.*--conditional"):
        label_bounds(made(conditional=False), data, "grey")
    with pytest.raises(UsageError, match=r"autoencoder.*train a conditional VAE"):
        label_bounds(made(kind="autoencoder"), data, "grey")
    with pytest.raises(UsageError, match="bound 'tight'"):
        label_bounds(made(), data, "grey", bound="tight")
    with pytest.raises(UsageError, match="samples ≥ 1, got 0"):
        label_bounds(made(), data, "grey", samples=0)
    with pytest.raises(UsageError, match="variant"):
        label_bounds(made(likelihood="logistic"), data, "dynamic")
    with pytest.raises(DataError, match="3×8×8"):
        label_bounds(made(), images(2, channels=3), "grey")
    with pytest.raises(UsageError, match=r"no label network q\(y\|x\)"):
        label_posterior(made(), data, "grey")
    broken = made()
    with torch.no_grad():
        broken.decoder.first.linear.bias.fill_(torch.nan)
    with pytest.raises(VaelabError, match="others for 2 of 2 images"):
        label_bounds(broken, data, "grey")


def test_a_semi_supervised_model_is_classified_both_ways():
    model, data = made(kind="m2", classifier="mlp:hidden=16/"), images(9)
    with torch.no_grad():
        expected = model.classify(data.images.float() / 255).double().log_softmax(-1)
    close(label_posterior(model, data, "grey"), expected)
    close(label_posterior(model, data, "grey", memory=1), expected)
    own = label_bounds(model, data, "grey", samples=3).gather(1, data.labels[:, None])[:, 0]
    close(own, log_likelihood(model, data, "grey", samples=3).log_likelihood)
