"""A frame of single-carrier samples, one a symbol: what is sent of one picture.

    preamble 512 | pilot, 32 symbols | pilot, 32 symbols | … | pilot, the rest | pilot

All samples have unit mean power. The symbols are those of the header, then of the class map where
there is one, then of the picture. A receiver finds the preamble, reads the header, and knows then
how many symbols follow.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from witt.radio.sequence import qpsk_sequence

PREAMBLE = 512
SPACING = 32  # symbols between two pilots
PREAMBLE_SEED, PILOT_SEED = 0x57495454, 0x50494C54


class Layout(NamedTuple):
    """Where the parts of a frame are, counted from its first sample.

    symbols: (N,) places.
    pilots: (P,) places, the first sample after the preamble and so on.
    """

    symbols: NDArray[np.int64]
    pilots: NDArray[np.int64]

    @property
    def length(self) -> int:
        """Samples of the frame up to the last pilot or symbol."""
        return 1 + max(int(part.max(initial=PREAMBLE - 1)) for part in self)

    def within(self, length: int) -> Layout:
        """The part that is in the first `length` samples."""
        return Layout(*(part[part < length] for part in self))


def layout(count: int, whole: bool = True) -> Layout:
    """The layout of the first `count` symbols of a frame.

    Args:
        count: symbols, at least 1.
        whole: whether the frame ends with them, by a pilot.
    """
    places = np.arange(count)
    symbols = PREAMBLE + places + places // SPACING + 1
    pilots = PREAMBLE + np.arange(math.ceil(count / SPACING)) * (SPACING + 1)
    if whole or count % SPACING == 0:  # a pilot follows in any case
        pilots = np.append(pilots, symbols[-1] + 1)
    return Layout(symbols, pilots)


def preamble() -> NDArray[np.complex64]:
    """The samples by which a receiver finds the frame, (512,)."""
    return qpsk_sequence(PREAMBLE, PREAMBLE_SEED)


def pilots(count: int) -> NDArray[np.complex64]:
    """The first pilots of a frame, (count,)."""
    # From powers of two, so that few sequences are made and kept.
    return qpsk_sequence(2 ** math.ceil(math.log2(max(count, 2))), PILOT_SEED)[:count]


def assemble(symbols: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """The samples of a frame.

    Args:
        symbols: (N,) of unit mean power.
    """
    places = layout(len(symbols))
    samples = np.empty(places.length, np.complex64)
    samples[:PREAMBLE] = preamble()
    samples[places.pilots] = pilots(len(places.pilots))
    samples[places.symbols] = symbols
    return samples
