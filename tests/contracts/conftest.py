"""Helpers of the contract tests: seeded parts, and what every module must do."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor, nn

from vaelab.nn import NetworkShape
from vaelab.specs import Registry, Spec

CLASSES = 4
SHAPES = {"smallest": (1, 8, 8), "mnist": (1, 28, 28), "odd": (1, 9, 13), "colour": (3, 32, 32)}
CONDITIONS = {"none": (0, "concat"), "concat": (CLASSES, "concat"), "add": (CLASSES, "add")}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=SHAPES)
def image_shape(request: pytest.FixtureRequest) -> tuple[int, int, int]:
    return SHAPES[request.param]


@pytest.fixture(params=CONDITIONS)
def network_shape(request: pytest.FixtureRequest) -> NetworkShape:
    """A shape whose sides are odd and unequal, for each way of the condition."""
    classes, condition = CONDITIONS[request.param]
    return NetworkShape((1, 9, 13), latent=3, classes=classes, condition=condition, outputs=2)


@pytest.fixture
def conditioned() -> Callable[[NetworkShape, int], Tensor | None]:
    """One-hot conditions of a batch, or None where the shape has no classes."""

    def make(shape: NetworkShape, batch: int, first: int = 0) -> Tensor | None:
        if not shape.classes:
            return None
        return nn.functional.one_hot((torch.arange(batch) + first) % shape.classes, shape.classes).float()

    return make


@pytest.fixture
def assert_every_name_has_a_row() -> Callable[[Registry, Iterable[str]], None]:
    def check(registry: Registry, rows: Iterable[str]) -> None:
        assert {Spec.parse(row).name for row in rows} == set(registry.names())

    return check


@pytest.fixture
def assert_gradients_reach_every_parameter() -> Callable[[nn.Module, Tensor], None]:
    def check(module: nn.Module, scalar: Tensor) -> None:
        module.zero_grad()
        scalar.backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().max() > 0, name

    return check


@pytest.fixture
def assert_state_dict_round_trip() -> Callable[[nn.Module, Callable[[nn.Module], Tensor]], None]:
    """All that a module's results depend on is in its state_dict: a scrambled copy gives them back after loading."""

    def check(module: nn.Module, result: Callable[[nn.Module], Tensor]) -> None:
        other = copy.deepcopy(module)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.add_(1.0)
            if any(True for _ in module.parameters()):
                assert not torch.equal(result(other), result(module))
            other.load_state_dict(module.state_dict())
            assert torch.equal(result(other), result(module))

    return check
