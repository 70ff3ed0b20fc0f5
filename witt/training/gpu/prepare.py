"""From plain calls to kernels and one CUDA graph, as far as they work on this machine."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import torch

from witt.training.gpu.attention import (
    WORST,
    attend_kernel,
    has_triton,
    kernel_error,
)
from witt.training.gpu.passes import Lines, suits_kernel
from witt.training.gpu.step import Step

COMPILE_S = 170.0  # seconds after which the passes do without; 35 on an H200

Say = Callable[[str], None]


def prepare(step: Step, say: Say) -> None:
    """Make a step as fast as the machine can; it falls back by itself, and says so.

    Weights and optimisers are as before.
    """
    if not step.on_gpu:
        return
    lines = Lines(attend=attend_kernel) if _kernel_works(step, say) else Lines()
    with step.unchanged():
        settle(step, (lines.compiled(), lines, Lines()), say)
        try:
            step.capture()
        except Exception as error:
            step.graph, step.generator = None, torch.Generator(step.device)
            say(f"no CUDA graph ({reason(error)}): plain calls, which are slower")
            with suppress(Exception):
                torch.cuda.synchronize()


def settle(step: Step, choices: Sequence[Lines], say: Say) -> None:
    """Use the first of these that works.

    Raises:
        Exception: that of the last one, where none does.
    """
    for number, lines in enumerate(choices, start=1):
        try:
            with limit(COMPILE_S):
                step.use(lines)
                step.warm_up()
            return
        except Exception as error:
            if number == len(choices):
                raise
            say(f"fast passes, choice {number} of {len(choices)}: {reason(error)}; the next one")


def _kernel_works(step: Step, say: Say) -> bool:
    config, run = step.model.config, step.config
    if not has_triton() or not suits_kernel(config, run.batch, run.crop):
        return False
    pairs = zip(config.heads, config.dims, strict=True)
    sizes = sorted({(heads, dim // heads) for heads, dim in pairs})
    try:
        error = max(kernel_error(*size, step.dtype, step.device) for size in sizes)
    except Exception as caught:
        say(f"the attention kernel does not work here ({reason(caught)}): plain lines")
        return False
    if not error < WORST:
        say(f"the attention kernel is off by {error:.1%}: plain lines")
        return False
    return True


def reason(error: BaseException) -> str:
    """An error in a line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError inside after so long, where the system can.

    Raises:
        TimeoutError: it was too long.
    """
    alarm = getattr(signal, "SIGALRM", None)
    if alarm is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"longer than {seconds:g} s")

    before = signal.signal(alarm, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(alarm, before)
