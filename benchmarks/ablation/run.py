"""Carry out the runs of an ablation that are not finished."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.ablation.plan import PETA, Task
from benchmarks.ablation.results import Ablation
from benchmarks.ablation.work import carry_out
from benchmarks.sweep.provenance import run_record
from witt.errors import InputError
from witt.training.progress import duration


def missing(tasks: Sequence[Task], ablation: Ablation) -> list[Task]:
    """The runs without a row."""
    return [task for task in tasks if ablation.find(task.key) is None]


def seconds_left(waiting: Sequence[Task], ablation: Ablation) -> float:
    """Estimate for what waits, one run after the other; NaN before anything is known.

    Of a preset that has no row yet, an operation takes as long as in the mean of the others.
    """
    by_preset: dict[str, list[float]] = {}
    for row in ablation.rows:
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


def run_here(tasks: Sequence[Task], ablation: Ablation, again: str) -> tuple[int, list[str]]:
    """Train one after the other in this process.

    Args:
        tasks: all runs.
        ablation: gets a row for each that is finished, and is written after each.
        again: the command that goes on with it.

    Returns:
        Exit code: 0, or 128 and the number of the signal that ended it; and a line for each run
        that failed.
    """
    waiting, failed = missing(tasks, ablation), []
    begin(ablation)
    for number, task in enumerate(waiting):
        click.echo(headline(task, len(tasks) - len(waiting) + number + 1, len(tasks)))
        click.echo(left_line(seconds_left(waiting[number:], ablation)))
        try:
            outcome = carry_out(task, folder_of(task, ablation), again)
        except InputError as error:
            failed.append(f"{task}: {error}")
            click.echo(f"failed: {error}")
            continue
        if outcome.row is None:
            return outcome.code, failed
        keep(outcome.row, ablation)
    return 0, failed


def begin(ablation: Ablation) -> None:
    """Note in the file how what follows is made."""
    ablation.head["runs"].append(run_record())


def keep(row: dict[str, object], ablation: Ablation) -> None:
    """Put a finished run into the file."""
    ablation.add({**row, "run": len(ablation.head["runs"]) - 1})


def folder_of(task: Task, ablation: Ablation) -> Path:
    """Where a run is trained."""
    return ablation.path.parent / "runs" / task.folder


def headline(task: Task, number: int, count: int) -> str:
    """Which run begins."""
    return f"run {number} of {count}: {task}"


def left_line(seconds: float) -> str:
    """How long all that waits takes."""
    if math.isnan(seconds):
        return "time left for all runs: not known before the first one is done"
    return f"about {duration(seconds)} left for all runs"
