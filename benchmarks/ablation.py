"""What each choice of the fast path is worth: a step of sheet C's VAE with one undone, beside the step as it is.

    python benchmarks/ablation.py                 # batch 32 and 128, five rounds
    python benchmarks/ablation.py --batch 64 --rounds 9

Every variant is a process of its own (the allocator and the threads belong to a process); they take turns. The ratio is
the median over the rounds of (time without the choice) / (time with it): above 1 the choice is a gain.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = 40


def plain_layers() -> None:
    """PyTorch's own convolutions and linear layers, each an operation of the graph."""
    from vaelab import convolutions, layers

    layers.ours = convolutions.ours = lambda x: False


def images_apart() -> None:
    """Each image's planes by themselves, as PyTorch has them, instead of those of many side by side."""
    from vaelab import layers

    layers.blocks = lambda batch: (batch, 1)  # type: ignore[assignment]


def rows_first() -> None:
    """Planes one after the other in memory, as PyTorch has them by default."""
    import torch

    torch.channels_last = torch.contiguous_format  # type: ignore[misc]
    plain_layers()
    from vaelab import layers

    shaped = layers.shaped  # ours lie channels last
    layers.shaped = lambda rows, planes: shaped(rows, planes).contiguous()


def pytorchs_step() -> None:
    """Adam's kernel called by PyTorch, with what it does around it for every parameter."""
    from vaelab.optimisation import Stepper

    def step(self: Any, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()

    Stepper.__call__ = step  # type: ignore[method-assign]


def unfused() -> None:
    """An update with several kernels for each parameter."""
    import torch

    from vaelab import training

    pytorchs_step()
    training.make_optimizer = lambda model, config: torch.optim.Adam(  # type: ignore[attr-defined]
        model.parameters(), lr=config.lr, fused=False, foreach=False
    )


def plain_bernoulli() -> None:
    """The cross entropy as PyTorch has it, and its gradient."""
    from vaelab.distributions import Bernoulli

    Bernoulli.log_prob = lambda self, x: -self.nats_per_pixel(x).sum((-3, -2, -1))  # type: ignore[method-assign]


def read_every_step() -> None:
    """The losses are read after every step."""
    from vaelab.training import Training

    plain = Training.step

    def step(self: Any, images: Any, labels: Any) -> None:
        plain(self, images, labels)
        self.flush()

    Training.step = step  # type: ignore[method-assign]


def item_by_item() -> None:
    """Images are taken one by one and stacked, as a data loader does."""
    import torch

    module = importlib.import_module("vaelab.data.batches")

    def gather(data: Any, size: int, order: Any, start: int) -> Any:
        for first in range(start * size, len(order), size):
            yield torch.stack([data.images[place] for place in order[first : first + size].tolist()]), None

    module._gather = gather


VARIANTS: dict[str, tuple[Callable[[], None] | None, dict[str, str], dict[str, Any]]] = {
    "as it is": (None, {}, {}),
    "freed memory given back": (None, {"VAELAB_KEEP_MEMORY": "0"}, {}),
    "PyTorch's own layers": (plain_layers, {}, {}),
    "and not channels-last": (rows_first, {}, {}),
    "images not side by side": (images_apart, {}, {}),
    "the Bernoulli by PyTorch": (plain_bernoulli, {}, {}),
    "Adam called by PyTorch": (pytorchs_step, {}, {}),
    "Adam not fused": (unfused, {}, {}),
    "losses read every step": (read_every_step, {}, {}),
    "batches gathered item by item": (item_by_item, {}, {}),
    "networks compiled": (None, {}, {"compile": True}),
    "one thread": (None, {"OMP_NUM_THREADS": "1"}, {}),
    "bf16 (changes results)": (None, {}, {"precision": "bf16"}),
}


def measure(name: str, batch: int) -> float:
    """Milliseconds a step, in this process."""
    import torch

    from vaelab import build_model, presets
    from vaelab.data import ImageData

    module = importlib.import_module("vaelab.data.batches")
    from vaelab.compiling import networks_compiled
    from vaelab.training import Training

    undo, _, changes = VARIANTS[name]
    if undo is not None:
        undo()
    config = presets.get("conv-vae").with_changes(training={"batch_size": batch, **changes}).training
    pixels = torch.randint(256, (batch * (STEPS + 10), 1, 28, 28), dtype=torch.uint8)
    training = Training(
        build_model(presets.get("conv-vae").model), ImageData("noise", pixels), config, "grey", None, "validation", None
    )
    begin = 0.0
    with networks_compiled(training.model, config.compile):
        for number, (images, labels) in enumerate(module.batches(training.train, batch, training.orders.epoch(0))):
            if number == 10:
                training.flush()  # waits for the steps before
                begin = time.perf_counter()
            training.step(images, labels)
        training.flush()
    return 1e3 * (time.perf_counter() - begin) / STEPS


def elsewhere(name: str, batch: int) -> float:
    """`measure` in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--measure", name, "--batch", str(batch)]
    variables = {**os.environ, **VARIANTS[name][1]}
    return float(json.loads(subprocess.run(command, capture_output=True, check=True, env=variables).stdout))


def main() -> None:
    """Take turns, print a table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("runs/bench/ablation.json"))
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.measure, asked.batch[0])))
        return
    results: dict[str, dict[str, Any]] = {}
    for batch in asked.batch:
        times: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for number in range(asked.rounds):
            for name in list(VARIANTS)[:: 1 if number % 2 == 0 else -1]:
                times[name].append(elsewhere(name, batch))
        print(f"batch {batch}")
        for name, found in times.items():
            ratios = [one / other for one, other in zip(found, times["as it is"], strict=True)]
            row = {"ms": statistics.median(found), "ratio": statistics.median(ratios), "ratios": sorted(ratios)}
            results.setdefault(str(batch), {})[name] = row
            low, high = min(ratios), max(ratios)
            print(f"  {name:32s} {row['ms']:7.2f} ms   × {row['ratio']:.2f}  ({low:.2f}–{high:.2f})", flush=True)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
