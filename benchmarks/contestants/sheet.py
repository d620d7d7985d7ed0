"""Sheet C's own way: a `Dataset` of PIL images turned into tensors one by one, a `DataLoader`, Adam, the loss read
every step. PyTorch's default initialisation and float32, as the sheet's text has it; written for this comparison.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import harness
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy
from torch.utils.data import DataLoader, Dataset

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Pictures(Dataset[Tensor]):
    """PIL images, each made a tensor when it is asked for."""

    def __init__(self, images: np.ndarray) -> None:
        self.pictures = [Image.fromarray(image) for image in images]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, place: int) -> Tensor:
        return torch.from_numpy(np.array(self.pictures[place])).unsqueeze(0).to(torch.float32).div(255)


class Sampled(nn.Module):
    """z from mean and log-variance."""

    def forward(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)


class ConvVAE(nn.Module):
    """The sheet's networks; with ``classes`` its conditional ones."""

    def __init__(self, latent: int = 2, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        self.first = nn.Conv2d(1, 32, 3, stride=2, padding=1)
        self.second = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.hidden = nn.Linear(64 * 7 * 7, 16)
        self.mean, self.log_variance, self.sampled = nn.Linear(16, latent), nn.Linear(16, latent), Sampled()
        self.begin = nn.Linear(latent, 64 * 7 * 7)
        self.third = nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1)
        self.last = nn.ConvTranspose2d(32, 1, 3, stride=2, padding=1, output_padding=1)
        if classes:
            self.encoder_label, self.decoder_label = nn.Linear(classes, 32 * 14 * 14), nn.Linear(classes, 64 * 7 * 7)

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = self.first(x)
        if c is not None:
            h = h + self.encoder_label(c).view(-1, 32, 14, 14)
        h = torch.relu(self.hidden(torch.relu(self.second(torch.relu(h))).flatten(1)))
        return self.mean(h), self.log_variance(h)

    def decode(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        h = self.begin(z)
        if c is not None:
            h = h + self.decoder_label(c)
        return torch.sigmoid(self.last(torch.relu(self.third(torch.relu(h.view(-1, 64, 7, 7))))))

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encode(x, c)
        return self.decode(self.sampled(mean, log_variance), c), mean, log_variance


def loss_of(x: Tensor, decoded: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """−ELBO of each image, nats."""
    reconstruction = binary_cross_entropy(decoded, x, reduction="none").sum((1, 2, 3))
    return reconstruction + 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(1)


def train(model: ConvVAE, loader: DataLoader[Tensor], optimizer: torch.optim.Optimizer) -> float:
    """An epoch; the mean loss."""
    total = 0.0
    for pixels in loader:
        x = pixels.to(DEVICE)
        optimizer.zero_grad()
        loss = loss_of(x, *model(x)).mean()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


@torch.no_grad()
def test(model: ConvVAE, loader: DataLoader[Tensor]) -> float:
    """−ELBO, nats per image, one draw of z for each."""
    losses = [loss_of(x.to(DEVICE), *model(x.to(DEVICE))) for x in loader]
    return float(torch.cat(losses).double().mean())


def epoch(order: SimpleNamespace) -> dict[str, Any]:
    """One epoch of the first images."""
    torch.manual_seed(order.seed)
    model = ConvVAE().to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    data = Pictures(harness.images(order))
    train(model, DataLoader(data, order.batch, sampler=range(2 * order.batch)), optimizer)  # to warm up
    seconds, loss = harness.timed(lambda: train(model, DataLoader(data, order.batch, shuffle=True), optimizer))
    return {"seconds": seconds, "loss": loss}


def quality(order: SimpleNamespace) -> dict[str, Any]:
    """Seconds of training (tests are not counted) until the test −ELBO is at the target, tested after each epoch."""
    torch.manual_seed(order.seed)
    model = ConvVAE().to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(Pictures(harness.images(order)), order.batch, shuffle=True)
    held_out = DataLoader(Pictures(np.load(f"{order.data}/test.npy")), 500)
    seconds, losses = 0.0, []
    while len(losses) < order.epochs and (not losses or losses[-1] > order.target):
        seconds += harness.timed(lambda: train(model, loader, optimizer))[0]
        losses.append(test(model, held_out))
    return {"seconds": seconds, "losses": losses, "reached": losses[-1] <= order.target}


@torch.no_grad()
def embed(order: SimpleNamespace) -> dict[str, Any]:
    """Posterior means."""
    model, loader = ConvVAE().to(DEVICE), DataLoader(Pictures(harness.images(order)), 500)
    seconds, _ = harness.timed(lambda: torch.cat([model.encode(x.to(DEVICE))[0].cpu() for x in loader]))
    return {"seconds": seconds}


@torch.no_grad()
def classify(order: SimpleNamespace) -> dict[str, Any]:
    """Bayes' rule (C18): for every class the ELBO with one draw; the largest wins."""
    model, loader = ConvVAE(classes=10).to(DEVICE), DataLoader(Pictures(harness.images(order, "test")), 500)
    codes = torch.eye(10, device=DEVICE)

    def predicted() -> Tensor:
        found = []
        for pixels in loader:
            x = pixels.to(DEVICE)
            losses = [loss_of(x, *model(x, codes[y].expand(len(x), -1))) for y in range(10)]
            found.append(torch.stack(losses).argmin(0).cpu())
        return torch.cat(found)

    return {"seconds": harness.timed(predicted)[0]}


if __name__ == "__main__":
    harness.serve({"epoch": epoch, "quality": quality, "embed": embed, "classify": classify})
