"""All contestants on the same work, taking turns in one run: medians, spread, ratios, and the distance to the limit.

    python benchmarks/run.py                          # everything but time to quality: under a quarter of an hour
    python benchmarks/run.py --only quality --seeds 10 --sheet-seeds 3
    python benchmarks/run.py --only epoch --rounds 5

Needs MNIST under $VAELAB_DATA (or the user's cache). Results are printed, and written to --out as JSON and a figure.
Every contestant has an environment of its own (`environments`) and stays in one process; --python NAME=PATH gives
another interpreter.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environments import CONTESTANTS, NEEDED, ROOT, python_of
from figure import draw_results
from limits import least, machine, operations
from tables import print_results

import vaelab
from vaelab.errors import VaelabError

Result = dict[str, Any]
TARGET = 155.9  # nats: sheet C's own test loss after its ten epochs, 4.872 × 32
SCRIPTS = {"sheet": "sheet", "pythae": "pythae_way", "keras": "keras_way", "pyod": "pyod_way", "vaelab": "vaelab_way"}
START = {  # what a user waits for before anything happens
    "vaelab --version": ("vaelab", ["-m", "vaelab", "--version"]),
    "vaelab train --help": ("vaelab", ["-m", "vaelab", "train", "--help"]),
    "import vaelab": ("vaelab", ["-c", "import vaelab"]),
    "import torch": ("vaelab", ["-c", "import torch"]),
    "import pythae": ("pythae", ["-c", "from pythae.models import VAE"]),
    "import keras": ("keras", ["-c", "import os; os.environ['KERAS_BACKEND'] = 'torch'; import keras"]),
    "import pyod": ("pyod", ["-c", "from pyod.models.vae import VAE"]),
}
WORKS = ("epoch", "quality", "likelihood", "embed", "classify", "detect", "start", "growth")


class Contestant:
    """A process that answers orders one after the other."""

    def __init__(self, name: str, python: str, data: str) -> None:
        self.name, self.data = name, data
        script = CONTESTANTS / f"{SCRIPTS[name]}.py"
        self.process = subprocess.Popen(
            [python, "-W", "ignore", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=data,
        )

    def order(self, work: str, **values: Any) -> Result:
        """Do it and wait for the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        order = {"work": work, "data": self.data, "seed": 0, "images": 0, "batch": 128, "target": TARGET, **values}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} stopped at {work}; run {SCRIPTS[self.name]}.py by hand to see why")
        answer: Result = json.loads(line)
        return answer

    def end(self) -> None:
        """No more orders."""
        self.process.communicate()


class Bench:
    """The contestants of a run and how they take turns."""

    def __init__(self, pythons: dict[str, str], folder: Path, data: str) -> None:
        self.pythons, self.folder, self.data = pythons, folder, data

    def python(self, name: str) -> str:
        """Its interpreter."""
        return self.pythons.get(name) or python_of(name, self.folder)

    def fresh(self, name: str) -> Contestant:
        """A process of its own, whose peak of memory is that of its orders alone."""
        return Contestant(name, self.python(name), self.data)

    def turns(self, names: list[str], rounds: int, work: str, **values: Any) -> dict[str, list[Result]]:
        """Each in turn, ``rounds`` times, every second round in the opposite order.

        In processes begun for this work alone: the allocator of one that has freed larger blocks before is faster.
        """
        answers: dict[str, list[Result]] = {name: [] for name in names}
        running = {name: self.fresh(name) for name in names}
        for number in range(rounds):
            for name in names if number % 2 == 0 else names[::-1]:
                answers[name].append(running[name].order(work, **values))
                note(f"{work} {values}: {name} {answers[name][-1]['seconds']:.2f} s")
        for contestant in running.values():
            contestant.end()
        return answers


def note(text: str) -> None:
    """A line of progress, with the time since the start."""
    print(f"[{time.perf_counter() - BEGIN:5.0f} s] {text}", file=sys.stderr, flush=True)


BEGIN = time.perf_counter()


