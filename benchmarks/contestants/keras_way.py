"""The layout of Keras' own VAE example on Keras 3 with the torch backend, given sheet C's networks."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"

from types import SimpleNamespace
from typing import Any

import harness
import keras
import numpy as np
from keras import layers, ops


class Sampling(layers.Layer):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.source = keras.random.SeedGenerator(seed)

    def call(self, inputs):
        mean, log_variance = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.source)
        return mean + ops.exp(0.5 * log_variance) * noise


class VAE(keras.Model):
    """The loss is added in the forward pass, so that `fit` is Keras' own."""

    def __init__(self, seed: int, latent: int = 2) -> None:
        super().__init__()
        self.body = keras.Sequential([
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(64, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
        ])  # fmt: skip
        self.mean, self.log_variance = layers.Dense(latent), layers.Dense(latent)
        self.sampling = Sampling(seed)
        self.decoder = keras.Sequential([
            layers.Dense(7 * 7 * 64, activation="relu"),
            layers.Reshape((7, 7, 64)),
            layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),
        ])  # fmt: skip

    def call(self, x):
        hidden = self.body(x)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        decoded = self.decoder(self.sampling([mean, log_variance]))
        kl = 0.5 * ops.sum(ops.square(mean) + ops.exp(log_variance) - log_variance - 1, axis=1)
        reconstruction = ops.sum(keras.losses.binary_crossentropy(x, decoded), axis=(1, 2))
        self.add_loss(ops.mean(reconstruction + kl))
        return decoded


def pixels(order: SimpleNamespace) -> np.ndarray:
    """Float images, channels last."""
    return harness.images(order)[..., None].astype("float32") / 255


def epoch(order: SimpleNamespace) -> dict[str, Any]:
    """One epoch of the first images."""
    keras.utils.set_random_seed(order.seed)
    x, vae = pixels(order), VAE(order.seed)
    vae.compile(optimizer=keras.optimizers.Adam(1e-3))
    vae.fit(x[: 2 * order.batch], batch_size=order.batch, epochs=1, verbose=0)
    seconds, history = harness.timed(lambda: vae.fit(x, batch_size=order.batch, epochs=1, verbose=0))
    return {"seconds": seconds, "loss": float(history.history["loss"][-1])}


def embed(order: SimpleNamespace) -> dict[str, Any]:
    """Posterior means by `predict`."""
    x, vae = pixels(order), VAE(order.seed)
    vae(x[:8])
    encoder = keras.Sequential([vae.body, vae.mean])
    return {"seconds": harness.timed(lambda: encoder.predict(x, batch_size=500, verbose=0))[0]}


if __name__ == "__main__":
    harness.serve({"epoch": epoch, "embed": embed})
