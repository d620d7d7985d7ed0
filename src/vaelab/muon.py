"""Muon: steps whose directions are orthogonalised matrices, for few but far steps. See `Muon`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

MOMENTUM = 0.9
OTHERS = 0.25  # the learning rate of what is no matrix, as a share of the matrices'
ITERATIONS = 5
SMALL = 16  # rows: smaller matrices are padded to so many, for the sake of fewer and larger operations
QUINTIC = (3.4445, -4.7750, 2.0315)  # steep at 0, so that five iterations do; singular values end between 0.7 and 1.2


class Muon(torch.optim.Optimizer):
    """For each weight matrix a step along U Vᵀ, where U Σ Vᵀ is the momentum of its gradient; Adam for all the rest.

    M ← M + (1 − μ) (G − M), W ← W − η · √max(1, rows / columns) · NS(G + μ (M − G)), where NS makes the singular values
    about 1 (`orthogonalised`), μ = 0.9, η = ``lr``. So the directions of a gradient move by about the same length, also
    the rare ones (down to 1/500 of ‖G‖), which Adam's steps leave behind: units about to die keep learning.

    ``matrices``: weights of linear layers and convolutions, the latter as (first dimension) × (all others). ``others``:
    biases, and whatever else is learned: Adam with η / 4 and ``betas``. ``weight_decay`` ≥ 0 is decoupled. Parameters
    are float32 or float64, and products of float32 exact to it: rounded to 8 bits, the iterations run away.
    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; Bernstein & Newhouse 2024,
    arXiv:2409.20325.

    >>> layer = torch.nn.Linear(3, 2)
    >>> optimizer = Muon([layer.weight], [layer.bias], lr=0.1)
    >>> before = layer.weight.detach().clone()
    >>> layer(torch.rand(5, 3)).square().sum().backward()
    >>> optimizer.step()
    >>> lengths = torch.linalg.svdvals(layer.weight.detach() - before) / 0.1
    >>> bool((lengths > 0.3).all() and (lengths < 1.3).all())
    True
    """

    def __init__(
        self,
        matrices: Sequence[Tensor],
        others: Sequence[Tensor],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ) -> None:
        groups = [{"params": list(matrices)}, {"params": list(others)}]
        decay = {"weight_decay": weight_decay, "decoupled_weight_decay": True}
        kernel = {"fused": True}  # by which PyTorch knows to load the counters onto the parameters' device
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": 1e-8, **decay, **kernel})
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter] = {"momentum": torch.zeros_like(parameter)}
        for parameter in self.param_groups[1]["params"]:
            # A counter on the parameter's device, as the kernel of Adam wants it.
            count = torch.zeros((), dtype=torch.float32, device=parameter.device)
            moments = {"exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}
            self.state[parameter] = {"step": count, **moments}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient; ``closure`` is PyTorch's and not supported."""
        if closure is not None:
            raise ValueError("Muon takes one gradient for each step; leave the closure out")
        self._step_of_matrices(self.param_groups[0])
        self._step_of_others(self.param_groups[1])

    def _step_of_matrices(self, group: dict[str, Any]) -> None:
        alike: dict[int, list[tuple[Tensor, Tensor]]] = {}  # of about one size are turned at once
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            momentum = self.state[parameter]["momentum"].lerp_(parameter.grad, 1 - MOMENTUM)
            matrix = _matrix(parameter.grad.lerp(momentum, MOMENTUM))
            size = max(SMALL, 1 << (min(matrix.shape) - 1).bit_length())
            alike.setdefault(size, []).append((parameter, matrix))
        for size, entries in alike.items():
            products = [_product(matrix) for _, matrix in entries]
            padded = torch.stack([pad(each, (0, size - len(each)) * 2) for each in products])
            for (parameter, matrix), turn in zip(entries, turning(padded), strict=True):
                rows, columns = matrix.shape
                own = turn[: min(rows, columns), : min(rows, columns)]
                turned = own @ matrix if rows <= columns else matrix @ own
                if group["weight_decay"]:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                length = group["lr"] * math.sqrt(max(1.0, rows / columns))
                parameter.add_(_weight(turned, parameter.shape), alpha=-length)

    def _step_of_others(self, group: dict[str, Any]) -> None:
        moved = [parameter for parameter in group["params"] if parameter.grad is not None]
        if moved:
            entries = [self.state[parameter] for parameter in moved]
            fused_adam(moved, [parameter.grad for parameter in moved], entries, group, OTHERS * group["lr"])


