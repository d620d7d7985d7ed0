"""Several runs beside each other: groups, numbers, what differs, what cannot be compared, the files."""

from __future__ import annotations

import csv
import json
import math
import statistics
import tomllib
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import vaelab
from vaelab import presets
from vaelab.errors import CheckpointError, DataError, UsageError
from vaelab.metrics import Metric
from vaelab.run import Run
from vaelab.runfolder import HistoryWriter, RunFolder
from vaelab.tasks.compare import (
    Comparison,
    check_out,
    compare_runs,
    conclude,
    main_metrics,
    numbers_table,
    spread_words,
    write_comparison,
)
from vaelab.tasks.compare.report import curve_rows, shared_toml
from vaelab.tasks.compare.tables import RUN_COLUMNS, groups_csv, runs_csv, runs_table, to_json
from vaelab.training import COLUMNS

TINY = {"epochs": 1, "device": "cpu"}
PIXELS = "grey pixels (unnormalised Bernoulli)"
Maker = Callable[..., Run]


def metric(value: float, error: float | None = 0.5, unit: str = "nats per image", words: str = "") -> Metric:
    text = f"test split, {PIXELS}, {words + ', ' if words else ''}1 sample of z per image, seed 0"
    return Metric(value, error, unit, 359, text)


def metrics(elbo: float, kl: float = 1.0) -> dict[str, Metric]:
    return {"negative_elbo": metric(elbo), "reconstruction": metric(elbo - kl), "kl": metric(kl)}


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """A finished run without weights: configuration, history and numbers are all that a comparison reads."""

    def make(
        name: str,
        numbers: Mapping[str, Metric] | float = 30.0,
        *,
        preset: str = "digits-vae",
        epochs: int = 3,
        images: str | None = "abc",
        **changes: Mapping[str, Any],
    ) -> Run:
        found = metrics(numbers) if isinstance(numbers, float) else numbers
        config = presets.get(preset).with_changes(**changes)
        folder = RunFolder.create(tmp_path / name, {**config.to_dict(), "environment": {"images": images}})
        history = HistoryWriter(folder.history_path, COLUMNS)
        for epoch in range(1, epochs + 1):
            for split, worse in (("step", 2.0), ("train", 0.0), ("test", 1.0)):
                values = {"loss": 40.0 / epoch + worse, "reconstruction": 30.0 / epoch + worse}
                if config.model.kind != "autoencoder":
                    values |= {"negative_elbo": 40.0 / epoch + worse, "kl": 10.0 / epoch}
                history.append({"step": epoch, "epoch": epoch, "split": split, **values})
        history.flush()
        folder.write_metrics(found)
        return Run.open(folder.path, device="cpu")

    return make


@pytest.fixture
def seeds(make: Maker) -> list[Run]:
    """Three seeds of one configuration and one run of another."""
    runs = [make(f"vae-s{seed}", value, training={"seed": seed}) for seed, value in enumerate((30.0, 31.5, 33.25))]
    return [*runs, make("wide", 29.0, model={"latent": 8})]


def test_mean_and_spread_over_seeds_are_those_of_metrics_json(seeds):
    comparison = compare_runs(seeds)
    vae, wide = comparison.groups
    stored = [
        json.loads((run.folder.path / "metrics.json").read_text(encoding="utf-8"))["negative_elbo"]["value"]
        for run in seeds[:3]
    ]
    number = vae.numbers["negative_elbo"]
    assert number.values == tuple(stored) == (30.0, 31.5, 33.25)
    assert number.mean == pytest.approx((30.0 + 31.5 + 33.25) / 3)
    by_hand = math.sqrt(sum((value - 94.75 / 3) ** 2 for value in (30.0, 31.5, 33.25)) / 2)
    assert number.spread == pytest.approx(by_hand) == pytest.approx(statistics.stdev(stored))
    assert (number.over, number.unit, number.n) == ("seeds", "nats per image", 359)
    single = wide.numbers["negative_elbo"]
    assert (single.mean, single.spread, single.over) == (29.0, 0.5, "images")
    assert vae.numbers["kl"].spread == 0.0
    columns, rows = numbers_table(comparison, ["negative_elbo", "kl"])
    assert columns == ["run", "seeds", "−ELBO", "KL"]
    assert rows == [["vae", "3", "31.58 ± 1.63", "1.00 ± 0.00"], ["wide", "1", "29.00 ± 0.50", "1.00 ± 0.50"]]
    assert spread_words(comparison, ["negative_elbo", "kl"]) == (
        "359 test images. −ELBO, KL in nats per image; mean ± standard deviation over training seeds where there are "
        "several, else ± standard error over images."
    )


