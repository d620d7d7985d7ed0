"""The optimiser, its learning rate over the steps, the averaging of weights, and what to say when it diverges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from vaelab.building import Model
from vaelab.checkpoint import has_checkpoint, load_checkpoint
from vaelab.config import TrainingConfig
from vaelab.errors import CheckpointError
from vaelab.muon import Muon, fused_adam
from vaelab.runfolder import RunFolder


def learning_rate(config: TrainingConfig, step: int, steps: int) -> float:
    """The rate of step ``step`` (from 0) of ``steps``.

    constant: ``lr``. one-cycle: a cosine from lr/25 up to lr over the first 30 % of the steps, then a cosine down to
    lr/10,000. linear: straight lines between the same rates, the first 15 % of the steps up. Smith & Topin 2017,
    arXiv:1708.07120.
    """
    if config.schedule == "constant":
        return config.lr
    straight = config.schedule == "linear"
    rise = (0.15 if straight else 0.3) * steps
    up = step < rise
    done = step / rise if up else (step - rise) / max(1.0, steps - rise)
    share = done if straight else 0.5 * (1 - math.cos(math.pi * done))
    return config.lr * (1 / 25 + (1 - 1 / 25) * share if up else 1 - (1 - 1e-4) * share)


def make_optimizer(model: Model, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam or AdamW, fused: one kernel for all parameters (Kingma & Ba 2014, arXiv:1412.6980); or `Muon`."""
    kinds: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    betas = (0.9, config.beta2)
    if config.optimizer == "muon":
        layers = [
            module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
        ]
        weights = {layer.weight for layer in layers}
        matrices = [parameter for parameter in learned if parameter in weights]
        others = [parameter for parameter in learned if parameter not in weights]
        return Muon(matrices, others, lr=config.lr, betas=betas, weight_decay=config.weight_decay)
    return kinds[config.optimizer](learned, lr=config.lr, betas=betas, weight_decay=config.weight_decay, fused=True)


class Stepper:
    """The optimiser's steps. Those of Adam on a CPU without the lists that PyTorch makes anew for each.

    State, results and checkpoints are the optimiser's own.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.learned: list[Tensor] = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.entries: list[dict[str, Tensor]] = []  # Adam's state of each parameter, where that is all there is to know

    def __call__(self, rate: float) -> None:
        """Move the weights by their gradients with the learning rate ``rate``."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        gradients = [parameter.grad for parameter in self.learned]
        known = self.entries and self.entries[0] is self.optimizer.state.get(self.learned[0])  # else loaded in between
        if known and all(gradient is not None for gradient in gradients):
            fused_adam(self.learned, gradients, self.entries, self.optimizer.param_groups[0], rate)
            return
        self.optimizer.step()
        self.entries = self._entries()

    def _entries(self) -> list[dict[str, Tensor]]:
        """Adam's state of every parameter; none where the optimiser is another, or does more than the kernel here."""
        group, *more = self.optimizer.param_groups
        plain = isinstance(self.optimizer, torch.optim.Adam) and not (more or group["amsgrad"] or group["maximize"])
        if not plain or any(parameter.device.type != "cpu" for parameter in self.learned):
            return []
        entries = [self.optimizer.state.get(parameter) for parameter in self.learned]
        return [entry for entry in entries if entry] if all(entries) else []


class WeightAverage:
    """An average of a model's weights over about the last ``share`` of the steps done.

    After step t (from 0): a ← a + (w − a) / (1 + share · t), so the average remembers about ``share · t`` steps,
    however long the run; ``share=1`` is the mean of all. Polyak & Juditsky 1992; Shamir & Zhang 2013, arXiv:1212.1824.
    """

    def __init__(self, model: Model, share: float) -> None:
        self.share = share
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.tensors = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    def update(self, step: int) -> None:
        """Take in the weights of ``step`` (from 0)."""
        with torch.no_grad():
            average = get_ema_multi_avg_fn(1 - 1 / (1 + self.share * step))  # type: ignore[no-untyped-call]
            average(list(self.tensors.values()), list(self.parameters.values()), None)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within: the model has the averaged weights."""
        raw = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self.copy(self.tensors)
        try:
            yield
        finally:
            self.copy(raw)

    def copy(self, tensors: dict[str, Tensor]) -> None:
        """Put ``tensors`` into the model."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[name])

    def restore(self, tensors: dict[str, Tensor], where: str) -> None:
        """Continue from saved averages; `CheckpointError` where they do not fit."""
        if {name: t.shape for name, t in tensors.items()} != {name: t.shape for name, t in self.tensors.items()}:
            raise CheckpointError(f"the averaged weights in {where} do not fit the model; train again")
        for name, tensor in tensors.items():
            self.tensors[name].copy_(tensor)


def divergence(config: TrainingConfig, folder: RunFolder | None, step: int, terms: dict[str, float]) -> str:
    """What to say of a loss that is not finite: where, why, what to do, and what is kept."""
    finite = {name: math.isfinite(value) for name, value in terms.items()}
    part = "the weights are no longer finite"
    if finite["reconstruction"] != finite["kl"]:
        part = f"the {'KL' if finite['reconstruction'] else 'reconstruction'} term ran away"
    kept = "no checkpoint was asked for"
    if folder is not None and has_checkpoint(folder.checkpoints, "last"):
        kept = f"the checkpoint of step {load_checkpoint(folder.checkpoints, 'last').state['step']} is kept"
    # The length of Muon's steps does not depend on the gradient's.
    clip = "" if config.clip or config.optimizer == "muon" else " or set --clip 100"
    return (
        f"the loss became {terms['loss']} at step {step}: {part}, most likely because the learning rate {config.lr:g} "
        f"is too high; lower --lr{clip}; {kept}"
    )
