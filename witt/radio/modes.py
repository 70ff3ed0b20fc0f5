"""How short and long blocks may be sent."""

from typing import NamedTuple


class Mode(NamedTuple):
    """Modulation and coding of a long block.

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