def test_decimals_of_a_column(make):
    def kl(*errors: float) -> list[str]:
        runs = [make(f"{place}-{errors}", {**metrics(30.0), "kl": metric(4.3278, error)}, model={"latent": place + 2})
                for place, error in enumerate(errors)]  # fmt: skip
        return [row[-1] for row in numbers_table(compare_runs(runs), ["kl"])[1]]

    assert kl(0.5, 0.5) == ["4.33 ± 0.50"] * 2
    assert kl(0.2, 0.0013) == ["4.328 ± 0.200", "4.328 ± 0.001"]
    assert kl(0.8, 0.01, 5e-9) == ["4.33 ± 0.80", "4.33 ± 0.01", "4.33 ± 0.00"]
    assert kl(0.0, 0.0) == ["4.33 ± 0.00"] * 2


def test_the_difference_and_its_error_are_told(seeds, make):
    sentences = conclude(compare_runs(seeds))
    assert sentences[0] == "Lowest test −ELBO: wide, 29.00 ± 0.50 nats per image."
    assert sentences[1] == "vae is 2.58 higher."
    assert "not known how much another training seed" in sentences[2]
    other = make("wide-1", 29.5, model={"latent": 8}, training={"seed": 1})
    error = math.sqrt(statistics.variance((30.0, 31.5, 33.25)) / 3 + statistics.variance((29.0, 29.5)) / 2)
    sentences = conclude(compare_runs([*seeds, other]))
    assert sentences[1] == f"vae is 2.33 ± {error:.2f} higher (standard error over seeds)."
    assert len(sentences) == 2
    near = make("wide-2", 34.0, model={"latent": 8}, training={"seed": 2})
    assert conclude(compare_runs([*seeds, other, near]))[1].endswith("which other seeds could turn round.")
    (sentence,) = conclude(compare_runs(seeds[:3]))
    assert sentence == (
        "All runs have one configuration: test −ELBO of vae is 31.58 ± 1.63 nats per image over 3 seeds, from 30.00 to "
        "33.25."
    )


def test_only_keys_that_differ_are_listed(make):
    a = make("a", training={"seed": 1, "device": "cpu"})
    b = make("b", training={"seed": 2, "device": "auto", "lr": 0.01}, data={"image_size": 8})
    comparison = compare_runs([a, b])
    assert comparison.differences == {
        "data.image_size": ["—", "8"],
        "training.device": ["cpu", "auto"],
        "training.lr": ["0.004", "0.01"],
    }
    shared = tomllib.loads(shared_toml(comparison))
    assert shared["model"]["latent"] == 2
    assert not {"seed", "lr", "device"} & set(shared["training"])
    same = compare_runs([a, make("c", training={"seed": 5, "device": "auto"})])
    assert len(same.groups) == 1
    assert not same.differences


