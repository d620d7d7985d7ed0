"""B5 of the report: the reconstruction term alone, the KL term alone, and both."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vaelab.report.blocks import Answer, Block, Formula, Plane, Table, Text
from vaelab.studies.loss_terms.claims import Claim, Measured, agree, claims, row
from vaelab.studies.loss_terms.names import KINDS, of_kind, title
from vaelab.studies.loss_terms.words import difference, error, quantity, written
from vaelab.studies.results import Results, percent
from vaelab.studies.words import counted

POINT = 0.01
"""A σ below this share of the spread of the means leaves of a posterior little more than a point."""


def terms(results: Results) -> Sequence[Block]:
    """The scatters, the numbers and what follows."""
    found = claims(results)
    return [
        Text(
            f"A VAE with {counted(results.config('vae-both').model.latent, 'latent dimension')} is trained with the "
            "same networks, images and number of epochs and with four losses: the reconstruction term only, the KL "
            "term only, both (the negative ELBO), and both with the sheet's weight. Then the test images are embedded: "
            "each point is the posterior mean of one image. This is done without the label, where z has to hold the "
            "classes, too, and again with the label, as in the sheet's CVAE."
        ),
        Formula(
            "loss = w_R · E_q[−log p(x|z)] + β · KL(q(z|x) ‖ N(0, I));    reconstruction only: β = 0;    KL only: "
            "w_R = 0"
        ),
        results.picture(
            "planes",
            "vae",
            "The same test images in the plane of each model. Above on axes of its own: what the clusters look like. "
            "Below on axes that all share: how far they reach. Dashed: the prior N(0, I) at 1 and 2 standard "
            "deviations.",
            "Scatter plots of the test images, coloured by class, one for each loss, on their own and on common axes.",
        ),
        _table(results, "vae", "without the label"),
        Answer("What does a β of 0 do: reconstruction term only?", reconstruction_only(results)),
        Answer("What does a reconstruction weight of 0 do: KL term only?", kl_only(results)),
        Answer("Both terms?", both_terms(results)),
        Answer("And the sheet's weight?", sheets_weight(results)),
        _claims(found),
        *_pictures(results),
        *_plane(results),
        *_conditional(results),
    ]


def _table(results: Results, kind: str, how: str) -> Table:
    columns = ["loss", "reconstruction", "KL", "−ELBO", "mean of means", "variance of means", "mean σ", "kNN on z"]
    columns.append("kNN on means")
    rows = [row(results, name, title(name)) for name in of_kind(kind)]
    knn = results.metric("planes", f"{kind}-both.knn")
    chance = results.values("planes")[f"{kind}-both.chance"]
    return Table(
        columns,
        rows,
        f"Test images, models {how}. Reconstruction, KL and −ELBO in nats per image, whatever was minimised; mean and "
        "variance of the posterior means for each latent dimension; σ of the posteriors, mean over images and "
        f"dimensions. kNN: accuracy of nearest neighbours on {knn.n:,} images, on one draw of z (what the decoder "
        f"sees) and on the posterior means; the most frequent class alone gives {100 * chance:.1f} %.",
    )


def _claims(found: Sequence[Claim]) -> Table:
    rows = [[claim.says, claim.measured, "yes" if claim.holds else "no"] for claim in found]
    return Table(
        ["what theory says", "measured in this run", "holds"],
        rows,
        f"The textbook against the numbers of the table above: {agree(found)}.",
        bold=[place for place, claim in enumerate(found) if not claim.holds],
    )


def reconstruction_only(results: Results) -> str:
    """What β = 0 does, from the numbers."""
    alone, both = (Measured.of(results, f"vae-{loss}") for loss in ("reconstruction", "both"))
    return (
        f"The loss no longer asks q(z|x) to look like the prior. {_spread(alone, both)} The KL, measured but not "
        f"minimised, is {quantity(alone.kl)} against {quantity(both.kl)}. {_gained(alone, both)} "
        f"{_prior_samples(results, 'vae-reconstruction')}"
    )


def _spread(alone: Measured, both: Measured) -> str:
    """Means and noise without the KL."""
    variances = f"variance {quantity(alone.variance)} against {quantity(both.variance)}"
    ratio = (alone.variance.value / max(both.variance.value, 1e-12)) ** 0.5
    text = (
        f"The posterior means spread {ratio:.1f} times as far as with both terms ({variances}; the prior's is 1)"
        if ratio > 1
        else f"Contrary to the textbook the means do not spread wider than with both terms here ({variances})"
    )
    sigmas = f"{quantity(alone.sigma)} against {quantity(both.sigma)}"
    if alone.sigma.value >= both.sigma.value:
        return f"{text}. The noise is not turned down, contrary to the textbook: σ {sigmas}."
    text += (
        f", and the noise is turned down: the mean σ is {sigmas}, {noise(alone):.2g} % of the spread of the means "
        f"against {noise(both):.2g} %. "
    )
    if noise(alone) < 100 * POINT:
        return f"{text}So the VAE is all but an autoencoder, which gives every image a point and not a region."
    return f"{text}Yet every image still has a region of z and not a point."


def noise(found: Measured) -> float:
    """σ in per cent of the spread of the means: the scale of z alone says nothing."""
    return 100 * found.sigma.value / math.sqrt(max(found.variance.value, 1e-12))


def _gained(alone: Measured, both: Measured) -> str:
    """What β = 0 buys in the reconstruction term and costs as a bound."""
    gain = difference(both.reconstruction, alone.reconstruction)
    loss = difference(alone.negative_elbo, both.negative_elbo)
    if not gain.clear:
        text = f"Nothing clear is gained: the reconstruction loss of the test images differs by {gain.size} nats"
    elif gain.value > 0:
        text = f"What is gained is {gain.size} nats of reconstruction"
    else:
        text = f"Nothing is gained: the reconstruction of the test images is {gain.size} nats worse"
    if not loss.clear:
        return f"{text}; as a bound on −log p(x) the model is about as good ({loss.size} nats apart)."
    return f"{text}; as a bound on −log p(x) the model is {loss.size} nats {'worse' if loss.value > 0 else 'better'}."


def _prior_samples(results: Results, model: str) -> str:
    """What is decoded where the prior draws z."""
    inside = [results.metric("planes", f"{name}.inside") for name in (model, "vae-both")]
    sure = [results.metric("samples", f"{name}.confident") for name in (model, "vae-both")]
    classes = [results.metric("samples", f"{name}.classes").value for name in (model, "vae-both")]
    text = (
        f"Where the prior has 95 % of its mass lie {percent(inside[0], 1)} of the codes, with both terms "
        f"{percent(inside[1], 1)}. Of {sure[0].n:,} images decoded from the prior a classifier of real images is sure "
        f"(at least 0.9) of {percent(sure[0], 1)}, with both terms of {percent(sure[1], 1)}. What it sees is an "
        f"effective number of {classes[0]:.1f} classes, with both terms of {classes[1]:.1f} (the exponential of the "
        "entropy of their shares: so many equally frequent classes would be as varied). "
    )
    clearer = difference(sure[1], sure[0])
    worse = clearer.clear and clearer.value > 0, classes[0] < classes[1] - 0.5
    if all(worse):
        return f"{text}So what it generates is less clear and less varied."
    if any(worse):
        return f"{text}So what it generates is less {'clear' if worse[0] else 'varied'}."
    return f"{text}Contrary to the textbook, what it generates is no worse by these two numbers."


def kl_only(results: Results) -> str:
    """What a reconstruction weight of 0 does, from the numbers."""
    found = Measured.of(results, "vae-kl")
    means = results.metric("planes", "vae-kl.knn_means")
    values = results.values("planes")
    text = "Nothing rewards the code for saying anything about the image. "
    numbers = f"KL {quantity(found.kl)}, variance of the means {quantity(found.variance)}, σ {found.sigma.value:.3f}"
    if found.collapsed:
        text += (
            f"The posterior becomes the prior for every image: {numbers}. On the common axes all images are one dot at "
            "the origin; on its own axes the plot shows what is left of the random start, magnified. "
        )
    else:
        text += f"The posterior has not quite become the prior in this run: {numbers}. "
    chance = f"{100 * found.chance:.1f} %"
    if found.at_chance:
        text += f"A classifier on z is right for {percent(found.knn, 1)}: chance (the most frequent class: {chance}). "
    else:
        text += f"A classifier on z is right for {percent(found.knn, 1)}, above the most frequent class's {chance}. "
    if means.value > found.chance + 3 * error(means):
        text += (
            f"On the noiseless posterior means it is {percent(means, 1)}: their tiny differences still depend on the "
            "image, but the noise of σ = 1 buries them. "
        )
    text += (
        f"The decoder got no gradient and is what it was at the start, random: a reconstruction loss of "
        f"{written(found.reconstruction)}"
    )
    if "constant" in values:
        constant = results.metric("planes", "constant")
        worse = found.reconstruction.value > constant.value
        text += (
            f", {'worse than' if worse else 'not even worse than'} showing the mean training image for everything "
            f"({written(constant, unit=False)})"
        )
    return text + "."


def both_terms(results: Results) -> str:
    """What both terms do together, from the numbers."""
    alone, nothing, both = (Measured.of(results, f"vae-{loss}") for loss in ("reconstruction", "kl", "both"))
    total = float(results.values("planes")["vae-both.total"])
    text = (
        "The reconstruction term pulls the images apart, the KL term pulls them to the origin and keeps σ up, and the "
        f"plane is what they agree on: KL {quantity(both.kl)}, σ {quantity(both.sigma)}, variance of the means "
        f"{quantity(both.variance)}. A draw of z (one for each image) has the variance {total:.2f} in each dimension, "
        "the prior's is 1"
    )
    if abs(total - 1) < 0.25:
        text += ": the codes nearly fill the prior. "
    elif total > 1:
        text += ": the codes reach somewhat farther than the prior. "
    else:
        text += ": the codes do not fill the prior. "
    order = nothing.knn.value < both.knn.value
    text += (
        f"Nearest neighbours on z find the class of {percent(both.knn, 1)} of the images (reconstruction only: "
        f"{percent(alone.knn, 1)}, KL only: {percent(nothing.knn, 1)})"
    )
    text += ", though no label was ever shown. " if order and both.knn.value > 2 * both.chance else ". "
    best = min((alone, nothing, both), key=lambda one: one.negative_elbo.value) is both
    if best:
        return (
            f"{text}Its −ELBO, {written(both.negative_elbo)}, is the smallest of the three: only here was it minimised."
        )
    return (
        f"{text}Its −ELBO, {written(both.negative_elbo)}, is not the smallest of the three, contrary to the textbook."
    )


def sheets_weight(results: Results) -> str:
    """The plane of the sheet's own weighting."""
    sheet, both, alone = (Measured.of(results, f"vae-{loss}") for loss in ("sheet", "both", "reconstruction"))
    beta = results.values("weights")["beta"]
    between = both.kl.value < sheet.kl.value < alone.kl.value
    place = "lies between" if between else "does not lie between"
    return (
        f"β = {beta:.4g} {place} the full weight and none: KL {quantity(both.kl)} (β = 1), {quantity(sheet.kl)}, "
        f"{quantity(alone.kl)} (β = 0); σ {quantity(both.sigma)}, {quantity(sheet.sigma)}, {quantity(alone.sigma)}; "
        f"variance of the means {quantity(both.variance)}, {quantity(sheet.variance)}, {quantity(alone.variance)}. "
        f"−ELBO: {quantity(both.negative_elbo)}, {quantity(sheet.negative_elbo)}, {quantity(alone.negative_elbo)}."
    )


