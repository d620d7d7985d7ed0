"""Sections about what the label does: classification, transfer, VAE against CVAE, z here and in a GAN (C18 to C20)."""

from __future__ import annotations

from collections.abc import Sequence

from vaelab.report.blocks import Answer, Block, Formula, Table, Text
from vaelab.studies.conv_cvae.words import beyond, listed, nats, number, percent_of, plus_minus, share
from vaelab.studies.results import Results


def classification(results: Results) -> Sequence[Block]:
    """C18."""
    found = results.values("classification")
    accuracy, plain = results.metric("classification", "accuracy"), results.metric("space", "knn_accuracy")
    likeliest = found["most_confused"]
    text = (
        "The CVAE gives log p(x|y) for every label y, at least a lower bound on it. So each class competes with its "
        "own explanation of the image, and Bayes' "
        f"rule turns the bounds into probabilities of the classes. It is right for {share(accuracy, 2)} of "
        f"{accuracy.n:,} test images"
        f" ({found['wrong']:,} errors), with {found['samples']} draws of z for each image and label "
        "(importance-weighted bound). "
    )
    text += (
        f"That is {'far ' if accuracy.value - plain.value > 0.1 else ''}better than what z of the VAE tells "
        f"({share(plain)}, C8): nothing was trained for it, but the "
        "labels were used in training, and the whole image is compared, not two numbers. "
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
        "Measured "
        f"on {found['sources']:,} test images: a classifier of real images sees the new label in {share(new)} of the "
        f"changed images and the old one in {share(old)} (in plain reconstructions it sees the own label in "
        f"{share(own)}). "
        "The images of a row have their style in common: over pairs of labels, the correlation is "
        + listed([f"{number(style[name]['kept'])} for {name}" for name in kept])
        + "; with sources in random order it would be "
        f"{number(max(abs(row['shuffled']) for row in style.values()))} or less. With the source's own style, as the "
        "real "
        "image has it, the correlation is "
        + listed([f"{number(style[name]['source'])} for {name}" for name in kept])
        + ". "
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
    given, without = results.metric("unlabelled", "with_label"), results.metric("unlabelled", "without_label")
    price = results.metric("unlabelled", "price")
    gain, plain = results.metric("losses", "difference_negative_elbo"), results.metric("vae", "negative_elbo")
    knn = [results.metric(step, "knn_accuracy") for step in ("space", "cspace")]
    entropy = results.values("unlabelled")["entropy"]
    text = (
        "Better, when labels are there and a class is to be chosen: samples of a wanted class, a classifier for "
        "nothing more (C18), labels changed with the style "
        f"kept (C19). And given the label the image is cheaper: {nats(gain)} less than the VAE needs, as the label "
        "is told and z has room for more. "
        "That is no fair comparison, as one bounds log p(x|y) and the other log p(x). A CVAE bounds log p(x) too, "
        "as a mixture of its classes: without the "
        f"label its bound is {nats(without)} (n = {without.n:,}), {nats(price)} above the {nats(given)} with it; "
        f"naming one of the classes takes {number(entropy)} "
        "nats at most. "
    )
    text += (
        f"So even without being told the label the CVAE is {number(plain.value - without.value)} nats better than "
        "the VAE: its labels taught it a model with one part a class. "
        if beyond(plain, without)
        else f"So of images without labels the CVAE is no better a model than the VAE ({nats(plain)}). "
    )
    text += (
        "\n\nNot better, when there are no labels, or wrong ones, for all training images; when the encoder has to "
        "work on images whose label is not known; and when z itself is to say "
        "what an image is, for search, clusters or a classifier: by its neighbours in z, the class is told for "
        f"{share(knn[0])} of the images by the VAE, for {share(knn[1])} by the CVAE."
    )
    return text


def _where(results: Results) -> str:
    found = results.values("search")
    encoder, start, end = (results.metric("search", name) for name in ("encoder", "start", "search"))
    stuck, better = results.metric("search", "stuck"), results.metric("search", "better")
    text = (
        "In both, z is what a new image is made from: drawn from a simple prior, then sent through a network. In a "
        "VAE it is also what an image is turned into: the encoder gives q(z|x), trained "
        "together with the decoder, and a lower bound on log p(x). A GAN (Goodfellow et al. 2014) has a generator "
        "and a discriminator, but no encoder and no likelihood: nobody tells the z of a given "
        "image, and it has to be searched for.\n\n"
        f"What that means was tried here with the decoder alone. For {encoder.n} test images, one pass of the "
        f"encoder gives a z with −log p(x|z) = {nats(encoder)}. A search from a draw of the prior starts "
        f"at {nats(start)} and after {found['steps']} gradient steps is at {nats(end)}. "
    )
    if beyond(end, encoder):
        text += (
            f"The encoder does better in one pass; {share(stuck, 0)} of the searches end more than 10 nats above it."
        )
    elif end.value <= encoder.value:
        text += (
            f"So a search can do better than the encoder on the average image, at {found['steps']} times the passes: "
            "the encoder serves all images with one network, and its mean is not the best z of each. "
            f"{share(better, 0)} of the searches end below the encoder's z, {share(stuck, 0)} more than 10 nats "
            "above it."
        )
    else:
        text += (
            f"On average that is no better than the encoder's one pass: {share(better, 0)} of the searches end below "
            f"the encoder's z, {share(stuck, 0)} more than 10 nats above it."
        )
    return text + " And a searched z is a point: it does not say how sure one can be of it, as the posterior does."


def judge(results: Results) -> Text:
    """Who says what a decoded image shows."""
    accuracy, confident = results.metric("judge", "judge_accuracy"), results.metric("judge", "judge_confident")
    return Text(
        "Where this report says what a decoded image shows, a small convolutional classifier says it. It was "
        f"trained on the real training images, is right for {share(accuracy, 2)} of the "
        f"{accuracy.n:,} real test images, and gives one class at least 90 % for {percent_of(confident.value)} of them."
    )