def test_names_of_groups_and_of_runs_in_equal_folders(make):
    named = [make(name, training={"seed": seed}) for seed, name in enumerate(("vae-10", "vae-11"))]
    assert compare_runs(named).groups[0].name == "vae"
    others = [make(name, training={"seed": seed + 2}) for seed, name in enumerate(("first", "second"))]
    assert compare_runs(others).groups[0].name == "first, second"
    assert compare_runs([*named, make("vae", model={"latent": 9})]).groups[0].name == "vae-10, vae-11"
    twins = [make("one/run"), make("two/run", training={"lr": 0.5})]
    assert [group.name for group in compare_runs(twins).groups] == [str(run.folder.path) for run in twins]


def test_the_same_seed_twice_is_no_second_seed(make):
    runs = [make("a", 30.0), make("b", 31.0), make("c", 33.0, training={"seed": 1})]
    comparison = compare_runs(runs)
    (group,) = comparison.groups
    assert len(group.members) == 3
    assert group.numbers["negative_elbo"].values == (30.0, 33.0)
    assert comparison.notes == [
        "a and b have the same configuration and the same seed 0: only a counts in mean and spread."
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"name": "mnist"}, "images": "other"}, "Different data: digits (a); mnist (b)."),
        ({"model": {"image_shape": [1, 16, 16]}, "images": "other"}, "Images of different size: 1×28×28 (a); 1×16×16"),
        ({"data": {"test": 0.5}, "images": "other"}, "Different test images"),
        ({"data": {"seed": 3}, "images": "other"}, "Different test images"),
        ({"images": "other"}, "Different images or labels under the same name of data (a, b)"),
        ({"data": {"variant": "dynamic"}}, "Different pixels: grey pixels (a); dynamically binarised pixels (b)."),
        ({"model": {"likelihood": "logistic"}}, "Different likelihoods: bernoulli, no likelihood of such pixels (a); "),
        ({"model": {"likelihood": "normal"}}, "Different likelihoods"),
        ({"model": {"conditional": True}}, "Different quantities: −log p(x) (a); −log p(x|c), given the label (b)."),
        ({"model": {"kind": "m2"}}, "Different quantities"),
        ({"model": {"kind": "autoencoder"}}, "An autoencoder (b) has no bound and no KL"),
    ],
)
def test_what_cannot_be_compared_is_said(make, changes, words):
    comparison = compare_runs([make("a"), make("b", 20.0, **changes)])
    assert any(words in sentence for sentence in comparison.warnings), comparison.warnings
    assert conclude(comparison) == [
        "The numbers are not ranked, because not all runs can be compared with one another."
    ]


def test_what_can_be_compared_is_not_warned_of(make):
    def notes(a: Run, b: Run) -> str:
        comparison = compare_runs([a, b])
        assert not comparison.warnings
        assert conclude(comparison)[0].startswith("Lowest test −ELBO")
        return " ".join(comparison.notes)

    assert not notes(make("a"), make("b", training={"objective": "elbo:beta=4"}))
    held = make("c", data={"validation": 100}, images="other")
    said = notes(make("d"), held)
    assert "The test images are the same." in said
    assert "curves of held-out images are of different ones: test (d); validation (c)" in said
    with pytest.raises(UsageError, match="held no validation images"):
        compare_runs([make("e", images=None), held], split="validation")
    dequantised = {"data": {"variant": "dequantised"}}
    normal = make("f", model={"likelihood": "normal"}, **dequantised)
    assert "can be compared" in notes(normal, make("g", model={"likelihood": "normal:std=0.5"}, **dequantised))
    grey = [make(f"h{std}", model={"likelihood": f"normal:std={std}"}) for std in (0.1, 0.5)]
    assert "can come from the likelihood alone" in notes(*grey)
    assert not notes(make("i", images=None), make("j", images=None, training={"lr": 0.1}))


def test_curves_of_an_m2_are_of_another_bound_than_its_numbers(make):
    comparison = compare_runs([make("a", model={"kind": "m2"}), make("b", model={"kind": "m2", "latent": 9})])
    assert not comparison.warnings
    assert comparison.notes == [
        "The curves of a, b are of the bound on −log p(x), without labels; the numbers are given the label."
    ]


