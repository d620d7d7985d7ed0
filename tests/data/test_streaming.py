"""A data set in a folder of ``.npy`` files stays on disk, and gives what the same images in memory give."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import vaelab
from vaelab.data import ImageData, batches, binarise_static, epoch_order, hide_labels, load, streaming
from vaelab.data.loading import load_unseen
from vaelab.data.resizing import resize
from vaelab.data.streaming import MappedImages, StreamedImages
from vaelab.errors import DataError, UsageError
from vaelab.run import Run, fingerprint
from vaelab.tasks.anomaly import SAME, detect_anomalies
from vaelab.tasks.embed import embed_run

Arrays = dict[str, npt.NDArray[Any]]
COLOUR = np.random.default_rng(0).integers(0, 256, (60, 9, 11, 3), dtype=np.uint8)
GREY = np.ascontiguousarray(COLOUR[..., 0])
LABELS = np.arange(60) % 3
WORDS = np.array(["cat", "ant", "bee"])[LABELS]


def folder_of(place: Path, arrays: Arrays) -> Path:
    place.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(place / f"{name}.npy", array)
    return place


def both(place: Path, **arrays: npt.NDArray[Any]) -> tuple[Path, Path]:
    """The same data as a folder to stream and as a file to read."""
    np.savez(place / "mine.npz", **arrays)
    return folder_of(place / "mine", arrays), place / "mine.npz"


def same(one: ImageData | None, other: ImageData | None) -> bool:
    if one is None or other is None:
        return one is other
    labels = one.labels is other.labels or torch.equal(one.labels, other.labels)
    return torch.equal(one.images, other.images) and labels and one.class_names == other.class_names


@contextmanager
def whole_sets_stay_on_disk() -> Iterator[None]:
    """Within, nobody may ask for more than 50 images of a streamed set at once."""
    read = StreamedImages._read

    def checked(images: StreamedImages, rows: torch.Tensor) -> torch.Tensor:
        assert len(rows) <= 50
        return read(images, rows)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(StreamedImages, "_read", checked)
        patched.setattr("vaelab.tasks.embed._CHUNK", 50)
        patched.setattr(ImageData.chunks, "__defaults__", (50,))
        yield


@pytest.mark.parametrize("labels", [None, LABELS, LABELS * 5 + 2, WORDS], ids=["none", "0…2", "2, 7, 12", "words"])
@pytest.mark.parametrize(
    "images", [GREY, GREY[..., None], COLOUR, COLOUR.transpose(0, 3, 1, 2).copy()], ids=["nhw", "nhw1", "nhwc", "nchw"]
)
def test_it_is_read_as_a_file_of_the_same_arrays(
    tmp_path: Path, images: npt.NDArray[np.uint8], labels: npt.NDArray[Any] | None
) -> None:
    streamed, read = both(tmp_path, images=images, **({} if labels is None else {"labels": labels}))
    options: dict[str, Any] = {"validation": 7, "test": 0.2, "seed": 3}
    one, other = load(streamed, **options), load(read, **options)
    for part in ("train", "validation", "test"):
        assert same(getattr(one, part), getattr(other, part))
    assert isinstance(one.train.pixels, StreamedImages)
    assert isinstance(one.validation.pixels, StreamedImages)
    assert fingerprint(one) == fingerprint(other)
    assert one.train.name == "mine"


def test_its_own_test_images_have_the_training_images_class_numbers(tmp_path: Path) -> None:
    arrays = {"images": GREY, "labels": WORDS, "test_images": GREY[3:8], "test_labels": WORDS[4:9]}
    splits = load(folder_of(tmp_path / "mine", arrays), validation=10)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [50, 10, 5]
    assert splits.test.class_names == splits.train.class_names == ("ant", "bee", "cat")
    assert [splits.test.class_names[label] for label in splits.test.labels] == WORDS[4:9].tolist()
    assert torch.equal(splits.test.images[:, 0], torch.from_numpy(GREY[3:8]))
    assert len(load_unseen(tmp_path / "mine")) == 5


def test_batches_come_in_the_same_order(tmp_path: Path) -> None:
    streamed, read = (load(path, seed=1).train for path in both(tmp_path, images=COLOUR, labels=LABELS))
    order = epoch_order(len(read), seed=5, epoch=2)
    for (x, c), (y, d) in zip(batches(streamed, 7, order, 1), batches(read, 7, order, 1), strict=True):
        assert torch.equal(x, y)
        assert torch.equal(c, d)
        assert x.is_contiguous()


@pytest.mark.parametrize("change", [binarise_static, lambda data: resize(data, 8), lambda data: resize(data, 16)])
def test_changes_give_the_same_values_batch_by_batch(tmp_path: Path, change: Any) -> None:
    streamed, read = (change(load(path).train) for path in both(tmp_path, images=COLOUR))
    assert isinstance(streamed.pixels, StreamedImages)
    assert streamed.image_shape == read.image_shape
    assert all(torch.equal(x, y) for x, y in zip(streamed.chunks(7), torch.split(read.images, 7), strict=True))


def test_nothing_is_read_but_what_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(folder_of(tmp_path / "mine", {"images": GREY, "labels": LABELS})).train
    with monkeypatch.context() as patched:
        patched.setattr(StreamedImages, "_read", None)
        few = hide_labels(binarise_static(resize(data, 16)).take(torch.tensor([5, 2, 2])), 2).to("cpu")
    assert len(few) == 3
    assert torch.equal(few.images, binarise_static(resize(load(tmp_path / "mine").train, 16)).images[[5, 2, 2]])
    with pytest.raises(IndexError):
        data.gather(torch.tensor([len(data)]))


TRAINED: dict[str, dict[str, Any]] = {
    "grey": {},
    "moved and binarised once": {"data": {"variant": "static"}, "training": {"augmentation": "shift:pixels=1"}},
    "scaled, without validation images": {"data": {"image_size": 12, "validation": 0}},
    "few labels": {"config": "m2", "data": {"labels": 6}, "training": {"labelled_batch": 4}},
}


@pytest.mark.parametrize("case", TRAINED)
def test_a_run_has_the_same_losses_weights_and_numbers(tmp_path: Path, case: str) -> None:
    changes = {"config": "digits-vae", "data": {}, "training": {}} | TRAINED[case]
    streamed, read = both(tmp_path, images=np.repeat(GREY, 2, 0), labels=np.repeat(LABELS, 2))

    def train(path: Path) -> Run:
        return vaelab.train(
            changes["config"],
            out=tmp_path / f"run-{path.name}",
            data={"name": str(path), "validation": 20, **changes["data"]},
            model={"encoder": "mlp:hidden=20", "decoder": "mlp:hidden=20"},
            training={"epochs": 2, "batch_size": 16, **changes["training"]},
        )

    with whole_sets_stay_on_disk():
        one = train(streamed)
        metrics, arrays = one.evaluate(importance_samples=3), embed_run(one).arrays
    other = train(read)
    assert one.folder.history() == other.folder.history()
    weights = other.model.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in one.model.state_dict().items())
    assert one.environment["images"] == other.environment["images"]
    assert metrics == other.evaluate(importance_samples=3)
    assert all(np.array_equal(values, arrays[name]) for name, values in embed_run(other).arrays.items())


def test_a_run_goes_on_draws_and_finds_its_own_images(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "mine", {"images": np.repeat(GREY, 2, 0), "labels": np.repeat(LABELS, 2)})
    changes: dict[str, Any] = {"model": {"encoder": "mlp:hidden=20", "decoder": "mlp:hidden=20"}}
    changes["training"] = {"epochs": 1, "batch_size": 16, "schedule": "constant"}
    vaelab.train("digits-vae", out=tmp_path / "run", data=str(path), **changes)
    run = vaelab.resume(tmp_path / "run", epochs=2)
    assert run.plot("reconstructions")[0].exists()
    assert run.plot("latent-scatter")[0].exists()
    found = detect_anomalies(run, str(path), scores=["reconstruction"], figures=False)
    assert SAME in found.notes
    np.save(path / "images.npy", 255 - np.repeat(GREY, 2, 0))
    with pytest.raises(DataError, match="are not those this run was trained on"):
        Run.open(tmp_path / "run").data  # noqa: B018


# --- memory -------------------------------------------------------------------------------------------------------


def test_pages_are_given_back_before_the_bound_is_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_REGION", 4096)
    monkeypatch.setattr(streaming, "HELD", 4 * 4096)
    data = load(folder_of(tmp_path / "mine", {"images": COLOUR}), test=1).train
    assert isinstance(data.pixels, StreamedImages)
    file = data.pixels.file
    given_back = 0

    class Map:
        def madvise(self, advice: int, *where: int) -> None:
            nonlocal given_back
            given_back += not where

    monkeypatch.setattr(file, "_map", Map())
    for images, _ in batches(data, 10, epoch_order(len(data), 0, 0)):
        assert len(images)
        assert file._touched.sum() * 4096 <= 4 * 4096
    assert given_back > 1


@pytest.mark.parametrize("refused", [True, False])
def test_a_platform_that_takes_no_advice_reads_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    class Map:
        def madvise(self, advice: int, *where: int) -> None:
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(streaming, "HELD", 0)
    data = load_unseen(folder_of(tmp_path / "mine", {"images": GREY}))
    assert isinstance(data.pixels, StreamedImages)
    if refused:
        monkeypatch.setattr(data.pixels.file, "_map", Map())
    else:
        monkeypatch.delattr("mmap.MADV_DONTNEED", raising=False)
        monkeypatch.delattr("mmap.MADV_WILLNEED", raising=False)
    order = torch.arange(59, -1, -1)
    assert torch.equal(data.gather(order)[:, 0], torch.from_numpy(GREY)[order])


@pytest.mark.skipif(not hasattr(mmap, "MADV_WILLNEED"), reason="the platform takes no advice")
def test_images_far_apart_are_announced_whole_and_those_in_order_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[tuple[int, ...]] = []

    class Map:
        def madvise(self, advice: int, *where: int) -> None:
            assert advice == mmap.MADV_WILLNEED
            announced.append(where)

    file = MappedImages(folder_of(tmp_path / "mine", {"images": COLOUR}) / "images.npy", 128, COLOUR.shape, True)
    monkeypatch.setattr(file, "_map", Map())
    file.read(torch.arange(10, 30))
    assert not announced
    places = torch.tensor([59, 3, 40])
    file.read(places)
    for place, (start, length) in zip(places.tolist(), announced, strict=True):
        assert start % mmap.PAGESIZE == 0
        assert start <= 128 + place * COLOUR[0].size < 128 + (place + 1) * COLOUR[0].size == start + length


def test_images_larger_than_a_region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_REGION", 10)
    data = load_unseen(folder_of(tmp_path / "mine", {"images": COLOUR}))
    assert isinstance(data.pixels, StreamedImages)
    assert torch.equal(data.images.permute(0, 2, 3, 1), torch.from_numpy(COLOUR))
    assert data.pixels.file._touched.sum() >= COLOUR.nbytes // 10


def large_folder(place: Path, thousands: int) -> Path:
    """So many thousand 28×28 images, in whole written to disk."""
    place.mkdir()
    piece = np.random.default_rng(0).integers(0, 256, (1000, 28, 28), dtype=np.uint8)
    stored = np.lib.format.open_memmap(place / "images.npy", "w+", np.uint8, (1000 * thousands, 28, 28))
    for start in range(0, len(stored), 1000):
        stored[start : start + 1000] = piece
    stored.flush()
    return place


READ_ALL = """
import sys, torch
from vaelab import build_model, presets
from vaelab.data import batches, epoch_order, load, streaming
from vaelab.evaluation import embed
from vaelab.run import fingerprint
streaming.HELD = 32 * 2**20
def memory(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) / 1024
model = build_model(presets.get("mlp-vae").with_changes(model={"encoder": "mlp:hidden=16"}).model)
splits = load(sys.argv[1], validation=0.1)
embed(model, splits.test.take(torch.arange(1000)), "grey")
before = memory("VmRSS")
fingerprint(splits)
for images, _ in batches(splits.train, 128, epoch_order(len(splits.train), 0, 0)):
    pass
