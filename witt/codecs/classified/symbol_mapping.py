"""Symbol mapping: the features sent of a picture to a row of complex symbols, and back.

I and Q of a symbol are features that follow each other; after all of them come the second and third
dimensions of features with bandwidth expansion, then the fourth and fifth. Symbols from different
parts of the picture are interleaved and precoded together (`precoding.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from witt.codecs.classified import shannon_kotelnikov
from witt.codecs.classified.allocation import PictureAllocation
from witt.codecs.classified.precoding import dft_matrix

PRECODER_LENGTH = 16  # symbols of a DFT


def positions(allocation: PictureAllocation) -> tuple[Tensor, Tensor]:
    """Positions among the real numbers of the symbols, 2·uses where there is none.

    The first features of all tokens come first, the last ones, which have the least power, last.
    A block interleaver gives the symbols to the DFTs one by one, so that all have about the same
    power. Those left over, where the uses are no multiple of a DFT's length, stay as they are.

    Returns:
        Of each feature (B, N), and of the four extra dimensions of each expanded one (B, M, 4).
    """
    by_feature = allocation.sent.flatten(1, 2).mT  # (B, C, tokens)
    number = by_feature.flatten(1).cumsum(1, dtype=torch.int32)  # half the bytes to move
    first = number[:, -1:]
    number = number.reshape(by_feature.shape).mT.flatten(1) - 1
    sent = allocation.sent.flatten(1)
    pair = torch.arange(1, shannon_kotelnikov.MAX_PAIRS + 1, device=sent.device)[:, None]
    there = (allocation.expanded_pairs[:, None] >= pair).repeat_interleave(2, dim=2).flatten(1)
    extra = _interleaved(first + there.cumsum(1, dtype=torch.int32) - 1, there, allocation.uses)
    extra = (
        extra.reshape(len(extra), shannon_kotelnikov.MAX_PAIRS, -1, 2).transpose(1, 2).flatten(2)
    )
    return _interleaved(number, sent, allocation.uses), extra


def _interleaved(number: Tensor, there: Tensor, uses: Tensor) -> Tensor:
    """(B, n) position of each real number by its own number; see `positions`."""
    uses = uses[:, None].int()
    symbol = number // 2
    blocks = (uses // PRECODER_LENGTH).clamp_min(1)
    interleaved = (symbol % blocks) * PRECODER_LENGTH + symbol // blocks
    symbol = torch.where(symbol < uses // PRECODER_LENGTH * PRECODER_LENGTH, interleaved, symbol)
    return torch.where(there, 2 * symbol + number % 2, 2 * uses).long()


def to_symbols(
    features: Tensor, extra: Tensor, allocation: PictureAllocation, length: int
) -> Tensor:
    """(B, length, 2) I and Q of symbols, zero past each picture's `uses`.

    Args:
        features: (B, h, w, C).
        extra: (B, M, 4) dimensions of the expanded ones.
        allocation: of these pictures.
        length: at least the largest of `allocation.uses`.
    """
    end = 2 * allocation.uses[:, None]
    row = features.new_zeros(len(features), 2 * length + 1)
    of_features, of_extra = positions(allocation)
    row = row.scatter(1, of_features, features.flatten(1))  # all without a position go to `end`
    row = row.scatter(1, of_extra.flatten(1), extra.flatten(1))
    row = row.scatter(1, end, 0.0)[:, :-1]
    return _in_blocks(row, allocation.uses, dft_matrix(PRECODER_LENGTH, row)).unflatten(
        1, (length, 2)
    )


class ReceivedFeatures(NamedTuple):
    """What the receiver has of a picture, before any estimate.

    features: (B, h, w, C), 0 for those not sent.
    error: (B, h, w, C) error variance of each, then 1.
    extra: (B, M, 4) dimensions of the expanded ones, 0 where there is none.
    extra_error: (B, M, 4), then 1.
    """

    features: Tensor
    error: Tensor
    extra: Tensor
    extra_error: Tensor


def from_symbols(symbols: Tensor, error: Tensor, allocation: PictureAllocation) -> ReceivedFeatures:
    """The features again, and the error variance of each.

    Args:
        symbols: (B, length, 2) after the equaliser.
        error: (B, length) error variance of each.
        allocation: of these pictures.
    """
    row = symbols.flatten(1)
    row = _in_blocks(row, allocation.uses, dft_matrix(PRECODER_LENGTH, row).T)
    average = error.new_full((2 * PRECODER_LENGTH, 2 * PRECODER_LENGTH), 1 / (2 * PRECODER_LENGTH))
    error = _in_blocks(error.repeat_interleave(2, dim=1), allocation.uses, average)
    end = 2 * allocation.uses[:, None]

    def at(position: Tensor) -> tuple[Tensor, Tensor]:
        found = position < end
        position = torch.where(found, position, 0)
        return row.gather(1, position) * found, torch.where(found, error.gather(1, position), 1.0)

    of_features, of_extra = positions(allocation)
    features, of_each = (x.reshape(allocation.sent.shape) for x in at(of_features))
    extra, of_those = (x.reshape(of_extra.shape) for x in at(of_extra.flatten(1)))
    return ReceivedFeatures(features, of_each, extra, of_those)


def _in_blocks(row: Tensor, uses: Tensor, matrix: Tensor) -> Tensor:
    """Whole blocks of a picture's row times a matrix; what is left over as it is."""
    n = len(matrix)
    end = row.shape[1] // n * n
    blocks = row[:, :end].unflatten(1, (-1, n))
    whole = torch.arange(blocks.shape[1], device=row.device) < (2 * uses // n)[:, None]
    changed = torch.where(whole[..., None], blocks @ matrix, blocks)
    return torch.cat((changed.flatten(1), row[:, end:]), dim=1)
