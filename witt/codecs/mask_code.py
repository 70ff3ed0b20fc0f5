"""Which k of n feature channels are sent, as bits: the number of the subset among all of its size.

Every subset of k is as likely as another one before anything is known of the picture, so that no
code is shorter on average than log2 of their number, which this one takes, rounded up.

Source: Cover, "Enumerative Source Encoding", IEEE Trans. Inf. Theory 19(1), 1973, section 2.
"""

from __future__ import annotations

from math import comb

import torch
from torch import Tensor

from witt.header import Header
from witt.side_code import NO_BITS, EntryBits, SideCode, read_whole, whole


def mask_bits(width: int, kept: int) -> int:
    """Bits that tell which `kept` of `width` channels are sent; 0 where that is all of them."""
    return (comb(width, kept) - 1).bit_length()


class MaskCode(SideCode):
    """The code of masks (D,) bool of which the header says how many are kept: two for each symbol.

    Args:
        width: D.
    """

    has_block = True

    def __init__(self, width: int) -> None:
        self.width = width

    def pack(self, value: Tensor | None, header: Header) -> EntryBits:
        if value is None:
            raise ValueError("a mask is missing")
        number = found = 0
        for place in value.nonzero().flatten().tolist():
            found += 1
            number += comb(place, found)
        return EntryBits(NO_BITS, whole(number, mask_bits(self.width, found)))

    def unpack(self, told: EntryBits, header: Header) -> Tensor:
        left = 2 * header.rate
        number, bits = read_whole(told.block), mask_bits(self.width, left)
        if len(told.block) != bits or number >= comb(self.width, left):
            raise ValueError(f"no mask of {left} of {self.width} channels has these bits")
        kept = torch.zeros(self.width, dtype=torch.bool)
        for place in reversed(range(self.width)):
            if left and comb(place, left) <= number:
                number -= comb(place, left)
                left -= 1
                kept[place] = True
        return kept
