"""Training with hidden labels: they stay hidden, M1 stays as it is, and a run that was stopped goes on bit for bit."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
from pathlib import Path

import pytest
import torch

from vaelab import workflows
from vaelab.building import build_model
from vaelab.checkpoint import load_checkpoint
from vaelab.config import RunConfig
from vaelab.data import hide_labels
from vaelab.data.images import ImageData, Splits
from vaelab.errors import CheckpointError, DataError, Interrupted, UsageError
from vaelab.run import DataAccess, Run
from vaelab.training import Callback, Row, Training, fit
from vaelab.workflows import resume, train

SMALL = {"encoder": "mlp:hidden=16", "decoder": "mlp:hidden=16", "latent": 3}
TOP = "m2:latent=2,hidden=16,classifier=16"
FAST = {"epochs": 2, "batch_size": 256, "labelled_batch": 64, "checkpoint_steps": 3, "device": "cpu"}
LABELS = {"name": "digits", "labels": 50, "validation": 0.1}


@pytest.fixture(autouse=True, scope="module")
def _no_figures():
    """Drawing the curves would take longer than these trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workflows, "CurvesCallback", Callback)
        yield


def m2(out: Path, **options) -> Run:
    model = {**SMALL, "classifier": "mlp:hidden=16"}
    return train(
        "digits-m2", out=out, data={**LABELS, **options.pop("data", {})}, model=model, training=FAST, **options
    )


@pytest.fixture(scope="module")
def below(tmp_path_factory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "m1"
    return train("digits-vae", out=out, data=LABELS | {"labels": 0}, model=SMALL, training={"epochs": 1})


def stacked(below: Run, out: Path, **options) -> Run:
    model = {"top": TOP}
    training = {**FAST, "m1": str(below.folder.path), **options.pop("training", {})}
    return train("m1m2", out=out, data={**LABELS, "variant": "grey"}, model=model, training=training, **options)


def weights(run: Run, name: str = "last") -> dict[str, torch.Tensor]:
    return load_checkpoint(run.folder.checkpoints, name).tensors["model"]


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


class Scrambled(DataAccess):
    """Every label that training must not see is another one."""

    def load(self, config: RunConfig) -> Splits:
        splits, data = super().load(config), config.data
        seen = hide_labels(splits.train, data.labels, data.labels_seed, data.labels_choice).labels
        wrong = (splits.train.labels + 3) % 10
        parts = [torch.where(seen >= 0, splits.train.labels, wrong), *(1 - p.labels.clamp_max(1) for p in held(splits))]
        made = [
            ImageData(part.name, part.images, labels, part.class_names)
            for part, labels in zip([splits.train, *held(splits)], parts, strict=True)
        ]
        return Splits(*made)


def held(splits: Splits) -> list[ImageData]:
    assert splits.validation is not None
    return [splits.validation, splits.test]


def test_hidden_labels_change_no_bit_of_the_run(tmp_path):
    options = {"data": {"labels_choice": "random"}}  # a stratified choice looks at the labels, to choose
    one, other = m2(tmp_path / "one", **options), m2(tmp_path / "other", access=Scrambled(), **options)
    for name in ("last", "best"):
        assert same(weights(one, name), weights(other, name))
    assert one.folder.history_path.read_bytes() == other.folder.history_path.read_bytes()
    third = m2(tmp_path / "third", data={"labels_choice": "random", "labels_seed": 1})
    assert not same(weights(one), weights(third))
    assert int((third.seen.labels >= 0).sum()) == 50
    assert bool((third.data.train.labels >= 0).all())


class StopAt(Callback):
    def on_epoch(self, training: Training, rows: list[Row]) -> None:
        if training.progress.epoch == 1:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("kind", ["m2", "m1+m2"])
@pytest.mark.parametrize("cut", [2, 8])
def test_a_stopped_run_goes_on_bit_for_bit(kind, cut, below, tmp_path, monkeypatch):
    def begin(out, **options):
        return m2(out, **options) if kind == "m2" else stacked(below, out, **options)

    whole = begin(tmp_path / "whole")
    step = Training.step

    def power_cut(self: Training, *batch) -> None:
        if self.progress.step == cut:
            raise KeyboardInterrupt
        step(self, *batch)

    monkeypatch.setattr(Training, "step", power_cut)
    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "parts")
    monkeypatch.setattr(Training, "step", step)
    assert "training is only at step" in Run.open(tmp_path / "parts").unfinished()
    rest = resume(tmp_path / "parts")
    assert same(weights(whole), weights(rest))
    assert whole.folder.history_path.read_bytes() == rest.folder.history_path.read_bytes()


