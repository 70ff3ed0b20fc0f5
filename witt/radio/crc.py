"""Cyclic redundancy checks of 5G NR: 3GPP TS 38.212, section 5.1."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Exponents of the generator polynomials; the highest is the number of parity bits.
POLYNOMIALS = {
    "crc24a": (24, 23, 18, 17, 14, 11, 10, 7, 6, 5, 4, 3, 1, 0),
    "crc24b": (24, 23, 6, 5, 1, 0),
    "crc24c": (24, 23, 21, 20, 17, 15, 13, 12, 8, 4, 2, 1, 0),
    "crc16": (16, 12, 5, 0),
    "crc11": (11, 10, 9, 5, 0),
}


def length(name: str) -> int:
    """How many parity bits a check adds.

    Args:
        name: One of `POLYNOMIALS`.

    Raises:
        ValueError: The name is unknown.
    """
    if name not in POLYNOMIALS:
        raise ValueError(f"unknown CRC {name!r}; there are {', '.join(POLYNOMIALS)}")
    return POLYNOMIALS[name][0]


def attach(bits: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """The bits with their parity bits behind them.

    Args:
        bits: 0 or 1, (..., k).
        name: One of `POLYNOMIALS`.

    Returns:
        (..., k + length(name)).

    Raises:
        ValueError: The name is unknown.
    """
    width = length(name)
    remainder = _remainder(bits, name)
    parity = (remainder[..., None] >> np.arange(width - 1, -1, -1, dtype=np.uint32)) & 1
    return np.concatenate([bits, parity.astype(np.uint8)], axis=-1)


def check(bits: NDArray[np.uint8], name: str) -> NDArray[np.bool_]:
    """Whether the last bits are the parity bits of those before them.

    Args:
        bits: 0 or 1, (..., k + length(name)).
        name: One of `POLYNOMIALS`.

    Returns:
        One truth value for each word, (...).

    Raises:
        ValueError: The name is unknown.
    """
    # The remainder of the whole word is zero exactly then.
    return np.asarray(_remainder(bits, name) == 0)


def _remainder(bits: NDArray[np.uint8], name: str) -> NDArray[np.uint32]:
    """x^length · bits(x) modulo the generator, as an integer for each word."""
    k = bits.shape[-1]
    # The table is made for the next power of two, so that few are made.
    table = _powers(name, 1 << k.bit_length())[:k][::-1]
    words = np.where(bits.astype(bool), table, np.uint32(0))
    return np.asarray(np.bitwise_xor.reduce(words, axis=-1), np.uint32)


@lru_cache(maxsize=64)
def _powers(name: str, count: int) -> NDArray[np.uint32]:
    """x^(length + j) modulo the generator, for j below count."""
    width = length(name)
    taps = sum(1 << exponent for exponent in POLYNOMIALS[name][1:])
    powers = np.empty(count, np.uint32)
    value = taps
    for j in range(count):
        powers[j] = value
        value <<= 1
        if value >> width:
            value = (value & ((1 << width) - 1)) ^ taps
    return powers
