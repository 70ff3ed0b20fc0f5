"""How a run gets on, for the bar and the log."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from witt.training.progress import Bar
from witt.training.records import Records

if TYPE_CHECKING:
    from witt.training.run import Run

LOG_STEPS = 20
BAR_SECONDS = 0.5


class Pace:
    """Smoothed figure and speed.

    Args:
        run: what is followed.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.smoothed = run, math.nan
        self.recent: list[float] = []
        self.images, self.since = 0, time.monotonic()
        self.shown, self.images_per_s = self.since, 0.0

    def step(self, value: float, bar: Bar, records: Records) -> None:
        """After each step, with its figure in dB, NaN for a skipped one."""
        run = self.run
        self.images += run.config.batch
        if math.isfinite(value):
            self.recent.append(value)
            new = math.isnan(self.smoothed)
            self.smoothed = value if new else 0.95 * self.smoothed + 0.05 * value
        now = time.monotonic()
        if now - self.shown >= BAR_SECONDS:
            self.shown = now
            speed = self.images / (now - self.since)
            bar.update(run.step, min(run.progress, 1.0), self.smoothed, speed, self._left(speed))
        if run.step % LOG_STEPS == 0:
            self.flush(records)

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
        if not self.images:
            return
        figures: dict[str, float] = {"images_per_s": round(self.images / (now - self.since), 2)}
        if self.recent:
            figures[run.figure] = round(sum(self.recent) / len(self.recent), 3)
        figures["lr"] = run.optimizers[-1].param_groups[0]["lr"]
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
        self.images, self.since = 0, now
