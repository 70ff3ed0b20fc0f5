"""How often blocks are lost, by Monte Carlo: the table that `choice` reads.

    python -m witt.radio.error_rates

makes it again, curve by curve, in about half an hour of one core. Each curve has a seed of its
own, drawn from its name, so that any of them alone comes out the same. From where about a third
of the blocks is lost the SNR is raised by half a decade at a time to where 1 in 250 is, each point
until 60 are lost or the budget is spent. A straight line over the SNR in dB is fitted to the
logarithm of the rates up to 0.15 and carried on to 1 in 1,000. Over AWGN the rates bend down from
such a line, so that it errs on the safe side.
"""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor

import channels
from witt.errors import InputError
from witt.files import write_text
from witt.radio.blocks import long_bits, long_symbols, short_bits, short_symbols
from witt.radio.choice import TABLE
from witt.radio.modes import LEVELS, MODES
from witt.radio.segments import uses_of

SHORT_LENGTHS = (80, 110, 140, 176)
LONG_LENGTHS = (8, 64, 256, 1024, 4096)
ENOUGH_ERRORS = 60
# Blocks at a point, at most: of long ones as many as make up a number of coded bits, within bounds.
MOST_SHORT, MOST_LONG, LEAST_LONG, MOST_BITS = 3000, 1500, 200, 800_000


