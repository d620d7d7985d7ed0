"""What the estimators promise beyond scikit-learn's checks."""

from __future__ import annotations

import math
import os
import signal
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import vaelab
from tests.estimators.small import CLASSES, QUICK, assert_same, outputs
from vaelab.estimators import (
    CVAEClassifier,
    DenoisingAutoencoder,
    SemiSupervisedVAEClassifier,
    VAEOutlierDetector,
    VAETransformer,
)
from vaelab.evaluation import log_likelihood


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


@pytest.fixture(scope="module")
def fitted(table):
    return {cls: cls(**QUICK).fit(*table) for cls in CLASSES}


# --- numbers --------------------------------------------------------------------------------------------------------


def test_a_linear_vae_comes_close_to_probabilistic_pca_and_never_above():
    """Its optimum is known in closed form (Tipping & Bishop 1999), and the units of the features count."""
    source = np.random.RandomState(0)
    units = np.array([1, 10, 100, 0.1, 1])
    X = (source.normal(size=(200, 2)) @ source.normal(size=(2, 5)) + 0.3 * source.normal(size=(200, 5))) * units + 7
    scaler = StandardScaler().fit(X)
    best = PCA(2).fit(scaler.transform(X)).score(scaler.transform(X)) - np.log(scaler.scale_).sum()
    vae = VAETransformer(2, hidden=(), lr=5e-2, epochs=300, batch_size=200, samples=300, random_state=0).fit(X)
    assert best - 0.1 < vae.score(X) < best + 0.02


def test_the_unit_of_a_feature_changes_the_density_and_nothing_else(table, fitted):
    X, _ = table
    vae = fitted[VAETransformer]
    metres = VAETransformer(**QUICK).fit(X / 4 + 2)  # powers of two: standardised to nearly the same numbers
    np.testing.assert_allclose(metres.transform(X / 4 + 2), vae.transform(X), rtol=1e-3, atol=1e-4)
    gain = metres.score_samples(X / 4 + 2) - vae.score_samples(X)
    assert gain.mean() == pytest.approx(4 * math.log(4), abs=0.05)


def test_a_score_bounds_the_log_likelihood(digits):
    X, _ = digits
    vae = VAETransformer(**QUICK, likelihood="bernoulli").fit(X)
    model, data, _ = vae._scoring(X[:50])
    better = log_likelihood(model, data, "grey", samples=500).log_likelihood.numpy()
    assert vae.score(X[:50]) < better.mean()


@pytest.mark.parametrize("cls", CLASSES)
def test_a_row_gets_the_same_in_any_batch_and_order(cls, table, fitted):
    X, estimator = table[0], fitted[cls]
    whole, order = outputs(estimator, X), np.random.RandomState(1).permutation(len(X))
    shuffled = outputs(estimator, X[order])
    alone = [outputs(estimator, row[None]) for row in X[:5]]
    for name, values in whole.items():
        tolerance = 1e-6 if name == "transform" else 1e-9  # the one is float32
        if values.dtype.kind == "f":
            np.testing.assert_allclose(values[order], shuffled[name], rtol=tolerance, atol=tolerance)
            np.testing.assert_allclose(
                values[:5], np.concatenate([one[name] for one in alone]), rtol=tolerance, atol=tolerance
            )


@pytest.mark.parametrize("cls", CLASSES)
def test_a_random_state_means_what_scikit_learn_says(cls, table):
    def made(state):
        return outputs(cls(**{**QUICK, "random_state": state}).fit(*table), table[0])

    one = made(7)
    assert_same(one, made(7))
    assert_same(one, made(np.random.RandomState(7)))
    assert not np.array_equal(next(iter(one.values())), next(iter(made(8).values())))


def test_no_global_state_is_touched(table):
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads()
    vae = VAETransformer(**QUICK).fit(table[0])
    vae.score(table[0]), vae.sample(3), vae.sample(3, draw=True)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert torch.get_num_threads() == before[2]
    assert torch.get_default_dtype() == torch.float32


def test_samples_are_in_the_units_of_the_data(table, fitted):
    X, _ = table
    vae = fitted[VAETransformer]
    drawn = vae.sample(4000, draw=True)
    np.testing.assert_array_equal(vae.sample(5), vae.sample(5))
    assert not np.array_equal(vae.sample(5), vae.sample(5, random_state=1))
    np.testing.assert_allclose(drawn.std(0) / X.std(0), 1, atol=0.5)
    np.testing.assert_allclose((drawn.mean(0) - X.mean(0)) / X.std(0), 0, atol=0.5)


def test_denoised_rows_are_nearer_to_the_clean_ones(digits):
    X, _ = digits
    noisy = (X + 0.3 * np.random.RandomState(0).normal(size=X.shape)).clip(0, 1)
    denoiser = DenoisingAutoencoder(16, hidden=64, likelihood="bernoulli", epochs=60, lr=5e-3, random_state=0).fit(X)
    denoised = denoiser.inverse_transform(denoiser.transform(noisy))
    assert ((denoised - X) ** 2).mean() < 0.7 * ((noisy - X) ** 2).mean()
    assert denoiser.score(X) > denoiser.score(noisy)


