"""Several processes that train one model: which one this is, and what they agree on.

`torchrun` and `accelerate launch` start the processes, on one machine or many, and tell each its
place in the environment. All else is `DistributedDataParallel`: every process holds the whole
model, works on its share of each batch, and the gradients are averaged before the update, so
that all take the same one. The first process (rank 0) alone validates, writes and speaks.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from witt.device import pick_device
from witt.errors import InputError

# What a launcher sets; a scheduler's RANK alone does not make several processes of one run.
LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
# The others wait while the first one validates, which takes minutes on a CPU.
PATIENCE = timedelta(hours=1)
# Launchers end all processes as soon as one has failed: the one that tells why has to be that one.
HEAD_START_S = 3.0


@dataclass(frozen=True)
class Processes:
    """The processes of a run, as one of them sees them.

    Args:
        device: where this one computes.
        rank: its number, from 0.
        count: how many there are.
    """

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that validates, writes and speaks."""
        return self.rank == 0

    def check(self, batch: int, accumulate: int) -> None:
        """Refuse a batch that does not divide.

        Raises:
            InputError: some processes, or some of the parts they work on, would get more images.
        """
        parts = self.count * accumulate
        if batch % parts:
            raise InputError(
                f"--batch {batch} does not divide into {parts} equal parts ({self.count} "
                f"processes, --accumulate {accumulate}): make it a multiple of {parts}"
            )

    @property
    def machine(self) -> str:
        """What computes, for the training record."""
        if self.device.type == "cuda":
            return f"{self.count} {torch.cuda.get_device_name(self.device)}"
        if self.device.type != "cpu":
            return f"{self.count} {self.device.type}"
        threads = self.count * torch.get_num_threads()
        return f"{threads} CPU thread{'s' if threads > 1 else ''}"

    def distributed(self, network: nn.Module, all_used: bool) -> nn.Module:
        """The network with gradients that are averaged over the processes; itself where alone.

        Args:
            network: the same on all processes; the weights of the first one are what counts.
            all_used: whether each parameter takes part in each step.
        """
        if self.count == 1:
            return network
        return DistributedDataParallel(
            network, broadcast_buffers=False, find_unused_parameters=not all_used
        )

    def adding_up(self, network: nn.Module) -> AbstractContextManager[Any]:
        """While it is entered, gradients are added up here, and averaged with the next ones."""
        if isinstance(network, DistributedDataParallel):
            return network.no_sync()
        return nullcontext()

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the processes of a number that each has, as float64 on the CPU."""
        if self.count == 1:
            return value.detach().cpu().double()  # in this order: not every device has float64
        total = value.detach().double()
        distributed.all_reduce(total)
        return total.cpu() / self.count

    def agree(self, seconds: float, number: int | None) -> tuple[float, int | None]:
        """The first one's time, and the signal that any of them got.

        Args:
            seconds: since the run began, by the clock here.
            number: of the signal that came here, if any.
        """
        if self.count == 1:
            return seconds, number
        mine = [seconds if self.first else 0.0, number or 0]
        both = torch.tensor(mine, dtype=torch.float64, device=self.device)
        distributed.all_reduce(both, distributed.ReduceOp.MAX)
        seconds, signal = both.tolist()
        return seconds, int(signal) or None

    def gather(self, value: Any) -> list[Any]:
        """What each process has, by rank; all wait for the last one."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    @contextmanager
    def alike(self) -> Iterator[None]:
        """Ends for all processes together; what stops one stops all, and the first one tells it.

        Warnings are the first one's to give as well: the others read the same files.

        Raises:
            InputError: raised inside, here or elsewhere.
        """
        error: InputError | None = None
        with warnings.catch_warnings():
            if not self.first:
                warnings.simplefilter("ignore")
            try:
                yield
            except InputError as caught:
                error = caught
        if self.count == 1 and error is not None:
            raise error
        found = [text for text in self.gather(error and str(error)) if text is not None]
        if found and self.first:
            raise InputError(found[0])
        if found:
            time.sleep(HEAD_START_S)
            raise SystemExit(2)

    def lost(self, error: RuntimeError) -> bool:
        """Whether it means that another process is gone."""
        if self.count == 1:
            return False
        text = str(error)
        return isinstance(error, distributed.DistError) or "gloo" in text or "Connection" in text


@contextmanager
def joined(device: str, environment: Mapping[str, str] | None = None) -> Iterator[Processes]:
    """Join the other processes of a launch, if there are any, until the end of the block.

    A process group that is there already is used, and left.

    Args:
        device: name for `witt.device.pick_device`; with several processes each takes a GPU.
        environment: where a launcher's variables are; None is `os.environ`.

    Raises:
        InputError: no such device, or more processes on a machine than it has GPUs.
    """
    given = os.environ if environment is None else environment
    there = distributed.is_available() and distributed.is_initialized()
    launched = all(name in given for name in LAUNCHED) and int(given["WORLD_SIZE"]) > 1
    if not there and not launched:
        yield Processes(pick_device(device))
        return
    place = _place(device, int(given.get("LOCAL_RANK", 0)))
    if there:
        yield Processes(place, distributed.get_rank(), distributed.get_world_size())
        return
    backend = "nccl" if place.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Processes(place, distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def _place(name: str, local_rank: int) -> torch.device:
    """The device of one of several processes of a machine."""
    device = pick_device(name)
    if device.type == "mps":
        raise InputError("several processes compute on cuda or cpu, not on mps: use --device cpu")
    if device.type == "cpu":
        return device
    gpus = torch.cuda.device_count()
    if local_rank >= gpus:
        raise InputError(
            f"process {local_rank + 1} of this machine finds {gpus} GPUs: start {gpus} processes "
            "on it at most (--nproc_per_node), or use --device cpu"
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)