@torch.no_grad()
def fused_adam(
    parameters: list[Tensor],
    gradients: Sequence[Tensor | None],
    entries: Sequence[dict[str, Tensor]],
    group: dict[str, Any],
    rate: float,
) -> None:
    """One call of PyTorch's kernel for Adam or AdamW, without what PyTorch does around it for every parameter.

    ``gradients``: one for each parameter, none missing. ``entries``: each parameter's ``step``, counted up here,
    ``exp_avg`` and ``exp_avg_sq``. ``group``: ``betas``, ``eps``,
    ``weight_decay``, and ``decoupled_weight_decay`` for AdamW's. ``rate`` > 0.
    """
    one = entries[0]["step"].new_ones(())  # a tensor: a number would be made one again for each counter
    (torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_)(
        parameters,
        list(gradients),  # type: ignore[arg-type]
        [entry["exp_avg"] for entry in entries],
        [entry["exp_avg_sq"] for entry in entries],
        [],
        [entry["step"].add_(one) for entry in entries],
        lr=rate,
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=False,
        maximize=False,
    )


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices ``(k, rows, columns)``, rows ≤ columns, with singular values about 1.

    Between 0.7 and 1.2, that is, where they were ‖M‖/500 or more; smaller ones grow by up to 3.4445⁵ = 484.

    Five Newton–Schulz iterations X ← (a + b A + c A²) X, A = X Xᵀ, from X = M / ‖M‖; see `turning`. A matrix of zeros
    stays one.

    >>> found = orthogonalised(torch.randn(2, 4, 9, generator=torch.Generator().manual_seed(0)))
    >>> values = torch.linalg.svdvals(found)
    >>> bool((values > 0.6).all() and (values < 1.3).all())
    True
    """
    return turning(matrices @ matrices.mT) @ matrices


def turning(products: Tensor) -> Tensor:
    """P with P M orthogonalised, from M Mᵀ ``(k, rows, rows)``; a row and column of zeros changes nothing.

    Every iteration multiplies X from the left by a polynomial in A, so A alone says by what in all: the iterations are
    done on the small matrices, and X is multiplied once.
    """
    a, b, c = QUINTIC
    square = products.diagonal(dim1=1, dim2=2).sum(1).clamp_min(torch.finfo(products.dtype).tiny)[:, None, None]
    product, turn = products / square, square.rsqrt()
    for number in range(ITERATIONS):
        polynomial = torch.baddbmm(product, product, product, beta=b, alpha=c)
        polynomial.diagonal(dim1=1, dim2=2).add_(a)
        turn = polynomial @ turn if number else polynomial * turn
        if number < ITERATIONS - 1:
            product = polynomial @ product @ polynomial
    return turn


def _product(matrix: Tensor) -> Tensor:
    """M Mᵀ, or Mᵀ M where that is the smaller one."""
    return matrix @ matrix.t() if matrix.shape[0] <= matrix.shape[1] else matrix.t() @ matrix


def _matrix(weight: Tensor) -> Tensor:
    """A convolution's weights as a matrix; channels last, as they lie in memory."""
    return weight.permute(0, 2, 3, 1).flatten(1) if weight.dim() == 4 else weight.flatten(1)


def _weight(matrix: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `_matrix`."""
    if len(shape) == 4:
        return matrix.reshape(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2)
    return matrix.reshape(shape)