def _pictures(results: Results) -> list[Block]:
    return [
        results.picture(
            "planes",
            "reconstructions",
            "The same test images reconstructed by the four models without the label.",
            "Rows: test images, then their reconstructions by each of the four models.",
        ),
        results.picture(
            "samples",
            "vae",
            "Ten draws of z from the prior N(0, I), decoded by each of the four models: the same draws in every row.",
            "Rows of generated images, one for each loss.",
        ),
    ]


def _plane(results: Results) -> list[Block]:
    """Both terms, to be explored; nothing where z has more than two dimensions."""
    if results.config("vae-both").model.latent != 2:
        return []
    arrays = results.arrays("planes", "plane")
    still = results.picture(
        "planes",
        "both",
        f"The plane of both terms once more; hover over (or tap) one of {len(arrays['z']):,} points for its image.",
        "Scatter plot of the posterior means of the test images, coloured by class.",
    )
    names = results.values("planes")["class_names"]
    return [Plane(arrays["z"], arrays["images"], arrays["labels"], names, still)]


def _conditional(results: Results) -> list[Block]:
    pictures: list[Block] = []
    if any(results.config(name).model.latent == 2 for name in of_kind(KINDS[1])):
        pictures = [
            results.picture(
                "planes",
                "cvae",
                "The planes of the conditional models, whose encoder and decoder are given the label of every image.",
                "Scatter plots of the conditional models, coloured by class, one for each loss.",
            )
        ]
    return [
        *pictures,
        _table(results, "cvae", "given the label"),
        Answer("And where the label is given?", given(results)),
    ]


