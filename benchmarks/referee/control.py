"""What the receiver of a digital chain must know first: a short polar block before the payload.

    mode 6 | channel uses 24 | payload bytes 24 | (CRC-24 of the payload 24)   ─► CRC, polar, QPSK

The CRC of the payload is there where the code blocks have none. The lengths that the block may have
are few: the receiver tries each, and its own CRC tells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from witt.errors import InputError
from witt.radio.blocks import LEVELS, decode_short, encode_short
from witt.radio.crc import attach

FIELDS = {"mode": 6, "uses": 24, "payload_bytes": 24, "crc": 24}


class Control(NamedTuple):
    """What is told.

    mode: index into the modes of the scheme.
    uses: channel uses of the payload.
    payload_bytes: of the codec.
    crc: of the payload, by which a chain without CRCs of its own knows that it is whole; None where
        the code blocks have them.
    """

    mode: int
    uses: int
    payload_bytes: int
    crc: int | None


class Found(NamedTuple):
    """A control block that was received, and the symbols that it took."""

    control: Control
    uses: int


def fields(with_crc: bool) -> dict[str, int]:
    """The fields of a block and their bits."""
    return {name: bits for name, bits in FIELDS.items() if with_crc or name != "crc"}


def bits_of(with_crc: bool) -> int:
    """Bits of a block, without its own CRC."""
    return sum(fields(with_crc).values())


def to_symbols(control: Control, uses: int) -> Tensor:
    """The symbols of a control block.

    Args:
        control: what to tell.
        uses: how many, one of `witt.radio.blocks.LEVELS`.

    Raises:
        InputError: a number does not fit its field.
    """
    bits = []
    for name, width in fields(control.crc is not None).items():
        value = getattr(control, name)
        if not 0 <= value < 2**width:
            raise InputError(f"{name} {value:,} does not fit the {width} bits of a control block")
        bits += [value >> place & 1 for place in range(width)[::-1]]
    return encode_short(np.array(bits, np.uint8), uses)


def find(x_hat: Tensor, noise_var: Tensor, *, with_crc: bool) -> Found | None:
    """The control block at the beginning of received symbols; None where all CRCs failed.

    Args:
        x_hat: (N,) complex, unbiased.
        noise_var: their error variances, (N,).
        with_crc: whether it holds one of the payload.
    """
    names = fields(with_crc)
    for uses in LEVELS:
        if uses > len(x_hat):
            break
        bits = decode_short(x_hat[:uses], noise_var[:uses], sum(names.values()))
        if bits is not None:
            values: dict[str, int | None] = {"crc": None}
            place = 0
            for name, width in names.items():
                values[name] = int("".join(map(str, bits[place : place + width])), 2)
                place += width
            return Found(Control(**values), uses)  # type: ignore[arg-type]
    return None


def crc_of(payload: bytes) -> int:
    """CRC-24A of a payload."""
    bits = attach(np.unpackbits(np.frombuffer(payload, np.uint8)), "crc24a")
    return int("".join(map(str, bits[-24:])), 2)
