"""Whether the numbers of runs can be compared, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vaelab.data.pixels import VARIANTS
from vaelab.data.sources import SOURCES
from vaelab.likelihoods import LIKELIHOODS
from vaelab.specs import Spec
from vaelab.tasks.compare.protocols import estimator

if TYPE_CHECKING:
    from vaelab.tasks.compare.groups import Group

_MEASURES = {"mass": "a probability mass", "density": "a density", "unnormalised": "no likelihood of such pixels"}
_SEMI_SUPERVISED = ("m2", "m1+m2")


@dataclass(frozen=True)
class Findings:
    """Sentences: why the runs cannot be compared, which metrics alone cannot (with their names), what else to know."""

    warnings: Sequence[str]
    unlike: Sequence[tuple[str, Sequence[str]]]
    notes: Sequence[str]


def check(groups: Sequence[Group], split: str) -> Findings:
    """What speaks against comparing the numbers of ``split``."""
    notes: list[str] = []
    warnings = [
        *_data(groups, split, notes),
        *_pixels(groups),
        *_likelihoods(groups, notes),
        *_conditions(groups),
        *_autoencoders(groups),
    ]
    notes += [*_repetitions(groups), *_gaps(groups), *_curves(groups)]
    return Findings(warnings, list(_protocols(groups)), notes)


def _sorted_out(groups: Sequence[Group], value: Callable[[Group], str]) -> dict[str, list[str]]:
    """Value → names of the groups that have it."""
    found: dict[str, list[str]] = {}
    for group in groups:
        found.setdefault(value(group), []).append(group.name)
    return found


def _listed(found: dict[str, list[str]]) -> str:
    """``grey (a, b); dynamic (c)``."""
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in found.items())


def _data(groups: Sequence[Group], split: str, notes: list[str]) -> Iterator[str]:
    prints = {group.members[0].environment.get("images") for group in groups}
    if len(prints) == 1 and None not in prints:
        return  # the very same images and labels, whatever they are called
    names = _sorted_out(groups, lambda group: Path(group.config.data.name).stem)
    if len(names) > 1:
        yield f"Different data: {_listed(names)}. Nats of different images say nothing about which model is better."
        return
    shapes = _sorted_out(groups, lambda group: "×".join(map(str, group.config.model.image_shape)))
    if len(shapes) > 1:
        yield f"Images of different size: {_listed(shapes)}. Nats per image grow with the number of pixels."
        return
    divisions = _sorted_out(groups, _division)
    if len(divisions) > 1:
        if _same_test_images(groups) and split == "test":
            notes.append(
                f"The training images were divided differently: {_listed(divisions)}. The test images are the same."
            )
        else:
            yield f"Different {split} images: the data was divided differently, {_listed(divisions)}."
    elif len(prints - {None}) > 1:
        found = ", ".join(group.name for group in groups)
        yield f"Different images or labels under the same name of data ({found}), by their SHA-256 in config.json."


def _division(group: Group) -> str:
    data = group.config.data
    own = data.name in SOURCES
    return ", ".join(
        [f"validation {data.validation:g}", *([] if own else [f"test {data.test:g}"]), f"seed {data.seed}"]
    )


def _same_test_images(groups: Sequence[Group]) -> bool:
    """The test part is divided off first; some data has one of its own."""
    data = [group.config.data for group in groups]
    return all(one.name in SOURCES for one in data) or len({(one.test, one.seed) for one in data}) == 1


def _pixels(groups: Sequence[Group]) -> Iterator[str]:
    variants = _sorted_out(groups, lambda group: VARIANTS[group.config.data.variant])
    if len(variants) > 1:
        yield f"Different pixels: {_listed(variants)}. log p of one kind is not on the scale of another."


def _likelihoods(groups: Sequence[Group], notes: list[str]) -> Iterator[str]:
    variants = {group.config.data.variant for group in groups}
    specs = _sorted_out(groups, lambda group: group.config.model.likelihood)
    if len(specs) == 1:
        return
    kinds = {_quantity(group) for group in groups}
    if len(kinds) > 1:
        found = _sorted_out(groups, lambda group: f"{group.config.model.likelihood}, {_MEASURES[_quantity(group)[0]]}")
        yield f"Different likelihoods: {_listed(found)}. Their nats are of different quantities."
    elif len(variants) == 1 and kinds.pop()[0] != "unnormalised":
        notes.append(
            f"The likelihoods differ: {_listed(specs)}. All are of the same kind and of the same pixels, so −ELBO and "
            "−log p(x) can be compared; how they are divided into reconstruction and KL is each likelihood's own."
        )
    else:
        notes.append(
            f"The likelihoods differ: {_listed(specs)}. None is normalised on these pixels, so a lower number can come "
            "from the likelihood alone."
        )


def _quantity(group: Group) -> tuple[str, str]:
    """What log p(x|z) is; where it is no likelihood, the name says it."""
    spec = Spec.parse(group.config.model.likelihood)
    measure = LIKELIHOODS.build(spec).measures.get(group.config.data.variant, "unnormalised")
    return measure, spec.name if measure == "unnormalised" else ""


def _conditions(groups: Sequence[Group]) -> Iterator[str]:
    bounds = [group for group in groups if group.config.model.kind != "autoencoder"]
    found = _sorted_out(bounds, lambda group: "−log p(x|c), given the label" if _given(group) else "−log p(x)")
    if len(found) > 1:
        yield f"Different quantities: {_listed(found)}. Only some are given what the label tells about the image."


def _given(group: Group) -> bool:
    model = group.config.model
    return model.conditional or model.kind in _SEMI_SUPERVISED


def _autoencoders(groups: Sequence[Group]) -> Iterator[str]:
    kinds = _sorted_out(groups, lambda group: "yes" if group.config.model.kind == "autoencoder" else "no")
    if len(kinds) > 1:
        yield (
            f"An autoencoder ({', '.join(kinds['yes'])}) has no bound and no KL: its reconstruction is at a code "
            f"without noise, which costs nothing. That of a VAE ({', '.join(kinds['no'])}) is another quantity."
        )


def _protocols(groups: Sequence[Group]) -> Iterator[tuple[str, Sequence[str]]]:
    """Numbers of one name that were not measured in one way; autoencoders' apart."""
    for kind in (True, False):
        members = [m for g in groups for m in g.members if (m.config.model.kind == "autoencoder") == kind]
        ways: dict[tuple[tuple[str, tuple[str, ...]], ...], list[str]] = {}
        for name in dict.fromkeys(name for member in members for name in member.metrics):
            found: dict[str, list[str]] = {}
            for member in members:
                if name in member.metrics:
                    found.setdefault(estimator(member.metrics[name].protocol), []).append(member.name)
            if len(found) > 1:
                ways.setdefault(tuple((way, tuple(who)) for way, who in found.items()), []).append(name)
        for way, names in ways.items():
            told = "; ".join(f"{words or 'not said'} ({', '.join(who)})" for words, who in way)
            yield f"Measured in different ways, {', '.join(names)}: {told}. Evaluate the runs in the same way.", names


