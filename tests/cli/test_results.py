"""What the commands do and print, where all is well."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from vaelab import presets
from vaelab.config import RunConfig, read_toml
from vaelab.run import Run
from vaelab.runfolder import RunFolder

PNG = b"\x89PNG"


def test_train_leaves_a_run_folder(trained):
    files = {path.name for path in trained.iterdir()}
    assert {"config.json", "history.csv", "checkpoints", "figures", "samples"} <= files
    assert (trained / "figures" / "curves.png").read_bytes().startswith(PNG)


def test_train_prints_numbers_to_stdout_and_progress_to_stderr(vaelab, digits, tmp_path):
    result = vaelab(*digits, "--epochs", 1, "--out", tmp_path / "run")
    assert result.code == 0
    assert "1 epochs, 23 steps" in result.out
    assert "epoch 1/1  train" in result.err
    assert "epoch 1/1" not in result.out


def test_train_json_and_quiet(vaelab, digits, tmp_path):
    out = tmp_path / "run"
    result = vaelab(*digits, "--epochs", 1, "--validation", 100, "--out", out, "--json", "--quiet")
    assert not result.err
    found = result.json
    assert (found["run"], found["epochs"], found["steps"]) == (str(out), 1, 21)
    assert set(found) == {"run", "epochs", "steps", "seconds", "train", "validation"}
    assert found["validation"].keys() >= {"loss", "negative_elbo", "reconstruction", "kl"}
    row = RunFolder.open(out).history().where(split="validation")
    assert found["validation"]["kl"] == row["kl"][-1]


def test_an_autoencoder_has_no_bound(vaelab, tmp_path):
    out = tmp_path / "run"
    words = ("--preset", "denoising", "--data", "digits", "--epochs", 1, "--latent", 2, "--device", "cpu")
    result = vaelab("train", *words, "--encoder", "mlp", "--decoder", "mlp", "--out", out, "--json")
    assert result.json["test"]["negative_elbo"] is None
    assert vaelab("train", "--resume", "--out", out).code == 0
    assert list(vaelab("evaluate", out, "--json").json) == ["reconstruction", "denoising"]
    vaelab("sample", out).refused(2, "no prior")
    vaelab("evaluate", out, "--importance-samples", 5).refused(2, "no prior")
    vaelab("plot", out, "samples").refused(2, "autoencoder")
    assert vaelab("plot", out, "latent-scatter").code == 0


def test_flags_beat_environment_beats_file_beats_preset(vaelab, tmp_path, monkeypatch):
    file = tmp_path / "mine.toml"
    file.write_text(
        'preset = "digits-cvae"\n[model]\nlatent = 3\n[training]\nepochs = 7\nbatch_size = 50\nlr = 0.01\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("VAELAB_EPOCHS", "1")
    monkeypatch.setenv("VAELAB_BATCH_SIZE", "60")
    out = tmp_path / "run"
    assert vaelab("train", "--config", file, "--batch-size", 100, "--out", out, "-q", "--device", "cpu").code == 0
    config = RunConfig.from_dict({k: v for k, v in RunFolder.open(out).config().items() if k != "environment"})
    assert config.preset == "digits-cvae"
    assert config.model.conditional
    assert (config.model.latent, config.training.epochs) == (3, 1)
    assert (config.training.batch_size, config.training.lr) == (100, 0.01)


def test_the_flag_preset_beats_the_file(tmp_path):
    from vaelab.cli.train import configuration

    file = tmp_path / "mine.toml"
    file.write_text('preset = "mlp-vae"\n', encoding="utf-8")
    assert configuration(None, file, {}) == presets.get("mlp-vae")
    assert configuration("digits-vae", file, {}) == presets.get("digits-vae")
    assert configuration(None, None, {}) == presets.get("conv-vae")


@pytest.mark.parametrize("name", presets.names())
def test_a_printed_preset_can_be_read_again(name, vaelab, tmp_path):
    file = tmp_path / "preset.toml"
    file.write_text(vaelab("presets", name).out, encoding="utf-8")
    assert RunConfig.from_dict(read_toml(file), RunConfig()) == presets.get(name)


def test_presets_are_listed(vaelab):
    assert set(vaelab("presets", "--json").json) == set(presets.names())
    assert all(name in vaelab("presets").out for name in presets.names())


def test_evaluate_prints_what_metrics_json_holds(vaelab, run):
    result = vaelab("evaluate", run, "--importance-samples", 5, "--samples", 2, "--json")
    assert result.json == json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert {"negative_elbo", "reconstruction", "kl", "negative_log_likelihood"} <= set(result.json)
    for metric in result.json.values():
        assert set(metric) == {"value", "standard_error", "unit", "n", "protocol"}
    table = vaelab("evaluate", run).out
    assert "test split, grey pixels" in table
    assert "dimension" in table.splitlines()[-1]  # the diagnosis
    other = vaelab("evaluate", run, "--split", "train", "--json").json
    assert "train_negative_elbo" in other


def test_an_unfinished_run_is_not_used_without_a_word(vaelab, digits, trained, run, tmp_path):
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config["training"]["epochs"] = 3
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    said = f"training is only at step 46 of 69; if it was stopped, continue with: vaelab train --resume --out {run}"
    for words in (("evaluate", run), ("evaluate", run, "--json"), ("sample", run), ("plot", run, "curves")):
        result = vaelab(*words)
        assert result.code == 0
        assert result.err.count(said) == 1
        assert said not in result.out
    assert not vaelab("evaluate", run, "--quiet").err
    assert "training is" not in vaelab("evaluate", trained, "--split", "train").err
    out = tmp_path / "patient"
    words = (*digits, "--epochs", 9, "--validation", 100, "--patience", 1, "--lr", "1e-12", "--out", out, "-q")
    assert vaelab(*words).code == 0
    assert len(RunFolder.open(out).history().where(split="validation")["step"]) < 9
    assert not vaelab("evaluate", out, "--json").err


def test_evaluate_has_no_luck(vaelab, run):
    first, second = (vaelab("evaluate", run, "--json", "--seed", 3).out for _ in range(2))
    assert first == second


def test_sample_as_figure_and_as_data(vaelab, run, conditional, tmp_path):
    result = vaelab("sample", run, "-n", 9)
    assert result.out.strip() == str(run / "figures" / "samples.png")
    assert (run / "figures" / "samples.png").read_bytes().startswith(PNG)
    file = tmp_path / "made.npz"
    assert vaelab("sample", conditional, "-n", 40, "--out", file, "--draw", "--json").json["images"] == 40
    with np.load(file) as made:
        assert (made["images"].dtype, made["images"].shape) == (np.uint8, (40, 1, 8, 8))
        assert made["labels"].tolist() == [*range(10)] * 4
    again = vaelab("train", "--preset", "digits-cvae", "--data", file, "--epochs", 1, "--batch-size", 8,
                   "--out", tmp_path / "second", "--device", "cpu", "-q")  # fmt: skip
    assert again.code == 0, again
    fours = tmp_path / "fours.npz"
    vaelab("sample", conditional, "-n", 3, "--label", 4, "--out", fours)
    with np.load(fours) as made:
        assert made["labels"].tolist() == [4, 4, 4]


def test_plot_draws_all_that_fits(vaelab, run, monkeypatch):
    monkeypatch.setattr(Run, "figure", lambda run, kind, **options: Figure(figsize=(1, 1)))
    files = vaelab("plot", run).out.split()
    names = {"curves", "loss", "reconstructions", "samples", "kl-per-dimension", "latent-grid", "latent-scatter"}
    assert {f"{run}/figures/{name}.png" for name in names} <= set(files)
    assert all(Path(file).read_bytes().startswith(PNG) for file in files)


def test_plot_one_figure_with_its_options(vaelab, run, conditional, tmp_path):
    one = tmp_path / "one.png"
    words = ("--cells", 3, "--range", 1.5, "--scale", "quantile", "--label", 4, "--out", one)
    assert vaelab("plot", conditional, "latent-grid", *words, "--json").json == {"files": [str(one)]}
    assert one.read_bytes().startswith(PNG)
    words = ("--count", 2, "--steps", 3, "--seed", 5, "--split", "train", "--out", one)
    assert vaelab("plot", conditional, "interpolation", *words).code == 0
    assert vaelab("plot", run, "latent-scatter", "--legend", "colorbar", "--out", one).code == 0


def test_a_finished_run_is_resumed_and_stays_as_it_is(vaelab, run, contents):
    before = contents(run)
    result = vaelab("train", "--resume", "--out", run)
    assert result.code == 0
    assert "this run is finished" in result.err
    after = contents(run)
    assert {name for name in before if before[name] != after[name]} <= {"figures/curves.png"}  # titled by the folder


def test_a_run_killed_before_its_first_checkpoint_begins_anew(vaelab, run, trained, contents):
    for name in ("checkpoints", "samples", "figures"):
        shutil.rmtree(run / name)
    (run / "history.csv").unlink()
    assert vaelab("train", "--resume", "--out", run, "-q").code == 0
    ours, theirs = contents(run), contents(trained)
    # Figures are titled by the folder, and the numbers of weights that are no longer there have been forgotten.
    same = {name for name in theirs if "figures" not in name and name != "metrics.json"}
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    assert "metrics.json" not in ours


def test_a_run_made_longer_equals_one_that_was_long_from_the_start(vaelab, digits, trained, run, contents, tmp_path):
    assert vaelab("train", "--resume", "--epochs", 3, "--device", "cpu", "--out", run, "-q").code == 0
    long = tmp_path / "long"
    assert vaelab(*digits, "--epochs", 3, "--out", long, "-q").code == 0
    assert contents(run)["history.csv"] == contents(long)["history.csv"]
    assert contents(run)["config.json"] == contents(long)["config.json"]


def test_overwrite_removes_the_earlier_run(vaelab, digits, run):
    assert vaelab(*digits, "--epochs", 1, "--out", run, "--overwrite", "-q").code == 0
    assert len(list((run / "samples").iterdir())) == 1


def test_data_commands(vaelab, tmp_path):
    names = [row["name"] for row in vaelab("data", "list", "--json").json]
    assert names == ["digits", "fashion-mnist", "mnist"]
    assert "digits" in vaelab("data", "list").out
    assert vaelab("data", "check", "digits").code == 0
    assert vaelab("data", "check", "digits", "--json").json[0]["ok"]
    assert "sklearn" in vaelab("data", "fetch", "digits").out
    assert vaelab("data", "fetch", "digits", "--json").json["name"] == "digits"


def test_demo(vaelab, tmp_path, monkeypatch):
    out = tmp_path / "demo"
    result = vaelab("demo", "--out", out, "--epochs", 2)
    assert result.code == 0
    assert "digits-vae" in result.out
    assert "±" in result.out
    assert "nats per image" in result.out
    for model, kind in (("vae", "samples"), ("cvae", "samples-per-class")):
        figures = out / model / "figures"
        assert str(figures / f"{kind}.png") in result.out
        assert (figures / "class-epochs.png").exists()
        assert "negative_log_likelihood" in json.loads((out / model / "metrics.json").read_text(encoding="utf-8"))
    monkeypatch.setattr(Run, "plot", lambda run: [])
    again = vaelab("demo", "--out", out, "--epochs", 1, "--json", "--quiet")
    assert not again.err
    assert again.json["cvae"]["metrics"]["kl"]["n"] == 359
    assert not (out / "vae" / "figures" / "class-epochs.png").exists()  # of the earlier demo


def test_demo_does_not_replace_another_run(vaelab, conditional, contents, tmp_path):
    taken = tmp_path / "vae"
    shutil.copytree(conditional, taken)
    config = json.loads((taken / "config.json").read_text(encoding="utf-8"))
    (taken / "config.json").write_text(json.dumps(config | {"preset": "conv-vae"}), encoding="utf-8")
    before = contents(tmp_path)
    vaelab("demo", "--out", tmp_path).refused(2, "no demo's")
    assert contents(tmp_path) == before


def test_no_color_and_no_terminal_codes(vaelab, run, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    result = vaelab("evaluate", run)
    assert "\x1b" not in result.out + result.err
