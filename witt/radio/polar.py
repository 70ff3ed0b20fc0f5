"""The polar code of 5G NR's control channels, with a list decoder.

3GPP TS 38.212, sections 5.3.1 and 5.4.1, as for the uplink: codes up to 1,024 bits, no interleaver
of the information bits, the triangular one of the coded bits. The reliability sequence is the
standard's table 5.3.1.2-1 (in data/polar_reliability.json). For the decoder see `polar_list`.

    bits with CRC -> reliable places of u -> u G -> 32 sub-blocks -> puncture, shorten or repeat
                                                               -> triangular interleaver
"""

import json
from functools import cache
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from witt.radio.polar_list import decode_list, transform

LARGEST, SMALLEST = 1024, 32
# With fewer bits the standard adds parity bits that are not here.
LEAST_BITS = 26
# Table 5.4.1.1-1.
SUB_BLOCKS = (
    *(0, 1, 2, 4, 3, 5, 6, 7, 8, 16, 9, 17, 10, 18, 11, 19),
    *(12, 20, 13, 21, 14, 22, 15, 23, 24, 25, 26, 28, 27, 29, 30, 31),
)
# Of a bit that is known; far above any other, and no trouble in single precision.
CERTAIN = 1e4


class Polar:
    """A code of k bits, CRC included, in n_coded bits.

    Args:
        k: Bits that go in, 26 to 1,024, fewer than n_coded.
        n_coded: Bits that come out, 8,192 at most.

    Raises:
        ValueError: There is no such code.
    """

    def __init__(self, k: int, n_coded: int) -> None:
        self.k, self.n_coded = k, n_coded
        self.n = _mother_length(k, n_coded)
        if not LEAST_BITS <= k < min(n_coded, self.n + 1) or n_coded > 8192:
            raise ValueError(f"no polar code of {k} bits in {n_coded}: 26 <= k < n_coded <= 8192")
        places = np.arange(self.n)
        block = self.n // 32
        shuffled = np.array(SUB_BLOCKS)[places // block] * block + places % block
        frozen, sent = self._match_rate(shuffled)
        reliable = [place for place in _reliability() if place < self.n and place not in frozen]
        self.information = np.sort(np.array(reliable[-k:]))
        # Where in the code word each sent bit comes from.
        self.sent = shuffled[sent][_triangular(n_coded)]
        # Bits of the code word that are zero by design and not sent.
        shortened = n_coded < self.n and 16 * k > 7 * n_coded
        self.known = shuffled[n_coded:] if shortened else shuffled[:0]

    def _match_rate(self, shuffled: NDArray[np.intp]) -> tuple[set[int], NDArray[np.intp]]:
        """Places of u that rate matching makes useless, and which shuffled bits are sent."""
        n, e = self.n, self.n_coded
        if e >= n:
            return set(), np.arange(e) % n
        if 16 * self.k <= 7 * e:  # puncture
            first = ceil(3 * n / 4 - e / 2) if 4 * e >= 3 * n else ceil(9 * n / 16 - e / 4)
            return set(shuffled[: n - e].tolist()) | set(range(first)), np.arange(n - e, n)
        return set(shuffled[e:].tolist()), np.arange(e)  # shorten

    def encode(self, bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Code words of some blocks.

        Args:
            bits: 0 or 1, (B, k).

        Returns:
            (B, n_coded).
        """
        u = np.zeros((len(bits), self.n), np.uint8)
        u[:, self.information] = bits
        return np.asarray(transform(u)[:, self.sent])

    def decode(self, llrs: NDArray[np.float32], size: int = 8) -> NDArray[np.uint8]:
        """The likeliest bits that successive-cancellation list decoding finds.

        Args:
            llrs: log p(1) / p(0) of the coded bits, (B, n_coded).
            size: Paths that are kept.

        Returns:
            (B, size, k), likeliest first; with the right one, if it is there, the CRC agrees.
        """
        received = np.zeros((self.n, len(llrs)), np.float32)
        # A bit sent twice is known from the sum.
        np.add.at(received, self.sent, -llrs.T)
        received[self.known] = CERTAIN
        frozen = np.ones(self.n, bool)
        frozen[self.information] = False
        words = decode_list(received.T.clip(-CERTAIN, CERTAIN), frozen, size)
        return np.asarray(transform(words)[:, :, self.information])


def _mother_length(k: int, e: int) -> int:
    """Length of the code before rate matching: section 5.3.1."""
    up = (e - 1).bit_length()
    n1 = up - 1 if 8 * e <= 9 * 2 ** (up - 1) and 16 * k < 9 * e else up
    n2 = (8 * k - 1).bit_length()  # not below rate 1/8
    return int(min(max(2 ** min(n1, n2), SMALLEST), LARGEST))


def _triangular(e: int) -> NDArray[np.intp]:
    """Written into a triangle by rows, read by columns: section 5.4.1.3."""
    side = ceil((np.sqrt(8 * e + 1) - 1) / 2)
    row = np.repeat(np.arange(side), np.arange(side, 0, -1))[:e]
    column = np.concatenate([np.arange(side - i) for i in range(side)])[:e]
    return np.lexsort((row, column))


@cache
def _reliability() -> tuple[int, ...]:
    """Places of the longest code, least reliable first."""
    path = Path(__file__).parent / "data" / "polar_reliability.json"
    return tuple(json.loads(path.read_text(encoding="utf-8")))
