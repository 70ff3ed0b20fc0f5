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
        """Samples of the frame up to its last pilot."""
        return int(self.pilots[-1]) + 1


def layout(count: int) -> Layout:
    """The layout of a frame of `count` symbols, at least 1."""
    places = np.arange(count)
    blocks = math.ceil(count / SPACING)
    starts = np.arange(blocks) * (SPACING + 1)
    symbols = PREAMBLE + places + places // SPACING + 1
    pilots = np.append(PREAMBLE + starts, symbols[-1] + 1)
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
