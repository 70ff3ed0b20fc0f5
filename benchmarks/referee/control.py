"""What the receiver of a digital chain must know first: a short polar block before the payload.

    mode 8 | channel uses 24 | payload bytes 24 | CRC-24 of the payload 24   ─► CRC, polar, QPSK

The lengths that the block may have are few: the receiver tries each, and its CRC tells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from witt.errors import InputError
from witt.radio.blocks import LEVELS, decode_short, encode_short, level_for
from witt.radio.crc import attach

FIELDS = {"mode": 8, "uses": 24, "payload_bytes": 24, "crc": 24}
BITS = sum(FIELDS.values())


class Control(NamedTuple):
    """What is told.

    mode: index into the modes of the scheme.
    uses: channel uses of the payload.
    payload_bytes: of the codec.
    crc: of the payload, by which a chain without CRCs of its own knows that it is whole.
    """

    mode: int
    uses: int
    payload_bytes: int
    crc: int


class Found(NamedTuple):
    """A control block that was received, and the symbols that it took."""

    control: Control
    uses: int


def to_symbols(control: Control, snr_db: float, fades: bool) -> Tensor:
    """The symbols of a control block, as many as one failure in 1,000 takes at an SNR.

    Raises:
        InputError: a number does not fit its field.
    """
    for (name, width), value in zip(FIELDS.items(), control, strict=True):
        if not 0 <= value < 2**width:
            raise InputError(f"{name} {value:,} does not fit the {width} bits of a control block")
    widths = zip(control, FIELDS.values(), strict=True)
    bits = [value >> place & 1 for value, width in widths for place in range(width)[::-1]]
    return encode_short(np.array(bits, np.uint8), level_for(BITS, snr_db, fades))


def find(x_hat: Tensor, noise_var: Tensor) -> Found | None:
    """The control block at the beginning of received symbols; None where all CRCs failed.

    Args:
        x_hat: (N,) complex, unbiased.
        noise_var: their error variances, (N,).
    """
    for uses in LEVELS:
        if uses > len(x_hat):
            break
        bits = decode_short(x_hat[:uses], noise_var[:uses], BITS)
        if bits is not None:
            values, place = [], 0
            for width in FIELDS.values():
                values.append(int("".join(map(str, bits[place : place + width])), 2))
                place += width
            return Found(Control(*values), uses)
    return None


def crc_of(payload: bytes) -> int:
    """CRC-24A of a payload."""
    bits = attach(np.unpackbits(np.frombuffer(payload, np.uint8)), "crc24a")
    return int("".join(map(str, bits[-24:])), 2)
