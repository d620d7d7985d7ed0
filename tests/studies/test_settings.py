"""From words, a file and defaults to the settings of a study."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tests.studies import toy
from vaelab.errors import UsageError
from vaelab.studies import NAMES, get
from vaelab.studies.asking import Asked, settings_of
from vaelab.studies.settings import Settings, option_value


def settings(**asked) -> Settings:
    return settings_of(toy.TOY, Asked(quick=True, **asked))


def test_words_beat_the_file_and_the_file_the_defaults(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text('seed = 3\ndata = "digits"\n[options]\nepochs = 7\nscale = 3\n[models.vae.training]\nlr = 0.5\n')
    found = settings_of(toy.TOY, Asked(config=file, assignments=["epochs=9", "sizes=4/8", "vae.model.latent=3"]))
    assert (found.data, found.seed, found["epochs"], found["scale"], found["sizes"]) == ("digits", 3, 9, 3.0, (4, 8))
    config = found.config("vae", "digits-vae")
    assert (config.training.lr, config.model.latent, config.training.seed) == (0.5, 3, 3)


def test_training_flags_are_of_every_model():
    assert settings(training={"epochs": 4}).config("any", "conv-vae").training.epochs == 4


def test_training_flags_win_over_the_file(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text("[models.vae.training]\nepochs = 20\nlr = 0.5\n[models.vae.model]\nlatent = 3\n")
    config = settings(config=file, training={"epochs": 3}).config("vae", "digits-vae")
    assert (config.training.epochs, config.training.lr, config.model.latent) == (3, 0.5, 3)


def test_own_images_are_held_out_by_share(tmp_path):
    own = settings(data=str(tmp_path / "own.npz"))
    assert dataclasses.replace(own, quick=False).config("vae", "gaussian-vae").data.validation == 0.1
    real = dataclasses.replace(own, quick=False, data="mnist")
    assert real.config("vae", "gaussian-vae").data.validation == 5000


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_values_within_its_bounds(name):
    study = get(name)
    for option in study.options:
        for value in (study.options[option].value, study.options[option].quick):
            assert option_value(option, value, study.options) == value


@pytest.mark.parametrize(
    ("name", "word", "sentence"),
    [
        ("generative-classifier", "samples=0", "at least 10 for samples, got 0"),
        ("generative-classifier", "*.model.latent=4", "expected 2 latent dimensions for the model vae-2"),
        ("gaussian-elbo", "points=1", "at least 2 for points"),
        ("conv-cvae", "extent=0", "above 0 for extent"),
        ("conv-cvae", "latents=2/-4", "at least 0 for latents, got -4"),
        ("semi-supervised", "methods=svm+foo", "unknown methods 'foo'; expected one or more of"),
        ("semi-supervised", "near=1", "at most 0.99 for near"),
        ("loss-terms", "weight=nan", "above 0 for weight, got nan"),
        ("loss-terms", "hidden=0", "at least 1 for hidden"),
    ],
)
def test_values_out_of_bounds_are_one_sentence(name, word, sentence):
    study = get(name)
    with pytest.raises(UsageError, match=re.escape(sentence)):
        study.steps(settings_of(study, Asked(assignments=[word])))


def test_the_toml_of_a_report_gives_the_same_settings(tmp_path):
    from vaelab.studies.reporting import to_toml

    found = settings(assignments=["sizes=4/8", "*.training.lr=1e-3"], seed=5)
    (tmp_path / "again.toml").write_text(to_toml(toy.TOY, found))
    assert settings_of(toy.TOY, Asked(config=tmp_path / "again.toml")) == found


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"assignments": ["epoch=3"]}, "unknown option 'epoch' of the study; did you mean epochs?"),
        ({"assignments": ["epochs=x"]}, "expected a whole number for epochs, got 'x'"),
        ({"assignments": ["epochs"]}, "expected NAME=VALUE for --set"),
        ({"assignments": ["sizes=a/b"]}, "expected whole numbers separated by / for sizes"),
        ({"assignments": ["vae.data.name=x"]}, "MODEL.training.KEY"),
        ({"assignments": ["vae.training.speed=1"]}, "unknown key 'speed'"),
        ({"seed": -1}, "expected --seed from 0"),
        ({"device": "gpu"}, "device"),
    ],
)
def test_wrong_words_are_one_sentence(asked, sentence):
    with pytest.raises(UsageError, match=sentence.replace("?", r"\?")):
        settings(**asked)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sede = 1", "unknown key 'sede'"),
        ("seed = 1.5", "expected int for seed"),
        ("[models]\nvae = 1", "expected tables"),
        ("[models.vae.data]\nname = 'x'", "expected tables"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path, text, sentence):
    file = tmp_path / "study.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        settings(config=file)
