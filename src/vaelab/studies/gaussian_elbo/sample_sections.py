"""The section of the report about samples from the prior (D5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.metrics import Metric
from vaelab.report.blocks import Answer, Block, Table, Text
from vaelab.studies.gaussian_elbo.words import above, nats, share, written
from vaelab.studies.results import Results
from vaelab.studies.words import apart, counted, error_of, listed, metric, percent, plus_minus

TARGET = 0.8
"""Share of samples that should be given one class clearly."""

_PLACES = {
    "prior": "the prior N(0, I), other draws",
    "fitted": "a normal distribution with the mean and covariance of q(z)",
    "shuffled": "each dimension from q(z), independently",
    "posterior": "q(z): posterior draws of test images",
    "narrow": "N(0, {spread:g}² I)",
}


def samples(results: Results) -> Sequence[Block]:
    """D5: the sheet of samples, what the judge says, and why."""
    values, judge = results.values("samples"), results.values("judge")
    return [
        Text(
            "Each sample is a draw of z from the prior N(0, I), decoded; shown is the mean of p(x|z), without the "
            "pixels' noise. They are the first ones as they came, none was chosen."
        ),
        results.picture("samples", "prior", "Samples from the prior, decoder means.", "A grid of generated images."),
        Answer("Do they look like the classes of the data?", _judged(values)),
        results.picture(
            "samples",
            "judged",
            "The samples of which the judge is least and most sure; below each, the most probable class and its "
            "probability (rounded down).",
            "Two rows of generated images: the least and the most confident ones, each with a class and a percentage.",
        ),
        Answer("Can the judge be trusted?", _trust(values, judge)),
        _class_table(values, judge),
        Answer("Are all classes drawn?", _class_words(values, judge)),
        _place_table(values),
        Answer("Why are no more samples clear?", _why(values)),
        *_sizes(results.values("sizes")),
        results.picture(
            "samples",
            "aggregate",
            "Draws of q(z|x) of the test images in each latent dimension, and the density of N(0, 1).",
            "Histograms of latent dimensions with the curve of a standard normal distribution.",
        ),
        results.picture(
            "samples",
            "draws",
            "The same kind of sample as a mean, and as a draw from p(x|z): the Gaussian gives each pixel noise of its "
            "own, which no image of the data has.",
            "Two rows of generated images, the second with noise in every pixel.",
        ),
    ]


def _judged(values: Mapping[str, Any]) -> str:
    found = metric(values, "share")
    enough = found.value >= TARGET
    half = Metric(0.5, 0.0, found.unit, found.n, "")
    most = "about half of them do" if not apart(found, half) else "most of them do" if found.value > 0.5 else (
        "most of them do not")  # fmt: skip
    target = "which reaches" if enough else "which does not reach"
    return (
        f"By the judge, a classifier trained on the real training images, {most}: of {values['samples']:,} samples "
        f"{percent(found)} are given one class with a probability of at least {values['threshold']:g}, {target} the "
        f"{100 * TARGET:.0f} % asked for. The mean probability of the most probable class is "
        f"{share(values, 'confidence')}."
    )


def _trust(values: Mapping[str, Any], judge: Mapping[str, Any]) -> str:
    accuracy, sure = metric(judge, "judge_accuracy"), metric(judge, "judge_confidence")
    off = sure.value - accuracy.value
    calibrated = abs(off) <= 2 * (accuracy.standard_error or 0) + 0.005
    how = (
        "about as sure as it is right"
        if calibrated
        else "surer than it is right"
        if off > 0
        else "less sure than it is right"
    )
    rebuilt = values["reconstructed"]
    decoded = ""
    if "accuracy" in rebuilt:
        decoded = (
            " Images that the decoder made are no real ones, so it was tried on these, too: of decoded posterior draws "
            f"of {metric(rebuilt, 'accuracy').n:,} test images it names the class of {share(rebuilt, 'accuracy')} "
            f"correctly, and {share(rebuilt, 'share')} are clear."
        )
    return (
        f"It is a small convolutional network trained for {judge['steps']:,} steps on {judge['train']:,} real images, "
        f"read as the samples are (grey values from 0 to 1). On the {accuracy.n:,} real test images it is right for "
        f"{percent(accuracy, 2)} and sure to {percent(sure, 2)} on average, so it is {how}; of the real images "
        f"{share(judge, 'judge_confident')} are clear, which is what perfect samples would reach.{decoded} A judge can "
        "be sure of an image that no person would take for a real one: the share says that samples look like one "
        "class, not that they are good."
    )


def _class_table(values: Mapping[str, Any], judge: Mapping[str, Any]) -> Table:
    total = values["samples"]
    clear = max(1, sum(row["clear"] for row in values["classes"]))
    rows = [
        [row["name"], f"{row['count']:,}", f"{100 * row['count'] / total:.1f} %", f"{100 * row['clear'] / clear:.1f} %",
         f"{100 * real:.1f} %"]
        for row, real in zip(values["classes"], judge["train_shares"], strict=True)
    ]  # fmt: skip
    return Table(
        ("class", "samples", "share of samples", "share of clear samples", "share of training images"),
        rows,
        "The samples by their most probable class.",
    )


def _class_words(values: Mapping[str, Any], judge: Mapping[str, Any]) -> str:
    total, rows = values["samples"], values["classes"]
    missing = [row["name"] for row in rows if row["clear"] == 0]
    differences = [
        (row["count"] / total - real, row["name"]) for row, real in zip(rows, judge["train_shares"], strict=True)
    ]
    most, least = max(differences), min(differences)
    noise = 3 * max((real * (1 - real) / total) ** 0.5 for real in judge["train_shares"])
    start = f"No: there is no clear sample of {listed(missing)}." if missing else "Yes: every class has clear samples."
    off = [f"class {name} is drawn too {word} ({100 * difference:+.1f} percentage points)"
           for (difference, name), word in ((most, "often"), (least, "rarely")) if abs(difference) > noise]  # fmt: skip
    chance = f"by chance alone a class would be off by less than about {100 * noise:.1f} percentage points"
    against = (
        f"Against the training images {listed(off)}; {chance} among {counted(total, 'sample')}."
        if off
        else "The shares of the classes are the same as those of the training images within the error of sampling: "
        f"they differ by {100 * most[0]:+.1f} ({most[1]}) to {100 * least[0]:+.1f} percentage points ({least[1]}), and "
        f"{chance}."
    )
    return f"{start} {against} Unclear samples are counted where they are most probable."


def _place_table(values: Mapping[str, Any]) -> Table:
    rows = [[_PLACES[row["name"]].format(**row), share(row, "share")] for row in values["places"]]
    return Table(
        ("where z is drawn", "clear samples"),
        rows,
        f"The same decoder with z from other places, {values['samples']:,} draws each. Only the first are samples of "
        "the model.",
        bold=(0,),
    )


def _place(values: Mapping[str, Any], name: str) -> Any:
    return metric(next(row for row in values["places"] if row["name"] == name), "share")


def _why(values: Mapping[str, Any]) -> str:
    aggregate = values["aggregate"]
    prior, posterior, fitted = (_place(values, name) for name in ("prior", "posterior", "fitted"))
    gap, worse = posterior.value - prior.value, above(posterior, prior)
    points = plus_minus(100 * gap, 100 * error_of(posterior, prior), 1)
    if worse:
        part = (
            f"Of decoded draws of q(z), where the test images lie, {percent(posterior)} are clear, {points} percentage "
            "points more than of draws of the prior: the decoder can draw clear images, but the prior also puts z "
            "where no image was encoded."
        )
    else:
        part = (
            f"Of decoded draws of q(z), where the test images lie, {percent(posterior)} are clear, no more than of the "
            "prior's: here the prior is not what makes samples unclear."
        )
    part += f" A normal distribution with the mean and covariance of q(z) gives {percent(fitted)}"
    if worse:
        part += f", so {_reason(prior, fitted, gap)}"
    variances, means = aggregate["variances"], aggregate["means"]
    differs = aggregate["energy"] > aggregate["energy_critical"]
    return (
        f"{part}.\n\nq(z) of {aggregate['images']:,} test images, measured against N(0, I): {_divergence(aggregate)} "
        f"The means of the {aggregate['latent']} dimensions lie between {min(means):+.2f} and {max(means):+.2f}, their "
        f"variances between {min(variances):.2f} and {max(variances):.2f}, the largest correlation is "
        f"{aggregate['largest_correlation']:.2f}. The energy distance to N(0, I) is {aggregate['energy']:.4f}; of as "
        f"many true draws of N(0, I) it stays below {aggregate['energy_critical']:.4f} in 95 % of all cases, so "
        f"{'q(z) is not the prior' if differs else 'by this test q(z) cannot be told from the prior'}."
    )


def _sizes(values: Mapping[str, Any]) -> list[Block]:
    """Bound against samples, where there is more than one latent size."""
    rows = values["rows"]
    if len(rows) < 2:
        return []
    table = [
        [str(row["latent"]), str(row["epochs"])]
        + [written(metric(row, name), 1) for name in ("elbo", "log_likelihood", "kl")]
        + [share(row, "samples"), share(row, "posterior")]
        for row in rows
    ]
    columns = ("latent dimensions", "epochs", "ELBO", "reconstruction", "KL", "clear samples", "clear posterior draws")
    caption = (
        f"The same networks with other latent sizes: nats per test image, and shares of {values['samples']:,} samples "
        "and of decoded posterior draws that the judge finds clear."
    )
    return [Table(columns, table, caption), Answer("Do a high bound and clear samples go together?", _conflict(rows))]


def _conflict(rows: Sequence[Mapping[str, Any]]) -> str:
    elbos, clear = ([metric(row, name).value for row in rows] for name in ("elbo", "samples"))
    best, clearest = elbos.index(max(elbos)), clear.index(max(clear))
    pair = [metric(rows[i], "samples") for i in (clearest, best)]
    short = len({row["epochs"] for row in rows}) > 1
    caution = " The models were not trained equally long, so their bounds are not quite comparable." if short else ""
    reached = (
        f"With {rows[clearest]['latent']} latent dimensions the {100 * TARGET:.0f} % are reached."
        if clear[clearest] >= TARGET
        else f"None of these sizes reaches {100 * TARGET:.0f} %."
    )
    if best == clearest or not apart(*pair):
        start = (
            f"Here they do: {rows[best]['latent']} latent dimensions give the highest bound, and no other size gives "
            "more clear samples beyond chance."
        )
    else:
        more = rows[best]["latent"] > rows[clearest]["latent"] and metric(rows[best], "posterior").value > clear[best]
        start = (
            f"No. The highest bound has the model with {rows[best]['latent']} latent dimensions "
            f"({nats(rows[best], 'elbo')}; {share(rows[best], 'samples')} clear samples), the most clear samples that "
            f"with {rows[clearest]['latent']} ({nats(rows[clearest], 'elbo')}; {share(rows[clearest], 'samples')})."
            + (
                " More dimensions hold more of an image, which the bound rewards; but N(0, I) then has more room where "
                "no image was encoded."
                if more
                else ""
            )
        )
    return f"{start} {reached}{caution}"


def _reason(prior: Metric, fitted: Metric, gap: float) -> str:
    """How much of the difference between prior and q(z) a normal distribution with q(z)'s moments closes."""
    step = fitted.value - prior.value
    if step > 0.5 * gap:
        return "most of the difference is one of mean and covariance"
    if above(fitted, prior):
        return "mean and covariance explain a part of the difference, the shape of q(z), its gaps, the rest"
    return "mean and covariance do not explain it: the difference is in the shape of q(z), in its gaps"


def _divergence(aggregate: Mapping[str, Any]) -> str:
    """KL(q(z) ‖ p(z)): from below by mean and covariance, from above by the information that the images show."""
    information, most = metric(aggregate, "information").value, aggregate["most_information"]
    limited = information > 0.95 * most
    return (
        f"KL(q(z) ‖ p(z)) is at least {aggregate['gaussian_kl']:.2f} nats (about {aggregate['gaussian_kl_chance']:.2f} "
        "of them by the chance of a finite number of images), which the mean and the covariance alone account for. "
        "From above, the KL term is the information of z about the image plus KL(q(z) ‖ p(z)); these images show an "
        f"information of {information:.2f} nats, which leaves at most {nats(aggregate, 'marginal_kl', 2)} for KL(q(z) "
        "‖ p(z))."
        + (
            f" This is a loose bound: {aggregate['images']:,} images cannot show more information than the logarithm "
            f"of their number, {most:.2f} nats, and that is reached."
            if limited
            else ""
        )
    )
