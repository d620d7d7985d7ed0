"""Representations of a run's images as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import vaelab
from vaelab.data.images import ImageData
from vaelab.errors import DataError, UsageError
from vaelab.evaluation import posterior_statistics
from vaelab.run import Run
from vaelab.tasks import embed as embed_module
from vaelab.tasks.embed import embed_run, representation

TINY = {"epochs": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "vae"
    vaelab.train("digits-vae", out=out, training=TINY, data={"validation": 100})
    return out


def test_the_arrays_are_the_posterior_means_in_the_order_of_the_data(vae, tmp_path):
    run = Run.open(vae, device="cpu")
    found = embed_run(run, out=tmp_path / "z.npz")
    with np.load(tmp_path / "z.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    assert set(arrays) == set(found.arrays)
    for name, data in (("train", run.data.train), ("validation", run.data.validation), ("test", run.data.test)):
        means = posterior_statistics(run.model, data, "grey").means
        np.testing.assert_allclose(arrays[name], means, atol=1e-6)
        assert np.array_equal(arrays[f"{name}_labels"], data.labels)
    assert arrays["class_names"].tolist() == [str(digit) for digit in range(10)]
    assert str(arrays["protocol"]) == "posterior mean, grey pixels, seed 0"


def test_one_split_into_the_run_folder(vae):
    run = Run.open(vae, device="cpu")
    found = embed_run(run, "test")
    assert found.file == vae / "embeddings.npz"
    assert found.file.exists()
    assert set(found.arrays) == {"test", "test_labels", "class_names", "protocol"}
    before = found.file.read_bytes()
    assert embed_run(run, "test").file.read_bytes() == before


def test_an_image_has_its_own_representation_whatever_stands_beside_it(vae, monkeypatch):
    run = Run.open(vae, device="cpu")
    data = run.data.test
    for variant in ("grey", "dynamic"):
        whole = representation(run.model, data, variant)
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
        monkeypatch.setattr(embed_module, "_CHUNK", 7)
        counted: list[int] = []
        shuffled = representation(run.model, data.take(order[:50]), variant, counted.append)
        monkeypatch.undo()
        np.testing.assert_allclose(shuffled, whole[order[:50].numpy()], atol=1e-5)
        assert sum(counted) == 50
        np.testing.assert_allclose(representation(run.model, data.take(order[:1]), variant), shuffled[:1], atol=1e-5)


def test_conditional_and_deterministic_models(tmp_path):
    cvae = vaelab.train("digits-cvae", out=tmp_path / "cvae", training=TINY)
    assert embed_run(cvae, "test").protocol == "posterior mean, grey pixels, given the label, seed 0"
    data = cvae.data.test
    hidden = ImageData(data.name, data.images, torch.where(data.labels > 4, -1, data.labels), data.class_names)
    with pytest.raises(DataError, match="label"):
        representation(cvae.model, hidden, "grey")
    dae = vaelab.train(
        "denoising",
        out=tmp_path / "dae",
        data="digits",
        model={"encoder": "mlp:hidden=16/", "decoder": "mlp:hidden=16/", "latent": 3},
        training=TINY,
    )
    found = embed_run(dae, "test")
    assert found.arrays["test"].shape == (359, 3)
    assert found.protocol == "code of the clean image, grey pixels, seed 0"
    with torch.no_grad():
        codes = dae.model.encode(data.images.float() / 255)
    np.testing.assert_allclose(found.arrays["test"], codes, atol=1e-5)


def test_colour_images_without_labels(tmp_path):
    np.savez(tmp_path / "data.npz", images=np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8))
    run = vaelab.train(
        "digits-vae", out=tmp_path / "run", data=str(tmp_path / "data.npz"), training=TINY | {"batch_size": 16}
    )
    assert set(embed_run(run).arrays) == {"train", "test", "class_names", "protocol"}
    assert embed_run(run).arrays["test"].shape == (8, 2)


def test_what_is_not_there_is_refused(vae, tmp_path):
    run = Run.open(vae, device="cpu")
    with pytest.raises(UsageError, match="unknown split 'tests'"):
        embed_run(run, "tests")
    with pytest.raises(UsageError, match=r"\.npz"):
        embed_run(run, out=tmp_path / "z.csv")
