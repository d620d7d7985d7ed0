"""Sheet A's study: its sentences, from made-up values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from vaelab.metrics import Metric
from vaelab.studies.generative_classifier import (
    classifier_sections,
    conditional_sections,
    failure_sections,
    model_sections,
    plane_sections,
    size_sections,
    summary,
)
from vaelab.studies.generative_classifier.words import foremost, level
from vaelab.studies.words import apart, error_of, percent


def metric(value: float, error: float = 0.01, n: int = 1000) -> dict[str, Any]:
    return {"value": value, "standard_error": error, "unit": "share of images", "n": n, "protocol": "made up"}


def model(confident: float = 0.6, grey: float = 0.1, frechet: float = 80, label: float = 0.99, knn: float = 0.2,
          elbo: float = 100, active: float = 2) -> dict[str, Any]:  # fmt: skip
    return {"confident": metric(confident), "grey": metric(grey, 0.001), "frechet": metric(frechet, None),  # type: ignore[arg-type]
            "label_accuracy": metric(label), "knn": metric(knn), "negative_elbo": metric(elbo, 0.3),
            "reconstruction": metric(elbo - 10, 0.3), "kl": metric(10), "active_units": metric(active, 0.0),
            "recognised": metric(0.9), "bayes_accuracy": metric(0.94)}  # fmt: skip


class Made:
    """Results of two kinds of model with the latent dimensions of ``models``, and whatever else is given."""

    settings = SimpleNamespace(data="mnist", quick=False)

    def __init__(self, vae: dict[int, dict], cvae: dict[int, dict], **steps: dict) -> None:
        found = {f"{kind}-{size}": values for kind, models in (("vae", vae), ("cvae", cvae))
                 for size, values in models.items()}  # fmt: skip
        sizes = {"models": {name: {"size": int(name.split("-")[1])} for name in found}, "samples": 1000}
        judge = {"judge_accuracy": metric(0.985, 0.001, 10_000), "judge_confident": metric(0.95), "grey": 0.05}
        self.steps = {"sizes": sizes, "judge": judge, "one-class": {"classes": 10}} | found | steps

    def values(self, step: str) -> dict:
        return self.steps[step]

    def config(self, run: str) -> Any:
        return SimpleNamespace(training=SimpleNamespace(epochs=5))


def test_shares_of_all_and_of_none_have_no_error() -> None:
    assert percent(Metric(1.0, 0.0, "share of images", 2000, "")) == "100 % (all 2,000)"
    assert percent(Metric(0.0, 0.0, "share of images", 30, "")) == "0 % (none of 30)"
    assert percent(Metric(0.9996, 0.0002, "share of images", 9000, "")) == "99.96 ± 0.02 %"
    assert percent(Metric(0.5, None, "share of images", 1, "")) == "50.0 %"


def test_a_share_of_none_is_not_known_without_error() -> None:
    none = Metric(0.0, 0.0, "share of images", 200, "")
    assert error_of(none, none) == pytest.approx(2**0.5 * 1.5 / 200)
    assert not apart(none, Metric(0.025, 0.011, "share of images", 200, ""))


def test_ties_are_within_two_standard_errors() -> None:
    found = {2: metric(0.63), 4: metric(0.65), 8: metric(0.5)}
    values = {key: Metric.from_json(value) for key, value in found.items()}
    assert (level(values, largest=True), level(values)) == ([2, 4], [8])
    fits = {"slant": {"r2": 0.4, "r2_error": 0.01}, "width": {"r2": 0.39, "r2_error": 0.01}, "ink": {"r2": 0.1,
            "r2_error": 0.01}}  # fmt: skip
    assert foremost(fits) == ["slant", "width"]


@pytest.mark.parametrize(
    ("vae", "cvae", "words"),
    [
        (146.4, 130.8, "the difference of 15.60 ± 0.42 nats is not the label's information alone"),
        (146.4, 144.4, "the difference of 2.00 ± 0.42 nats is not beyond what the label is worth"),
        (146.4, 146.4, "Contrary to what one expects"),
    ],
)
def test_two_bounds_are_compared_with_the_label_put_in(vae: float, cvae: float, words: str) -> None:
    text = model_sections._compared(Made({2: model(elbo=vae)}, {2: model(elbo=cvae)}))
    assert "at most log 10 = 2.30 nats" in text
    assert f"{cvae + 2.302585:.2f} ± 0.30 nats" in text
    assert words in text


def test_a_silent_condition_in_words() -> None:
    values = {"largest_difference": 0.0, "zeroed": 190.0, "plain": 190.0, "with_condition": 130.0, "images": 500}
    cvae = {"negative_elbo": metric(131, 0.5, 10_000)}
    text = model_sections._condition_words(values, cvae)
    assert "They have the same loss for every image" in text
    assert "rises by 60.0 nats, from 130.00" in text
    odd = model_sections._condition_words(values | {"largest_difference": 2.0, "zeroed": 131.0}, cvae)
    assert "needs a look" in odd
    assert "is the plain VAE" not in odd
    assert "does not clearly rise" in odd
    assert "but for rounding" in model_sections._condition_words(values | {"largest_difference": 1e-5}, cvae)


def test_both_ends_say_how_often_the_label_is_heeded() -> None:
    cvae = {2: model(label=0.995, knn=0.18), 8: model(label=0.9), 32: model(label=0.68, knn=0.65)}
    text = model_sections._label_words(Made(cvae, cvae))
    start = "With 2 dimensions nearly always, 99.5 ± 1.0 %; with 32 not reliably, 68.0 ± 1.0 %. So often the judge sees"
    assert text.startswith(start)
    assert "Between the two it is 90.0 % with 8." in text
    assert "the label is heeded less: z holds more of the image" in text
    same = {2: model(label=0.99), 4: model(label=0.98)}
    assert "heeded less" not in model_sections._label_words(Made(same, same))
    less = {2: model(label=0.99), 4: model(label=0.9)}
    assert "the label is heeded less." in model_sections._label_words(Made(less, less))
    one = {2: model(label=0.85)}
    assert model_sections._label_words(Made(one, one)).startswith("With 2 dimensions mostly, 85.0 ± 1.0 %. So often")


def test_too_many_dimensions_may_harm_the_samples_and_not_the_bound() -> None:
    vae = {2: model(0.63, elbo=146), 16: model(0.5, elbo=103.5), 32: model(0.47, elbo=103.4, active=16)}
    cvae = {2: model(0.98, elbo=130), 16: model(0.6, elbo=100), 32: model(0.58, label=0.68, elbo=100.4, active=14)}
    text = size_sections._enough(Made(vae, cvae))
    assert "lowest with 32 dimensions (103.40 ± 0.30 nats), and no higher beyond two standard errors with 16" in text
    assert "Of 32 dimensions it uses 14." in text
    assert "do no harm to the bound: a dimension that would cost more KL" in text
    assert (
        "The samples pay for them, though: from 2 to 32 dimensions the share of clear samples falls by 16.0 ± 1.4 "
        in text
    )
    assert "that of the CVAE's samples that show their label by 31.0 ± 1.4 percentage points" in text
    worse = {2: model(0.6, elbo=100), 4: model(0.6, elbo=120, active=4)}
    text = size_sections._enough(Made(worse, worse))
    assert "Too many dimensions cost up to 20.0 nats of the bound. They do not make fewer samples clear." in text
    assert "It uses all of 4 dimensions." in text
    even = {2: model(0.6, elbo=100), 4: model(0.6, elbo=100)}
    assert text.count("left at the prior") == 0
    assert size_sections._enough(Made(even, even)).endswith("Nor do they make fewer samples clear.")
    assert "harm" not in size_sections._enough(Made({2: model()}, {2: model()}))


def test_ties_of_sizes_are_said_to_be_ties() -> None:
    vae = {2: model(0.63, 0.176, 197.8), 4: model(0.635, 0.146, 106.7), 32: model(0.467, 0.098, 85.0)}
    cvae = {2: model(0.977, 0.145, 70.2), 4: model(0.855, 0.122, 70.8), 32: model(0.583, 0.098, 80.0)}
    text = size_sections._on_samples(Made(vae, cvae))
    assert "most samples are clear with 2 and 4 dimensions (63.0 ± 1.0 % and 63.5 ± 1.0 %), fewest with 32" in text
    assert (
        "samples with 2 and 4 dimensions come nearest, and about equally near, to real images (70.2 and 70.8)" in text
    )
    assert "samples with 32 dimensions come nearest to real images (85.0), those with 2 least near (197.8)" in text
    assert "sharper (fewer grey pixels), but fewer of them clear (VAE and CVAE)" in text
    assert text.endswith("the samples of the VAE still come nearer to real images.")
    flat = {2: model(), 4: model(0.61, 0.101, 82)}
    text = size_sections._on_samples(Made(flat, flat))
    assert "no size gives more clear samples than another beyond chance" in text
    assert "does not change beyond its error" in text
    assert "all sizes are about equally near" in text
    assert "do not make the samples sharper (VAE and CVAE)" in text
    assert "likely reason" not in text


def test_reconstructions_change_only_beyond_their_errors() -> None:
    vae, cvae = {2: model(elbo=140), 8: model(elbo=90)}, {2: model(elbo=140.2), 8: model(elbo=140.4)}
    text = size_sections._on_reconstructions(Made(vae, cvae))
    assert "the VAE's reconstruction gets better, from 130.00 ± 0.30 to 80.00 ± 0.30 nats" in text
    assert "the CVAE's reconstruction does not change beyond its error" in text
    assert "Best or as good, within two standard errors: 8 for the VAE and 2 and 8 for the CVAE." in text
    assert "reconstructs no better than the VAE" in text
    assert "10.00 ± 0.42 nats better than the VAE" in size_sections._gap(
        Made({2: model(elbo=150)}, {2: model(elbo=140)})
    )
    assert "Contrary" in size_sections._gap(Made({2: model(elbo=140)}, {2: model(elbo=150)}))


def test_mixing_of_classes_explains_the_excess_of_grey_only() -> None:
    def why(inside: float, between: float) -> str:
        groups = {"inside": {"grey": metric(inside, 0.003)}, "between": {"grey": metric(between, 0.001)}}
        return failure_sections._why({"groups": groups}, 0.05)

    text = why(0.162, 0.183)
    assert "18.3 ± 0.1 % of the pixels are grey between classes and 16.2 ± 0.3 % inside a class; in real images" in text
    assert "explains only the excess of 2.1 ± 0.3 percentage points" in text
    assert "The rest of the blur is there inside a class, too" in text
    assert "But grey pixels do not show it here" in why(0.162, 0.165)
    assert "But grey pixels do not show it here" in why(0.183, 0.162)
    assert "The rest" not in why(0.04, 0.06)


@pytest.mark.parametrize(("some", "total", "words"), [(10, 10, "All of these gaps are"), (1, 3, "One of these gaps is"),
                         (0, 3, "None of these gaps is"), (1, 1, "The gap is"), (0, 1, "The gap is not")])  # fmt: skip
def test_gaps_beyond_chance_are_counted(some: int, total: int, words: str) -> None:
    assert failure_sections._how_many(some, total) == words


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (0.95, "In the VAE each class has its own region"),
        (0.73, "In the VAE most classes have a region mostly of their own"),
        (0.4, "In the VAE classes lie partly apart"),
    ],
)
def test_regions_of_classes_follow_the_number(told: float, words: str) -> None:
    values = {"between_shown": {"vae": 0.7, "cvae": 0.15}}
    vae, cvae = {"knn_accuracy": metric(told)}, {"knn_accuracy": metric(0.17), "majority": 0.11}
    text = conditional_sections._difference(values, vae, cvae, ["0", "1"])
    assert text.startswith(words)
    assert "Little more than that" in text
    assert "Little more" not in conditional_sections._difference(values, vae, cvae | {"majority": 0.165}, ["0", "1"])
    left = conditional_sections._difference(values, {"knn_accuracy": metric(0.99)}, cvae | {"majority": 0.01}, ["0"])
    assert "Something of the class is left" in left
    assert conditional_sections._difference(values, cvae, cvae, ["0"]).startswith("Contrary")


@pytest.mark.parametrize(("cvae", "words"), [(0.08, "Hardly: "), (0.3, "Less than in the VAE: "), (0.7, "Yes: ")])
def test_whether_the_class_is_in_z(cvae: float, words: str) -> None:
    values = {"told": 1.0, "class_names": ["a"] * 10, "between": {"cvae": cvae, "vae": 0.62}}
    text = conditional_sections._class_words(values)
    assert text.startswith(words)
    assert text.endswith("in 100 % (all 1,000).")


def test_order_and_smoothness_of_the_plane() -> None:
    values = {"step_difference": 0.02, "any_difference": 0.12, "extent": 2.5, "cells": 21}
    space = {"knn_accuracy": metric(0.73), "linear_accuracy": metric(0.64), "majority": 0.11, "fitted": 10, "images": 9,
             "between": 0.6}  # fmt: skip
    text = plane_sections._structure(values, space)
    assert "So images that are near in z look alike" in text
    assert "It is mostly ordered by class" in text
    assert "not parted by straight lines" in text
    rough = plane_sections._structure(values | {"step_difference": 0.1}, space | {"linear_accuracy": metric(0.72)})
    assert "need not look alike" in rough
    assert "straight lines" not in rough


def test_failures_at_the_borders_only_where_insides_are_clear() -> None:
    def where(inside: float, between: float) -> str:
        groups = {name: {"n": 100, "confident": metric(value)} for name, value in
                  (("all", 0.6), ("inside", inside), ("between", between), ("thin", 0.5))}  # fmt: skip
        return failure_sections._where({"samples": 300, "groups": groups})

    assert "the failures are at the borders." in where(0.99, 0.55)
    assert "Of these 1 % lie inside a class, 47 % lie between classes and 52 % lie in thinly" in where(0.99, 0.55)
    assert "there are many inside of classes, too" in where(0.4, 0.1)
    assert "contrary to what one expects" in where(0.55, 0.55)


def test_two_bounds_may_give_the_same_labels() -> None:
    tightened = {"own": metric(2.0), "others": metric(6.0)}
    values = {"tightened": tightened, "samples": 10, "differ": 0, "paired": [0, 0]}
    assert "Both give every image the same label" in classifier_sections._bounds(values)
    assert "no difference beyond chance" in classifier_sections._bounds(values | {"differ": 107, "paired": [37, 55]})
    against = classifier_sections._bounds(values | {"differ": 107, "paired": [10, 80]})
    assert "the wrong ones gain more" in against


def test_errors_name_the_ends_of_the_classes() -> None:
    values = {"errors": [5, 7], "images": 100, "confused": [{"label": "4", "predicted": "9", "count": 3}],
              "sure_errors": 1, "by_class": {"0": metric(1.0, 0.0, 36), "9": metric(0.9)}}  # fmt: skip
    text = classifier_sections._errors(values)
    assert "By class the accuracy goes from class 9, 90.0 ± 1.0 %, to class 0, 100 % (all 36). In 1 error it" in text


def test_temperature_brings_probabilities_closer_or_not() -> None:
    def said(after: float, temperature: float = 2.2) -> str:
        values = {"expected_calibration_error_uncalibrated": metric(0.0115, 0.0012), "temperature": metric(temperature),
                  "expected_calibration_error": metric(after, 0.001)}  # fmt: skip
        return classifier_sections._calibration({"importance": values, "note": ""})

    assert "they come closer to probabilities: " in said(0.0068)
    assert "goes from 1.15 ± 0.12 % to 0.68 ± 0.10 %" in said(0.0068)
    assert "they do not come closer to probabilities beyond chance" in said(0.0105)
    for temperature, words in ((2.2, "too sure"), (0.6, "not sure enough"), (0.98, "about as sure")):
        assert words in said(0.01, temperature)


@pytest.mark.parametrize(("latents", "met"), [((2,), None), ((1, 2), None), ((2, 4), True)])
def test_the_best_size_is_judged_only_where_sizes_are_compared(latents: tuple[int, ...], met: bool | None) -> None:
    vae = {size: model(elbo=140 - 10 * size) for size in latents}
    assert summary._best_size(Made(vae, vae)).met is met
    alike = {2: model(elbo=100), 4: model(elbo=100.1)}
    verdict = summary._best_size(Made(alike, alike))
    assert verdict.met is False
    assert verdict.value == "2 and 4, alike within two standard errors"


def test_verdicts_name_whose_aim_it_is_and_do_not_judge_two_kinds_of_bound() -> None:
    vae = {2: model(elbo=146.4)}
    found = {"importance": {"accuracy": metric(0.988)}, "elbo": {"accuracy": metric(0.987)}}
    accuracy, _, bound, best, label = summary._verdicts(Made(vae, {2: model(elbo=130.8)}, classification=found))
    assert (accuracy.target, accuracy.met) == ("≥ 98.5 %, our aim", True)
    assert bound.met is None
    assert bound.target == "to compare: this bounds −log p(x|c), the VAE's 146.40 ± 0.30 −log p(x)"
    assert best.met is None
    assert label.met
