"""Sheet C: its sentences follow the numbers, whatever these are."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from vaelab.metrics import Metric
from vaelab.studies.conv_cvae import (
    report_labels,
    report_model,
    report_plane,
    report_seeds,
    report_space,
    report_training,
    summary,
    words,
)


def head(stopped: int | None, loss: float) -> dict[str, Any]:
    return {
        "stopped": [stopped],
        "not_positive": 0.5,
        "losses": [] if stopped else [loss],
        "largest": 2.0,
        "median": 1.0,
    }


def test_heads_are_told_apart_by_what_they_did() -> None:
    found = {"heads": {"log-variance": head(None, 100.0), "σ": head(1, 0.0), "σ by softplus": head(None, 100.5),
                       "σ by absolute value": head(None, 150.0)}, "steps": 10, "seeds": 1, "last": 10}  # fmt: skip
    text = report_model._heads_text(found)
    assert "σ: 1 of 1 training ended in a loss or gradient that is no number, at step 1" in text
    assert "100.50 nats, within 1 % of the log-variance's" in text
    assert "150.00 nats, 50.00 nats above the log-variance's" in text


def rows(*terms: tuple[int, float, float, float]) -> list[dict[str, Any]]:
    return [{"latent": size, "reconstruction": loss, "kl": kl, "active": active} for size, loss, kl, active in terms]


def test_more_dimensions_are_described_as_measured() -> None:
    results: Any = SimpleNamespace(has=lambda step: False)
    usual = report_training._latents_text(results, rows((2, 150.0, 6.0, 2), (16, 80.0, 25.0, 14)))
    assert "falls from 150.00 to 80.00" in usual
    assert "−ELBO falls by 51.00 nats" in usual
    assert "Only 14 of 16" in usual
    other = report_training._latents_text(results, rows((2, 150.0, 6.0, 2), (16, 160.0, 4.0, 16)))
    assert "not what the textbook expects" in other
    assert "Only one size" in report_training._latents_text(results, rows((2, 150.0, 6.0, 2)))


def seeds(plain: float, turned: float, *losses: float, more: float | None = None) -> dict[str, Any]:
    """Of two or three trainings; ``more``: R² after rotation between the last two."""
    losses = losses or (150.0, 150.5)
    names = ["vae", "vae-seed-1", "vae-seed-2"][: len(losses)]
    pair = {"r2_plain": plain, "linear_cka": {"value": 0.5}, "shuffled": 0.00007, "axes": 0.4, "angle": 90.0}
    pairs = [{**pair, "first": names[0], "second": names[1], "procrustes": {"value": turned}, "mirrored": False}]
    if more is not None:
        pairs.append({**pair, "first": names[1], "second": names[2], "procrustes": {"value": more}, "mirrored": True})
    return {"pairs": pairs, "seeds": list(range(len(losses))), "names": names, "images": 100, "latent": 2,
            "losses": list(losses), "losses_error": [0.5] * len(losses), "mean": sum(losses) / len(losses),
            "spread": 1.0}  # fmt: skip


def test_seeds_are_described_as_measured() -> None:
    usual = report_seeds._answer(seeds(-0.5, 0.3))
    assert usual.startswith("No: taken as they are")
    assert "less than half is shared between seeds 0 and 1" in usual
    assert "a turn by 90° (seeds 0 and 1)" in usual
    assert "at most 7.0·10⁻⁵" in usual
    assert "the same but for that" in report_seeds._answer(seeds(-0.5, 0.99))
    assert report_seeds._answer(seeds(0.95, 0.99)).startswith("Yes, which one would not expect")


def test_each_pair_of_seeds_is_told_apart() -> None:
    text = report_seeds._answer(seeds(-0.5, 0.93, 150.0, 150.2, 150.1, more=0.4))
    assert "much is shared between seeds 0 and 1; less than half is shared between seeds 1 and 2" in text
    assert "a mirror image (seeds 1 and 2)" in text


def test_trainings_are_called_equally_good_only_within_their_errors() -> None:
    near = report_seeds._quality(seeds(-0.5, 0.3, 150.0, 151.0))
    assert "1.00 ± 0.71 nats apart" in near
    assert "different latent spaces explain the images about equally well" in near
    same = report_seeds._quality(seeds(-0.5, 0.99, 150.0, 151.0))
    assert "differ in the axes alone" in same
    apart = report_seeds._quality(seeds(-0.5, 0.3, 150.0, 153.0))  # 2 %, and more than two standard errors
    assert "the start decides how good" in apart
    assert "equally well" not in apart


def metric(value: float) -> Metric:
    return Metric(value, 0.005, "share of images", 100, "")


@pytest.mark.parametrize(("second", "word"), [(0.2, "So z forgets it"), (0.9, "contrary to the textbook")])
def test_the_two_scatters_are_compared_as_measured(second: float, word: str) -> None:
    found = {(run, name): metric(value) for run, value in (("vae", 0.8), ("cvae", second))
             for name in ("linear_accuracy", "knn_accuracy")} | {("cvae", "majority"): metric(0.1)}  # fmt: skip
    values: Any = {run: {"between_all": 0.5, "style": {"slant": {"r2": 0.1, "error": 0.01}}} for run in ("vae", "cvae")}
    assert word in report_space._compared_text(found, values)


def test_numbers_as_written() -> None:
    assert words.plus_minus(Metric(-1.234, 0.05, "", 3, "")) == "−1.23 ± 0.05"
    assert words.share(Metric(0.5, None, "", 1, "")) == "50.0 %"
    assert words.number(math.nan) == "–"
    assert not words.beyond(Metric(1.0, 0.1, "", 1, ""), Metric(0.9, 0.1, "", 1, ""))
    assert words.small(2e-6, 0) == "2·10⁻⁶"
    assert words.small(None) == "–"
    assert words.apart(Metric(1.0, 0.3, "", 1, ""), Metric(3.0, 0.4, "", 1, "")) == "2.00 ± 0.50"


def test_a_step_is_named_once() -> None:
    both = {"log-variance": head(None, 100.0), "σ": {**head(1, 0.0), "stopped": [1, 1]}}
    table = report_model._heads_table({"heads": both, "last": 10})
    assert [row[2] for row in table.rows] == ["came to the end", "no number at step 1"]


@pytest.mark.parametrize(
    ("area", "of_prior", "says"),
    [
        ([8, 1, 1], [0.8, 0.1, 0.1], "that of a (80.0 %), 8.0 times as large as the smallest, that of c (10.0 %)"),
        ([5, 0, 5], [0.5, 0.0, 0.5], "the decoder has no place for that class"),
        ([9, 0, 0], [1.0, 0.0, 0.0], "no place for these classes"),
    ],
)
def test_regions_are_described_by_their_sizes(area: list[int], of_prior: list[float], says: str) -> None:
    found = {"class_names": ["a", "b", "c"], "area": area, "of_prior": of_prior, "extent": 2.0}
    text = report_plane._regions(found)
    assert says in text
    assert ("Every class is somewhere" in text) == all(area)


def test_a_plane_is_said_to_be_of_what_z_tells_most_of() -> None:
    text = report_plane._style({"slant": {"r2": 0.8}, "ink": {"r2": 0.1}, "width": None})
    assert text.endswith("above all one of slant.")
    assert "above all" not in report_plane._style({"ink": {"r2": 0.1}})
    assert "was not measured" in report_plane._style({"ink": None})


class Numbers(SimpleNamespace):
    """Steps with values, as a section asks for them."""

    def values(self, step: str) -> Any:
        return vars(self)[step]

    def metric(self, step: str, name: str) -> Metric:
        found = self.values(step)[name]
        assert isinstance(found, Metric)
        return found


def nats(value: float, error: float = 0.1) -> Metric:
    return Metric(value, error, "nats per image", 100, "")


@pytest.mark.parametrize(
    ("gain", "says"),
    [
        (20.0, "costs it 20.00 ± 0.10 nats less than the VAE"),
        (-3.0, "costs it 3.00 ± 0.10 nats more than the VAE, contrary to"),
        (0.1, "as much as the VAE (a difference of 0.10 ± 0.10 nats)"),
    ],
)
def test_the_gain_by_the_label_is_signed(gain: float, says: str) -> None:
    results: Any = Numbers(losses={"difference_negative_elbo": nats(gain)})
    assert says in report_labels._given(results)


@pytest.mark.parametrize(("gain", "says"), [(2.0, "2.00 ± 0.10 nats lower"), (-2.0, "higher"), (0.1, "Nothing clear")])
def test_what_the_label_changes_in_the_losses(gain: float, says: str) -> None:
    terms = {f"difference_{term}": nats(gain) for term in report_training.TERMS}
    results: Any = Numbers(losses=terms)
    assert says in report_training._label(results)


@pytest.mark.parametrize(("without", "says"), [(130.0, "20.00 ± 0.14 nats better than the VAE"), (150.0, "no better")])
def test_both_are_compared_as_models_of_images_without_labels(without: float, says: str) -> None:
    step = {"with_label": nats(129.0), "without_label": nats(without), "price": nats(1.0), "entropy": 2.3}
    results: Any = Numbers(unlabelled=step, vae={"negative_elbo": nats(150.0)})
    assert says in report_labels._without(results)


@pytest.mark.parametrize(
    ("end", "says"),
    [(150.0, "the encoder does better"), (130.0, "a search does better"), (140.1, "no clear difference")],
)
def test_a_search_is_compared_with_the_encoder(end: float, says: str) -> None:
    shares = {name: metric(0.5) for name in ("stuck", "better")}
    found = {"encoder": nats(140.0), "start": nats(400.0), "search": nats(end), "steps": 10, **shares}
    results: Any = Numbers(search=found)
    text = report_labels._searched(results)
    assert says in text
    assert "50 ± 0 % of the searches end below" in text


def test_the_head_says_how_far_spaces_agree() -> None:
    assert summary._same([0.4, 0.5]) == "not the same, even after a rotation"