def summary(answers: dict[str, list[Result]], count: int) -> dict[str, Result]:
    """Seconds (median, range), things a second, and how much longer than vaelab: the median of the rounds' ratios."""
    found: dict[str, Result] = {}
    for name, rounds in answers.items():
        seconds = [answer["seconds"] for answer in rounds]
        found[name] = {
            "seconds": statistics.median(seconds),
            "range": [min(seconds), max(seconds)],
            "per_second": count / statistics.median(seconds),
            "peak_mib": max(answer["peak_mib"] for answer in rounds),
        }
        if "vaelab" in answers:
            pairs = zip(seconds, answers["vaelab"], strict=True)
            ratios = [value / other["seconds"] for value, other in pairs]
            found[name]["ratio"] = statistics.median(ratios)
            found[name]["ratio_range"] = [min(ratios), max(ratios)]
    return found


def epochs(bench: Bench, asked: argparse.Namespace) -> Result:
    """(a) An epoch of sheet C's VAE at three batch sizes."""
    names = ["sheet", "pythae", "keras", "vaelab"]
    return {
        str(batch): summary(bench.turns(names, asked.rounds, "epoch", batch=batch, images=asked.images), asked.images)
        for batch in asked.batch
    }


def quality(bench: Bench, asked: argparse.Namespace) -> Result:
    """(b) Seconds of training until the test −ELBO is at the target; the sheet's loop is given at most 15 epochs."""
    runs: dict[str, list[Result]] = {"sheet": [], "vaelab": []}
    for seed in range(max(asked.seeds, asked.sheet_seeds)):
        for name, many in (("vaelab", asked.seeds), ("sheet", asked.sheet_seeds)):
            if seed < many:
                answer = bench.turns([name], 1, "quality", batch=32, seed=seed, epochs=15)[name][0]
                runs[name].append({"seed": seed, **answer})
                note(f"seed {seed}: {name} {answer['losses'][-1]:.2f} nats")
    found = {name: {"runs": values} for name, values in runs.items() if values}
    for values in found.values():
        values["seconds"] = statistics.median(run["seconds"] for run in values["runs"])  # type: ignore[assignment]
        values["reached"] = sum(run["reached"] for run in values["runs"])  # type: ignore[assignment]
    if len(found) == 2:
        found["sheet"]["ratio"] = found["sheet"]["seconds"] / found["vaelab"]["seconds"]  # type: ignore[operator, assignment]
    return found


def likelihoods(bench: Bench, asked: argparse.Namespace) -> Result:
    """(c) Importance-weighted evaluation: what each does in a while, per image and sample."""
    samples, images = 1000, {"pythae": 10, "vaelab": 100}
    answers: dict[str, list[Result]] = {}
    for name, count in images.items():
        found = bench.turns([name], asked.rounds, "likelihood", images=count, samples=samples)[name]
        answers[name] = [{**answer, "seconds": answer["seconds"] / (count * samples)} for answer in found]
    return summary(answers, 1)


def embeddings(bench: Bench, asked: argparse.Namespace) -> Result:
    """(d) Posterior means of 60,000 images."""
    return summary(bench.turns(["sheet", "pythae", "keras", "vaelab"], 2, "embed", images=60_000), 60_000)


def classifications(bench: Bench, asked: argparse.Namespace) -> Result:
    """(e) 10,000 images by Bayes' rule with the conditional VAE, one draw for each class."""
    return summary(bench.turns(["sheet", "vaelab"], 2, "classify", images=10_000), 10_000)


def detections(bench: Bench, asked: argparse.Namespace) -> Result:
    """Fitting an outlier detector for an epoch, with its scores and threshold of the training images."""
    return summary(bench.turns(["pyod", "vaelab"], asked.rounds, "detect", images=12_800), 12_800)


