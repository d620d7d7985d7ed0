"""What stands above the report of sheet E, and its notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.applications.representations import METHODS
from vaelab.applications.representations.conclusions import BASELINE
from vaelab.applications.representations.summary import Difference
from vaelab.report.blocks import Verdict
from vaelab.studies.results import Results
from vaelab.studies.semi_supervised.sections_labels import points, same_method
from vaelab.studies.semi_supervised.words import TITLES, data_name, other_name, quantity, share, shares, small
from vaelab.studies.study import Cell, Summary
from vaelab.studies.words import counted, listed, metric


def summarise(results: Results) -> Summary:
    """A few sentences, the key numbers, two pictures."""
    first = results.values("few-labels")["best"][0]
    methods = str(results.settings["methods"]).split("+")
    epochs = results.config("bernoulli").training.epochs
    text = (
        f"Two VAEs with a latent plane, one with a Bernoulli and one with a Gaussian likelihood, were trained on "
        f"{data_name(results)} for {counted(epochs, 'epoch')}. On {other_name(results)} a VAE and a denoising "
        "autoencoder with the same networks learned representations without labels; "
        f"{listed([METHODS[name].title for name in methods])} on them are compared with an MLP on raw pixels. "
        f"With {first['labels']:,} labels the best of them "
        f"({METHODS[first['first']['method']].title} on that of the {TITLES[first['first']['representation']]}, chosen "
        f"with the test images in view) has an accuracy of {share(first['first']['accuracy'])}, an MLP on raw pixels "
        f"{share(first['raw']['accuracy'])}{_same(results, first)}."
    )
    return Summary(text, _verdicts(results), (("plane-bernoulli", "scatter"), ("few-labels", "accuracy")))


def _mlp_on_both(few: Mapping[str, Any], row: Mapping[str, Any]) -> Difference | None:
    """The same method on the representation that is best with so many labels, less that on raw pixels."""
    return same_method(few).get(row["first"]["representation"], {}).get(row["labels"])


def _same(results: Results, row: Mapping[str, Any]) -> str:
    """What is due to the representation alone."""
    both = _mlp_on_both(results.values("few-labels"), row)
    if both is None or row["first"]["method"] == BASELINE:
        return ""
    clear = "clear" if both.clear else "not clear"
    return (
        f"; with an MLP on both sides the gain by that representation is {points(both.mean, both.spread)} percentage "
        f"points, {clear}"
    )


def _verdicts(results: Results) -> list[Verdict]:
    few, terms = results.values("few-labels"), results.values("terms")
    counts = sorted({summary["labels"] for summary in few["summaries"]})
    curves = {(summary["representation"], summary["method"]) for summary in few["summaries"]}
    cells = len(few["summaries"])
    worst = max(abs(case["found"] - case["expected"]) for case in terms["cases"])
    found = [
        Verdict("test −ELBO, Bernoulli", quantity(results.metric("bernoulli", "negative_elbo")), "", None),
        Verdict("test −ELBO, Gaussian", quantity(results.metric("gaussian", "negative_elbo")), "", None),
        Verdict("loss terms: code against hand cases", f"{small(worst)} nats", "≤ 10⁻⁶ nats", worst <= 1e-6),
        Verdict(
            "accuracy against labels",
            f"{cells} of {len(curves) * len(counts)} points",
            "all methods and numbers of labels",
            cells == len(curves) * len(counts),
        ),
    ]
    for row in few["best"]:
        # Of as many classifiers as were tried, the best one; beside it the fair comparison.
        both = _mlp_on_both(few, row)
        found.append(
            Verdict(
                f"best classifier on a representation − MLP on raw pixels, {row['labels']:,} labels",
                f"{points(row['gain']['mean'], row['gain']['spread'])} percentage points"
                + ("" if both is None else f" (an MLP on both: {points(both.mean, both.spread)})"),
                "",
                None,
            )
        )
    samples = metric(results.values("plane-bernoulli")["samples"], "confident")
    found.append(Verdict("draws given one class with ≥ 0.9, Bernoulli", shares(samples), "", None))
    return found


def cells(results: Results) -> Sequence[Cell]:
    """The public calls behind the report."""
    labels = list(dict.fromkeys(row["labels"] for row in results.values("few-labels")["best"]))
    learned = ", ".join(f'"runs/{name}"' for name in ("vae", "denoising"))
    return [
        Cell(
            "## The models\n\nEvery training is a folder.",
            'import vaelab\n\nrun = vaelab.Run.open("runs/bernoulli")\nrun.config',
        ),
        Cell("Its loss on the test images (E6–E8).", 'run.evaluate()["negative_elbo"]'),
        Cell("## The latent plane (E9)\n\nChange the run to `runs/gaussian`.", 'run.figure("latent-scatter")'),
        Cell("", 'run.figure("latent-grid", cells=15, extent=2.5)'),
        Cell(
            "New images (E10): z from N(0, I), decoded.",
            "from vaelab import plots\n\nplots.samples(run.sample(40, seed=1), 10)",
        ),
        Cell(
            "A point of the plane that you choose, for instance in a gap.",
            "import torch\n\nfrom vaelab.applications.latent import decode_at\n\n"
            "z = torch.tensor([[0.0, 0.0], [0.5, 0.5], [-0.5, 0.5]])\nplots.image_grid(decode_at(run.model, z))",
        ),
        Cell(
            "The reparameterisation (E5): z is a function of μ, v and noise.",
            "from vaelab.distributions import DiagonalNormal\n\n"
            "mean = torch.zeros(1, 2, requires_grad=True)\nv = torch.zeros(1, 2, requires_grad=True)\n"
            "noise = torch.randn(1, 1, 2)\nz = DiagonalNormal(mean, v / 2).rsample(noise=noise)\nz.sum().backward()\n"
            "mean.grad, v.grad, 0.5 * noise",
        ),
        Cell(
            "## VAE and denoising autoencoder (E11, E12)",
            'vaelab.Run.open("runs/denoising").figure("reconstructions")',
        ),
        Cell(
            "## Few labels (E13)\n\nWhat was measured is in `few-labels/`; other numbers of labels, seeds or methods "
            "only add to it. Here one more method with few labels.",
            "from vaelab.tasks.semi_supervised import Asked, evaluate_runs\n\n"
            f"runs = [vaelab.Run.open(path) for path in ({learned})]\n"
            f'asked = Asked(labels=({min(labels)},), seeds=1, methods=("logistic-regression", "svm"))\n'
            'report = evaluate_runs(runs, "few-labels-more", asked, jobs=1)\nprint("\\n".join(report.conclusions))',
        ),
    ]
