"""How far a sweep is: a bar on a terminal, a line every half minute elsewhere."""

from __future__ import annotations

import math
import time
from types import TracebackType

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from benchmarks.sweep.time_left import TimeLeft
from witt.report import console
from witt.training.progress import LINE_SECONDS, duration


class Meter:
    """Shows the share that is done, the time left and the scheme at work, on stderr."""

    def __init__(self, time_left: TimeLeft, workers: int = 1) -> None:
        self.time_left, self.workers = time_left, workers
        self._spoke = time.monotonic()
        screen = console(err=True)
        self._bar = Progress(
            TextColumn("Sending"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=screen,
            transient=True,
            disable=not screen.is_terminal,
        )
        self._task = self._bar.add_task("", total=time_left.total, text="starting")

    def __enter__(self) -> Meter:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, scheme: str) -> None:
        """Show the share that is done and the time left."""
        text = f"{self.left()} left  {scheme}"
        self._bar.update(self._task, completed=self.time_left.done, text=text)
        if self._bar.disable and time.monotonic() - self._spoke >= LINE_SECONDS:
            self._spoke = time.monotonic()
            click.echo(
                f"{100 * self.time_left.done / self.time_left.total:.0f} %  {text}", err=True
            )

    def left(self) -> str:
        """Time left."""
        seconds = self.time_left.seconds_left(self.workers)
        return "?" if math.isnan(seconds) else duration(seconds)
