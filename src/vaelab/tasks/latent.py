"""What `vaelab latent` does: measure the latent space of a run, find its gaps, draw them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vaelab import plots
from vaelab.applications.latent import (
    Borders,
    Encoded,
    Gaps,
    MarginalPrior,
    Positions,
    base_model,
    decode_at,
    encode,
    find_borders,
    find_gaps,
    some_rows,
)
from vaelab.autoencoder import Autoencoder
from vaelab.data.images import ImageData
from vaelab.data.progress import Progress, increments, no_progress
from vaelab.errors import DataError, UsageError, VaelabError
from vaelab.evaluation.draws import at_least
from vaelab.metrics import Metric, MetricsNotSavedError
from vaelab.priors import StandardNormal
from vaelab.randomness import generator
from vaelab.run import Run
from vaelab.tasks.latent_metrics import (
    aggregate_metrics,
    agreement_metrics,
    information_metrics,
    separability_metrics,
)

LIMIT = 10_000
"""Images of each split that are looked at."""


@dataclass
class LatentReport:
    """What was found; ``notes`` are sentences about what was left out, and why.

    `to_json` gives the form of ``metrics.json``, and beside the metrics ``gaps``, ``borders``, ``notes`` and ``files``.
    """

    metrics: dict[str, Metric] = field(default_factory=dict)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    borders: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: metric.to_json() for name, metric in self.metrics.items()} | {
            "gaps": self.gaps,
            "borders": self.borders,
            "notes": self.notes,
            "files": [str(file) for file in self.files],
        }


class LatentNotSavedError(MetricsNotSavedError):
    """The metrics or figures could not be written; ``report`` holds what was found."""

    def __init__(self, error: VaelabError, report: LatentReport) -> None:
        super().__init__(error, report.metrics)
        self.report = report


def study_latent_space(
    run: Run,
    *,
    against: Run | None = None,
    split: str = "test",
    gaps: int = 8,
    limit: int = LIMIT,
    seed: int = 0,
    progress: Progress | None = None,
) -> LatentReport:
    """Aggregate posterior, information, classes, gaps and, ``against`` another run, agreement; drawn and saved.

    At most ``limit`` images of ``split`` are looked at, and of the training images that the classifiers on z are fitted
    on; half the images where the split is train itself. ``gaps`` (0: none) is how many gaps and class borders are
    sought. The metrics are added to ``metrics.json``; for another split than test they are ``<split>_<name>`` and the
    figures ``<split>-<name>.png``. Raises `DataError` where there are fewer than 2 images, `UsageError` for numbers out
    of range, `LatentNotSavedError` where the metrics cannot be written.
    """
    run.folder.metrics()  # what is damaged is found before the work, not after it
    at_least("gaps", gaps, 0)
    study = _Study(run, split, limit, seed, progress or no_progress)
    study.separability(limit)
    study.aggregate()
    if against is not None:
        study.agreement(against)
    if gaps and study.prior is not None:
        study.gaps(gaps)
    prefix = "" if split == "test" else f"{split}_"
    report = study.report
    report.metrics = {prefix + name: metric for name, metric in report.metrics.items()}
    try:
        run.folder.write_metrics(report.metrics)
        for name, figure in study.figures.items():
            path = run.folder.figures / f"{prefix.replace('_', '-')}{name}.png"
            plots.save(figure, path)
            report.files.append(path)
    except VaelabError as error:
        raise LatentNotSavedError(error, report) from error
    return report


class _Study:
    """One pass over a run's latent space; each part adds to the report."""

    def __init__(self, run: Run, split: str, limit: int, seed: int, progress: Progress) -> None:
        self.run, self.split, self.seed, self.progress = run, split, seed, progress
        self.report, self.figures = LatentReport(), dict[str, Figure]()
        whole = run.split(split)
        if len(whole) < 2:
            raise DataError(
                f"expected at least 2 images to look at a latent space, got {len(whole)}; choose a larger split"
            )
        self.rows = some_rows(len(whole), limit, seed)
        self.data = whole.take(self.rows)
        self.encoded = self._encode(run, self.data, "encoding")
        self.prior: MarginalPrior | None = None
        if isinstance(run.model, Autoencoder):
            self.report.notes.append(
                "An autoencoder has no posterior and no prior: aggregate posterior, information, gaps and borders are "
                "left out."
            )
        else:
            self.prior = MarginalPrior.of(run.model, self.encoded)

    def _encode(self, run: Run, data: ImageData, what: str) -> Encoded:
        with self.progress(what, len(data)) as advance:
            return encode(run.model, data, run.config.data.variant, seed=self.seed, progress=increments(advance))

    def words(self, *parts: str, seeded: bool = True) -> str:
        """A protocol: split, what was measured, seed."""
        model = base_model(self.run.model)
        given = ["encoded given the label"] if model.classes else []
        given += ["M1's z₁"] if model is not self.run.model else []
        seed = [f"seed {self.seed}"] if seeded else []
        return ", ".join([f"{self.split} split", *given, *parts, *seed])

    def separability(self, limit: int) -> None:
        """Classifiers on the posterior means, fitted on other images than they are asked about."""
        if self.split == "train":
            order = torch.randperm(len(self.encoded), generator=generator(self.seed, "cpu", "halves"))
            fitted, asked = (_rows(self.encoded, half) for half in order.tensor_split(2))
            on = "fitted on the other half of the images"
        else:
            train = self.run.split("train")
            train = train.take(some_rows(len(train), limit, self.seed))
            fitted, asked = self._encode(self.run, train, "encoding training images"), self.encoded
            on = f"fitted on {len(train)} training images"
        if self.run.config.data.labels:
            on += " with all their labels, also those hidden from the training"
        try:
            self.report.metrics |= separability_metrics(fitted, asked, self.words, on)
        except DataError as error:
            self.report.notes.append(f"Separability is left out: {error}.")

    def aggregate(self) -> None:
        """The aggregate posterior and the information in z."""
        if self.prior is None:
            return
        metrics, notes = aggregate_metrics(self.encoded, self.prior, self.words, self.seed)
        self.report.metrics |= information_metrics(self.encoded, self.prior, self.words) | metrics
        self.report.notes += notes
        if self.encoded.z is not None and isinstance(self.prior.model.prior, StandardNormal):
            title = f"{self.run.title()}: aggregate posterior of the {self.split} images against N(0, I)"
            self.figures["aggregate-posterior"] = plots.aggregate_posterior(self.encoded.z, title)

    def agreement(self, against: Run) -> None:
        """Over the same images."""
        other = self._encode(against, self.data, "encoding with the other run")
        given = "" if other.conditions is None else ", whose posteriors are given the label"
        what = f"{against.folder.path}{given}"
        self.report.metrics |= agreement_metrics(self.encoded, other, self.words, what, self.seed)

    def gaps(self, count: int) -> None:
        """Gaps and borders: found, listed, decoded, drawn."""
        assert self.prior is not None
        found = find_gaps(self.encoded, self.prior, count=count, seed=self.seed)
        self.report.gaps = [_gap(self.data, self.rows, found, i) for i in range(len(found.positions))]
        self._sheet(found.positions, found.positions.distance, "gap", "gaps of the aggregate posterior")
        borders = None
        try:
            borders = find_borders(self.encoded, self.prior, count=count, seed=self.seed)
        except DataError as error:
            self.report.notes.append(f"Borders of classes are left out: {error}.")
        if borders is not None and len(borders.positions):
            self.report.borders = [_border(self.data, self.rows, borders, i) for i in range(len(borders.positions))]
            self._sheet(borders.positions, borders.entropy, "border", "borders between classes")
        if self.prior.model.latent == 2:
            self._map(found, borders)

    def _sheet(self, positions: Positions, scores: Tensor, name: str, what: str) -> None:
        """The positions decoded, above the nearest encoded images."""
        nearest = self.data.take(positions.nearest)
        c = None if self.encoded.conditions is None else self.encoded.conditions[positions.nearest]
        images = decode_at(self.run.model, positions.z, c)
        given = "" if c is None else ", with the label of the nearest image"
        unit = "entropy, nats" if name == "border" else "distance"
        self.figures[f"latent-{name}s"] = plots.reconstructions(
            images,
            nearest.images.float() / 255,
            scores,
            title=f"{self.run.title()}: {what}, decoded{given}",
            names=(f"decoded {name}", "nearest image"),
            score_name=unit,
        )

    def _map(self, found: Gaps, borders: Borders | None) -> None:
        """Of a plane: prior, encoded images, gaps, borders."""
        assert self.prior is not None
        assert self.encoded.z is not None
        reach = (found.positions.z.abs().amax(1) + found.radius).max()
        extent = max(3.0, 1.05 * float(reach), float(self.encoded.z.abs().amax(1).quantile(0.995)))
        axis = torch.linspace(-extent, extent, 121)
        across, up = torch.meshgrid(axis, axis, indexing="xy")
        density = self.prior.log_prob(torch.stack([across.flatten(), up.flatten()], 1)).exp().reshape(121, 121)
        crosses = None if borders is None or not len(borders.positions) else borders.positions.z
        title = f"{self.run.title()}: gaps of the latent plane, {len(self.encoded):,} {self.split} images"
        self.figures["latent-map"] = plots.gap_map(
            self.encoded.z, found.positions.z, found.radius, density, extent, crosses, title=title
        )


