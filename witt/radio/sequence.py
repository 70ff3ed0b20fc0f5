"""Known symbols for preambles and pilots: QPSK from the Gold sequence of 5G.

Its ambiguity function is a thumbtack: an offset in frequency is not taken for one in time, as it is
with Zadoff–Chu sequences, for which 5G took other sequences in its synchronisation signals too.

Source: 3GPP TS 38.211 5.2.1 (sequence), 5.1.3 (QPSK).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SKIPPED = 1600  # N_C of the standard
DEGREE = 31


def gold_bits(length: int, seed: int) -> NDArray[np.uint8]:
    """Bits c(0) … c(length − 1) for c_init = `seed`.

    Args:
        length: how many.
        seed: below 2^31.
    """
    count = SKIPPED + length
    first, second = (np.zeros(count + DEGREE, np.uint8) for _ in range(2))
    first[0] = 1
    second[:DEGREE] = [(seed >> bit) & 1 for bit in range(DEGREE)]
    # 28 at once: the nearest tap is 3 back from the next 31.
    for start in range(0, count, 28):
        end = min(start + 28, count)
        taps = [slice(start + shift, end + shift) for shift in range(4)]
        to = slice(start + DEGREE, end + DEGREE)
        first[to] = first[taps[3]] ^ first[taps[0]]
        second[to] = second[taps[3]] ^ second[taps[2]] ^ second[taps[1]] ^ second[taps[0]]
    return first[SKIPPED:count] ^ second[SKIPPED:count]


@lru_cache
def qpsk_sequence(length: int, seed: int) -> NDArray[np.complex64]:
    """Symbols of unit power, (length,); the same each time, and not to be written to."""
    signs = 1.0 - 2.0 * gold_bits(2 * length, seed)
    symbols = ((signs[0::2] + 1j * signs[1::2]) / np.sqrt(2)).astype(np.complex64)
    symbols.flags.writeable = False
    return symbols
