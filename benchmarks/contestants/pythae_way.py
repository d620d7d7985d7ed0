"""Pythae 0.1.2: its VAE and BaseTrainer, given sheet C's networks."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from types import SimpleNamespace
from typing import Any

import harness
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn

CUDA = torch.cuda.is_available()


class Encoder(BaseEncoder):
    """The sheet's."""

    def __init__(self, latent: int = 2) -> None:
        super().__init__()
        self.latent_dim = latent
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(64 * 7 * 7, 16), nn.ReLU(),
        )  # fmt: skip
        self.mean, self.log_variance = nn.Linear(16, latent), nn.Linear(16, latent)

    def forward(self, x: Tensor) -> ModelOutput:
        hidden = self.body(x)
        return ModelOutput(embedding=self.mean(hidden), log_covariance=self.log_variance(hidden))


class Decoder(BaseDecoder):
    """The sheet's."""

    def __init__(self, latent: int = 2) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(latent, 64 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1), nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 3, stride=2, padding=1, output_padding=1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.body(z))


def model() -> VAE:
    """Sheet C's VAE."""
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=2, reconstruction_loss="bce")
    return VAE(config, encoder=Encoder(), decoder=Decoder())


def train(vae: VAE, x: Tensor, batch: int) -> None:
    """An epoch of its own trainer."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        config = BaseTrainerConfig(
            output_dir=folder, per_device_train_batch_size=batch, num_epochs=1, learning_rate=1e-3, no_cuda=not CUDA
        )
        BaseTrainer(vae, train_dataset=BaseDataset(x, torch.zeros(len(x))), training_config=config).train()


def pixels(order: SimpleNamespace, split: str = "train") -> Tensor:
    """Float images, as it wants them."""
    return torch.from_numpy(harness.images(order, split)).unsqueeze(1).float().div(255)


def epoch(order: SimpleNamespace) -> dict[str, Any]:
    """One epoch of the first images."""
    torch.manual_seed(order.seed)
    vae, x = model(), pixels(order)
    train(vae, x[: 2 * order.batch], order.batch)
    return {"seconds": harness.timed(lambda: train(vae, x, order.batch))[0]}


@torch.no_grad()
def likelihood(order: SimpleNamespace) -> dict[str, Any]:
    """Its importance-weighted estimate."""
    vae, x = model().eval(), pixels(order, "test")
    return {"seconds": harness.timed(lambda: vae.get_nll(x, n_samples=order.samples, batch_size=100))[0]}


@torch.no_grad()
def embed(order: SimpleNamespace) -> dict[str, Any]:
    """In pieces of 500: `embed` takes one batch."""
    vae, x = model().eval(), pixels(order)
    return {"seconds": harness.timed(lambda: torch.cat([vae.embed(part) for part in x.split(500)]))[0]}


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    harness.serve({"epoch": epoch, "likelihood": likelihood, "embed": embed})