embed(model, splits.test, "grey")
print(memory("VmHWM") - before)
"""

TRAIN = """
import sys, tempfile, vaelab
def memory(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) / 1024
small = {"model": {"encoder": "mlp:hidden=16", "decoder": "mlp:hidden=16"}}
small["training"] = {"epochs": 1, "batch_size": 500}
with tempfile.TemporaryDirectory() as out:
    vaelab.train("mlp-vae", data={"name": "digits", "validation": 100}, out=out + "/small", **small)
    before = memory("VmRSS")
    data = {"name": sys.argv[1], "test": 0.01, "validation": 0.01}
    run = vaelab.train("mlp-vae", data=data, out=out + "/run", **small)
    run.evaluate()
    assert run.environment["train"] == 980_100
print(memory("VmHWM") - before)
"""


def added_mib(script: str, folder: Path) -> float:
    if not Path("/proc/self/status").exists():
        pytest.skip("the memory is read from Linux's /proc")
    done = subprocess.run(
        [sys.executable, "-c", script, folder],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return float(done.stdout)


def test_memory_does_not_grow_with_the_data_set(tmp_path: Path) -> None:
    folder = large_folder(tmp_path / "large", 200)
    assert added_mib(READ_ALL, folder) < 32 + 40 < (folder / "images.npy").stat().st_size / 2**20 / 2


@pytest.mark.long
def test_a_million_images_train_in_less_than_a_gibibyte(tmp_path: Path) -> None:
    assert added_mib(TRAIN, large_folder(tmp_path / "large", 1000)) < 1024


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_on_a_device(tmp_path: Path) -> None:
    streamed, read = (load(path).train.to("cuda") for path in both(tmp_path, images=COLOUR, labels=LABELS))
    order = epoch_order(len(read), seed=0, epoch=0).to("cuda")
    for (x, c), (y, d) in zip(batches(streamed, 7, order), batches(read, 7, order), strict=True):
        assert x.device == y.device
        assert torch.equal(x, y)
        assert torch.equal(c, d)


# --- what is refused ----------------------------------------------------------------------------------------------


TEST = {"images": GREY, "labels": WORDS, "test_images": GREY}
BAD: dict[str, tuple[Arrays, str, str]] = {
    "floats": ({"images": GREY / 255}, "images", "images of uint8, as they are streamed, got float64; save levels"),
    "flat": ({"images": GREY.reshape(60, -1)}, "images", r"shape \(n, h, w\), .* got \(60, 99\); reshape"),
    "no array": ({"images": np.array(3, dtype=np.uint8)}, "images", r"shape \(n, h, w\), .* got \(\); reshape"),
    "two channels": ({"images": COLOUR[..., :2].copy()}, "images", r"1 or 3 channels, got \(60, 9, 11, 2\); reshape"),
    "empty": ({"images": GREY[:0]}, "images", "at least one image, got none; give"),
    "small": ({"images": GREY[:, :7].copy()}, "images", "at least 8x8 pixels, got 7x11; use larger"),
    "Fortran order": ({"images": np.asfortranarray(GREY)}, "images", "one image after the other, got .*; save it with"),
    "objects": ({"images": np.array([{}, "x"], dtype=object)}, "images", "got an array of objects; save"),
    "object labels": ({"images": GREY, "labels": np.array([None] * 60)}, "labels", "got an array of objects; save"),
    "float labels": ({"images": GREY, "labels": LABELS / 1}, "labels", "integers or strings, got float64; convert"),
    "few labels": ({"images": GREY, "labels": LABELS[1:]}, "labels", r"60 labels, one per image, got .*\(59,\); pair"),
    "labels alone": ({"labels": LABELS}, "images", "a readable file, got: No such file or directory; check the path"),
    "test labels alone": (
        {"images": GREY, "labels": WORDS, "test_labels": WORDS},
        "",
        "test_images.npy beside test_labels.npy, got none; add",
    ),
    "unlabelled tests": (TEST, "test_images", "both or of neither, got labels.npy alone; add test_labels.npy"),
    "unlabelled images": (
        {"images": GREY, "test_images": GREY, "test_labels": WORDS},
        "test_images",
        "both or of neither, got test_labels.npy alone; add labels.npy",
    ),
    "a new class": (
        TEST | {"test_labels": np.where(LABELS == 1, "cow", WORDS)},
        "test_images",
        "the classes of the training images, got cow beside them; leave",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_refused_by_file_name_with_a_remedy(tmp_path: Path, case: str) -> None:
    arrays, name, sentence = BAD[case]
    folder = folder_of(tmp_path / "mine", arrays)
    with pytest.raises(DataError, match=f"^{folder / name}(.npy)?: expected .*{sentence}"):
        load(folder)


@pytest.mark.parametrize("kind", ["short", "no array", "empty", "an archive", "a folder"])
def test_damaged_files_are_refused(tmp_path: Path, kind: str) -> None:
    folder = folder_of(tmp_path / "mine", {"images": GREY, "labels": LABELS})
    file = folder / "images.npy"
    content = file.read_bytes()
    if kind == "an archive":
        np.savez(folder / "x.npz", images=GREY)
        (folder / "x.npz").rename(file)
    elif kind == "a folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes({"short": content[:-1], "no array": b"nothing of the kind", "empty": b""}[kind])
    with pytest.raises(DataError, match=rf"^{file}: expected .*; (save it again with np\.save|check the path)$"):
        load(folder)


def test_a_single_file_is_told_where_to_go(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", GREY)
    with pytest.raises(UsageError, match=r"got the file .*mine\.npy; put it into a folder, as images\.npy$"):
        load(tmp_path / "mine.npy")
