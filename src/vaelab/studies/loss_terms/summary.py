"""The head of the report and the notebook."""

from __future__ import annotations

from collections.abc import Sequence

from vaelab.report.blocks import Verdict
from vaelab.studies.loss_terms.anomalies import INVERTED
from vaelab.studies.loss_terms.claims import NO_KL, Measured, agree, claims
from vaelab.studies.loss_terms.names import of_kind
from vaelab.studies.loss_terms.words import brief, quantity, written
from vaelab.studies.results import Results, percent
from vaelab.studies.study import Cell, Summary
from vaelab.studies.words import counted


def summarise(results: Results) -> Summary:
    """What was trained and what came out."""
    weights, anomalies = results.values("weights"), results.values("anomalies")
    alone, nothing, both = (Measured.of(results, f"vae-{loss}") for loss in ("reconstruction", "kl", "both"))
    area = results.metric("anomalies", "reconstruction.auroc")
    normal, other = anomalies["names"]
    epochs = results.config("longest").training.epochs
    text = (
        f"A conditional VAE was trained with the sheet's loss, whose weight of {brief(weights['weight'], 4)} beside a "
        f"mean over {weights['pixels']} pixels is a β of {brief(weights['beta'], 4)} in nats, and with the full "
        f"weight. Then the terms were taken apart: with the reconstruction only the KL is {quantity(alone.kl)} and σ "
        f"{quantity(alone.sigma)}; with the KL only it is {quantity(nothing.kl)}, σ {quantity(nothing.sigma)}, and "
        f"{_says(nothing)}; with both it is {quantity(both.kl)}, and −ELBO {written(both.negative_elbo)}. "
        f"Against the textbook: {agree(claims(results))}. As a detector of {other} among {normal} the reconstruction "
        f"loss of the VAE trained for {counted(epochs, 'epoch')} has an AUROC of {area.value:.4f}."
    )
    return Summary(text, _verdicts(results), [("planes", "vae"), ("samples", "cvae-sheet")])


def _says(found: Measured) -> str:
    """What z of the KL term alone tells."""
    if found.kl.value < NO_KL and found.at_chance:
        return "z says nothing"
    return f"nearest neighbours on z find the class of {percent(found.knn, 1)} of the images"


def _verdicts(results: Results) -> list[Verdict]:
    weights = results.values("weights")
    alone, nothing, both = (Measured.of(results, f"vae-{loss}") for loss in ("reconstruction", "kl", "both"))
    same = abs(weights["ratio"] / weights["pixels"] - 1) < 1e-3 and weights["gradient_cosine"] > 0.9999
    asked = results.metric("samples", "cvae-sheet.recognised")
    area = results.metric("anomalies", "reconstruction.auroc")
    found = claims(results)
    held = sum(claim.holds for claim in found)
    w, pixels = weights["weight"], weights["pixels"]
    chance = nothing.chance
    return [
        Verdict(
            "the sheet's weight as β in nats",
            brief(weights["beta"], 4),
            f"{brief(w, 4)} · {pixels} pixels, same gradients",
            same,
        ),
        Verdict(
            "KL, reconstruction term only",
            written(alone.kl),
            "above that of both terms",
            alone.kl.value > both.kl.value,
        ),
        Verdict("KL, KL term only", written(nothing.kl), f"0 (below {NO_KL:g})", nothing.kl.value < NO_KL),
        Verdict("KL, both terms", written(both.kl), "between", nothing.kl.value < both.kl.value < alone.kl.value),
        Verdict(
            "nearest neighbours on z, KL term only",
            percent(nothing.knn, 1),
            f"at chance, {100 * chance:.1f} %",
            nothing.at_chance,
        ),
        Verdict("sentences of theory that hold", f"{held} of {len(found)}", "all", held == len(found)),
        Verdict("samples of the CVAE recognised as their class", percent(asked, 1), "", None),
        Verdict(
            "AUROC of the reconstruction loss", written(area, 4, unit=False), "above 0.5, chance", area.value > 0.5
        ),
    ]


def cells(results: Results) -> Sequence[Cell]:
    """Public API calls, to change and run again."""
    pixels = results.values("weights")["pixels"]
    weight = results.values("weights")["weight"]
    found = [
        Cell(
            "The conditional VAE with the sheet's weight of the KL.",
            'import vaelab\n\nrun = vaelab.Run.open("runs/cvae-sheet")\nrun.config.training.objective',
        ),
        Cell(
            "Its losses on the test images, in nats per image, and the sheet's own unit: a mean over pixels.",
            "metrics = run.evaluate()\n"
            f"weight, pixels = {weight!r}, {pixels}\n"
            'reconstruction, kl = metrics["reconstruction"].value, metrics["kl"].value\n'
            "reconstruction, kl, (reconstruction + weight * pixels * kl) / pixels",
        ),
        Cell("One sample of each class after every epoch (B3).", 'run.figure("class-epochs")'),
        Cell("The training curve (B4).", 'run.figure("loss")'),
        Cell("New images of one class.", 'run.figure("samples", label=0, count=5)'),
        Cell(
            "The same model with each loss (B5): KL and reconstruction, whatever was minimised.",
            f"planes = {{name: vaelab.Run.open(f'runs/{{name}}') for name in {of_kind('vae')!r}}}\n"
            "for name, one in planes.items():\n"
            "    found = one.evaluate()\n"
            "    kl, reconstruction = found['kl'].value, found['reconstruction'].value\n"
            '    print(f"{name:20} KL {kl:8.3f}   reconstruction {reconstruction:7.2f}")',
        ),
    ]
    if results.config("vae-reconstruction").model.latent == 2:
        found += [
            Cell("The reconstruction term only.", 'planes["vae-reconstruction"].figure("latent-scatter")'),
            Cell("The KL term only: look at the axes.", 'planes["vae-kl"].figure("latent-scatter")'),
            Cell("Both.", 'planes["vae-both"].figure("latent-scatter")'),
        ]
    found.append(_anomalies(results))
    return found


def _anomalies(results: Results) -> Cell:
    inverted = results.values("anomalies")["inverted"]
    against = f"data/inverted-{INVERTED}.npz" if inverted else results.settings.other
    code = (
        "from vaelab.tasks.anomaly import detect_anomalies\n\n"
        'longest = vaelab.Run.open("runs/longest")\n'
        f'found = detect_anomalies(longest, {against!r}, scores=["reconstruction"], samples=1, figures=False)\n'
        'found.metrics["auroc_reconstruction"].value'
    )
    return Cell("Anomalies (B6): try another score, `kl` or `negative_elbo`.", code)