def starts(bench: Bench, asked: argparse.Namespace) -> Result:
    """(g) From the command to its first word."""
    found: Result = {}
    for words, (name, arguments) in START.items():
        command, seconds = [bench.python(name), "-W", "ignore", *arguments], []
        for _ in range(asked.rounds + 1):
            begin = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, cwd=bench.data)
            seconds.append(time.perf_counter() - begin)
        found[words] = {"seconds": statistics.median(seconds[1:]), "range": [min(seconds[1:]), max(seconds[1:])]}
        note(f"{words}: {found[words]['seconds']:.2f} s")
    return found


def growth(bench: Bench, asked: argparse.Namespace) -> Result:
    """(h) An epoch and its memory against the number of images and their size; each in a process of its own."""
    orders = [{"images": n} for n in (1_000, 10_000, 100_000)]
    orders += [{"images": 640, "times": times} for times in (1, 2, 4)]
    found = []
    for order in orders:
        contestant = bench.fresh("vaelab")
        start = contestant.order("embed", images=8)["peak_mib"]
        answer = contestant.order("epoch", batch=128, **order)
        contestant.end()
        side = 28 * order.get("times", 1)
        found.append({**order, "side": side, "seconds": answer["seconds"], "peak_mib": answer["peak_mib"] - start})
        note(f"{order['images']:,} images of {side}×{side}: {answer['seconds']:.2f} s")
    return {"epochs": found}


def environment(bench: Bench) -> Result:
    """Hardware and versions."""
    versions = {"python": platform.python_version(), "torch": torch.__version__, "vaelab": vaelab.__version__}
    versions |= {name: words[0].split("==")[1] for name, words in NEEDED.items() if words}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {"processor": processor(), "threads": torch.get_num_threads(), "gpu": gpu, "versions": versions}


def processor() -> str:
    """Its name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write_data(folder: str) -> None:
    """MNIST as plain arrays, which every contestant can read."""
    try:
        splits = vaelab.load("mnist")
    except VaelabError as error:
        sys.exit(str(error))
    for name, data in (("train", splits.train), ("test", splits.test)):
        np.save(f"{folder}/{name}.npy", data.images[:, 0].numpy())
        assert data.labels is not None
        np.save(f"{folder}/{name}_labels.npy", data.labels.numpy())


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    quick = [work for work in WORKS if work != "quality"]  # which takes the sheet's loop six minutes for a seed
    words = f"{', '.join(WORKS)}; by default all but quality"
    parser.add_argument("--only", nargs="+", choices=WORKS, default=quick, metavar="WORK", help=words)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=12_800, help="of an epoch")
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--seeds", type=int, default=10, help="of vaelab's time to quality")
    parser.add_argument("--sheet-seeds", type=int, default=2, help="of the sheet's loop")
    parser.add_argument("--add", action="store_true", help="to the results that are in --out")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--environments", type=Path, default=ROOT / ".environments")
    parser.add_argument("--python", nargs="*", default=[], metavar="NAME=PATH")
    return parser.parse_args()


def main() -> None:
    """Do what was asked for, write it down, print it."""
    asked = arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    functions = (epochs, quality, likelihoods, embeddings, classifications, detections, starts, growth)
    works = dict(zip(WORKS, functions, strict=True))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as data:
        write_data(data)
        bench = Bench(dict(pair.split("=", 1) for pair in asked.python), asked.environments.resolve(), data)
        rates, count = machine(device), operations()
        results: Result = {"environment": environment(bench), "machine": rates, "operations": count}
        results["least"] = {str(batch): least(rates, count, batch) for batch in (*asked.batch, 128)}
        written = asked.out / "results.json"
        if asked.add and written.exists():  # machine and versions are those of the newest run
            results = {**json.loads(written.read_text()), **results}
        for name in asked.only:
            results[name] = works[name](bench, asked)
            written.write_text(json.dumps(results, indent=1) + "\n")  # after each: stopping loses one work at most
    print_results(results)
    draw_results(results, asked.out / "benchmark.png")
    note(f"written: {written}, {asked.out / 'benchmark.png'}")


if __name__ == "__main__":
    main()
