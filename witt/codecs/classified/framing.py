"""The features of a picture, as many as are sent of each token, in a row of symbols and back.

I and Q of a symbol are features that follow each other; after all of them come the second and third
numbers of features on a helix, then the fourth and fifth. Symbols from different parts of the
picture are spread over each other (`spreading.py`). The class map takes the last symbols.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from witt.codecs.classified import helix
from witt.codecs.classified.code import Plan
from witt.codecs.classified.spreading import dft_matrix

SPREAD = 16  # symbols of a DFT


def places(plan: Plan) -> tuple[Tensor, Tensor]:
    """Places among the real numbers of the symbols, 2·uses where there is none.

    The first features of all tokens come first, the last ones, which have the least power, last.
    The symbols are dealt to the DFTs one by one, so that all of these have about the same power.
    Those left over, where the uses are no multiple of a DFT's length, stay as they are.

    Returns:
        Of each feature (B, N), and of the four more of each on a helix (B, M, 4).
    """
    by_feature = plan.sent.flatten(1, 2).mT  # (B, C, tokens)
    number = by_feature.flatten(1).cumsum(1, dtype=torch.int32)  # half the bytes to move
    first = number[:, -1:]
    number = number.reshape(by_feature.shape).mT.flatten(1) - 1
    sent = plan.sent.flatten(1)
    circle = torch.arange(1, helix.MOST_CIRCLES + 1, device=sent.device)[:, None]
    there = (plan.wound_circles[:, None] >= circle).repeat_interleave(2, dim=2).flatten(1)
    more = _dealt(first + there.cumsum(1, dtype=torch.int32) - 1, there, plan.uses)
    more = more.reshape(len(more), helix.MOST_CIRCLES, -1, 2).transpose(1, 2).flatten(2)
    return _dealt(number, sent, plan.uses), more


def _dealt(number: Tensor, there: Tensor, uses: Tensor) -> Tensor:
    """(B, n) place of each real number by its own number; see `places`."""
    uses = uses[:, None].int()
    symbol = number // 2
    blocks = (uses // SPREAD).clamp_min(1)
    dealt = (symbol % blocks) * SPREAD + symbol // blocks
    symbol = torch.where(symbol < uses // SPREAD * SPREAD, dealt, symbol)
    return torch.where(there, 2 * symbol + number % 2, 2 * uses).long()


def to_symbols(features: Tensor, more: Tensor, plan: Plan, length: int) -> Tensor:
    """(B, length, 2) I and Q of symbols, zero past each picture's `uses`.

    Args:
        features: (B, h, w, C).
        more: (B, M, 4) more numbers of those on a helix.
        plan: of these pictures.
        length: at least the largest of `plan.uses`.
    """
    end = 2 * plan.uses[:, None]
    row = features.new_zeros(len(features), 2 * length + 1)
    of_features, of_more = places(plan)
    row = row.scatter(1, of_features, features.flatten(1))  # all without a place go to `end`
    row = row.scatter(1, of_more.flatten(1), more.flatten(1))
    row = row.scatter(1, end, 0.0)[:, :-1]
    return _in_blocks(row, plan.uses, dft_matrix(SPREAD, row)).unflatten(1, (length, 2))


class Received(NamedTuple):
    """What the receiver has of a plan, before any estimate.

    features: (B, h, w, C), 0 for those not sent.
    error: (B, h, w, C) error variance of each, then 1.
    more: (B, M, 4) more numbers of those on a helix, 0 where there is none.
    more_error: (B, M, 4), then 1.
    """

    features: Tensor
    error: Tensor
    more: Tensor
    more_error: Tensor


def from_symbols(symbols: Tensor, error: Tensor, plan: Plan) -> Received:
    """The features again, and the error variance of each.

    Args:
        symbols: (B, length, 2) after the equaliser.
        error: (B, length) error variance of each.
        plan: of these pictures.
    """
    row = symbols.flatten(1)
    row = _in_blocks(row, plan.uses, dft_matrix(SPREAD, row).T)
    average = error.new_full((2 * SPREAD, 2 * SPREAD), 1 / (2 * SPREAD))
    error = _in_blocks(error.repeat_interleave(2, dim=1), plan.uses, average)
    end = 2 * plan.uses[:, None]

    def at(place: Tensor) -> tuple[Tensor, Tensor]:
        found = place < end
        place = torch.where(found, place, 0)
        return row.gather(1, place) * found, torch.where(found, error.gather(1, place), 1.0)

    of_features, of_more = places(plan)
    features, of_each = (x.reshape(plan.sent.shape) for x in at(of_features))
    more, of_those = (x.reshape(of_more.shape) for x in at(of_more.flatten(1)))
    return Received(features, of_each, more, of_those)


def with_map(symbols: Tensor, plan: Plan) -> Tensor:
    """Symbols (B, length, 2) with those of the class map after each picture's own.

    They stand for the code of the map: bits of its classes as QPSK symbols, with the mean power
    of the others.
    """
    classes = plan.classes.flatten(1)
    place = torch.arange(symbols.shape[1], device=symbols.device) - plan.uses[:, None]
    token = classes.gather(1, (place // 2 % classes.shape[1]).clamp_min(0))
    shift = 2 * (place % 2)  # the two lowest bits of a token, then the next ones
    signs = torch.stack([1 - 2 * (token // 2 ** (shift + n) % 2) for n in (0, 1)], dim=-1)
    energy = symbols.square().sum(dim=(1, 2)) / plan.uses.clamp_min(1)
    stand_in = signs.to(symbols.dtype) * (energy / 2).sqrt()[:, None, None]
    mine = (place >= 0) & (place < plan.map_uses[:, None])
    return torch.where(mine[..., None], stand_in, symbols)


def _in_blocks(row: Tensor, uses: Tensor, matrix: Tensor) -> Tensor:
    """Whole blocks of a picture's row times a matrix; what is left over as it is."""
    n = len(matrix)
    end = row.shape[1] // n * n
    blocks = row[:, :end].unflatten(1, (-1, n))
    whole = torch.arange(blocks.shape[1], device=row.device) < (2 * uses // n)[:, None]
    changed = torch.where(whole[..., None], blocks @ matrix, blocks)
    return torch.cat((changed.flatten(1), row[:, end:]), dim=1)