def open_other(run: Run, against: Path, device: str) -> Run:
    """The run to compare with; `UsageError` where it is the same folder."""
    if against.resolve() == run.folder.path.resolve():
        raise UsageError("expected another run for --against, got the same one; give a second training")
    return Run.open(against, run.access, device)


def _rows(encoded: Encoded, rows: Tensor) -> Encoded:
    labels = None if encoded.labels is None else encoded.labels[rows]
    return Encoded(encoded.means[rows], labels=labels, class_names=encoded.class_names)


def _place(data: ImageData, rows: Tensor, positions: Positions, i: int) -> dict[str, Any]:
    """What gaps and borders have in common, as plain values; ``nearest_image`` counts in the whole split, from 0."""
    nearest = int(positions.nearest[i])
    label = None if data.labels is None or int(data.labels[nearest]) < 0 else int(data.labels[nearest])
    return {
        "position": [round(value, 6) for value in positions.z[i].tolist()],
        "log_prior_density": float(positions.log_prior[i]),
        "prior_mass_denser": float(positions.prior_mass[i]),
        "nearest_image": int(rows[nearest]),
        "nearest_label": None if label is None else data.class_names[label],
        "nearest_distance": float(positions.distance[i]),
    }


def _gap(data: ImageData, rows: Tensor, found: Gaps, i: int) -> dict[str, Any]:
    own = {
        "expected_images": float(found.expected[i]),
        "radius": float(found.radius[i]),
        "log_aggregate_density": float(found.log_aggregate[i]),
        "beyond_chance": bool(found.expected[i] > found.chance),
    }
    return {"rank": i + 1, **own, **_place(data, rows, found.positions, i)}


def _border(data: ImageData, rows: Tensor, found: Borders, i: int) -> dict[str, Any]:
    shares = {data.class_names[int(c)]: float(found.shares[i, c]) for c in torch.nonzero(found.shares[i]).flatten()}
    ordered = dict(sorted(shares.items(), key=lambda item: -item[1]))
    own = {"entropy": float(found.entropy[i]), "radius": float(found.radius[i]), "classes": ordered}
    return {"rank": i + 1, **own, **_place(data, rows, found.positions, i)}
