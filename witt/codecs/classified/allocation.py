"""Which coefficients of a picture are sent, how, and with what power.

A Gaussian source of unequal variances over parallel channels of equal noise, sent linearly: with a
coefficient of variance v and power p, its error is v·σ²/(p + σ²), and the sum of the errors is
least for p = σ·√v·L − σ², or 0 where that is negative, with the level L that spends the power
(Lee & Petersen, IEEE Trans. Commun. 24(12), 1976). With fewer channels than coefficients the
strongest are sent. A few of these, on which a linear code would spend most of its power, are sent
on a helix each (`witt.codecs.classified.helix`), where that costs less.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from witt.codecs.classified import helix

ROUNDS = 3  # in which the prices that decide for a helix settle
MOST = 1 / 2  # of the places, that coefficients on a helix may take
HOARD = 0.75  # of the power, that they may have together
# What a helix is taken to cost, over its cost where variances are as expected and the receiver has
# no network; by trials on valid/.
RISK = 1.3


class Allocation(NamedTuple):
    """What is sent of each kind of coefficient.

    taken: (B, E) how many of the kind are sent.
    power: (B, E) of each that is sent, in the units of the noise; 0 where it is not worth it.
    circles: (B, E) int64, of the helix that each is sent on, which has this power in all; or 0.
    slope: (B, 1) s: a coefficient y of variance v that is sent linearly costs
        s·(√v + y²/√v) − s², its expected error and the power that it takes from the others; one
        with √v < s gets no power.
    rent: (B, 1) what a place for one more coefficient would save.
    """

    taken: Tensor
    power: Tensor
    circles: Tensor
    slope: Tensor
    rent: Tensor


def allocate(
    variance: Tensor, count: Tensor, budget: Tensor, noise: Tensor, winds: bool = True
) -> Allocation:
    """Fill `budget` real numbers of the channel, with half a unit of power each on average.

    Args:
        variance: (B, E) of each kind, positive.
        count: (B, E) coefficients of each kind, any real type.
        budget: (B,) real numbers that are sent.
        noise: (B,) variance of the noise on one.
        winds: whether a helix may be used.
    """
    dtype = torch.float64  # counts of large pictures are beyond float32
    variance, count = variance.to(dtype), count.to(dtype)
    budget, noise = budget.to(dtype)[:, None], noise.to(dtype)[:, None]
    # Equal ones in their order, whatever sorts them: both ends have to agree.
    earlier = 1 - 1e-12 * torch.arange(variance.shape[1], dtype=dtype, device=variance.device)
    order = (variance * earlier).sort(dim=1, descending=True).indices
    strongest = variance.gather(1, order)
    available = count.gather(1, order)
    circles, on_helix = torch.zeros_like(available), torch.zeros_like(available)
    unit = rent = None
    for _ in range(ROUNDS if winds else 0):
        *_, slope, new = _linear(strongest, available, circles, on_helix, budget, noise)
        price = slope.square().clamp_min(1e-300)
        # Halfway to the new prices: else they would swing.
        unit = price if unit is None else (unit * price).sqrt()
        rent = new if rent is None else (rent + new) / 2
        worth = strongest / unit
        least = torch.where(worth > 1, 2 * worth.sqrt() - 1, 0.0)  # what a linear one costs
        circles = torch.zeros_like(available)
        for number in range(1, helix.MOST_CIRCLES + 1):
            cost, its_power = helix.best(worth, number)
            cost = RISK * (cost + 2 * number * rent / unit)
            circles = torch.where(cost < least, number, circles)
            on_helix = torch.where(cost < least, its_power, on_helix)
            least = torch.minimum(cost, least)
        members = available * (circles > 0)
        fits = ((members * helix.places(circles)).cumsum(1) <= MOST * budget) & (
            (members * on_helix).cumsum(1) * noise <= HOARD * budget / 2
        )
        circles = circles * fits
    taken, power, slope, rent = _linear(strongest, available, circles, on_helix, budget, noise)
    wound = circles > 0
    taken = taken + wound * available
    power = power + wound * on_helix * noise
    taken, power, circles = (
        torch.empty_like(x).scatter_(1, order, x) for x in (taken, power, circles)
    )
    return Allocation(taken, power, circles.long(), slope, rent)


def _linear(
    strongest: Tensor,
    available: Tensor,
    circles: Tensor,
    on_helix: Tensor,
    budget: Tensor,
    noise: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Taken, power, slope and rent of what is sent linearly, beside those on a helix.

    Args:
        strongest: (B, E) variances, in falling order.
        available: (B, E) coefficients of each.
        circles: (B, E) of kinds on a helix, else 0.
        on_helix: (B, E) power of such over the noise.
        budget, noise: (B, 1).
    """
    each = available * (circles > 0)
    places = budget - (each * helix.places(circles)).sum(1, keepdim=True)
    left = budget / 2 - noise * (each * on_helix).sum(1, keepdim=True)
    free = available - each
    before = free.cumsum(1) - free
    taken = torch.minimum((places - before).clamp_min(0), free)
    root, sigma = strongest.sqrt(), noise.sqrt()
    # The level if the power were spread over the kinds up to each one; the kinds that get any
    # are the first ones.
    level = (left + noise * taken.cumsum(1)) / (sigma * (taken * root).cumsum(1) + 1e-300)
    # By place, since there may be none of a kind.
    place = torch.arange(taken.shape[1], device=taken.device)
    last = torch.where((root * level > sigma) & (taken > 0), place, 0).amax(1, keepdim=True)
    level = level.gather(1, last)
    power = ((root * level - sigma) * sigma).clamp_min(0) * (taken > 0)
    slope = sigma / level
    least = root.gather(1, torch.where(taken > 0, place, 0).amax(1, keepdim=True))
    rent = (least - slope).clamp_min(0).square()
    return taken, power, slope, rent * (taken.sum(1, keepdim=True) < free.sum(1, keepdim=True))
