"""The report's section about the generative classifier: A11."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Formula, Table, Text
from vaelab.studies.generative_classifier.words import falls, level, nats, number, of_sizes, several, share
from vaelab.studies.results import Results
from vaelab.studies.words import apart, counted, listed, metric, percent

RUN = "classifier"


def classifier(results: Results) -> Sequence[Block]:
    """A11."""
    values, config = results.values("classification"), results.config(RUN)
    blocks: list[Block] = [
        Text(
            f"A CVAE with {config.model.latent} latent dimensions was trained on the images of all classes, for "
            f"{counted(config.training.epochs, 'epoch')}"
            + (
                f", with images moved at random ({config.training.augmentation})"
                if config.training.augmentation != "none"
                else ""
            )
            + ". It was never trained to tell classes apart: each test image is given to it with every label in turn, "
            "and the label under which the image is most probable wins."
        ),
        Formula("ŷ(x) = argmax_y log p(x|y) + log p(y)"),
        Text(
            "log p(x|y) is an integral over z that nobody can do exactly, so a bound stands in its place, either of "
            f"two, with {counted(values['samples'], 'draw')} of z from q(z|x, y) for each image and label (the same "
            "noise for all labels). log p(y) is the share of each label among the training images. For grey pixels the "
            "Bernoulli likelihood is no normalised density. Its logarithm is the mean log-probability of the "
            "black-and-white images whose pixels are white with the grey values as probabilities: by that the labels "
            "are compared."
        ),
        Formula("ELBO: (1/S) Σ_s log p(x|z_s, y) − KL(q(z|x, y) ‖ p(z)) ≤ log p(x|y), in expectation"),
        Formula("importance sampling: log (1/K) Σ_k p(x|z_k, y) p(z_k) / q(z_k|x, y) ≤ log p(x|y), in expectation"),
        _table(values, results),
        Answer("How well does it classify?", _accuracy(values, results)),
        Answer("Does the tighter bound classify better?", _bounds(values)),
        results.run_picture(RUN, "confusion-matrix", "Confusion matrix by importance sampling: rows are labels, "
                            "columns predictions.", "A square table of counts, dark on the diagonal."),
        _class_table(values),
        Answer("What does it get wrong?", _errors(values)),
    ]  # fmt: skip
    if "classification-errors" in values["figures"]:
        caption = (
            "The errors it was surest of: the image, its reconstruction with its own label and with the predicted one, "
            "and the probability of both."
        )
        blocks.append(
            results.run_picture(RUN, "classification-errors", caption, "Rows of an image and two reconstructions.")
        )
    if "reliability" in values["figures"]:
        blocks.append(results.run_picture(RUN, "reliability", "Accuracy against confidence, before and after the "
                                          "temperature was fitted on validation images.",
                                          "A curve of accuracy against confidence, with the diagonal."))  # fmt: skip
    return [*blocks, Answer("Are its probabilities right?", _calibration(values))]


def _table(values: Mapping[str, Any], results: Results) -> Table:
    rows = []
    words = {"elbo": "ELBO", "importance": "importance sampling"}
    for bound, name in words.items():
        found = values[bound]
        rows.append([name, f"{share(found, 'accuracy', 2)}", f"{values['errors'][list(words).index(bound)]:,}",
                     nats(found, "classification_nll_uncalibrated", 3), nats(found, "classification_nll", 3),
                     f"{number(found, 'temperature'):.2f}"])  # fmt: skip
    judge = results.values("judge")
    wrong = round((1 - number(judge, "judge_accuracy")) * metric(judge, "judge_accuracy").n)
    rows.append(["for comparison: the judge, trained to classify", share(judge, "judge_accuracy", 2), f"{wrong:,}", "",
                 "", ""])  # fmt: skip
    columns = ("by", "accuracy", "errors", "−log p(y|x), T = 1", "calibrated", "T")
    return Table(columns, rows, f"Classification of {counted(values['images'], 'test image')}; −log p(y|x) in nats per "
                 "image, the temperature T fitted on validation images.")  # fmt: skip


def _accuracy(values: Mapping[str, Any], results: Results) -> str:
    found = metric(values["importance"], "accuracy")
    judge = metric(results.values("judge"), "judge_accuracy")
    compared = (
        "about as well as" if not apart(found, judge) else "not as well as" if falls(judge, found) else "better than"
    )
    text = (
        f"By importance sampling {percent(found, 2)} of {found.n:,} test images are classified correctly, by the ELBO "
        f"{share(values['elbo'], 'accuracy', 2)}: {compared} by the judge, a small convolutional network that was "
        f"trained to classify ({percent(judge, 2)}). "
    )
    bayes = of_sizes(results, "cvae", "bayes_accuracy")
    parts = [f"{percent(found)} ({size})" for size, found in bayes.items()]
    best = level(bayes, largest=True)
    end = (
        ""
        if len(bayes) == 1
        else f"; best is the one with {best[0]}"
        if len(best) == 1
        else f"; best, and no different beyond two standard errors, are those with {several(best)}"
    )
    return text + (
        f"The CVAEs of the section on sizes, trained for {counted(results.config('cvae-2').training.epochs, 'epoch')}, "
        "can do this, too: by their ELBO with a single draw of z they are right, by latent dimensions, for "
        f"{listed(parts)} of {counted(next(iter(bayes.values())).n, 'test image')}{end}."
    )


def _bounds(values: Mapping[str, Any]) -> str:
    own, others = (metric(values["tightened"], name) for name in ("own", "others"))
    raised = [nats(values["tightened"], name) for name in ("own", "others")]
    text = (
        f"For {counted(own.n, 'test image')} importance sampling with {counted(values['samples'], 'draw')} raises the "
        f"bound by {raised[0]} nats on average with the image's own label and by {raised[1]} nats with the other "
        "labels. "
        if own.value > 0
        else f"Contrary to the theory, importance sampling does not raise the bound ({own.value:.2f} nats). "
    )
    only_elbo, only_importance = values["paired"]
    differ = only_elbo + only_importance
    # A sign test on the images of which only one of the two is wrong.
    beyond = abs(only_elbo - only_importance) > 2 * differ**0.5
    if not values["differ"]:
        return text + "Both give every image the same label: a tighter bound is tighter for the wrong labels, too."
    text += (
        f"The predictions differ for {counted(values['differ'], 'image')}: {only_elbo} that only the ELBO gets wrong, "
        f"{only_importance} that only importance sampling gets wrong. "
    )
    if not beyond:
        return text + "That is no difference beyond chance: a tighter bound is tighter for the wrong labels, too."
    if only_elbo > only_importance:
        return text + "That is more than chance, in favour of importance sampling."
    return text + (
        "That is more than chance, and against the tighter bound. What counts is the difference between labels, and "
        + (
            "the wrong ones gain more: the encoder was never trained with a wrong label, so its posterior fits there "
            "worst, and the ELBO's loss by that helps to tell them apart."
            if falls(others, own)
            else "that need not grow with the bounds."
        )
    )


def _class_table(values: Mapping[str, Any]) -> Table:
    rows = [[name, f"{metric(values['by_class'], name).n:,}", share(values["by_class"], name)]
            for name in values["by_class"]]  # fmt: skip
    return Table(("class", "test images", "right"), rows, "Accuracy by class, importance sampling.")


def _errors(values: Mapping[str, Any]) -> str:
    wrong = values["errors"][1]
    if not wrong:
        return "Nothing: all test images are classified correctly."
    pairs = [f"{one['label']} taken for {one['predicted']} ({one['count']})" for one in values["confused"]]
    accuracy = {name: metric(values["by_class"], name) for name in values["by_class"]}
    order = sorted(accuracy, key=lambda name: accuracy[name].value)
    ends = " to ".join(f"class {name}, {percent(accuracy[name])}," for name in (order[0], order[-1])).rstrip(",")
    sure = values["sure_errors"]
    return (
        f"{counted(wrong, 'image')} of {values['images']:,}. The commonest errors: {listed(pairs)}. By class the "
        f"accuracy goes from {ends}. In {counted(sure, 'error')} it gives the wrong label a probability of at least "
        "0.9, after calibration; the surest are below: where the second reconstruction is as good as the first, the "
        "model can draw the image as that class, too."
    )


def _calibration(values: Mapping[str, Any]) -> str:
    found = values["importance"]
    before, after = (metric(found, f"expected_calibration_error{end}") for end in ("_uncalibrated", ""))
    temperature = number(found, "temperature")
    if values["note"]:
        return f"{values['note'][0].upper()}{values['note'][1:]}; the calibration error is {percent(before, 2)}."
    sure = (
        "about as sure as they should be"
        if abs(temperature - 1) < 0.05
        else "too sure: the probabilities have to be softened"
        if temperature > 1
        else "not sure enough"
    )
    errors = (
        f"the expected calibration error (0 where they are right) goes from {percent(before, 2)} to {percent(after, 2)}"
    )
    closer = (
        f"they come closer to probabilities: {errors}"
        if falls(before, after)
        else f"they do not come closer to probabilities beyond chance: {errors}"
    )
    return (
        f"As they come, differences of bounds are {sure}. Divided by a temperature of {temperature:.2f}, fitted on "
        f"validation images, {closer}. Accuracy and errors above are those without it (T = 1)."
    )
