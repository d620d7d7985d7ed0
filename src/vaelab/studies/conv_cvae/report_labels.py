"""Sections about what the label does: classification, transfer, VAE against CVAE, z here and in a GAN (C18 to C20)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vaelab.report.blocks import Answer, Block, Formula, Table, Text
from vaelab.studies.conv_cvae.words import apart, beyond, error_of, nats, number, percent_of, plus_minus, share
from vaelab.studies.results import Results
from vaelab.studies.words import listed


def classification(results: Results) -> Sequence[Block]:
    """C18."""
    found = results.values("classification")
    accuracy, plain = results.metric("classification", "accuracy"), results.metric("space", "knn_accuracy")
    likeliest = found["most_confused"]
    text = (
        "The CVAE gives log p(x|y) for every label y, at least a lower bound on it. So each class competes with its "
        "own explanation of the image, and Bayes' rule turns the bounds into probabilities of the classes. It is right "
        f"for {share(accuracy, 2)} of {accuracy.n:,} test images ({found['wrong']:,} errors), with {found['samples']} "
        "draws of z for each image and label (importance-weighted bound). "
    )
    text += (
        f"That is {'far ' if accuracy.value - plain.value > 0.1 else ''}better than what z of the VAE tells "
        f"({share(plain)}, C8): nothing was trained for it, but the labels were used in training, and the whole image "
        f"is compared, not {results.values('space')['latent']} numbers alone. "
        if beyond(accuracy, plain)
        else f"That is no better than what z of the VAE tells ({share(plain)}, C8). "
    )
    if likeliest[2]:
        text += f"The most frequent error is {likeliest[0]} taken for {likeliest[1]} ({likeliest[2]} times)."
    blocks: list[Block] = [
        Formula("p(y|x) = p(x|y) p(y) / Σ_y' p(x|y') p(y'),   log p(x|y) ≥ ELBO(x|y)"),
        Answer("Can the CVAE classify?", text),
        results.run_picture("cvae", "confusion-matrix", "Rows: the image's label; columns: the label by Bayes' rule.",
                            "A confusion matrix of the classes by Bayes' rule."),
    ]  # fmt: skip
    if found["errors"]:
        blocks.append(
            results.run_picture(
                "cvae",
                "classification-errors",
                "The surest errors: the image, then what the model makes of it with the right label and with the one "
                "it chose.",
                "Misclassified test images with their reconstructions under the right and under the chosen label.",
            )
        )
    return blocks


def transfer(results: Results) -> Sequence[Block]:
    """C19."""
    found = results.values("transfer")
    new, old, own = (results.metric("transfer", name) for name in ("judged_new", "judged_old", "judged_own"))
    style = found["style"]
    kept = sorted(style, key=lambda name: -style[name]["kept"])
    mean = sum(style[name]["source"] for name in kept) / len(kept)
    text = (
        "Encode an image with its own label, decode the z with another: the class changes, what z holds stays. "
        f"Measured on {found['sources']:,} test images: a classifier of real images sees the new label in {share(new)} "
        f"of the changed images and the old one in {share(old)} (in plain reconstructions it sees the own label in "
        f"{share(own)}). The images of a row have their style in common: over pairs of labels, the correlation is "
        f"{_each(style, kept, 'kept')}; with sources in random order it would be "
        f"{number(max(abs(row['shuffled']) for row in style.values()))} or less. With the source's own style, as the "
        f"real image has it, the correlation is {_each(style, kept, 'source')}. "
    )
    weakest = min(kept, key=lambda name: style[name]["source"])
    if mean > 0.3:
        text += "So the style goes over to the new label, as far as z holds it: " + (
            f"least of all the {weakest}." if style[weakest]["source"] < 0.5 else "all that was measured is held well."
        )
    else:
        text += "So little of the source's own style goes over: z holds little of it."
    rows = [[name, *(number(style[name][which]) for which in ("kept", "source", "shuffled"))] for name in kept]
    return [
        Answer("Can an image's label be changed while its style is kept?", text),
        results.picture("transfer", "sheet", "Each row one source image and its style with every label; the frame "
                        "marks its own label.",
                        "A sheet of images: rows are source images, columns are labels."),
        Table(["style", "between labels", "with the source", "sources shuffled"], rows,
              "Correlations of image moments over the sources: between the images that two labels make of the same "
              "source; "
              "of a decoded image with the real source (class means taken out); between two labels, sources shuffled."),
    ]  # fmt: skip


def _each(style: Mapping[str, Mapping[str, float]], names: Sequence[str], which: str) -> str:
    return listed([f"{number(style[name][which])} for {name}" for name in names])


def discussion(results: Results) -> Sequence[Block]:
    """C20."""
    rows = [
        ["test −ELBO, nats per image", *(plus_minus(results.metric(run, "negative_elbo")) for run in ("vae", "cvae"))],
        ["  reconstruction", *(plus_minus(results.metric(run, "reconstruction")) for run in ("vae", "cvae"))],
        ["  KL", *(plus_minus(results.metric(run, "kl")) for run in ("vae", "cvae"))],
        ["bound on −log p(x), no label given", plus_minus(results.metric("vae", "negative_elbo")),
         plus_minus(results.metric("unlabelled", "without_label"))],
        ["class told from z (15 neighbours)",
         *(share(results.metric(step, "knn_accuracy")) for step in ("space", "cspace"))],
        ["class told by Bayes' rule", "–", share(results.metric("classification", "accuracy"))],
    ]  # fmt: skip
    return [
        Answer("When is a CVAE better than a VAE, and when not?", _when(results)),
        Table(["", "VAE", "CVAE"], rows, "Both models side by side; ± standard error over test images."),
        Answer("What is z here, and in a GAN?", _where(results)),
        results.picture("search", "search", "Each image: decoded at the encoder's z, at a random z, and at "
                        "the z that a search by gradient found from there.",
                        "Rows of images: originals, decoded at the encoder's z, at random z, and after a search."),
    ]  # fmt: skip


def _when(results: Results) -> str:
    knn = [results.metric(step, "knn_accuracy") for step in ("space", "cspace")]
    text = (
        "Better, when labels are there and a class is to be chosen: samples of a wanted class, a classifier for "
        f"nothing more (C18), labels changed (C19). {_given(results)} {_without(results)}\n\n"
        "Not better, when there are no labels, or wrong ones, for all training images; and when the encoder has to "
        "work on images whose label is not known"
    )
    told = f"the class is told for {share(knn[0])} of the images by the VAE, for {share(knn[1])} by the CVAE."
    if beyond(knn[0], knn[1]):
        return (
            f"{text}. Nor when z itself is to say what an image is, for search, clusters or a classifier: by its "
            f"neighbours in z, {told}"
        )
    return f"{text}. That z says less of the class, as one expects, is not so here: by its neighbours in z, {told}"


def _given(results: Results) -> str:
    """The gain with the label told, image by image."""
    gain = results.metric("losses", "difference_negative_elbo")
    if abs(gain.value) <= 2 * error_of(gain):
        return f"Given the label, an image costs the CVAE as much as the VAE (a difference of {nats(gain)})."
    size = f"{number(abs(gain.value))} ± {error_of(gain):.2f} nats"
    if gain.value < 0:
        return f"Yet even given the label, an image costs it {size} more than the VAE, contrary to what one expects."
    return (
        f"And given the label, an image costs it {size} less than the VAE. That is no fair comparison, as one bounds "
        "log p(x|y) and the other log p(x)."
    )


def _without(results: Results) -> str:
    """Both as models of images without labels: bounds on the same quantity."""
    given, without = results.metric("unlabelled", "with_label"), results.metric("unlabelled", "without_label")
    price, plain = results.metric("unlabelled", "price"), results.metric("vae", "negative_elbo")
    text = (
        f"A CVAE bounds log p(x) too, as a mixture of its classes: without the label its bound is {nats(without)} "
        f"(n = {without.n:,}), {nats(price)} above the {nats(given)} with it; naming one of the classes takes "
        f"{number(results.values('unlabelled')['entropy'])} nats at most. "
    )
    if beyond(plain, without):
        return (
            f"{text}So even without being told the label the CVAE is {apart(plain, without)} nats better than the VAE "
            "(the error as of different images): its labels taught it a model with one part a class."
        )
    return f"{text}So of images without labels the CVAE is no better a model than the VAE ({nats(plain)})."


def _where(results: Results) -> str:
    return (
        "In both, z is what a new image is made from: drawn from a simple prior, then sent through a network. In a "
        "VAE it is also what an image is turned into: the encoder gives q(z|x), trained together with the decoder, and "
        "a lower bound on log p(x). A GAN (Goodfellow et al. 2014) has a generator and a discriminator, but no encoder "
        "and no likelihood: nobody tells the z of a given image, and it has to be searched for.\n\n"
        f"{_searched(results)} And a searched z is a point: it does not say how sure one can be of it, as the "
        "posterior does."
    )


def _searched(results: Results) -> str:
    """z by a search with the decoder alone, against the encoder's."""
    steps = results.values("search")["steps"]
    encoder, start, end = (results.metric("search", name) for name in ("encoder", "start", "search"))
    stuck, better = results.metric("search", "stuck"), results.metric("search", "better")
    text = (
        f"What that means was tried here with the decoder alone. For {encoder.n} test images, one pass of the encoder "
        f"gives a z with −log p(x|z) = {nats(encoder)}. A search from a draw of the prior starts at {nats(start)} and "
        f"after {steps} gradient steps is at {nats(end)}. "
    )
    ends = f"{share(better, 0)} of the searches end below the encoder's z, {share(stuck, 0)} more than 10 nats above it"
    if beyond(end, encoder):
        return f"{text}On the average image the encoder does better, and in one pass; but {ends}."
    if beyond(encoder, end):
        return (
            f"{text}So a search does better than the encoder on the average image, at {steps} times the passes: the "
            f"encoder serves all images with one network, and its mean is not the best z of each. {ends}."
        )
    return f"{text}On average that is no clear difference from the encoder's one pass: {ends}."


def judge(results: Results) -> Text:
    """Who says what a decoded image shows."""
    accuracy, confident = results.metric("judge", "judge_accuracy"), results.metric("judge", "judge_confident")
    return Text(
        "Where this report says what a decoded image shows, a small convolutional classifier says it. It was "
        f"trained on the real training images, is right for {share(accuracy, 2)} of the "
        f"{accuracy.n:,} real test images, and gives one class at least 90 % for {percent_of(confident.value)} of them."
    )
