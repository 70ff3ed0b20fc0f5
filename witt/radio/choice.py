"""Which level or mode to use at an SNR, by our own simulation (see `error_rates`)."""

import json
from functools import cache
from math import log10
from pathlib import Path
from typing import NamedTuple

import numpy as np

from witt.radio.modes import LEVELS, MODES, Mode

TABLE = Path(__file__).parent / "data" / "error_rates.json"


class Curve(NamedTuple):
    """Block error rate 10^(-3 - (snr - required) / decade), fitted to a simulation.

    Attributes:
        k: Bits of a block.
        required: SNR at which 1 block in 1,000 is lost, dB.
        decade: dB by which a tenth as many are.
        margin: Two standard deviations of `required`, dB.
    """

    k: int
    required: float
    decade: float
    margin: float

    def snr_db(self, target: float) -> float:
        """The SNR, margin included, for a block error rate."""
        return self.required - self.decade * (log10(target) + 3) + self.margin


def level_for(k: int, snr_db: float, fades: bool, target: float = 1e-3) -> int:
    """The fewest channel uses in which a short block arrives.

    Args:
        k: Bits of the block, without CRC.
        snr_db: Es/N0 of the channel.
        fades: Rayleigh fading from symbol to symbol, known to the receiver; else AWGN.
        target: Block error rate that is allowed.

    Returns:
        One of `LEVELS`: the largest where none reaches the target.

    Raises:
        ValueError: The block is longer than any that was simulated.
    """
    longest = max(curve.k for curve in table()["short", LEVELS[0], fades])
    if k > longest:
        raise ValueError(f"a short block has {longest} bits at most, got {k}")
    for uses in LEVELS:
        if required_snr("short", uses, k, fades, target) <= snr_db:
            return uses
    return LEVELS[-1]


def mode_for(k: int, snr_db: float, fades: bool, target: float = 1e-3) -> Mode:
    """The mode of most bits a symbol in which a long block arrives.

    Args:
        k: Bits of the block, without CRC.
        snr_db: Es/N0 of the channel.
        fades: Rayleigh fading from symbol to symbol, known to the receiver; else AWGN.
        target: Block error rate that is allowed.

    Returns:
        One of `MODES`: the first where none reaches the target.
    """
    for index in reversed(range(len(MODES))):
        if required_snr("long", index, k, fades, target) <= snr_db:
            return MODES[index]
    return MODES[0]


def required_snr(kind: str, choice: int, k: int, fades: bool, target: float = 1e-3) -> float:
    """The SNR in dB at which a block arrives.

    Between the lengths that were simulated the SNR is interpolated over log k, where it is convex:
    never too low. A block longer than the longest is several of that length.

    Args:
        kind: "short" or "long".
        choice: Channel uses of a short block, place in `MODES` of a long one.
        k: Bits of the block, without CRC.
        fades: Rayleigh fading from symbol to symbol, known to the receiver; else AWGN.
        target: Block error rate that is allowed.
    """
    curves = table()[kind, choice, fades]
    target /= max(k / curves[-1].k, 1)
    required = [curve.snr_db(target) for curve in curves]
    return float(np.interp(np.log(k), np.log([curve.k for curve in curves]), required))


@cache
def table() -> dict[tuple[str, int, bool], list[Curve]]:
    """The shipped curves of each kind, choice and channel, shortest blocks first."""
    curves: dict[tuple[str, int, bool], list[Curve]] = {}
    for each in json.loads(TABLE.read_text(encoding="utf-8"))["curves"]:
        kind = "short" if "uses" in each else "long"
        choice = each["uses"] if kind == "short" else each["mode"]
        curve = Curve(each["k"], each["required_db"], each["decade_db"], each["margin_db"])
        curves.setdefault((kind, choice, each["channel"] == "rayleigh"), []).append(curve)
    return {key: sorted(group) for key, group in curves.items()}
