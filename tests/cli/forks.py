"""A process that has loaded all that a training needs, and forks: see `Processes` in conftest.py.

It never trains itself, so that every fork starts as a fresh process would, only sooner.
"""

import json
import os
import resource
import sys

import matplotlib.backends.backend_agg
import sklearn.datasets
import torch
import torch._dynamo  # the optimizers load it

import vaelab.workflows
from vaelab.cli import main

LOADED = (matplotlib.backends.backend_agg, sklearn.datasets, torch._dynamo, vaelab.workflows)


def child(question: dict) -> None:
    for number, name in ((1, "out"), (2, "err")):
        handle = os.open(f"{question['output']}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(handle, number)
    if question["file_size"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (question["file_size"], resource.RLIM_INFINITY))
    code = 1
    try:
        code = main(question["start"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def answer(question: dict) -> object:
    if "start" in question:
        pid = os.fork()
        if not pid:
            child(question)
        return pid
    if "wait" in question:
        return os.waitstatus_to_exitcode(os.waitpid(question["wait"], 0)[1])
    return "ready"


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
