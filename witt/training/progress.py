"""How far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

LINE_SECONDS = 30.0


class Bar:
    """Shows figure, speed and time left.

    Args:
        figure: name of the figure, "PSNR" or "MS-SSIM".
        every: seconds between plain lines.
        terminal: whether to draw a bar; None asks standard output.
        silent: say and draw nothing: of several processes one speaks.
    """

    def __init__(
        self,
        figure: str,
        every: float = LINE_SECONDS,
        terminal: bool | None = None,
        silent: bool = False,
    ) -> None:
        self.figure, self.every, self.silent = figure, every, silent
        self._spoke = time.monotonic()
        self._bar: Progress | None = None
        if not silent and (sys.stdout.isatty() if terminal is None else terminal):
            self._bar = Progress(
                TextColumn("step {task.fields[step]:,}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[text]}"),
                console=Console(file=sys.stdout),
            )
            self._task = self._bar.add_task("", total=1.0, step=0, text="starting")

    def __enter__(self) -> Bar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """One line of text, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        elif not self.silent:
            print(text, flush=True)

    def update(
        self, step: int, share: float, value_db: float, images_per_s: float, left_s: float
    ) -> None:
        """The state of the run.

        Args:
            step: steps done.
            share: of the run that is done, 0 to 1.
            value_db: smoothed training figure in dB.
            images_per_s: speed.
            left_s: time left in seconds.
        """
        text = (
            f"{self.figure} {value_db:.2f} dB  {images_per_s:.1f} images/s  {duration(left_s)} left"
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=share, step=step, text=text)
        elif not self.silent and time.monotonic() - self._spoke >= self.every:
            self._spoke = time.monotonic()
            print(f"step {step:,}  {100 * share:.1f} %  {text}", flush=True)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, as 1:02:03 or 2:03."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
