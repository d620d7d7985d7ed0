"""`SemiSupervisedVAE` (M2): a conditional VAE that also infers the label, so that it learns from unlabelled images."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vaelab.distributions import float32_or_more
from vaelab.likelihoods import Likelihood
from vaelab.vae import VAE, check_images


class Classifier(nn.Module):
    """q(y|x) as logits: an encoder network without condition, and a linear layer for the classes."""

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network = network
        self.head = nn.Linear(int(network.features), classes)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channel, height, width)`` → logits ``(batch, classes)``, float32."""
        logits: Tensor = self.head(self.network(x, None))
        return float32_or_more(logits)


class SemiSupervisedVAE(VAE):
    """M2: p(y) p(z) p(x|z,y) with q(y|x) q(z|x,y), a conditional VAE whose label is seen for some images only.

    p(y) = 1/classes. Given labels it is a conditional VAE in every respect; the objective ``m2`` trains it with labels
    −1 where there is none. Kingma, Rezende, Mohamed & Welling 2014, arXiv:1406.5298.

    >>> from vaelab import build_model, presets
    >>> model = build_model(presets.get("m2").model)
    >>> model.classify(torch.rand(4, 1, 28, 28)).shape
    torch.Size([4, 10])
    """

    kind = "m2"
    needs_labels: ClassVar[bool] = False

    def __init__(
        self,
        encoder: nn.Module,
        posterior: nn.Module,
        prior: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        classifier: nn.Module,
        *,
        image_shape: tuple[int, int, int],
        latent: int,
        classes: int,
    ) -> None:
        super().__init__(
            encoder, posterior, prior, decoder, likelihood, image_shape=image_shape, latent=latent, classes=classes
        )
        self.classifier = classifier

    def classify(self, x: Tensor) -> Tensor:
        """The logits of q(y|x), ``(batch, classes)``, of ``x (batch, channel, height, width)``; no randomness."""
        check_images(x, self.image_shape)
        logits: Tensor = self.classifier(x)
        return logits

    def embed(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Posterior means ``(batch, latent)``, with the most probable label where ``c`` is None: no randomness."""
        return super().embed(x, self.likeliest(x) if c is None else c)

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """E[x|z,y] at the posterior mean, with the most probable label where ``c`` is None: no randomness."""
        return super().reconstruct(x, self.likeliest(x) if c is None else c)

    def likeliest(self, x: Tensor) -> Tensor:
        """The labels of largest q(y|x), int64 ``(batch,)``."""
        with torch.no_grad():
            return self.classify(x).argmax(-1)
