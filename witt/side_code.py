"""How an entry of the header becomes bits and back: what a codec says of each that it adds.

An entry takes a fixed number of bits in the header, or in a block of its own, whose length the
header says, or both.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from witt.header import Header

Bits = NDArray[np.uint8]  # zeros and ones
NO_BITS: Bits = np.zeros(0, np.uint8)


class EntryBits(NamedTuple):
    """The bits of an entry of one picture.

    fixed: in the header.
    block: in a block of its own; empty is none.
    """

    fixed: Bits
    block: Bits = NO_BITS


class SideCode:
    """How the entry of one picture becomes bits and back.

    Attributes:
        bits: it takes in the header, always as many.
        has_block: whether more may follow in a block of its own.
    """

    bits: int = 0
    has_block: ClassVar[bool] = False

    def pack(self, value: Tensor | None, header: Header) -> EntryBits:
        """The bits of an entry.

        Args:
            value: of one picture, without the dimension of the batch; None where the header has no
                such entry.
            header: of the pictures.

        Raises:
            InputError: it cannot be told with these bits.
        """
        raise NotImplementedError

    def unpack(self, told: EntryBits, header: Header) -> Tensor | None:
        """The entry again, of one picture, without the dimension of the batch.

        Args:
            told: the bits, which may be of a header that another codec made.
            header: of one picture, with the entries before this one.

        Raises:
            ValueError: no entry has these bits.
        """
        raise NotImplementedError


class Half(SideCode):
    """A number as float16; NaN says that there is none.

    Args:
        shape: of the entry of one picture.
    """

    bits = 16

    def __init__(self, shape: tuple[int, ...] = (1,)) -> None:
        self.shape = shape

    def pack(self, value: Tensor | None, header: Header) -> EntryBits:
        number = np.nan if value is None else float(value)
        word = int(np.array(number, np.float16).view(np.uint16))
        return EntryBits(whole(word, self.bits))

    def unpack(self, told: EntryBits, header: Header) -> Tensor | None:
        number = float(np.array(read_whole(told.fixed), np.uint16).view(np.float16))
        if np.isnan(number):
            return None
        return torch.full(self.shape, number, dtype=header.snr_db.dtype)


def whole(number: int, bits: int) -> Bits:
    """The bits of a number from 0 to 2^bits - 1, the highest first.

    Raises:
        ValueError: it is outside.
    """
    if not 0 <= number < 2**bits:
        raise ValueError(f"{number} does not fit into {bits} bits")
    return np.array([number >> place & 1 for place in reversed(range(bits))], np.uint8)


def read_whole(bits: Bits) -> int:
    """The inverse of `whole`."""
    number = 0
    for bit in bits.tolist():
        number = number << 1 | bit
    return number
