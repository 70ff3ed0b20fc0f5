"""The header of one picture as bits, all of which a receiver can take apart that has the codec.

| field | bits |
|---|---|
| weights: the first bits of their SHA-256, 0 where no file is known | 24 |
| height, width | 16 each |
| rate, less 1 | 8 |
| SNR, steps of 1/256 dB from -128 dB | 16 |
| inside: whether the side information is among the channel uses of the rate | 1 |
| the fixed bits of each entry that the codec adds | its `SideCode` says it |
| of each entry that may have a block: its mode and its length in bits | 4 and 20 |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from witt.errors import InputError
from witt.header import BITS, SNR_LOWEST_DB, SNR_STEPS
from witt.side_code import Bits, SideCode, read_whole, whole

WEIGHTS_BITS, MODE_BITS, LENGTH_BITS = 24, 4, 20
Codes = Mapping[str, SideCode]


class BlockField(NamedTuple):
    """What the header says of a block: the index of its mode, and its length in bits; 0 is none."""

    mode: int
    length: int


class HeaderFields(NamedTuple):
    """All that the header of one picture says.

    weights: see `weights_number`.
    size: (height, width).
    inside: whether the side information is among the channel uses of the rate.
    entries: fixed bits of what the codec adds, by name.
    blocks: of the entries that may have one, by name.
    """

    weights: int
    size: tuple[int, int]
    rate: int
    snr_db: float
    inside: bool
    entries: dict[str, Bits]
    blocks: dict[str, BlockField]


def weights_number(sha256: str) -> int:
    """The first 24 bits of a SHA-256; 0 of none."""
    return int(sha256[: WEIGHTS_BITS // 4], 16) if sha256 else 0


def header_length(codes: Codes) -> int:
    """Bits of the header of a codec's pictures."""
    plain = WEIGHTS_BITS + sum(BITS.values()) + 1
    return plain + sum(
        code.bits + (MODE_BITS + LENGTH_BITS if code.has_block else 0) for code in codes.values()
    )


def pack_header(fields: HeaderFields, codes: Codes) -> Bits:
    """The bits of a header.

    Raises:
        InputError: a block is longer than the header can say.
    """
    height, width = fields.size
    parts = [
        whole(fields.weights, WEIGHTS_BITS),
        whole(height, BITS["height"]),
        whole(width, BITS["width"]),
        whole(fields.rate - 1, BITS["rate"]),
        whole(round((fields.snr_db - SNR_LOWEST_DB) * SNR_STEPS), BITS["snr"]),
        whole(int(fields.inside), 1),
        *(fields.entries[name] for name in codes),
    ]
    for name, code in codes.items():
        if code.has_block:
            mode, length = fields.blocks[name]
            if length >= 2**LENGTH_BITS:
                raise InputError(
                    f"the {name} of a picture of {width}x{height} pixels takes {length:,} bits, "
                    f"and the header tells fewer than {2**LENGTH_BITS:,}: send a smaller picture"
                )
            parts += [whole(mode, MODE_BITS), whole(length, LENGTH_BITS)]
    return np.concatenate(parts)


def unpack_header(bits: Bits, codes: Codes) -> HeaderFields:
    """What the bits of a header say.

    Raises:
        ValueError: no header has these bits.
    """
    if len(bits) != header_length(codes):
        raise ValueError(f"{len(bits)} bits for a header of {header_length(codes)}")
    start = 0

    def take(count: int) -> Bits:
        nonlocal start
        start += count
        return bits[start - count : start]

    weights = read_whole(take(WEIGHTS_BITS))
    size = (read_whole(take(BITS["height"])), read_whole(take(BITS["width"])))
    rate = read_whole(take(BITS["rate"])) + 1
    snr_db = read_whole(take(BITS["snr"])) / SNR_STEPS + SNR_LOWEST_DB
    inside = bool(take(1)[0])
    entries = {name: take(code.bits) for name, code in codes.items()}
    blocks = {
        name: BlockField(read_whole(take(MODE_BITS)), read_whole(take(LENGTH_BITS)))
        for name, code in codes.items()
        if code.has_block
    }
    if 0 in size:
        raise ValueError(f"a picture of {size[1]}x{size[0]} pixels")
    return HeaderFields(weights, size, rate, snr_db, inside, entries, blocks)
