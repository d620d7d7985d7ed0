"""Estimators as run folders and as pickles."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import vaelab
from tests.estimators.small import CLASSES, QUICK, assert_same, outputs
from vaelab.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vaelab.errors import CheckpointError, UsageError
from vaelab.estimators import (
    CVAEClassifier,
    DenoisingAutoencoder,
    SemiSupervisedVAEClassifier,
    VAEOutlierDetector,
    VAETransformer,
)

OPTIONS = {
    VAETransformer: [{}, {"hidden": [8, 4], "prior": "mixture:components=2"}, {"latent": np.int64(3)}],
    CVAEClassifier: [{"priors": np.array([0.5, 0.25, 0.25])}],
    SemiSupervisedVAEClassifier: [{}],
    VAEOutlierDetector: [{}, {"anomaly_score": "likelihood_path"}, {"anomaly_score": "likelihood_path_copod"}],
    DenoisingAutoencoder: [{"corruption": "masking:fraction=0.2"}],
}


@pytest.mark.parametrize(("cls", "options"), [(cls, options) for cls in CLASSES for options in OPTIONS[cls]])
def test_a_loaded_estimator_is_the_saved_one(cls, options, table, tmp_path):
    X, y = table
    saved = cls(**{**QUICK, **options}).fit(X, y)
    saved.save(tmp_path / "saved")
    loaded = cls.load(tmp_path / "saved")
    assert_same(outputs(saved, X), outputs(loaded, X))
    assert_same(outputs(saved, X), outputs(pickle.loads(pickle.dumps(saved)), X))  # noqa: S301
    assert vars(loaded).keys() == vars(saved).keys()
    assert_same(outputs(loaded.fit(X, y), X), outputs(saved, X))  # the parameters, too, are the same
    if cls is VAETransformer:
        np.testing.assert_array_equal(loaded.sample(3), saved.sample(3))


@pytest.mark.parametrize("cls", CLASSES)
def test_images_and_names(cls, tmp_path):
    X = np.random.RandomState(0).uniform(size=(6, 64))
    names = [f"pixel{number}" for number in range(64)]
    table = pd.DataFrame(X, columns=names)
    saved = cls(**QUICK, image_shape=(1, 8, 8)).fit(table, np.arange(6) % 2 == 0)
    saved.save(tmp_path)
    loaded = cls.load(tmp_path)
    assert_same(outputs(saved, table), outputs(loaded, table))
    assert loaded.image_shape == (1, 8, 8)
    assert loaded.feature_names_in_.tolist() == names
    assert loaded.feature_names_in_.dtype == object


@pytest.mark.parametrize(
    "classes",
    [np.array([3, 1]), np.array([0.0, 2.0]), np.array([True, False]), np.array(["b", "a"]), np.array(["b", "a"], "O")],
    ids=str,
)
def test_classes_of_every_kind(classes, table, tmp_path):
    y = classes[np.arange(60) % 2]
    saved = CVAEClassifier(**QUICK).fit(table[0], y)
    saved.save(tmp_path)
    loaded = CVAEClassifier.load(tmp_path)
    assert loaded.classes_.dtype == saved.classes_.dtype
    np.testing.assert_array_equal(loaded.predict(table[0]), saved.predict(table[0]))


def test_nothing_in_the_folder_is_a_pickle(table, tmp_path):
    VAETransformer(**QUICK).fit(table[0]).save(tmp_path)
    names = sorted(path.name.split(".", 1)[-1] for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["estimator.safetensors", "json", "json", "lock", "model.safetensors", "state.json"]


def test_what_is_there_is_not_overwritten_unasked(table, tmp_path):
    vae = VAETransformer(**QUICK).fit(table[0])
    vae.save(tmp_path)
    with pytest.raises(UsageError, match="already holds a run"):
        vae.save(tmp_path)
    VAETransformer(**{**QUICK, "latent": 3}).fit(table[0]).save(tmp_path, overwrite=True)
    assert VAETransformer.load(tmp_path).latent == 3


def test_only_what_is_fitted_and_can_be_written_is_saved(table, tmp_path):
    with pytest.raises(NotFittedError):
        VAETransformer().save(tmp_path / "none")
    vae = VAETransformer(**{**QUICK, "random_state": np.random.RandomState(0)}).fit(table[0])
    with pytest.raises(ValueError, match=r"random_state cannot be saved: expected numbers or words, got RandomState"):
        vae.save(tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_a_folder_of_another_kind_is_refused(table, tmp_path):
    VAETransformer(**QUICK).fit(table[0]).save(tmp_path / "vae")
    with pytest.raises(CheckpointError, match="holds a VAETransformer; load it with that class, not with CVAE"):
        CVAEClassifier.load(tmp_path / "vae")
    with pytest.raises(UsageError, match="holds a scikit-learn estimator"):
        vaelab.Run.open(tmp_path / "vae")
    with pytest.raises(CheckpointError, match="does not exist"):
        VAETransformer.load(tmp_path / "nothing")
    vaelab.train("digits-vae", out=tmp_path / "run", training={"epochs": 1})
    with pytest.raises(CheckpointError, match="holds a run that is no estimator"):
        VAETransformer.load(tmp_path / "run")


def changed(folder: Path, change) -> None:
    checkpoint = load_checkpoint(folder / "checkpoints", "last")
    change(checkpoint)
    save_checkpoint(folder / "checkpoints", "last", checkpoint)


def without_mean(checkpoint: Checkpoint) -> None:
    del checkpoint.tensors["estimator"]["mean"]


def unknown_parameter(checkpoint: Checkpoint) -> None:
    checkpoint.state["estimator"]["parameters"]["nonsense"] = 1


def method_in_the_place_of_a_number(checkpoint: Checkpoint) -> None:
    checkpoint.state["estimator"]["fitted"]["predict"] = 1


def other_weights(checkpoint: Checkpoint) -> None:
    del checkpoint.tensors["model"]["posterior.mean.bias"]


@pytest.mark.parametrize(
    "change",
    [without_mean, unknown_parameter, method_in_the_place_of_a_number, other_weights],
    ids=lambda c: c.__name__,
)
def test_a_damaged_folder_is_refused_in_one_sentence(change, table, tmp_path):
    VAETransformer(**QUICK).fit(table[0]).save(tmp_path)
    changed(tmp_path, change)
    with pytest.raises(CheckpointError) as caught:
        VAETransformer.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_damaged_configuration_is_refused(table, tmp_path):
    VAETransformer(**QUICK).fit(table[0]).save(tmp_path)
    document = json.loads((tmp_path / "config.json").read_text())
    document["model"]["latent"] = "two"
    (tmp_path / "config.json").write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match="is damaged or of another version: expected int for latent"):
        VAETransformer.load(tmp_path)


def test_the_loss_curve_is_kept(table, tmp_path):
    saved = VAETransformer(**QUICK).fit(table[0])
    saved.save(tmp_path)
    assert VAETransformer.load(tmp_path).loss_curve_ == saved.loss_curve_
    assert all(math.isfinite(loss) for loss in saved.loss_curve_)