def test_unlabelled_rows_are_learned_from(table):
    X, words = table
    y = np.unique(words, return_inverse=True)[1]
    some = np.where(np.arange(60) < 6, y, -1)
    options = {**QUICK, "epochs": 40}
    classifier = SemiSupervisedVAEClassifier(**options).fit(X, some)
    assert classifier.classes_.tolist() == [0, 1, 2]
    assert classifier.score(X, y) > 0.9
    alone = SemiSupervisedVAEClassifier(**options).fit(X[:6], some[:6])
    assert not np.allclose(classifier.predict_proba(X), alone.predict_proba(X))
    floats = SemiSupervisedVAEClassifier(**options).fit(X, some.astype(float))
    np.testing.assert_array_equal(floats.predict(X), classifier.predict(X))


def test_class_priors_move_the_posterior_by_bayes_rule(table):
    X, y = table
    flat = CVAEClassifier(**QUICK, bound="mean", priors=[1 / 3, 1 / 3, 1 / 3]).fit(X, y)
    tilted = CVAEClassifier(**QUICK, bound="mean", priors=[0.5, 0.25, 0.25]).fit(X, y)
    odds = tilted.predict_log_proba(X) - flat.predict_log_proba(X)
    np.testing.assert_allclose(odds[:, 0] - odds[:, 1], math.log(2), atol=1e-9)
    np.testing.assert_allclose(tilted.predict_proba(X).sum(1), 1)


@pytest.mark.parametrize("score", ["negative_log_likelihood", "kl", "likelihood_regret", "likelihood_path"])
def test_every_anomaly_score_finds_what_is_far_away(score, table):
    X, _ = table
    detector = VAEOutlierDetector(**{**QUICK, "epochs": 20}, anomaly_score=score, contamination=0.05).fit(X)
    assert (detector.predict(X) == -1).sum() == 3
    far = X.mean(0) + 30 * X.std(0)
    assert detector.score_samples([far])[0] < detector.score_samples(X).mean()


def test_an_outlier_may_lie_beyond_anything_seen(table):
    detector = VAEOutlierDetector(**QUICK).fit(table[0])
    assert detector.predict(table[0].mean(0)[None] + 1e6).tolist() == [-1]


# --- with scikit-learn ----------------------------------------------------------------------------------------------


def test_in_a_pipeline(digits):
    X, y = digits
    vae = VAETransformer(16, hidden=64, epochs=60, lr=5e-3, random_state=0)
    model = make_pipeline(MinMaxScaler(clip=True), vae, LogisticRegression(max_iter=2000))
    assert model.fit(X[:200], y[:200]).score(X[200:], y[200:]) > 0.8
    assert clone(vae).get_params() == vae.get_params()


def test_a_search_over_the_latent_size_takes_the_bound_as_its_score(table):
    search = GridSearchCV(VAETransformer(**QUICK), {"latent": np.arange(1, 3), "hidden": [(), 8]}, cv=2).fit(table[0])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ == pytest.approx(search.cv_results_["mean_test_score"].max())
    assert search.transform(table[0]).shape == (60, search.best_params_["latent"])


# Processes start slowly: each imports all there is.
@pytest.mark.parametrize("backend", [pytest.param("loky", marks=pytest.mark.long), "threading"])
def test_two_workers_get_what_one_gets(backend, table):
    X, y = table
    classifier = CVAEClassifier(**QUICK)
    with parallel_config(backend):
        np.testing.assert_array_equal(
            cross_val_score(classifier, X, y, cv=4, n_jobs=2, scoring="neg_log_loss"),
            cross_val_score(classifier, X, y, cv=4, n_jobs=1, scoring="neg_log_loss"),
        )


def test_tables_with_names(table):
    X = pd.DataFrame(table[0], columns=list("abcd"))
    vae = VAETransformer(**QUICK).set_output(transform="pandas").fit(X)
    found = vae.transform(X)
    assert found.columns.tolist() == ["vaetransformer0", "vaetransformer1"]
    assert vae.feature_names_in_.tolist() == list("abcd")
    np.testing.assert_array_equal(found, VAETransformer(**QUICK).fit(table[0]).transform(table[0]))
    with pytest.raises(ValueError, match="feature names"):
        vae.transform(X[list("abdc")])


