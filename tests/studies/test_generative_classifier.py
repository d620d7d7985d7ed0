"""Sheet A's study: its steps, and the small measurements it is built from."""

from __future__ import annotations

import pytest
import torch

from tests.applications.latent_models import model_of, noise
from vaelab.applications.latent import Encoded, encode
from vaelab.errors import UsageError
from vaelab.objectives import draw
from vaelab.studies import get
from vaelab.studies.asking import Asked, settings_of
from vaelab.studies.generative_classifier.classes import between, mixing, neighbour_shares, without_class_means
from vaelab.studies.generative_classifier.conditional import choose
from vaelab.studies.generative_classifier.one_class import without_condition
from vaelab.studies.generative_classifier.steps import sizes_of
from vaelab.studies.generative_classifier.words import clear, in_words, place
from vaelab.studies.judging import grey_share
from vaelab.studies.study import Train
from vaelab.studies.words import listed, signed

STUDY = get("generative-classifier")


def settings(*words: str, quick: bool = True):
    return settings_of(STUDY, Asked(quick=quick, assignments=words))


def test_every_row_of_the_sheet_has_a_section() -> None:
    rows = [row for part in STUDY.parts for row in part.rows]
    assert rows == [f"A{number}" for number in range(1, 12)]


@pytest.mark.parametrize("quick", [True, False])
def test_every_size_is_trained_with_and_without_condition_and_the_plane_always(quick: bool) -> None:
    chosen = settings("latents=4/1", quick=quick)
    assert sizes_of(chosen) == [1, 2, 4]
    trained = {step.name: step.config for step in STUDY.steps(chosen) if isinstance(step, Train)}
    assert set(trained) == {"classifier"} | {f"{kind}-{size}" for kind in ("vae", "cvae") for size in (1, 2, 4)}
    vae, cvae = trained["vae-4"], trained["cvae-4"]
    assert (vae.model.conditional, cvae.model.conditional) == (False, True)
    assert vae.with_changes(model={"conditional": True}).model == cvae.model
    assert (vae.data, vae.training) == (cvae.data, cvae.training)
    assert trained["classifier"].model.conditional
    with pytest.raises(UsageError, match=r"at least 1 .*got 0"):
        sizes_of(settings("latents=0/4"))


def test_steps_name_only_steps_that_come_before_them() -> None:
    before: set[str] = set()
    for step in STUDY.steps(settings()):
        assert set(step.needs) <= before
        before.add(step.name)


def test_a_change_of_a_model_reaches_its_configuration() -> None:
    steps = STUDY.steps(settings("hidden=30", "vae-2.training.lr=0.5"))
    found = {step.name: step.config for step in steps if isinstance(step, Train)}
    assert found["vae-2"].training.lr == 0.5
    assert found["cvae-2"].training.lr != 0.5
    assert found["vae-2"].model.encoder == "mlp:hidden=30/"


@pytest.mark.parametrize("condition", ["concat", "add"])
@pytest.mark.parametrize("encoder", ["mlp:hidden=16/", "conv:channels=4/,strides=2/,hidden=8/", "linear"])
def test_a_conditional_model_without_its_condition_is_the_plain_one(encoder: str, condition: str) -> None:
    if encoder == "linear" and condition == "add":
        pytest.skip("a linear encoder takes the label beside the image only")
    parts = {"encoder": encoder, "condition": condition}
    full, silent = (model_of(conditional=True, **parts) for _ in range(2))
    plain = model_of(**parts)
    remaining, zeroed = without_condition(full.state_dict(), plain.state_dict())
    plain.load_state_dict(remaining)
    silent.load_state_dict(zeroed)
    x, c, z = torch.rand(6, 1, 8, 8), torch.arange(6) % 3, torch.randn(1, 6, 3)
    with torch.no_grad():
        one, other = draw(plain, x, noise=z), draw(silent, x, c, noise=z)
    assert torch.allclose(one.log_px, other.log_px, atol=1e-4)
    assert torch.allclose(one.kl, other.kl, atol=1e-5)


def test_neighbours_are_counted_by_class() -> None:
    names = ("a", "b")
    fitted = Encoded(torch.tensor([[0.0], [0.1], [5.0], [5.1]]), labels=torch.tensor([0, 0, 1, 1]), class_names=names)
    asked = Encoded(torch.tensor([[0.05], [4.0], [2.4]]), labels=torch.tensor([0, 1, 1]), class_names=names)
    assert neighbour_shares(fitted, asked, 2).tolist() == [[1, 0], [0, 1], [1, 0]]
    assert mixing(neighbour_shares(fitted, asked, 2), asked.labels, 2) == [[1, 0], [0.5, 0.5]]
    data = noise(30)
    found = neighbour_shares(*(encode(model_of(), data, "grey") for _ in range(2)))
    assert torch.allclose(found.sum(1), torch.ones(30, dtype=torch.float64))


def test_spread_between_classes_and_values_without_their_means() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    assert between(torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]), labels) == 0
    values = torch.tensor([1.0, 3.0, 10.0, torch.nan])
    assert without_class_means(values, labels)[:3].tolist() == [-1, 1, 0]
    assert without_class_means(values, labels)[3].isnan()


def test_grey_is_neither_ink_nor_paper() -> None:
    images = torch.tensor([0.0, 1.0, 0.5, 0.3]).expand(2, 1, 8, 4)
    assert grey_share(images).tolist() == [0.5, 0.5]


def test_three_different_classes_that_there_are() -> None:
    assert choose((4, 4, 8), 10) == [4, 8, 0]
    assert choose((0, 1, 2), 10) == [0, 1, 2]
    assert choose((7, 9), 2) == [0, 1]


def test_words() -> None:
    assert listed([]) == ""
    assert (in_words(3), in_words(2000)) == ("three", "2,000")
    assert place([-0.01, 1.26]) == "(0.0, 1.3)"
    assert signed(-1.5) == "−1.50"
    assert clear({"r2": 0.3, "r2_error": 0.05, "chance": 0.01})
    assert not clear({"r2": 0.03, "r2_error": 0.01, "chance": 0.01})