def test_an_epoch_is_through_the_unlabelled_images(tmp_path):
    run = m2(tmp_path / "run")
    images = run.environment["train"]
    steps = -(-(images - 50) // (256 - 64))
    assert run.final_losses()["train"]["step"] == 2 * steps
    assert not run.unfinished()
    with pytest.raises(Interrupted):
        m2(tmp_path / "stopped", callbacks=[StopAt()])
    assert f"at step {steps} of {2 * steps}" in Run.open(tmp_path / "stopped").unfinished()


def test_the_bound_chooses_the_epoch_without_a_label(tmp_path):
    run = m2(tmp_path / "run")
    rows = run.history().where(split="validation")
    for loss, bound in zip(rows["loss"], rows["negative_elbo"], strict=True):
        assert loss == pytest.approx(bound, rel=1e-6)  # no label, no classification error in the loss


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_m1_stays_as_it_was_and_the_folder_stands_alone(below, tmp_path, average):
    source = Path(shutil.copytree(below.folder.path, tmp_path / "m1"))
    options = {"average": average, "weight_decay": 0.1, "optimizer": "adamw", "m1": str(source), "schedule": "constant"}
    made = stacked(below, tmp_path / "run", training=options)
    shutil.rmtree(source)
    opened = Run.open(tmp_path / "run")
    assert opened.config.training.m1 == str(source)
    assert opened.config.model.latent == 3
    assert same(dict(opened.model.m1.state_dict()), dict(below.model.state_dict()))
    x, labels = opened.split("test").images[:20].float() / 255, opened.split("test").labels[:20]
    torch.testing.assert_close(opened.model.classify(x), made.model.cpu().classify(x))
    assert opened.model.embed(x, labels).shape == (20, 5)
    assert "given the label" in opened.evaluate()["negative_elbo"].protocol
    assert resume(tmp_path / "run", epochs=3).final_losses()["train"]["epoch"] == 3


def test_a_run_of_an_earlier_version_without_the_new_keys_opens(below, tmp_path):
    copy = Path(shutil.copytree(below.folder.path, tmp_path / "old"))
    values = json.loads((copy / "config.json").read_text())
    for section, keys in {
        "data": ("labels", "labels_choice", "labels_seed"),
        "model": ("classifier", "top"),
        "training": ("m1", "labelled_batch"),
    }.items():
        for key in keys:
            del values[section][key]
    (copy / "config.json").write_text(json.dumps(values))
    assert Run.open(copy).evaluate()["negative_elbo"].value == below.evaluate()["negative_elbo"].value


def test_labels_are_given_as_minus_one_in_python_too():
    images = torch.randint(256, (64, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    data = ImageData("mine", images, torch.arange(64) % 8 // 7 * 2 - 1, ("a", "b"))
    config = RunConfig.from_dict({"model": {**SMALL, "kind": "m2", "image_shape": [1, 8, 8], "classes": 2}})
    model = build_model(config.model)
    training = dataclasses.replace(config.training, objective="m2", batch_size=16, labelled_batch=4, epochs=1)
    assert fit(model, data, training).progress.step == 5
    for labels, sentence in ((torch.full((64,), -1), "learns its classes from labelled"), (None, "learns its classes")):
        names = () if labels is None else ("a", "b")
        with pytest.raises(DataError, match=sentence):
            fit(model, ImageData("mine", images, labels, names), training)
    conditional = build_model(dataclasses.replace(config.model, kind="vae", conditional=True))
    with pytest.raises(DataError, match="expected a label for each image, got images of mine without one"):
        fit(conditional, data, dataclasses.replace(training, objective="elbo", labelled_batch=0))
    with pytest.raises(UsageError, match="labelled_batch=4 is for models of kind m2"):
        fit(
            conditional,
            data.take(torch.nonzero(data.labels >= 0)[:, 0]),
            dataclasses.replace(training, objective="elbo", batch_size=5),
        )


def refused(tmp_path, preset: str, error: type[Exception] = UsageError, **changes) -> str:
    with pytest.raises(error) as caught:
        train(preset, out=tmp_path / "run", **changes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    return str(caught.value)


def test_what_does_not_fit_is_refused_in_one_sentence_before_a_folder_is_made(below, tmp_path):
    digits = {"name": "digits"}
    assert "labels=100 hides" in refused(tmp_path, "digits-cvae", data={"labels": 100})
    assert "labels=100 hides" in refused(tmp_path, "digits-vae", data={"labels": 100})
    assert "expected a number ≥ 0 (0: all) for labels" in refused(tmp_path, "digits-m2", data={"labels": -1})
    assert "choice of labels" in refused(tmp_path, "digits-m2", data={"labels_choice": "any"})
    assert "below the batch size" in refused(tmp_path, "digits-m2", training={"labelled_batch": 128})
    assert "at least 5000 labels, got" in refused(tmp_path, "digits-m2", DataError, data={"labels": 5000})
    assert "give its folder: --m1" in refused(tmp_path, "m1m2", data=digits)
    assert "is for models of kind m1+m2" in refused(tmp_path, "digits-m2", training={"m1": "somewhere"})
    refused(tmp_path, "m1m2", CheckpointError, data=digits, training={"m1": str(tmp_path / "none")})
    m1 = {"m1": str(below.folder.path)}
    larger = refused(tmp_path, "m1m2", DataError, data=digits | {"image_size": 16}, training=m1)
    assert "expected an m1 of images of 1×16×16, got one of 1×8×8" in larger
    above = stacked(below, tmp_path / "above")
    wrong = refused(tmp_path, "m1m2", data=digits, training={"m1": str(above.folder.path)})
    assert "expected the folder of a VAE without condition" in wrong
