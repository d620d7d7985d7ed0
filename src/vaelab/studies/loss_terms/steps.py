"""What sheet B asks to train and to measure, and what can be adjusted."""

from __future__ import annotations

from collections.abc import Sequence

from vaelab.studies.judging import judge_step
from vaelab.studies.loss_terms import anomalies, planes, samples, weights
from vaelab.studies.loss_terms.names import MODELS, title
from vaelab.studies.settings import Settings, keep_latent
from vaelab.studies.study import Measure, Option, Step, Train

OPTIONS = {
    "epochs": Option(5, 3, "epochs of the models that are compared"),
    "epochs_longest": Option(15, 6, "epochs of the model that is trained longest, for the anomalies"),
    "hidden": Option((512, 256), (128, 64), "hidden units of the encoders; the decoders have them in reverse"),
    "weight": Option(0.0001, 0.0001, "the sheet's weight of the KL beside a mean over pixels"),
    "latent_wide": Option(32, 16, "latent dimensions of a second model for the anomalies"),
    "samples": Option(1000, 200, "generated images that the judge is asked about", least=10),
    "judge_steps": Option(1000, 200, "training steps of the classifier that judges generated images"),
    "limit": Option(10_000, 1000, "training and test images of a classifier on z", least=100),
    "points": Option(2000, 300, "test images in the interactive plane"),
    "resamples": Option(1000, 100, "bootstrap resamples of an area under the ROC curve", least=10),
}


def objective(loss: str, weight: float) -> str:
    """The objective of each of `names.LOSSES`; ``weight``: the sheet's.

    >>> objective("kl", 0.0001)
    'elbo:reconstruction_weight=0'
    """
    return {
        "reconstruction": "elbo:beta=0",
        "kl": "elbo:reconstruction_weight=0",
        "both": "elbo",
        "sheet": f"elbo:beta={weight},per_pixel=true",
    }[loss]


def steps(settings: Settings) -> Sequence[Step]:
    """In a possible order."""
    return [
        *(_compared(settings, name) for name in MODELS),
        _unconditional(settings, "longest", settings["epochs_longest"], cost=75),
        _unconditional(settings, "wide", settings["epochs"], latent=settings["latent_wide"]),
        judge_step(settings.data, settings["judge_steps"]),
        Measure(
            "weights",
            "the sheet's loss and this one, compared on a batch",
            ("cvae-sheet", "cvae-both"),
            weights.measure,
            {"weight": settings["weight"]},
        ),
        Measure(
            "samples",
            "generated images and what they show",
            ("judge", *MODELS),
            samples.measure,
            {"samples": settings["samples"]},
        ),
        Measure(
            "planes",
            "the test images in the latent planes of all models",
            MODELS,
            planes.measure,
            {name: settings[name] for name in ("limit", "points")},
            cost=25,
        ),
        Measure("inverted", "the test images with dark and light exchanged", (), anomalies.invert, cost=1),
        Measure(
            "anomalies",
            "test images against images of another kind",
            ("longest", "wide", "cvae-sheet", "inverted"),
            anomalies.measure,
            {"against": "" if settings.other == settings.data else settings.other, "resamples": settings["resamples"]},
            cost=40,
        ),
    ]


def _compared(settings: Settings, name: str) -> Train:
    """The networks, batch size and rate are those of the preset of B1; what differs is the label and the loss."""
    kind, _, loss = name.partition("-")
    config = settings.config(
        name,
        "mlp-cvae",
        model={"conditional": kind == "cvae", **_networks(settings)},
        training={"objective": objective(loss, settings["weight"]), "epochs": settings["epochs"]},
    )
    return Train(name, f"{kind.upper()}, {title(name)}", keep_latent(name, config, 2), cost=25)


def _unconditional(settings: Settings, name: str, epochs: int, *, latent: int = 2, cost: float = 25) -> Train:
    """Of an image of another kind nobody knows a label; held-out images set the threshold of an alarm."""
    config = settings.config(
        name,
        "mlp-cvae",
        validation=5000,
        model={"conditional": False, "latent": latent, **_networks(settings)},
        training={"epochs": epochs},
    )
    size, long = config.model.latent, config.training.epochs
    return Train(name, f"VAE, both terms, for the anomalies: {size} latent dimensions, {long} epochs", config, cost)


def _networks(settings: Settings) -> dict[str, str]:
    hidden = settings["hidden"]
    widths = {"encoder": hidden, "decoder": hidden[::-1]}
    return {part: f"mlp:hidden={'/'.join(map(str, sizes))}{'/' * (len(sizes) == 1)}" for part, sizes in widths.items()}
