"""The main job on real input: sheet C's two models on the real MNIST, by the command line.

Two seeds each, or as many as VAELAB_SEEDS says.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not os.environ.get("VAELAB_DATA"), reason="VAELAB_DATA is not set"),
]

SEEDS = range(max(2, int(os.environ.get("VAELAB_SEEDS", "2"))))
# The sheet's own results in nats per image (its figures × 32), to be met by every seed.
LIMITS = {"conv-vae": 155.9, "conv-cvae": 131.8}


def vaelab(*words: str | Path) -> str:
    """Run the command; its standard output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # two runs side by side on two cores
    done = subprocess.run(
        [sys.executable, "-m", "vaelab", *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def train_and_evaluate(preset: str, seed: int, folder: Path) -> dict[str, dict[str, float]]:
    run = folder / f"{preset}-{seed}"
    vaelab("train", "--preset", preset, "--data", "mnist", "--seed", str(seed), "--out", run, "--quiet")
    metrics: dict[str, dict[str, float]] = json.loads(vaelab("evaluate", run, "--json", "--quiet"))
    return metrics


@pytest.mark.parametrize("preset", LIMITS)
def test_every_seed_meets_the_sheet(preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda seed: train_and_evaluate(preset, seed, tmp_path), SEEDS))
    values = [metrics["negative_elbo"]["value"] for metrics in results]
    with capsys.disabled():
        print(f"\n{preset}, test −ELBO in nats per image (÷ 32: the sheet's own figure), n = 10,000")
        for seed, metrics in zip(SEEDS, results, strict=True):
            entry = metrics["negative_elbo"]
            parts = ", ".join(f"{name} {metrics[name]['value']:.2f}" for name in ("reconstruction", "kl"))
            value, error = entry["value"], entry["standard_error"]
            print(f"  seed {seed}: {value:.2f} ± {error:.2f} ({parts}; {value / 32:.3f})")
        mean, spread = statistics.mean(values), statistics.stdev(values)
        print(f"  mean {mean:.2f}, standard deviation over seeds {spread:.2f}")
    assert all(metrics["negative_elbo"]["n"] == 10_000 for metrics in results)
    assert max(values) <= LIMITS[preset]
