"""Side information as it is sent: bits, a channel code with a CRC, and symbols; and back.

    header ─► bits ─► CRC, polar code ─► QPSK ──────────┐
    class map, … ─► bits ─► CRC, LDPC code ─► QAM ─► [blocks | header]

The transmitter takes the shortest header and the mode of most bits a symbol that fail once in 1,000
at the SNR it plans for. The receiver is told neither: it tries each length of a header, as a phone
does with the PDCCH, and the CRC says which it was; the header has the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

import channels
from witt.errors import InputError
from witt.fading_loss import loss_of_fading
from witt.header import Header, SideInformation
from witt.header_bits import (
    BlockField,
    Codes,
    HeaderFields,
    header_length,
    pack_header,
    unpack_header,
    weights_number,
)
from witt.radio.blocks import (
    LEVELS,
    MODES,
    Mode,
    decode_long,
    encode_long,
    encode_short,
    level_for,
    mode_for,
    short_bits,
    uses_of,
)
from witt.side_code import NO_BITS, Bits, EntryBits

LASTING_DB = 1.0  # between pictures, beyond which gains last longer than a symbol
LONGEST_HEADER = LEVELS[-1]  # channel uses


class Block(NamedTuple):
    """Bits of an entry that are sent in a block of their own."""

    name: str
    bits: Bits
    mode: Mode

    @property
    def uses(self) -> int:
        """Channel uses of the block."""
        return uses_of(len(self.bits), self.mode)


class Packed(NamedTuple):
    """The side information of one picture, before it is coded.

    header: bits.
    header_uses: channel uses that they are sent in.
    blocks: those with bits, in the order of the codec's entries.
    """

    header: Bits
    header_uses: int
    blocks: tuple[Block, ...]

    @property
    def uses(self) -> int:
        """Channel uses of all of it."""
        return self.header_uses + sum(block.uses for block in self.blocks)

    def symbols(self) -> Tensor:
        """(uses,) of unit mean power: the blocks, then the header."""
        coded = [encode_long(block.bits, block.mode) for block in self.blocks]
        return torch.cat([*coded, encode_short(self.header, self.header_uses)])


@dataclass(frozen=True)
class Coding:
    """What a transmitter knows of the channel when it codes side information.

    Args:
        fades: whether each symbol has a gain of its own.
        margin_db: below the nominal SNR, that it plans for.
        weights_sha256: of the codec's file; "" where there is none.
        spread: whether its symbols are spread over the picture's, since neighbours fade alike.
    """

    fades: bool
    margin_db: float = 0.0
    weights_sha256: str = ""
    spread: bool = False

    @classmethod
    def of(cls, channel: channels.Channel, weights_sha256: str = "") -> Coding:
        """For a kind of channel: noise only, a gain for each symbol, or gains that last."""
        if not channel.fading:
            return cls(False, 0.0, weights_sha256)
        usual, worse = loss_of_fading(channel)
        if worse - usual < LASTING_DB:
            return cls(True, 0.0, weights_sha256)
        fast, _ = loss_of_fading(channels.Rayleigh())  # which is in the codes' tables already
        return cls(True, max(0.0, worse - fast), weights_sha256, True)

    def header_uses(self, codes: Codes, snr_db: float) -> int:
        """Channel uses of the header of a codec at a nominal SNR."""
        bits = header_length(codes)
        try:
            return level_for(bits, snr_db - self.margin_db, self.fades)
        except ValueError as error:
            raise InputError(
                f"the header of this codec has {bits} bits, too many for its code ({error}): tell "
                "what is long in a block of its own (SideCode.has_block)"
            ) from error

    def mode(self, bits: int, snr_db: float) -> Mode:
        """How a block of so many bits is sent at a nominal SNR."""
        return mode_for(bits, snr_db - self.margin_db, self.fades)

    def bits_a_use(self, bits: int, snr_db: float) -> float:
        """What a channel use carries of a block of about so many bits."""
        mode = self.mode(bits, snr_db)
        return mode.bits_per_symbol * mode.rate

    def block_uses(self, bits: int, snr_db: float) -> int:
        """Channel uses of a block; 0 where there are no bits."""
        return uses_of(bits, self.mode(bits, snr_db)) if bits else 0

    def pack(self, codes: Codes, header: Header, picture: int = 0) -> Packed:
        """The side information of one picture of a batch as bits.

        Args:
            codes: of the codec (`Codec.side_codes`).
            header: from its encoder.
            picture: which one.

        Raises:
            InputError: the codec adds an entry that has no code, or one that its code cannot tell.
        """
        check_codes(codes, header)
        snr_db = float(header.snr_db[picture])
        entries, blocks, fields = {}, [], {}
        for name, code in codes.items():
            value = header.get(name)
            mine = None if value is None else value[picture].detach().cpu()
            told = code.pack(mine, header)
            _check_told(name, mine, code.unpack(told, _alone(header, picture)))
            entries[name] = told.fixed
            if len(told.block):
                mode = self.mode(len(told.block), snr_db)
                blocks.append(Block(name, told.block, mode))
                fields[name] = BlockField(MODES.index(mode), len(told.block))
            else:
                fields[name] = BlockField(0, 0)
        inside = header.side_uses is not None and bool(header.side_uses[picture])
        told_all = HeaderFields(
            weights_number(self.weights_sha256),
            header.size,
            header.rate,
            snr_db,
            inside,
            entries,
            fields,
        )
        bits = pack_header(told_all, codes)
        return Packed(bits, self.header_uses(codes, snr_db), tuple(blocks))


class Told(NamedTuple):
    """The header of one picture as a receiver has found it.

    fields: what it says.
    header_uses: channel uses that it took.
    blocks: the blocks that follow from it, with their length in bits, in the order of sending.
    """

    fields: HeaderFields
    header_uses: int
    blocks: tuple[tuple[str, Mode, int], ...]

    @property
    def uses(self) -> int:
        """Channel uses of all side information."""
        return self.header_uses + sum(uses_of(length, mode) for _, mode, length in self.blocks)

    def header(self, codes: Codes, blocks: dict[str, Bits]) -> Header:
        """The header of the codec contract, of one picture.

        Args:
            codes: of the codec.
            blocks: the bits of each, by name.

        Raises:
            ValueError: no picture has these bits.
        """
        fields = self.fields
        header = Header(fields.size, fields.rate, torch.tensor([fields.snr_db]))
        for name, code in codes.items():
            told = EntryBits(fields.entries[name], blocks.get(name, NO_BITS))
            value = code.unpack(told, header)
            if value is not None:
                header = header.with_side(name, SideInformation(value[None]))
        return header.with_side_uses(torch.tensor([self.uses if fields.inside else 0]))


def read_header(bits: Bits, codes: Codes, header_uses: int) -> Told:
    """What the bits of a header say.

    Raises:
        ValueError: no header has these bits.
    """
    fields = unpack_header(bits, codes)
    blocks = []
    for name, (mode, length) in fields.blocks.items():
        if length and mode >= len(MODES):
            raise ValueError(f"there is no mode {mode}")
        if length:
            blocks.append((name, MODES[mode], length))
    return Told(fields, header_uses, tuple(blocks))


def find_headers(rows: Sequence[tuple[Tensor, Tensor]], codes: Codes) -> list[Told | None]:
    """The header at the end of each row of symbols, whatever its length.

    Args:
        rows: symbols (N,) without the bias of an equaliser, and the error variance of each.
        codes: of the codec.

    Returns:
        For each row its header, or None where no CRC is right.
    """
    found: list[Told | None] = [None] * len(rows)
    for uses in LEVELS:
        left = [i for i, (row, _) in enumerate(rows) if found[i] is None and len(row) >= uses]
        if not left:
            continue
        symbols, noise_var = (torch.stack([rows[i][n][-uses:] for i in left]) for n in (0, 1))
        bits, right = short_bits(symbols, noise_var, header_length(codes))
        for place, index in enumerate(left):
            if right[place]:
                with suppress(ValueError):  # a CRC that was right by chance
                    found[index] = read_header(bits[place], codes, uses)
    return found


def find_header(symbols: Tensor, noise_var: Tensor, codes: Codes) -> Told | None:
    """As `find_headers`, of one row (N,)."""
    return find_headers([(symbols, noise_var)], codes)[0]


def read_blocks(symbols: Tensor, noise_var: Tensor, told: Told) -> dict[str, Bits] | None:
    """The blocks before the header at the end of a row; None where the CRC of one is wrong."""
    if told.uses > len(symbols):
        return None
    found = {}
    for (name, mode, length), place in zip(told.blocks, _places(told, len(symbols)), strict=True):
        bits = decode_long(symbols[place], noise_var[place], length, mode)
        if bits is None:
            return None
        found[name] = bits
    return found


class Found(NamedTuple):
    """The side information of one picture as a receiver has it.

    header: of the codec contract, of one picture.
    uses: channel uses that it took.
    """

    header: Header
    uses: int


def receive_sides(rows: Sequence[tuple[Tensor, Tensor]], codes: Codes) -> list[Found | None]:
    """The side information at the end of each row of symbols; None where it is lost.

    Args:
        rows: symbols (N,) without the bias of an equaliser, and the error variance of each.
        codes: of the codec.
    """
    found: list[Found | None] = []
    for (symbols, noise_var), told in zip(rows, find_headers(rows, codes), strict=True):
        blocks = None if told is None else read_blocks(symbols, noise_var, told)
        one = None
        if told is not None and blocks is not None:
            # A CRC that was right by chance, or another codec's header.
            with suppress(ValueError):
                one = Found(told.header(codes, blocks), told.uses)
        found.append(one)
    return found


def receive_side(symbols: Tensor, noise_var: Tensor, codes: Codes) -> Found | None:
    """As `receive_sides`, of one row (N,)."""
    return receive_sides([(symbols, noise_var)], codes)[0]


def check_codes(codes: Codes, header: Header) -> None:
    """Refuse a header with an entry that the receiver could not be told.

    Raises:
        InputError: an entry has no code.
    """
    for name in header.side:
        if name not in codes:
            raise InputError(
                f"the codec tells {name!r} beside its symbols and does not say how it becomes "
                f"bits: give its code in Codec.side_codes(), or take --side-information ideal"
            )


def _places(told: Told, end: int) -> Iterator[slice]:
    start = end - told.uses
    for _, mode, length in told.blocks:
        uses = uses_of(length, mode)
        yield slice(start, start + uses)
        start += uses


def _alone(header: Header, picture: int) -> Header:
    """The header of one picture of a batch, without entries."""
    return Header(header.size, header.rate, header.snr_db[picture : picture + 1].detach().cpu())


def _check_told(name: str, sent: Tensor | None, told: Tensor | None) -> None:
    """Both ends work from the same values, so what is told has to be what the encoder took.

    Raises:
        InputError: it is another one.
    """
    if sent is None and told is None:
        return
    if sent is None or told is None or sent.shape != told.shape or not bool((sent == told).all()):
        raise InputError(
            f"the receiver would have another {name!r} than the encoder: round it to what its "
            "code in Codec.side_codes() holds, or take --side-information ideal"
        )