def _repetitions(groups: Sequence[Group]) -> Iterator[str]:
    for group in groups:
        for first in group.counted:
            same = [member.name for member in group.members if member.seed == first.seed]
            if len(same) > 1:
                yield (
                    f"{' and '.join(same)} have the same configuration and the same seed {first.seed}: only {same[0]} "
                    "counts in mean and spread."
                )


def _gaps(groups: Sequence[Group]) -> Iterator[str]:
    """Means that are not of all seeds."""
    for group in groups:
        short: dict[int, list[str]] = {}
        for name, number in group.numbers.items():
            if len(number.values) < len(group.counted):
                short.setdefault(len(number.values), []).append(name)
        for count, names in short.items():
            yield f"{group.name}: only {count} of {len(group.counted)} runs have {', '.join(names)}."


def _curves(groups: Sequence[Group]) -> Iterator[str]:
    held = _sorted_out(groups, lambda group: "validation" if group.config.data.validation else "test")
    if len(held) > 1:
        yield f"The curves of held-out images are of different ones: {_listed(held)}."
    if found := [group.name for group in groups if group.config.model.kind in _SEMI_SUPERVISED]:
        yield (
            f"The curves of {', '.join(found)} are of the bound on −log p(x), without labels; the numbers are "
            "given the label."
        )
