"""The best picture of a codec that fits into so many bytes."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict

import numpy as np

from benchmarks.codecs.base import Codec, Encoded
from witt.pictures.images import Pixels

# A little more quality may take a little less: by how much at most, for the codecs here.
WOBBLE = 0.05
# From the worst quality to the best a payload grows about thousandfold; a guess to start from.
GROWTH = math.log(1000)
MEMORY_BYTES = 512 * 2**20


class Searched:
    """A codec that remembers what it has encoded, and finds the best that fits.

    A picture at a quality is encoded once. To bound the memory (512 MiB of decoded pictures),
    pictures not asked for lately are forgotten.
    """

    def __init__(self, codec: Codec, memory_bytes: int = MEMORY_BYTES) -> None:
        self.codec = codec
        self._memory_bytes = memory_bytes
        # Of each picture, by its digest, what was encoded, by the place of the quality.
        self._known: OrderedDict[bytes, dict[int, Encoded]] = OrderedDict()

    @property
    def name(self) -> str:
        """That of the codec."""
        return self.codec.name

    def best(self, pixels: Pixels, budget_bytes: int) -> Encoded | None:
        """The encoded picture with the highest PSNR among those that fit, as far as was looked.

        The payload is taken to grow with the quality, but for a wobble of `WOBBLE`: from the
        first that does not fit the search goes on to one that is far too large.

        Args:
            pixels: (H, W, 3) uint8.
            budget_bytes: the largest payload.

        Returns:
            What was encoded; None where nothing fits, not even the lowest quality.

        Raises:
            InputError, ValueError: as `Codec.encode`.
        """
        known = self._recall(pixels)
        count = len(self.codec.qualities)
        low, high = -1, count
        for place in sorted(known):
            if known[place].payload_bytes <= budget_bytes:
                low = place
        for place in sorted(known, reverse=True):
            if place > low:
                high = place
        steps = 0
        while high - low > 1:
            place = _guess(known, low, high, count, budget_bytes, steps)
            if self._encode(pixels, known, place).payload_bytes <= budget_bytes:
                low = place
            else:
                high = place
            steps += 1
        while high < count:
            payload = self._encode(pixels, known, high).payload_bytes
            if payload > budget_bytes * (1 + WOBBLE):
                break
            high += 1
        self._forget()
        fitting = [encoded for encoded in known.values() if encoded.payload_bytes <= budget_bytes]
        if not fitting:
            return None
        # Of equal pictures the smaller one.
        return min(fitting, key=lambda encoded: (_error(encoded, pixels), encoded.payload_bytes))

    def _recall(self, pixels: Pixels) -> dict[int, Encoded]:
        digest = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).digest()
        known = self._known.setdefault(digest, {})
        self._known.move_to_end(digest)
        return known

    def _encode(self, pixels: Pixels, known: dict[int, Encoded], place: int) -> Encoded:
        if place not in known:
            known[place] = self.codec.encode(pixels, self.codec.qualities[place])
        return known[place]

    def _forget(self) -> None:
        """Drop the pictures asked for longest ago until the rest fit into the memory."""
        sizes = {
            digest: sum(encoded.pixels.nbytes for encoded in known.values())
            for digest, known in self._known.items()
        }
        total = sum(sizes.values())
        while total > self._memory_bytes and len(self._known) > 1:
            digest, _ = self._known.popitem(last=False)
            total -= sizes[digest]


def _guess(
    known: dict[int, Encoded], low: int, high: int, count: int, budget: int, steps: int
) -> int:
    """A place between low and high, taking the logarithm of the payload as linear in it.

    Where the guess is bad it must not creep: with both ends known every third step halves, with
    one known the move at least doubles.
    """
    if not known or budget <= 0:
        # Low: the better a quality the longer it takes to encode.
        place = count // 3 >> steps
    elif low in known and high in known:
        first, last = known[low].payload_bytes, known[high].payload_bytes
        part = math.log(budget / first) / math.log(last / first)
        place = (low + high) // 2 if steps % 3 == 2 else low + math.floor(part * (high - low))
    else:
        near = low if low in known else high
        move = math.floor(math.log(budget / known[near].payload_bytes) * count / GROWTH)
        least = 1 << max(steps - 2, 0)
        place = low + max(move, least) if near == low else high + min(move, -least)
    return min(max(place, low + 1), high - 1)


def _error(encoded: Encoded, pixels: Pixels) -> int:
    """Sum of the squared errors: the order of PSNR."""
    difference = encoded.pixels.astype(np.int64) - pixels
    return int((difference * difference).sum())
