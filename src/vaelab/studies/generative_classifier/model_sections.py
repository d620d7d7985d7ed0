"""The report's sections about the models: one class (A1), reconstructions and samples (A2, A3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Formula, Listing, Table, Text
from vaelab.studies.generative_classifier.words import falls, label_worth, nats, of_sizes, share, sizes_of, trained
from vaelab.studies.results import Results
from vaelab.studies.words import apart, counted, error_of, listed, metric, percent, plus_minus

VAE, CVAE = "vae-2", "cvae-2"


def one_class(results: Results) -> Sequence[Block]:
    """A1."""
    values = results.values("one-class")
    vae, cvae = results.values(VAE), results.values(CVAE)
    counts = values["parameters"]
    pixels, label = values["pixels"], f"the one-hot label ({values['classes']} values)"
    rows = [
        ["conditional", "false", "true"],
        ["the encoder is given", f"{pixels} pixel values", f"{pixels} pixel values and {label}"],
        ["the decoder is given", "z (2 values)", f"z (2 values) and {label}"],
        *([f"parameters of the {part}", f"{counts['vae'][part]:,}", f"{counts['cvae'][part]:,}"]
          for part in ("encoder", "posterior", "decoder")),
        ["loss on the test images (nats)", nats(vae, "negative_elbo"), nats(cvae, "negative_elbo")],
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
            "model = vaelab.build_model(config.model)       # model.conditional = false: a VAE, true: a CVAE\nqz = "
            "model.encode(x)           # VAE: q(z|x)       model.encode(x, c)    # CVAE: q(z|x, c)\npx = "
            "model.decode(z)           # VAE: p(x|z)       model.decode(z, c)    # CVAE: p(x|z, c)",
            "The same calls with and without a condition.",
        ),
        Formula("loss(x, c) = −ELBO(x, c) = −E_q[log p(x|z, c)] + KL(q(z|x, c) ‖ p(z))"),
        Table(("", "VAE", "CVAE"), rows, "The two configurations with 2 latent dimensions, and their loss."),
        Answer("Can the two losses be compared?", _compared(results)),
        Answer("Is it one class, and is its loss the negative ELBO?", _loss_words(values)),
        Answer("Is the VAE the CVAE without its condition?", _condition_words(values, cvae)),
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


def _compared(results: Results) -> str:
    """What the label is worth, and how much more the two bounds differ."""
    classes = results.values("one-class")["classes"]
    vae, cvae = (metric(results.values(name), "negative_elbo") for name in (VAE, CVAE))
    worth, error = math.log(classes), error_of(vae, cvae)
    gap = vae.value - cvae.value
    text = (
        "Only with the label's share put in: the VAE's loss bounds −log p(x) from above, the CVAE's −log p(x|c). Since "
        f"p(x) = Σ_c p(c) p(x|c), for {classes} classes of equal shares −log p(x) ≤ −log p(x|c) + log {classes}: "
        f"naming the class is worth at most {label_worth(classes)}. With that added, the CVAE's bound on −log p(x) is "
        f"{plus_minus(cvae.value + worth, cvae.standard_error)} nats; the VAE's is {plus_minus(vae.value, None)}. "
    )
    if gap - worth > 2 * error:
        return text + (
            f"So the difference of {plus_minus(gap, error)} nats is not the label's information alone: with the class "
            "given from outside, all of z is free for the rest of the image."
        )
    if gap > 2 * error:
        return text + f"So the difference of {plus_minus(gap, error)} nats is not beyond what the label is worth."
    return text + (
        f"Contrary to what one expects, the CVAE's own bound is not lower than the VAE's (by {plus_minus(gap, error)} "
        "nats)."
    )


def _condition_words(values: Mapping[str, Any], cvae: Mapping[str, Any]) -> str:
    """``cvae``: its evaluation, for the error of a mean over as many images."""
    difference, loss = values["largest_difference"], metric(cvae, "negative_elbo")
    rise = values["zeroed"] - values["with_condition"]
    beyond = rise > 2 * (loss.standard_error or 0) * (2 * loss.n / values["images"]) ** 0.5
    equal = (
        "have the same loss for every image"
        if difference == 0
        else f"have the same loss but for rounding (no image's differs by more than {difference:.1g} nats)"
        if difference < 1e-3
        else f"should have the same loss for every image, but differ by up to {difference:.1g} nats, which needs a look"
    )
    return (
        "Two models were compared: the CVAE with all weights that the label meets set to 0, and a VAE without "
        f"condition, built from the remaining weights. They {equal}: {values['zeroed']:.2f} and {values['plain']:.2f} "
        "nats on average. "
        + ("So a CVAE whose condition is silent is the plain VAE. " if difference < 1e-3 else "")
        + (
            f"The CVAE uses its condition: with these weights at 0 the loss of these images rises by {rise:.1f} nats, "
            f"from {values['with_condition']:.2f}."
            if beyond
            else f"Contrary to what one expects, the loss does not clearly rise without the condition ({rise:+.1f} "
            "nats)."
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
    ends = list(dict.fromkeys((sizes[0], sizes[-1])))
    parts = []
    for kind, words in (("vae", "VAE"), ("cvae", "CVAE")):
        found = of_sizes(results, kind, "recognised")
        some = [f"in {percent(found[size])} with {size} dimensions" for size in ends]
        parts.append(f"for the {words} {listed(some)}")
    return (
        "A classifier trained on the real training images, called the judge in this report, is asked which class it "
        f"sees in the reconstructions of {counted(metric(trained(results, VAE), 'recognised').n, 'test image')}. It "
        f"sees the image's own class {parts[0]}, {parts[1]}; of the real test images it names the class of "
        f"{share(judge, 'judge_accuracy')} correctly. The CVAE's decoder is given the label, so that its "
        "reconstructions show the right class says little about z."
    )


def _label_words(results: Results) -> str:
    """Both ends, what lies between, and why it changes."""
    sizes, found = sizes_of(results), of_sizes(results, "cvae", "label_accuracy")
    first, last = found[sizes[0]], found[sizes[-1]]
    drawn = counted(results.values("sizes")["samples"], "sample")
    judge = share(results.values("judge"), "judge_accuracy")
    text = f"With {sizes[0]} dimensions {_often(first.value)}, {percent(first)}"
    if len(sizes) > 1:
        text += f"; with {sizes[-1]} {_often(last.value)}, {percent(last)}"
    inner = [f"{100 * found[size].value:.1f} % with {size}" for size in sizes[1:-1]]
    return (
        f"{text}. So often the judge sees the label asked for in {drawn}{' of each size' if len(sizes) > 1 else ''}. "
        + (f"Between the two it is {listed(inner)}. " if inner else "")
        + f"The judge itself is right for {judge} of the real test images.{_heeds(results)}"
    )


def _often(value: float) -> str:
    """How often the label is heeded, in a word."""
    return "nearly always" if value >= 0.98 else "mostly" if value >= 0.8 else "not reliably"


def _heeds(results: Results) -> str:
    """Whether z holds the class, too, where the label is heeded less."""
    sizes = sizes_of(results)
    heeded, told = (of_sizes(results, "cvae", name) for name in ("label_accuracy", "knn"))
    if not falls(heeded[sizes[0]], heeded[sizes[-1]]):
        return ""
    first, last = told[sizes[0]], told[sizes[-1]]
    text = " With more dimensions the label is heeded less"
    if last.value < first.value or not apart(first, last):
        return f"{text}."
    return (
        f"{text}: z holds more of the image, the class among it (nearest neighbours tell it from the CVAE's z for "
        f"{percent(first)} of {counted(first.n, 'image')} with {sizes[0]} dimensions and for {percent(last)} with "
        f"{sizes[-1]}). In training z and the label always come from the same image; for a sample they are drawn "
        "apart, and where they disagree, the decoder has learned nothing of which to follow."
    )
