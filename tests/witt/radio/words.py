"""Bits that are the same in every run and under every version of numpy."""

import hashlib

import numpy as np
from numpy.typing import NDArray


def word(k: int) -> NDArray[np.uint8]:
    """k bits that look random."""
    digest = hashlib.shake_256(str(k).encode()).digest((k + 7) // 8)
    return np.unpackbits(np.frombuffer(digest, np.uint8))[:k]


def number(bits: NDArray[np.uint8]) -> int:
    """Bits as an integer, the first one highest."""
    return int("".join(map(str, bits)), 2)


def digest(bits: NDArray[np.uint8]) -> str:
    """The beginning of the SHA-256 of bits in bytes."""
    return hashlib.sha256(np.packbits(bits).tobytes()).hexdigest()[:16]
