"""Freed memory stays in the process, unless the user has other plans for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted on Linux")

PROGRAM = """
import json, resource, torch
from vaelab.devices import choose_device
from vaelab.memory import keep_freed_memory

choose_device("cpu")
def work():
    for _ in range(50):
        torch.ones(200_000)  # 0.8 MB, as the activations of a small batch
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(json.dumps([keep_freed_memory(), faults]))
"""


EVALUATION = """
import json, resource, torch
from vaelab import build_model, presets
from vaelab.data import ImageData
from vaelab.evaluation import log_likelihood
from vaelab.memory import keep_freed_memory

model = build_model(presets.get("conv-vae").model)
data = ImageData("noise", torch.randint(256, (8, 1, 28, 28), dtype=torch.uint8))
for _ in range(3):  # until the heap has all it needs
    log_likelihood(model, data, "grey", samples=200)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    log_likelihood(model, data, "grey", samples=200)
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(json.dumps([keep_freed_memory(), faults]))
"""


def run(program: str = PROGRAM, **variables: str) -> tuple[bool, int]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_", "VAELAB_KEEP"))}
    found = subprocess.run(
        [sys.executable, "-c", program], env={**clean, **variables}, capture_output=True, check=True, text=True
    )
    kept, faults = json.loads(found.stdout)
    return kept, faults


@linux
def test_a_step_touches_no_new_pages() -> None:
    kept, faults = run()
    if not kept:
        pytest.skip("another C library than GNU's")
    assert faults < 50  # without it: 195 pages, 50 times


@linux
def test_nor_does_an_evaluation() -> None:
    kept, faults = run(EVALUATION)
    if not kept:
        pytest.skip("another C library than GNU's")
    assert faults < 5_000  # with it 2 or 3, without it 49,000: five evaluations of 1,600 decoded samples


@linux
@pytest.mark.parametrize("variable", ["VAELAB_KEEP_MEMORY", "MALLOC_TRIM_THRESHOLD_"])
def test_the_user_decides(variable: str) -> None:
    kept, _ = run(**{variable: "0" if variable.startswith("VAELAB") else "131072"})
    assert not kept
