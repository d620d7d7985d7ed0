"""Sheet D's study without a training: its numbers against other ways to get them, its sentences from made-up values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from vaelab.building import build_model
from vaelab.config import ModelConfig
from vaelab.data.images import ImageData
from vaelab.errors import DataError, UsageError
from vaelab.metrics import Metric
from vaelab.studies import get
from vaelab.studies.asking import Asked, settings_of
from vaelab.studies.gaussian_elbo import (
    bound,
    bound_sections,
    line_sections,
    lines,
    networks,
    sample_sections,
    samples,
    training_sections,
)
from vaelab.studies.gaussian_elbo.steps import config
from vaelab.studies.study import Train
from vaelab.studies.words import percent

STUDY = get("gaussian-elbo")


def settings(*assignments: str, quick: bool = True):
    return settings_of(STUDY, Asked(quick=quick, assignments=list(assignments)))


def metric(value: float, error: float = 0.01, n: int = 100) -> dict:
    return {"value": value, "standard_error": error, "unit": "nats per image", "n": n, "protocol": "made up"}


def images(n: int = 40, classes: int = 4) -> ImageData:
    pixels = torch.randint(256, (n, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ImageData("noise", pixels, torch.arange(n) % classes, tuple("abcdefgh"[:classes]))


@pytest.fixture(scope="module")
def model():
    text = {"encoder": "mlp:hidden=16/", "decoder": "mlp:hidden=16/", "likelihood": "normal:std=0.1"}
    return build_model(ModelConfig(latent=3, image_shape=(1, 8, 8), posterior="normal:head=log-std", **text)).eval()


# --- steps and settings -----------------------------------------------------------------------------------------------


def test_every_row_of_the_sheet_has_a_part():
    assert [row for part in STUDY.parts for row in part.rows] == ["D1", "D2", "D3", "D4", "D5", "D6"]


def test_the_default_is_the_sheets_model():
    chosen = config(settings(quick=False))
    assert (chosen.data.variant, chosen.model.prior, chosen.model.likelihood) == (
        "dequantised",
        "normal",
        "normal:std=0.1",
    )
    assert chosen.model.posterior == "normal:head=log-std"
    assert chosen.data.validation > 0
    network = networks.layers(build_model(chosen.model))
    encoder = [row for row in network if row["part"] == "encoder"]
    assert sum(row["stride"] == 2 for row in encoder) == 2
    assert sum("convolution" in row["layer"] for row in encoder) >= 3
    assert sum("linear" in row["layer"] for row in encoder) >= 2
    assert [row["layer"].split(" ")[0] for row in network if row["part"] == "posterior"] == ["linear", "linear"]
    assert network[-1]["output"] == [1, 28, 28]


def test_steps_follow_the_options():
    names = {
        step.name: step for step in STUDY.steps(settings("latent=3", "epochs=2", "sizes=3/2", "vae.training.lr=1e-3"))
    }
    assert isinstance(names["vae"], Train)
    assert (names["vae"].config.model.latent, names["vae"].config.training.epochs) == (3, 2)
    assert names["vae"].config.training.lr == 1e-3
    assert [name for name, step in names.items() if isinstance(step, Train)] == ["vae", "vae-latent-2"]
    assert names["sizes"].options["runs"] == [(2, "vae-latent-2"), (3, "vae")]
    assert names["judge"].needs == ()  # it can be trained beside the VAE


@pytest.mark.parametrize(
    "change",
    ["likelihood=bernoulli", "likelihood=normal:learned=true", "prior=mixture", "conditional=true"],
)
def test_another_kind_of_density_is_refused_before_training(change):
    with pytest.raises(UsageError, match="as the sheet has it"):
        STUDY.steps(settings(f"vae.model.{change}"))


def test_another_constant_sigma_is_fine():
    assert STUDY.steps(settings("vae.model.likelihood=normal:std=0.2"))


# --- the bound --------------------------------------------------------------------------------------------------------


def test_formulas_agree_with_scipy_and_torch():
    x, mean = np.random.default_rng(0).random((2, 5))
    np.testing.assert_allclose(bound.normal_log_density(x, mean, 0.1), stats.norm(mean, 0.1).logpdf(x))
    mu, log_std = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = kl_divergence(Independent(Normal(mu, log_std.exp()), 1), Independent(Normal(torch.zeros(4, 3), 1.0), 1))
    np.testing.assert_allclose(bound.normal_kl(mu.numpy(), log_std.numpy()), expected)


def test_constants_of_a_normal_density():
    found = bound.constants(0.1, 784)
    assert found["per_pixel"] == pytest.approx(stats.norm(0, 0.1).logpdf(0))
    assert found["largest"] == pytest.approx(1084.8, abs=0.05)
    assert found["least_bits"] == pytest.approx(-math.log2(stats.norm(0, 25.6).pdf(0)))


def test_the_library_agrees_with_the_formulas(model):
    found = bound.by_hand(model, images(), 0.1, seed=0)
    assert found["reconstruction_difference"] < 0.01
    assert found["kl_difference"] < 1e-4
    assert found["integral"] == pytest.approx(1)
    assert abs(found["kl_drawn"] - found["kl_closed"]) < 4 * found["kl_drawn_error"]


def test_dequantisation_is_measured():
    found = bound.pixels(images(), seed=0)
    assert 0 <= found["least"] <= found["largest"] <= 1
    assert found["noise_mean"] == pytest.approx(0.5, abs=0.03)
    assert found["noise_variance"] == pytest.approx(1 / 12, abs=0.01)
    assert found["read_back"] > 0.99
    assert found["other_seed"] > 0.99


def test_mass_inside_the_unit_interval(model):
    found = bound.inside(model, images(), 0.1, seed=0)
    assert 0.5 < found["mass"] <= 1
    assert found["nats"] >= -64 * math.log(found["mass"]) - 1e-9  # Jensen


def test_normalised_or_not_is_said_as_measured():
    values = bound.constants(0.1, 784)
    hand = {"integral": 1.0, "reconstruction_difference": 1e-4, "kl_difference": 1e-5, "images": 5, "kl_closed": 8.0,
            "kl_drawn": 8.1, "kl_drawn_error": 0.1, "kl_draws": 2000}  # fmt: skip
    good = bound_sections._normalised(values, hand)
    assert good.startswith("It is normalised")
    assert "+1.3836 nats" in good
    assert good.endswith("they agree.")
    bad = bound_sections._normalised(values, hand | {"integral": 1.1, "kl_difference": 2.0, "kl_drawn": 9.0})
    assert bad.startswith("It is not normalised")
    assert "should not be" in bad
    assert bad.endswith("they do not agree.")


def test_bits_per_dimension_by_its_formula():
    values = bound.constants(0.1, 784) | {"elbo": metric(780.0)}
    text = training_sections._conversion(values, {"bits_per_dimension": metric(6.5647)})
    assert "(−780.00/784 + 5.5452) / log 2 = 6.5647 ± 0.0100 bits" in text
    assert "(21.70/64" in training_sections._conversion(
        bound.constants(0.1, 64) | {"elbo": metric(-21.7)}, {"bits_per_dimension": metric(8.4886)}
    )


def test_best_epoch_is_the_first_of_the_highest():
    rows = [{"epoch": i, "elbo": value} for i, value in enumerate((1.0, 3.0, 3.0, 2.0), start=1)]
    assert training_sections.best_epoch(rows)["epoch"] == 2


# --- samples and ways -------------------------------------------------------------------------------------------------


def test_gaussian_kl_agrees_with_torch():
    source = torch.Generator().manual_seed(0)
    mean, root = torch.randn(3, generator=source).double(), torch.randn(3, 3, generator=source).double()
    covariance = root @ root.T + torch.eye(3)
    expected = kl_divergence(MultivariateNormal(mean, covariance), MultivariateNormal(mean * 0, torch.eye(3).double()))
    assert samples.gaussian_kl(mean, covariance) == pytest.approx(float(expected))


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_pairs_are_of_different_classes(classes):
    data = images(classes=classes)
    pairs = lines.pairs_of_classes(data, 20, seed=1)
    first, second = data.labels[pairs].T
    assert pairs.shape == (20, 2)
    assert bool((first != second).all())
    assert torch.equal(pairs, lines.pairs_of_classes(data, 20, seed=1))
    assert not torch.equal(pairs, lines.pairs_of_classes(data, 20, seed=2))
    with pytest.raises(DataError, match="at least 2 classes"):
        lines.pairs_of_classes(data.take(torch.nonzero(data.labels == 0)[:, 0]), 3, seed=0)


def test_what_is_seen_along_ways_is_counted():
    sure, unsure = [0.95, 0.05, 0.0], [0.5, 0.2, 0.3]
    way = [sure, unsure, [0.0, 0.02, 0.98], [0.03, 0.97, 0.0]]
    probabilities = torch.tensor([way, [sure, sure, sure, unsure]], dtype=torch.float64)
    found = lines.along(lines.Ways(torch.ones(2, 4, 4), probabilities, torch.tensor([[0, 1], [0, 1]])))
    assert found["clear"] == [1.0, 0.5, 1.0, 0.5]
    assert found["first"] == [1.0, 1.0, 0.5, 0.5]
    assert found["third"] == [0.0, 0.0, 0.5, 0.0]
    assert found["norm"] == [2.0] * 4
    assert found["clear_third"]["value"] == 0.5
    assert found["changes"]["value"] == 1.0
    assert found["clear_in_the_middle"]["value"] == 0.75
    assert found["nearer"]["value"] == 0.0


def test_ways_in_words():
    once = {"names": ["3", "8"], "seen": ["3", "3", "8"], "confidence": [0.99, 0.6, 0.97]}
    over = {"names": ["3", "8"], "seen": ["3", "5", "8"], "confidence": [0.99, 0.6, 0.97]}
    same = {"names": ["3", "<b>"], "seen": ["3", "3", "3"], "confidence": [0.99, 0.6, 0.97]}
    third = {"names": ["3", "8"], "seen": ["5", "5", "5"], "confidence": [0.99, 0.6, 0.97]}
    texts = line_sections._shown({"shown": [once, over, same, third]}).split("\n")
    assert "changes once, between the points 2 and 3" in texts[0]
    assert "3, then 5, then 8, on the way through 5; it is least sure at point 2 (60 % for 5)" in texts[1]
    assert texts[2].startswith("- 3 → <b>: the judge sees 3 all along;")
    assert texts[3].startswith("- 3 → 8: the judge sees 5 all along, which is neither of the two;")


def places(prior: float, fitted: float, posterior: float) -> dict:
    shares = {"prior": prior, "fitted": fitted, "posterior": posterior}
    rows = [{"name": name, "spread": 1.0, "share": metric(value)} for name, value in shares.items()]
    aggregate = {"images": 1000, "latent": 2, "means": [-0.1, 0.2], "variances": [0.9, 1.1], "largest_correlation": 0.1,
                 "gaussian_kl": 0.5, "gaussian_kl_chance": 0.01, "marginal_kl": metric(2.0), "information": metric(6.9),
                 "most_information": 6.908, "energy": 0.1, "energy_critical": 0.01}  # fmt: skip
    return {"places": rows, "aggregate": aggregate}


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ((0.5, 0.5, 0.9), "its gaps"),
        ((0.5, 0.6, 0.9), "the shape of q(z), its gaps, the rest"),
        ((0.5, 0.85, 0.9), "most of the difference is one of mean and covariance"),
        ((0.9, 0.9, 0.9), "here the prior is not what makes samples unclear"),
    ],
)
def test_reasons_for_unclear_samples_follow_the_numbers(shares, words):
    text = sample_sections._why(places(*shares))
    assert words in text
    assert "cannot show more information" in text
    assert ("covariance of q(z) gives 90.0 ± 1.0 %." in text) == (shares[0] == shares[2])


def size(latent: int, elbo: float, clear: float, epochs: int = 10) -> dict:
    return {"latent": latent, "epochs": epochs, "elbo": metric(elbo), "samples": metric(clear),
            "posterior": metric(0.9)}  # fmt: skip


def test_bound_against_samples_in_words():
    conflict = sample_sections._conflict([size(4, 600, 0.85), size(16, 780, 0.55, epochs=20)])
    assert conflict.startswith("No.")
    assert "With 4 latent dimensions the 80 % are reached." in conflict
    assert "not trained equally long" in conflict
    agreed = sample_sections._conflict([size(4, 600, 0.5), size(16, 780, 0.7)])
    assert agreed.startswith("Here they do")
    assert "None of these sizes reaches 80 %." in agreed
    assert "equally long" not in agreed


def test_captions_round_down():
    assert samples.caption(torch.tensor([0.004, 0.996]), ("a", "b")) == "b: 99 %"


def test_shares_of_all_and_of_none_have_no_error():
    assert percent(Metric(1.0, 0.0, "share of pairs", 300, "")) == "100 % (all 300)"
    assert percent(Metric(0.0, 0.0, "share of pairs", 300, "")) == "0 % (none of 300)"
    assert percent(Metric(0.553, 0.016, "share of pairs", 1000, "")) == "55.3 ± 1.6 %"


@pytest.mark.parametrize(
    ("sigma", "elbo", "question", "words"),
    [
        (0.1, 851.9, "Why is the ELBO above 0?", "may exceed 1: that of a normal distribution with σ = 0.1 is 3.99"),
        (0.1, -20.0, "Can the ELBO be above 0?", "Yes, though it is not here."),
        (
            0.5,
            -200.0,
            "Can the ELBO be above 0?",
            "Not with this σ. A density, unlike a probability, may exceed 1, but",
        ),
    ],
)
def test_why_the_elbo_is_above_zero_is_asked_where_it_is(sigma, elbo, question, words):
    answer = bound_sections._positive(bound.constants(sigma, 784) | {"elbo": metric(elbo)})
    assert answer.question == question
    assert words in answer.text
    assert answer.text.endswith(f"This model reaches {elbo:.1f} nats.")


def epoch(number: int, log_likelihood: float, kl: float) -> dict:
    return {"epoch": number, "log_likelihood": log_likelihood, "kl": kl, "elbo": log_likelihood - kl}


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (
            epoch(5, 900, 64),
            "goes from 100.0 nats after the first epoch to 900.0 nats after the last, and the KL rises from",
        ),
        (epoch(5, 900, 64), "are paid for with a larger KL."),
        (epoch(5, 101, 64), "paid for with a larger KL, by more than they gain, so that the bound gets worse."),
        (epoch(5, 900, 40), "and the KL falls from 50.0 to 40.0 nats: the better bound is one of reconstructions"),
        (epoch(5, 900, 50.01), "and the KL stays at 50.0 nats"),
        (epoch(5, 80, 64), "the reconstructions get worse, and the bound with them."),
        (epoch(5, 80, 20), "the bound is better by the smaller KL alone."),
        (epoch(1, 100, 50), "There was one epoch, so nothing moves between epochs"),
    ],
)
def test_the_movement_of_the_two_terms_in_words(last, words):
    assert words in training_sections._movement(epoch(1, 100, 50), last)


def test_classes_with_a_high_bound_only_where_they_differ():
    def rows(low: float) -> dict:
        found = (("1", 900.0, 48.0), ("8", low, 68.0))
        return {"brightness": 0.0, "classes": [{"name": name, "elbo": metric(elbo, 2.0), "kl": metric(kl)}
                                               for name, elbo, kl in found]}  # fmt: skip

    text = training_sections._class_words(rows(775))
    assert text.startswith("On average those of class 1 (900.0 ± 2.0 nats); ")
    assert "those of class 8 (775.0 ± 2.0 nats) have the lowest. Class 1 also has the smallest KL." in text
    assert training_sections._class_words(rows(897)).startswith("Of no class beyond chance")


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (
            (700, 300),
            "class a is drawn too often (+20.0 percentage points) and class b is drawn too rarely (-20.0 ",
        ),
        ((510, 490), "the same as those of the training images within the error of sampling"),
    ],
)
def test_classes_are_drawn_too_often_only_beyond_chance(counts, words):
    rows = [{"name": name, "count": count, "clear": count} for name, count in zip("ab", counts, strict=True)]
    text = sample_sections._class_words({"samples": 1000, "classes": rows}, {"train_shares": [0.5, 0.5]})
    assert words in text
    assert text.startswith("Yes: every class")
    assert "less than about 4.7 percentage points" in text
    rows[1]["clear"] = 0
    missing = sample_sections._class_words({"samples": 1000, "classes": rows}, {"train_shares": [0.5, 0.5]})
    assert missing.startswith("No: there is no clear sample of b.")


@pytest.mark.parametrize(("value", "words"), [(0.55, "most of them do:"), (0.45, "most of them do not:"),
                                              (0.51, "about half of them do:")])  # fmt: skip
def test_how_many_samples_look_like_a_class(value, words):
    values = {"share": metric(value), "confidence": metric(0.8), "samples": 1000, "threshold": 0.9}
    assert words in sample_sections._judged(values)


@pytest.mark.parametrize(
    ("overlay", "middle", "words"),
    [
        (0.44, 0.64, "The decoded points are clear more often, by 20.0 ± 1.4 percentage points (errors taken as"),
        (0.64, 0.44, "The overlays are clear more often, by 20.0 ± 1.4 percentage points"),
        (0.64, 0.65, "The judge finds no difference between the two here"),
    ],
)
def test_overlays_against_decoded_points(overlay, middle, words):
    text = line_sections._overlay({"overlay_share": metric(overlay), "along": {"clear_in_the_middle": metric(middle)}})
    assert words in text
    assert "strokes" not in text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "none of the 600 ends lies as near"),
        (1.0, "all of the 600 ends lie as near"),
        (0.1, "only 10.0 ± 1.0 % of the 600 ends lie as near"),
        (0.4, "40.0 ± 1.0 % of the 600 ends lie as near"),
    ],
)
def test_how_many_ends_lie_as_near_as_the_middle(value, words):
    assert line_sections._nearer(Metric.from_json(metric(value, 0.01, 300))) == words


def test_the_middle_is_unclear_only_beyond_chance():
    def along(middle: float) -> str:
        shares = {name: metric(0.1) for name in ("third_in_the_middle", "clear_third", "changes", "nearer")}
        found = {"clear_at_ends": metric(0.97), "clear_in_the_middle": metric(middle), "norm": [5.0, 3.0, 5.0],
                 "pairs": 100}  # fmt: skip
        return line_sections._along({"along": shares | found})

    assert "no class clearly" in along(0.6)
    assert "no class clearly" not in along(0.96)
    assert "passes nearer to the origin than its ends (only 10.0 ± 1.0 % of the 200 ends lie as near)." in along(0.6)
