"""``vaelab latent``, ``vaelab transfer`` and the ways of ``vaelab plot RUN interpolation``."""

from __future__ import annotations

import json
import shutil

import pytest

from vaelab.run import Run

PNG = b"\x89PNG"


@pytest.fixture
def cvae(conditional, tmp_path):
    return shutil.copytree(conditional, tmp_path / "cvae")


def test_latent_prints_tables_and_the_files(vaelab, run):
    result = vaelab("latent", run, "--gaps", 2, "--limit", 60, "--device", "cpu", "--quiet")
    assert result.code == 0, result.err
    assert not result.err
    for word in ("marginal_kl", "linear_accuracy", "aggregate_kurtosis", "images expected", "border", "at most log n"):
        assert word in result.out
    assert "_of_dimension_" not in result.out
    names = ("aggregate-posterior", "latent-gaps", "latent-borders", "latent-map")
    assert result.out.split()[-4:] == [str(run / "figures" / f"{name}.png") for name in names]


def test_latent_json_has_the_form_of_evaluate(vaelab, run, trained):
    words = ("latent", run, "--against", trained, "--gaps", 0, "--limit", 60, "--device", "cpu", "--json")
    found = vaelab(*words).json
    assert found["gaps"] == found["borders"] == found["notes"] == []
    assert found["procrustes"]["value"] == pytest.approx(1)  # a copy of the same run
    assert found["linear_cka"]["value"] == pytest.approx(1)
    metrics = {name: value for name, value in found.items() if isinstance(value, dict)}
    assert all(set(metric) == {"value", "standard_error", "unit", "n", "protocol"} for metric in metrics.values())
    assert json.loads((run / "metrics.json").read_text()).items() >= metrics.items()


def test_latent_refuses_in_one_sentence(vaelab, run, tmp_path):
    vaelab("latent", run, "--against", run).refused(2, "expected another run for --against")
    vaelab("latent", run, "--limit", 1).refused(2, "expected limit ≥ 2, got 1")
    vaelab("latent", run, "--split", "valid").refused(2, "unknown split")
    vaelab("latent", tmp_path / "none").refused(1, "does not exist")
    vaelab("latent", run, "--against", tmp_path).refused(1, "is no run folder")


def test_numbers_are_printed_where_they_cannot_be_saved(vaelab, run):
    shutil.rmtree(run / "figures")
    (run / "figures").write_text("in the way")
    result = vaelab("latent", run, "--gaps", 0, "--limit", 50, "--json", "--device", "cpu")
    result.refused(1, "cannot write")
    assert result.json["marginal_kl"]["n"] == 50


def test_transfer_draws_a_sheet(vaelab, cvae, tmp_path):
    result = vaelab("transfer", cvae, "--count", 3, "--device", "cpu")
    assert result.out.strip() == str(cvae / "figures" / "label-transfer.png")
    assert (cvae / "figures" / "label-transfer.png").read_bytes().startswith(PNG)
    out = tmp_path / "sheet.png"
    found = vaelab("transfer", cvae, "--count", 2, "--out", out, "--json", "--device", "cpu").json
    assert found == {"file": str(out), "images": found["images"], "labels": ["0", "1"]}
    assert out.read_bytes().startswith(PNG)


def test_transfer_refuses_in_one_sentence(vaelab, run, cvae, tmp_path):
    vaelab("transfer", run).refused(2, "this model has no condition")
    vaelab("transfer", cvae, "--out", tmp_path / "sheet.jpg").refused(2, "ending in .png")
    vaelab("transfer", cvae, "--count", 0).refused(2, "expected count ≥ 1, got 0")


def test_ways_of_an_interpolation(vaelab, trained, tmp_path):
    files = {}
    for words in ((), ("--path", "spherical"), ("--draw",)):
        files[words] = tmp_path / f"{len(files)}.png"
        done = vaelab("plot", trained, "interpolation", "--count", 3, *words, "--out", files[words], "--device", "cpu")
        assert done.code == 0, done.err
    assert len({path.read_bytes() for path in files.values()}) == 3
    vaelab("plot", trained, "interpolation", "--path", "spheric").refused(2, "spheric", "spherical")
    figure = Run.open(trained, device="cpu").figure("interpolation", path="spherical", draw=True, count=3)
    assert figure.get_suptitle().replace("\n", " ").endswith("the arc between two posterior draws")
    assert len(figure.axes[0].get_yticklabels()) == 3
