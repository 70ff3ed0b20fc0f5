"""What the receiver of a digital chain must know first: a short polar block before the payload.

    mode 6 | channel uses 24 | payload bytes 24 | (CRC-24 of the payload 24)   ─► CRC, polar, QPSK

The CRC of the payload is there where the code blocks have none. The lengths that the block may have
are few: the receiver tries each, and its own CRC tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from witt.errors import InputError
from witt.link.conditions import Link
from witt.radio.blocks import LEVELS, decode_short, encode_short
from witt.radio.crc import attach
from witt.side_information import Coding

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


class Block(NamedTuple):
    """A short block that was received: its bits, and the symbols that it took."""

    bits: NDArray[np.uint8]
    uses: int


class Planned(NamedTuple):
    """What side information is planned for: an SNR in dB, and whether each symbol fades."""

    snr_db: float
    fades: bool


def planned(link: Link, snr_db: float) -> Planned:
    """As `witt send` plans: with a margin where one gain holds for a whole picture."""
    coding = Coding.of(link.module())
    return Planned(snr_db - coding.margin_db, coding.fades)


def find_block(x_hat: Tensor, noise_var: Tensor, count: int) -> Block | None:
    """The short block of `count` bits at the beginning of symbols; None where all CRCs failed.

    Args:
        x_hat: (N,) complex, unbiased.
        noise_var: their error variances, (N,).
        count: of the bits.
    """
    for uses in LEVELS:
        if uses > len(x_hat):
            break
        bits = decode_short(x_hat[:uses], noise_var[:uses], count)
        if bits is not None:
            return Block(bits, uses)
    return None


def write(values: Mapping[str, int], widths: Mapping[str, int]) -> NDArray[np.uint8]:
    """Numbers as bits, the highest of each first.

    Raises:
        InputError: a number does not fit its field.
    """
    bits = []
    for name, width in widths.items():
        value = values[name]
        if not 0 <= value < 2**width:
            raise InputError(f"{name} {value:,} does not fit the {width} bits of a control block")
        bits += [value >> place & 1 for place in range(width)[::-1]]
    return np.array(bits, np.uint8)


def read(bits: NDArray[np.uint8], widths: Mapping[str, int]) -> dict[str, int]:
    """The numbers that `write` wrote."""
    values, place = {}, 0
    for name, width in widths.items():
        values[name] = int("".join(map(str, bits[place : place + width])), 2)
        place += width
    return values


def fields(with_crc: bool) -> dict[str, int]:
    """The fields of a control block and their bits."""
    return {name: bits for name, bits in FIELDS.items() if with_crc or name != "crc"}


def bits_of(with_crc: bool) -> int:
    """Bits of a control block, without its own CRC."""
    return sum(fields(with_crc).values())


def to_symbols(control: Control, uses: int) -> Tensor:
    """The symbols of a control block.

    Args:
        control: what to tell.
        uses: how many, one of `witt.radio.blocks.LEVELS`.

    Raises:
        InputError: a number does not fit its field.
    """
    values = {name: value for name, value in control._asdict().items() if value is not None}
    return encode_short(write(values, fields(control.crc is not None)), uses)


def find(x_hat: Tensor, noise_var: Tensor, *, with_crc: bool) -> tuple[Control, int] | None:
    """The control block at the beginning of received symbols, and the symbols that it took.

    Args:
        x_hat, noise_var: as of `find_block`.
        with_crc: whether it holds one of the payload.
    """
    block = find_block(x_hat, noise_var, bits_of(with_crc))
    if block is None:
        return None
    told = read(block.bits, fields(with_crc))
    control = Control(told["mode"], told["uses"], told["payload_bytes"], told.get("crc"))
    return control, block.uses


def crc_of(payload: bytes) -> int:
    """CRC-24A of a payload."""
    bits = attach(np.unpackbits(np.frombuffer(payload, np.uint8)), "crc24a")
    return int("".join(map(str, bits[-24:])), 2)
