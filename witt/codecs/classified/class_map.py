"""The class map: side information that takes channel uses of its own, after those of the features.

Neighbours are often of one class: a class is coded given its left neighbour, by an arithmetic coder
(`map_code.py`), and transmitters choose the classes with that cost in mind.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from witt.codecs.classified.allocation import PictureAllocation

# Where the class map is taken as received without error it is charged at the rate of a code that is
# 4 dB short of Shannon's limit on AWGN. That is also at least 1.4 dB short of the limit of a
# Rayleigh channel with fast fading.
MAP_MARGIN_DB = 4.0


def map_rate(snr_db: Tensor) -> Tensor:
    """Bits a channel use at which the class map is charged."""
    return torch.log2(1 + 10 ** ((snr_db - MAP_MARGIN_DB) / 10))


class MapCost(NamedTuple):
    """What coded side information costs each picture.

    rate: (B,) bits of the map in a channel use.
    header_uses: (B,) channel uses that the header takes, whatever the map.
    """

    rate: Tensor
    header_uses: Tensor


def viterbi_rows(costs: Tensor, step: Tensor) -> Tensor:
    """Classes (B, h, w) of least cost in all, by Viterbi's algorithm along each row.

    Args:
        costs: (B, h, w, K) of each token in each class.
        step: (B, 1, K + 1, K) of a class after that of its left neighbour, the last row where
            there is none.
    """
    best = costs[:, :, 0] + step[:, :, -1]
    came_from = []
    for column in range(1, costs.shape[2]):
        total, before = (best[..., None] + step[:, :, :-1]).min(dim=2)
        came_from.append(before)
        best = total + costs[:, :, column]
    classes = [best.argmin(-1)]
    for before in reversed(came_from):
        classes.append(before.gather(-1, classes[-1][..., None])[..., 0])
    return torch.stack(classes[::-1], dim=-1)


def with_class_map(symbols: Tensor, allocation: PictureAllocation) -> Tensor:
    """Symbols (B, length, 2) with those of the class map after each picture's own.

    They stand for the code of the map: bits of its classes as QPSK symbols, with the mean power
    of the others.
    """
    classes = allocation.classes.flatten(1)
    position = torch.arange(symbols.shape[1], device=symbols.device) - allocation.uses[:, None]
    token = classes.gather(1, (position // 2 % classes.shape[1]).clamp_min(0))
    shift = 2 * (position % 2)  # the two lowest bits of a token, then the next ones
    signs = torch.stack([1 - 2 * (token // 2 ** (shift + n) % 2) for n in (0, 1)], dim=-1)
    energy = symbols.square().sum(dim=(1, 2)) / allocation.uses.clamp_min(1)
    stand_in = signs.to(symbols.dtype) * (energy / 2).sqrt()[:, None, None]
    mine = (position >= 0) & (position < allocation.map_uses[:, None])
    return torch.where(mine[..., None], stand_in, symbols)
