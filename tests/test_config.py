"""`RunConfig`: to and from plain values, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import pytest

from vaelab import presets
from vaelab.config import VARIANTS, RunConfig, check, read_toml
from vaelab.errors import UsageError


def test_to_dict_and_back_is_the_identity_also_through_json():
    config = RunConfig().with_changes(
        data={"name": "folder/", "image_size": 32, "validation": 0.1},
        model={"image_shape": [3, 32, 32], "prior": "mixture:components=5"},
        training={"lr": 3e-4, "patience": 5},
    )
    assert RunConfig.from_dict(config.to_dict()) == config
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_what_is_left_out_comes_from_the_base():
    base = presets.get("conv-cvae")
    changed = RunConfig.from_dict({"training": {"epochs": 3}}, base=base)
    assert changed == dataclasses.replace(base, training=dataclasses.replace(base.training, epochs=3))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"trainin": {}}, "unknown section 'trainin'; did you mean training?"),
        ({"training": {"epoch": 3}}, "unknown key 'epoch' in [training]; did you mean epochs?"),
        ({"data": {"epochs": 3}}, "unknown key 'epochs' in [data]"),
        ({"training": 3}, "expected a table [training] with keys and values, got 3"),
        ({"preset": 3}, "expected str for preset, got 3"),
        ({"training": {"epochs": True}}, "expected int for epochs in [training], got True"),
        ({"training": {"epochs": 3.0}}, "expected int for epochs in [training], got 3.0"),
        ({"training": {"epochs": "3"}}, "expected int for epochs in [training], got '3'"),
        ({"training": {"lr": True}}, "expected float for lr in [training], got True"),
        ({"training": {"lr": None}}, "expected float for lr in [training], got None"),
        ({"training": {"optimizer": 1}}, "expected str for optimizer in [training], got 1"),
        ({"model": {"conditional": 1}}, "expected bool for conditional in [model], got 1"),
        ({"model": {"image_shape": "28"}}, "for image_shape in [model], got '28'"),
        ({"model": {"image_shape": [1, 28.0, 28]}}, "for image_shape in [model]"),
        ({"model": {"image_shape": [True, 28, 28]}}, "for image_shape in [model]"),
        ({"data": {"image_size": 28.0}}, "expected int or nothing for image_size in [data], got 28.0"),
    ],
)
def test_unknown_and_mistyped_keys_are_refused_in_one_sentence(values, sentence):
    with pytest.raises(UsageError) as caught:
        RunConfig.from_dict(values)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whole_numbers_pass_as_floats():
    assert RunConfig.from_dict({"training": {"lr": 1}}).training.lr == 1.0


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("data", "variant", "gray"),
        ("data", "image_size", 7),
        ("data", "validation", -0.1),
        ("data", "validation", 100.5),
        ("data", "validation", float("nan")),
        ("data", "validation", float("inf")),
        ("data", "test", 0.0),
        ("data", "test", 1.0),
        ("data", "test", float("nan")),
        ("data", "seed", -1),
        ("training", "epochs", 0),
        ("training", "batch_size", 0),
        ("training", "optimizer", "sgd"),
        ("training", "lr", 0.0),
        ("training", "lr", -1e-3),
        ("training", "lr", float("nan")),
        ("training", "lr", float("inf")),
        ("training", "weight_decay", -1.0),
        ("training", "weight_decay", float("nan")),
        ("training", "schedule", "one_cycle"),
        ("training", "average", 1.1),
        ("training", "average", -0.1),
        ("training", "clip", -1.0),
        ("training", "clip", float("inf")),
        ("training", "patience", -1),
        ("training", "precision", "fp16"),
        ("training", "device", "gpu"),
        ("training", "device", "cuda:x"),
        ("training", "checkpoint_steps", 0),
        ("training", "seed", -1),
        ("training", "seed", 2**63),
    ],
)
def test_values_out_of_range_are_refused_in_one_sentence_that_names_key_and_value(section, key, value):
    with pytest.raises(UsageError) as caught:
        check(RunConfig().with_changes(**{section: {key: value}}))
    sentence = str(caught.value)
    assert key in sentence or key == "variant"
    assert str(value) in sentence
    assert "\n" not in sentence
    assert caught.value.exit_code == 2


def test_a_nearly_known_word_is_suggested():
    with pytest.raises(UsageError, match=r"unknown schedule 'one_cycle'; did you mean one-cycle\?"):
        check(RunConfig().with_changes(training={"schedule": "one_cycle"}))
    with pytest.raises(UsageError, match=r"unknown pixel variant 'gray'; did you mean grey\?"):
        check(RunConfig().with_changes(data={"variant": "gray"}))


def test_patience_needs_validation_images():
    with pytest.raises(UsageError, match="patience=3 needs validation images to watch; set validation"):
        check(RunConfig().with_changes(training={"patience": 3}))
    check(RunConfig().with_changes(training={"patience": 3}, data={"validation": 0.1}))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data": {"image_size": 8, "validation": 5000, "test": 0.5}},
        {"training": {"device": "cuda:1", "seed": 2**63 - 1, "average": 0.999, "epochs": 1, "batch_size": 1}},
        {"training": {"optimizer": "adamw", "weight_decay": 0.1, "precision": "bf16", "device": "mps", "clip": 1}},
    ],
)
def test_values_at_the_edge_pass(changes):
    check(RunConfig().with_changes(**changes))


def test_the_variants_are_those_of_the_data():
    from vaelab.data import VARIANTS as prepared

    assert tuple(prepared) == VARIANTS


def test_toml_is_read_and_a_bad_file_is_named(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('[training]\nepochs = 3\n[model]\nprior = "mixture:components=5"\n', encoding="utf-8")
    assert RunConfig.from_dict(read_toml(path)).training.epochs == 3
    path.write_text("[training\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"run\.toml is no valid TOML"):
        read_toml(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"run\.toml is no valid TOML"):
        read_toml(path)
    with pytest.raises(UsageError, match="cannot read the configuration"):
        read_toml(tmp_path / "missing.toml")
