"""Networks that PyTorch compiles while they are trained: `--compile`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vaelab.errors import Interrupted, VaelabError

NETWORKS = ("encoder", "decoder", "classifier")
"""The parts that are compiled: what is between them draws random numbers and costs little."""


def _never() -> int:
    return 0


@contextmanager
def networks_compiled(model: nn.Module, wanted: bool = True, stopped: Callable[[], int] = _never) -> Iterator[None]:
    """Within: in training steps the networks of ``model`` run as code that PyTorch compiles at their first call.

    Values and gradients are those of the networks as they are, to rounding. Without gradients (evaluation, figures)
    they run as they are. Each size of batch is compiled by itself, so that a step does not depend on the sizes before
    it, as a resumed run would show. ``stopped``: the signal that has come, or 0.

    Raises `VaelabError` where the compiler does not work or there are too many sizes, `Interrupted` where a signal has
    ended the compiler. Ansel et al. 2024, "PyTorch 2", doi:10.1145/3620665.3640366.

    >>> model = nn.ModuleDict({"encoder": nn.Linear(3, 2)})
    >>> with networks_compiled(model, wanted=False):  # with True the first call takes seconds
    ...     model["encoder"](torch.zeros(1, 3)).shape
    torch.Size([1, 2])
    """
    if not wanted:
        yield
        return
    from torch import _dynamo as dynamo

    networks = [part for name, part in model.named_modules() if name.rpartition(".")[2] in NETWORKS]
    try:
        # A compiler that is missing is told before the first step, and before an earlier run is overwritten.
        torch.compile(_twice)(torch.ones(2, device=next(model.parameters()).device))
        for network in networks:
            network.compile(dynamic=False)  # not torch.compile(network): its weights have other names
            network._compiled_call_impl = partial(_call, network, network._compiled_call_impl)
        with dynamo.config.patch(fail_on_recompile_limit_hit=True):  # else sizes that come late would not be compiled
            yield
    except dynamo.exc.FailOnRecompileLimitHit as error:
        raise VaelabError(
            "--compile compiles each size of batch by itself, and here are too many (where labels are hidden by "
            "chance, give --labelled-batch); leave --compile out, or resume with --no-compile"
        ) from error
    except dynamo.exc.TorchDynamoException as error:
        raise _told(error, stopped()) from error
    finally:
        for network in networks:
            vars(network).pop("_compiled_call_impl", None)
        dynamo.reset()  # the next training does not depend on this one


def _call(network: nn.Module, compiled: Callable[..., Tensor], *given: Any) -> Tensor:
    """Compiled in training steps; elsewhere sizes are many and calls few."""
    call: Callable[..., Tensor] = compiled if torch.is_grad_enabled() else network._call_impl
    return call(*given)


def _told(error: Exception, signum: int) -> VaelabError:
    """What to say of the compiler's error."""
    if signum:  # the terminal has sent it to the compiler, too
        name = signal.Signals(signum).name
        return Interrupted(f"stopped by {name} while the networks were compiled; the last checkpoint is kept", signum)
    reason = next(iter(str(error).splitlines()), "").strip() or type(error).__name__
    return VaelabError(
        f"--compile failed: {reason}; it needs a compiler that PyTorch can use (for CPUs g++ or clang++): install one, "
        "leave --compile out, or resume with --no-compile"
    )


def _twice(x: Tensor) -> Tensor:
    return 2 * x
