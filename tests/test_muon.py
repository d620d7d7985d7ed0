"""Muon against its formulas, and the quick step of Adam against PyTorch's."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from vaelab import build_model, presets
from vaelab.config import TrainingConfig
from vaelab.muon import MOMENTUM, OTHERS, Muon, orthogonalised
from vaelab.optimisation import Stepper, make_optimizer


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3), st.integers(1, 8), st.integers(0, 20), st.floats(1e-6, 1e6))
def test_singular_values_are_about_one(count: int, rows: int, more: int, scale: float) -> None:
    # From U diag(s) Vᵀ with s far from 0: values that begin close to 0 need more than five iterations.
    source = torch.Generator().manual_seed(rows + 10 * more)
    u, _, vh = torch.linalg.svd(torch.randn(count, rows, rows + more, generator=source), full_matrices=False)
    given_values = torch.rand(count, rows, generator=source) * 0.9 + 0.1
    found = orthogonalised(scale * (u * given_values[:, None]) @ vh)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.3
    torch.testing.assert_close(
        u.mT @ found @ vh.mT, torch.diag_embed((u.mT @ found @ vh.mT).diagonal(0, 1, 2)), atol=1e-4, rtol=0
    )


def test_a_matrix_of_zeros_stays_one() -> None:
    assert not orthogonalised(torch.zeros(1, 3, 4)).any()


def reference(gradients: list[Tensor], weight: Tensor, rate: float, decay: float) -> Tensor:
    """The docstring's formula, one matrix at a time."""
    momentum = torch.zeros_like(weight)
    for gradient in gradients:
        momentum = momentum + (1 - MOMENTUM) * (gradient - momentum)
        update = gradient + MOMENTUM * (momentum - gradient)
        tall = len(update) > update.shape[1]
        turned = orthogonalised((update.t() if tall else update)[None])[0]
        turned = turned.t() if tall else turned
        length = rate * math.sqrt(max(1.0, turned.shape[0] / turned.shape[1]))
        weight = (1 - rate * decay) * weight - length * turned
    return weight


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_follow_the_formula(shape: tuple[int, int], decay: float) -> None:
    torch.manual_seed(0)
    weight, other = nn.Parameter(torch.randn(shape).double()), nn.Parameter(torch.randn(shape).double())
    bias = nn.Parameter(torch.randn(3).double())
    start = [weight.detach().clone(), other.detach().clone()]
    gradients = [[torch.randn(shape).double() for _ in range(4)] for _ in start]
    adam = torch.optim.AdamW([copy.deepcopy(bias)], lr=OTHERS * 0.02, betas=(0.9, 0.95), weight_decay=decay)
    (beside,) = adam.param_groups[0]["params"]
    optimizer = Muon([weight, other], [bias], lr=0.02, betas=(0.9, 0.95), weight_decay=decay)
    for step in range(4):
        weight.grad, other.grad = gradients[0][step], gradients[1][step]
        bias.grad = torch.randn(3).double()
        beside.grad = bias.grad.clone()
        optimizer.step()
        adam.step()
    for found, begin, own in zip((weight, other), start, gradients, strict=True):
        torch.testing.assert_close(found.detach(), reference(own, begin, 0.02, decay))
    torch.testing.assert_close(bias, beside)


def test_a_convolution_is_a_matrix_whatever_its_layout() -> None:
    torch.manual_seed(0)
    begin, gradient = torch.randn(4, 3, 3, 3), torch.randn(4, 3, 3, 3)
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = nn.Parameter(begin.clone().contiguous(memory_format=layout))
        weight.grad = gradient.clone().contiguous(memory_format=layout)
        Muon([weight], [], lr=0.1).step()
        found.append(weight.detach())
    torch.testing.assert_close(found[0], found[1])
    moved = (begin - found[0]).flatten(1) / 0.1
    # The singular values of a matrix do not depend on the order of its columns.
    torch.testing.assert_close(
        torch.linalg.svdvals(moved),
        torch.linalg.svdvals(orthogonalised(gradient.flatten(1)[None])[0]),
        atol=1e-4,
        rtol=0,
    )


def test_what_has_no_gradient_stays() -> None:
    weight, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    optimizer = Muon([weight], [bias], lr=0.1, weight_decay=0.1)
    optimizer.step()
    assert bool((weight == 1).all())
    assert bool((bias == 1).all())


def test_a_restored_counter_goes_where_the_parameters_are() -> None:
    # PyTorch looks at this key when it loads a state: without it the counter stays on the CPU.
    assert all(group["fused"] for group in Muon([nn.Parameter(torch.ones(2, 2))], [], lr=0.1).param_groups)


def test_a_closure_is_refused() -> None:
    with pytest.raises(ValueError, match="leave the closure out"):
        Muon([nn.Parameter(torch.ones(2, 2))], [], lr=0.1).step(lambda: 0.0)


def test_weights_of_layers_are_matrices_and_all_else_is_not() -> None:
    model = build_model(presets.get("conv-cvae").with_changes(model={"prior": "vamp"}).model)
    optimizer = make_optimizer(model, TrainingConfig(optimizer="muon"))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    matrices, others = ([names[id(p)] for p in group["params"]] for group in optimizer.param_groups)
    assert sorted(matrices + others) == sorted(names.values())
    assert all(name.endswith("weight") for name in matrices)
    assert all(name.endswith("bias") or name.startswith("prior.") for name in others)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_the_quick_step_is_pytorchs(kind: str) -> None:
    torch.manual_seed(0)
    quick = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    plain = copy.deepcopy(quick)
    config = TrainingConfig(optimizer=kind, weight_decay=0.1, beta2=0.9)
    one, other = make_optimizer(quick, config), make_optimizer(plain, config)  # type: ignore[arg-type]
    stepper = Stepper(one)
    for step in range(6):
        x, rate = torch.randn(5, 4), 0.1 / (step + 1)
        for model in (quick, plain):
            model.zero_grad()
            out = model[0](x).sum() if step == 4 else model(x).square().sum()  # once without all gradients
            out.backward()
        if step == 3:  # as a resumed run does
            one.load_state_dict(copy.deepcopy(one.state_dict()))
        stepper(rate)
        other.param_groups[0]["lr"] = rate
        other.step()
        for ours, theirs in zip(quick.parameters(), plain.parameters(), strict=True):
            assert torch.equal(ours, theirs)
    assert one.state_dict()["state"][0]["step"] == other.state_dict()["state"][0]["step"]