def likelihood(samples: int) -> dict[str, Metric]:
    words = f"importance-weighted estimate of −log p(x), K = {samples} samples of z per image"
    return {"negative_log_likelihood": metric(28.0, words=words)}


def test_numbers_measured_in_different_ways(make):
    few, many = metrics(30.0) | likelihood(10), metrics(31.0) | likelihood(100)
    comparison = compare_runs([make("a", few), make("b", many, model={"latent": 9})])
    (sentence,) = comparison.warnings
    assert sentence.startswith("Measured in different ways, negative_log_likelihood: importance-weighted")
    assert "K = 10 samples of z per image (a)" in sentence
    assert comparison.incomparable == {"negative_log_likelihood"}
    assert conclude(comparison)[0].startswith("Lowest test −ELBO: a")  # which was measured in one way
    seeds = compare_runs([make("c-0", few), make("c-1", many, training={"seed": 1})])
    assert "negative_log_likelihood" not in seeds.groups[0].numbers
    assert seeds.groups[0].numbers["negative_elbo"].mean == 30.5
    assert len(seeds.warnings) == 1


def test_a_mean_that_is_not_of_all_seeds(make):
    runs = [make("a-0", metrics(30.0) | likelihood(10)), make("a-1", 31.0, training={"seed": 1})]
    comparison = compare_runs(runs)
    assert comparison.groups[0].numbers["negative_log_likelihood"].over == "images"
    assert comparison.notes == ["a: only 1 of 2 runs have negative_log_likelihood."]


def test_numbers_that_are_not_finite(make):
    comparison = compare_runs([make("a-0", math.nan), make("a-1", 31.0, training={"seed": 1})])
    number = comparison.groups[0].numbers["negative_elbo"]
    assert math.isnan(number.mean)
    assert number.spread is None
    assert to_json(comparison)["groups"][0]["metrics"]["negative_elbo"]["mean"] is None
    json.dumps(to_json(comparison), allow_nan=False)
    assert numbers_table(comparison, ["negative_elbo"])[1][0][-1] == "nan"


def test_autoencoders_alone(make):
    numbers = {"reconstruction": metric(25.0, words="clean input")}
    ae = {"model": {"kind": "autoencoder"}}
    runs = [make("a", numbers, **ae), make("b", numbers, training={"lr": 0.1}, **ae)]
    comparison = compare_runs(runs)
    assert not comparison.warnings
    assert conclude(comparison)[0].startswith("Lowest test reconstruction: a")
    assert main_metrics(comparison) == ["reconstruction"]


def test_metrics_of_other_splits_and_names(make):
    numbers = metrics(30.0) | {f"train_{name}": value for name, value in metrics(20.0).items()}
    numbers["train_accuracy"] = numbers["linear_accuracy"] = metric(0.9, unit="share of images")
    runs = [make("a", numbers), make("b", numbers, model={"latent": 4})]
    test, train = compare_runs(runs), compare_runs(runs, split="train")
    assert set(test.groups[0].numbers) == {"negative_elbo", "reconstruction", "kl", "linear_accuracy"}
    assert set(train.groups[0].numbers) == {"negative_elbo", "reconstruction", "kl", "accuracy"}
    assert train.groups[0].numbers["negative_elbo"].mean == 20.0
    assert main_metrics(test) == ["negative_elbo", "reconstruction", "kl"]
    assert main_metrics(test, ["all"])[-1] == "linear_accuracy"
    assert main_metrics(test, ["kl"]) == ["kl"]
    with pytest.raises(UsageError, match=r"no run has the metric 'klx' of the test images; did you mean kl\?"):
        main_metrics(test, ["klx"])
    with pytest.raises(UsageError, match="unknown split 'rest'"):
        compare_runs(runs, split="rest")


