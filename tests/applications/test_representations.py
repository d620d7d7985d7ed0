"""Choosing labels, choosing hyperparameters, cells, and what is made of them."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import SVC

from vaelab.applications import representations
from vaelab.applications.representations import (
    METHODS,
    Cell,
    Problem,
    Representation,
    Result,
    Row,
    Summary,
    canonical,
    choose_labels,
    conclude,
    fit_and_predict,
    measure,
    paired_difference,
    run_cells,
    summarise,
)
from vaelab.applications.representations import methods as methods_module
from vaelab.applications.representations import running as running_module
from vaelab.applications.representations import summary as summary_module
from vaelab.applications.representations.labels import generator
from vaelab.errors import DataError, UsageError

QUICK = ("logistic-regression", "svm")


def clouds(n: int, classes: int = 3, spread: float = 0.9, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(seed)
    labels = source.integers(0, classes, n)
    return (source.normal(size=(n, 4)) * spread + np.eye(classes, 4)[labels] * 2).astype(np.float32), labels


def make(n: int = 90, **options: float) -> Problem:
    train, labels = clouds(n, **options)
    test, test_labels = clouds(60, seed=1)
    return Problem({"z": Representation(train, test)}, labels, test_labels)


def numbers(result: Result) -> Result:
    """Without the seconds."""
    return dataclasses.replace(result, seconds=0.0)


# --- choosing labels ------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-1, 4), min_size=1, max_size=60), st.data())
def test_stratified_counts_are_exact(labels, data):
    labels = np.array(labels)
    known = int((labels >= 0).sum())
    if not known:
        return
    count = data.draw(st.integers(1, known))
    chosen = choose_labels(labels, count, seed=data.draw(st.integers(0, 5)))
    assert len(chosen) == len(set(chosen.tolist())) == count
    assert (np.diff(chosen) > 0).all()
    exact = count * np.bincount(labels[labels >= 0]) / known
    counts = np.bincount(labels[chosen], minlength=len(exact))
    assert (np.abs(counts - exact) < 1).all()


def test_plain_choices_are_uniform_and_of_exact_size():
    labels = np.repeat([0, 1, -1], [30, 10, 5])
    chosen = [choose_labels(labels, 8, seed, "plain") for seed in range(1500)]
    assert {len(indices) for indices in chosen} == {8}
    often = np.bincount(np.concatenate(chosen), minlength=45) / 1500
    assert (often[40:] == 0).all()
    assert np.abs(often[:40] - 8 / 40).max() < 5 * (0.2 * 0.8 / 1500) ** 0.5
    assert len({int((labels[indices] == 1).sum()) for indices in chosen}) > 3  # the classes' counts vary


def test_a_choice_depends_on_the_seed_alone():
    labels = np.arange(200) % 4
    for choice in ("plain", "stratified"):
        first = choose_labels(labels, 20, 1, choice)
        assert np.array_equal(first, choose_labels(labels, 20, 1, choice))
        assert not np.array_equal(first, choose_labels(labels, 20, 2, choice))
    assert np.array_equal(choose_labels(labels, 200, 1), choose_labels(labels, 200, 2, "plain"))


def test_impossible_choices_are_refused():
    labels = np.array([0, 1, -1])
    with pytest.raises(DataError, match="expected at least 3 labelled images, got 2"):
        choose_labels(labels, 3, 0)
    with pytest.raises(UsageError, match="at least 1 label"):
        choose_labels(labels, 0, 0)
    with pytest.raises(UsageError, match="plain"):
        choose_labels(labels, 1, 0, "plane")


# --- choosing hyperparameters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "estimator"), [("svm", SVC()), ("logistic-regression", LogisticRegression())])
def test_the_search_is_that_of_scikit_learn(name, estimator):
    x, y = clouds(60, spread=1.5)
    test, _ = clouds(40, seed=1)
    number = int(generator(3, "method").integers(2**31))
    folds = StratifiedKFold(3, shuffle=True, random_state=number)
    grid = {"C": [parameters["C"] for parameters in METHODS[name].grid]}
    search = GridSearchCV(estimator, grid, cv=folds).fit(x, y)
    found = fit_and_predict(METHODS[name], x, y, test, seed=3)
    assert found.parameters == search.best_params_
    assert np.array_equal(found.labels, search.predict(test))


def test_a_large_set_of_labels_is_searched_on_a_part_of_it(monkeypatch):
    monkeypatch.setattr(methods_module, "SELECTION", 30)
    x, y = clouds(60)
    assert "3-fold cross-validation on 30 of the 60 labels" in fit_and_predict(METHODS["svm"], x, y, x, 0).selection


@pytest.mark.parametrize("name", METHODS)
def test_few_labels_of_a_class(name, monkeypatch):
    monkeypatch.setattr(methods_module, "STOPPING", 20)  # an MLP would hold out a tenth of them
    monkeypatch.setattr(methods_module, "TREES", 5)
    x, y = clouds(40, classes=2)
    y[0] = 2
    alone = fit_and_predict(METHODS[name], x, y, x, seed=0)
    assert alone.parameters == METHODS[name].grid[0]
    assert "a class has a single label" in alone.selection
    y[1] = 2
    assert fit_and_predict(METHODS[name], x, y, x, seed=0).selection.startswith("2-fold")
    one = fit_and_predict(METHODS[name], x[:3], np.full(3, 7), x, seed=0)
    assert one.labels.tolist() == [7] * 40
    assert "one class" in one.selection


# --- cells ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("choice", ["plain", "stratified"])
def test_labels_that_are_not_chosen_are_not_used(method, choice, monkeypatch):
    monkeypatch.setattr(methods_module, "TREES", 5)
    monkeypatch.setattr(methods_module, "_epochs", lambda labels: 5)
    problem = make()
    cell = Cell("z", method, 15, choice, seed=1)
    chosen = choose_labels(problem.labels, 15, 1, choice)
    if choice == "stratified":  # which looks at the classes to choose; then it is fixed
        monkeypatch.setattr("vaelab.applications.representations.cells.choose_labels", lambda *arguments: chosen)
    poisoned = np.random.default_rng(5).integers(0, 3, len(problem.labels))
    poisoned[chosen] = problem.labels[chosen]
    other = dataclasses.replace(problem, labels=poisoned)
    assert (poisoned != problem.labels).sum() > 30
    assert numbers(measure(problem, cell)) == numbers(measure(other, cell))


def test_test_labels_enter_the_accuracy_alone():
    problem = make()
    cell = Cell("z", "svm", 30, "stratified", seed=0)
    z = problem.representations["z"]
    chosen = choose_labels(problem.labels, 30, 0)
    found = fit_and_predict(METHODS["svm"], z.scaled(z.train[chosen]), problem.labels[chosen], z.scaled(z.test), 0)
    poisoned = np.random.default_rng(5).integers(-1, 3, 60)
    known = poisoned >= 0
    result = measure(dataclasses.replace(problem, test_labels=poisoned), cell)
    assert result.parameters == found.parameters
    assert result.images == known.sum()
    assert result.accuracy == np.mean(found.labels[known] == poisoned[known])
    assert result.standard_error == pytest.approx((result.accuracy * (1 - result.accuracy) / known.sum()) ** 0.5)


def test_a_cell_of_one_class_predicts_it():
    problem = make()
    result = measure(problem, Cell("z", "svm", 1, "plain", seed=0))
    label = problem.labels[choose_labels(problem.labels, 1, 0, "plain")[0]]
    assert result.accuracy == np.mean(problem.test_labels == label)


def test_scaling_keeps_the_proportions_of_the_dimensions():
    train = np.random.default_rng(0).normal(3, [2.0, 0.01], size=(5000, 2))
    found = Representation(train, train[:10])
    scaled = found.scaled(train)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.var(0).mean(), 1, rtol=1e-5)
    np.testing.assert_allclose(scaled.std(0)[0] / scaled.std(0)[1], train.std(0)[0] / train.std(0)[1], rtol=1e-3)
    constant = np.full((4, 3), 7, dtype=np.uint8)
    assert (Representation(constant, constant).scaled(constant) == 0).all()


def test_what_does_not_fit_is_refused():
    z = np.zeros((4, 2))
    with pytest.raises(DataError, match="NaN"):
        Representation(z, z * np.nan)
    with pytest.raises(DataError, match=r"expected representations \(n, d\)"):
        Representation(z, z[:, :1])
    with pytest.raises(DataError, match="labels of the test images"):
        Problem({"z": Representation(z, z)}, np.zeros(4, int), np.full(4, -1))
    with pytest.raises(DataError, match=r"expected \(3, 4\) training and test images in z"):
        Problem({"z": Representation(z, z)}, np.zeros(3, int), np.zeros(4, int))
    with pytest.raises(UsageError, match="method"):
        measure(make(), Cell("z", "tree", 10, "plain", 0))
    with pytest.raises(UsageError, match="representation"):
        measure(make(), Cell("y", "svm", 10, "plain", 0))


def test_of_all_labels_there_is_one_choice():
    problem = make()
    for method, seed in (("svm", 0), ("mlp", 2)):
        assert canonical(Cell("z", method, 90, "plain", 2), 90) == Cell("z", method, 90, "stratified", seed)
    few = Cell("z", "svm", 89, "plain", 2)
    assert canonical(few, 90) == few
    assert "computed once for all seeds" in measure(problem, Cell("z", "svm", 90, "stratified", 0)).protocol


# --- many of them ---------------------------------------------------------------------------------------------------


def grid(seeds: int = 2) -> list[Cell]:
    return [Cell("z", method, count, "plain", seed) for method in QUICK for count in (10, 40) for seed in range(seeds)]


def test_results_do_not_depend_on_the_number_of_processes():
    found: dict[int, dict[Cell, Result]] = {1: {}, 2: {}}
    for jobs, results in found.items():
        parts: list[int] = []
        assert run_cells(make(), grid(), results.__setitem__, jobs=jobs, advance=parts.append)
        assert sum(parts) == running_module.PARTS
        assert min(parts) > 0
    assert set(found[1]) == set(grid())
    assert {cell: numbers(result) for cell, result in found[1].items()} == {
        cell: numbers(result) for cell, result in found[2].items()
    }


def test_stopping_keeps_what_is_finished():
    found: dict[Cell, Result] = {}
    assert not run_cells(make(), grid(), found.__setitem__, stop=lambda: 2 * (len(found) == 3))
    assert len(found) == 3
    assert run_cells(make(), [], found.__setitem__)
    with pytest.raises(UsageError, match="jobs"):
        run_cells(make(), grid(), found.__setitem__, jobs=0)


def test_what_takes_long_comes_first():
    order: list[Cell] = []
    run_cells(make(), grid(1), lambda cell, result: order.append(cell))
    costs = [make().cost(cell) for cell in order]
    assert costs == sorted(costs, reverse=True)


def test_workers_need_no_torch():
    code = f"import sys, {representations.__name__}; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- what is made of them -------------------------------------------------------------------------------------------


def summary(name: str, accuracies: list[float], labels: int = 50, method: str = "svm", images: int = 10_000) -> Summary:
    results = [Result(a, 0.0, images, 1.0, {}, "") for a in accuracies]
    rows = [Row(Cell(name, method, labels, "plain", seed), result) for seed, result in enumerate(results)]
    return summarise(rows)[0]


def test_means_and_spreads():
    found = summary("vae", [0.7, 0.8, 0.9])
    assert found.mean == pytest.approx(0.8)
    assert found.spread == pytest.approx(np.std([0.7, 0.8, 0.9], ddof=1))
    assert found.standard_error == pytest.approx((0.8 * 0.2 / 10_000) ** 0.5)
    assert summary("vae", [0.7]).spread is None
    cells = [Cell("vae", "svm", 50, "plain", seed) for seed in range(3)]
    same = Result(0.5, 0.0, 10, 1.0, {}, "")
    assert summarise([Row(cell, same) for cell in cells], once=cells)[0].spread is None


def test_differences_are_taken_seed_by_seed():
    first, second = summary("vae", [0.7, 0.8, 0.9]), summary("raw", [0.6, 0.7, 0.83])
    difference = paired_difference(first, second)
    each = np.array([0.1, 0.1, 0.07])
    assert difference.mean == pytest.approx(each.mean())
    assert difference.spread == pytest.approx(each.std(ddof=1))
    drawn = stats.t.ppf(0.975, 2) * each.std(ddof=1) / 3**0.5
    tested = 2 * (first.standard_error**2 + second.standard_error**2) ** 0.5
    assert difference.margin == pytest.approx((drawn**2 + tested**2) ** 0.5, rel=1e-3)
    assert difference.clear == (each.mean() > difference.margin)
    with pytest.raises(ValueError, match="seeds"):
        paired_difference(first, summary("raw", [0.6]))


@pytest.mark.parametrize("freedom", [1, 2, 5, 9, 10, 20, 29, 30, 200])
def test_the_quantile_is_students(freedom):
    exact = stats.t.ppf(0.975, freedom)
    assert exact - 1e-3 <= summary_module._student(freedom) + 0.05
    assert summary_module._student(freedom) == pytest.approx(exact, rel=0.09 if freedom > 9 else 1e-3)


def test_conclusions_say_what_the_numbers_say():
    raw = {50: [0.5, 0.52], 500: [0.70, 0.70], 5000: [0.9, 0.9]}
    rows = [summary("raw", values, labels, "mlp") for labels, values in raw.items()]
    rows += [summary("vae", [0.6, 0.62], 50), summary("vae", [0.701, 0.703], 500), summary("vae", [0.8, 0.81], 5000)]
    rows += [summary("dae", [0.55, 0.56], labels) for labels in raw]
    said = conclude(rows)
    assert said[0] == (
        "50 labels: unlabelled images helped: SVM (RBF) on vae 61.0 %, MLP on raw pixels 51.0 %, +10.0 ± 0.0 points."
    )
    assert "500 labels: unlabelled images made no clear difference" in said[1]
    assert "5,000 labels: unlabelled images did worse than raw pixels" in said[2]
    assert said[3] == (
        "In all: unlabelled images helped at 50; made no clear difference at 500; "
        "did worse than raw pixels at 5,000 labels."
    )
    best = "50 labels: best representation vae: SVM (RBF) on vae 61.0 %, SVM (RBF) on dae 55.5 %, +5.5"
    assert said[4].startswith(best)
    assert said[-2] == "In all: best representation none clearly at 50; vae at 500, 5,000 labels."


def test_conclusions_need_something_to_compare():
    assert conclude([summary("vae", [0.7])]) == []
    assert conclude([summary("raw", [0.7], method="mlp")]) == []
    close = conclude([summary("vae", [0.7, 0.7]), summary("dae", [0.702, 0.7])])
    assert "no clear difference" in close[0]
