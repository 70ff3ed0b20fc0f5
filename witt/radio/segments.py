"""How a long block is cut into blocks of the LDPC code: 3GPP TS 38.212, sections 5.2.2 and 7.2."""

from math import ceil
from typing import NamedTuple

from witt.radio import crc
from witt.radio.ldpc import BASE_GRAPHS, choose_base_graph
from witt.radio.modes import Mode

SEGMENT_CRC = "crc24b"


class Segments(NamedTuple):
    """The parts of a long block.

    Attributes:
        crc: Of the whole block.
        base_graph: Of the LDPC code.
        padding: Zeros behind the bits, so that the parts are alike.
        parts: How many.
        size: Bits of one, with its own CRC if there are several.
    """

    crc: str
    base_graph: int
    padding: int
    parts: int
    size: int


def segments(k: int, rate: float) -> Segments:
    """How a block of k bits is cut up.

    Args:
        k: Bits of the block, without CRC.
        rate: Of the code.

    Raises:
        ValueError: There are no bits.
    """
    if k < 1:
        raise ValueError(f"a block has at least one bit, got {k}")
    name = "crc24a" if k > 3824 else "crc16"
    graph = choose_base_graph(k, rate)
    total, most = k + crc.length(name), BASE_GRAPHS[graph].most_bits
    if total <= most:
        return Segments(name, graph, 0, 1, total)
    own = crc.length(SEGMENT_CRC)
    parts = ceil(total / (most - own))
    each = ceil(total / parts)
    return Segments(name, graph, parts * each - total, parts, each + own)


def uses_of(k: int, mode: Mode) -> int:
    """Channel uses of a long block.

    Args:
        k: Bits of the block, without CRC.
        mode: How it is sent.

    Raises:
        ValueError: There are no bits.
    """
    cut = segments(k, mode.rate)
    return ceil(cut.parts * cut.size / (mode.rate * mode.bits_per_symbol))


def groups(parts: int, uses: int) -> list[tuple[int, int, int]]:
    """First and last part of those of one length, and the channel uses of each: section 5.4.2.1.

    Args:
        parts: How many there are.
        uses: Of all together.
    """
    length, longer = divmod(uses, parts)
    shorter = parts - longer
    both = [(0, shorter, length), (shorter, parts, length + 1)]
    return [group for group in both if group[0] < group[1]]