def given(results: Results) -> str:
    """The losses in the conditional model."""
    without, with_label = (Measured.of(results, f"{kind}-both") for kind in KINDS)
    text = (
        f"Trained with both terms, nearest neighbours on z find the class of {percent(with_label.knn, 1)} of the "
        f"images; without the label it was {percent(without.knn, 1)}. "
    )
    if with_label.knn.value < without.knn.value - 3 * error(without.knn):
        text += (
            "The decoder knows the class, so z does not have to say it: the classes lie over one another, and the "
            "plane is left for what differs within a class. "
        )
        if not with_label.at_chance:
            text += f"Not wholly so: the most frequent class alone would give {100 * with_label.chance:.1f} %. "
    else:
        text += "Contrary to what one expects, z says as much about the class although the decoder is told it. "
    classes = int(results.values("weights")["classes"])
    return f"{text}{_worth(without, with_label, classes)} {_with_label(results, with_label)}"


def _worth(without: Measured, with_label: Measured, classes: int) -> str:
    """−ELBO with and without the label: first as they are, bounds of two quantities, then of the same one."""
    gap, most = difference(without.negative_elbo, with_label.negative_elbo), math.log(classes)
    bound = with_label.negative_elbo.value
    text = (
        f"−ELBO is {bound:.2f} nats with the label and {without.negative_elbo.value:.2f} without it, {gap.size} "
        f"{'less' if gap.value > 0 else 'more'}. These bound two quantities, −log p(x|y) and −log p(x). Naming one of "
        f"{classes} classes is worth at most log {classes} = {most:.2f} nats: with equally frequent classes p(x) ≥ "
        f"p(x|y) / {classes}, so the CVAE's bound on −log p(x) is {bound + most:.2f} nats. That is "
    )
    rest = gap.value - most
    if abs(rest) <= 2 * gap.error:
        return f"{text}within two standard errors of the VAE's."
    if rest > 0:
        return (
            f"{text}still {rest:.2f} ± {gap.error:.2f} less than the VAE's: so the label itself is not all, but given "
            "it, networks of the same size describe an image better."
        )
    return f"{text}{-rest:.2f} ± {gap.error:.2f} more than the VAE's: the difference shows no better model of images."


def _with_label(results: Results, both: Measured) -> str:
    """Each term alone in the conditional models."""
    alone, nothing = (Measured.of(results, f"cvae-{loss}") for loss in ("reconstruction", "kl"))
    usual = alone.kl.value > both.kl.value and alone.sigma.value < both.sigma.value and nothing.collapsed
    begin = (
        "With the label, too, each term alone does what theory says."
        if usual
        else "With the label the terms alone do not all do what theory says."
    )
    numbers = [
        f"{words}: KL {quantity(found.kl)} and σ {quantity(found.sigma)}"
        for words, found in (("Reconstruction only", alone), ("both terms", both), ("KL only", nothing))
    ]
    return f"{begin} {'; '.join(numbers)}."
