"""Which coefficients of a picture are sent, and with what power.

A Gaussian source of unequal variances over parallel channels of equal noise, sent linearly: with a
coefficient of variance v and power p, its error is v·σ²/(p + σ²), and the sum of the errors is
least for p = σ·√v·L − σ², or 0 where that is negative, with the level L that spends the power
(Lee & Petersen, IEEE Trans. Commun. 24(12), 1976). With fewer channels than coefficients the
strongest are sent.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Allocation(NamedTuple):
    """What is sent of each kind of coefficient.

    taken: (B, E) how many of the kind are sent.
    power: (B, E) of each that is sent, in the units of the noise; 0 where it is not worth it.
    slope: (B, 1) s: a coefficient y of variance v that is sent costs s·(√v + y²/√v) − s², its
        expected error and the power that it takes from the others; one with √v < s gets no power.
    rent: (B, 1) what a place for one more coefficient would save.
    """

    taken: Tensor
    power: Tensor
    slope: Tensor
    rent: Tensor


def allocate(variance: Tensor, count: Tensor, budget: Tensor, noise: Tensor) -> Allocation:
    """Send the `budget` strongest coefficients, with half a unit of power each on average.

    Args:
        variance: (B, E) of each kind, positive.
        count: (B, E) coefficients of each kind, any real type.
        budget: (B,) real coefficients that are sent.
        noise: (B,) variance of the noise on one.
    """
    dtype = torch.float64  # counts of large pictures are beyond float32
    variance, count = variance.to(dtype), count.to(dtype)
    budget, noise = budget.to(dtype)[:, None], noise.to(dtype)[:, None]
    # Equal ones in their order, whatever sorts them: both ends have to agree.
    earlier = 1 - 1e-12 * torch.arange(variance.shape[1], dtype=dtype, device=variance.device)
    order = (variance * earlier).sort(dim=1, descending=True).indices
    strongest = variance.gather(1, order)
    available = count.gather(1, order)
    before = available.cumsum(1) - available
    taken = torch.minimum((budget - before).clamp_min(0), available)
    root, sigma = strongest.sqrt(), noise.sqrt()
    # The level if the power were spread over the kinds up to each one; the kinds that get any
    # are the first ones.
    level = (budget / 2 + noise * taken.cumsum(1)) / (sigma * (taken * root).cumsum(1) + 1e-300)
    # By place, since there may be none of a kind.
    place = torch.arange(taken.shape[1], device=taken.device)
    last = torch.where((root * level > sigma) & (taken > 0), place, 0).amax(1, keepdim=True)
    level = level.gather(1, last)
    power = ((root * level - sigma) * sigma).clamp_min(0) * (taken > 0)
    slope = sigma / level
    least = root.gather(1, torch.where(taken > 0, place, 0).amax(1, keepdim=True))
    rent = (least - slope).clamp_min(0).square()
    rent = rent * (taken.sum(1, keepdim=True) < count.sum(1, keepdim=True))
    back = torch.empty_like(taken).scatter_(1, order, taken)
    return Allocation(back, torch.empty_like(power).scatter(1, order, power), slope, rent)
