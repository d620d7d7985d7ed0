"""The latent space of a run: numbers, gaps, figures, and what is left out or refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import vaelab
from vaelab.applications.latent import encode, procrustes
from vaelab.errors import DataError, UsageError
from vaelab.run import Run
from vaelab.tasks import latent as task
from vaelab.tasks.latent import LatentNotSavedError, LatentReport, open_other, study_latent_space
from vaelab.tasks.transfer import in_turn, transfer_labels

TINY = {"epochs": 1, "device": "cpu", "schedule": "constant"}
PNG = b"\x89PNG"
MOMENTS = ("mean", "variance", "skewness", "kurtosis")


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the number of candidates nor that of Monte Carlo sets matters here."""
    for name in ("find_gaps", "find_borders"):
        whole = getattr(task, name)
        monkeypatch.setattr(task, name, lambda *a, _f=whole, **k: _f(*a, **k, candidates=200, samples=200))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vae, cvae, vamp, code (an autoencoder of 3 dimensions): of an epoch; tests read them only."""
    folder = tmp_path_factory.mktemp("runs")
    narrow = {"encoder": "mlp:hidden=16", "decoder": "mlp:hidden=16"}
    vaelab.train("digits-vae", out=folder / "vae", training=TINY, model=narrow)
    vaelab.train("digits-cvae", out=folder / "cvae", training=TINY, model=narrow)
    vaelab.train("digits-vae", out=folder / "vamp", training=TINY, model=narrow | {"prior": "vamp:components=3"})
    code = narrow | {"kind": "autoencoder", "latent": 3}
    vaelab.train("digits-vae", out=folder / "code", training=TINY | {"objective": "reconstruction"}, model=code)
    return folder


@pytest.fixture
def copy(runs: Path, tmp_path: Path):
    """name → a copy of that run, which may be written."""
    return lambda name: Run.open(shutil.copytree(runs / name, tmp_path / name), device="cpu")


@pytest.fixture(scope="module")
def report(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> LatentReport:
    place = tmp_path_factory.mktemp("report") / "vae"
    run = Run.open(shutil.copytree(runs / "vae", place), device="cpu")
    other = Run.open(runs / "code", device="cpu")
    return study_latent_space(run, against=other, gaps=3, limit=200)


def test_numbers_and_their_protocols(report):
    joint = {
        "marginal_kl", "mutual_information", "mutual_information_left_out", "linear_accuracy", "knn_accuracy",
        "procrustes", "linear_cka", "aggregate_mean_norm", "aggregate_variance", "aggregate_energy_distance",
        "aggregate_energy_p_value", "aggregate_mardia_skewness", "aggregate_mardia_kurtosis",
    }  # fmt: skip
    of_each = {
        "aggregate_ks",
        "aggregate_ks_p_value",
        "marginal_kl",
        *(f"{of}_{kind}" for of in ("aggregate", "posterior_mean") for kind in MOMENTS),
    }
    names = joint | {f"{name}_of_dimension_{j}" for name in of_each for j in (1, 2)}
    assert names <= set(report.metrics)
    assert all(metric.n == 200 and metric.unit for metric in report.metrics.values())
    assert not report.notes
    whole = ("marginal_kl", "mutual_information", "linear_accuracy", "procrustes", "aggregate_mean_of_dimension_1")
    assert all((report.metrics[name].standard_error or 0) > 0 for name in whole)
    assert "at most log n = 5.30" in report.metrics["mutual_information"].protocol
    assert "fitted on 200 training images" in report.metrics["linear_accuracy"].protocol
    assert "2 and 3 dimensions" in report.metrics["procrustes"].protocol


def test_the_parts_of_the_kl_add_up(report, runs):
    run = Run.open(runs / "vae", device="cpu")
    encoded = encode(run.model, run.data.test, "grey")
    z, qz = encoded.posterior()
    kl = qz.log_prob(z) + 0.5 * (z.square() + np.log(2 * np.pi)).sum(1)
    whole = study_values(report)
    assert whole["marginal_kl"] + whole["mutual_information"] == pytest.approx(float(kl.mean()), abs=0.3)


def study_values(report: LatentReport) -> dict[str, float]:
    return {name: metric.value for name, metric in report.metrics.items()}


def test_agreement_is_that_of_the_posterior_means(copy, runs):
    run, other = copy("vae"), Run.open(runs / "code", device="cpu")
    found = study_latent_space(run, against=other, gaps=0)
    means = [encode(one.model, run.data.test, "grey").means for one in (run, other)]
    assert found.metrics["procrustes"].value == pytest.approx(procrustes(*means).r2)


def test_metrics_gaps_and_figures_are_saved(report):
    folder = report.files[0].parent.parent
    stored = json.loads((folder / "metrics.json").read_text())
    assert stored == {name: metric.to_json() for name, metric in report.metrics.items()}
    assert {path.name for path in report.files} == {
        "aggregate-posterior.png", "latent-gaps.png", "latent-borders.png", "latent-map.png"
    }  # fmt: skip
    assert all(path.read_bytes().startswith(PNG) for path in report.files)
    values = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert [gap["rank"] for gap in values["gaps"]] == [1, 2, 3]
    assert set(values) == {*report.metrics, "gaps", "borders", "notes", "files"}


def test_the_nearest_image_counts_in_the_whole_split(report, runs):
    run = Run.open(runs / "vae", device="cpu")
    means = encode(run.model, run.data.test, "grey").means
    for place in report.gaps + report.borders:
        distance = (means - torch.tensor(place["position"])).norm(dim=1)
        assert float(distance[place["nearest_image"]]) == pytest.approx(place["nearest_distance"], abs=1e-4)
        label = int(run.data.test.labels[place["nearest_image"]])
        assert place["nearest_label"] == run.class_names[label]


def test_a_conditional_model_is_decoded_with_the_label_of_the_nearest_image(copy):
    found = study_latent_space(copy("cvae"), gaps=2, limit=100)
    assert "encoded given the label" in found.metrics["marginal_kl"].protocol
    assert "Σ_c π_c p(z|c)" in found.metrics["marginal_kl"].protocol
    assert len(found.gaps) == 2


def test_an_autoencoder_has_classes_and_agreement_alone(copy, runs):
    found = study_latent_space(copy("code"), against=Run.open(runs / "vae", device="cpu"))
    assert set(found.metrics) == {"linear_accuracy", "knn_accuracy", "procrustes", "linear_cka"}
    assert "codes" in found.metrics["linear_accuracy"].protocol
    assert found.notes == [
        "An autoencoder has no posterior and no prior: aggregate posterior, information, gaps and borders are left out."
    ]
    assert not found.files + found.gaps + found.borders


def test_under_a_learned_prior_there_is_no_test_against_the_normal(copy):
    found = study_latent_space(copy("vamp"), gaps=1, limit=60)
    assert "marginal_kl" in found.metrics
    assert not [name for name in found.metrics if "energy" in name or "_ks_" in name or "marginal_kl_of" in name]
    assert any("The prior is not N(0, I)" in note for note in found.notes)


def test_the_training_images_are_halved(copy):
    found = study_latent_space(copy("vae"), split="train", gaps=0, limit=100, seed=2**70)
    assert [path.name for path in found.files] == ["train-aggregate-posterior.png"]
    assert "fitted on the other half" in found.metrics["train_linear_accuracy"].protocol
    assert found.metrics["train_linear_accuracy"].n == 50
    assert found.metrics["train_marginal_kl"].n == 100


def images_of(folder: Path, pixels: np.ndarray, labels: np.ndarray | None) -> Run:
    arrays = {"images": pixels} | ({} if labels is None else {"labels": labels})
    np.savez(folder / "data.npz", **arrays)
    training = TINY | {"batch_size": 8}
    return vaelab.train("digits-vae", out=folder / "run", data=str(folder / "data.npz"), training=training)


def test_constant_colour_images_of_one_class(tmp_path):
    run = images_of(tmp_path, np.full((40, 8, 8, 3), 7, dtype=np.uint8), np.zeros(40, dtype=np.int64))
    found = study_latent_space(run, gaps=1)
    assert found.metrics["mutual_information"].value == pytest.approx(0, abs=1e-6)
    assert "linear_accuracy" not in found.metrics
    assert [note.split(" left out")[0] for note in found.notes] == [
        "Separability is", "Mardia's tests are", "Borders of classes are"
    ]  # fmt: skip
    assert all(np.isfinite(metric.value) for metric in found.metrics.values())
    with pytest.raises(DataError, match=r"^expected latents that differ between images, got the same one"):
        study_latent_space(run, against=run, gaps=0)


def test_images_without_labels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    found = study_latent_space(images_of(tmp_path, pixels, None), gaps=1)
    assert [note.split(" left out")[0] for note in found.notes] == ["Separability is", "Borders of classes are"]
    assert found.gaps[0]["nearest_label"] is None
    assert found.borders == []


def test_a_single_image_and_wrong_numbers_are_refused(copy, tmp_path):
    run = copy("vae")
    with pytest.raises(UsageError, match=r"^expected limit ≥ 2, got 1$"):
        study_latent_space(run, limit=1)
    with pytest.raises(UsageError, match=r"^expected gaps ≥ 0, got -1$"):
        study_latent_space(run, gaps=-1)
    with pytest.raises(UsageError, match=r"^expected another run for --against, got the same one; give .*$"):
        open_other(run, run.folder.path, "cpu")
    run.data = type(run.data)(run.data.train, None, run.data.test.take(torch.tensor([0])))
    with pytest.raises(DataError, match=r"^expected at least 2 images to look at a latent space, got 1; choose .*$"):
        study_latent_space(run)


def test_numbers_that_cannot_be_saved_are_not_lost(copy):
    run = copy("vae")
    shutil.rmtree(run.folder.figures)
    run.folder.figures.write_text("in the way")
    with pytest.raises(LatentNotSavedError, match="cannot write") as raised:
        study_latent_space(run, gaps=0, limit=50)
    assert "marginal_kl" in raised.value.report.metrics


# --- label transfer -------------------------------------------------------------------------------------------------


def test_a_transfer_is_drawn(copy, tmp_path):
    run = copy("cvae")
    found = transfer_labels(run, count=12, seed=3)
    assert found.images.shape == (12, 10, 1, 8, 8)
    assert found.labels[:10] == [str(label) for label in range(10)]
    assert found.file == run.folder.figures / "label-transfer.png"
    assert found.file.read_bytes().startswith(PNG)
    elsewhere = transfer_labels(run, count=1, split="train", out=tmp_path / "one.png")
    assert elsewhere.to_json() == {
        "file": str(tmp_path / "one.png"),
        "images": elsewhere.chosen.tolist(),
        "labels": ["0"],
    }
    with pytest.raises(UsageError, match=r"^expected count ≥ 1, got 0$"):
        transfer_labels(run, count=0)
    with pytest.raises(UsageError, match=r"^this model has no condition"):
        transfer_labels(copy("vae"))


def test_images_come_of_the_classes_in_turn(runs):
    data = Run.open(runs / "vae", device="cpu").data.test
    chosen = in_turn(data, 25, 0)
    assert data.labels is not None
    assert data.labels[chosen].tolist() == [*range(10), *range(10), *range(5)]
    assert len(set(chosen.tolist())) == 25
    assert not torch.equal(chosen, in_turn(data, 25, 1))
