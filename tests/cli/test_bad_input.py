"""Bad input: one sentence, exit code 1 or 2, no traceback, and nothing lost."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

IMAGES = np.zeros((30, 8, 8), np.uint8)


@pytest.fixture
def train_on(vaelab, tmp_path):
    """Train on a .npz file of these arrays into a folder that must not be made."""

    def train(words=(), **arrays):
        file, out = tmp_path / "data.npz", tmp_path / "run"
        np.savez(file, **arrays)
        result = vaelab("train", "--preset", "digits-vae", "--data", file, "--out", out, *words)
        assert not out.exists()
        return result

    return train


def mnist(folder: Path, name: str, content: bytes) -> Path:
    """Four files of MNIST, of which ``name`` has this content and the others are never read."""
    (folder / "mnist").mkdir(parents=True)
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        file = f"{part}-ubyte.gz"
        (folder / "mnist" / file).write_bytes(content if file.startswith(name) else gzip.compress(b"later"))
    return folder


WHOLE = gzip.compress(bytes((0, 0, 8, 3)) + struct.pack(">3I", 60_000, 28, 28) + bytes(60_000 * 784), compresslevel=1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(bytes((0, 0, 8, 1)) + bytes(100)), "magic number"),
        (WHOLE[: len(WHOLE) // 2], "truncated"),
        (b"\x1f\x8b" + bytes(50), "gzip"),
        (
            gzip.compress(bytes((0, 0, 8, 3)) + struct.pack(">3I", 10, 28, 28) + bytes(17)),
            "bytes, as its dimensions say",
        ),
        (gzip.compress(bytes((0, 0, 8, 3)) + struct.pack(">3I", 10, 28, 28) + bytes(10**7)), "got more"),
        (gzip.compress(bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**31, 2**15, 28)), "GiB"),
        (WHOLE, "SHA-256"),
    ],
    ids=["magic number", "truncated gzip", "damaged gzip", "too short", "bomb", "absurd dimensions", "other content"],
)
def test_idx_files(vaelab, tmp_path, content, words):
    folder = mnist(tmp_path, "train-images", content)
    out = tmp_path / "run"
    vaelab("train", "--data", "mnist", "--data-dir", folder, "--offline", "--out", out).refused(1, words)
    assert not out.exists()
    vaelab("data", "check", "mnist", "--data-dir", folder).refused(1, "train-images")


def test_missing_data_offline(vaelab, tmp_path):
    vaelab("data", "fetch", "mnist", "--data-dir", tmp_path, "--offline").refused(1, "vaelab data fetch mnist")
    vaelab("data", "check", "mnist", "--data-dir", tmp_path).refused(1, "missing")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": IMAGES, "labels": np.arange(29)}, "labels"),
        ({"images": IMAGES, "labels": np.arange(30) - 1}, "labels"),
        ({"images": IMAGES, "labels": np.linspace(0, 1, 30)}, "labels"),
        ({"images": np.full((30, 8, 8), np.nan)}, "NaN"),
        ({"images": IMAGES + 1.5}, "[0, 1]"),
        ({"images": IMAGES[:0]}, "image"),
        ({"images": IMAGES[:, :4, :4]}, "8x8"),
        ({"images": np.zeros((30, 8, 8, 2), np.uint8)}, "channels"),
        ({"pictures": IMAGES}, "images"),
        ({"images": np.array([{}] * 3)}, "objects"),
    ],
    ids=["too few labels", "negative label", "float labels", "NaN", "out of range", "no images", "too small",
         "2 channels", "no array", "pickled objects"],
)  # fmt: skip
def test_arrays(train_on, arrays, words):
    train_on(**arrays).refused(1, words)


def test_fewer_images_than_a_batch(train_on):
    train_on(images=IMAGES).refused(1, "batch", "--batch-size")


def test_a_conditional_model_needs_labels(train_on):
    train_on(("--conditional", "--batch-size", 8), images=IMAGES).refused(2, "label")


def test_damaged_archive(vaelab, tmp_path):
    file = tmp_path / "data.npz"
    file.write_bytes(b"PK\x03\x04 and no more")
    vaelab("train", "--data", file, "--out", tmp_path / "run").refused(1, "damaged")
    vaelab("train", "--data", tmp_path / "none.npz", "--out", tmp_path / "run").refused(1, "nothing there")
    (tmp_path / "empty").mkdir()
    vaelab("train", "--data", tmp_path / "empty", "--out", tmp_path / "run").refused(1, "image files")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "mnits"], "no .npz file or folder of that name; did you mean mnist?"),
        (["--preset", "conv-vea"], "did you mean conv-vae"),
        (["--preset", "digits-vae", "--encoder", "conf"], "did you mean conv?"),
        (["--preset", "digits-vae", "--encoder", "mlp:hiden=3"], "did you mean hidden?"),
        (["--preset", "digits-vae", "--prior", "mixture:components=many"], "components"),
        (["--preset", "digits-vae", "--objective", "reconstruction"], "does not fit"),
        (["--preset", "digits-vae", "--variant", "gray"], "did you mean grey?"),
        (["--preset", "digits-vae", "--optimizer", "sgd"], "known: adam, adamw, muon"),
        (["--preset", "digits-vae", "--init", "xavier"], "known: he"),
        (["--preset", "digits-vae", "--latent", "0"], "latent"),
        (["--preset", "digits-vae", "--epochs", "0"], "epochs"),
        (["--preset", "digits-vae", "--lr", "nan"], "lr"),
        (["--preset", "digits-vae", "--patience", "3"], "validation"),
        (["--preset", "digits-vae", "--device", "gpu"], "device"),
        (["--epochs", "three"], "--epochs"),
        (["--epoch", "3"], "--epoch"),
        (["--resume", "--lr", "0.1"], "--lr"),
        (["surplus"], "surplus"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_words(vaelab, tmp_path, words, said):
    out = tmp_path / "run"
    vaelab("train", *words, "--out", out).refused(2, said)
    assert not out.exists()


def test_wrong_variant_for_the_likelihood(vaelab, digits, tmp_path):
    vaelab(*digits, "--likelihood", "normal:std=0.1", "--variant", "dynamic", "--out", tmp_path / "run").refused(
        2, "'normal'", "dequantised or grey, got 'dynamic'", "--likelihood"
    )


def test_a_model_larger_than_the_memory(vaelab, digits, tmp_path):
    vaelab(*digits, "--latent", 10**11, "--out", tmp_path / "run").refused(1, "lower --latent", "--encoder")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[training]\nepoch = 3", "did you mean epochs?"),
        ("[trainng]\nepochs = 3", "did you mean training?"),
        ("epochs = 3", "epochs"),
        ("[training]\nepochs = '3'", "expected int for epochs"),
        ("[training]\nepochs = 3.5", "expected int for epochs"),
        ("[model]\nconditional = 1", "expected bool"),
        ("training = 3", "[training]"),
        ("preset = 3", "preset"),
        ("preset = 'conv-vea'", "did you mean conv-vae"),
        ("[training", "TOML"),
        ("preset = 'conv-vae'\n\xff", "TOML"),
    ],
)
def test_configuration_files(vaelab, tmp_path, text, said):
    file, out = tmp_path / "mine.toml", tmp_path / "run"
    file.write_bytes(text.encode("latin-1"))
    vaelab("train", "--config", file, "--out", out).refused(2, said, str(file))
    assert not out.exists()


def test_missing_configuration(vaelab, tmp_path):
    vaelab("train", "--config", tmp_path / "none.toml", "--out", tmp_path / "run").refused(2, "none.toml")


def test_wrong_environment(vaelab, tmp_path, monkeypatch):
    monkeypatch.setenv("VAELAB_EPOCHS", "many")
    vaelab("train", "--out", tmp_path / "run").refused(2, "--epochs")


def test_other_commands(vaelab, trained, contents, tmp_path):
    before = contents(trained)
    vaelab("trian").refused(2, "train")
    vaelab("train").refused(2, "--out")
    vaelab("presets", "conv-vea").refused(2, "did you mean conv-vae")
    vaelab("data", "fetch", "mnits").refused(2, "did you mean mnist?")
    vaelab("data", "check", "mnits").refused(2, "did you mean mnist?")
    vaelab("plot", trained, "latent-gird").refused(2, "did you mean latent-grid")
    vaelab("plot", trained, "curves", "--out", tmp_path / "x.pdf").refused(2, ".png")
    vaelab("plot", trained, "--out", tmp_path / "x.png").refused(2, "KIND")
    vaelab("plot", trained, "latent-grid", "--scale", "log").refused(2, "uniform")
    vaelab("plot", trained, "latent-grid", "--cells", 1).refused(2, "cells")
    vaelab("plot", trained, "latent-scatter", "--legend", "inside").refused(2, "legend")
    vaelab("plot", trained, "reconstructions", "--count", 0).refused(2, "count")
    vaelab("plot", trained, "reconstructions", "--label", 10).refused(2, "label")
    vaelab("plot", trained, "interpolation", "--steps", 1).refused(2, "steps")
    vaelab("plot", trained, "samples-per-class").refused(2, "conditional")
    vaelab("sample", trained, "--label", 3).refused(2, "condition")
    vaelab("sample", trained, "-n", 0).refused(2, "at least 1")
    vaelab("sample", trained, "--out", tmp_path / "x.jpg").refused(2, ".png or .npz")
    vaelab("evaluate", trained, "--split", "tset").refused(2, "test")
    vaelab("evaluate", trained, "--split", "validation").refused(2, "validation")
    vaelab("evaluate", trained, "--samples", 0).refused(2, "samples")
    vaelab("evaluate", trained, "--importance-samples", -1).refused(2, "importance samples")
    vaelab("evaluate", trained, "--device", "gpu").refused(2, "expected device auto, cpu, cuda")
    vaelab("plot", trained, "--device", "bogus").refused(2, "expected device auto, cpu, cuda")
    vaelab("evaluate", trained, "--device", "cuda:99").refused(1, "--device cpu")
    assert contents(trained) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_that_a_conditional_model_does_not_have(vaelab, conditional, label):
    vaelab("sample", conditional, "--label", label).refused(2, "0…9")
    vaelab("plot", conditional, "latent-grid", "--label", label).refused(2, "0…9")


def commands_on(run: Path) -> list[tuple[object, ...]]:
    return [("evaluate", run), ("sample", run), ("plot", run, "samples"), ("train", "--resume", "--out", run)]


@pytest.mark.parametrize("index", range(4), ids=["evaluate", "sample", "plot", "resume"])
class TestRunFolders:
    def test_missing(self, vaelab, tmp_path, index):
        vaelab(*commands_on(tmp_path / "none")[index]).refused(1, "none")

    def test_foreign(self, vaelab, tmp_path, contents, index):
        (tmp_path / "letter.txt").write_text("Dear", encoding="utf-8")
        vaelab(*commands_on(tmp_path)[index]).refused(1, "no run folder")
        assert contents(tmp_path) == {"letter.txt": b"Dear"}

    def test_without_checkpoint(self, vaelab, run, contents, index):
        shutil.rmtree(run / "checkpoints")
        before = contents(run)
        vaelab(*commands_on(run)[index]).refused(1, "last.json")
        assert contents(run) == before

    @pytest.mark.parametrize("damage", ["truncated", "flipped", "pickled", "removed", "manifest"])
    def test_damaged_checkpoint(self, vaelab, run, contents, index, damage):
        manifest = run / "checkpoints" / "last.json"
        (model,) = (run / "checkpoints").glob("last-*.model.safetensors")
        content = bytearray(model.read_bytes())
        if damage == "truncated":
            model.write_bytes(content[:-100])
        elif damage == "flipped":
            content[-50] ^= 1
            model.write_bytes(content)
        elif damage == "removed":
            model.unlink()
        elif damage == "manifest":
            manifest.write_bytes(manifest.read_bytes()[:-20])
        else:
            pickled(model, manifest)
        before = contents(run)
        vaelab(*commands_on(run)[index]).refused(1, "checkpoints/last")
        assert contents(run) == before
        assert not (run / "executed").exists()

    @pytest.mark.parametrize("content", [b"{", b"[]", b'{"format": "other"}', pickle.dumps({"a": 1})])
    def test_damaged_configuration(self, vaelab, run, contents, index, content):
        (run / "config.json").write_bytes(content)
        before = contents(run)
        vaelab(*commands_on(run)[index]).refused(1, "config.json")
        assert contents(run) == before

    def test_unknown_key_in_the_configuration(self, vaelab, run, index):
        path = run / "config.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        document["training"]["epoch"] = 3
        path.write_text(json.dumps(document), encoding="utf-8")
        vaelab(*commands_on(run)[index]).refused(1, "did you mean epochs?")

    @pytest.mark.parametrize(
        ("section", "key", "value"),
        [
            ("training", "lr", -1.0),
            ("training", "optimizer", "foo"),
            ("training", "epochs", 0),
            ("data", "variant", "gray"),
            ("environment", "", [1]),
        ],
    )
    def test_a_value_out_of_range_in_the_configuration(self, vaelab, run, index, section, key, value):
        path = run / "config.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        if key:
            document[section][key] = value
        else:
            document[section] = value
        path.write_text(json.dumps(document), encoding="utf-8")
        vaelab(*commands_on(run)[index]).refused(1, "config.json is damaged", key or section)


@pytest.mark.parametrize("kind", ["curves", "loss"])
@pytest.mark.parametrize(
    "content",
    [None, "", "a,b\n1,2\n", "step,epoch,split\n1,1,step\n", "{header}", "{header}1,1,mine,1,1,1,1,1,1\n",
     "{header}1,1,step,inf,inf,inf,inf,1,1\n", "{header}1,1,step,,,,,1,1\n"],
)  # fmt: skip
def test_a_history_that_cannot_be_drawn(vaelab, run, kind, content):
    path = run / "history.csv"
    header = path.read_text(encoding="utf-8").partition("\n")[0] + "\n"
    path.unlink()
    if content is not None:
        path.write_text(content.format(header=header), encoding="utf-8")
    vaelab("plot", run, kind).refused(1, "history.csv")


@pytest.mark.parametrize(
    "array",
    [np.zeros((10, 1, 8, 8)), np.zeros((10, 1, 8, 9), np.uint8), np.zeros((9, 1, 8, 8), np.uint8), np.uint8(3)],
)
def test_samples_of_another_form(vaelab, run, array):
    np.save(run / "samples" / "epoch-0002.npy", array)
    vaelab("plot", run, "class-epochs").refused(1, "epoch-0002.npy", "delete it")


@pytest.mark.parametrize("content", ["{", "[]", '{"kl": 3}', '{"kl": {"value": "high"}}'])
def test_damaged_metrics_are_found_before_the_work(vaelab, run, monkeypatch, content):
    (run / "metrics.json").write_text(content, encoding="utf-8")
    monkeypatch.setattr("vaelab.run.evaluate", lambda *_, **__: pytest.fail("measured"))
    vaelab("evaluate", run).refused(1, "metrics.json", "delete the file and evaluate again")
    assert (run / "metrics.json").read_text(encoding="utf-8") == content


def test_a_demo_into_a_damaged_run(vaelab, run, tmp_path):
    document = json.loads((run / "config.json").read_text(encoding="utf-8")) | {"data": [1]}
    run.rename(tmp_path / "vae")
    (tmp_path / "vae" / "config.json").write_text(json.dumps(document), encoding="utf-8")
    vaelab("demo", "--out", tmp_path).refused(2, "no demo's")


def pickled(model: Path, manifest: Path) -> None:
    """A checkpoint whose weights are a pickle that would make a file; the manifest agrees with it."""

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(model.parent.parent / "executed"),)

    content = pickle.dumps(Trap())
    model.write_bytes(content)
    document = json.loads(manifest.read_text(encoding="utf-8"))
    document["files"][model.name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    manifest.write_text(json.dumps(document), encoding="utf-8")


def test_a_second_training_into_a_run(vaelab, digits, run, contents):
    before = contents(run)
    vaelab(*digits, "--epochs", 1, "--out", run).refused(2, "already holds a run", "--resume")
    assert contents(run) == before


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_training_into_a_foreign_folder(vaelab, digits, tmp_path, contents, overwrite):
    (tmp_path / "letter.txt").write_text("Dear", encoding="utf-8")
    vaelab(*digits, "--out", tmp_path, *overwrite).refused(2, "letter.txt")
    vaelab(*digits, "--out", tmp_path / "letter.txt", *overwrite).refused(2, "letter.txt")
    assert contents(tmp_path) == {"letter.txt": b"Dear"}


def test_a_run_whose_data_changed_is_not_resumed_or_evaluated(vaelab, tmp_path, contents):
    file, out = tmp_path / "data.npz", tmp_path / "run"
    np.savez(file, images=IMAGES)
    words = ("--preset", "digits-vae", "--batch-size", 8, "--epochs", 1, "--device", "cpu", "-q")
    assert vaelab("train", "--data", file, "--out", out, *words).code == 0
    np.savez(file, images=IMAGES + 1)
    before = contents(out)
    for command in (("train", "--resume", "--out", out), ("evaluate", out), ("plot", out, "reconstructions")):
        vaelab(*command).refused(1, "not those this run was trained on")
        assert contents(out) == before
    assert vaelab("sample", out, "--out", tmp_path / "made.npz").code == 0


def test_a_one_cycle_run_is_not_made_longer(vaelab, tmp_path, contents):
    out = tmp_path / "run"
    assert vaelab("train", "--preset", "digits-vae", "--epochs", 1, "--device", "cpu", "--out", out, "-q").code == 0
    before = contents(out)
    vaelab("train", "--resume", "--epochs", 2, "--out", out).refused(2, "one-cycle")
    assert contents(out) == before


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs a file system where no folder can be made")
def test_a_place_that_cannot_be_written(vaelab, digits, trained):
    vaelab(*digits, "--epochs", 1, "--out", "/proc/vaelab").refused(1, "/proc/vaelab")
    vaelab("plot", trained, "curves", "--out", "/proc/vaelab.png").refused(1, "/proc/vaelab.png")
    vaelab("sample", trained, "--out", "/proc/vaelab.npz").refused(1, "/proc/vaelab.npz")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder(vaelab, digits, tmp_path):
    tmp_path.chmod(0o500)
    vaelab(*digits, "--epochs", 1, "--out", tmp_path / "run").refused(1, "cannot write")
    tmp_path.chmod(0o700)
