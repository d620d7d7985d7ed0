"""M1, then M1+M2, by their flags; and what does not fit, in one sentence."""

from __future__ import annotations

import json

import pytest

SMALL = ("--data", "digits", "--device", "cpu", "--variant", "grey", "--batch-size", 256, "--epochs", 1, "--quiet")


@pytest.fixture(scope="module")
def m1(vaelab, tmp_path_factory):
    out = tmp_path_factory.mktemp("m1") / "m1"
    parts = ("--latent", 4, "--encoder", "mlp:hidden=32/", "--decoder", "mlp:hidden=32/")
    assert vaelab("train", "--preset", "m1", *SMALL, *parts, "--out", out).code == 0
    return out


def test_a_stack_is_trained_and_evaluated_by_flags(vaelab, m1, tmp_path):
    out = tmp_path / "stack"
    flags = ("--labels", 40, "--labels-seed", 3, "--labelled-batch", 64, "--top", "m2:latent=2,hidden=16,classifier=16")
    trained = vaelab("train", "--preset", "m1m2", "--m1", m1, *SMALL, *flags, "--out", out, "--json")
    assert trained.code == 0, trained
    config = json.loads((out / "config.json").read_text())
    assert (config["data"]["labels"], config["data"]["labels_seed"]) == (40, 3)
    assert (config["training"]["m1"], config["training"]["labelled_batch"]) == (str(m1), 64)
    assert (config["model"]["latent"], config["model"]["encoder"]) == (4, "mlp:hidden=32/")
    assert trained.json["steps"] == -(-(config["environment"]["train"] - 40) // (256 - 64))
    m1.rename(m1.with_name("moved"))
    try:
        measured = vaelab("evaluate", out, "--json", "--quiet")
    finally:
        m1.with_name("moved").rename(m1)
    assert "given the label" in measured.json["negative_elbo"]["protocol"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--preset", "digits-cvae", "--labels", 100), ("labels=100 hides", "choose the preset m2")),
        (("--preset", "m1m2"), ("--m1",)),
        (("--preset", "digits-m2", "--labelled-batch", 256), ("below the batch size 256",)),
        (("--preset", "digits-m2", "--labels-choice", "strat"), ("did you mean stratified",)),
        (("--preset", "digits-m2", "--objective", "elbo"), ("use m2",)),
        (("--preset", "digits-vae", "--objective", "m2"), ("does not fit a model of kind 'vae'",)),
    ],
)
def test_what_does_not_fit_is_refused(vaelab, tmp_path, flags, words):
    vaelab("train", *flags, *SMALL, "--out", tmp_path / "run").refused(2, *words)
    assert not (tmp_path / "run").exists()
