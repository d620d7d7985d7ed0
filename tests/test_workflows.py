"""From a preset to a run folder, and what can be asked of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import vaelab
from vaelab.data.images import ImageData, Splits
from vaelab.devices import threads
from vaelab.errors import CheckpointError, DataError, UsageError, VaelabError
from vaelab.metrics import MetricsNotSavedError
from vaelab.pictures import fitting_kinds
from vaelab.run import Run, fingerprint
from vaelab.training import Callback, Training
from vaelab.workflows import resume, train

FAST = {"epochs": 2}


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train("digits-vae", out=tmp_path_factory.mktemp("runs") / "vae", training=FAST)


@pytest.fixture(scope="module")
def cvae(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train("digits-cvae", out=tmp_path_factory.mktemp("runs") / "cvae", training=FAST)


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Run:
    changes = {"data": "digits", "training": {**FAST, "batch_size": 64}, "model": {"encoder": "mlp", "decoder": "mlp"}}
    return train("denoising", out=tmp_path_factory.mktemp("runs") / "dae", **changes)


def test_the_folder_holds_what_the_design_says(vae: Run) -> None:
    names = {path.name for path in vae.folder.path.iterdir()}
    assert {"config.json", "history.csv", "checkpoints", "figures", "samples"} <= names
    assert (vae.folder.figures / "curves.png").exists()
    assert sorted(vae.epoch_samples()) == [1, 2]
    config = json.loads(vae.folder.config_path.read_text())
    assert config["environment"]["train"] == 1438
    assert config["model"]["image_shape"] == [1, 8, 8]


def test_an_opened_run_gives_the_same_numbers(vae: Run) -> None:
    again = Run.open(vae.folder.path)
    assert again.evaluate(importance_samples=5) == vae.evaluate(importance_samples=5)
    assert torch.equal(again.sample(3, seed=1), vae.sample(3, seed=1))


def test_metrics_json_has_value_error_unit_n_and_protocol(vae: Run) -> None:
    vae.evaluate()
    entries = json.loads(vae.folder.metrics_path.read_text())
    for name in ("negative_elbo", "reconstruction", "kl"):
        entry = entries[name]
        assert set(entry) == {"value", "standard_error", "unit", "n", "protocol"}
        assert entry["unit"] == "nats per image"
        assert entry["n"] == 359
        assert "unnormalised Bernoulli" in entry["protocol"] or name == "kl"
    total = entries["reconstruction"]["value"] + entries["kl"]["value"]
    assert entries["negative_elbo"]["value"] == pytest.approx(total)


def test_another_split_does_not_replace_the_test_numbers(vae: Run) -> None:
    test = vae.evaluate()["negative_elbo"]
    vae.evaluate("train")
    metrics = vae.folder.metrics()
    assert metrics["negative_elbo"] == test
    assert metrics["train_negative_elbo"].n == 1438
    with pytest.raises(UsageError, match="no validation images"):
        vae.evaluate("validation")


@pytest.mark.parametrize("name", ["vae", "cvae", "autoencoder"])
def test_every_fitting_figure_is_drawn(name: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(name)
    for kind in fitting_kinds(run):
        assert isinstance(run.figure(kind, count=3, cells=3), Figure)


def test_a_denoising_autoencoder_is_evaluated_on_both_inputs(autoencoder: Run) -> None:
    metrics = autoencoder.evaluate()
    assert list(metrics) == ["reconstruction", "denoising"]
    assert f"input corrupted by {autoencoder.config.training.corruption}" in metrics["denoising"].protocol


def test_the_diagnosis_knows_how_the_weights_began(vae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("vaelab.run.diagnose", lambda statistics, init: seen.append(init) or [])
    assert vae.diagnose() == []
    assert seen == [vae.config.model.init]


def test_figures_that_do_not_fit_say_why(vae: Run, autoencoder: Run) -> None:
    with pytest.raises(UsageError, match="did you mean latent-grid"):
        vae.figure("latent-gird")
    with pytest.raises(UsageError, match="needs a conditional model"):
        vae.figure("samples-per-class")
    with pytest.raises(UsageError, match="no prior to sample from"):
        autoencoder.figure("samples")
    with pytest.raises(UsageError, match="2 latent dimensions"):
        autoencoder.figure("latent-grid")
    with pytest.raises(UsageError, match="no prior to sample from"):
        autoencoder.sample(3)


def test_samples_of_a_class(vae: Run, cvae: Run) -> None:
    images = cvae.sample(5, label=3)
    assert images.shape == (5, 1, 8, 8)
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1
    assert not torch.equal(images, cvae.sample(5, label=4))
    with pytest.raises(UsageError, match="label in 0…9, got 10"):
        cvae.sample(5, label=10)
    with pytest.raises(UsageError, match="no condition"):
        vae.sample(5, label=1)


def test_resume_can_make_a_run_longer_and_equals_the_long_run(tmp_path: Path) -> None:
    constant = {"schedule": "constant", "lr": 1e-3}
    long = train("digits-vae", out=tmp_path / "long", training={**constant, "epochs": 3})
    train("digits-vae", out=tmp_path / "short", training={**constant, "epochs": 1})
    longer = resume(tmp_path / "short", epochs=3)
    left, right = long.model.state_dict(), longer.model.state_dict()
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert Run.open(tmp_path / "short").config.training.epochs == 3


def test_resume_refuses_what_would_not_be_the_same_run(vae: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one-cycle"):
        resume(vae.folder.path, epochs=9)
    images = np.zeros((40, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", images=images)
    changes = {"batch_size": 8, "epochs": 1}
    train("digits-vae", out=tmp_path / "run", data=str(tmp_path / "own.npz"), training=changes)
    np.savez(tmp_path / "own.npz", images=images + 1)
    with pytest.raises(DataError, match="not those this run was trained on"):
        resume(tmp_path / "run")


def test_the_fingerprint_knows_every_part_its_shape_and_its_labels() -> None:
    images, labels = torch.zeros(4, 1, 8, 16, dtype=torch.uint8), torch.tensor([0, 1, 0, 1])
    one = ImageData("a", images, labels, ("x", "y"))
    others = [
        ImageData("a", images),
        ImageData("a", images, 1 - labels, ("x", "y")),
        ImageData("a", images.reshape(4, 1, 16, 8), labels, ("x", "y")),
        one.take(torch.arange(3)),
    ]
    splits = [Splits(one, None, one), Splits(one, one, one), *(Splits(one, None, other) for other in others)]
    splits += [Splits(one, other, one) for other in others] + [Splits(other, None, one) for other in others]
    assert len({fingerprint(parts) for parts in splits}) == len(splits)
    assert fingerprint(Splits(one, None, one.to("cpu"))) == fingerprint(splits[0])


def test_a_run_made_longer_forgets_the_metrics_of_its_earlier_weights(tmp_path: Path) -> None:
    constant = {"schedule": "constant", "epochs": 1}
    run = train("digits-vae", out=tmp_path / "run", training=constant)
    run.evaluate()
    assert resume(tmp_path / "run").folder.metrics(), "nothing was left to train"
    assert not resume(tmp_path / "run", epochs=2).folder.metrics()


def test_metrics_that_cannot_be_saved_are_not_lost(vae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = vae.evaluate()

    def full(*_: object) -> None:
        raise VaelabError("cannot write metrics.json: No space left on device; free space")

    monkeypatch.setattr(vae.folder, "write_metrics", full)
    with pytest.raises(MetricsNotSavedError, match="No space left") as caught:
        vae.evaluate()
    assert caught.value.metrics == expected


def test_a_taken_folder_is_refused_and_kept(vae: Run) -> None:
    before = vae.folder.history_path.read_bytes()
    with pytest.raises(UsageError, match="already holds a run"):
        train("digits-vae", out=vae.folder.path, training=FAST)
    assert vae.folder.history_path.read_bytes() == before


def test_nothing_is_made_where_the_data_does_not_fit(tmp_path: Path) -> None:
    np.savez(tmp_path / "few.npz", images=np.zeros((12, 8, 8), dtype=np.uint8))
    with pytest.raises(DataError, match="at least one batch of 64"):
        train("digits-vae", out=tmp_path / "run", data=str(tmp_path / "few.npz"))
    with pytest.raises(UsageError, match="labelled data"):
        train("digits-cvae", out=tmp_path / "run", data=str(tmp_path / "few.npz"), training={"batch_size": 4})
    with pytest.raises(UsageError, match="objective"):
        train("digits-vae", out=tmp_path / "run", training={"objective": "elbow"})
    assert not (tmp_path / "run").exists()


def test_colour_images_of_an_odd_size_work_end_to_end(tmp_path: Path) -> None:
    source = np.random.default_rng(0)
    images = source.integers(0, 256, (60, 13, 9, 3), dtype=np.uint8)
    np.savez(tmp_path / "colour.npz", images=images, labels=np.arange(60) % 4)
    run = train(
        "conv-cvae",
        out=tmp_path / "run",
        data={"name": str(tmp_path / "colour.npz"), "variant": "grey"},
        model={"likelihood": "logistic:components=2"},
        training={"epochs": 1, "batch_size": 16},
    )
    metrics = run.evaluate(importance_samples=3)
    assert metrics["bits_per_dimension"].value > 0
    assert run.sample(2, label=1).shape == (2, 3, 13, 9)
    assert len(run.plot()) >= 8


def test_weights_of_a_damaged_checkpoint_are_refused(cvae: Run, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(cvae.folder.path, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").glob("last-*.model.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="damaged"):
        _ = Run.open(tmp_path / "run").model


def test_the_public_names_are_there() -> None:
    for name in vaelab.__all__:
        assert getattr(vaelab, name) is not None


def test_a_folder_named_like_a_data_set_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert train("digits-vae", out="run", training={"epochs": 1}).config.data.name == "digits"
    with pytest.raises(UsageError, match="expected a data set's name"):
        train("digits-vae", out="other", data=" ")


@pytest.mark.parametrize("change", [{"device": "cuda:99"}, {"device": "bogus"}, {"epochs": 1}])
def test_a_refused_resume_changes_nothing(vae: Run, change: dict[str, object]) -> None:
    before = vae.folder.config_path.read_bytes()
    with pytest.raises(VaelabError):
        resume(vae.folder.path, **change)
    assert vae.folder.config_path.read_bytes() == before
    assert resume(vae.folder.path).config == vae.config


def test_a_resumed_run_uses_the_threads_it_began_with(tmp_path: Path) -> None:
    seen: list[int] = []

    class Watch(Callback):
        def on_start(self, training: Training) -> None:
            seen.append(torch.get_num_threads())

    before = torch.get_num_threads()
    with threads(3):
        train("digits-vae", out=tmp_path / "run", training={"epochs": 1})
    resume(tmp_path / "run", callbacks=[Watch()])
    assert seen == [3]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("prior", ["mixture:components=3", "vamp:components=3"])
def test_all_figures_that_fit_are_drawn_for_priors_without_a_closed_form(prior: str, tmp_path: Path) -> None:
    run = train("digits-cvae", out=tmp_path / "run", model={"prior": prior}, training={"epochs": 1})
    assert "kl-per-dimension" not in fitting_kinds(run)
    assert len(run.plot(count=2, cells=2)) == len(fitting_kinds(run))
