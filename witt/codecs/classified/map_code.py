"""The class map as bits: a range coder with the probabilities that the codec has for it.

The class of the first token is in the header; of the others each is coded given its left
neighbour, row by row. Where all are alike there is nothing to code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from constriction import stream
from numpy.typing import NDArray
from torch import Tensor

from witt.header import Header
from witt.side_code import NO_BITS, Bits, EntryBits, SideCode, read_whole, whole

# Probabilities are multiples of this: another processor's last digit of 2^-x changes no code.
STEP = 2.0**-16
WORD = 32  # bits of a word of the range coder
TAIL = 2 * WORD  # of which a code may be shortened


class ClassMapCode(SideCode):
    """The code of the class maps of a codec.

    Args:
        map_bits: (K + 1, K) bits of a class after its left neighbour; the last row where there is
            none.
        grid: rows and columns of tokens of a picture of a size (height, width).
    """

    has_block = True

    def __init__(
        self, map_bits: Tensor, grid: Callable[[tuple[int, int]], tuple[int, int]]
    ) -> None:
        table = map_bits.detach().double().cpu().numpy()
        self.grid, self.classes = grid, table.shape[1]
        self.bits = max(1, (self.classes - 1).bit_length())
        likely: NDArray[np.float64] = np.maximum(np.round(2.0**-table / STEP), 1) * STEP
        self._models = [stream.model.Categorical(row / row.sum(), perfect=False) for row in likely]

    def pack(self, value: Tensor | None, header: Header) -> EntryBits:
        if value is None:
            raise ValueError("a class map is missing")
        return EntryBits(whole(int(value[0, 0]), self.bits), self.bits_of(value))

    def unpack(self, told: EntryBits, header: Header) -> Tensor:
        rows, columns = self.grid(header.size)
        first = read_whole(told.fixed)
        if first >= self.classes:
            raise ValueError(f"there is no class {first}")
        if not len(told.block):
            return torch.full((rows, columns), first)
        return torch.from_numpy(self._decoded(told.block, first, rows, columns))

    def bits_of(self, classes: Tensor) -> Bits:
        """Of the block of a class map (h, w)."""
        labels = classes.detach().cpu().numpy().astype(np.int64)
        if (labels == labels[0, 0]).all():
            return NO_BITS
        encoder = stream.queue.RangeEncoder()
        for label, before in self._with_left(labels):
            encoder.encode(label, self._models[before])
        return self._shortest(encoder.get_compressed(), labels)

    def _with_left(self, labels: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Each class but the first with its left neighbour, K where there is none."""
        first = np.full_like(labels[:, :1], self.classes)
        left = np.concatenate((first, labels[:, :-1]), axis=1)
        pairs = zip(labels.flatten().tolist(), left.flatten().tolist(), strict=True)
        next(pairs)
        yield from pairs

    def _decoded(self, block: Bits, first: int, rows: int, columns: int) -> NDArray[np.int64]:
        """The classes of a block.

        Raises:
            ValueError: no class map has these bits.
        """
        padded = np.concatenate((block, np.zeros(-len(block) % WORD, np.uint8)))
        words = np.packbits(padded).view(">u4").astype(np.uint32)
        decoder = stream.queue.RangeDecoder(words)
        labels = np.empty((rows, columns), np.int64)
        for row in range(rows):
            left = self.classes
            for column in range(columns):
                try:
                    left = decoder.decode(self._models[left]) if row or column else first
                except AssertionError as error:  # how constriction says so
                    raise ValueError(f"a class map of other bits ({error})") from error
                labels[row, column] = left
        return labels

    def _is_of(self, block: Bits, labels: NDArray[np.int64]) -> bool:
        try:
            decoded = self._decoded(block, int(labels[0, 0]), *labels.shape)
        except ValueError:
            return False
        return bool((decoded == labels).all())

    def _shortest(self, words: NDArray[np.uint32], labels: NDArray[np.int64]) -> Bits:
        """The fewest bits of a code that still decode to the same: it ends on whole words.

        Bits are cut off and the rest is rounded up, which stays in the coder's last interval as
        long as few are.
        """
        bits = np.unpackbits(words.astype(">u4").view(np.uint8))
        fewest, most = max(1, len(bits) - TAIL), len(bits)  # none would be one class
        while fewest < most:
            middle = (fewest + most) // 2
            cut = _rounded_up(bits, middle)
            if cut is not None and self._is_of(cut, labels):
                most = middle
            else:
                fewest = middle + 1
        shortest = bits if most == len(bits) else _rounded_up(bits, most)
        return bits if shortest is None else shortest


def _rounded_up(bits: Bits, length: int) -> Bits | None:
    """The first bits of a binary fraction, rounded up; None where that is 1."""
    kept = bits[:length].copy()
    if not bits[length:].any():
        return kept
    zeros = np.flatnonzero(kept == 0)
    if not len(zeros):
        return None
    kept[zeros[-1]] = 1
    kept[zeros[-1] + 1 :] = 0
    return kept