def test_runs_that_are_missing_equal_or_damaged_are_refused(make, tmp_path):
    run = make("a")
    with pytest.raises(UsageError, match="expected at least 2 runs to compare, got 1"):
        compare_runs([run])
    (tmp_path / "link").symlink_to(run.folder.path)
    with pytest.raises(UsageError, match=r"expected different runs, got .*a twice"):
        compare_runs([run, Run.open(tmp_path / "link", device="cpu")])
    with pytest.raises(UsageError, match="expected importance samples ≥ 0"):
        compare_runs([run, make("b")], importance_samples=-1)
    (run.folder.path / "metrics.json").write_text('{"kl": {"value": "many"}}', encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"metrics\.json, kl is damaged"):
        compare_runs([run, make("c")])
    unread = make("d")
    (unread.folder.path / "history.csv").unlink()
    with pytest.raises(CheckpointError, match="no history"):
        compare_runs([unread, make("e")])


def test_a_run_without_numbers_is_evaluated(make, tmp_path):
    first = vaelab.train("digits-vae", out=tmp_path / "first", training=TINY)
    second = vaelab.train("digits-vae", out=tmp_path / "second", training=TINY | {"seed": 1})
    dae = vaelab.train(
        "denoising",
        out=tmp_path / "dae",
        data="digits",
        model={"encoder": "mlp:hidden=16/", "decoder": "mlp:hidden=16/"},
        training=TINY,
    )
    comparison = compare_runs([first, second, dae])
    group, alone = comparison.groups
    for place, run in enumerate((first, second)):
        kept = run.folder.metrics()["negative_elbo"]
        assert kept == run.evaluate()["negative_elbo"]
        assert group.numbers["negative_elbo"].values[place] == kept.value
    assert set(alone.numbers) == {"reconstruction", "denoising"}
    before = (first.folder.path / "metrics.json").read_bytes()
    compare_runs([first, second])
    assert (first.folder.path / "metrics.json").read_bytes() == before
    weighted = compare_runs([first, dae], importance_samples=3)
    assert "K = 3 samples" in weighted.groups[0].numbers["negative_log_likelihood"].protocols[0]
    assert "negative_log_likelihood" not in weighted.groups[1].numbers
    gone = make("gone", {}, data={"name": str(tmp_path / "gone.npz")})
    with pytest.raises(DataError, match=r"gone: .*gone\.npz: expected a \.npz file"):
        compare_runs([first, gone])


def test_numbers_that_cannot_be_kept_are_compared_all_the_same(tmp_path, monkeypatch):
    rates = {"a": 0.1, "b": 0.2}
    runs = [vaelab.train("digits-vae", out=tmp_path / name, training=TINY | {"lr": lr}) for name, lr in rates.items()]

    def refuse(self: object, metrics: object) -> None:
        raise vaelab.VaelabError("cannot write metrics.json: full")

    monkeypatch.setattr(RunFolder, "write_metrics", refuse)
    comparison = compare_runs(runs)
    assert all("negative_elbo" in group.numbers for group in comparison.groups)
    assert comparison.notes[0] == "a was evaluated, but that could not be kept: cannot write metrics.json: full"


# --- the files ------------------------------------------------------------------------------------------------------


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_the_csv_files_hold_every_number(seeds):
    comparison = compare_runs(seeds)
    row = next(row for row in read(groups_csv(comparison)) if (row["group"], row["metric"]) == ("vae", "negative_elbo"))
    assert float(row["mean"]) == statistics.mean((30.0, 31.5, 33.25))
    assert float(row["spread"]) == pytest.approx(statistics.stdev((30.0, 31.5, 33.25)))
    assert (row["spread_over"], row["seeds"], row["values"]) == ("seeds", "0;1;2", "30.0;31.5;33.25")
    assert row["protocol"] == metric(0.0).protocol
    rows = read(runs_csv(comparison))
    assert tuple(rows[0]) == RUN_COLUMNS
    assert len(rows) == 4 * 3
    assert {row["run"] for row in rows} == {str(run.folder.path) for run in seeds}
    assert runs_table(comparison, ["kl"])[1][1] == ["vae-s1", "vae", "1", "3", "1"]


