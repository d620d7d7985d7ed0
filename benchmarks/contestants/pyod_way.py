"""PyOD's VAE detector: fully connected networks of its own, an epoch of fitting with all that `fit` does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import harness
from pyod.models.vae import VAE


def detect(order: SimpleNamespace) -> dict[str, Any]:
    """784–256–64–2–64–256–784, one epoch, then scores of the test images."""
    x = harness.images(order).reshape(-1, 784).astype("float32") / 255
    other = harness.images(order, "test").reshape(-1, 784).astype("float32") / 255
    settings: dict[str, Any] = {
        "encoder_neuron_list": [256, 64], "decoder_neuron_list": [64, 256], "latent_dim": 2, "epoch_num": 1,
        "batch_size": order.batch, "preprocessing": False, "batch_norm": False, "dropout_rate": 0.0, "verbose": 0,
        "random_state": order.seed,
    }  # fmt: skip
    VAE(**settings).fit(x[: 2 * order.batch])  # to warm up
    detector = VAE(**settings)
    seconds, _ = harness.timed(lambda: detector.fit(x))
    scoring, _ = harness.timed(lambda: detector.decision_function(other))
    return {"seconds": seconds, "scoring": scoring}


if __name__ == "__main__":
    harness.serve({"detect": detect})
