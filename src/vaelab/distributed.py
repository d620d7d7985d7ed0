"""Several processes that train one model together (torchrun, DistributedDataParallel), with the losses of one.

Every process has all images and draws the whole batch's random numbers; of each batch it computes its share, and the
gradients are averaged. Only rank 0 writes and speaks. `Processes` is one process alone, which shares nothing;
`Torchrun` is one of several.
"""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vaelab.building import Model
from vaelab.devices import choose_device
from vaelab.errors import Interrupted, UsageError, VaelabError, out_of_memory
from vaelab.launch import Launch, launched
from vaelab.objectives import Objective, Terms
from vaelab.shares import Share, sharing

HEARD = 1.0  # seconds: how long another process waits for a sign that rank 0 has failed, too
KEY_HEARD, KEY_FAILED = "vaelab/heard", "vaelab/failed"  # in the store that torchrun keeps for all
LINGER = 3.0  # seconds it then stays: where another ends first, torchrun ends rank 0 before it has spoken


class Processes:
    """The processes that train a model together: this one alone, which shares nothing and waits for nobody.

    >>> Processes().agreed(0), Processes().first
    (0, True)
    """

    rank, size = 0, 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def use(self, device: str) -> None:
        """Train on ``device``, a word as in ``--device``; `UsageError` or `VaelabError` where it does not do."""

    def shared(self, objective: Objective, model: Model) -> Objective:
        """``objective`` of ``model`` (on its device), each batch shared by the processes; of one, the same."""
        return objective

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over the processes, cut from the graph; equal in all. Nothing waits for the device."""
        return value

    def agreed(self, signum: int) -> int:
        """A signal (0: none) that any process got, known to all at the same call: the next one."""
        return signum

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Within: rank 0 first, the others when it is through, and no further before all are; for what is fetched."""
        yield


class Torchrun(Processes):
    """One of several processes that torchrun has started; see `Processes`.

    What is agreed on goes between the hosts (gloo), gradients and losses the way of the device (nccl for CUDA).
    """

    def __init__(self, launch: Launch) -> None:
        import torch.distributed as dist
        from torch.distributed.rendezvous import rendezvous

        self.dist, self.launch = dist, launch
        self.rank, self.size = launch.rank, launch.size
        if torch.cuda.is_available() and launch.local_rank < torch.cuda.device_count():
            torch.cuda.set_device(launch.local_rank)  # before anything else makes the first GPU every process's
        try:
            self.store, rank, size = next(iter(rendezvous("env://")))
            dist.init_process_group("gloo", store=self.store, rank=rank, world_size=size)
        except (RuntimeError, ValueError) as error:
            raise VaelabError(
                f"the {self.size} processes cannot reach each other: {error}; start them with torchrun, or leave "
                "WORLD_SIZE out"
            ) from error
        self.hosts = self.devices = dist.group.WORLD
        self.asked: tuple[Any, Tensor] | None = None

    def use(self, device: str) -> None:
        """See `Processes`; a GPU for each process of a machine."""
        if device == "mps" or device.startswith("cuda:"):
            raise UsageError(
                f"--device {device} is one device and {self.size} processes were started; use --device cuda, which "
                "gives each its own, or cpu"
            )
        if device in ("auto", "cuda") and torch.cuda.is_available():
            found = torch.cuda.device_count()
            if self.launch.local_size > found:
                raise UsageError(
                    f"expected a GPU for each of {self.launch.local_size} processes, got {found}; start "
                    f"--nproc-per-node {found} or use --device cpu"
                )
        if choose_device(device).type == "cuda":
            self.devices = self.dist.new_group(backend="nccl")

    def shared(self, objective: Objective, model: Model) -> Objective:
        """See `Processes`."""
        return SharedObjective(objective, model, self)

    def mean(self, value: Tensor) -> Tensor:
        """See `Processes`."""
        value = value.detach().clone()
        self.dist.all_reduce(value, group=self.hosts if value.device.type == "cpu" else self.devices)
        return value / self.size

    def agreed(self, signum: int) -> int:
        """See `Processes`: asked in one step and read in the next, so that no step waits for an answer."""
        before, own = self.asked, torch.tensor(signum)
        work = self.dist.all_reduce(own, self.dist.ReduceOp.MAX, group=self.hosts, async_op=True)
        self.asked = work, own
        if before is None:
            return 0
        before[0].wait()
        return int(before[1])

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """See `Processes`."""
        if not self.first:
            self.dist.barrier(group=self.hosts)
        yield
        if self.first:
            self.dist.barrier(group=self.hosts)
        self.dist.barrier(group=self.hosts)

    def close(self) -> None:
        """Let go of the others, when all are through."""
        if self.asked is not None:
            self.asked[0].wait()
        self.dist.barrier(group=self.hosts)  # rank 0 has written everything
        self.dist.destroy_process_group()

    def fail(self, error: BaseException) -> None:
        """Return where ``error`` is rank 0's own; else raise what another told, or in another end without a word."""
        if isinstance(error, Interrupted):
            self._leave_together()
        elif self.first:
            self._tell(error)
        else:
            self._pass_on(error)
        if not self.first:
            raise SystemExit(error.exit_code if isinstance(error, VaelabError) else 1)

    def _leave_together(self) -> None:
        """After a signal: no process ends before rank 0, which saves and speaks."""
        with suppress(RuntimeError):
            self.dist.barrier(group=self.hosts)
            if not self.first:
                self.dist.recv(torch.empty(1), src=0)  # never sent: this ends when rank 0 has gone

    def _tell(self, error: BaseException) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends in any case, with a sentence
        lost, cause = _lost(error), ""
        with suppress(RuntimeError):
            self.store.set(KEY_HEARD, "1")
            if (lost or not isinstance(error, Exception)) and self.store.check([KEY_FAILED]):
                cause = self.store.get(KEY_FAILED).decode()
        if not lost and not cause:
            return
        code, _, sentence = cause.partition(" ")
        told = VaelabError(sentence or "another process of this training ended; what was saved can be resumed")
        told.exit_code = int(code or 1)
        raise told from error

    def _pass_on(self, error: BaseException) -> None:
        if not isinstance(error, Exception):
            return  # a signal, which all get
        with suppress(RuntimeError):
            if not _lost(error):
                code = error.exit_code if isinstance(error, VaelabError) else 1
                self.store.set(KEY_FAILED, f"{code} process {self.rank}: {_sentence(error)}")
                end = time.monotonic() + HEARD
                while not self.store.check([KEY_HEARD]):
                    if time.monotonic() > end:
                        return  # rank 0 waits for this process, whose end tells it
                    time.sleep(0.05)
            time.sleep(LINGER)


