"""An ablation on the workers of a Dask cluster, which see the same folders."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.ablation.child import STOPPED, Child
from benchmarks.ablation.plan import Task
from benchmarks.ablation.results import Ablation
from benchmarks.ablation.work import Job, Outcome, job_of
from benchmarks.sweep.workers import connect, slots, threads_for
from witt.training.signals import GracefulStop

POLL_SECONDS = 1.0


def on_cluster(
    waiting: Sequence[Task], ablation: Ablation, again: str, scheduler: str
) -> Iterator[tuple[Task, Outcome]]:
    """Each run on a worker, in a process of its own there; one whose worker dies goes on elsewhere.

    Raises:
        InputError: as of `connect`.
    """
    from distributed import Event

    name = f"witt-ablate-{uuid.uuid4().hex}"
    with connect(1, scheduler) as client, GracefulStop() as stop:
        asked, told = Event(name, client=client), False
        futures: dict[Any, Task] = {}
        for task in waiting:
            folder = Path(os.path.abspath(ablation.path.parent / "runs" / task.folder))
            job = _absolute(job_of(task, folder, again))
            futures[client.submit(work, tuple(job), name, pure=False)] = task
        click.echo(f"{len(futures)} runs, {slots(client)} at a time")
        try:
            while futures:
                time.sleep(POLL_SECONDS)
                if stop() and not told:
                    asked.set()  # what waits ends at once, what runs when it has saved
                    told = True
                for future in [future for future in futures if future.done()]:
                    task = futures.pop(future)
                    error = future.exception()
                    found = Outcome(*future.result()) if error is None else None
                    if found is None:
                        yield task, Outcome(1, None, f"{type(error).__name__}: {error}")
                    elif found.row is None and found.failed is None:
                        yield task, Outcome(stop.exit_code or found.code, None)
                    else:
                        yield task, found
        finally:
            asked.set()


def work(values: tuple[Any, ...], stop: str) -> tuple[Any, ...]:
    """What a worker does with a job; `stop` is the name of an event that ends it."""
    from distributed import Event, get_worker

    event, job = Event(stop), Job(*values)
    if event.is_set():
        return tuple(Outcome(STOPPED, None))
    child = Child(job._replace(threads=threads_for(get_worker().state.nthreads)))
    try:
        while (outcome := child.outcome()) is None:
            time.sleep(POLL_SECONDS)
            if event.is_set():
                child.stop()
        return tuple(outcome)
    finally:
        child.end()


def _absolute(job: Job) -> Job:
    """With folders that do not depend on where a worker was started."""
    config = dict(job.config)
    for name in ("data", "val"):
        config[name] = [os.path.abspath(p) if os.path.exists(p) else p for p in config[name]]
    return job._replace(config=config)
