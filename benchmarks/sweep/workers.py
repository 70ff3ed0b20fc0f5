"""A sweep on Dask: workers of this machine, or a cluster that is there."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from benchmarks.sweep.results import Cell, Results
from benchmarks.sweep.sweep import Maker, Outcome, Plan, Unit, compute, first_cells, made
from benchmarks.sweep.time_left import Kind
from witt.errors import InputError
from witt.metrics.metric import make_metrics

CONNECT_SECONDS = "15s"
FEWEST_WAITING = 8


class WorkerSetup(NamedTuple):
    """How a worker makes its schemes.

    names: of one family.
    weights: name and file of some of them.
    metrics: names of what to measure.
    threads: of PyTorch; None leaves them.
    """

    make: Maker
    names: tuple[str, ...]
    weights: tuple[tuple[str, str], ...]
    metrics: tuple[str, ...]
    threads: int | None


def work(unit: Unit, setup: WorkerSetup) -> list[Outcome]:
    """What a worker does with a unit."""
    if setup.threads is not None:
        import torch

        torch.set_num_threads(setup.threads)
    schemes = made(setup.make, setup.names, setup.weights)
    return list(compute(unit, schemes, make_metrics(setup.metrics)))


def threads_for(jobs: int) -> int:
    """PyTorch threads of each of `jobs` workers on this machine."""
    return max(1, (os.cpu_count() or 1) // jobs)


@contextmanager
def connect(jobs: int, scheduler: str | None) -> Iterator[Any]:
    """A Dask client.

    Args:
        jobs: local workers to start, of one thread each; not used with a scheduler.
        scheduler: address of a running one, ``tcp://host:8786``.

    Raises:
        InputError: Dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise InputError(
            "--jobs and --scheduler need Dask: pip install 'witt[baselines]'"
        ) from error
    with ExitStack() as stack:
        if scheduler is None:
            cluster = LocalCluster(
                n_workers=jobs,
                threads_per_worker=1,
                dashboard_address=None,
                memory_limit=0,  # it would kill workers that are busy, not lost
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(cluster)
            yield stack.enter_context(Client(cluster))
            return
        try:
            client = Client(scheduler, timeout=CONNECT_SECONDS)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(f"{scheduler}: no Dask scheduler answers at this address") from error
        yield stack.enter_context(client)


def sweep_on(plan: Plan, results: Results, client: Any, threads: int | None) -> Iterator[Outcome]:
    """Everything that is missing, on the workers of a Dask client.

    Few units wait at a time, since each takes its pictures along; those of a worker that dies
    are given to another one. Where they die again and again, that unit has failed.
    """
    from distributed import KilledWorker, as_completed

    weights = tuple(sorted(plan.weights.items()))
    waiting = iter(plan.missing(results))
    running = as_completed()
    given: dict[str, tuple[range, tuple[Cell, ...]]] = {}

    def submit() -> None:
        chunk, cells = next(waiting, (None, None))
        if chunk is not None and cells is not None:
            names = plan.family(cells[0].scheme)
            setup = WorkerSetup(plan.make, names, weights, plan.metrics, threads)
            future = client.submit(work, plan.unit(chunk, cells), setup, pure=False)
            given[future.key] = chunk, cells
            running.add(future)

    for _ in range(FEWEST_WAITING):
        submit()
    for future in running:
        try:
            outcomes = future.result()
        except KilledWorker:
            outcomes = list(_killed(*given[future.key]))
        del given[future.key]
        yield from outcomes
        future.release()
        for _ in range(max(1, FEWEST_WAITING + 2 * slots(client) - running.count())):
            submit()


def _killed(chunk: range, cells: tuple[Cell, ...]) -> Iterator[Outcome]:
    why = "workers were killed again and again at these pictures: is there enough memory?"
    firsts = first_cells(cells)
    for cell in cells:
        kind = Kind(cell.scheme, cell in firsts)
        yield Outcome(cell, chunk.start, len(chunk), [], [], set(), kind, 0.0, why)


def slots(client: Any) -> int:
    """How many units the workers do at a time."""
    return sum(client.nthreads().values())