class Case(NamedTuple):
    """One curve.

    Attributes:
        kind: "short" or "long".
        choice: Channel uses of a short block, place in `MODES` of a long one.
        k: Bits of a block.
        fades: Rayleigh from symbol to symbol, known to the receiver; else AWGN.
    """

    kind: str
    choice: int
    k: int
    fades: bool

    @property
    def uses(self) -> int:
        """Channel uses of a block."""
        return self.choice if self.kind == "short" else uses_of(self.k, MODES[self.choice])

    @property
    def most_blocks(self) -> int:
        """Blocks at a point, at most."""
        if self.kind == "short":
            return MOST_SHORT
        # A code is no longer than five times its bits: the rest is repeated.
        coded = min(self.uses * MODES[self.choice].bits_per_symbol, 5 * self.k + 100)
        return min(MOST_LONG, max(LEAST_LONG, MOST_BITS // coded))


class Point(NamedTuple):
    """What was simulated at an SNR."""

    snr_db: float
    blocks: int
    errors: int


def cases() -> list[Case]:
    """All curves of the table."""
    return [
        Case(kind, choice, k, fades)
        for kind, choices, lengths in (
            ("short", LEVELS, SHORT_LENGTHS),
            ("long", range(len(MODES)), LONG_LENGTHS),
        )
        for choice in choices
        for k in lengths
        for fades in (False, True)
    ]


def lost(case: Case, snr_db: float, blocks: int, generator: torch.Generator) -> int:
    """Send random blocks and count those that do not arrive, or not as they were.

    Args:
        case: What is sent, and over which channel.
        snr_db: Es/N0.
        blocks: How many, at once.
        generator: Source of bits, gains and noise.
    """
    bits = torch.randint(2, (blocks, case.k), generator=generator, dtype=torch.uint8).numpy()
    channel: channels.Channel = channels.Rayleigh() if case.fades else channels.AWGN()
    if case.kind == "short":
        x_hat, noise_var = _cross(channel, short_symbols(bits, case.uses), snr_db, generator)
        found, right = short_bits(x_hat, noise_var, case.k)
    else:
        mode = MODES[case.choice]
        x_hat, noise_var = _cross(channel, long_symbols(bits, mode), snr_db, generator)
        found, right = long_bits(x_hat, noise_var, case.k, mode)
    return int(blocks - (right & (found == bits).all(axis=1)).sum())


def _cross(
    channel: channels.Channel, x: Tensor, snr_db: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    return channels.zero_forcing(*channel(x, snr_db, generator=generator))


def simulate(case: Case) -> list[Point]:
    """Points of a curve, lowest SNR first.

    Args:
        case: Which.
    """
    seed = hashlib.sha256(repr(tuple(case)).encode()).digest()[:7]
    generator = torch.Generator().manual_seed(int.from_bytes(seed, "big"))
    batch = int(np.clip(2**20 // case.uses, 1, 256))
    counts: dict[float, tuple[int, int]] = {}

    def measure(snr_db: float, most: int) -> float:
        blocks, errors = counts.get(snr_db, (0, 0))
        while blocks < most and errors < ENOUGH_ERRORS:
            errors += lost(case, snr_db, min(batch, most - blocks), generator)
            blocks = min(blocks + batch, most)
        counts[snr_db] = blocks, errors
        return errors / blocks

    snr_db, step, before = _guess(case), 0.5, 0
    while True:
        rate = measure(snr_db := round(snr_db, 2), min(60, case.most_blocks))
        if 0.15 <= rate <= 0.6 or step < 0.05:
            break
        direction = 1 if rate > 0.6 else -1
        # On, by larger steps; past the place back, by smaller ones.
        step *= 0.5 if before == -direction else 1.5 if before else 1
        snr_db, before = snr_db + direction * step, direction
    # The longer a block, the steeper its curve.
    step = min(0.2, 6.4 / case.k**0.5)
    for _ in range(10):
        last, rate = rate, measure(round(snr_db := snr_db + step, 2), case.most_blocks)
        if rate <= 0.004:
            break
        step = float(np.clip(0.5 * step / max(np.log10(last / rate), 0.1), step / 2, 2 * step))
    return _points(counts)


def _points(counts: dict[float, tuple[int, int]]) -> list[Point]:
    return [Point(snr_db, *counts[snr_db]) for snr_db in sorted(counts)]


def _guess(case: Case) -> float:
    """Where capacity is what is sent, and some dB."""
    theory = channels.theory
    capacity = theory.rayleigh_ergodic_capacity if case.fades else theory.awgn_capacity
    snrs_db = np.arange(-15, 40, 0.1)
    return float(np.interp(case.k / case.uses, capacity(snrs_db), snrs_db)) + 1.0


def fit(points: list[Point]) -> tuple[float, float, float]:
    """The likeliest line log10(rate) = -3 - (snr - required) / decade.

    Args:
        points: Of one curve.

    Returns:
        Required SNR and decade in dB, and the standard deviation of the first, from the curvature
        of the likelihood.
    """
    used = [p for p in points if p.errors <= 0.15 * p.blocks]
    if sum(p.errors > 0 for p in used) < 2:  # a line needs two
        used = [p for p in points if p.errors <= 0.5 * p.blocks]
    snr, blocks, errors = np.array(used, float).T

    def cost(at: NDArray[np.float64]) -> float:
        rate = np.minimum(10 ** (-3 - (snr - at[0]) / np.exp(at[1])), 0.5)
        return float(-(errors * np.log(rate) + (blocks - errors) * np.log1p(-rate)).sum())

    slope, height = np.polyfit(snr, np.log10((errors + 0.5) / blocks), 1)
    slope = min(slope, -0.01)
    start = np.array([-(3 + height) / slope, np.log(-1 / slope)])
    options = {"xatol": 1e-6, "fatol": 1e-9, "maxiter": 4000}
    best = optimize.minimize(cost, start, method="Nelder-Mead", options=options).x
    e = 1e-3 * np.eye(2)
    curvature = [
        [
            cost(best + a + b) - cost(best + a - b) - cost(best - a + b) + cost(best - a - b)
            for b in e
        ]
        for a in e
    ]
    variance = np.linalg.pinv(np.array(curvature) / 4e-6)[0, 0]
    return float(best[0]), float(np.exp(best[1])), float(np.sqrt(variance))


def entry(case: Case) -> dict[str, object]:
    """A curve as the table has it.

    Args:
        case: Which; it is simulated.
    """
    torch.set_num_threads(1)
    points = simulate(case)
    required, decade, deviation = fit(points)
    return {
        ("uses" if case.kind == "short" else "mode"): case.choice,
        "k": case.k,
        "channel": "rayleigh" if case.fades else "awgn",
        "required_db": round(required, 3),
        "decade_db": round(decade, 3),
        "margin_db": round(2 * deviation, 3),
        "errors_of_blocks": {f"{p.snr_db:g}": f"{p.errors}/{p.blocks}" for p in points},
    }


def _entries(jobs: int) -> Iterator[dict[str, object]]:
    if jobs == 1:
        yield from map(entry, cases())
    else:
        with ProcessPoolExecutor(jobs) as pool:
            yield from pool.map(entry, cases())


@click.command()
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=TABLE, help="Default: the table.")
def command(jobs: int, out: Path) -> None:
    """Simulate all block error rates and write the table."""
    curves = []
    for each in _entries(jobs):
        curves.append(each)
        click.echo(json.dumps(each))
    rows = ",\n".join(json.dumps(each) for each in curves)
    head = '"format": "witt-radio-error-rates-1",\n"curves": [\n'
    try:
        write_text(out, f"{{\n{head}{rows}\n]\n}}\n")
    except InputError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    command()
