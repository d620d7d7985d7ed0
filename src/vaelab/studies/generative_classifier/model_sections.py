"""The report's sections about the models: one class (A1), reconstructions and samples (A2, A3), latent sizes (A4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Formula, Listing, Table, Text
from vaelab.studies.generative_classifier.words import (
    counted,
    listed,
    metric,
    nats,
    number,
    share,
    sizes_of,
    trained,
)
from vaelab.studies.results import Results

VAE, CVAE = "vae-2", "cvae-2"


def one_class(results: Results) -> Sequence[Block]:
    """A1."""
    values = results.values("one-class")
    vae, cvae = results.values(VAE), results.values(CVAE)
    counts = values["parameters"]
    pixels, classes = values["pixels"], values["classes"]
    rows = [
        ["conditional", "false", "true"],
        ["the encoder is given", f"{pixels} pixel values", f"{pixels} pixel values and {classes} of the one-hot label"],
        ["the decoder is given", "z (2 values)", f"z (2 values) and {classes} of the one-hot label"],
        *([f"parameters of the {part}", f"{counts['vae'][part]:,}", f"{counts['cvae'][part]:,}"]
          for part in ("encoder", "posterior", "decoder")),
        ["loss in training, on the test images (nats)", nats(vae, "negative_elbo"), nats(cvae, "negative_elbo")],
        ["of which reconstruction", nats(vae, "reconstruction"), nats(cvae, "reconstruction")],
        ["of which KL", nats(vae, "kl"), nats(cvae, "kl")],
    ]  # fmt: skip
    return [
        Text(
            "`vaelab.VAE` is the one class for both. Its methods take a condition c, the label, that may be left out: "
            "with a number of classes above 0 the label goes, one-hot, beside the pixels into the encoder and beside z "
            "into the decoder; with 0 classes it is a plain VAE. The prior stays N(0, I) in both."
        ),
        Listing(
            "model = vaelab.build_model(config.model)       # model.conditional = false: a VAE, true: a CVAE\n"
            "qz = model.encode(x)           # VAE: q(z|x)       model.encode(x, c)    # CVAE: q(z|x, c)\n"
            "px = model.decode(z)           # VAE: p(x|z)       model.decode(z, c)    # CVAE: p(x|z, c)",
            "The same calls with and without a condition.",
        ),
        Formula("loss(x, c) = −ELBO(x, c) = −E_q[log p(x|z, c)] + KL(q(z|x, c) ‖ p(z))"),
        Table(("", "VAE", "CVAE"), rows, "The two configurations with 2 latent dimensions, and their loss."),
        Answer("Is it one class, and is its loss the negative ELBO?", _loss_words(values)),
        Answer("Is the VAE the CVAE without its condition?", _condition_words(values)),
    ]


def _loss_words(values: Mapping[str, Any]) -> str:
    same = "Yes: both models are objects of `vaelab.VAE`." if values["same_class"] else "The two are of other classes."
    parts, worst = [], 0.0
    for name, words in (("vae", "VAE"), ("cvae", "CVAE")):
        found = values["formulas"][name]
        worst = max(worst, abs(found["loss"] - found["by_hand"]) / max(1.0, abs(found["by_hand"])))
        parts.append(f"{found['loss']:.3f} nats ({found['by_hand']:.3f} by the formulas) for the {words}")
    agrees = (
        "They agree but for rounding, so the loss is the negative ELBO"
        if worst < 1e-4
        else f"They differ by up to {100 * worst:.2g} %, so the loss is not the plain negative ELBO: the objective is "
        f"{values['objective']}"
    )
    return (
        f"{same} For {counted(values['images'], 'test image')} the loss that training minimises was computed a second "
        "time by the formulas (binary cross entropy summed over pixels, KL = ½ Σ(μ² + σ² − 1 − ln σ²) summed over "
        f"latent dimensions, averaged over images), with the same draws of z: {listed(parts)}. {agrees}."
    )


def _condition_words(values: Mapping[str, Any]) -> str:
    difference = values["largest_difference"]
    equal = difference < 1e-3
    rise = values["zeroed"] - values["with_condition"]
    return (
        "Setting all weights of the CVAE that the label meets to 0, and building a VAE without condition from the "
        f"remaining ones, gives the same loss for every image: {values['zeroed']:.2f} and {values['plain']:.2f} nats "
        f"on average, at most {difference:.1g} apart. "
        + (
            "So a CVAE whose condition is silent is the plain VAE. "
            if equal
            else "They should be equal; they are not, which needs a look. "
        )
        + (
            f"The CVAE uses its condition: without it the loss of these images rises by {rise:.1f} nats, from "
            f"{values['with_condition']:.2f}."
            if rise > 0
            else f"Contrary to what one expects, the loss does not rise without the condition ({rise:+.1f} nats)."
        )
    )


def images(results: Results) -> Sequence[Block]:
    """A2 and A3."""
    sizes = sizes_of(results)
    largest = f"cvae-{max(sizes)}"
    found: list[Block] = [
        Text(
            "A reconstruction is the decoder's mean E[x|z] at the posterior mean of z: no draw is made. The first row "
            f"are test images, one of each class in turn; below are models with {listed([str(s) for s in sizes])} "
            "latent dimensions."
        ),
        results.picture("sizes", "reconstructions-vae", "Test images and the VAEs' reconstructions.",
                        "Rows of images: test images, then a row of reconstructions for each latent size."),
        results.picture("sizes", "reconstructions-cvae", "The same images and the CVAEs' reconstructions, given the "
                        "label.", "Rows of images: test images, then a row of reconstructions for each latent size."),
        Answer("How good are the reconstructions?", _reconstruction_words(results)),
        Text(
            "For a new image z is drawn from the prior N(0, I) and decoded; the CVAE's decoder is given a label, too. "
            "The samples are the first that came: none was picked."
        ),
        results.picture("sizes", "samples-vae", "New images of the VAEs: what comes is up to z.",
                        "A row of generated images for each latent size."),
        results.picture("sizes", "samples-cvae", "New images of the CVAEs, one for each label.",
                        "A row of generated images for each latent size, a column for each label."),
        results.picture("sizes", f"per-class-{CVAE}", "CVAE with 2 latent dimensions: a row for each label; z is the "
                        "same in a column.", "A grid of generated images, one row for each label."),
    ]  # fmt: skip
    if largest != CVAE:
        caption = f"CVAE with {max(sizes)} latent dimensions: a row for each label, the same z in a column."
        alt = "A grid of generated images, one row for each label."
        found.append(results.picture("sizes", f"per-class-{largest}", caption, alt))
    return [*found, Answer("Does the CVAE draw the label it is given?", _label_words(results))]


def _reconstruction_words(results: Results) -> str:
    sizes, judge = sizes_of(results), results.values("judge")
    parts = []
    for kind, words in (("vae", "VAE"), ("cvae", "CVAE")):
        ends = [trained(results, f"{kind}-{size}") for size in (sizes[0], sizes[-1])]
        some = [f"{share(end, 'recognised')} with {size} dimensions" for end, size in zip(ends, (sizes[0], sizes[-1]),
                strict=True)]  # fmt: skip
        parts.append(f"for {' and '.join(some[: min(2, len(sizes))])} by the {words}")
    return (
        "A classifier trained on the real training images, called the judge in this report, is asked which class it "
        f"sees in the reconstructions of {counted(metric(trained(results, VAE), 'recognised').n, 'test image')}. It is "
        f"the image's own class {parts[0]}, and {parts[1]}; of the real test images it tells the class of "
        f"{share(judge, 'judge_accuracy')}. The CVAE's reconstructions are told the label, so that they show the right "
        "class says little about z."
    )


def _label_words(results: Results) -> str:
    sizes = sizes_of(results)
    found = {size: metric(trained(results, f"cvae-{size}"), "label_accuracy") for size in sizes}
    least = min(found, key=lambda size: found[size].value)
    accuracy = metric(results.values("judge"), "judge_accuracy").value
    verdict = (
        "nearly always"
        if found[least].value >= 0.98
        else "most of the time"
        if found[least].value >= 0.8
        else "not reliably"
    )
    parts = [f"{100 * found[size].value:.1f} % ({size})" for size in sizes]
    return (f"Yes, {verdict}. " if found[least].value >= 0.8 else f"It does {verdict}. ") + (
        f"The share of {counted(results.values('sizes')['samples'], 'sample')} in which the judge sees the label asked "
        f"for is, by latent dimensions: {listed(parts)}. The judge itself is right for {100 * accuracy:.1f} % of the "
        f"real test images.{_heeds(results)}"
    )


def _heeds(results: Results) -> str:
    """Whether z holds the class, too, where the label is heeded less."""
    first, last = (trained(results, f"cvae-{size}") for size in (sizes_of(results)[0], sizes_of(results)[-1]))
    fell = number(first, "label_accuracy") - number(last, "label_accuracy")
    if fell <= 0.05:
        return ""
    return (
        f" With more dimensions the label is heeded less: z holds more of the image, the class among it (nearest "
        f"neighbours tell it from the CVAE's z for {share(first, 'knn')} of {counted(metric(first, 'knn').n, 'image')} "
        f"with {sizes_of(results)[0]} dimensions and for {share(last, 'knn')} with {sizes_of(results)[-1]}), and where "
        "z and the label disagree, which never happens in training, the decoder mixes the two."
        if number(last, "knn") > number(first, "knn") + 0.05
        else " With more dimensions the label is heeded less."
    )


def sizes(results: Results) -> Sequence[Block]:
    """A4."""
    columns = ("model", "−ELBO", "reconstruction", "KL", "active", "recognised", "samples ≥ 0.9", "grey pixels",
               "Fréchet distance")  # fmt: skip
    rows = []
    for kind, words in (("vae", "VAE"), ("cvae", "CVAE")):
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
    epochs = results.config(VAE).training.epochs
    return [
        Text(
            f"The same networks, trained for {counted(epochs, 'epoch')} with another number of latent dimensions and "
            "nothing else changed. Reconstruction, KL and −ELBO are nats per test image. Active is a dimension whose "
            "posterior mean varies over the images (variance above 0.01); the others are left at the prior. Four "
            "numbers say how good images are:\n\n"
            "- recognised: reconstructions in which the judge sees the class of the image;\n"
            f"- samples ≥ 0.9: of {counted(found['samples'], 'sample')} from the prior, those to which the judge gives "
            "one class with a probability of at least 0.9. An image can be recognised and still be blurred;\n"
            "- grey pixels: between 0.25 and 0.75. Blurred images have many, real ones few;\n"
            "- Fréchet distance: between the judge's features of samples and of as many test images. It also grows "
            "where classes are missing or samples are too much alike. The line of the real images gives that of as "
            "many training images."
        ),
        results.picture(
            "sizes",
            "curves",
            "Everything against the number of latent dimensions; bars are one standard error. Dotted: what real test "
            "images reach.",
            "Nine panels of curves against the number of latent dimensions, for VAE and CVAE.",
        ),
        Table(columns, rows, "The same in numbers (nats per image; ± one standard error)."),
        Answer("How does the number of latent dimensions change the reconstructions?", _on_reconstructions(results)),
        Answer("How does it change the samples?", _on_samples(results)),
        Answer("How many dimensions are enough?", _enough(results)),
    ]


def _on_reconstructions(results: Results) -> str:
    sizes, parts = sizes_of(results), []
    if len(sizes) == 1:
        return "Only one size was trained; set `latents` to compare some."
    first, last = sizes[0], sizes[-1]
    for kind, words in (("vae", "VAE"), ("cvae", "CVAE")):
        values = {size: trained(results, f"{kind}-{size}") for size in sizes}
        change = number(values[last], "reconstruction") - number(values[first], "reconstruction")
        kl = number(values[last], "kl") - number(values[first], "kl")
        error = sum((metric(values[size], "reconstruction").standard_error or 0) for size in (first, last))
        direction = (
            "gets better" if change < -error else "gets worse" if change > error else "hardly changes beyond its error"
        )
        parts.append(
            f"From {first} to {last} dimensions the {words}'s reconstruction {direction}: from "
            f"{nats(values[first], 'reconstruction')} to {nats(values[last], 'reconstruction')} nats, while "
            f"the KL {'rises' if kl >= 0 else 'falls'} by {abs(kl):.1f} nats."
        )
    lowest = {kind: _best(results, kind, "reconstruction") for kind in ("vae", "cvae")}
    parts.append(
        f"It is best with {lowest['vae']} dimensions for the VAE and with {lowest['cvae']} for the CVAE. At 2 "
        f"dimensions the CVAE reconstructs {_gap(results, 2)}: the label tells it what the VAE has to keep in z."
    )
    return " ".join(parts)


def _gap(results: Results, size: int) -> str:
    vae, cvae = (number(trained(results, f"{kind}-{size}"), "reconstruction") for kind in ("vae", "cvae"))
    return f"{abs(vae - cvae):.1f} nats {'better' if cvae < vae else 'worse'} than the VAE"


def _best(results: Results, kind: str, name: str, largest: bool = False) -> int:
    values = {size: number(trained(results, f"{kind}-{size}"), name) for size in sizes_of(results)}
    return (max if largest else min)(values, key=lambda size: values[size])


def _on_samples(results: Results) -> str:
    sizes, parts = sizes_of(results), []
    if len(sizes) == 1:
        return "Only one size was trained; set `latents` to compare some."
    for kind, words in (("vae", "VAE"), ("cvae", "CVAE")):
        values = {size: trained(results, f"{kind}-{size}") for size in sizes}
        sure = {size: metric(values[size], "confident") for size in sizes}
        near = {size: number(values[size], "frechet") for size in sizes}
        most, nearest = max(sure, key=lambda s: sure[s].value), min(near, key=lambda s: near[s])
        grey = {size: number(values[size], "grey") for size in sizes}
        parts.append(
            f"{words}: {100 * sure[sizes[0]].value:.1f} % of the samples are recognised with {sizes[0]} dimensions, "
            f"{100 * sure[sizes[-1]].value:.1f} % with {sizes[-1]}, most with {most} "
            f"({100 * sure[most].value:.1f} %). Grey pixels go from {100 * grey[sizes[0]]:.1f} % to "
            f"{100 * grey[sizes[-1]]:.1f} %. The samples are nearest to real images with {nearest} dimensions (Fréchet "
            f"distance {near[nearest]:.1f}; {near[sizes[0]]:.1f} with {sizes[0]}, {near[sizes[-1]]:.1f} with "
            f"{sizes[-1]})."
        )
    return " ".join([*parts, _trade(results)])


def _trade(results: Results) -> str:
    """Whether sharper comes with less recognisable, as is often seen."""
    sizes = sizes_of(results)
    first, last = (trained(results, f"vae-{size}") for size in (sizes[0], sizes[-1]))
    sharper = number(last, "grey") < number(first, "grey")
    surer = number(last, "confident") > number(first, "confident")
    nearer = number(last, "frechet") < number(first, "frechet")
    if sharper and not surer:
        return (
            "So more dimensions make the VAE's samples sharper, but fewer of them are clearly one class: the decoder "
            "draws finer strokes, and the prior reaches more combinations of them that no training image has."
            + (" On the whole they are still nearer to real images." if nearer else "")
        )
    if sharper:
        return "So more dimensions make the VAE's samples both sharper and easier to recognise."
    return "Here more dimensions do not make the VAE's samples sharper."


def _enough(results: Results) -> str:
    sizes, parts = sizes_of(results), []
    for kind, words in (("vae", "VAE"), ("cvae", "CVAE")):
        best = _best(results, kind, "negative_elbo")
        values = {size: metric(trained(results, f"{kind}-{size}"), "negative_elbo") for size in sizes}
        enough = next(
            size for size in sizes if values[size].value <= values[best].value + 2 * (values[size].standard_error or 0)
        )
        used = number(trained(results, f"{kind}-{sizes[-1]}"), "active_units")
        parts.append(
            f"The {words}'s −ELBO is lowest with {best} dimensions ({values[best].value:.2f} nats) and within two "
            f"standard errors of that from {enough} on. Of {sizes[-1]} dimensions it uses {used:.0f}."
        )
    if len(sizes) == 1:
        return " ".join(parts)
    losses = [_loss_of_largest(results, kind) for kind in ("vae", "cvae")]
    harm = (
        "Too many dimensions do no harm here"
        if max(losses) <= 0
        else f"Too many cost at most {max(losses):.1f} nats here"
    )
    unused = any(
        number(trained(results, f"{kind}-{sizes[-1]}"), "active_units") < sizes[-1] for kind in ("vae", "cvae")
    )
    why = (
        ": a dimension that would cost more KL than it saves in reconstruction is left at the prior, and the decoder "
        "learns to ignore it"
    )
    return f"{' '.join(parts)} {harm}{why if unused else ''}."


def _loss_of_largest(results: Results, kind: str) -> float:
    """By how much the largest model's −ELBO is above the best one's, beyond two standard errors."""
    largest = metric(trained(results, f"{kind}-{sizes_of(results)[-1]}"), "negative_elbo")
    best = number(trained(results, f"{kind}-{_best(results, kind, 'negative_elbo')}"), "negative_elbo")
    above = largest.value - best
    return above if above > 2 * (largest.standard_error or 0) else 0.0
