"""The same VAE with other latent sizes (D5): bound against clear samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaelab.applications.judge import confident_share
from vaelab.applications.latent import decode_at, encode, some_rows
from vaelab.metrics import Metric
from vaelab.studies.context import Context
from vaelab.studies.judging import judge_of


def measure(ctx: Context) -> Mapping[str, Any]:
    """Of each run: bound and terms on the test images, clear samples, clear decoded posterior draws."""
    judge, seed, count = judge_of(ctx), ctx.settings.seed, ctx.options["samples"]
    rows = []
    for latent, name in ctx.options["runs"]:
        run = ctx.run(name)
        test = run.split("test")
        test = test.take(some_rows(len(test), max(2, count), seed))
        encoded = encode(run.model, test, run.config.data.variant, seed=seed)
        assert encoded.z is not None
        drawn = judge.probabilities(run.sample(count, seed=seed))
        decoded = judge.probabilities(decode_at(run.model, encoded.z))
        metrics = {key: Metric.from_json(ctx.values(name)[key]) for key in ("negative_elbo", "reconstruction", "kl")}
        rows.append(
            {
                "latent": latent,
                "epochs": run.config.training.epochs,
                "elbo": _negated(metrics["negative_elbo"]).to_json(),
                "log_likelihood": _negated(metrics["reconstruction"]).to_json(),
                "kl": metrics["kl"].to_json(),
                "samples": confident_share(
                    drawn, f"{count} decoder means at draws of the prior, seed {seed}"
                ).to_json(),
                "posterior": confident_share(decoded, f"decoded posterior draws of {len(test)} test images").to_json(),
            }
        )
    return {"rows": rows, "samples": count}


def _negated(metric: Metric) -> Metric:
    return Metric(-metric.value, metric.standard_error, metric.unit, metric.n, metric.protocol)
