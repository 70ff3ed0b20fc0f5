"""Modulation and code rate of a digital chain, and how channel uses are cut into code blocks.

A mode is named as in "16qam-1/2": square QAM of 16 points, code rate 1/2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from witt.errors import InputError

# Those of the published comparison.
MODES = ("4qam-1/3", "4qam-1/2", "4qam-2/3", "16qam-1/2", "16qam-2/3", "64qam-1/2")
BITS_PER_SYMBOL = {4: 2, 16: 4, 64: 6, 256: 8}
LOWEST_RATE, HIGHEST_RATE = Fraction(1, 5), Fraction(11, 12)
BLOCK_LENGTH = 6144
# Error rates are simulated at these lengths only; all are whole symbols in every modulation.
RATED_LENGTHS = (6144, 4608, 3072, 2304, 1536, 1152, 768, 576, 384, 288, 192, 144, 96)
# A block may be this much shorter than the length that its error rate was simulated at: the gap
# to capacity grows as 1 / sqrt(n), so a tenth of the length is 0.02 dB at 6144 bits.
TOLERANCE = Fraction(1, 10)


class Code(NamedTuple):
    """What makes the code of a block: k bits into n; base graph 1 or 2, or None for the usual."""

    k: int
    n: int
    base_graph: int | None = None


@dataclass(frozen=True)
class Mode:
    """A square QAM and the rate of the code.

    Args:
        order: number of points, 4 to 256.
        rate: information bits over coded bits.

    Raises:
        InputError: the chain has no such mode.
    """

    order: int
    rate: Fraction
    # Whether code blocks have a CRC, by which the decoder knows that it may stop.
    crc: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.order not in BITS_PER_SYMBOL:
            raise InputError(
                f"{self.order}qam is not there: choose from "
                + ", ".join(f"{order}qam" for order in BITS_PER_SYMBOL)
            )
        if not LOWEST_RATE <= self.rate <= HIGHEST_RATE:
            raise InputError(
                f"code rate {self.rate} is not served: choose from {LOWEST_RATE} to {HIGHEST_RATE}"
            )

    @property
    def papr_db(self) -> float:
        """Peak over mean power of the constellation, 3 (m - 1) / (m + 1) with m² points."""
        side = math.isqrt(self.order)
        return 10 * math.log10(3 * (side - 1) / (side + 1))

    @cached_property
    def points(self) -> npt.NDArray[np.complex64]:
        """The constellation, of unit mean power."""
        side = math.isqrt(self.order)
        levels = np.arange(1 - side, side, 2) / math.sqrt(2 * (self.order - 1) / 3)
        return (levels[:, None] + 1j * levels).flatten().astype(np.complex64)

    @cached_property
    def name(self) -> str:
        """As on the command line, "16qam-1/2"."""
        return f"{self.order}qam-{self.rate}"

    @property
    def bits_per_symbol(self) -> int:
        """Coded bits of a channel use."""
        return BITS_PER_SYMBOL[self.order]

    def information_bits(self, block_length: int) -> int:
        """Information bits k of a code block of n = `block_length` bits, rounded down.

        But not below n / 5, where the 5G code ends: its shortest blocks are then of a rate that is
        up to a bit above the lowest one.
        """
        return max(int(block_length * self.rate), math.ceil(block_length * LOWEST_RATE))

    @property
    def efficiency(self) -> Fraction:
        """Information bits of a channel use."""
        return self.bits_per_symbol * self.rate

    def code(self, block_length: int) -> Code:
        """The code whose error rate stands for blocks of a rated length."""
        return Code(self.information_bits(block_length), block_length)

    def cut(self, channel_uses: int) -> Blocks | None:
        """Cut channel uses into equal code blocks of at most 6144 bits, as few as that takes.

        n is whole symbols, so fewer symbols than there are blocks may stay empty at the end.

        Returns:
            `Blocks`, or None where there are fewer coded bits than the shortest block has.
        """
        count = -(-channel_uses * self.bits_per_symbol // BLOCK_LENGTH)
        if count == 0:
            return None
        length = channel_uses // count * self.bits_per_symbol
        rated = rated_length(length)
        if rated is None:
            return None
        return Blocks(count, length, self.information_bits(length), rated)


@dataclass(frozen=True)
class Blocks:
    """Equal code blocks.

    count: number of them.
    length: coded bits n of each.
    information_bits: k of each, without a CRC of its own.
    rated_length: the length at which the error rate of such a block is simulated.
    crc_bits: of the CRC that all blocks have together.
    """

    count: int
    length: int
    information_bits: int
    rated_length: int
    crc_bits: int = 0

    @property
    def bits(self) -> int:
        """Bits of pictures in all blocks."""
        return self.count * self.information_bits - self.crc_bits


def parse_mode(name: str) -> Mode:
    """The mode of a name, "<points>qam-<code rate>".

    Raises:
        InputError: not such a name, or no such mode; the message lists the usual ones.
    """
    match = re.fullmatch(r"(\d{1,4})qam-(\d{1,4})/([1-9]\d{0,3})", name.strip().lower())
    usual = f"choose from {', '.join(MODES)}, or another <points>qam-<code rate>"
    if match is None:
        raise InputError(f"{name!r} is not a mode: {usual}")
    order, above, below = map(int, match.groups())
    try:
        return Mode(order, Fraction(above, below))
    except InputError as error:
        raise InputError(f"{name!r} is not a mode: {error} ({usual})") from error


def rated_length(length: int, lengths: Sequence[int] = RATED_LENGTHS) -> int | None:
    """The length whose simulated error rate stands for a block of `length` bits.

    The longest one that is at most a tenth longer than the block: otherwise it is shorter, and
    the error rate pessimistic. None where even the shortest is too long.
    """
    fit = [rated for rated in lengths if rated * (1 - TOLERANCE) <= length]
    return max(fit, default=None)
