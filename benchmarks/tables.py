"""The results as tables on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

Result = dict[str, Any]
TITLES = {
    "likelihood": "Importance-weighted evaluation, 1,000 samples for each image: for one image and sample",
    "embed": "Embedding 60,000 images",
    "classify": "Classifying 10,000 images with the conditional VAE, one draw for each class",
    "detect": "An outlier detector of 784–256–64–2 units fitted for one epoch of 12,800 images, with its threshold",
}


def print_results(results: Result, console: Console | None = None) -> None:
    """Everything measured, with ratios: above 1 vaelab takes less time."""
    out = console or Console(highlight=False, width=110)
    where = results["environment"]
    gpu = f", {where['gpu']}" if where["gpu"] else ""
    out.print(f"{where['processor']}, {where['threads']} threads{gpu}", markup=False)
    out.print(", ".join(f"{name} {version}" for name, version in where["versions"].items()))
    rates = results["machine"]
    out.print(f"matrix product {rates['flops'] / 1e9:.0f} GFLOP/s, copy {rates['bytes'] / 1e9:.1f} GB/s (read + write)")
    for batch, found in results.get("epoch", {}).items():
        limit = results["least"][batch]["step"]
        _compared(out, f"One epoch of sheet C's VAE, batch {batch}", found, "images/s", limit)
    for name, title in TITLES.items():
        if name in results:
            unit = {"likelihood": "samples/s"}.get(name, "images/s")
            limit = {"likelihood": "sample", "embed": "embed"}.get(name)
            _compared(out, title, results[name], unit, results["least"]["128"][limit] if limit else None)
    if "quality" in results:
        _quality(out, results["quality"])
    if "start" in results:
        _plain(out, "Start-up", ["", "s"], [[name, f"{v['seconds']:.2f}"] for name, v in results["start"].items()])
    if "growth" in results:
        rows = [
            [f"{v['images']:,}", f"{v['side']}×{v['side']}", f"{v['seconds']:.2f}", f"{v['peak_mib']:.0f}"]
            for v in results["growth"]["epochs"]
        ]
        _plain(out, "Growth: an epoch at batch 128", ["images", "size", "s", "memory MiB"], rows)


def _plain(out: Console, title: str, columns: list[str], rows: list[list[str]]) -> None:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def _compared(out: Console, title: str, found: Result, unit: str, limit: float | None) -> None:
    columns = ["", unit, "vaelab is so many times as fast", "peak MiB", *(["× the limit"] if limit else [])]
    rows = []
    for name, value in found.items():
        low, high = value["ratio_range"]
        ratio = "" if name == "vaelab" else f"{value['ratio']:.2f} ({low:.2f}–{high:.2f})"
        row = [name, f"{value['per_second']:,.0f}", ratio, f"{value['peak_mib']:.0f}"]
        rows.append([*row, f"{1 / value['per_second'] / limit:.1f}"] if limit else row)
    _plain(out, title, columns, rows)


def _quality(out: Console, found: Result) -> None:
    rows = []
    for name, value in found.items():
        losses = [run["losses"][-1] for run in value["runs"]]
        reached = f"{value['reached']} of {len(losses)}"
        rows.append([name, f"{value['seconds']:.1f}", reached, f"{min(losses):.2f}–{max(losses):.2f}"])
    _plain(
        out,
        "Training until the test −ELBO is at most 155.9 nats per image",
        ["", "s (median)", "seeds that reach it", "nats at the end"],
        rows,
    )
    if "ratio" in found.get("sheet", {}):
        runs = found["sheet"]["runs"]
        more = "" if all(run["reached"] for run in runs) else "at least "
        out.print(f"vaelab is there {more}{found['sheet']['ratio']:.1f} times as soon as the sheet's loop")
