"""`python -m benchmarks.speed.channels`: AWGN and flat Rayleigh fading beside Sionna's, in one run.

Ours and Sionna's take turns, with one thread of PyTorch for OMP_NUM_THREADS=1. Both draw gain and
noise and return the received symbols. The first ratio is of the time of the processor over all
threads, which depends less on what else runs on a machine; the second is of the time that passes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import click
import torch

import channels
from benchmarks.ldpc.sionna_adapter import sionna_channels

SIZES = ((1, 2_000), (1, 73_728), (16, 73_728))


class Taken(NamedTuple):
    """Seconds of one call: of the processor, and by the clock."""

    processor: float
    clock: float


def seconds(work: Callable[[], object], least: float) -> Taken:
    """What one call takes."""
    count, processor, clock = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - clock < least or not count:
        work()
        count += 1
    return Taken((time.process_time() - processor) / count, (time.perf_counter() - clock) / count)


@click.command()
@click.option("--rounds", default=7, show_default=True, help="Of each, in turn.")
@click.option("--seconds", "least", default=0.3, show_default=True, help="Of one round.")
def command(rounds: int, least: float) -> None:
    """Measure both, and print symbols a second of ours and the ratios."""
    models = {"awgn": channels.AWGN(), "rayleigh": channels.Rayleigh()}
    for batch, n in SIZES:
        x = channels.complex_normal((batch, n))
        theirs = sionna_channels(batch, n, 0.1)
        for name, model in models.items():
            ours = lambda model=model, x=x: model(x, 10.0)  # noqa: E731
            works = (ours, theirs[name])
            for work in works:
                work()
            taken = [[seconds(work, least) for work in works] for _ in range(rounds)]
            pairs = [list(zip(*each, strict=True)) for each in taken]
            ratios = [
                statistics.median(each[kind][1] / each[kind][0] for each in pairs)
                for kind in range(2)
            ]
            own = batch * n / statistics.median(each[0].processor for each in taken)
            click.echo(
                f"{name:9} {batch:3} x {n:6,}: {own / 1e6:6.1f} M symbols/s, {ratios[0]:.2f} times "
                f"Sionna (processor), {ratios[1]:.2f} times (clock)"
            )


if __name__ == "__main__":
    with torch.inference_mode():
        command()
