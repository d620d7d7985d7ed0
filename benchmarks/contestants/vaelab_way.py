"""vaelab by its public functions, with its presets as they are."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import harness
import numpy as np
import torch

from vaelab import build_model, fit, presets, recipes
from vaelab.applications.classification import label_bounds
from vaelab.data import ImageData
from vaelab.evaluation import embed as posterior_means
from vaelab.evaluation import evaluate_bounds, log_likelihood


def pixels(order: SimpleNamespace, split: str = "train") -> ImageData:
    """The images as vaelab holds them; of another size where the order says so."""
    x = torch.from_numpy(harness.images(order, split)).unsqueeze(1)
    if (times := getattr(order, "times", 1)) > 1:  # so many times as wide and high
        x = x.repeat_interleave(times, 2).repeat_interleave(times, 3)
    return ImageData("images", x)


def model_for(data: ImageData, preset: str = "conv-vae", seed: int = 0) -> Any:
    """A model of the preset for these images."""
    config = presets.get(preset).with_changes(model={"image_shape": list(data.image_shape), "classes": 10})
    return build_model(config.model, seed)


def epoch(order: SimpleNamespace) -> dict[str, Any]:
    """One epoch of the first images, as the preset conv-vae trains, at another batch size."""
    data = pixels(order)
    changes = {"batch_size": order.batch, "epochs": 1, "seed": order.seed}
    config = presets.get("conv-vae").with_changes(training=changes).training
    few = ImageData("few", data.images[: 2 * order.batch])
    fit(model_for(data), few, config)
    model = model_for(data, seed=order.seed)
    seconds, training = harness.timed(lambda: fit(model, data, config))
    return {"seconds": seconds, "device": str(training.device)}


def quality(order: SimpleNamespace) -> dict[str, Any]:
    """The recipe fast, all of it, then the test −ELBO: nats per image, one draw of z for each."""
    data = pixels(order)
    config = recipes.apply(presets.get("conv-vae"), "fast").with_changes(training={"seed": order.seed}).training
    model = model_for(data, seed=order.seed)
    fit(model_for(data), ImageData("few", data.images[: 2 * config.batch_size]), config)
    seconds, _ = harness.timed(lambda: fit(model, data, config))
    test = ImageData("test", torch.from_numpy(np.load(f"{order.data}/test.npy")).unsqueeze(1))
    scores = evaluate_bounds(model, test, "grey").negative_elbo
    assert scores is not None
    loss = float(scores.mean())
    return {"seconds": seconds, "losses": [loss], "reached": loss <= order.target, "epochs": config.epochs}


def likelihood(order: SimpleNamespace) -> dict[str, Any]:
    """log p(x) by importance weighting."""
    data = pixels(order, "test")
    model = model_for(data)
    return {"seconds": harness.timed(lambda: log_likelihood(model, data, "grey", samples=order.samples))[0]}


def embed(order: SimpleNamespace) -> dict[str, Any]:
    """Posterior means."""
    data = pixels(order)
    model = model_for(data)
    return {"seconds": harness.timed(lambda: posterior_means(model, data, "grey"))[0]}


def classify(order: SimpleNamespace) -> dict[str, Any]:
    """The ELBO of one draw for every class: what the sheet's way computes."""
    data = pixels(order, "test")
    model = model_for(data, "conv-cvae")
    return {"seconds": harness.timed(lambda: label_bounds(model, data, "grey", bound="elbo", samples=1))[0]}


def detect(order: SimpleNamespace) -> dict[str, Any]:
    """PyOD's networks and one epoch through the scikit-learn face, then scores of the test images."""
    from vaelab import VAEOutlierDetector

    x = harness.images(order).reshape(-1, 784).astype("float32") / 255
    other = harness.images(order, "test").reshape(-1, 784).astype("float32") / 255
    settings: Any = {"latent": 2, "hidden": (256, 64), "samples": 1, "epochs": 1, "batch_size": order.batch}
    VAEOutlierDetector(**settings, random_state=order.seed).fit(x[: 2 * order.batch])  # to warm up
    detector = VAEOutlierDetector(**settings, random_state=order.seed)
    seconds, _ = harness.timed(lambda: detector.fit(x))
    begin = time.perf_counter()
    detector.score_samples(other)
    return {"seconds": seconds, "scoring": time.perf_counter() - begin}


if __name__ == "__main__":
    works = (epoch, quality, likelihood, embed, classify, detect)
    harness.serve({work.__name__: work for work in works})
