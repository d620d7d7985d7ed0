"""Specs: one printable form that reads back as itself, and errors that name the nearest."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaelab.errors import UsageError
from vaelab.specs import Registry, Spec, choice, nearest

WORD = st.from_regex(r"[a-z][a-z_-]{0,9}", fullmatch=True).filter(
    lambda word: word not in ("true", "false", "nan", "inf", "infinity")
)
SCALAR = st.integers(-(10**15), 10**15) | st.floats(allow_nan=False) | st.booleans() | WORD
VALUE = SCALAR | st.lists(SCALAR, max_size=4).map(tuple)


@given(name=WORD, options=st.dictionaries(WORD, VALUE, max_size=4))
def test_what_is_printed_reads_back(name: str, options: dict[str, Any]) -> None:
    spec = Spec(name, options)
    back = Spec.parse(str(spec))
    assert back == spec
    assert {key: repr(value) for key, value in back.options.items()} == {
        key: repr(value) for key, value in options.items()
    }, "types, too: 1, 1.0 and true are equal"
    assert str(back) == str(spec)


@given(st.text(max_size=30))
def test_any_text_is_a_spec_or_one_sentence(text: str) -> None:
    with contextlib.suppress(UsageError):
        spec = Spec.parse(text)
        assert Spec.parse(str(spec)).name == spec.name


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("mlp", Spec("mlp")),
        (" mlp: ", Spec("mlp")),
        ("mlp : width = 3 , deep=TRUE,", Spec("mlp", {"width": 3, "deep": True})),
        (
            "mlp:a=1e-3,b=32/64,c=8/,d=/,e=x/1.5",
            Spec("mlp", {"a": 1e-3, "b": (32, 64), "c": (8,), "d": (), "e": ("x", 1.5)}),
        ),
        ("mlp:a==b", Spec("mlp", {"a": "=b"})),
        ("mlp:a=b:c", Spec("mlp", {"a": "b:c"})),
    ],
)
def test_forms_that_are_read(text: str, spec: Spec) -> None:
    assert Spec.parse(text) == spec


@pytest.mark.parametrize("text", ["", "  ", ":a=1", "mlp:width", "mlp:=3", "mlp: =3", "mlp:a=1,a=2"])
def test_forms_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Spec.parse(text)
    assert repr(text) in str(caught.value)


def test_nearest_names_the_close_ones_or_all() -> None:
    assert nearest("fashion", ["fashion-mnist", "digits"]) == "did you mean fashion-mnist?"
    assert nearest("zzz", ["b", "a"]) == "known: a, b"


@pytest.fixture
def registry() -> Registry[Any]:
    made: Registry[Any] = Registry("prior")

    @made.register("mixture")
    def mixture(
        latent: int,
        *,
        components: int = 10,
        scale: float = 1.0,
        learn: bool = True,
        sizes: tuple[int, ...] = (1,),
        start: str = "normal",
        limit: int | None = None,
    ) -> Any:
        if components < 1:
            raise ValueError("expected one component or more")
        return latent, components, scale, learn, sizes, start, limit

    @made.register("needy")
    def needy(latent: int, *, size: int) -> int:
        return latent + size

    made.register("normal")(lambda latent: latent)
    return made


def test_a_registry_lists_and_builds(registry: Registry[Any]) -> None:
    assert registry.names() == ["mixture", "needy", "normal"]
    assert registry.options("mixture") == {
        "components": 10,
        "scale": 1.0,
        "learn": True,
        "sizes": (1,),
        "start": "normal",
        "limit": None,
    }
    spec = Spec.parse("mixture:components=3,scale=2,learn=false,sizes=5,start=data,limit=7")
    assert registry.build(spec, 2) == (2, 3, 2, False, (5,), "data", 7)
    assert registry.build(Spec("normal"), 2) == 2
    assert registry.build(Spec.parse("needy:size=3"), 2) == 5


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mixtur", "unknown prior 'mixtur'; did you mean mixture?"),
        ("zzz", "unknown prior 'zzz'; known: mixture, needy, normal"),
        ("mixture:component=3", "prior 'mixture' has no option 'component'; did you mean components?"),
        ("normal:scale=3", "prior 'normal' has no option 'scale'; it has no options"),
        ("mixture:components=many", "option 'components' of prior 'mixture': expected a value like 10, got many"),
        ("mixture:components=2.5", "option 'components' of prior 'mixture': expected a value like 10, got 2.5"),
        ("mixture:components=true", "option 'components' of prior 'mixture': expected a value like 10, got true"),
        ("mixture:learn=1", "option 'learn' of prior 'mixture': expected a value like true, got 1"),
        ("mixture:scale=false", "option 'scale' of prior 'mixture': expected a value like 1.0, got false"),
        ("mixture:start=1/2", "option 'start' of prior 'mixture': expected a value like normal, got 1/2"),
        ("mixture:sizes=a/b", "option 'sizes' of prior 'mixture': expected a value like 1/, got a/b"),
        ("mixture:sizes=1/2.5", "option 'sizes' of prior 'mixture': expected a value like 1/, got 1/2.5"),
        ("needy", "prior 'needy' needs the option 'size'; write needy:size=VALUE"),
        ("mixture:components=0", "prior 'mixture:components=0': expected one component or more"),
    ],
)
def test_a_wrong_name_option_or_type_is_one_sentence(registry: Registry[Any], text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        registry.build(Spec.parse(text), 2)
    assert str(caught.value) == sentence


def test_a_choice_among_words_names_the_nearest() -> None:
    choice("schedule", "constant", ["constant", "one-cycle"])
    with pytest.raises(UsageError, match=r"^unknown schedule 'constnt'; did you mean constant\?$"):
        choice("schedule", "constnt", ["constant", "one-cycle"])


def test_a_part_knows_its_name() -> None:
    class Part:
        pass

    registry: Registry[Part] = Registry("part")
    assert registry.name_of(Part()) == "Part"
    registry.register("one")(Part)
    assert registry.name_of(Part()) == "one"
