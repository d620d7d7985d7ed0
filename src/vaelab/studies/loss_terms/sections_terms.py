"""B5 of the report: the reconstruction term alone, the KL term alone, and both."""

from __future__ import annotations

from collections.abc import Sequence

from vaelab.report.blocks import Answer, Block, Formula, Plane, Table, Text
from vaelab.studies.loss_terms.claims import Claim, Measured, agree, claims, error, quantity, row
from vaelab.studies.loss_terms.names import KINDS, of_kind, title
from vaelab.studies.results import Results, percent, written

WHO = {"vae": "VAE", "cvae": "CVAE"}


def terms(results: Results) -> Sequence[Block]:
    """The scatters, the numbers and what follows."""
    found = claims(results)
    return [
        Text(
            "A VAE with a two-dimensional z is trained with the same networks, images and number of epochs and with "
            "four losses: the reconstruction term only, the KL term only, both (the negative ELBO), and both with the "
            "sheet's weight. Then the test images are embedded: each point is the posterior mean of one image. This is "
            "done without the label, where the plane has to hold the classes, too, and again with the label, as in the "
            "sheet's CVAE."
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
    ratio = (alone.variance.value / max(both.variance.value, 1e-12)) ** 0.5
    text = "The loss no longer asks q(z|x) to look like the prior. "
    if ratio > 1:
        text += (
            f"The posterior means spread {ratio:.1f} times as far as with both terms (variance "
            f"{quantity(alone.variance)} against {quantity(both.variance)}; the prior's is 1)"
        )
    else:
        text += (
            f"Contrary to the textbook the means do not spread wider than with both terms here (variance "
            f"{quantity(alone.variance)} against {quantity(both.variance)})"
        )
    if alone.sigma.value < both.sigma.value:
        text += (
            f", and the noise is turned down: the mean σ is {quantity(alone.sigma)} against {quantity(both.sigma)}, "
            f"{noise(alone)} of the spread of the means against {noise(both)}. So the VAE is all but an autoencoder, "
            "which gives every image a point and not a region. "
        )
    else:
        text += (
            f". The noise is not turned down, contrary to the textbook: σ {quantity(alone.sigma)} against "
            f"{quantity(both.sigma)}. "
        )
    gain = both.reconstruction.value - alone.reconstruction.value
    text += f"The KL, measured but not minimised, is {quantity(alone.kl)} against {quantity(both.kl)}. "
    if gain > 0:
        text += f"What is gained is {gain:.2f} nats of reconstruction"
    else:
        text += f"Nothing is gained: the reconstruction of the test images is {-gain:.2f} nats worse"
    loss = alone.negative_elbo.value - both.negative_elbo.value
    text += f"; as a bound on −log p(x) the model is {abs(loss):.2f} nats {'worse' if loss > 0 else 'better'}. "
    return text + _prior_samples(results, "vae-reconstruction")


def noise(found: Measured) -> str:
    """σ beside the spread of the means: the scale of z alone says nothing."""
    return f"{100 * found.sigma.value / max(found.variance.value, 1e-12) ** 0.5:.2g} %"


def _prior_samples(results: Results, model: str) -> str:
    """What is decoded where the prior draws z."""
    inside = [results.metric("planes", f"{name}.inside") for name in (model, "vae-both")]
    sure = [results.metric("samples", f"{name}.confident") for name in (model, "vae-both")]
    classes = [results.metric("samples", f"{name}.classes").value for name in (model, "vae-both")]
    text = (
        f"Where the prior has 95 % of its mass lie {percent(inside[0], 1)} of the codes, with both terms "
        f"{percent(inside[1], 1)}. Of {sure[0].n:,} images decoded from the prior a classifier of real images is sure "
        f"(at least 0.9) of {percent(sure[0], 1)}, with both terms of {percent(sure[1], 1)}; it sees {classes[0]:.1f} "
        f"and {classes[1]:.1f} classes (counted as equal shares). "
    )
    spread = 2 * (error(sure[0]) + error(sure[1]))
    worse = sure[0].value < sure[1].value - spread, classes[0] < classes[1] - 0.5
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
    collapsed = found.kl.value < 0.05 and found.variance.value < 0.01
    text = "Nothing rewards the code for saying anything about the image. "
    if collapsed:
        text += (
            f"The posterior becomes the prior for every image: KL {found.kl.value:.2g} nats, variance of the means "
            f"{found.variance.value:.1g}, σ {found.sigma.value:.3f}. On the common axes all images are one dot at the "
            "origin; on its own axes the plot shows what is left of the random start, magnified. "
        )
    else:
        text += (
            f"The posterior has not quite become the prior in this run: KL {found.kl.value:.2g} nats, variance of the "
            f"means {found.variance.value:.2g}, σ {found.sigma.value:.3f}. "
        )
    chance = f"{100 * found.chance:.1f} %"
    if found.knn.value < found.chance + 3 * error(found.knn):
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
            "Rows: test images, then their reconstructions by each model. With the KL term only they are grey noise.",
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
    """The three losses in the conditional model."""
    without, with_label = (Measured.of(results, f"{kind}-both") for kind in KINDS)
    alone, nothing = (Measured.of(results, f"cvae-{loss}") for loss in ("reconstruction", "kl"))
    text = (
        f"Trained with both terms, nearest neighbours on z find the class of {percent(with_label.knn, 1)} of the "
        f"images; without the label it was {percent(without.knn, 1)}. "
    )
    if with_label.knn.value < without.knn.value - 3 * error(without.knn):
        text += (
            "The decoder knows the class, so z does not have to say it: the classes lie over one another, and the "
            "plane is left for the style. "
        )
        if with_label.knn.value > with_label.chance + 3 * error(with_label.knn):
            text += f"Not wholly so: the most frequent class alone would give {100 * with_label.chance:.1f} %. "
    else:
        text += "Contrary to what one expects, z says as much about the class although the decoder is told it. "
    gain = without.negative_elbo.value - with_label.negative_elbo.value
    text += f"−ELBO is {abs(gain):.2f} nats {'better' if gain > 0 else 'worse'} than without the label. "
    text += (
        f"The terms do the same as before: with the reconstruction only KL {quantity(alone.kl)} and σ "
        f"{quantity(alone.sigma)}, with the KL only KL {nothing.kl.value:.2g} nats and σ {quantity(nothing.sigma)}."
    )
    return text
