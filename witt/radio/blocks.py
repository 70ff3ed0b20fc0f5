"""Bits to symbols and back, as other code calls it: a short block and a long one.

Short (a header): CRC24C, polar code, QPSK; its length is one of `LEVELS`.
Long (a class map): CRC, segments of the LDPC code, QAM; as TS 38.212, section 7.2 sends data.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from witt.radio import crc, qam
from witt.radio.ldpc import BASE_GRAPHS, Ldpc, choose_base_graph
from witt.radio.modes import LEVELS, MODES, Mode, level_for, mode_for
from witt.radio.polar import Polar

__all__ = [
    "LEVELS",
    "MODES",
    "Mode",
    "Segments",
    "decode_long",
    "decode_short",
    "encode_long",
    "encode_short",
    "level_for",
    "mode_for",
    "segments",
    "short_bits",
    "uses_of",
]

Bits = NDArray[np.uint8]
SHORT_CRC, SEGMENT_CRC = "crc24c", "crc24b"
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
    word = crc.attach(_behind_ones(bits), SHORT_CRC)[crc.length(SHORT_CRC) :]
    return qam.map_bits(polar_code(len(word), 2 * uses).encode(word[None]), 2)[0]


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
    code = polar_code(k + crc.length(SHORT_CRC), 2 * len(symbols))
    found = code.decode(qam.llrs(symbols[None], noise_var[None], 2).cpu().numpy())[0]
    right = crc.check(_behind_ones(found), SHORT_CRC)
    return np.asarray(found[right.argmax(), :k]) if right.any() else None


def _behind_ones(bits: Bits) -> Bits:
    """Section 7.3.2: with ones in front the word of zeros, which silence decodes to, is wrong."""
    ones = np.ones((*bits.shape[:-1], crc.length(SHORT_CRC)), np.uint8)
    return np.concatenate([ones, bits], axis=-1)


@dataclass(frozen=True)
class Segments:
    """How a long block is cut up: sections 5.2.2 and 7.2.

    Attributes:
        crc: Of the whole block.
        base_graph: Of the LDPC code.
        padding: Zeros behind the bits, so that the segments are alike.
        count: Segments.
        size: Bits of one, with its own CRC if there are several.
    """

    crc: str
    base_graph: int
    padding: int
    count: int
    size: int


def segments(k: int, mode: Mode) -> Segments:
    """How a block of k bits is cut up.

    Args:
        k: Bits of the block, without CRC.
        mode: How it is sent.

    Raises:
        ValueError: There are no bits.
    """
    if k < 1:
        raise ValueError(f"a block has at least one bit, got {k}")
    name = "crc24a" if k > 3824 else "crc16"
    graph = choose_base_graph(k, mode.rate)
    total, most = k + crc.length(name), BASE_GRAPHS[graph].most_bits
    if total <= most:
        return Segments(name, graph, 0, 1, total)
    own = crc.length(SEGMENT_CRC)
    count = ceil(total / (most - own))
    each = ceil(total / count)
    return Segments(name, graph, count * each - total, count, each + own)


def uses_of(k: int, mode: Mode) -> int:
    """Channel uses of a long block.

    Args:
        k: Bits of the block, without CRC.
        mode: How it is sent.

    Raises:
        ValueError: There are no bits.
    """
    cut = segments(k, mode)
    return ceil(cut.count * cut.size / (mode.rate * mode.bits_per_symbol))


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
    cut = segments(len(bits), mode)
    word = crc.attach(np.concatenate([bits, np.zeros(cut.padding, np.uint8)]), cut.crc)
    parts = word.reshape(cut.count, -1)
    if cut.count > 1:
        parts = crc.attach(parts, SEGMENT_CRC)
    symbols = []
    for first, last, length in _lengths(cut, uses or uses_of(len(bits), mode)):
        code = ldpc_code(
            cut.size, length * mode.bits_per_symbol, mode.bits_per_symbol, cut.base_graph
        )
        coded = code.encode(parts[first:last])
        symbols.append(qam.map_bits(coded, mode.bits_per_symbol).flatten())
    return torch.cat(symbols)


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
    cut = segments(k, mode)
    ratios = qam.llrs(symbols[None], noise_var[None], mode.bits_per_symbol)[0]
    # The word of zeros is a right one, and silence decodes to it.
    if not ratios.any():
        return None
    parts = []
    start = 0
    for first, last, length in _lengths(cut, len(symbols)):
        n = length * mode.bits_per_symbol
        code = ldpc_code(cut.size, n, mode.bits_per_symbol, cut.base_graph)
        end = start + (last - first) * n
        parts.append(code.decode(ratios[start:end].view(last - first, n)))
        start = end
    word = np.concatenate(parts)
    if cut.count > 1:
        if not crc.check(word, SEGMENT_CRC).all():
            return None
        word = word[:, : -crc.length(SEGMENT_CRC)]
    word = word.ravel()
    return np.asarray(word[:k]) if crc.check(word, cut.crc) else None


def _lengths(cut: Segments, uses: int) -> list[tuple[int, int, int]]:
    """First and last segment of those of one length, and their channel uses: section 5.4.2.1."""
    length, longer = divmod(uses, cut.count)
    shorter = cut.count - longer
    groups = [(0, shorter, length), (shorter, cut.count, length + 1)]
    return [group for group in groups if group[0] < group[1]]


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
    return found[np.arange(len(found)), right.argmax(axis=1), :k], right.any(axis=1)
