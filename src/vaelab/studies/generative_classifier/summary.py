"""The report's beginning, and the notebook."""

from __future__ import annotations

from collections.abc import Sequence

from vaelab.report.blocks import Verdict
from vaelab.studies.generative_classifier.words import (
    falls,
    label_worth,
    level,
    nats,
    of_sizes,
    several,
    share,
    sizes_of,
)
from vaelab.studies.results import Results
from vaelab.studies.study import Cell, Summary
from vaelab.studies.words import counted, error_of, listed, metric, percent

TARGET = 0.985
"""Accuracy that we want the generative classifier to reach on MNIST; the sheet asks for none."""


def summarise(results: Results) -> Summary:
    """What was trained and what came out."""
    sizes = [str(size) for size in sizes_of(results)]
    vae, cvae = results.values("vae-2"), results.values("cvae-2")
    found = results.values("classification")
    space, conditional = results.values("space-vae"), results.values("space-cvae")
    environment = results.environment("vae-2")
    text = (
        f"On {counted(environment['train'], 'training image')} a VAE and a conditional VAE, one and the same class of "
        f"the library without and with a label as its condition, were trained with {listed(sizes)} latent dimensions, "
        "and a conditional VAE that classifies. With 2 dimensions the VAE's test −ELBO, a bound on −log p(x), is "
        f"{nats(vae, 'negative_elbo')} nats, and the CVAE's, a bound on −log p(x|c), {nats(cvae, 'negative_elbo')}; of "
        f"the difference the label is worth at most {label_worth(results.values('one-class')['classes'])}. From z, "
        f"nearest neighbours tell the class of {share(space, 'knn_accuracy')} of the test images in the VAE and of "
        f"{share(conditional, 'knn_accuracy')} in the CVAE. By Bayes' rule with importance sampling the CVAE "
        f"classifies {share(found['importance'], 'accuracy', 2)} correctly."
    )
    return Summary(text, _verdicts(results), (("plane", "grid"), ("failures", "map")))


def _verdicts(results: Results) -> Sequence[Verdict]:
    found, judge = results.values("classification"), results.values("judge")
    mnist = results.settings.data == "mnist" and not results.settings.quick
    accuracy = metric(found["importance"], "accuracy")
    vae, cvae = (results.values(name) for name in ("vae-2", "cvae-2"))
    label, real = of_sizes(results, "cvae", "label_accuracy")[2], metric(judge, "judge_accuracy")
    return [
        Verdict("accuracy of the generative classifier, importance sampling", percent(accuracy, 2),
                f"≥ {100 * TARGET:.1f} %, our aim" if mnist else "none set for this data",
                accuracy.value >= TARGET if mnist else None),
        Verdict("the same by the ELBO", share(found["elbo"], "accuracy", 2), "to compare", None),
        Verdict("test −ELBO with 2 dimensions: CVAE", f"{nats(cvae, 'negative_elbo')} nats per image",
                f"to compare: this bounds −log p(x|c), the VAE's {nats(vae, 'negative_elbo')} −log p(x)", None),
        _best_size(results),
        Verdict("CVAE samples that show the label asked for, 2 dimensions", percent(label),
                f"the judge's share of real images, {percent(real)}, within two standard errors or above",
                label.value >= real.value - 2 * error_of(label, real)),
    ]  # fmt: skip


def _best_size(results: Results) -> Verdict:
    """Judged where sizes were compared, and not by a quick study's short trainings."""
    found = of_sizes(results, "vae", "negative_elbo")
    best = level(found)
    judged = len(found) > 1 and max(found) > 2 and not results.settings.quick
    larger = [one for size, one in found.items() if size > 2]
    met = any(falls(found[2], one) for one in larger) if judged else None
    words = several(best) if len(best) == 1 else f"{several(best)}, alike within two standard errors"
    return Verdict("best latent size of the VAE by −ELBO", words, "more than 2", met)


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
