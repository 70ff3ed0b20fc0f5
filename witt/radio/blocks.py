"""Bits to symbols and back, as other code calls it: a short block and a long one.

Short (a header): CRC24C, polar code, QPSK; its length is one of `LEVELS`.
Long (a class map): CRC, segments of the LDPC code, QAM; as TS 38.212, section 7.2 sends data.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from witt.radio import crc, qam
from witt.radio.choice import level_for, mode_for
from witt.radio.ldpc import Ldpc
from witt.radio.modes import LEVELS, MODES, Mode
from witt.radio.polar import Polar
from witt.radio.segments import SEGMENT_CRC, groups, segments, uses_of

__all__ = [
    "LEVELS",
    "MODES",
    "Mode",
    "decode_long",
    "decode_short",
    "encode_long",
    "encode_short",
    "level_for",
    "long_bits",
    "long_symbols",
    "mode_for",
    "short_bits",
    "short_symbols",
    "uses_of",
]

Bits = NDArray[np.uint8]
SHORT_CRC = "crc24c"
polar_code = lru_cache(maxsize=64)(Polar)
ldpc_code = lru_cache(maxsize=64)(Ldpc)


def encode_short(bits: Bits, uses: int) -> Tensor:
    """A short block as symbols.

    Args:
        bits: 0 or 1, (k,).
        uses: Channel uses.

    Returns:
        (uses,) complex64, unit power.

    Raises:
        ValueError: So many bits do not go into so few uses.
    """
    return short_symbols(bits[None], uses)[0]


def decode_short(symbols: Tensor, noise_var: Tensor, k: int) -> Bits | None:
    """The bits of a short block, or None if its CRC fails.

    Args:
        symbols: Unbiased estimates of the symbols, (uses,) complex.
        noise_var: Their error variance, (uses,) or (1,).
        k: Bits of the block.

    Returns:
        (k,) or None.

    Raises:
        ValueError: So many bits do not go into so few uses.
    """
    found, right = short_bits(symbols[None], noise_var[None], k)
    return found[0] if right[0] else None


def encode_long(bits: Bits, mode: Mode, uses: int | None = None) -> Tensor:
    """A long block as symbols.

    Args:
        bits: 0 or 1, (k,).
        mode: How it is sent.
        uses: Channel uses; by default `uses_of` the mode.

    Returns:
        (uses,) complex64, unit mean power of the constellation.

    Raises:
        ValueError: There are no bits, or too many for so few uses.
    """
    return long_symbols(bits[None], mode, uses)[0]


def decode_long(symbols: Tensor, noise_var: Tensor, k: int, mode: Mode) -> Bits | None:
    """The bits of a long block, or None if a CRC fails.

    Args:
        symbols: Unbiased estimates of the symbols, (uses,) complex.
        noise_var: Their error variance, (uses,) or (1,).
        k: Bits of the block, without CRC.
        mode: How it was sent.

    Returns:
        (k,) or None.

    Raises:
        ValueError: There are no bits, or too many for so few uses.
    """
    found, right = long_bits(symbols[None], noise_var[None], k, mode)
    return found[0] if right[0] else None


def short_symbols(bits: Bits, uses: int) -> Tensor:
    """Many short blocks of one length: `encode_short` of each.

    Args:
        bits: 0 or 1, (B, k).
        uses: Channel uses of a block.

    Returns:
        (B, uses) complex64.

    Raises:
        ValueError: So many bits do not go into so few uses.
    """
    words = crc.attach(_behind_ones(bits), SHORT_CRC)[:, crc.length(SHORT_CRC) :]
    return qam.map_bits(polar_code(words.shape[1], 2 * uses).encode(words), 2)


def short_bits(symbols: Tensor, noise_var: Tensor, k: int) -> tuple[Bits, NDArray[np.bool_]]:
    """Many short blocks of one length: `decode_short` of each.

    Args:
        symbols: Unbiased estimates of the symbols, (B, uses) complex.
        noise_var: Their error variance, broadcastable to them.
        k: Bits of a block.

    Returns:
        Bits (B, k), and whether the CRC of each agrees, (B,).

    Raises:
        ValueError: So many bits do not go into so few uses.
    """
    code = polar_code(k + crc.length(SHORT_CRC), 2 * symbols.shape[1])
    found = code.decode(qam.llrs(symbols, noise_var, 2).cpu().numpy())
    right = crc.check(_behind_ones(found), SHORT_CRC)
    # The likeliest of those whose CRC agrees.
    best = right.argmax(axis=1)
    return found[np.arange(len(found)), best, :k], np.asarray(right.any(axis=1))


def _behind_ones(bits: Bits) -> Bits:
    """Section 7.3.2: with ones in front the word of zeros, which silence decodes to, is wrong."""
    ones = np.ones((*bits.shape[:-1], crc.length(SHORT_CRC)), np.uint8)
    return np.concatenate([ones, bits], axis=-1)


def long_symbols(bits: Bits, mode: Mode, uses: int | None = None) -> Tensor:
    """Many long blocks of one length: `encode_long` of each.

    Args:
        bits: 0 or 1, (B, k).
        mode: How they are sent.
        uses: Channel uses of a block; by default `uses_of` the mode.

    Returns:
        (B, uses) complex64.

    Raises:
        ValueError: There are no bits, or too many for so few uses.
    """
    blocks, k = bits.shape
    cut = segments(k, mode.rate)
    padding = np.zeros((blocks, cut.padding), np.uint8)
    words = crc.attach(np.concatenate([bits, padding], axis=1), cut.crc)
    words = words.reshape(blocks, cut.parts, -1)
    if cut.parts > 1:
        words = crc.attach(words, SEGMENT_CRC)
    symbols = []
    for first, last, length in groups(cut.parts, uses or uses_of(k, mode)):
        n = length * mode.bits_per_symbol
        code = ldpc_code(cut.size, n, mode.bits_per_symbol, cut.base_graph)
        coded = code.encode(words[:, first:last].reshape(-1, cut.size))
        symbols.append(qam.map_bits(coded, mode.bits_per_symbol).view(blocks, -1))
    return torch.cat(symbols, dim=1)


def long_bits(
    symbols: Tensor, noise_var: Tensor, k: int, mode: Mode
) -> tuple[Bits, NDArray[np.bool_]]:
    """Many long blocks of one length: `decode_long` of each.

    Args:
        symbols: Unbiased estimates of the symbols, (B, uses) complex.
        noise_var: Their error variance, broadcastable to them.
        k: Bits of a block, without CRC.
        mode: How they were sent.

    Returns:
        Bits (B, k), and whether all CRCs of each agree, (B,).

    Raises:
        ValueError: There are no bits, or too many for so few uses.
    """
    cut = segments(k, mode.rate)
    blocks = len(symbols)
    ratios = qam.llrs(symbols, noise_var, mode.bits_per_symbol)
    # The word of zeros is a right one, and silence decodes to it.
    right = ratios.any(dim=1).cpu().numpy()
    words = np.empty((blocks, cut.parts, cut.size), np.uint8)
    start = 0
    for first, last, length in groups(cut.parts, symbols.shape[1]):
        n = length * mode.bits_per_symbol
        code = ldpc_code(cut.size, n, mode.bits_per_symbol, cut.base_graph)
        end = start + (last - first) * n
        found = code.decode(ratios[:, start:end].reshape(-1, n))
        words[:, first:last] = found.reshape(blocks, last - first, cut.size)
        start = end
    if cut.parts > 1:
        right &= crc.check(words, SEGMENT_CRC).all(axis=1)
        words = words[:, :, : -crc.length(SEGMENT_CRC)]
    whole = words.reshape(blocks, -1)
    return whole[:, :k], right & crc.check(whole, cut.crc)
