"""The report's beginning, and the notebook."""

from __future__ import annotations

from collections.abc import Sequence

from vaelab.report.blocks import Verdict
from vaelab.studies.generative_classifier.words import counted, listed, metric, nats, number, share, sizes_of, trained
from vaelab.studies.results import Results, percent, written
from vaelab.studies.study import Cell, Summary

TARGET = 0.985
"""Accuracy that the generative classifier should reach on MNIST."""


def summarise(results: Results) -> Summary:
    """What was trained and what came out."""
    sizes = [str(size) for size in sizes_of(results)]
    vae, cvae = results.values("vae-2"), results.values("cvae-2")
    found = results.values("classification")
    space, conditional = results.values("space-vae"), results.values("space-cvae")
    environment = results.environment("vae-2")
    text = (
        f"On {counted(environment['train'], 'training image')} a VAE and a conditional VAE, one class with and without "
        f"a label as its condition, were trained with {listed(sizes)} latent dimensions, and a conditional VAE that "
        f"classifies. With 2 dimensions the VAE's test −ELBO is {nats(vae, 'negative_elbo')} nats and the CVAE's "
        f"{nats(cvae, 'negative_elbo')}. From z, nearest neighbours tell the class of {share(space, 'knn_accuracy')} "
        f"of the test images in the VAE and of {share(conditional, 'knn_accuracy')} in the CVAE. By Bayes' rule with "
        f"importance sampling the CVAE classifies {share(found['importance'], 'accuracy', 2)} rightly."
    )
    return Summary(text, _verdicts(results), (("plane", "grid"), ("failures", "map")))


def _verdicts(results: Results) -> Sequence[Verdict]:
    found, judge = results.values("classification"), results.values("judge")
    mnist = results.settings.data == "mnist" and not results.settings.quick
    accuracy = metric(found["importance"], "accuracy")
    loss = metric(results.values("vae-2"), "negative_elbo"), metric(results.values("cvae-2"), "negative_elbo")
    best = min(sizes_of(results), key=lambda size: number(trained(results, f"vae-{size}"), "negative_elbo"))
    label = metric(trained(results, "cvae-2"), "label_accuracy")
    return [
        Verdict("accuracy of the generative classifier, importance sampling", percent(accuracy),
                f"≥ {100 * TARGET:.1f} %" if mnist else "none set for this data",
                accuracy.value >= TARGET if mnist else None),
        Verdict("the same by the ELBO", share(found["elbo"], "accuracy", 2), "to compare", None),
        Verdict("test −ELBO with 2 dimensions: CVAE", written(loss[1]), f"below the VAE's {loss[0].value:.2f}",
                loss[1].value < loss[0].value),
        Verdict("best latent size of the VAE by −ELBO", str(best), "more than 2",
                None if results.settings.quick else best > 2),
        Verdict("CVAE samples that show the label asked for, 2 dimensions", percent(label, 1),
                f"as many as the judge knows of real images, {share(judge, 'judge_accuracy')}",
                label.value >= number(judge, "judge_accuracy") - 0.03),
    ]  # fmt: skip


def cells(results: Results) -> Sequence[Cell]:
    """The same through the public API, to be changed."""
    chosen = results.values("conditional-plane")["chosen"]
    cell_count = results.settings["cells"]
    largest = sizes_of(results)[-1]
    return [
        Cell("The models of the study are run folders.",
             'import vaelab\n\nvae = vaelab.Run.open("runs/vae-2")\ncvae = vaelab.Run.open("runs/cvae-2")\n'
             "type(vae.model) is type(cvae.model)"),
        Cell("The negative ELBO of the test images and its two terms (A1), in nats per image.",
             "for run in (vae, cvae):\n    found = run.evaluate()\n"
             '    print({name: round(found[name].value, 2) for name in ("negative_elbo", "reconstruction", "kl")})'),
        Cell("Reconstructions (A2) and samples (A3). Another seed, another sample.",
             'vae.figure("reconstructions", count=10)'),
        Cell("", 'cvae.figure("samples-per-class", count=8, seed=1)'),
        Cell(f"More latent dimensions (A4): {largest} in place of 2.",
             f'vaelab.Run.open("runs/vae-{largest}").figure("samples", count=6)'),
        Cell("The latent plane, decoded (A5) and encoded (A6).",
             f'vae.figure("latent-grid", cells={cell_count}, extent=2.5)'),
        Cell("", 'vae.figure("latent-scatter", split="test")'),
        Cell("The CVAE's plane for one label (A9), and its encodings (A10).",
             f'cvae.figure("latent-grid", label={chosen[-1]}, cells={cell_count}, extent=2.5)'),
        Cell("", 'cvae.figure("latent-scatter", split="test")'),
        Cell("Slant, width, thickness, … of images, and how z tells them (A7, A9). `labels` asks within classes.",
             "from vaelab.applications.latent import encode\n"
             "from vaelab.applications.style import fit_style, image_styles\n\n"
             'data = cvae.split("test")\nz = encode(cvae.model, data, "grey").means\n'
             "for name, values in image_styles(data.images).items():\n"
             "    fit = fit_style(z, values, data.labels, resamples=20)\n"
             '    print(f"{name}: R² = {fit.r2:.2f}, direction {fit.angle:.0f}°")'),
        Cell("Classify a few test images by Bayes' rule (A11): log p(x|y) is bounded for every label y.",
             "import torch\n\nfrom vaelab.applications.classification import label_bounds\n\n"
             'classifier = vaelab.Run.open("runs/classifier")\n'
             'few = classifier.split("test").take(torch.arange(200))\n'
             'bounds = label_bounds(classifier.model, few, "grey", bound="importance", samples=10)\n'
             "float((bounds.argmax(1) == few.labels).double().mean())"),
    ]  # fmt: skip
