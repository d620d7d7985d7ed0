"""What `vaelab transfer` does: draw chosen images with every label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaelab import plots
from vaelab.applications.transfer import check_conditional, transfer
from vaelab.data.images import ImageData
from vaelab.data.pixels import prepare_fixed
from vaelab.evaluation.draws import at_least
from vaelab.randomness import generator
from vaelab.run import Run


@dataclass(frozen=True)
class TransferReport:
    """``images (n, classes, channel, height, width)`` of the sources ``chosen (n,)``, rows of the split; the figure."""

    images: Tensor
    chosen: Tensor
    labels: list[str]
    file: Path

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the images."""
        return {"file": str(self.file), "images": self.chosen.tolist(), "labels": self.labels}


def transfer_labels(
    run: Run, *, count: int = 10, split: str = "test", seed: int = 0, out: Path | None = None
) -> TransferReport:
    """``count`` images of ``split``, of the classes in turn, decoded with every label; the sheet of source × label.

    It is drawn into ``figures/label-transfer.png`` or the file ``out``. Raises `UsageError` for a model without
    condition and a ``count`` below 1.
    """
    check_conditional(run.model)
    at_least("count", count, 1)
    data = run.split(split)
    chosen = in_turn(data, count, seed)
    sources, variant = data.take(chosen), run.config.data.variant
    images = transfer(run.model, sources, variant, seed=seed)
    labels = torch.full((len(chosen),), -1) if sources.labels is None else sources.labels.cpu()
    names = list(run.class_names)
    figure = plots.label_transfer(
        images,
        prepare_fixed(sources.images, variant, seed),
        labels,
        names,
        title=f"{run.title()}: the style of {split} images with every label",
    )
    file = out or run.folder.figures / "label-transfer.png"
    plots.save(figure, file)
    return TransferReport(images, chosen, [names[i] if i >= 0 else "?" for i in labels.tolist()], file)


def in_turn(data: ImageData, count: int, seed: int) -> Tensor:
    """``count`` rows of ``data`` at random: the first of each class, then the second of each, …"""
    order = torch.randperm(len(data), generator=generator(seed, "cpu", "transfer"))
    if data.labels is None:
        return order[:count]
    labels = data.labels.cpu()[order]
    turn = torch.empty(len(order), dtype=torch.long)
    for label in torch.unique(labels).tolist():
        members = labels == label
        turn[members] = torch.arange(int(members.sum()))
    return order[torch.argsort(turn * (int(labels.max()) + 2) + labels)[:count]]
