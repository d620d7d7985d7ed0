"""What the benchmarks print is what was measured: ratios, limits, tables, the figure; and contestants answer orders."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.syspath_prepend(str(FOLDER / "contestants"))


def answers(*seconds: float) -> list[dict[str, Any]]:
    return [{"seconds": value, "peak_mib": 100.0 + value} for value in seconds]


def results() -> dict[str, Any]:
    from run import summary

    found = {name: answers(2.0, 3.0, 4.0) for name in ("sheet", "pythae", "keras")} | {"vaelab": answers(1.0, 1.0, 2.0)}
    runs = [{"seconds": 10.0, "losses": [160.0, 155.0], "reached": True, "seed": 0}]
    quality = {"sheet": {"runs": runs, "seconds": 10.0, "reached": 1, "ratio": 5.0}}
    quality["vaelab"] = {"runs": [{**runs[0], "seconds": 2.0}], "seconds": 2.0, "reached": 1}
    return {
        "environment": {"processor": "a [b]processor[/b]", "threads": 2, "gpu": "", "versions": {"torch": "2"}},
        "machine": {"flops": 1e11, "bytes": 1e10},
        "least": {batch: {"step": 1e-4, "embed": 1e-5, "sample": 1e-5} for batch in ("32", "128")},
        "epoch": {batch: summary(found, 100) for batch in ("32", "128")},
        "likelihood": summary({name: found[name] for name in ("pythae", "vaelab")}, 1),
        "quality": quality,
        "start": {"import vaelab": {"seconds": 0.1, "range": [0.1, 0.2]}},
        "growth": {"epochs": [{"images": 1000, "side": 28, "seconds": 1.0, "peak_mib": 10.0}]},
    }


def test_ratios_are_those_of_the_rounds() -> None:
    from run import summary

    found = summary({"sheet": answers(2.0, 3.0, 8.0), "vaelab": answers(1.0, 2.0, 2.0)}, 100)
    assert found["sheet"]["ratio"] == 2.0  # of 2, 1.5 and 4, not the ratio of the medians
    assert found["sheet"]["ratio_range"] == [1.5, 4.0]
    assert found["vaelab"]["per_second"] == 50.0
    assert found["sheet"]["peak_mib"] == 108.0


def test_the_tables_say_it(tmp_path: Path) -> None:
    from figure import draw_results
    from tables import print_results

    console = Console(record=True, width=120)
    print_results(results(), console)
    text = console.export_text()
    assert "2.00 (2.00–3.00)" in text
    assert "5.0 times as soon" in text
    assert "a [b]processor[/b]" in text  # nothing that was measured is markup
    draw_results(results(), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5000
    draw_results({}, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_operations_are_those_of_the_networks() -> None:
    from limits import least, operations

    count = operations(batch=2)
    inner = 2 * 9 * 32 * 64 * 49  # of one large convolution, forwards: twice its products
    thin = 2 * 9 * 32 * 196
    encode = thin + inner + 2 * (3136 * 16 + 16 * 4)
    decode = inner + thin + 2 * 2 * 3136
    assert count["embed"] == encode
    assert count["sample"] == decode
    # Backwards the same twice over, but for the pixels, which need no gradient.
    assert count["step"] == 3 * (encode + decode) - thin
    limit = least({"flops": 1e9, "bytes": 1e12}, count, 32)
    assert limit["sample"] == decode / 1e9


@pytest.mark.parametrize("contestant", ["sheet", "vaelab_way"])
def test_a_contestant_answers(contestant: str, tmp_path: Path) -> None:
    for split in ("train", "test"):
        np.save(tmp_path / f"{split}.npy", np.random.default_rng(0).integers(0, 256, (48, 28, 28), dtype=np.uint8))
        np.save(tmp_path / f"{split}_labels.npy", np.arange(48) % 10)
    order = {"data": str(tmp_path), "seed": 0, "images": 40, "batch": 16, "target": 155.9, "epochs": 1}
    lines = "".join(json.dumps({**order, "work": work}) + "\n" for work in ("epoch", "embed", "classify"))
    command = [sys.executable, "-W", "ignore", str(FOLDER / "contestants" / f"{contestant}.py")]
    found = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    replies = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(replies) == 3
    assert all(reply["seconds"] > 0 and reply["peak_mib"] > 0 for reply in replies)


def test_the_sheets_networks_are_the_presets() -> None:
    from sheet import ConvVAE, loss_of

    from vaelab import build_model, presets
    from vaelab.objectives import ELBO

    model, other = build_model(presets.get("conv-vae").model), ConvVAE()
    parameters = sum(p.numel() for p in other.parameters())
    assert parameters == sum(p.numel() for p in model.parameters())
    ordered = sorted(model.parameters(), key=lambda p: (p.numel(), tuple(p.shape)))
    assert [p.numel() for p in ordered] == sorted(p.numel() for p in other.parameters())
    x = torch.rand(4, 1, 28, 28)
    assert loss_of(x, *other(x)).shape == ELBO()(model, x).reconstruction.shape
