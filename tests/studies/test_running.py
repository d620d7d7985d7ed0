"""The steps of a study: done once, reused, continued; and reports from what is there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tests.studies import toy
from vaelab.checkpoint import has_checkpoint
from vaelab.errors import CheckpointError, DataError, Interrupted, UsageError
from vaelab.studies.asking import Asked, settings_of, stored_settings
from vaelab.studies.running import Plan, run_study
from vaelab.studies.settings import Settings
from vaelab.studies.store import Store
from vaelab.studies.study import Measure, Train


class Seen:
    """Writes down what happens."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.ended: list[str] = []
        self.shares: dict[str, list[float]] = {}

    def plan(self, study, steps, missing):
        self.missing = [step.name for step in missing]

    def begin(self, step):
        self.shares[step.name] = []

    def share(self, step, share):
        self.shares[step.name].append(share)

    def end(self, step, seconds):
        assert seconds >= 0
        self.ended.append(step.name)


def settings(**asked) -> Settings:
    return settings_of(toy.TOY, Asked(quick=True, **asked))


@pytest.fixture
def calls():
    toy.CALLS.clear()
    return toy.CALLS


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with the finished study."""
    out = tmp_path_factory.mktemp("study") / "toy"
    seen = Seen()
    run_study(toy.TOY, settings(), out, jobs=1, watch=seen)
    assert seen.missing == seen.ended == ["vae", "spread", "doubled"]
    for shares in (seen.shares["vae"], seen.shares["spread"]):
        assert shares
        assert shares == sorted(shares)
        assert 0 < shares[-1] <= 1
    return out


def again(out: Path, asked: Settings) -> list[str]:
    seen = Seen()
    run_study(toy.TOY, asked, out, jobs=1, watch=seen)
    return seen.ended


def test_what_is_there_is_reused(done, calls):
    assert again(done, settings()) == []
    assert calls == []


def test_values_figures_and_data_are_in_the_folder(done):
    store = Store.open(done, "toy")
    assert store.values("doubled")["double"] == 2 * store.values("spread")["mean"]
    assert store.values("spread")["elbo"]["unit"] == "nats per image"
    assert store.values("vae")["negative_elbo"]["n"] == 359
    assert store.figure_path("spread", "loss").read_bytes().startswith(b"\x89PNG")
    assert store.table_path("spread", "values").read_text().startswith("n,std\n359,")


def test_only_what_a_changed_option_decides_is_done_again(done, calls):
    assert again(done, settings(assignments=["scale=2"])) == ["spread", "doubled"]
    assert Store(done).values("spread")["scale"] == 2.0
    assert again(done, settings()) == ["spread", "doubled"]


def test_a_changed_training_is_trained_again_with_all_that_needs_it(done):
    assert again(done, settings(assignments=["vae.training.lr=1e-3"])) == ["vae", "spread", "doubled"]
    assert again(done, settings()) == ["vae", "spread", "doubled"]


def test_another_device_is_no_other_result(done):
    assert again(done, dataclasses.replace(settings(), device="cpu")) == []


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": "vaelab-study-step", "version": 1}'])
def test_a_damaged_record_is_done_again(done, damage):
    (done / "steps" / "doubled.json").write_bytes(damage)
    assert again(done, settings()) == ["doubled"]


@pytest.mark.parametrize("file", ["figures/spread-loss.png", "data/spread-values.npz", "data/spread-values.csv"])
def test_a_lost_file_is_made_again(done, file):
    again(done, settings())
    (done / file).unlink()
    assert again(done, settings())[0] == "spread"
    assert (done / file).exists()


def test_a_figure_that_a_step_draws_into_a_runs_folder_is_its_own(tmp_path):
    def draw(ctx):
        ctx.run("vae").plot("loss")
        return {}

    def steps(asked):
        return [toy.steps(asked)[0], Measure("drawn", "a figure", ("vae",), draw)]

    study = dataclasses.replace(toy.TOY, steps=steps)
    run_study(study, settings(), tmp_path / "toy", jobs=1)
    (tmp_path / "toy" / "runs" / "vae" / "figures" / "loss.png").unlink()
    seen = Seen()
    run_study(study, settings(), tmp_path / "toy", jobs=1, watch=seen)
    assert seen.ended == ["drawn"]


def test_other_images_under_the_same_name_are_noticed(tmp_path):
    import numpy as np

    def save(level: int) -> None:
        np.savez(tmp_path / "own.npz", images=np.full((40, 8, 8), level, dtype=np.uint8))  # no labels: needs none

    def steps(asked):
        return [toy.steps(asked)[0], Measure("seen", "x", (), lambda ctx: {}, {"against": asked.other})]

    study = dataclasses.replace(toy.TOY, steps=steps)
    asked = settings(other=str(tmp_path / "own.npz"))
    save(3)
    run_study(study, asked, tmp_path / "toy", jobs=1)
    for level, ended in ((3, []), (4, ["seen"])):
        save(level)
        seen = Seen()
        run_study(study, asked, tmp_path / "toy", jobs=1, watch=seen)
        assert seen.ended == ended


def test_images_of_another_kind_that_are_not_there_are_missed_before_the_first_step(tmp_path):
    def steps(asked):
        return [toy.steps(asked)[0], Measure("seen", "x", (), lambda ctx: {}, {"against": asked.other})]

    with pytest.raises(UsageError, match="nosuch"):
        run_study(dataclasses.replace(toy.TOY, steps=steps), settings(other="nosuch"), tmp_path / "toy", jobs=1)
    assert not (tmp_path / "toy").exists()


def test_a_lost_checkpoint_is_trained_again(done):
    for file in (done / "runs" / "vae" / "checkpoints").iterdir():
        file.unlink()
    assert again(done, settings()) == ["vae", "spread", "doubled"]


def test_an_interrupted_training_goes_on_and_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    longer = settings(assignments=["epochs=3"])
    run_study(toy.TOY, longer, tmp_path / "whole", jobs=1)
    from vaelab.studies import working

    class Stop(working._Share):
        def on_epoch(self, training, rows):
            if training.progress.epoch == 2:
                raise Interrupted("stopped", 2)

    with monkeypatch.context() as patch:
        patch.setattr(working, "_Share", Stop)
        with pytest.raises(Interrupted, match="run the same command again") as caught:
            run_study(toy.TOY, longer, tmp_path / "cut", jobs=1)
    assert caught.value.exit_code == 130
    assert has_checkpoint(tmp_path / "cut" / "runs" / "vae" / "checkpoints", "last")
    assert again(tmp_path / "cut", longer) == ["vae", "spread", "doubled"]
    whole, cut = (Store(tmp_path / name).values("vae")["negative_elbo"] for name in ("whole", "cut"))
    assert whole == cut


def test_keyboard_interrupt_in_a_measurement_keeps_what_is_finished(tmp_path, monkeypatch, calls):
    def interrupted(ctx):
        raise KeyboardInterrupt

    broken = dataclasses.replace(toy.TOY, steps=lambda s: [
        *toy.steps(s)[:2], dataclasses.replace(toy.steps(s)[2], function=interrupted)
    ])  # fmt: skip
    with pytest.raises(Interrupted, match="stopped in the step doubled"):
        run_study(broken, settings(), tmp_path / "toy", jobs=1)
    assert again(tmp_path / "toy", settings()) == ["doubled"]
    assert calls == ["spread", "doubled"]


# --- order ------------------------------------------------------------------------------------------------------------


def measure(name, needs=(), cost=1.0, alone=False):
    return Measure(name, name, needs, lambda ctx: {}, cost=cost, alone=alone)


def plan(*steps):
    return Plan(steps, {step.name: step for step in steps}, {})


def test_the_longest_way_goes_first():
    found = plan(measure("a", cost=5), measure("b", cost=1), measure("c", ("b",), cost=10))
    assert [step.name for step in found.ready()] == ["b", "a"]


def test_a_step_that_wants_all_processors_runs_by_itself():
    found = plan(measure("a"), measure("all", alone=True), measure("z", ("all",)))
    assert [step.name for step in found.ready()] == ["a"]
    found.start(found.ready()[0])
    assert found.ready() == []
    found.finish(found.steps[0])
    found.start(found.ready()[0])
    assert list(found.running) == ["all"]
    assert found.ready() == []


# --- folders and data -------------------------------------------------------------------------------------------------


def test_a_model_that_is_not_there_cannot_be_changed(tmp_path):
    with pytest.raises(UsageError, match=r"no model 'vea'.*known: \*, vae"):
        run_study(toy.TOY, settings(assignments=["vea.training.lr=1"]), tmp_path / "toy", jobs=1)
    assert not (tmp_path / "toy").exists()


def test_what_was_asked_is_read_back(done):
    again(done, settings())
    assert stored_settings(toy.TOY, Store(done)) == settings()


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="something else than a study"):
        run_study(toy.TOY, settings(), tmp_path, jobs=1)
    with pytest.raises(UsageError, match="is a file"):
        run_study(toy.TOY, settings(), tmp_path / "letter.txt", jobs=1)


def test_the_folder_of_another_study_is_left_alone(done):
    other = dataclasses.replace(toy.TOY, name="other")
    with pytest.raises(UsageError, match="holds the study toy, not other"):
        run_study(other, settings(), done, jobs=1)


def test_a_damaged_record_of_the_study_is_one_sentence(tmp_path):
    (tmp_path / "study.json").write_text(json.dumps({"format": "vaelab-study", "version": 1, "name": "toy"}))
    with pytest.raises(CheckpointError, match="damaged or of another version"):
        stored_settings(toy.TOY, Store.open(tmp_path, "toy"))


def test_data_without_labels_is_refused_before_the_first_step(tmp_path):
    import numpy as np

    np.savez(tmp_path / "plain.npz", images=np.zeros((40, 8, 8), dtype=np.uint8))
    with pytest.raises(DataError, match="labels of at least 2 classes"):
        run_study(toy.TOY, settings(data=str(tmp_path / "plain.npz")), tmp_path / "toy", jobs=1)
    assert not (tmp_path / "toy").exists()


def test_a_step_says_what_it_needs(done):
    from vaelab.studies.context import Context

    step = next(step for step in toy.steps(settings()) if step.name == "doubled")
    assert not isinstance(step, Train)
    with pytest.raises(AssertionError, match="does not say that it needs vae"):
        Context(step, settings(), Store(done)).run("vae")


# --- reports ----------------------------------------------------------------------------------------------------------


def test_all_studies_on_one_page_with_text_as_text(tmp_path):
    from vaelab.report.blocks import Verdict
    from vaelab.studies.overview import write_overview
    from vaelab.studies.reporting import Written

    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "report.html").write_text("")
    verdict = Verdict("<b>loss</b>", "1.0", "≤ 2", True)
    written = Written({"html": tmp_path / "toy" / "report.html"}, [verdict], "<script>alert(1)</script>", [])
    text = write_overview(tmp_path, {"toy": (toy.TOY, written)}, ["vaelab", "study"]).read_text()
    assert "&lt;script&gt;alert(1)" in text
    assert "&lt;b&gt;loss&lt;/b&gt;" in text
    assert "toy/report.html" in text


def test_rows_are_in_the_order_of_their_sheets_and_numbers():
    from vaelab.report.html import _natural

    assert sorted([("C10", ""), ("A2", ""), ("C9", ""), ("B1", "")], key=_natural) == [
        ("A2", ""), ("B1", ""), ("C9", ""), ("C10", "")
    ]  # fmt: skip


def test_a_report_is_written_and_its_notebook_run(done):
    from vaelab.studies.reporting import write_report

    again(done, settings())
    written = write_report(toy.TOY, settings(), Store(done))
    assert written.notes == []
    book = json.loads(written.files["notebook"].read_text())
    assert [cell["execution_count"] for cell in book["cells"] if cell["cell_type"] == "code"] == [1, 2]
    text = written.files["html"].read_text()
    assert 'id="row-T2"' in text
    assert "the loss falls" in text


def test_a_report_says_which_command_made_the_results(done):
    from vaelab.studies.reporting import write_report

    run_study(toy.TOY, settings(), done, jobs=1, command=["vaelab", "study", "run", "toy", "--out", "a b"])
    written = write_report(toy.TOY, settings(), Store(done), notebook=False)
    text = written.files["html"].read_text()
    assert "vaelab study run toy --out &#39;a b&#39;" in text
    assert "torch" in text


def test_a_report_that_cannot_be_printed_is_written_all_the_same(done, monkeypatch):
    from vaelab.report import pdf
    from vaelab.studies.reporting import write_report

    again(done, settings())
    monkeypatch.setattr(pdf, "find_browser", lambda: None)
    written = write_report(toy.TOY, settings(), Store(done), notebook=False, pdf=True)
    assert "pdf" not in written.files
    assert "needs Chromium or Chrome" in written.notes[0]


def test_a_cell_that_fails_is_told_and_the_rest_is_kept(tmp_path):
    from vaelab.run import DataAccess
    from vaelab.studies.notebook import write_notebook
    from vaelab.studies.study import Cell

    cells = [Cell("", "print(1)"), Cell("Wrong.", "1 / 0"), Cell("", "print(2)")]
    note = write_notebook("title", cells, tmp_path / "book.ipynb", DataAccess())
    assert "ZeroDivisionError" in note
    assert len(json.loads((tmp_path / "book.ipynb").read_text())["cells"]) == 5


def test_a_report_of_an_unfinished_study_is_refused(tmp_path):
    from vaelab.studies.reporting import write_report

    store = Store.open(tmp_path, "toy")
    store.write_document("toy", {})
    with pytest.raises(CheckpointError, match="without --redraw"):
        write_report(toy.TOY, settings(), store, notebook=False)