def test_values_for_machines(seeds):
    found = to_json(compare_runs(seeds))
    assert found["split"] == "test"
    assert [[run["seed"] for run in group["runs"]] for group in found["groups"]] == [[0, 1, 2], [0]]
    number = found["groups"][0]["metrics"]["negative_elbo"]
    assert (number["values"], number["spread_over"], number["n"]) == ([30.0, 31.5, 33.25], "seeds", 359)
    assert found["differences"] == {"model.latent": {"vae": "2", "wide": "8"}}


def test_the_rows_of_the_figure(seeds):
    rows = curve_rows(compare_runs(seeds))
    assert len({len(column) for column in rows.values()}) == 1
    assert "step" not in rows["split"]
    places = [i for i, run in enumerate(rows["run"]) if run == "vae-s1" and rows["split"][i] == "test"]
    assert [(rows["group"][i], rows["epoch"][i], rows["kl"][i]) for i in places] == [
        ("vae", 1, 10.0),
        ("vae", 2, 5.0),
        ("vae", 3, 10.0 / 3),
    ]


class Tags(HTMLParser):
    """The words of a page and the elements it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


def written(runs: list[Run], out: Path) -> tuple[Comparison, Tags]:
    comparison = compare_runs(runs)
    files = write_comparison(comparison, out, main_metrics(comparison), command="vaelab compare …")
    assert {name: path.exists() for name, path in files.items()} == dict.fromkeys(files, True)
    return comparison, Tags(files["report"].read_text(encoding="utf-8"))


def test_the_report_has_the_table_the_curves_and_what_differs(seeds, tmp_path):
    _, page = written(seeds, tmp_path / "out")
    for words in (
        "31.58 ± 1.63",
        "Lowest test −ELBO: wide",
        "model.latent",
        "vae-s2",
        "speaks against",
        "vaelab compare",
    ):
        assert words in page.words, words
    assert "img" in page.names
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {"report.html", "comparison.csv", "runs.csv", "figures/comparison.png"}
    before = {name: (tmp_path / "out" / name).read_bytes() for name in found}
    written(seeds, tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in found} == before


def test_a_folder_named_like_html_is_text(make, tmp_path):
    name = "<b>x & <img src=x onerror=alert(1)>"
    comparison, page = written([make(name), make("b", data={"variant": "dynamic"})], tmp_path / "<i>out")
    assert comparison.groups[0].name == name
    assert name in page.words
    assert "i" not in page.names
    assert page.names.count("img") == 1


def test_without_a_finished_epoch_there_is_no_figure(make, tmp_path):
    _, page = written([make("a"), make("b", training={"lr": 0.1})], tmp_path / "with")
    assert "Curves" in page.words
    runs = [make(name, training={"lr": lr}) for name, lr in (("c", 0.1), ("d", 0.2))]
    for run in runs:
        lines = run.folder.history_path.read_text(encoding="utf-8").splitlines(keepends=True)
        run.folder.history_path.write_text("".join(lines[:2]), encoding="utf-8")
    _, page = written(runs, tmp_path / "without")
    assert "Curves" not in page.words
    assert not (tmp_path / "without" / "figures").exists()


def test_other_folders_are_not_overwritten(make, seeds, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "comparison.csv").write_text("mine\n", encoding="utf-8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".comparison.csv.x1").write_text("", encoding="utf-8")  # what a kill left
    for path in (seeds[0].folder.path, tmp_path / "notes"):
        with pytest.raises(UsageError, match="holds something else than a comparison"):
            check_out(path)
    with pytest.raises(UsageError, match="is a file"):
        check_out(tmp_path / "file")
    written(seeds, tmp_path / "empty")
    check_out(tmp_path / "empty")