def test_an_interrupt_ends_a_search_instead_of_failing_one_fit(table):
    def press():
        os.kill(os.getpid(), signal.SIGINT)

    search = GridSearchCV(VAETransformer(**{**QUICK, "epochs": 5000}), {"latent": [1, 2]}, cv=2)
    timer = threading.Timer(0.3, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        search.fit(table[0])
    timer.join()


def test_verbose_says_how_training_goes(table, capsys):
    vae = VAETransformer(**QUICK, verbose=True).fit(table[0])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"epoch 1 of 3: loss {vae.loss_curve_[0]:.4g}"
    assert len(lines) == len(vae.loss_curve_) == 3
    VAETransformer(**QUICK).fit(table[0])
    assert capsys.readouterr().out == ""


# --- what comes in --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 9)])
def test_images(cls, shape):
    source = np.random.RandomState(0)
    X, y = source.uniform(size=(6, math.prod(shape))), np.arange(6) % 2
    estimator = cls(**QUICK, image_shape=shape).fit(X, y)
    assert estimator.model_.image_shape == shape
    assert type(estimator.model_.encoder).__name__ == "ConvEncoder"
    assert estimator.config_.model.likelihood == "bernoulli"
    for values in outputs(estimator, X).values():
        assert len(values) == 6


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.ones((1, 3)), np.zeros(1)),
        (np.full((5, 1), 7.0), np.arange(5) % 2),
        (np.full((4, 2), 0.1 + 0.2), np.zeros(4)),
        (np.arange(12.0).reshape(6, 2) + 1e9, np.arange(6) % 2),
    ],
    ids=["single row", "one constant feature", "one class", "far from zero"],
)
def test_poor_tables(cls, X, y):
    for name, values in outputs(cls(**QUICK).fit(X, y), X).items():
        assert np.isfinite(values).all(), name


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (
            VAETransformer,
            {"likelihood": "bernoulli"},
            r"expected values in \[0, 1\] for the likelihood 'bernoulli', got -",
        ),
        (VAETransformer, {"latent": 0}, "expected latent ≥ 1, got 0"),
        (VAETransformer, {"latent": 1.5}, "expected int for latent"),
        (VAETransformer, {"epochs": 0}, "expected a number ≥ 1 for epochs, got 0"),
        (VAETransformer, {"epochs": "many"}, "expected int for epochs"),
        (VAETransformer, {"batch_size": 0}, "expected a number ≥ 1 for batch_size"),
        (VAETransformer, {"batch_size": None}, "expected int for batch_size"),
        (VAETransformer, {"lr": -1.0}, "expected a finite number > 0 for lr"),
        (VAETransformer, {"hidden": (0,)}, "expected hidden to be whole numbers ≥ 1"),
        (VAETransformer, {"likelihood": "normale"}, "did you mean normal"),
        (VAETransformer, {"objective": "m2"}, "does not fit"),
        (VAETransformer, {"prior": "vamp"}, "pseudo-inputs"),
        (VAETransformer, {"samples": 0}, "expected samples ≥ 1"),
        (VAETransformer, {"image_shape": (1, 8, 8)}, "expected 4 features"),
        (VAETransformer, {"image_shape": (1, 2, 2), "likelihood": "normal:mean=identity"}, "at least 8×8"),
        (VAETransformer, {"device": "abacus"}, "expected device"),
        (CVAEClassifier, {"bound": "upper"}, "unknown bound"),
        (CVAEClassifier, {"priors": [0.5, 0.5]}, "expected 3 class probabilities"),
        (SemiSupervisedVAEClassifier, {"alpha": -1}, "expected a finite alpha ≥ 0"),
        (SemiSupervisedVAEClassifier, {"batch_size": "large"}, "expected int for batch_size"),
        (VAEOutlierDetector, {"contamination": 0.6}, r"expected a contamination in \(0, 0.5\]"),
        (VAEOutlierDetector, {"contamination": "auto"}, "expected a contamination"),
        (VAEOutlierDetector, {"anomaly_score": "kll"}, "did you mean kl"),
        (DenoisingAutoencoder, {"corruption": "salt-and-pepper"}, "use gaussian or masking"),
        (DenoisingAutoencoder, {"corruption": "gaussian:std=-1"}, "expected a finite std"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(cls, options, message, table):
    X, y = table
    with pytest.raises(ValueError, match=message) as caught:
        next(iter(outputs(cls(**{**QUICK, **options}).fit(X, y), X).values()))
    assert "\n" not in str(caught.value)


def test_rows_without_any_label_are_refused(table):
    with pytest.raises(ValueError, match="at least one labelled row"):
        SemiSupervisedVAEClassifier(**QUICK).fit(table[0], np.full(60, -1))


def test_latents_of_another_size_are_refused(fitted):
    with pytest.raises(ValueError, match="expected 2 columns"):
        fitted[VAETransformer].inverse_transform([[0.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match="n_samples ≥ 1"):
        fitted[VAETransformer].sample(0)


def test_values_beyond_float32_are_refused():
    X = np.array([[0.0], [1.0], [1e300]])
    VAETransformer(**QUICK).fit(X)  # standardised they are small
    vae = VAETransformer(**QUICK).fit(X[:2])
    with pytest.raises(ValueError, match="finite"):
        vae.score_samples(np.array([[1e308]]) * 1.7)


def test_they_are_the_packages_own():
    for cls in CLASSES:
        assert getattr(vaelab, cls.__name__) is cls
