"""The report's section about the number of latent dimensions: A4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vaelab.metrics import Metric
from vaelab.report.blocks import Answer, Block, Table, Text
from vaelab.studies.generative_classifier.words import (
    ALIKE,
    falls,
    level,
    nats,
    near,
    number,
    of_sizes,
    several,
    share,
    sizes_of,
    trained,
)
from vaelab.studies.results import Results
from vaelab.studies.words import apart, counted, error_of, listed, percent, plus_minus

KINDS = {"vae": "VAE", "cvae": "CVAE"}

ONE = "Only one size was trained; set `latents` to compare some."

COLUMNS = (
    "model",
    "−ELBO",
    "reconstruction",
    "KL",
    "active",
    "recognised",
    "samples ≥ 0.9",
    "grey pixels",
    "Fréchet distance",
)


def sizes(results: Results) -> Sequence[Block]:
    """A4."""
    found = results.values("sizes")
    epochs = results.config("vae-2").training.epochs
    return [
        Text(
            f"The same networks, trained for {counted(epochs, 'epoch')} with another number of latent dimensions and "
            "nothing else changed. Reconstruction, KL and −ELBO are nats per test image. Active is a dimension whose "
            "posterior mean varies over the images (variance above 0.01); the others are left at the prior. Four "
            "numbers say how good images are:\n\n- recognised: reconstructions in which the judge sees the class of "
            f"the image;\n- samples ≥ 0.9: of {counted(found['samples'], 'sample')} from the prior, those to which the "
            "judge gives one class with a probability of at least 0.9, called clear. "
            "An image can be clear to the judge and still be blurred;\n- grey pixels: between 0.25 and 0.75. Blurred "
            "images have many, real ones few;\n- Fréchet distance: between the judge's features of samples and of as "
            "many test images. It also grows where classes are missing or samples are too much alike. The line of the "
            "real images gives that of as many training images.\n\nA difference is called one where it exceeds two "
            "standard errors, those of the two numbers taken as independent. Fréchet distances have no standard error "
            f"here: within {100 * ALIKE:.0f} % of one another they are called alike."
        ),
        results.picture(
            "sizes",
            "curves",
            "Everything against the number of latent dimensions; bars are one standard error. Dotted: what real test "
            "images reach.",
            "Nine panels of curves against the number of latent dimensions, for VAE and CVAE.",
        ),
        _table(results),
        Answer("How does the number of latent dimensions change the reconstructions?", _on_reconstructions(results)),
        Answer("How does it change the samples?", _on_samples(results)),
        Answer("How many dimensions are enough?", _enough(results)),
    ]


def _table(results: Results) -> Table:
    rows = []
    for kind, words in KINDS.items():
        for size in sizes_of(results):
            values = trained(results, f"{kind}-{size}")
            rows.append([
                f"{words}, {size}", *(nats(values, name) for name in ("negative_elbo", "reconstruction", "kl")),
                f"{number(values, 'active_units'):.0f} of {size}", share(values, "recognised"),
                share(values, "confident"), share(values, "grey"), f"{number(values, 'frechet'):.1f}",
            ])  # fmt: skip
    judge, found = results.values("judge"), results.values("sizes")
    rows.append(["real images", "", "", "", "", share(judge, "judge_accuracy"), share(judge, "judge_confident"),
                 f"{100 * judge['grey']:.1f} %", f"{found['real_distance']:.1f}"])  # fmt: skip
    caption = (
        "The same in numbers (nats per image; ± one standard error). −ELBO is a bound on −log p(x) for the VAE and on "
        "−log p(x|c) for the CVAE."
    )
    return Table(COLUMNS, rows, caption)


def _on_reconstructions(results: Results) -> str:
    sizes, parts = sizes_of(results), []
    if len(sizes) == 1:
        return ONE
    for kind, words in KINDS.items():
        (first, last), (kl, last_kl) = (_ends(results, kind, name) for name in ("reconstruction", "kl"))
        errors, change = _turn(first, last, "gets better", "gets worse"), last_kl.value - kl.value
        parts.append(
            f"From {sizes[0]} to {sizes[-1]} dimensions the {words}'s reconstruction {errors}, from {_nats(first)} to "
            f"{_nats(last)} nats, while its KL {'rises' if change >= 0 else 'falls'} by "
            f"{plus_minus(abs(change), error_of(kl, last_kl))} nats."
        )
    best = [f"{several(level(of_sizes(results, kind, 'reconstruction')))} for the {words}"
            for kind, words in KINDS.items()]  # fmt: skip
    return " ".join([*parts, f"Best or as good, within two standard errors: {listed(best)}.", _gap(results)])


def _ends(results: Results, kind: str, name: str) -> tuple[Metric, Metric]:
    """A metric with the fewest and with the most latent dimensions."""
    found = of_sizes(results, kind, name)
    return found[min(found)], found[max(found)]


def _turn(first: Metric, last: Metric, lower: str, higher: str) -> str:
    if not apart(first, last):
        return "does not change beyond its error"
    return lower if last.value < first.value else higher


def _nats(found: Metric) -> str:
    return plus_minus(found.value, found.standard_error)


def _gap(results: Results) -> str:
    """What the label does for the reconstruction, at the size that is always there."""
    vae, cvae = (of_sizes(results, kind, "reconstruction")[2] for kind in KINDS)
    difference = plus_minus(abs(vae.value - cvae.value), error_of(vae, cvae))
    if not apart(vae, cvae):
        return f"With 2 dimensions the CVAE reconstructs no better than the VAE ({difference} nats apart)."
    if cvae.value > vae.value:
        return f"Contrary to what one expects, with 2 dimensions the CVAE reconstructs {difference} nats worse."
    return (
        f"With 2 dimensions the CVAE reconstructs {difference} nats better than the VAE: its decoder is given the "
        "class, which the VAE's has to learn from z."
    )


def _on_samples(results: Results) -> str:
    if len(sizes_of(results)) == 1:
        return ONE
    parts = [f"{words}: {_clear(results, kind)} {_grey(results, kind)} {_nearest(results, kind)}"
             for kind, words in KINDS.items()]  # fmt: skip
    return "\n\n".join([*parts, _trade(results)])


def _clear(results: Results, kind: str) -> str:
    """Which sizes give most and fewest clear samples."""
    found = of_sizes(results, kind, "confident")
    most = level(found, largest=True)
    fewest = [size for size in level(found) if size not in most]
    if not fewest:
        return f"no size gives more clear samples than another beyond chance ({_listed(found, sorted(found))})."
    return (
        f"most samples are clear with {several(most)} dimensions ({_listed(found, most)}), fewest with "
        f"{several(fewest)} ({_listed(found, fewest)})."
    )


def _listed(found: Mapping[int, Metric], which: Sequence[int]) -> str:
    return listed([percent(found[size]) for size in which])


def _grey(results: Results, kind: str) -> str:
    first, last = _ends(results, kind, "grey")
    if not apart(first, last):
        return f"The share of grey pixels does not change beyond its error ({percent(first)} and {percent(last)})."
    return (
        f"The share of grey pixels {'falls' if falls(first, last) else 'rises'} from {percent(first)} with the fewest "
        f"dimensions to {percent(last)} with the most."
    )


def _nearest(results: Results, kind: str) -> str:
    """Which sizes give the samples nearest to real images by the Fréchet distance."""
    found = {size: one.value for size, one in of_sizes(results, kind, "frechet").items()}
    nearest = near(found)
    farthest = [size for size in near(found, largest=True) if size not in nearest]

    def values(which: Sequence[int]) -> str:
        return listed([f"{found[size]:.1f}" for size in which])

    if not farthest:
        return f"By the Fréchet distance all sizes are about equally near to real images ({values(sorted(found))})."
    alike = "" if len(nearest) == 1 else ", and about equally near,"
    return (
        f"By the Fréchet distance samples with {several(nearest)} dimensions come nearest{alike} to real images "
        f"({values(nearest)}), those with {several(farthest)} least near ({values(farthest)})."
    )


def _trade(results: Results) -> str:
    """Whether sharper comes with less clear, as is often seen, and whether that is so for both kinds."""
    said: dict[str, list[str]] = {}
    nearer = []
    for kind, words in KINDS.items():
        grey, clear, distance = (_ends(results, kind, name) for name in ("grey", "confident", "frechet"))
        if not falls(*grey):
            text = "do not make the samples sharper"
        elif falls(*clear):
            text = "make the samples sharper (fewer grey pixels), but fewer of them clear"
            nearer += [words] if distance[1].value * (1 + ALIKE) < distance[0].value else []
        elif apart(*clear):
            text = "make the samples sharper (fewer grey pixels), and more of them clear"
        else:
            text = "make the samples sharper (fewer grey pixels), and no fewer of them clear"
        said.setdefault(text, []).append(words)
    parts = [f"more dimensions {text} ({listed(words)})" for text, words in said.items()]
    whole = f"So {'; '.join(parts)}."
    if any("fewer of them clear" in text and "no fewer" not in text for text in said):
        whole += (
            " A likely reason: the decoder draws finer strokes, and the prior reaches more combinations of them that "
            "no training image has."
        )
    if nearer:
        whole += f" By the Fréchet distance the samples of the {listed(nearer)} still come nearer to real images."
    return whole


def _enough(results: Results) -> str:
    sizes = sizes_of(results)
    parts = [_least(results, kind) for kind in KINDS]
    if len(sizes) == 1:
        return " ".join(parts)
    losses = [_loss_of_largest(results, kind) for kind in KINDS]
    unused = any(_ends(results, kind, "active_units")[1].value < sizes[-1] for kind in KINDS)
    harm = (
        "Too many dimensions do no harm to the bound"
        if max(losses) <= 0
        else f"Too many dimensions cost up to {max(losses):.1f} nats of the bound"
    )
    why = (
        ": a dimension that would cost more KL than it saves in reconstruction is left at the prior, and the decoder "
        "learns to ignore it"
    )
    return f"{' '.join(parts)} {harm}{why if unused and max(losses) <= 0 else ''}. {_cost(results, max(losses) <= 0)}"


def _least(results: Results, kind: str) -> str:
    """The size with the lowest −ELBO, those as low, and how many of the most dimensions are in use."""
    found, words = of_sizes(results, kind, "negative_elbo"), KINDS[kind]
    best, largest = min(found, key=lambda size: found[size].value), max(found)
    others = [size for size in level(found) if size != best]
    active = of_sizes(results, kind, "active_units")[largest].value
    used = (
        f"Of {largest} dimensions it uses {active:.0f}" if active < largest else f"It uses all of {largest} dimensions"
    )
    lowest = "lowest " if len(found) > 1 else ""
    alike = f", and no higher beyond two standard errors with {several(others)}" if others else ""
    return f"The {words}'s −ELBO is {lowest}with {best} dimensions ({_nats(found[best])} nats){alike}. {used}."


def _cost(results: Results, harmless: bool) -> str:
    """What the most dimensions cost the samples: by how much the clear ones and those with their label become fewer.

    ``harmless``: whether they cost the bound nothing, which the sentence before has said.
    """
    clear = {kind: _ends(results, kind, "confident") for kind in KINDS}
    fell = [f"by {_points(*ends)} for the {KINDS[kind]}" for kind, ends in clear.items() if falls(*ends)]
    parts = [f"the share of clear samples falls {listed(fell)}"] if fell else []
    heeded = _ends(results, "cvae", "label_accuracy")
    if falls(*heeded):
        parts.append(
            f"that of the CVAE's samples that show their label {'' if fell else 'falls '}by {_points(*heeded)}"
        )
    if not parts:
        return "Nor do they make fewer samples clear." if harmless else "They do not make fewer samples clear."
    first, last = sizes_of(results)[0], sizes_of(results)[-1]
    samples = "The samples pay for them, though" if harmless else "The samples pay for them, too"
    return f"{samples}: from {first} to {last} dimensions {', and '.join(parts)}."


def _points(first: Metric, last: Metric) -> str:
    """A fall in percentage points."""
    return f"{plus_minus(100 * (first.value - last.value), 100 * error_of(first, last), 1)} percentage points"


def _loss_of_largest(results: Results, kind: str) -> float:
    """By how much the largest model's −ELBO is above the best one's, where it is beyond two standard errors."""
    found = of_sizes(results, kind, "negative_elbo")
    largest, best = found[max(found)], min(found.values(), key=lambda one: one.value)
    return largest.value - best.value if apart(largest, best) else 0.0
