"""Bits of a digital chain as symbols: code blocks, scrambling, QAM, and the way back.

    bits ─► (CRC) ─► code blocks ─► (CRC each) ─► LDPC ─► scrambling ─► QAM ─► symbols

The blocks are those by which a scheme of `benchmarks.schemes.digital` counts. Scrambling, as in
TS 38.211, section 7.3.1.1, makes filler bits as random as the others, so that the mean power is 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.ldpc.modes import Blocks, Mode
from witt.errors import InputError
from witt.radio.crc import attach, check
from witt.radio.ldpc import Ldpc
from witt.radio.qam import llrs, map_bits
from witt.radio.segments import SEGMENT_CRC
from witt.radio.sequence import gold_bits, qpsk_sequence

SCRAMBLING_SEED, FILLER_SEED = 0x53435242, 0x46494C4C
CRC_OF_BITS = {16: "crc16", 24: "crc24a"}


class _Part(NamedTuple):
    """Code blocks of one length: which, and their code."""

    blocks: slice
    code: Ldpc


def to_symbols(bits: NDArray[np.uint8], uses: int, mode: Mode) -> Tensor:
    """Symbols of a payload.

    Args:
        bits: at most as many as `mode.cut(uses)` says; zeros fill up.
        uses: channel uses.
        mode: modulation and code rate.

    Returns:
        (uses,) complex64, of unit mean power.
    """
    blocks = _cut(uses, mode)
    words = _words(np.pad(bits, (0, blocks.bits - len(bits))), blocks)
    coded = np.concatenate(
        [part.code.encode(words[part.blocks]).ravel() for part in _parts(uses, mode, blocks)]
    )
    coded ^= gold_bits(len(coded), SCRAMBLING_SEED)
    symbols = map_bits(coded[None], mode.bits_per_symbol)[0]
    filler = torch.from_numpy(qpsk_sequence(max(uses - len(symbols), 1), FILLER_SEED).copy())
    return torch.cat([symbols, filler[: uses - len(symbols)]])


def to_bits(x_hat: Tensor, noise_var: Tensor, mode: Mode) -> NDArray[np.uint8] | None:
    """The payload of received symbols.

    Args:
        x_hat: (uses,) complex, unbiased.
        noise_var: their error variances, (uses,).
        mode: as sent.

    Returns:
        All bits of the blocks; None where a CRC of the chain's own failed.
    """
    blocks = _cut(len(x_hat), mode)
    ratios = llrs(x_hat[None], noise_var[None], mode.bits_per_symbol)[0]
    signs = 1 - 2 * gold_bits(len(ratios), SCRAMBLING_SEED).astype(np.float32)
    ratios = ratios * torch.from_numpy(signs)
    decoded, place = [], 0
    for part in _parts(len(x_hat), mode, blocks):
        count = part.blocks.stop - part.blocks.start
        here = ratios[place : place + count * part.code.n].reshape(count, part.code.n)
        decoded.append(part.code.decode(here))
        place += count * part.code.n
    words = np.concatenate(decoded)
    if not blocks.crc_bits:
        return words.ravel()
    if blocks.count > 1:
        if not check(words, SEGMENT_CRC).all():
            return None
        words = words[:, : blocks.information_bits]
    whole = words.ravel()
    return whole[: blocks.bits] if check(whole, CRC_OF_BITS[blocks.crc_bits]) else None


def _cut(uses: int, mode: Mode) -> Blocks:
    blocks = mode.cut(uses)
    if blocks is None:
        raise InputError(f"{uses} channel uses are too few for a code block of {mode.name}")
    return blocks


def _words(bits: NDArray[np.uint8], blocks: Blocks) -> NDArray[np.uint8]:
    """The information bits of each code block, (count, k)."""
    if not blocks.crc_bits:
        return bits.reshape(blocks.count, -1)
    words = attach(bits, CRC_OF_BITS[blocks.crc_bits]).reshape(blocks.count, -1)
    return attach(words, SEGMENT_CRC) if blocks.count > 1 else words


def _parts(uses: int, mode: Mode, blocks: Blocks) -> Iterator[_Part]:
    """The code blocks by length: 5G gives what is left over to the last ones, a symbol each."""
    k = blocks.information_bits + 24 * (blocks.crc_bits > 0 and blocks.count > 1)
    graph = mode.code(k).base_graph
    left = uses - blocks.count * blocks.length // mode.bits_per_symbol
    longer = left if blocks.crc_bits else 0
    shorter = blocks.count - longer
    for where, length in (
        (slice(0, shorter), blocks.length),
        (slice(shorter, blocks.count), blocks.length + mode.bits_per_symbol),
    ):
        if where.stop > where.start:
            yield _Part(where, Ldpc(k, length, mode.bits_per_symbol, graph))
