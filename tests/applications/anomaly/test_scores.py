"""Every score: its own image's, whatever the batch and order; what each is; what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vaelab.applications.anomaly import (
    FEATURES,
    SCORES,
    Effort,
    Measured,
    Path,
    Reference,
    anomaly_scores,
    path_features,
)
from vaelab.applications.anomaly.scores import chosen_scores
from vaelab.data.images import ImageData
from vaelab.errors import DataError, UsageError, VaelabError
from vaelab.evaluation import evaluate_bounds, log_likelihood

ROWS = {
    "reconstruction": "nats",
    "negative_elbo": "nats",
    "negative_log_likelihood": "nats",
    "kl": "nats",
    "likelihood_regret": "nats",
    "likelihood_path": "no unit",
    "likelihood_path_copod": "no unit",
    "likelihood_path_mixture": "no unit",
}
"""The rows of the contract: each score and its unit."""

SPECS = [*ROWS, "likelihood_regret:lr=0.2", "likelihood_path:features=mean/log_std/pixel_nats"]
QUICK = {"samples": 3, "steps": 4}


def test_the_contract_has_a_row_for_every_score():
    assert sorted(ROWS) == SCORES.names()


@pytest.fixture
def reference(model, images):
    return Reference.fit(model(), images(40, seed=5), "dynamic", scores=SPECS)


@pytest.mark.parametrize("spec", SPECS)
def test_neither_batch_nor_order_nor_company_matters(spec, model, images, reference):
    made, data = model(), images(13)
    options = {"scores": [spec], "reference": reference, **QUICK}
    whole = anomaly_scores(made, data, "dynamic", **options)[spec]
    assert whole.dtype == torch.float64
    assert whole.shape == (13,)
    order = torch.randperm(13, generator=torch.Generator().manual_seed(1))
    for memory in (1, 4 * 8 * 64 * 5, 2**29):  # bytes: one image at a time, a few, all
        found = anomaly_scores(made, data.take(order), "dynamic", memory=memory, **options)[spec]
        torch.testing.assert_close(found, whole[order], rtol=1e-5, atol=1e-5)
    single = anomaly_scores(made, data.take(torch.tensor([6])), "dynamic", **options)[spec]
    torch.testing.assert_close(single, whole[6:7], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "unit"), ROWS.items())
def test_a_score_says_what_it_is(name, unit):
    score = chosen_scores(_vae(), [name])[name]
    assert score.unit == unit
    assert score.words(Effort(samples=7, steps=9))
    assert type(score).__doc__


def _vae():
    from vaelab import build_model, presets

    return build_model(presets.get("digits-vae").with_changes(model={"image_shape": (1, 8, 8)}).model)


def test_scores_are_those_of_the_evaluation(model, images):
    made, data = model(), images(6)
    found = anomaly_scores(made, data, "grey", samples=5, steps=2, seed=4)
    bounds = evaluate_bounds(made, data, "grey", samples=5, seed=4)
    assert torch.equal(found["reconstruction"], bounds.reconstruction)
    assert torch.equal(found["kl"], bounds.kl)
    assert torch.equal(found["negative_elbo"], bounds.negative_elbo)
    likelihood = log_likelihood(made, data, "grey", samples=5, seed=4).log_likelihood
    assert torch.equal(found["negative_log_likelihood"], -likelihood)
    assert not [name for name in found if "path" in name]  # without a reference


def test_path_features_are_what_they_say(model, images):
    made, data = model(), images(7)
    found = path_features(made, data, "grey", list(FEATURES), batch_size=3)
    x = data.images.float() / 255
    with torch.no_grad():
        qz = made.encode(x)
        px = made.decode(qz.mean)
        logits = px.logits.double()
    nats = torch.nn.functional.binary_cross_entropy_with_logits(logits, x.double(), reduction="none").flatten(1)
    expected = {
        "error": (x - logits.sigmoid()).square().sum((1, 2, 3)).sqrt()[:, None],
        "nats": nats.sum(1, keepdim=True),
        "mean_norm": qz.mean.square().sum(1, keepdim=True).sqrt(),
        "std_norm": (2 * qz.log_std).exp().sum(1, keepdim=True).sqrt(),
        "mean": qz.mean,
        "log_std": qz.log_std,
        "residual": (x - logits.sigmoid()).flatten(1),
        "pixel_nats": nats,
    }
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values.numpy(), rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("likelihood", ["bernoulli", "normal", "continuous-bernoulli", "logistic:components=2"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_pixels_nats_add_up(likelihood, channels, model, images):
    made = model(likelihood=likelihood, image_shape=(channels, 8, 8))
    x = images(4, channels).images.float() / 255
    with torch.no_grad():
        qz = made.encode(x)
        path = Path(x, qz, made.decode(qz.mean))
    nats = FEATURES["pixel_nats"](path)
    assert nats.shape == (4, channels * 64)
    torch.testing.assert_close(nats.sum(1), -path.px.log_prob(x), rtol=1e-5, atol=1e-4)


def test_what_is_far_from_the_training_images_scores_higher(model):
    made = model()
    dark = ImageData("dark", torch.randint(30, (60, 1, 8, 8), dtype=torch.uint8))
    bright = ImageData("bright", 225 + dark.images)
    reference = Reference.fit(made, dark, "grey")
    options = {"scores": ["likelihood_path", "likelihood_path_copod"], "reference": reference}
    normal, anomalous = (anomaly_scores(made, data, "grey", **options) for data in (dark, bright))
    for name in options["scores"]:
        assert anomalous[name].min() > normal[name].median()


def test_a_reference_survives_as_plain_arrays(model, images, reference, tmp_path):
    np.savez(tmp_path / "reference.npz", **reference.arrays())
    with np.load(tmp_path / "reference.npz", allow_pickle=False) as arrays:
        again = Reference.from_arrays(arrays)
    assert again.n == 40
    spec = "likelihood_path:features=mean/log_std/pixel_nats"
    one, two = (anomaly_scores(model(), images(5), "dynamic", scores=[spec], reference=r) for r in (reference, again))
    assert torch.equal(one[spec], two[spec])
    with pytest.raises(DataError, match="arrays of a reference"):
        Reference.from_arrays({"kl|mean": np.zeros(1)})


def test_parts_are_measured_once(model, images):
    made, encoded = model(), []
    scores = chosen_scores(made, ["reconstruction", "negative_elbo", "kl"])
    measured = Measured(made, images(5), "grey", Effort(samples=1))
    made.encoder.register_forward_hook(lambda module, inputs, output: encoded.append(len(inputs[0])))
    for score in scores.values():
        score(measured, {})
    assert sum(encoded) == 5 + 1  # one image more, to see how much memory it takes


def test_each_pass_shows_its_progress(model, images):
    from contextlib import contextmanager

    shown = {}

    @contextmanager
    def bar(description, total):
        shown[description] = [total]
        yield shown[description].append

    anomaly_scores(model(), images(7), "grey", progress=bar, **QUICK)
    assert set(shown) == {"bounds, noise", "log-likelihood, noise", "likelihood regret, noise"}
    assert all(total == sum(steps) == 7 for total, *steps in shown.values())


def test_an_autoencoder_has_a_reconstruction_alone(model, images):
    made, data = model(kind="autoencoder"), images(4)
    found = anomaly_scores(made, data, "grey", reference=Reference.fit(made, data, "grey"))
    assert list(found) == ["reconstruction"]
    assert torch.equal(found["reconstruction"], evaluate_bounds(made, data, "grey").reconstruction)
    for name in sorted(set(ROWS) - {"reconstruction"}):
        with pytest.raises(UsageError, match=f"no posterior, so no score '{name}'; use the score reconstruction"):
            anomaly_scores(made, data, "grey", scores=[name])


def test_colours_single_images_and_constant_pixels(model):
    made = model(image_shape=(3, 8, 8))
    flat = ImageData("flat", torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    one = ImageData("one", torch.full((1, 3, 8, 8), 255, dtype=torch.uint8))
    for known in (flat, one):
        reference = Reference.fit(made, known, "grey")
        for data in (flat, one):
            found = anomaly_scores(made, data, "grey", reference=reference, **QUICK)
            assert set(found) == set(ROWS)
            assert all(values.isfinite().all() and (values == values[0]).all() for values in found.values())


def test_refusals(model, images):
    data = images(3)
    for kind in ("vae", "m2", "autoencoder"):
        with pytest.raises(UsageError, match=r"conditional model scores an image given its label.*--unconditional"):
            anomaly_scores(model(kind=kind, conditional=True, classes=3), data, "grey")
    with pytest.raises(UsageError, match="unknown score 'kll'; did you mean kl"):
        anomaly_scores(model(), data, "grey", scores=["kll"])
    with pytest.raises(UsageError, match="'kl' stands twice"):
        anomaly_scores(model(), data, "grey", scores=["kl", "all"])
    with pytest.raises(UsageError, match="at least one score, got none"):
        anomaly_scores(model(), data, "grey", scores=[])
    with pytest.raises(UsageError, match="has no option 'rate'"):
        anomaly_scores(model(), data, "grey", scores=["likelihood_regret:rate=1"])
    with pytest.raises(UsageError, match="unknown feature 'men'"):
        anomaly_scores(model(), data, "grey", scores=["likelihood_path:features=men/"])
    with pytest.raises(UsageError, match="'likelihood_path' compares with the training images; give a reference"):
        anomaly_scores(model(), data, "grey", scores=["likelihood_path"])
    with pytest.raises(UsageError, match="samples ≥ 1, got 0"):
        anomaly_scores(model(), data, "grey", samples=0)
    with pytest.raises(DataError, match="3×8×8"):
        anomaly_scores(model(), images(2, 3), "grey", scores=["kl"])
    broken = model()
    with torch.no_grad():
        broken.decoder.first.linear.bias.fill_(torch.nan)
    with pytest.raises(VaelabError, match="finite scores, got others for 3 of 3 images from reconstruction"):
        anomaly_scores(broken, data, "grey", scores=["reconstruction"])
