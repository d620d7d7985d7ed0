"""``vaelab compare``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from vaelab.runfolder import RunFolder


@pytest.fixture(scope="module")
def others(vaelab, digits, tmp_path_factory) -> tuple[Path, Path]:
    """Another seed of the run `trained`, and an autoencoder."""
    folder = tmp_path_factory.mktemp("others")
    assert vaelab(*digits, "--epochs", 2, "--seed", 1, "--out", folder / "vae-1", "-q").code == 0
    small = (
        "--encoder",
        "mlp:hidden=16/",
        "--decoder",
        "mlp:hidden=16/",
        "--latent",
        2,
        "--epochs",
        1,
        "--device",
        "cpu",
    )
    words = ("--preset", "denoising", "--data", "digits", *small)
    assert vaelab("train", *words, "--out", folder / "dae", "-q").code == 0
    return folder / "vae-1", folder / "dae"


@pytest.fixture
def cvae(conditional: Path, tmp_path: Path) -> Path:
    """A copy of `conditional`: a comparison evaluates it."""
    return Path(shutil.copytree(conditional, tmp_path / "cvae"))


def test_the_table_is_printed_and_nothing_written(vaelab, run, cvae, contents):
    before = set(contents(run.parent))
    result = vaelab("compare", run, cvae)
    assert result.code == 0, result
    assert result.out.startswith("Not comparable. Different quantities: −log p(x) (run); −log p(x|c), given the label")
    value = RunFolder.open(run).metrics()["negative_elbo"]
    line = next(line for line in result.out.splitlines() if line.split()[:2] == ["run", "1"])
    assert f"{value.value:.2f} ± {value.standard_error:.2f}" in line
    assert "359 test images" in result.out
    assert "model.conditional" in result.out
    assert set(contents(run.parent)) - before == {"run/metrics.json", "cvae/metrics.json"}


def test_seeds_are_one_row_and_the_report_is_written(vaelab, run, others, tmp_path):
    out = tmp_path / "out"
    result = vaelab("compare", run, others[0], "--out", out, "--json")
    assert result.code == 0, result
    (group,) = result.json["groups"]
    values = [RunFolder.open(path).metrics()["kl"].value for path in (run, others[0])]
    mean = sum(values) / 2
    assert group["metrics"]["kl"]["values"] == values
    assert group["metrics"]["kl"]["mean"] == pytest.approx(mean)
    assert group["metrics"]["kl"]["spread"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert set(result.json["files"]) == {"report", "table", "runs", "curves"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"vaelab compare {run} {others[0]} --out {out} --json" in page
    text = vaelab("compare", run, others[0], "--out", out, "--metrics", "kl")
    assert text.out.splitlines()[-1] == str(out / "figures" / "comparison.png")
    assert "reconstruction" not in text.out.splitlines()[0]


def test_an_autoencoder_beside_a_vae(vaelab, run, others):
    result = vaelab("compare", run, others[1], "--json")
    assert any("An autoencoder (dae) has no bound" in sentence for sentence in result.json["warnings"])
    found = {group["name"]: set(group["metrics"]) for group in result.json["groups"]}
    assert found["dae"] == {"reconstruction", "denoising"}
    assert {"negative_elbo", "kl"} <= found["run"]


def test_an_unfinished_run_is_noted(vaelab, run, cvae):
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config["training"]["epochs"] = 3
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    said = (
        f"run: training is only at step 46 of 69; if it was stopped, continue with: vaelab train --resume --out {run}"
    )
    assert said in vaelab("compare", run, cvae).out
    assert said in vaelab("compare", run, cvae, "--json").json["notes"]


def test_wrong_words_are_refused(vaelab, trained, run, cvae, tmp_path):
    def refused(*words: object, code: int = 2, says: str) -> None:
        vaelab("compare", *words, "--out", tmp_path / "out").refused(code, says)
        assert not (tmp_path / "out").exists()

    refused(says="RUN")
    refused(run, says="expected at least 2 runs to compare, got 1")
    refused(run, run, says="expected different runs, got")
    refused(run, tmp_path / "none", code=1, says="does not exist")
    refused(run, tmp_path, code=1, says="is no run folder")
    refused(run, cvae, "--split", "rest", says="unknown split")
    refused(run, cvae, "--split", "validation", says="held no validation images")
    refused(run, cvae, "--metrics", "elbo", says="no run has the metric 'elbo'")
    refused(run, cvae, "--importance-samples", -1, says="importance samples")
    vaelab("compare", run, cvae, "--out", run).refused(2, "holds something else")
    copy = shutil.copytree(trained, tmp_path / "copy")
    (copy / "metrics.json").write_text("{", encoding="utf-8")
    refused(run, copy, code=1, says="metrics.json")


def test_names_that_look_like_html_or_markup(vaelab, trained, cvae, tmp_path):
    odd = Path(shutil.copytree(trained, tmp_path / "<b>x [red]"))
    result = vaelab("compare", odd, cvae, "--out", tmp_path / "out")
    assert result.code == 0, result
    assert "<b>x [red]" in result.out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;x [red]" in page
    assert "<b>x" not in page
