"""The head of the report: what came out, against what should; and the notebook."""

from __future__ import annotations

from collections.abc import Sequence

from vaelab.report.blocks import Verdict
from vaelab.studies.conv_cvae.report_seeds import SAME
from vaelab.studies.conv_cvae.words import (
    NAMES,
    SHEET,
    SHEET_UNIT,
    beyond,
    is_the_sheets,
    nats,
    number,
    plus_minus,
    share,
    small,
)
from vaelab.studies.results import Results
from vaelab.studies.study import Cell, Summary


def summarise(results: Results) -> Summary:
    """Both models, their losses in two units, and the main findings."""
    vae, cvae = (results.metric(run, "negative_elbo") for run in ("vae", "cvae"))
    config = results.config("vae")
    knn = [results.metric(step, "knn_accuracy") for step in ("space", "cspace")]
    accuracy, marginal = results.metric("classification", "accuracy"), results.metric("space", "marginal_kl")
    agreement = [pair["procrustes"]["value"] for pair in results.values("seeds")["pairs"]]
    text = (
        f"Sheet C's convolutional VAE with {config.model.latent} latent dimensions and its conditional twin were "
        f"trained for {config.training.epochs} epochs at batch size {config.training.batch_size}: their test −ELBO is "
        f"{nats(vae)} and {nats(cvae)} per image. From z alone, 15 nearest neighbours find the class of "
        f"{share(knn[0])} of the test images in the VAE and of {share(knn[1])} in the CVAE"
        f"{', which is told the label, so that its z need not say it' if beyond(knn[0], knn[1]) else ''}; the CVAE "
        f"classifies {share(accuracy)} of them rightly by Bayes' rule. The aggregate posterior of the VAE is "
        f"{nats(marginal, 3)} from N(0, I) (KL)."
    )
    if agreement:
        text += (
            f" Trained again from another seed, the latent space is {_same(agreement)}: R² after the best rotation is "
            f"{number(min(agreement))}{'' if len(agreement) == 1 else ' to ' + number(max(agreement))}."
        )
    return Summary(text, verdicts(results), [("plane", "scatter"), ("cplane", "scatter")])


def _same(agreement: Sequence[float]) -> str:
    """
    >>> _same([0.99]), _same([0.3, 0.99])
    ('the same but for a rotation', 'not always the same, even after a rotation')
    """
    if min(agreement) > SAME:
        return "the same but for a rotation"
    return f"not {'always ' if max(agreement) > SAME else ''}the same, even after a rotation"


def verdicts(results: Results) -> list[Verdict]:
    """−ELBO of both models against the sheet's, in both units, and what else can be judged."""
    found = []
    for run in ("vae", "cvae"):
        metric = results.metric(run, "negative_elbo")
        batch = results.values("losses")[f"{run}_batch"]
        judged = is_the_sheets(results, run)
        met = metric.value <= SHEET[run][0] if judged else None
        target = f"≤ {SHEET[run][0]} (the sheet)" if judged else "the sheet's is for MNIST"
        unit = f"≤ {SHEET_UNIT[run]} (the sheet)" if judged else "the sheet's is for MNIST"
        found.append(Verdict(f"test −ELBO of the {NAMES[run]}", f"{plus_minus(metric)} nats per image", target, met))
        # Both numbers are of one measurement: in the sheet's unit the same is judged.
        what = f"the same in the sheet's unit (÷ {batch}, its batch size)"
        found.append(Verdict(what, number(metric.value / batch, 3), unit, met))
    cases = results.values("hand-cases")["cases"]
    worst = max(abs(case["found"] - case["expected"]) for case in cases)
    found.append(
        Verdict(
            f"loss terms on {len(cases)} hand cases",
            f"largest difference {small(worst, 0)} nats",
            "< 10⁻⁵",
            worst < 1e-5,
        )
    )
    draws = results.values("draws")
    found.append(
        Verdict(
            "mean and log-variance of draws",
            f"p = {draws['p']:.2f} over {2 * len(draws['names'])} numbers",
            "p > 0.001",
            draws["p"] > 0.001,
        )
    )
    return found


def cells(results: Results) -> Sequence[Cell]:
    """A short notebook: the same results by the public API."""
    found = [
        Cell(
            "Both models, as the study trained them. `evaluate` computes the bound on all test images again.",
            'import vaelab\n\nvae = vaelab.Run.open("runs/vae")\ncvae = vaelab.Run.open("runs/cvae")\n'
            '{name: round(metric.value, 2) for name, metric in vae.evaluate().items()}',
        ),
        Cell("The sheet prints its loss divided by the batch size.",
             'loss = vae.evaluate()["negative_elbo"].value\nloss, loss / vae.config.training.batch_size'),
        Cell("The curves (C5).", 'vae.figure("curves")'),
        Cell("Reconstructions of test images.", 'vae.figure("reconstructions", count=10)'),
    ]  # fmt: skip
    if results.values("plane")["plane"]:
        found += _of_the_plane(results)
    return [*found, *_of_any_size(results)]


def _of_the_plane(results: Results) -> list[Cell]:
    cells_, extent = results.settings["cells"], results.settings["extent"]
    label = results.values("cplane")["classes"][0]
    return [
        Cell(
            "The latent plane, decoded (C7). Try another `extent`: what is far outside?",
            f'vae.figure("latent-grid", cells={cells_}, extent={extent})',
        ),
        Cell(
            "Where the encoder puts the training images (C10).",
            'vae.figure("latent-scatter", split="train", legend="colorbar")',
        ),
        Cell(
            "The CVAE's plane for one class (C15). Try another label.",
            f'cvae.figure("latent-grid", cells={cells_}, extent={extent}, label={label})',
        ),
        Cell("And its scatter (C16).", 'cvae.figure("latent-scatter", split="train", legend="colorbar")'),
    ]


def _of_any_size(results: Results) -> list[Cell]:
    return [
        Cell(
            "Images at places of your own choice: change the numbers.",
            "import torch\nfrom vaelab import plots\n\n"
            f"z = torch.tensor([{_numbers(results.config('vae').model.latent)}])\n"
            "plots.image_grid(vae.model.decode(z).mean.detach(), columns=3)",
        ),
        Cell(
            "The label of an image changed, its style kept (C19): every row one image, every column a label.",
            "from vaelab.applications.transfer import transfer\n\n"
            'few = cvae.split("test").take(torch.arange(5))\nimages = transfer(cvae.model, few, "grey")\n'
            "plots.image_grid(images.flatten(0, 1), columns=images.shape[1], column_labels=list(cvae.class_names))",
        ),
        Cell(
            "The probability of each label of a few images by Bayes' rule (C18): each row adds up to 1.",
            "from vaelab.applications.classification import label_bounds\n\n"
            'bounds = label_bounds(cvae.model, few, "grey")\nbounds.softmax(1).round(decimals=3)',
        ),
    ]


def _numbers(latent: int) -> str:
    """Three places, the first number rising."""
    places = ([first, -0.5, *[0.0] * latent][:latent] for first in (-1.0, 0.0, 1.0))
    return ", ".join(str(place) for place in places)