class SharedObjective(Objective):
    """An objective of which each process computes its share of a batch, and whose gradients are those of the whole.

    Every process calls it with the same whole batch. The mean over the processes of each value that it returns is the
    value of the whole batch.
    """

    def __init__(self, objective: Objective, model: Model, processes: Torchrun) -> None:
        from torch.nn.parallel import DistributedDataParallel

        self.objective, self.processes = objective, processes
        self.differentiated = DistributedDataParallel(
            _Differentiated(objective, model), process_group=processes.devices
        )
        self.differentiated.broadcast_buffers = False  # no step changes a buffer
        # Strides of a dimension of size 1, as grey images' channels have it, mean nothing.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)

    def weight(self, epoch: float) -> float:
        """See `Objective`."""
        return self.objective.weight(epoch)

    def __call__(
        self,
        model: Any,
        x: Tensor,
        c: Tensor | None = None,
        target: Tensor | None = None,
        *,
        epoch: float = float("inf"),
        generator: torch.Generator | None = None,
    ) -> Terms:
        """See `Objective`."""
        share = Share.of(len(x), self.processes.rank, self.processes.size)
        mine = [None if whole is None else whole[share.part] for whole in (x, c, target)]
        # Without a gradient there is nothing that DistributedDataParallel has to know of.
        compute = self.differentiated if torch.is_grad_enabled() else self.differentiated.module
        with sharing(share, self.processes.mean):
            terms: Terms = compute(*mine, epoch, generator)
        return replace(
            terms,
            loss=terms.loss * share.scale,
            reconstruction=terms.reconstruction * share.scale,
            kl=terms.kl * share.scale,
            bound=None if terms.bound is None else terms.bound * share.scale,
        )


class _Differentiated(nn.Module):
    """The objective as a module that DistributedDataParallel can wrap: it asks for one `forward`."""

    def __init__(self, objective: Objective, model: Model) -> None:
        super().__init__()
        self.objective, self.model = objective, model

    def forward(
        self, x: Tensor, c: Tensor | None, target: Tensor | None, epoch: float, generator: torch.Generator | None
    ) -> Terms:
        return self.objective(self.model, x, c, target, epoch=epoch, generator=generator)


@contextmanager
def processes() -> Iterator[Processes]:
    """Within: the processes that torchrun started for this training, or this one alone.

    Raises one error for all of them, in rank 0; the others end by `SystemExit`.
    """
    launch = launched()
    if launch.size == 1:
        yield Processes()
        return
    together = Torchrun(launch)
    try:
        yield together
        together.close()
    except BaseException as error:
        together.fail(error)
        raise


def _lost(error: BaseException) -> bool:
    """Whether the connection to another process broke off: not a fault of this one."""
    words = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe", "socket")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def _sentence(error: Exception) -> str:
    if isinstance(error, VaelabError):
        return str(error)
    if out_of_memory(error):
        return "the memory is full; lower --batch-size or start fewer processes"
    return f"{type(error).__name__}: {error}"
