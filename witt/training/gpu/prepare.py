"""From plain calls to kernels and one CUDA graph, as far as they work on this machine."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

import torch

from witt.training.gpu.attention import (
    WORST,
    attend_kernel,
    has_triton,
    kernel_error,
)
from witt.training.gpu.mlp import WIDTHS, mlp_error
from witt.training.gpu.passes import Lines, suits_kernel
from witt.training.gpu.step import Captured, Step

COMPILE_S = 170.0  # seconds after which the passes do without; 35 on an H200

TIMED = 5  # steps

Say = Callable[[str], None]


def prepare(step: Step, say: Say) -> None:
    """Make a step as fast as the machine can; it falls back by itself, and says so.

    Weights and optimisers are as before.
    """
    if not step.on_gpu:
        return
    lines = Lines(attend=attend_kernel) if _attention_works(step, say) else Lines()
    with step.unchanged():
        chosen = settle(step, (lines.compiled(), lines, Lines()), say)
        try:
            captured = step.capture()
            step.start_graph(captured)
        except Exception as error:
            step.graph, step.generator = None, torch.Generator(step.device)
            say(f"no CUDA graph ({reason(error)}): plain calls, which are slower")
            with suppress(Exception):
                torch.cuda.synchronize()
            return
        if _mlp_works(step, say):
            _faster(step, captured, chosen, say)


def _faster(step: Step, first: Captured, lines: Lines, say: Say) -> None:
    """Take the graph with the MLP in one kernel where it is faster than the one that is there."""
    before = _seconds(first)
    try:
        settle(step, (lines._replace(mlp_kernel=True),), say)
        second = step.capture()
        step.start_graph(second)
        after = _seconds(second)
    except Exception as error:
        say(f"the MLP in one kernel does not work here ({reason(error)})")
        after = math.inf
    else:
        say(f"a step takes {1e3 * before:.1f} ms, with the MLP in one kernel {1e3 * after:.1f}")
    if after >= before:
        step.use(lines)
        step.start_graph(first)


def _seconds(captured: Captured) -> float:
    """Of a step by its graph."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(TIMED):
        captured.graph.replay()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / TIMED


def settle(step: Step, choices: Sequence[Lines], say: Say) -> Lines:
    """Use the first of these that works, and return it.

    Raises:
        Exception: that of the last one, where none does.
    """
    for number, lines in enumerate(choices, start=1):
        try:
            with limit(COMPILE_S):
                step.use(lines)
                step.warm_up()
            return lines
        except Exception as error:
            if number == len(choices):
                raise
            say(f"fast passes, choice {number} of {len(choices)}: {reason(error)}; the next one")
    raise ValueError("nothing to choose from")


def _attention_works(step: Step, say: Say) -> bool:
    config, run = step.model.config, step.config
    if not suits_kernel(config, run.batch, run.crop):
        return False
    pairs = zip(config.heads, config.dims, strict=True)
    sizes = sorted({(heads, dim // heads) for heads, dim in pairs})
    return _works("attention", [partial(kernel_error, *size) for size in sizes], step, say)


def _mlp_works(step: Step, say: Say) -> bool:
    widths = sorted(set(step.model.config.dims) & set(WIDTHS))
    return bool(widths) and _works("MLP", [partial(mlp_error, n) for n in widths], step, say)


def _works(
    name: str,
    errors: Sequence[Callable[[torch.dtype, torch.device], float]],
    step: Step,
    say: Say,
) -> bool:
    """Whether a kernel does what the plain lines do, here."""
    if not has_triton():
        return False
    try:
        worst = max(error(step.dtype, step.device) for error in errors)
    except Exception as caught:
        say(f"the {name} kernel does not work here ({reason(caught)}): plain lines")
        return False
    if not worst < WORST:
        say(f"the {name} kernel is off by {worst:.1%}: plain lines")
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
