"""How a run gets on, for the bar and the log."""

from __future__ import annotations

import math
import time
from typing import Any, Protocol

from torch.optim import Optimizer

from witt.training.config import TrainConfig
from witt.training.progress import Bar
from witt.training.records import Records
from witt.training.watch import FiniteWatch

LOG_STEPS = 20
BAR_SECONDS = 0.5


class Followed(Protocol):
    """What is looked at of a run (`witt.training.run.Run`)."""

    config: TrainConfig
    step: int
    seconds: float
    pixels: int
    figure: str
    finite: FiniteWatch
    optimizers: list[Optimizer]

    @property
    def progress(self) -> float: ...

    def speed(self, images_per_s: float) -> dict[str, float]: ...


class Monitor:
    """Smoothed figure and speed.

    Args:
        run: what is followed.
    """

    def __init__(self, run: Followed) -> None:
        self.run, self.smoothed = run, math.nan
        self.recent: list[float] = []
        self.since = self.shown = time.monotonic()
        self.counted = self.before = run.step  # steps in the log, and at the last call

    def step(self, value: float, bar: Bar, records: Records) -> None:
        """After each step, or several, with their figure in dB, NaN for a skipped one."""
        run, before = self.run, self.before
        self.before = run.step
        if math.isfinite(value):
            self.recent.append(value)
            new = math.isnan(self.smoothed)
            self.smoothed = value if new else 0.95 * self.smoothed + 0.05 * value
        now = time.monotonic()
        if now - self.shown >= BAR_SECONDS:
            self.shown = now
            speed = self._images_per_s(now)
            bar.update(run.step, min(run.progress, 1.0), self.smoothed, speed, self._left(speed))
        if run.step // LOG_STEPS > before // LOG_STEPS:
            self.flush(records)

    def _images_per_s(self, now: float) -> float:
        """Since the last line of the log."""
        return (self.run.step - self.counted) * self.run.config.batch / (now - self.since)

    def _left(self, images_per_s: float) -> float:
        config, lefts = self.run.config, []
        if config.steps is not None:
            lefts.append((config.steps - self.run.step) * config.batch / images_per_s)
        if config.minutes is not None:
            lefts.append(60 * config.minutes - self.run.seconds)
        return min(lefts)

    def flush(self, records: Records) -> None:
        """Write what came since the last line of the log."""
        run, now = self.run, time.monotonic()
        if run.step == self.counted:
            return
        figures = run.speed(self._images_per_s(now))
        if self.recent:
            figures[run.figure] = round(sum(self.recent) / len(self.recent), 3)
        figures["lr"] = float(run.optimizers[-1].param_groups[0]["lr"])
        entry: dict[str, Any] = {
            "step": run.step,
            "seconds": round(run.seconds, 1),
            "megapixels": round(run.pixels / 1e6, 2),
            **figures,
        }
        if run.finite.total:
            entry["skipped_steps"] = run.finite.total
        records.write(entry)
        records.scalars("train", figures, run.step)
        self.recent.clear()
        self.counted, self.since = run.step, now
