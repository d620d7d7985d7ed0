"""The head of the report: what came out, against what should; and the notebook."""

from __future__ import annotations

from collections.abc import Sequence

from vaelab.report.blocks import Verdict
from vaelab.studies.conv_cvae.words import NAMES, SHEET, SHEET_UNIT, is_the_sheets, nats, number, plus_minus, share
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
        f"trained for {config.training.epochs} epochs at batch "
        f"size {config.training.batch_size}: {nats(vae)} and {nats(cvae)} per test image. From z alone, 15 nearest "
        f"neighbours tell {share(knn[0])} of the "
        f"classes in the VAE and {share(knn[1])} in the CVAE, whose label makes z free for style; the CVAE "
        f"classifies {share(accuracy)} of the test images by Bayes' rule. "
        f"The aggregate posterior of the VAE is {nats(marginal, 3)} from N(0, I)."
    )
    if agreement:
        text += (
            f" Trained again from another seed, the latent space is another one: after the best rotation R² is "
            f"{number(min(agreement))}{'' if len(agreement) == 1 else ' to ' + number(max(agreement))}."
            if min(agreement) < 0.95
            else " Trained again from another seed, the latent space is the same up to a rotation (R² at least "
            f"{number(min(agreement))})."
        )
    return Summary(text, verdicts(results), [("plane", "scatter"), ("cplane", "scatter")])


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
            f"loss terms on {len(cases)} hand cases", f"largest difference {worst:.0e} nats", "< 1e-05", worst < 1e-5
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
    settings = results.settings
    cells_, extent, label = settings["cells"], settings["extent"], results.values("cplane")["classes"][0]
    plane = results.values("plane")["plane"]
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
    if plane:
        found += [
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
    found += [
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
            "The ten (or so) most likely labels of a few images by Bayes' rule (C18): each row adds up to 1.",
            "from vaelab.applications.classification import label_bounds\n\n"
            'bounds = label_bounds(cvae.model, few, "grey")\nbounds.softmax(1).round(decimals=3)',
        ),
    ]
    return found


def _numbers(latent: int) -> str:
    """Three places, the first number rising."""
    places = ([first, -0.5, *[0.0] * latent][:latent] for first in (-1.0, 0.0, 1.0))
    return ", ".join(str(place) for place in places)
