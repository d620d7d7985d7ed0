"""What the label does in the CVAE: classification, transfer, the bound with and without it; and where z comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from vaelab import plots
from vaelab.applications.classification import label_bounds
from vaelab.applications.judge import Judge
from vaelab.applications.latent import some_rows
from vaelab.applications.style import image_styles
from vaelab.applications.transfer import transfer
from vaelab.data.images import ImageData
from vaelab.data.pixels import prepare_fixed
from vaelab.data.progress import increments
from vaelab.errors import DataError
from vaelab.metrics import Metric
from vaelab.randomness import generator
from vaelab.run import Run
from vaelab.studies.context import Context
from vaelab.studies.judging import judge_of
from vaelab.tasks.classify import classify_run
from vaelab.tasks.transfer import transfer_labels
from vaelab.vae import VAE


def measure_classification(ctx: Context) -> Mapping[str, Any]:
    """Bayes' rule with the CVAE; ``options["samples"]`` of z for each image and label."""
    run, samples = ctx.run("cvae"), ctx.options["samples"]
    result = classify_run(run, samples=samples, seed=ctx.settings.seed, progress=ctx.progress)
    drawn = {file.stem for file in result.files}
    confused = result.counts.copy()
    confused[range(len(confused)), range(len(confused))] = 0
    place = int(confused.argmax())
    names = list(result.class_names)
    return {
        **result.metrics,
        "samples": samples,
        "errors": "classification-errors" in drawn,
        "most_confused": [names[place // len(names)], names[place % len(names)], int(confused.max())],
        "wrong": int(confused.sum()),
    }


def measure_transfer(ctx: Context) -> Mapping[str, Any]:
    """Images with every label: drawn, judged, and whether their style is the source's.

    ``options``: ``rows`` of the sheet, ``images`` that are measured.
    """
    run, seed = ctx.run("cvae"), ctx.settings.seed
    sheet = ctx.store.figure_path(ctx.step.name, "sheet")
    transfer_labels(run, count=ctx.options["rows"], seed=seed, out=sheet)
    data = _labelled(run.split("test"))
    data = data.take(some_rows(len(data), max(2, ctx.options["images"]), seed))
    with ctx.progress("changing labels", len(data)) as advance:
        images = transfer(run.model, data, run.config.data.variant, seed=seed, progress=increments(advance))
    assert data.labels is not None
    labels = data.labels.cpu()
    judge = judge_of(ctx)
    return {
        **judged(judge, images, labels),
        **style_kept(images, data.images, labels, seed),
        "class_names": list(run.class_names),
    }


def judged(judge: Judge, images: Tensor, labels: Tensor) -> dict[str, Any]:
    """How often a judge sees the wanted label in ``images (n, classes, …)``; apart for own and for other labels."""
    n, classes = images.shape[:2]
    seen = judge.log_probabilities(images.flatten(0, 1)).argmax(1).view(n, classes)
    wanted = torch.arange(classes).expand(n, classes)
    own = wanted == labels[:, None]
    right = (seen == wanted).double()
    source = (seen == labels[:, None]) & ~own
    others = right.masked_fill(own, 0).sum(1) / (classes - 1)
    return {
        # The images of one source are no independent ones: means of each source first.
        "judged_new": Metric.mean(others, "share of images", "changed images that a judge sees the new label in"),
        "judged_old": Metric.mean(source.double().sum(1) / (classes - 1), "share of images", "… the old label in"),
        "judged_own": Metric.mean(
            right[own], "share of images", "images decoded with their own label: reconstructions"
        ),
        "sources": n,
    }


def style_kept(images: Tensor, sources: Tensor, labels: Tensor, seed: int) -> dict[str, Any]:
    """Whether ``images (n, classes, …)`` of one source are alike beyond their labels, for every measure of style.

    ``kept``: the mean correlation, over the pairs of labels, of the style of the same sources: 1 where the style of one
    label's images tells that of another's, 0 where it does not. ``shuffled``: the same where every label has its
    sources in another order. ``source``: the mean correlation with the style of ``sources (n, …)`` themselves, the mean
    of each of their classes (``labels (n,)``) taken out.
    """
    n, classes = images.shape[:2]
    order = torch.stack([torch.randperm(n, generator=generator(seed, "cpu", "style", c)) for c in range(classes)], 1)
    own = image_styles(sources)
    found: dict[str, Any] = {}
    for name, values in image_styles(images.flatten(0, 1)).items():
        table, source = _finite(values.view(n, classes)), _finite(own[name][:, None])
        found[name] = {"kept": _alike(table), "shuffled": _alike(table.gather(0, order))}
        first, rest = _without_classes(source, labels), _without_classes(table, labels)
        found[name]["source"] = float((_scaled(first).T @ _scaled(rest)).mean())
    return {"style": found}


def _finite(table: Tensor) -> Tensor:
    """An image without ink has no slant: the column's mean in its place."""
    means: Tensor = table.nanmean(0).nan_to_num()
    return torch.where(table.isfinite(), table, means)


def _without_classes(table: Tensor, labels: Tensor) -> Tensor:
    """Each class's mean taken out of ``table (n, columns)``."""
    rest = table.clone()
    for label in torch.bincount(labels).nonzero().flatten().tolist():
        rest[labels == label] -= table[labels == label].mean(0)
    return rest


def _scaled(table: Tensor) -> Tensor:
    """Columns with mean 0 and length 1; of one that does not vary, 0."""
    centred = table - table.mean(0)
    scaled: Tensor = centred / centred.norm(dim=0).clamp(min=1e-9)
    return scaled


def _alike(values: Tensor) -> float:
    """The mean correlation of two columns of ``(n, classes)``; of columns that do not vary, 0.

    >>> round(_alike(torch.tensor([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], dtype=torch.float64)), 6)
    1.0
    """
    scaled = _scaled(values)
    correlation = scaled.T @ scaled
    classes = len(correlation)
    return float((correlation.sum() - correlation.trace()) / (classes * (classes - 1)))


def measure_without_label(ctx: Context) -> Mapping[str, Any]:
    """What the label is worth in nats: the CVAE's bound where the label is not given, beside the other two bounds.

    log p(x) ≥ log Σ_y p(y) exp(ELBO(x|y)), so a CVAE is also a model of images without labels: a mixture of one model
    a class. ``options["images"]`` of the test images.
    """
    run, seed = ctx.run("cvae"), ctx.settings.seed
    data = _labelled(run.split("test"))
    data = data.take(some_rows(len(data), max(2, ctx.options["images"]), seed))
    with ctx.progress("bounds of every label", len(data)) as advance:
        bounds = label_bounds(
            run.model, data, run.config.data.variant, bound="elbo", samples=1, seed=seed, progress=increments(advance)
        )
    assert data.labels is not None
    assert run.data.train.labels is not None
    counts = torch.bincount(run.data.train.labels.clamp(min=0).cpu(), minlength=bounds.shape[1]).double()
    log_prior = (counts / counts.sum()).log()
    mixture = -(bounds + log_prior).logsumexp(1)
    given = -bounds.gather(1, data.labels.cpu()[:, None])[:, 0]
    words = "test split, upper bound on −log p(x) by all labels' ELBO, one sample of z for each image and label"
    shares = counts[counts > 0] / counts.sum()
    return {
        "without_label": Metric.mean(mixture, "nats per image", words),
        "with_label": Metric.mean(given, "nats per image", "test split, −ELBO given the label, the same images"),
        "price": Metric.mean(mixture - given, "nats per image", "without the label less with it"),
        "entropy": float(-(shares * shares.log()).sum()),
    }


def measure_search(ctx: Context) -> Mapping[str, Any]:
    """z without an encoder, as for a GAN: a search by gradient for the z whose decoded image is closest.

    ``options``: ``images``, ``steps`` of Adam (rate 0.1) from one draw of the prior each.
    """
    run, seed, steps = ctx.run("vae"), ctx.settings.seed, ctx.options["steps"]
    data = run.split("test")
    data = data.take(some_rows(len(data), max(2, ctx.options["images"]), seed))
    x = prepare_fixed(data.images, run.config.data.variant, seed).to(run.device)
    model = _vae(run)
    with ctx.progress("searching z", steps) as advance:
        start, found, first, last = search(model, x, steps, seed, increments(advance))
    encoder = model.embed(x)
    with torch.no_grad():
        own = -model.decode(encoder).log_prob(x).double().cpu()
    worse = (last > own + 10).double()
    images = [x, model.decode(encoder).mean, model.decode(start).mean, model.decode(found).mean]
    shown = torch.cat([part[:10].detach().cpu().clamp(0, 1) for part in images])
    names = ["image", "decoded at the encoder's z", "where the search starts", f"after {steps} steps"]
    columns = min(10, len(x))
    ctx.figure("search", plots.image_grid(shown, columns, names, title="z for an image: by the encoder, by a search"))
    unit = "nats per image"
    return {
        "encoder": Metric.mean(own, unit, "−log p(x|z) at the posterior mean, one pass of the encoder"),
        "start": Metric.mean(first, unit, "−log p(x|z) at a draw of the prior"),
        "search": Metric.mean(last, unit, f"−log p(x|z) after {steps} steps of Adam on z"),
        "stuck": Metric.mean(worse, "share of images", "searches that end more than 10 nats above the encoder's z"),
        "better": Metric.mean((last < own).double(), "share of images", "searches that end below the encoder's z"),
        "steps": steps,
    }


def search(
    model: VAE, x: Tensor, steps: int, seed: int, advance: Callable[[int], None]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Start, end ``(n, latent)``, and −log p(x|z) there ``(n,)``, of Adam on z with the decoder alone."""
    start = torch.randn(len(x), model.latent, generator=generator(seed, "cpu", "search")).to(x.device)
    z = start.clone().requires_grad_()
    model.requires_grad_(False)
    optimizer = torch.optim.Adam([z], lr=0.1)
    first = None
    for step in range(steps):
        nats = -model.decode(z).log_prob(x)
        first = nats.detach() if first is None else first
        optimizer.zero_grad()
        nats.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        advance(step + 1)
    with torch.no_grad():
        last = -model.decode(z).log_prob(x)
    assert first is not None
    return start, z.detach(), first.double().cpu(), last.double().cpu()


def _vae(run: Run) -> VAE:
    assert isinstance(run.model, VAE)
    return run.model


def _labelled(data: ImageData) -> ImageData:
    """The images whose label is known."""
    if data.labels is None or not bool((data.labels >= 0).any()):
        raise DataError(f"{data.name}: expected labelled test images, got none; give labelled data")
    return data.take(torch.nonzero(data.labels >= 0)[:, 0])
