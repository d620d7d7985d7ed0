"""The summary with its verdicts, and the notebook."""

from __future__ import annotations

from collections.abc import Sequence

from vaelab.report.blocks import Verdict
from vaelab.studies.gaussian_elbo.sample_sections import TARGET
from vaelab.studies.gaussian_elbo.training_sections import best_epoch, epochs
from vaelab.studies.gaussian_elbo.words import nats, share, written
from vaelab.studies.results import Results
from vaelab.studies.study import Cell, Summary
from vaelab.studies.words import metric

ELBO = 780.0
"""Nats per image on MNIST's test images."""

ACCURACY = 0.98
"""Of the judge, on MNIST's test images."""


def summarise(results: Results) -> Summary:
    """What was trained and what came out."""
    bound, run, found = results.values("bound"), results.values("vae"), results.values("samples")
    config = results.config("vae")
    bits = (
        f" ({written(metric(run, 'bits_per_dimension'), 4)} bits per dimension)" if "bits_per_dimension" in run else ""
    )
    rows = epochs(results, "validation")
    best = (
        f"the best of {rows[-1]['epoch']:.0f} epochs by validation is epoch {best_epoch(rows)['epoch']:.0f}"
        if rows
        else ""
    )
    text = (
        f"A VAE with {config.model.latent} latent dimensions, the prior N(0, I) and a Gaussian of σ = "
        f"{bound['sigma']:g} for dequantised pixels was trained by its ELBO{'; ' + best if best else ''}. On the test "
        f"images the ELBO is {nats(bound, 'elbo')} per image{bits}: a reconstruction log-likelihood of "
        f"{nats(bound, 'log_likelihood')} less a KL of {nats(bound, 'kl')}. Of {found['samples']:,} samples from the "
        f"prior {share(found, 'share')} are clearly one class to a classifier trained on real images."
    )
    return Summary(text, _verdicts(results), (("samples", "prior"), ("lines", "ways")))


def _verdicts(results: Results) -> Sequence[Verdict]:
    bound, found, judge = results.values("bound"), results.values("samples"), results.values("judge")
    asked = results.settings.data == "mnist" and not results.settings.quick  # the numbers are MNIST's
    elbo, clear, accuracy = metric(bound, "elbo"), metric(found, "share"), metric(judge, "judge_accuracy")
    sigma = bound["sigma"] == 0.1 or abs(bound["sigma"] - 0.1) < 1e-6
    rows = [
        (f"test ELBO at σ = {bound['sigma']:g}", nats(bound, "elbo", 2) + " per image", f"≥ {ELBO:.0f} nats on MNIST",
         elbo.value >= ELBO if asked and sigma else None),
        ("samples given one class with ≥ 0.9", share(found, "share"), f"≥ {100 * TARGET:.0f} % on MNIST",
         clear.value >= TARGET if asked else None),
        ("the judge's accuracy on real images", share(judge, "judge_accuracy", 2), f"≥ {100 * ACCURACY:.0f} % on MNIST",
         accuracy.value >= ACCURACY if asked else None),
    ]  # fmt: skip
    return [Verdict(*row) for row in rows]


def cells(results: Results) -> Sequence[Cell]:
    """A short tour of the run."""
    return (
        Cell("The trained model. `run.model` is a PyTorch module; `run.data` the splits.",
             'import vaelab\n\nrun = vaelab.Run.open("runs/vae")\nrun.model'),
        Cell("The ELBO of the test images in nats, and in bits per dimension.",
             'metrics = run.evaluate()\nfor name in ("negative_elbo", "reconstruction", "kl", "bits_per_dimension"):\n'
             '    print(name, metrics[name].value, "±", metrics[name].standard_error, metrics[name].unit)'),
        Cell("−ELBO, reconstruction and KL over the epochs.", 'run.figure("curves")'),
        Cell("The constant of a normal density, per pixel: without it the ELBO would be no log-density.",
             f"import math\n\nsigma = {results.values('bound')['sigma']:g}\n-0.5 * math.log(2 * math.pi * sigma**2)"),
        Cell("Samples need a number only: z from the prior, decoded. Another seed gives others.",
             'run.sample(1000).shape'),
        Cell("", 'run.figure("samples", seed=1)'),
        Cell("What a classifier of real images sees in them. It was trained by the study and is read from its data.",
             "import numpy as np\nfrom vaelab.applications.judge import Judge, confident_share\n\n"
             'with np.load("data/judge-weights.npz") as arrays:\n    judge = Judge.from_arrays(dict(arrays))\n'
             'confident_share(judge.probabilities(run.sample(500, seed=1)), "500 samples").value'),
        Cell("Test images and their reconstructions.", 'run.figure("reconstructions")'),
        Cell("The line between posterior samples of two images; try `path=\"spherical\"`, which keeps the length of z.",
             'run.figure("interpolation", count=3, steps=10, draw=True)'),
        Cell("How much each latent dimension says about the image.", 'run.figure("kl-per-dimension")'),
    )  # fmt: skip
