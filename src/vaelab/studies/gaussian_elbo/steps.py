"""What the study does: one Gaussian VAE to train, a classifier of real images as a judge, and measurements on both."""

from __future__ import annotations

from collections.abc import Mapping

from vaelab.config import RunConfig
from vaelab.errors import UsageError
from vaelab.specs import Spec
from vaelab.studies.gaussian_elbo import bound, lines, networks, samples, sizes
from vaelab.studies.judging import judge_step
from vaelab.studies.settings import Settings
from vaelab.studies.study import Measure, Option, Step, Train

OPTIONS: Mapping[str, Option] = {
    "latent": Option(24, 8, "latent dimensions"),
    "epochs": Option(14, 4, "epochs of training"),
    "batch_size": Option(64, 16, "images in a batch"),
    "lr": Option(2e-3, 3e-3, "peak of the one-cycle learning rate"),
    "checked_images": Option(500, 100, "test images whose bound is computed a second time, by the formulas", least=2),
    "judge_steps": Option(2000, 200, "training steps of the classifier that judges samples"),
    "samples": Option(1000, 200, "samples from the prior that are judged", least=10),
    "sizes": Option((4, 10), (2,), "latent dimensions of further models, to be compared", least=0),
    "sizes_epochs": Option(7, 1, "epochs of those"),
    "encoded_images": Option(10_000, 1000, "test images whose posteriors are compared with the prior", least=100),
    "pairs": Option(3, 3, "pairs of images of different classes whose way is shown"),
    "points": Option(10, 10, "images along a way, ends included", least=2),
    "ways": Option(300, 30, "pairs of images of different classes whose ways are measured", least=2),
}


def config(settings: Settings) -> RunConfig:
    """The VAE's configuration; `UsageError` where its density is not the sheet's kind."""
    return _config(settings, "vae", settings["latent"], settings["epochs"])


def size_runs(settings: Settings) -> list[tuple[int, str]]:
    """Latent dimensions → run, rising; the study's own model among them."""
    own = config(settings).model.latent
    others = sorted({size for size in settings["sizes"] if size > 0} - {own})
    return sorted([(own, "vae"), *((size, f"vae-latent-{size}") for size in others)])


def _config(settings: Settings, name: str, latent: int, epochs: int) -> RunConfig:
    training = {"epochs": epochs, "batch_size": settings["batch_size"], "lr": settings["lr"]}
    found = settings.config(name, "gaussian-vae", model={"latent": latent}, training=training)
    _check(found)
    return found


def steps(settings: Settings) -> list[Step]:
    """Everything, in a possible order."""
    chosen = config(settings)
    lines_options = {name: settings[name] for name in ("pairs", "points", "ways")}
    runs = size_runs(settings)
    others = [
        Train(name, f"the same with {size} latent dimensions", _config(settings, name, size, settings["sizes_epochs"]),
              cost=150)
        for size, name in runs
        if name != "vae"
    ]  # fmt: skip
    return [
        Train("vae", "the Gaussian VAE", chosen, cost=300),
        *others,
        judge_step(settings.data, settings["judge_steps"], validation=chosen.data.validation, cost=40),
        Measure("network", "layers of the model", ("vae",), networks.measure, cost=1),
        Measure("bound", "the bound, taken apart", ("vae",), bound.measure,
                {"checked": settings["checked_images"]}, cost=15),
        Measure("samples", "samples from the prior, judged", ("vae", "judge"), samples.measure,
                {"samples": settings["samples"], "encoded": settings["encoded_images"]}, cost=30),
        Measure("sizes", "bound and samples of each latent size", (*(name for _, name in runs), "judge"), sizes.measure,
                {"samples": settings["samples"], "runs": runs}, cost=15),
        Measure("lines", "ways between posterior samples", ("vae", "judge"), lines.measure, lines_options, cost=10),
    ]  # fmt: skip


def _check(found: RunConfig) -> None:
    likelihood, variant = Spec.parse(found.model.likelihood), found.data.variant
    fixed = not any(likelihood.options.get(name) for name in ("learned", "heteroscedastic"))
    if likelihood.name != "normal" or not fixed or variant != "dequantised":
        raise UsageError(
            "expected a normal likelihood with one constant σ on dequantised pixels, as the sheet has it, got "
            f"{found.model.likelihood} on {variant} pixels; change the number in normal:std=0.1 alone"
        )
    if found.model.prior != "normal" or found.model.kind != "vae" or found.model.conditional:
        raise UsageError("expected a VAE without condition whose prior is N(0, I), as the sheet has it")
