"""The results as the figure in the README."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vaelab.plots.style import drawing, save

NAMES = {"sheet": "the sheet's loop", "pythae": "Pythae 0.1.2", "keras": "Keras 3 (torch)", "vaelab": "vaelab"}
COLOURS = {"sheet": "#999999", "pythae": "#d9a441", "keras": "#7f6fb5", "vaelab": "#0b6fae"}


def draw_results(results: dict[str, Any], path: Path) -> None:
    """Images a second for each batch size, and seconds until the sheet's quality; what was not measured is left out."""
    parts = [name for name in ("epoch", "quality") if name in results]
    if not parts:
        return
    with drawing(4.6 * len(parts), 3.2) as figure:
        for place, name in enumerate(parts, start=1):
            axes = figure.add_subplot(1, len(parts), place)
            _epochs(axes, results["epoch"]) if name == "epoch" else _quality(axes, results["quality"])
    save(figure, path)


def _epochs(axes: Any, found: dict[str, Any]) -> None:
    names = [name for name in NAMES if name in next(iter(found.values()))]
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        rates = [values[name]["per_second"] for values in found.values()]
        places = [number + (place - (len(names) - 1) / 2) * width for number in range(len(found))]
        bars = axes.bar(places, rates, 0.92 * width, color=COLOURS[name], label=NAMES[name])
        if name == "vaelab":
            axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=2)
    axes.set_xticks(range(len(found)), [f"batch {batch}" for batch in found])
    axes.set_ylabel("images a second")
    axes.set_ylim(top=1.35 * axes.get_ylim()[1])
    axes.set_title("Training sheet C's VAE")
    axes.legend(ncols=2, loc="upper left")


def _quality(axes: Any, found: dict[str, Any]) -> None:
    names = [name for name in ("vaelab", "sheet") if found.get(name, {}).get("runs")]
    for place, name in enumerate(names):
        runs = found[name]["runs"]
        axes.barh(place, found[name]["seconds"], 0.6, color=COLOURS[name])
        axes.plot([run["seconds"] for run in runs], [place] * len(runs), "o", color="black", markersize=3, alpha=0.6)
        more = "" if found[name]["reached"] == len(runs) else "more than "
        text = f"{more}{found[name]['seconds']:.0f} s"
        axes.annotate(
            text, (max(run["seconds"] for run in runs), place), (6, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(names)), [NAMES[name] for name in names])
    axes.set_xlim(0, 1.35 * axes.get_xlim()[1])
    axes.set_xlabel("seconds of training (bar: median, dots: seeds)")
    axes.set_title("Until the test −ELBO is 155.9 nats")
