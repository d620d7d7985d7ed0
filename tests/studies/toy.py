"""A study of seconds: one model on the embedded digits, two measurements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vaelab.report.blocks import Answer, Block, Table, Verdict
from vaelab.studies.context import Context
from vaelab.studies.results import Results, written
from vaelab.studies.settings import Settings
from vaelab.studies.study import Cell, Measure, Option, Part, Step, Study, Summary, Train

CALLS: list[str] = []
"""Names of the measurements that were called."""


def spread(ctx: Context) -> Mapping[str, Any]:
    CALLS.append("spread")
    run = ctx.run("vae")
    with ctx.progress("embedding", len(run.data.test)) as advance:
        values = run.data.test.images.float().flatten(1).std(1)
        advance(len(values))
    ctx.arrays("values", std=values.numpy())
    ctx.table("values", ["n", "std"], [[len(values), float(values.mean())]])
    ctx.figure("loss", run.figure("loss"))
    return {"mean": float(values.mean()), "scale": ctx.options["scale"], "elbo": run.evaluate()["negative_elbo"]}


def doubled(ctx: Context) -> Mapping[str, Any]:
    CALLS.append("doubled")
    return {"double": 2 * ctx.values("spread")["mean"]}


def steps(settings: Settings) -> list[Step]:
    return [
        Train("vae", "a small VAE", settings.config("vae", "digits-vae", training={"epochs": settings["epochs"]}), 2.0),
        Measure("spread", "the pixels' spread", ("vae",), spread, {"scale": settings["scale"]}, 1.0),
        Measure("doubled", "twice of it", ("spread",), doubled, cost=1.0, alone=True),
    ]


def numbers(results: Results) -> list[Block]:
    assert results.arrays("spread", "values")["std"].dtype == np.float32
    return [
        Answer("How wide?", f"It is {results.values('doubled')['double']:.3f}."),
        Table(["what", "nats"], [["−ELBO", written(results.metric("vae", "negative_elbo"))]], "of the toy"),
        results.picture("spread", "loss", "the loss falls", "a falling curve"),
    ]


def summarise(results: Results) -> Summary:
    value = results.metric("vae", "negative_elbo")
    return Summary("One VAE.", [Verdict("−ELBO", written(value), "≤ 100", value.value <= 100)], [("spread", "loss")])


def cells(results: Results) -> list[Cell]:
    code = 'import vaelab\n\nrun = vaelab.Run.open("runs/vae")\nprint(round(run.evaluate()["negative_elbo"].value, 2))'
    return [Cell("The model.", code), Cell("Its loss.", 'run.figure("loss")')]


TOY = Study(
    name="toy",
    sheet="T",
    title="A toy",
    about="For tests.",
    options={"epochs": Option(2, 1, "epochs"), "scale": Option(1.0, 1.0, "scale"), "sizes": Option((2, 4), (2,), "s")},
    steps=steps,
    parts=[Part("numbers", "Numbers", ("T1", "T2"), numbers)],
    summarise=summarise,
    cells=cells,
)
