"""Metrics: means with their standard errors, merged into ``metrics.json`` by name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vaelab.errors import CheckpointError
from vaelab.metrics import Metric
from vaelab.runfolder import RunFolder

CONFIG = {"seed": 3}


def test_metrics_are_merged_by_name(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, CONFIG)
    one = Metric(100.5, 0.1 + 0.2, "nats", 10, "grey, test")
    two, three = Metric(3.0, None, "dimensions", 10, "test"), Metric(99.0, 0.1, "nats", 20, "grey, test")
    run.write_metrics({"negative_elbo": one, "active_units": two})
    run.write_metrics({"negative_elbo": three})
    assert run.metrics() == {"negative_elbo": three, "active_units": two}
    document = json.loads(run.metrics_path.read_text())
    assert document["negative_elbo"] == {
        "value": 99.0,
        "standard_error": 0.1,
        "unit": "nats",
        "n": 20,
        "protocol": "grey, test",
    }
    run.metrics_path.write_text("{")
    with pytest.raises(CheckpointError, match=r"file of metrics.*delete the file and evaluate again"):
        run.write_metrics({"kl": one})
    assert run.metrics_path.read_text() == "{", "what was damaged is not overwritten"


def test_the_mean_carries_its_standard_error() -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0)) + 1e4
    metric = Metric.mean(values, "nats", "test")
    exact = [float(value) for value in values]
    mean = math.fsum(exact) / 1000
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in exact) / 999 / 1000)
    assert metric == Metric(pytest.approx(mean, rel=1e-12), pytest.approx(error, rel=1e-9), "nats", 1000, "test")
    assert Metric.mean(torch.tensor([2]), "nats", "test") == Metric(2.0, None, "nats", 1, "test")
    for shape in ((0,), (2, 2), ()):
        with pytest.raises(ValueError, match="one value per image"):
            Metric.mean(torch.zeros(shape), "nats", "test")


@given(
    value=st.floats(allow_nan=False, allow_infinity=False),
    error=st.none() | st.floats(0, allow_infinity=False),
    n=st.integers(1),
    text=st.text(),
)
def test_a_metric_survives_json(value: float, error: float | None, n: int, text: str) -> None:
    metric = Metric(value, error, text, n, text)
    assert Metric.from_json(json.loads(json.dumps(metric.to_json(), allow_nan=False))) == metric


def test_a_metric_that_is_not_finite_is_null(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, CONFIG)
    run.write_metrics({"x": Metric(math.inf, math.nan, "nats", 1, "test")})
    assert json.loads(run.metrics_path.read_text())["x"]["value"] is None
    assert math.isnan(run.metrics()["x"].value)
    assert run.metrics()["x"].standard_error is None


@pytest.mark.parametrize(
    "entry", [5, {}, {"value": "1"}, {"value": True}, {"value": 1, "standard_error": None, "unit": "nats", "n": 1.5}]
)
def test_a_damaged_metric_is_refused(tmp_path: Path, entry: Any) -> None:
    run = RunFolder.create(tmp_path, CONFIG)
    run.metrics_path.write_text(json.dumps({"kl": entry}))
    with pytest.raises(CheckpointError) as caught:
        run.metrics()
    assert "metrics.json, kl is damaged" in str(caught.value)
    assert str(caught.value).endswith("; delete the file and evaluate again")
