"""From runs to representations: of all training images without their labels, and of the test images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaelab.applications.representations import Problem, Representation
from vaelab.applications.representations.conclusions import RAW
from vaelab.autoencoder import Autoencoder
from vaelab.data.images import ImageData, Splits
from vaelab.data.progress import Progress, no_progress
from vaelab.errors import DataError, Interrupted, UsageError
from vaelab.run import Run, fingerprint
from vaelab.tasks.embed import representation
from vaelab.tasks.semi_supervised.store import Store


@dataclass(frozen=True)
class Source:
    """``kind``: vae, autoencoder, denoising autoencoder or pixels. ``fingerprint``: of weights and images."""

    name: str
    kind: str
    run: str
    fingerprint: str


Stop = Callable[[], int]


def images(runs: Sequence[Run]) -> Splits:
    """All training images, with those that a run held out for validation, which need no labels; and the test images.

    Raises `UsageError` for no run, runs of other images, of one name, or of a model that is given labels, `DataError`
    for images without labels.
    """
    _names(runs)
    for run in runs:
        if run.model.classes:
            raise UsageError(
                f"{run.folder.path} is a model that is given the labels, so its representation would tell them; "
                "use an unconditional VAE or autoencoder"
            )
    found = _images(runs)
    for part in (found.train, found.test):
        if part.labels is None or not bool((part.labels >= 0).any()):
            raise DataError(f"expected labelled images to test on, but {part.name} has no labels; give labelled data")
    return found


def collect(
    runs: Sequence[Run], data: Splits, store: Store, raw: bool, progress: Progress | None, stop: Stop
) -> tuple[list[Source], Problem]:
    """The representations of `images`; the pixels last.

    Those that ``store`` has are not computed again. Raises `Interrupted` where ``stop`` says so.
    """
    pixels = fingerprint(data)
    sources, found = [], {}
    for name, run in zip(_names(runs), runs, strict=True):
        source = Source(name, _kind(run), str(run.folder.path), _identity(run, pixels))
        sources.append(source)
        kept = store.representation(name, source.fingerprint)
        found[name] = kept or _embed(run, data, progress, stop)
        if kept is None:
            store.write_representation(name, source.fingerprint, found[name])
    if raw:
        sources.append(Source(RAW, "pixels", "", hashlib.sha256(f"raw {pixels}".encode()).hexdigest()))
        found[RAW] = Representation(_pixels(data.train), _pixels(data.test))
    assert data.train.labels is not None
    assert data.test.labels is not None
    return sources, Problem(found, data.train.labels.cpu().numpy(), data.test.labels.cpu().numpy())


def _names(runs: Sequence[Run]) -> list[str]:
    """The folders' names."""
    names = [Path(run.folder.path).resolve().name for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"expected runs in folders of different names, got {name} twice; rename one of them")
        if name == RAW:
            raise UsageError("a run's folder cannot be called raw here, which means the pixels; rename it")
    return names


def _images(runs: Sequence[Run]) -> Splits:
    first: tuple[Run, Splits, str] | None = None
    for run in runs:
        data = run.data
        if data.validation is not None:
            data = run.access.load(run.config.with_changes(data={"validation": 0.0}))
        if first is None:
            first = run, data, fingerprint(data)
        elif fingerprint(data) != first[2]:
            raise UsageError(
                f"expected runs of the same images, but {run.folder.path} was trained on others than "
                f"{first[0].folder.path}; give runs of one data set, image size and test part"
            )
    if first is None:
        raise UsageError("expected at least one run, got none")
    return first[1]


def _kind(run: Run) -> str:
    if isinstance(run.model, Autoencoder):
        return "autoencoder" if run.config.training.corruption == "none" else "denoising autoencoder"
    return run.model.kind


def _identity(run: Run, pixels: str) -> str:
    """SHA-256 of the weights, how pixels are read, and the images."""
    digest = hashlib.sha256(f"{run.config.data.variant} {pixels}\n".encode())
    for name, tensor in sorted(run.model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return digest.hexdigest()


def _embed(run: Run, data: Splits, progress: Progress | None, stop: Stop) -> Representation:
    with (progress or no_progress)(f"embedding {run.folder.path.name}", len(data.train) + len(data.test)) as advance:

        def noted(images: int) -> None:
            advance(images)
            if signum := stop():
                raise Interrupted("stopped while embedding; run the same command again to go on", signum)

        parts = [ImageData(part.name, part.pixels) for part in (data.train, data.test)]  # no labels
        return Representation(*(representation(run.model, part, run.config.data.variant, noted) for part in parts))


def _pixels(data: ImageData) -> NDArray[np.uint8]:
    """The images as rows of levels 0 to 255."""
    levels: NDArray[np.uint8] = data.images.cpu().flatten(1).numpy()
    return levels
