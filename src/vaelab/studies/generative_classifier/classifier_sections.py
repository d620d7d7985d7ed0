"""The report's section about the generative classifier: A11."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.blocks import Answer, Block, Formula, Table, Text
from vaelab.studies.generative_classifier.words import counted, listed, metric, nats, number, share, sizes_of, trained
from vaelab.studies.results import Results, percent, written

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
            "Bernoulli likelihood is not a normalised density; the comparison of labels for one image does not need "
            "that."
        ),
        Formula("ELBO: (1/S) Σ_s log p(x|z_s, y) − KL(q(z|x, y) ‖ p(z)) ≤ log p(x|y)"),
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
    error = ((found.standard_error or 0) ** 2 + (judge.standard_error or 0) ** 2) ** 0.5
    difference = found.value - judge.value
    compared = (
        "about as well as" if abs(difference) <= 2 * error else "better than" if difference > 0 else "not as well as"
    )
    text = (
        f"By importance sampling {percent(found)} of {found.n:,} test images, by the ELBO "
        f"{share(values['elbo'], 'accuracy', 2)}: {compared} the judge, a small convolutional network that was trained "
        f"to classify ({percent(judge)}). "
    )
    bayes = {size: metric(trained(results, f"cvae-{size}"), "bayes_accuracy") for size in sizes_of(results)}
    parts = [f"{100 * bayes[size].value:.1f} % ({size})" for size in bayes]
    n = next(iter(bayes.values())).n
    best = max(bayes, key=lambda size: bayes[size].value)
    return text + (
        f"The CVAEs of the section on sizes, trained for {counted(results.config('cvae-2').training.epochs, 'epoch')}, "
        f"can do this, too: by their ELBO with a single draw of z they tell, by latent dimensions, {listed(parts)} of "
        f"{counted(n, 'test image')} rightly; best is the one with {best}."
    )


def _bounds(values: Mapping[str, Any]) -> str:
    own, others = (metric(values["tightened"], name) for name in ("own", "others"))
    text = (
        f"For {counted(own.n, 'test image')} importance sampling with {counted(values['samples'], 'draw')} raises the "
        f"bound by {written(own, 2, unit=False)} nats on average with the image's own label and by "
        f"{written(others, 2, unit=False)} nats with the other labels. "
        if own.value > 0
        else f"Contrary to the theory, importance sampling does not raise the bound ({own.value:.2f} nats). "
    )
    only_elbo, only_importance = values["paired"]
    differ = only_elbo + only_importance
    # A sign test on the images of which only one of the two is wrong.
    beyond = abs(only_elbo - only_importance) > 2 * differ**0.5
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
            if others.value > own.value
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
        return "Nothing: all test images are classified rightly."
    pairs = [f"{one['label']} taken for {one['predicted']} ({one['count']})" for one in values["confused"]]
    accuracy = {name: number(values["by_class"], name) for name in values["by_class"]}
    worst = min(accuracy, key=lambda name: accuracy[name])
    return (
        f"{counted(wrong, 'image')} of {values['images']:,}. The commonest errors: {listed(pairs)}. The class with the "
        f"lowest accuracy is {worst} ({100 * accuracy[worst]:.1f} %). In {values['sure_errors']:,} errors it gives the "
        "wrong label at least 0.9, after calibration; the surest are below: where the second "
        "reconstruction is as good as the first, the model can draw the image as that class, too."
    )


def _calibration(values: Mapping[str, Any]) -> str:
    found = values["importance"]
    before, after = (metric(found, f"expected_calibration_error{end}") for end in ("_uncalibrated", ""))
    temperature = number(found, "temperature")
    if values["note"]:
        return f"{values['note'][0].upper()}{values['note'][1:]}; the calibration error is {percent(before)}."
    sure = "too sure: the probabilities have to be softened" if temperature > 1 else "not sure enough"
    better = (
        f"which brings the expected calibration error from {percent(before)} to {percent(after)}"
        if after.value < before.value
        else f"which does not bring the expected calibration error down ({percent(before)} before, {percent(after)} "
        "after)"
    )
    return (
        f"As they come, differences of bounds are {sure}. Divided by a temperature of {temperature:.2f}, fitted on "
        f"validation images, they become probabilities, {better}. Accuracy and errors above are those without "
        "it (T = 1)."
    )
