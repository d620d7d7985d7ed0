"""Speed and memory of training on a data set that stays on disk, beside the same images in memory.

    python benchmarks/streaming.py                  # 10⁶ images of 28×28, conv-vae, batches of 128: about a minute
    python benchmarks/streaming.py --json out.json  # the numbers in a file, too
    python benchmarks/streaming.py --images 100000 --preset mlp-vae --blocks 4 --device cuda

The images are written to a temporary folder. Each way has a process of its own (Linux); the two take turns, a block of
steps each, so that whatever else the machine does is much the same for both, and the ratio is the median over pairs of
blocks: of the seconds, and of the processor's seconds, which other programs disturb less. The batches are those of an
epoch, so they are spread over the whole file. "added" is the peak resident memory beyond what the process had when it
had trained the same model on a few images.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

WAYS = ("streamed", "memory")
PIECE = 10_000  # images written at a time


def write_images(folder: Path, count: int) -> None:
    """Noise that is the same in every piece but for its order, so that writing takes little time."""
    rng = np.random.default_rng(0)
    piece = rng.integers(0, 256, (PIECE, 28, 28), dtype=np.uint8)
    stored = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (count, 28, 28))
    for start in range(0, count, PIECE):
        here = stored[start : start + PIECE]
        here[...] = np.roll(piece, start // PIECE, axis=0)[: len(here)]
    stored.flush()


def memory_mib(key: str) -> float:
    """VmRSS: resident memory now; VmHWM: its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def serve(way: str, folder: Path, options: argparse.Namespace) -> Iterator[dict[str, float]]:
    """In a process of its own: ready, then block after block of (gathering, training) seconds and memory."""
    import torch

    from vaelab import build_model, presets
    from vaelab.data import ImageData, batches, epoch_order
    from vaelab.data.loading import load_unseen
    from vaelab.training import Training

    torch.set_num_threads(options.threads)
    config = presets.get(options.preset).with_changes(training={"batch_size": options.batch, "device": options.device})
    model = build_model(config.model)

    def training_on(data: ImageData) -> Training:
        return Training(model, data, config.training, config.data.variant, None, "test", None)

    def train(training: Training, order: torch.Tensor) -> None:
        for images, labels in batches(training.train, options.batch, order):
            training.step(images, labels)
        training.flush()  # waits for the device

    few = torch.randint(256, (5 * options.batch, 1, 28, 28), dtype=torch.uint8)
    train(training_on(ImageData("few", few)), torch.arange(len(few)))
    before = memory_mib("VmRSS")
    if way == "streamed":
        data = load_unseen(folder)
    else:
        data = ImageData("all", torch.from_numpy(np.load(folder / "images.npy")).unsqueeze(1))
    training = training_on(data)
    orders = [torch.split(epoch_order(len(data), 0, number), options.steps * options.batch) for number in (0, 1)]
    yield {}
    for one, other in zip(*orders, strict=True):
        start = time.perf_counter()
        for _ in batches(training.train, options.batch, one):
            pass
        gathered, cpu = time.perf_counter(), time.process_time()
        train(training, other)
        trained = time.perf_counter()
        added = memory_mib("VmHWM") - before
        used = time.process_time() - cpu
        yield {"gathered": gathered - start, "trained": trained - gathered, "used": used, "added": added}


def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All blocks of both ways, the order turned round each time; images a second of the median block."""
    processes: dict[str, subprocess.Popen[str]] = {}
    for way in WAYS:
        command = [sys.executable, __file__, *sys.argv[1:], "--one", way, str(folder)]
        processes[way] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ask(processes[way])  # ready
    seen: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for number in range(options.blocks + 1):
        for way in WAYS if number % 2 == 0 else WAYS[::-1]:
            seen[way].append(ask(processes[way]))
    for process in processes.values():
        process.communicate()
    found: dict[str, Any] = {"images": options.images, "preset": options.preset, "batch": options.batch}
    found |= {"steps": options.steps, "blocks": options.blocks, "threads": options.threads, "device": options.device}
    for way in WAYS:
        rows = seen[way][1:]  # the first one warms up
        images = options.steps * options.batch
        found[way] = {f"{name}_per_second": images / median(rows, name) for name in ("trained", "gathered")}
        found[way] |= {"added_mib": seen[way][-1]["added"], "blocks": rows}
    for name in ("trained", "used", "gathered"):
        pairs = zip(seen["memory"][1:], seen["streamed"][1:], strict=True)
        found[f"{name}_ratio"] = statistics.median(one[name] / other[name] for one, other in pairs)
    return found


def ask(process: subprocess.Popen[str]) -> dict[str, float]:
    """The next answer of `serve`."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("next\n")
    process.stdin.flush()
    answer: dict[str, float] = json.loads(process.stdout.readline())
    return answer


def answer(given: Iterator[dict[str, float]], questions: TextIO) -> None:
    """One line for each line of ``questions``, until they end."""
    for _ in questions:
        print(json.dumps(next(given)), flush=True)


def median(rows: list[dict[str, float]], name: str) -> float:
    return statistics.median(row[name] for row in rows)


def report(found: dict[str, Any]) -> None:
    print(f"{found['images']:,} images of 28×28, {found['images'] * 784 / 2**20:.0f} MiB; {found['preset']}", end=" ")
    print(f"on {found['device']}, batch {found['batch']}, {found['blocks']} blocks of {found['steps']} steps")
    print(f"{'':10} {'trained/s':>10} {'gathered/s':>11} {'added MiB':>10}")
    for way in WAYS:
        numbers = (found[way][name] for name in ("trained_per_second", "gathered_per_second", "added_mib"))
        print("{:10} {:10,.0f} {:11,.0f} {:10.0f}".format(way, *numbers))
    ratios = (found[f"{name}_ratio"] for name in ("trained", "used", "gathered"))
    print("streamed ÷ memory: {:.2f} trained ({:.2f} by processor time), {:.2f} gathered".format(*ratios))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000_000, help="default: 1000000")
    parser.add_argument("--preset", default="conv-vae", help="of 28×28 images without labels; default: conv-vae")
    parser.add_argument("--batch", type=int, default=128, help="images a step; default: 128")
    parser.add_argument("--steps", type=int, default=15, help="of a block; default: 15")
    parser.add_argument("--blocks", type=int, default=10, help="measured of each way; default: 10")
    parser.add_argument("--threads", type=int, default=1, help="of each process; default: 1")
    parser.add_argument("--device", default="cpu", help="default: cpu")
    parser.add_argument("--json", type=Path, help="a file for the numbers")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        answer(serve(options.one[0], Path(options.one[1]), options), sys.stdin)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), options.images)
        found = run(Path(folder), options)
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
