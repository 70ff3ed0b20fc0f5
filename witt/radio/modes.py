"""Modulation and coding of short and long blocks, and which to use at an SNR."""

from typing import NamedTuple

from channels import theory


class Mode(NamedTuple):
    """How a long block is sent.

    Attributes:
        name: Modulation and rate in 1,024ths.
        bits_per_symbol: Of the modulation.
        rate: Bits with their CRCs over coded bits.
    """

    name: str
    bits_per_symbol: int
    rate: float


# Of TS 38.214, tables 5.1.3.1-1 and 5.1.3.1-2: a step every 1 to 2 dB. The place of a mode in
# this list is what is sent.
MODES = tuple(
    Mode(f"{name} {rate}/1024", bits, rate / 1024)
    for name, bits, rates in (
        ("QPSK", 2, (120, 193, 251, 308, 449, 602)),
        ("16QAM", 4, (378, 490, 616)),
        ("64QAM", 6, (466, 567, 666, 772, 873)),
        ("256QAM", 8, (711, 797)),
    )
    for rate in rates
)
# Channel uses of a short block, sent as QPSK.
LEVELS = (108, 162, 216, 324, 432, 648, 864)


def level_for(k: int, snr_db: float, fades: bool, target: float = 1e-3) -> int:
    """The fewest channel uses in which a short block arrives.

    Args:
        k: Bits of the block, without CRC.
        snr_db: Es/N0 of the channel.
        fades: Rayleigh fading from symbol to symbol, known to the receiver; else AWGN.
        target: Block error rate that is allowed.

    Returns:
        One of `LEVELS`: the largest where none reaches the target.
    """
    for uses in LEVELS:
        if _provisional((k + 24) / uses, 2.5, snr_db, fades):
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
    for mode in reversed(MODES):
        if _provisional(mode.rate * mode.bits_per_symbol, 2.5, snr_db, fades):
            return mode
    return MODES[0]


def _provisional(bits_a_use: float, gap_db: float, snr_db: float, fades: bool) -> bool:
    capacity = theory.rayleigh_ergodic_capacity if fades else theory.awgn_capacity
    return float(capacity(snr_db - gap_db)) >= bits_a_use
