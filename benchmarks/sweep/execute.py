"""Run a sweep into its result file: save as it grows, show how far it is, lose nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import torch

from benchmarks.sweep.meter import Meter
from benchmarks.sweep.provenance import commit, run_record
from benchmarks.sweep.results import Results, open_results
from benchmarks.sweep.sweep import Outcome, Plan, keep, probe, sweep_here
from benchmarks.sweep.time_left import TimeLeft
from benchmarks.sweep.workers import connect, slots, sweep_on, threads_for
from witt.errors import InputError
from witt.files import ensure_writable_folder
from witt.lock import sole_writer

SAVE_SECONDS = 5.0
SAVE_SHARE = 0.05  # of the time at most; the file of a large data set takes a while


def begin(plan: Plan, path: Path) -> Results:
    """The result file of a plan, new or continued.

    Raises:
        InputError: it holds results of something else, or a scheme cannot be made.
    """
    records = plan.records()
    quantities = [metric.quantity for metric in plan.measures]
    results = open_results(path, plan.dataset.record(), plan.seed, quantities)
    for name, record in records.items():
        results.declare(name, record)
    results.prepare(plan.cells)
    now, before = commit(), [run["commit"] for run in results.head["runs"]]
    if before and now not in before:
        click.echo(f"Note: {path} was begun at commit {before[-1]}; this is {now}", err=True)
    return results


@contextmanager
def begun(plan: Plan, path: Path) -> Iterator[Results]:
    """`begin`, and nobody else writes the file while the block runs.

    Raises:
        InputError: as `begin`; or another process writes it.
    """
    plan.records()  # what is wrong with a scheme is said before anything is made
    ensure_writable_folder(path.parent)
    with sole_writer(path):
        yield begin(plan, path)


def run(plan: Plan, results: Results, jobs: int = 1, scheduler: str | None = None) -> None:
    """Compute what is missing.

    Args:
        plan: what to compute.
        results: where to keep it.
        jobs: local workers; 1 is this process alone.
        scheduler: address of a Dask scheduler, whose workers are used instead.

    Raises:
        InputError: interrupted, or as the schemes do; what was finished is in the file.
    """
    time_left = TimeLeft(plan.todo(results))
    if not time_left.total:
        return
    if jobs == 1 and scheduler is None:
        _consume(sweep_here(plan, results), results, time_left, 1, {"jobs": 1})
        return
    with _interruptible(results, time_left), connect(jobs, scheduler) as client:
        threads = threads_for(jobs) if scheduler is None else None
        workers = jobs if scheduler is None else max(1, slots(client))
        outcomes = sweep_on(plan, results, client, threads)
        _consume(outcomes, results, time_left, workers, {"jobs": workers, "scheduler": scheduler})


def estimate(plan: Plan, results: Results, workers: int = 1) -> float:
    """Seconds that `run` will take, from two cells of each scheme, which are done and kept."""
    time_left = TimeLeft(plan.todo(results))
    if time_left.total:
        threads = torch.get_num_threads()
        try:
            if workers > 1:
                torch.set_num_threads(threads_for(workers))
            _consume(probe(plan, results), results, time_left, 1, {"jobs": 1})
        finally:
            torch.set_num_threads(threads)
    return time_left.seconds_left(workers) if time_left.todo.total() else 0.0


def _consume(
    outcomes: Iterable[Outcome],
    results: Results,
    time_left: TimeLeft,
    workers: int,
    how: dict[str, int | str | None],
) -> None:
    """Keep outcomes as they come, and the file up to date."""
    run_info = run_record(**how, seconds=0.0)
    results.head["runs"].append(run_info)
    started = saved = time.monotonic()
    cost = 0.0

    def save() -> None:
        run_info["seconds"] = round(time.monotonic() - started, 1)
        results.save()

    with _interruptible(results, time_left), Meter(time_left, workers) as meter:
        try:
            for outcome in outcomes:
                keep(results, outcome)
                time_left.record(outcome.kind, outcome.pictures, outcome.seconds)
                meter.update(outcome.cell.scheme)
                now = time.monotonic()
                if now - saved >= max(SAVE_SECONDS, cost / SAVE_SHARE):
                    save()
                    saved = time.monotonic()
                    cost = saved - now
        finally:
            save()


@contextmanager
def _interruptible(results: Results, time_left: TimeLeft) -> Iterator[None]:
    """Say how to go on after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt as error:
        share = 100 * time_left.done / time_left.total
        raise InputError(
            f"interrupted: {results.path} keeps what is finished ({share:.0f} %); "
            "the same command goes on from there"
        ) from error
