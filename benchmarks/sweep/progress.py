"""How far a sweep is: a bar on a terminal, a line every half minute elsewhere."""

from __future__ import annotations

import math
import time
from types import TracebackType

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from benchmarks.sweep.pace import Pace
from witt.report import console
from witt.training.progress import LINE_SECONDS, duration


class Meter:
    """Shows the share that is done, the time left and the scheme at work, on stderr."""

    def __init__(self, pace: Pace, workers: int = 1) -> None:
        self.pace, self.workers = pace, workers
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
        self._task = self._bar.add_task("", total=pace.total, text="starting")

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
        """Show the state of the pace."""
        text = f"{self.left()} left  {scheme}"
        self._bar.update(self._task, completed=self.pace.done, text=text)
        if self._bar.disable and time.monotonic() - self._spoke >= LINE_SECONDS:
            self._spoke = time.monotonic()
            click.echo(f"{100 * self.pace.done / self.pace.total:.0f} %  {text}", err=True)

    def left(self) -> str:
        """Time left."""
        seconds = self.pace.seconds_left(self.workers)
        return "?" if math.isnan(seconds) else duration(seconds)
