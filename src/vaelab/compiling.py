"""Networks that PyTorch compiles while they are trained: `--compile`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vaelab.errors import VaelabError

NETWORKS = ("encoder", "decoder", "classifier")
"""The parts that are compiled; what is between them draws random numbers and costs little."""


@contextmanager
def networks_compiled(model: nn.Module, wanted: bool = True) -> Iterator[None]:
    """Within: the networks of ``model`` run as code that PyTorch compiles for them at their first call.

    Values and gradients are those of the networks as they are, to rounding. Each size of batch is compiled by itself,
    so that a step does not depend on the sizes before it, as a resumed run would show. Raises `VaelabError` where the
    compiler does not work. Ansel et al. 2024, "PyTorch 2", doi:10.1145/3620665.3640366.

    >>> model = nn.ModuleDict({"encoder": nn.Linear(3, 2)})
    >>> with networks_compiled(model, wanted=False):  # with True the first call takes seconds
    ...     model["encoder"](torch.zeros(1, 3)).shape
    torch.Size([1, 2])
    """
    if not wanted:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    networks = [part for name, part in model.named_modules() if name.rpartition(".")[2] in NETWORKS]
    try:
        # A compiler that is missing is told before the first step, and before an earlier run is overwritten.
        torch.compile(_twice)(torch.ones(2, device=next(model.parameters()).device))
        for network in networks:
            network.compile(dynamic=False)  # not torch.compile(network): its weights have other names
        yield
    except TorchDynamoException as error:
        reason = next(iter(str(error).splitlines()), "").strip() or type(error).__name__
        raise VaelabError(
            f"--compile failed: {reason}; it needs a compiler that PyTorch can use (for CPUs g++ or clang++): install "
            "one, or leave --compile out"
        ) from error
    finally:
        for network in networks:  # evaluation has other sizes of batches, and would wait for each
            vars(network).pop("_compiled_call_impl", None)


def _twice(x: Tensor) -> Tensor:
    return 2 * x
