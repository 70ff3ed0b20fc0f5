"""Carry out the runs of an ablation that are not finished: here, beside each other, or on Dask."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from benchmarks.ablation.child import Child
from benchmarks.ablation.plan import PETA, Task
from benchmarks.ablation.results import Ablation, Row
from benchmarks.ablation.work import Outcome, carry_out, job_of
from benchmarks.sweep.provenance import run_record
from benchmarks.sweep.workers import threads_for
from witt.errors import InputError
from witt.training.progress import LINE_SECONDS, duration
from witt.training.signals import GracefulStop

POLL_SECONDS = 0.5


def run(
    tasks: Sequence[Task],
    ablation: Ablation,
    again: str,
    jobs: int = 1,
    scheduler: str | None = None,
) -> tuple[int, list[str]]:
    """Train what has no row yet.

    Args:
        tasks: all runs.
        ablation: gets a row for each that is finished, and is written after each.
        again: the command that goes on with it.
        jobs: processes of this machine.
        scheduler: of a Dask cluster, whose workers do it.

    Returns:
        Exit code: 0, or 128 and the number of the signal that ended it; and a line for each run
        that failed.
    """
    waiting, failed, ended = missing(tasks, ablation), [], 0
    ablation.head["runs"].append(run_record())
    if scheduler is not None:
        from benchmarks.ablation.cluster import on_cluster

        outcomes = on_cluster(waiting, ablation, again, scheduler)
    elif jobs > 1:
        outcomes = beside(waiting, ablation, again, jobs)
    else:
        outcomes = here(waiting, ablation, again)
    for task, outcome in outcomes:
        if outcome.row is not None:
            ablation.add({**outcome.row, "run": len(ablation.head["runs"]) - 1})
            done = len(tasks) - len(missing(tasks, ablation))
            click.echo(f"{done} of {len(tasks)} runs done: {task}, {mean_db(outcome.row):.2f} dB")
        elif outcome.failed is not None:
            failed.append(f"{task}: {outcome.failed}")
            click.echo(f"failed: {failed[-1]}")
        else:
            ended = outcome.code
    return ended, failed


def missing(tasks: Sequence[Task], ablation: Ablation) -> list[Task]:
    """The runs without a row."""
    return [task for task in tasks if ablation.find(task.key) is None]


def mean_db(row: Row) -> float:
    """Mean PSNR over all that was measured."""
    return float(sum(point["psnr_db"] for point in row["psnr_db"]) / len(row["psnr_db"]))


def folder_of(task: Task, ablation: Ablation) -> Path:
    """Where a run is trained."""
    return ablation.path.parent / "runs" / task.folder


def seconds_left(waiting: Sequence[Task], rows: Sequence[Row]) -> float:
    """Estimate for what waits, one run after the other; NaN before anything is known.

    Of a preset that has no row yet, an operation takes as long as in the mean of the others.
    """
    by_preset: dict[str, list[float]] = {}
    for row in rows:
        by_preset.setdefault(row["preset"], []).append(row["seconds"] / (PETA * row["petaflop"]))
    means = {name: sum(each) / len(each) for name, each in by_preset.items()}
    mean = sum(means.values()) / len(means) if means else math.nan
    left = 0.0
    for task in waiting:
        steps = task.preset.steps(task.budget)
        if steps is None:
            left += 60 * task.budget.amount
        else:
            left += steps * task.preset.step_flops * means.get(task.preset.name, mean)
    return left


def left_line(seconds: float) -> str:
    """How long all that waits takes."""
    if math.isnan(seconds):
        return "time left for all runs: not known before the first one is done"
    return f"about {duration(seconds)} left for all runs"


def here(waiting: Sequence[Task], ablation: Ablation, again: str) -> Iterator[tuple[Task, Outcome]]:
    """One after the other in this process, which shows how each gets on."""
    for number, task in enumerate(waiting):
        click.echo(f"run {number + 1} of {len(waiting)}: {task}")
        click.echo(left_line(seconds_left(waiting[number:], ablation.rows)))
        try:
            outcome = carry_out(job_of(task, folder_of(task, ablation), again))
        except InputError as error:
            outcome = Outcome(1, None, str(error))
        yield task, outcome
        if outcome.row is None and outcome.failed is None:
            return


def beside(
    waiting: Sequence[Task], ablation: Ablation, again: str, jobs: int
) -> Iterator[tuple[Task, Outcome]]:
    """In processes beside each other, which share the cores."""
    queue, running = list(waiting), dict[int, tuple[Task, Child]]()
    spoke = time.monotonic()
    with GracefulStop() as stop:
        try:
            while running or (queue and not stop()):
                while queue and len(running) < jobs and not stop():
                    task = queue.pop(0)
                    job = job_of(task, folder_of(task, ablation), again, threads_for(jobs))
                    running[id(task)] = task, Child(job)
                    click.echo(f"started: {task}")
                time.sleep(POLL_SECONDS)
                if stop():
                    for _, child in running.values():
                        child.stop()
                for key, (task, child) in list(running.items()):
                    outcome = child.outcome()
                    if outcome is not None:
                        del running[key]
                        stopped = outcome.row is None and stop()
                        yield task, Outcome(stop.exit_code, None) if stopped else outcome
                if time.monotonic() - spoke >= LINE_SECONDS:
                    spoke = time.monotonic()
                    report(list(running.values()), queue, ablation, jobs)
        finally:
            for _, child in running.values():
                child.end()


def report(
    running: Sequence[tuple[Task, Child]], queue: Sequence[Task], ablation: Ablation, jobs: int
) -> None:
    """A line for each run in progress, and one for all that is left."""
    rest, rows = 0.0, list(ablation.rows)
    for task, child in running:
        share, seconds = child.progress()
        left = seconds * (1 - share) / share if share else math.nan
        rest += left
        steps = task.preset.steps(task.budget)
        if share and steps is not None:  # as good as a row, for how long the others take
            done = share * steps * task.preset.step_flops / PETA
            rows.append({"preset": task.preset.name, "seconds": seconds, "petaflop": done})
        known = "" if math.isnan(left) else f", {duration(left)} left"
        click.echo(f"{task}: {100 * share:.1f} %{known}")
    click.echo(left_line((rest + seconds_left(queue, rows)) / jobs))
