"""Power and bandwidth allocation: which coefficients are sent, how, and with what power.

Gaussian sources of unequal variances over parallel channels of equal noise, sent linearly: a
coefficient of variance v and power p has the error v·σ²/(p + σ²), and the sum of the errors is
least for

    p = max(0, σ·√v·L − σ²)

with the level L that spends the power (Lee & Petersen, IEEE Trans. Commun. 24(12), 1976; the
linear counterpart of reverse water-filling, Cover & Thomas, Elements of Information Theory,
ch. 10; used by SoftCast, Jakubczak & Katabi 2011). With fewer channel dimensions than coefficients
the strongest are sent. A few of these, on which a linear code would spend most of its power, get
three or five dimensions each by a Shannon–Kotel'nikov mapping
(`witt.codecs.classified.shannon_kotelnikov`), where that costs less.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from witt.codecs.classified import shannon_kotelnikov

ITERATIONS = 3  # in which the prices of power and bandwidth settle
MAX_EXPANDED_SHARE = 1 / 2  # of the channel dimensions, for coefficients with bandwidth expansion
MAX_EXPANDED_POWER = 0.75  # of the power, that they may have together
# What a Shannon–Kotel'nikov mapping is taken to cost, over its cost where variances are as expected
# and the receiver has no network; by trials on valid/.
COST_MARGIN = 1.3


class Allocation(NamedTuple):
    """What is sent of each kind of coefficient: the components of a parallel Gaussian source.

    number_sent: (B, E) how many of the kind are sent.
    power: (B, E) of each that is sent, in the units of the noise; 0 where it is not worth it.
    pairs: (B, E) int64, (cos, sin) pairs of the Shannon–Kotel'nikov mapping that each is sent
        with, which has this power in all; 0 where it is sent linearly.
    water_level: (B, 1) s = σ/L, the standard deviation below which a coefficient gets no power. One
        of value y and variance v that is sent linearly costs s·(√v + y²/√v) − s²: its expected
        error and the power that it takes from the others, which s²/σ² is the price of.
    bandwidth_price: (B, 1) what a channel dimension for one more coefficient would save.
    """

    number_sent: Tensor
    power: Tensor
    pairs: Tensor
    water_level: Tensor
    bandwidth_price: Tensor


class PictureAllocation(NamedTuple):
    """Power and bandwidth allocation of a picture; both ends have it once they know the classes.

    classes: (B, h, w) int64.
    variance: (B, h, w, C) of each feature.
    gain: (B, h, w, C) from feature to half of a channel symbol, 0 where it is not sent; of an
        expanded one that of a linear one with the same error.
    sent: (B, h, w, C) bool, whether it has a position among the symbols.
    expanded: (B, M) those with a Shannon–Kotel'nikov mapping, as indices of features in (h, w, C),
        and h·w·C past the last.
    expanded_power: (B, M) power over the noise of each; 1 past the last.
    expanded_pairs: (B, M) int64, (cos, sin) pairs of the mapping of each; 0 past the last.
    map_uses: (B,) int64, channel uses that the class map takes.
    uses: (B,) int64, channel uses of the features.
    """

    classes: Tensor
    variance: Tensor
    gain: Tensor
    sent: Tensor
    expanded: Tensor
    expanded_power: Tensor
    expanded_pairs: Tensor
    map_uses: Tensor
    uses: Tensor


def allocate(
    variance: Tensor, count: Tensor, budget: Tensor, noise: Tensor, expansion: bool = True
) -> Allocation:
    """Fill `budget` real numbers of the channel, with half a unit of power each on average.

    Args:
        variance: (B, E) of each kind, positive.
        count: (B, E) coefficients of each kind, any real type.
        budget: (B,) real numbers that are sent.
        noise: (B,) variance of the noise on one.
        expansion: whether Shannon–Kotel'nikov mappings may be used.
    """
    dtype = torch.float64  # counts of large pictures are beyond float32
    variance, count = variance.to(dtype), count.to(dtype)
    budget, noise = budget.to(dtype)[:, None], noise.to(dtype)[:, None]
    # Equal ones in their order, whatever sorts them: both ends have to agree.
    earlier = 1 - 1e-12 * torch.arange(variance.shape[1], dtype=dtype, device=variance.device)
    order = (variance * earlier).sort(dim=1, descending=True).indices
    strongest = variance.gather(1, order)
    available = count.gather(1, order)
    pairs, expanded_power = torch.zeros_like(available), torch.zeros_like(available)
    power_price = bandwidth_price = torch.ones_like(budget)
    for iteration in range(ITERATIONS if expansion else 0):
        *_, water_level, new_bandwidth_price = _linear(
            strongest, available, pairs, expanded_power, budget, noise
        )
        new_power_price = water_level.square().clamp_min(1e-300)
        if iteration == 0:
            power_price, bandwidth_price = new_power_price, new_bandwidth_price
        else:  # halfway to the new prices: else they would oscillate
            power_price = (power_price * new_power_price).sqrt()
            bandwidth_price = (bandwidth_price + new_bandwidth_price) / 2
        distortion_weight = strongest / power_price
        least = torch.where(distortion_weight > 1, 2 * distortion_weight.sqrt() - 1, 0.0)  # linear
        pairs = torch.zeros_like(available)
        for number in range(1, shannon_kotelnikov.MAX_PAIRS + 1):
            cost, power = shannon_kotelnikov.least_cost(distortion_weight, number)
            cost = COST_MARGIN * (cost + 2 * number * bandwidth_price / power_price)
            pairs = torch.where(cost < least, number, pairs)
            expanded_power = torch.where(cost < least, power, expanded_power)
            least = torch.minimum(cost, least)
        members = available * (pairs > 0)
        fits = (
            (members * shannon_kotelnikov.channel_dimensions(pairs)).cumsum(1)
            <= MAX_EXPANDED_SHARE * budget
        ) & ((members * expanded_power).cumsum(1) * noise <= MAX_EXPANDED_POWER * budget / 2)
        pairs = pairs * fits
    number_sent, power, water_level, bandwidth_price = _linear(
        strongest, available, pairs, expanded_power, budget, noise
    )
    expanded = pairs > 0
    number_sent = number_sent + expanded * available
    power = power + expanded * expanded_power * noise
    number_sent, power, pairs = (
        torch.empty_like(x).scatter_(1, order, x) for x in (number_sent, power, pairs)
    )
    return Allocation(number_sent, power, pairs.long(), water_level, bandwidth_price)


def _linear(
    strongest: Tensor,
    available: Tensor,
    pairs: Tensor,
    expanded_power: Tensor,
    budget: Tensor,
    noise: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Number sent, power, water level and bandwidth price of what is sent linearly.

    Args:
        strongest: (B, E) variances, in falling order.
        available: (B, E) coefficients of each.
        pairs: (B, E) of kinds with bandwidth expansion, else 0.
        expanded_power: (B, E) power of such over the noise.
        budget, noise: (B, 1).
    """
    each = available * (pairs > 0)
    dimensions = budget - (each * shannon_kotelnikov.channel_dimensions(pairs)).sum(1, keepdim=True)
    left = budget / 2 - noise * (each * expanded_power).sum(1, keepdim=True)
    free = available - each
    before = free.cumsum(1) - free
    number_sent = torch.minimum((dimensions - before).clamp_min(0), free)
    root, sigma = strongest.sqrt(), noise.sqrt()
    # The level if the power were spread over the kinds up to each one; the kinds that get any
    # are the first ones.
    level = (left + noise * number_sent.cumsum(1)) / (
        sigma * (number_sent * root).cumsum(1) + 1e-300
    )
    # By index, since there may be none of a kind.
    index = torch.arange(number_sent.shape[1], device=number_sent.device)
    last = torch.where((root * level > sigma) & (number_sent > 0), index, 0).amax(1, keepdim=True)
    level = level.gather(1, last)
    power = ((root * level - sigma) * sigma).clamp_min(0) * (number_sent > 0)
    water_level = sigma / level
    least = root.gather(1, torch.where(number_sent > 0, index, 0).amax(1, keepdim=True))
    bandwidth_price = (least - water_level).clamp_min(0).square()
    return (
        number_sent,
        power,
        water_level,
        bandwidth_price * (number_sent.sum(1, keepdim=True) < free.sum(1, keepdim=True)),
    )
