"""Transport blocks of 5G: the MCS tables of TS 38.214 and the code blocks of TS 38.212.

    payload A ─► + CRC (24 or 16) ─► C equal code blocks, each + CRC24B where C > 1
                                        └─► LDPC, base graph 1 or 2 ─► E bits each ─► QAM

Sizes of transport blocks are all multiples of 8 that make equal code blocks, not only those on the
grid of TS 38.214, section 5.1.3.2, whose steps are up to 3 %: no code block is then of a higher
rate than its MCS has, all CRCs counted.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import ClassVar

from benchmarks.ldpc.modes import Blocks, Code, Mode, rated_length
from witt.errors import InputError
from witt.radio import crc
from witt.radio.ldpc import choose_base_graph
from witt.radio.segments import segments

# TS 38.214, tables 5.1.3.1-1 (to 64QAM) and 5.1.3.1-2 (to 256QAM): bits a symbol Qm and code rate
# R times 1024, by MCS index.
TABLE_1 = (
    *((2, rate) for rate in (120, 157, 193, 251, 308, 379, 449, 526, 602, 679)),
    *((4, rate) for rate in (340, 378, 434, 490, 553, 616, 658)),
    *((6, rate) for rate in (438, 466, 517, 567, 616, 666, 719, 772, 822, 873, 910, 948)),
)
TABLE_2 = (
    *((2, rate) for rate in (120, 193, 308, 449, 602)),
    *((4, rate) for rate in (378, 434, 490, 553, 616, 658)),
    *((6, rate) for rate in (466, 517, 567, 616, 666, 719, 772, 822, 873)),
    *((8, rate) for rate in (682.5, 711, 754, 797, 841, 885, 916.5, 948)),
)
# TS 38.212, section 5.2.2: the most bits of a code block, by base graph.
LONGEST_BLOCK = {1: 8448, 2: 3840}
BLOCK_CRC = 24
# Information bits, CRC included, at which error rates are simulated: whole lifting sizes, so that
# there are no filler bits. Kodak pictures from CBR 1/48 on have blocks near the longest.
RATED = {
    1: (8448, 6336, 4224, 2816, 1408, 704, 352),
    2: (3840, 2880, 1920, 960, 640, 480, 320, 240, 160, 120, 80, 60, 40),
}


@dataclass(frozen=True)
class Mcs(Mode):
    """A line of an MCS table: square QAM, and the highest rate of a code block."""

    crc: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Those of the tables have no limits but the tables."""

    @cached_property
    def name(self) -> str:
        """As in the standard, "256qam-682.5/1024"."""
        return f"{self.order}qam-{float(1024 * self.rate):g}/1024"

    def code(self, block_length: int) -> Code:
        """The code of a block whose error rate is simulated: `block_length` is K', not n."""
        symbols = math.ceil(block_length / self.rate / self.bits_per_symbol)
        graph = base_graph(block_length, self.rate)
        return Code(block_length, symbols * self.bits_per_symbol, graph)

    def cut(self, channel_uses: int) -> Blocks | None:
        """The code blocks of the largest transport block that some channel uses carry."""
        payload = int(channel_uses * self.bits_per_symbol * self.rate) // 8 * 8
        for bits in range(payload, 0, -8):
            found = segment(bits, self.rate)
            if (bits + found.crc_bits) % found.count:
                continue  # the blocks would not be equal
            # Those that get a symbol less than the others where they do not divide.
            length = channel_uses // found.count * self.bits_per_symbol
            if found.block_bits <= length * self.rate:
                return _blocks(found, length)
        return None


@dataclass(frozen=True)
class Segments:
    """How a transport block is cut.

    base_graph: 1 or 2.
    crc_bits: of the transport block's CRC.
    count: code blocks C.
    block_bits: bits K' of the longest, all CRCs included.
    """

    base_graph: int
    crc_bits: int
    count: int
    block_bits: int


def segment(payload_bits: int, rate: Fraction) -> Segments:
    """Base graph and code blocks of a transport block (TS 38.212, sections 7.2.1, 7.2.2, 5.2.2).

    Args:
        payload_bits: A, without CRC.
        rate: R of the MCS.
    """
    cut = segments(payload_bits, float(rate))
    return Segments(cut.base_graph, crc.length(cut.crc), cut.parts, cut.size)


def base_graph(bits: int, rate: Fraction) -> int:
    """The base graph, 1 or 2, of TS 38.212, section 7.2.2.

    Args:
        bits: of the transport block with its CRC; those of one of its code blocks tell the same.
        rate: R of the MCS.
    """
    return choose_base_graph(bits - 16, float(rate))  # 3824 and 292 have the shorter CRC


def _blocks(found: Segments, length: int) -> Blocks | None:
    rated = rated_length(found.block_bits, RATED[found.base_graph])
    if rated is None:
        return None
    information_bits = found.block_bits - BLOCK_CRC * (found.count > 1)
    return Blocks(found.count, length, information_bits, rated, found.crc_bits)


def _union() -> tuple[Mcs, ...]:
    lines = dict.fromkeys(itertools.chain(TABLE_1, TABLE_2))
    modes = [Mcs(2**bits, Fraction(rate) / 1024) for bits, rate in lines]
    return tuple(sorted(modes, key=lambda mode: (mode.efficiency, -mode.order)))


# Both tables, what is in both once: from the least spectral efficiency to the highest.
ALL_MCS = _union()


def parse_mcs(name: str) -> Mcs:
    """The MCS of a name, "256qam-682.5/1024".

    Raises:
        InputError: it is in neither table.
    """
    for mode in ALL_MCS:
        if mode.name == name.strip().lower():
            return mode
    raise InputError(
        f"{name!r} is in no MCS table of 5G: choose from {', '.join(m.name for m in ALL_MCS)}"
    )
