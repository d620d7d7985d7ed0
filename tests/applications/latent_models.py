"""Small untrained models and images of noise, for the tests of latent spaces and label transfer."""

from __future__ import annotations

from typing import Any

import torch

from vaelab.building import build_model
from vaelab.config import ModelConfig
from vaelab.data.images import ImageData

SHAPE = (1, 8, 8)
NAMES = ("a", "b", "c")


def model_of(**changes: Any) -> Any:
    values = {"latent": 3, "encoder": "mlp:hidden=16/", "decoder": "mlp:hidden=16/", "image_shape": SHAPE, "classes": 3}
    return build_model(ModelConfig(**(values | changes)), seed=1).eval()


def noise(n: int, seed: int = 0) -> ImageData:
    source = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (n, *SHAPE), dtype=torch.uint8, generator=source)
    return ImageData("noise", pixels, torch.arange(n) % 3, NAMES)
