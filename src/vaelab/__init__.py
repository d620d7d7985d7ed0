"""Variational autoencoders with numbers one can trust.

A VAE is five parts and an objective: encoder → posterior → z → decoder → likelihood, with a prior.

    import vaelab

    run = vaelab.train("conv-vae", data="mnist", out="runs/vae")
    print(run.evaluate())

Names are imported when first used, so that ``import vaelab`` does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vaelab import presets
    from vaelab.building import build_model, build_objective
    from vaelab.config import RunConfig
    from vaelab.data import load
    from vaelab.errors import VaelabError
    from vaelab.estimators import (
        CVAEClassifier,
        DenoisingAutoencoder,
        SemiSupervisedVAEClassifier,
        VAEOutlierDetector,
        VAETransformer,
    )
    from vaelab.run import Run
    from vaelab.training import fit
    from vaelab.workflows import resume, train

_WHERE = {
    "CVAEClassifier": "vaelab.estimators",
    "DenoisingAutoencoder": "vaelab.estimators",
    "Run": "vaelab.run",
    "RunConfig": "vaelab.config",
    "SemiSupervisedVAEClassifier": "vaelab.estimators",
    "VAEOutlierDetector": "vaelab.estimators",
    "VAETransformer": "vaelab.estimators",
    "VaelabError": "vaelab.errors",
    "build_model": "vaelab.building",
    "build_objective": "vaelab.building",
    "fit": "vaelab.training",
    "load": "vaelab.data",
    "resume": "vaelab.workflows",
    "train": "vaelab.workflows",
}
_MODULES = ("presets",)

__all__ = [
    "CVAEClassifier",
    "DenoisingAutoencoder",
    "Run",
    "RunConfig",
    "SemiSupervisedVAEClassifier",
    "VAEOutlierDetector",
    "VAETransformer",
    "VaelabError",
    "build_model",
    "build_objective",
    "fit",
    "load",
    "presets",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"vaelab.{name}")
    raise AttributeError(f"module 'vaelab' has no attribute {name!r}")
