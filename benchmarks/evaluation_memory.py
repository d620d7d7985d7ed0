"""Peak memory and time of `log_likelihood`, for several numbers of images and importance samples beside each other.

    python benchmarks/evaluation_memory.py           # up to 10,000 images × 1,000 samples: 10⁷ decoded images
    python benchmarks/evaluation_memory.py --quick   # up to 1,000 × 100
    python benchmarks/evaluation_memory.py --preset mlp-vae --images 10000 --samples 10 1000

Every line is measured in a process of its own (Linux or macOS), on random 28×28 images. "before" is the peak resident
memory once model and images are there; what the evaluation adds must grow neither with the images nor with the samples.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from itertools import product


def peak_mib() -> float:
    """The process's largest resident memory so far, MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def measure(preset: str, images: int, samples: int) -> dict[str, float]:
    """One evaluation in this process."""
    import torch

    from vaelab import build_model, presets
    from vaelab.data import ImageData
    from vaelab.evaluation import log_likelihood

    config = presets.get(preset)
    model = build_model(config.model)
    pixels = torch.randint(256, (images, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(images) % 10
    data = ImageData("random", pixels, labels, tuple("0123456789"))
    before, start, cpu = peak_mib(), time.perf_counter(), time.process_time()

    def progress(done: int) -> None:
        if sys.stderr.isatty():
            left = (time.perf_counter() - start) * (images - done) / done
            print(f"\r  {done} of {images} images, {left:.0f} s left  ", end="", file=sys.stderr, flush=True)

    log_likelihood(model, data, config.data.variant, samples=samples, progress=progress)
    if sys.stderr.isatty():
        print("\r" + " " * 50 + "\r", end="", file=sys.stderr)
    return {
        "before": before,
        "peak": peak_mib(),
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
    }


def in_fresh_process(preset: str, images: int, samples: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", preset, str(images), str(samples)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    numbers: dict[str, float] = json.loads(result.stdout)
    return numbers


def report(presets: list[str], counts: list[int], samples: list[int]) -> None:
    columns = (
        "preset",
        "images",
        "samples",
        "before MiB",
        "peak MiB",
        "added MiB",
        "seconds",
        "CPU seconds",
        "decoded/s",
    )
    print(" ".join(f"{column:>11}" for column in columns))
    for preset in presets:
        added = []
        for n, k in product(counts, samples):
            got = in_fresh_process(preset, n, k)
            added.append(got["peak"] - got["before"])
            numbers = (n, k, got["before"], got["peak"], added[-1], got["seconds"], got["cpu"], n * k / got["seconds"])
            print(f"{preset:>11} " + " ".join(f"{number:11.0f}" for number in numbers), flush=True)
        work = counts[-1] * samples[-1] // (counts[0] * samples[0])
        print(f"{preset}: {work} times the work, {added[0]:.0f} → {added[-1]:.0f} MiB added\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", nargs="+", default=["mlp-vae", "conv-vae"], help="default: mlp-vae conv-vae")
    parser.add_argument("--images", nargs="+", type=int, help="numbers of images; default: 1000 10000")
    parser.add_argument("--samples", nargs="+", type=int, help="importance samples; default: 10 100 1000")
    parser.add_argument("--quick", action="store_true", help="100 and 1000 images, 10 and 100 samples")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        preset, n, k = arguments.one
        print(json.dumps(measure(preset, int(n), int(k))))
        return
    images, samples = ([100, 1000], [10, 100]) if arguments.quick else ([1000, 10000], [10, 100, 1000])
    report(arguments.preset, arguments.images or images, arguments.samples or samples)


if __name__ == "__main__":
    main()
