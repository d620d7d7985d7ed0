"""A report of all blocks with content like a study's, drawn from nothing but arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vaelab.report.blocks import (
    Answer,
    Block,
    Facts,
    Formula,
    Listing,
    Picture,
    Plane,
    Report,
    Section,
    Table,
    Text,
    Verdict,
)
from vaelab.report.plane import PALETTE

NASTY = "<script>alert(1)</script>'\"</script><!-- & \u2028 `<b>`"
"""Where it is shown, it must be shown as it is."""


def sample(folder: Path, names: tuple[str, ...] = tuple("0123456789"), points: int = 1500) -> Report:
    """The sheet C study as it might look; its pictures are written into ``folder``."""
    return Report(
        title="Convolutional VAE and conditional VAE",
        subtitle="Sheet C on mnist, study conv-cvae.",
        summary="Two models with the sheet's own networks were trained on 60,000 images for 10 epochs: a VAE and a "
        "conditional VAE, both with two latent dimensions.\n\nThe VAE reaches 151.09 ± 0.50 nats per image on the "
        "10,000 test images, the CVAE 127.96 ± 0.48. The sheet divides by its batch size of 32: it would print 4.722 "
        "and 3.999.\n\n- Digits can be told from `z` with 72.4 % accuracy.\n- Retraining gives another latent space.",
        verdicts=_verdicts(),
        sections=[
            Section("networks", "The networks and the two terms of the loss", ("C1", "C2", "C4"), _networks()),
            Section("training", "Training", ("C5", "C6"), _training(folder)),
            Section("plane", "The latent plane", ("C7", "C8", "C10"), _plane(folder, names, points)),
            Section("again", "Does retraining give the same latent space?", ("C9", "C8"), _again(folder, names)),
        ],
        facts=_facts(),
        highlights=[_picture(folder, "highlight", "Test images and what the VAE makes of them.")],
    )


def nasty(folder: Path) -> Report:
    """The same with hostile text wherever there is text."""
    plain = sample(folder, tuple(f"{NASTY} {digit}" for digit in range(10)))
    picture = _picture(folder, "nasty", NASTY, NASTY)
    blocks: list[Block] = [
        Text(NASTY),
        Answer(NASTY, NASTY),
        Formula(NASTY),
        picture,
        Table([NASTY, NASTY], [[NASTY, "1.0"], [NASTY, "2.0"]], NASTY),
        Listing(NASTY, NASTY),
    ]
    facts = Facts(NASTY, NASTY, {NASTY: NASTY}, 0, [(NASTY, 1.0)], [(NASTY, NASTY), ("javascript:alert(1)", "a file")])
    verdicts = [Verdict(NASTY, NASTY, NASTY, None)]
    section = Section('x" onclick="alert(1)', NASTY, (NASTY, 'C1"><b>'), blocks)
    return Report(NASTY, NASTY, NASTY, verdicts, [section, *plain.sections, section], facts, [picture])


def _verdicts() -> list[Verdict]:
    return [
        Verdict("test −ELBO of the VAE", "151.09 ± 0.50 nats per image", "≤ 155.9 nats (the sheet)", True),
        Verdict("test −ELBO of the CVAE", "127.96 ± 0.48 nats per image", "≤ 131.8 nats (the sheet)", True),
        Verdict("accuracy of the generative classifier", "88.12 ± 0.32 %", "≥ 90 %", False),
        Verdict("linear accuracy from z", "61.70 ± 0.49 %", "", None),
    ]


def _networks() -> list[Block]:
    return [
        Text(
            "The encoder is two convolutions of stride 2 and a linear layer; the decoder is its mirror image. "
            "Both are the sheet's, layer by layer: `conv1.weight` has the shape (32, 1, 3, 3)."
        ),
        Formula("−ELBO(x) = E_q[−log p(x|z)] + KL(q(z|x) ‖ N(0, I))"),
        Formula("KL = ½ Σ_i (μ_i^2 + σ_i^2 − 1 − log σ_i^2)"),
        Answer(
            "Why does the encoder output log-variance and not the standard deviation?",
            "A standard deviation must be positive, and a linear layer's output is not: in this run 49.8 % of the raw "
            "outputs were negative. Log-variance takes every real value.\n\nIn 3 of 5 runs with a plain standard "
            "deviation the loss was not a number after at most 112 steps; with log-variance it never was.",
        ),
        Table(
            ["case", "by hand", "vaelab", "difference"],
            [["μ = 0, log σ² = 0", "0", "0.000000", "0"], ["μ = 1, log σ² = 0", "0.5", "0.500000", "1.2e-8"]],
            "The closed form of the KL term on the sheet's cases.",
        ),
    ]


def _training(folder: Path) -> list[Block]:
    sizes = (2, 4, 8, 16, 32)
    columns = ["model", "latent", "−ELBO", "reconstruction", "KL", "active", "seconds", "sheet's unit", "protocol"]
    rows = [
        [
            f"VAE with {d} latent dimensions",
            f"{d}",
            f"{160 - 9 * np.log(d):.2f} ± 0.50",
            f"{155 - 12 * np.log(d):.2f} ± 0.51",
            f"{5 + 3 * np.log(d):.2f} ± 0.02",
            f"{min(d, 14)}",
            f"{30 + d:.1f} s",
            f"{(160 - 9 * np.log(d)) / 32:.3f}",
            "grey pixels, Bernoulli, test",
        ]
        for d in sizes
    ]
    return [
        _picture(folder, "curves", "The loss falls in all ten epochs; test follows training.", "Two falling curves."),
        Table(columns, rows, "More latent dimensions: better reconstructions, larger KL. Nats per image.", bold=[0]),
        Listing("vaelab train --preset sheet-c-vae --data mnist --epochs 10 --out runs/vae", "The same by hand"),
    ]


def _plane(folder: Path, names: tuple[str, ...], points: int) -> list[Block]:
    z, labels, images = latent(points)
    labels %= len(names)
    file = folder / "plane.png"
    _save(file, _dots(z, labels))
    still = Picture(
        file,
        "Test images at their posterior mean, one colour a class. Ones lie far from zeros.",
        "Scatter of 1,500 encoded test images in ten clusters.",
    )
    return [
        Plane(z, images, labels, names, still),
        Answer(
            "Can digits be classified from z?",
            "Mostly. A linear classifier on two numbers is right for 61.7 ± 0.5 % of the test images, the ten nearest "
            "neighbours for 72.4 ± 0.4 %. What it confuses overlaps in the plane: 4 with 9, and 3 with 5.",
        ),
        _picture(folder, "grid", "The decoder over the plane, from −2 to 2.", width=6.0, height=6.2),
    ]


def _again(folder: Path, names: tuple[str, ...]) -> list[Block]:
    columns = ["true \\ predicted", *(name[:12] for name in names)]
    rows = [[str(i), *(str((i * j * 7) % 980) for j in range(len(names)))] for i in range(len(names))]
    return [
        Text("Five seeds, compared in pairs."),
        _picture(folder, "seeds", "The same images in five runs.", width=3.0, height=2.2),
        Table(columns, rows, "Confusion matrix."),
        Table(
            ["accuracy (%)", *(f"{labels:,} labels" for labels in (10, 30, 100, 300, 1000, 3000, 10000, 60000))],
            [
                [f"{method} on {what}", *(f"{60 + 4 * place:.2f} ± {3 / (place + 1):.2f}" for place in range(8))]
                for method in ("random forest", "support vector machine", "MLP")
                for what in ("VAE representations", "denoising representations")
            ],
            "Test accuracy against the number of labels.",
        ),
    ]


def _facts() -> Facts:
    names = ["VAE", "CVAE", *(f"VAE, seed {seed}" for seed in range(1, 12))]
    return Facts(
        command="vaelab study run conv-cvae --data mnist --jobs 2 --seed 0 --out studies/conv-cvae",
        configuration='data = "mnist"\nseed = 0\n\n[options]\nepochs = 10  # of every model\ngrid = 31'
        '\n\n[models."vae".training]\nbatch_size = 32\nlearning_rate = 0.001',
        versions={"vaelab": "0.1.0", "Python": "3.11.2", "torch": "2.10.0", "machine": "Linux x86_64"},
        seed=0,
        steps=[(f"Train {name}", 62.0 + place * 7.31) for place, name in enumerate(names)],
        files=[(f"runs/{name}/history.csv".replace(" ", "-"), f"losses of every epoch: {name}") for name in names],
    )


def _picture(
    folder: Path, name: str, caption: str, alt: str = "Waves.", width: float = 6.3, height: float = 2.0
) -> Picture:
    file = folder / f"{name}.png"
    x, y = np.meshgrid(np.linspace(0, width, round(width * 150)), np.linspace(0, height, round(height * 150)))
    waves = np.sin(3 * x + len(name)) * np.cos(2 * y + sum(name.encode()))
    image = Image.fromarray((127 + 120 * waves).astype(np.uint8)).convert("RGB")
    ImageDraw.Draw(image).text((20, 20), name, fill="#ffffff", font_size=40)
    _save(file, image)
    return Picture(file, caption, alt)


def _dots(z: NDArray[np.float32], labels: NDArray[np.int64]) -> Image.Image:
    image = Image.new("RGB", (945, 800), "#ffffff")
    pen = ImageDraw.Draw(image)
    pen.rectangle((40, 40, 905, 760), outline="#555555", width=2)
    for (x, y), label in zip(z, labels, strict=True):
        pen.circle((472 + 110 * x, 400 - 110 * y), 4, fill=PALETTE[label % len(PALETTE)])
    return image


def _save(file: Path, image: Image.Image) -> None:
    image.save(file, dpi=(150, 150))


def latent(points: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.uint8]]:
    """Ten clusters, and images of bars that lean as far as they lie to the right."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, points)
    angle = 2 * np.pi * labels / 10
    centres = np.stack([2.2 * np.cos(angle), 1.6 * np.sin(angle)], axis=1)
    z = (centres + 0.45 * generator.standard_normal((points, 2))).astype(np.float32)
    row, column = np.mgrid[0:28, 0:28]
    middle = 14 + z[:, :1, None] * (row - 14) / 8
    width = (1.5 + labels / 4)[:, None, None]
    images = 255 * np.clip(1.5 - np.abs(column - middle) / width, 0, 1) * ((row > 3) & (row < 24))
    return z, labels.astype(np.int64), images.astype(np.uint8)
