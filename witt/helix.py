"""A strong coefficient on a helix: three real numbers of the channel for one, far more than thrice.

A linear code spends most of its power on a few strong coefficients, while at a low SNR a third of
its places stay empty. With noise of variance σ² on each, the three numbers

    g·(x, cos ωx, sin ωx)

tell x as well as a linear one of power g²(1 + ω²), as long as noise does not carry the point to
another turn of the helix; x itself tells the turns apart. The receiver takes the mean of x given
what it received. A linear code has no use of this kind for more places: repetition gains nothing.

Source: nonlinear mappings that expand the bandwidth, Shannon, Proc. IRE 37(1), 1949, figure 4;
curves of this kind, Vaishampayan & Costa, IEEE Trans. Inf. Theory 49(7), 2003.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

PLACES = 3
# The distance of two turns in standard deviations of the noise, at a power of 0 dB and for each
# dB more. It leaves room for 1.5 dB more noise than announced, as on a fading channel.
PITCH, PITCH_A_DB = 5.8, 0.2
MOST_DB = 22.0  # from there on the turns stay as they are
REACH = 12.0  # x that are further out are sent as this
# The receiver looks at so many points to each side of x as its first number tells it, over so many
# standard deviations of the noise on that.
POINTS, WIDTH = 48, 5.0
# Coefficients at a time: a CPU keeps so few in its cache, a GPU is given more to do.
CPU_CHUNK, GPU_CHUNK = 2**10, 2**14
# Power of the three together over σ², and 1/error of an x of unit variance (Laplace's
# distribution), in dB. `python -m tests.witt.test_helix` measures it.
POWER_DB = tuple(range(4, 34, 2))
GAIN_DB = (5.2, 7.3, 9.9, 12.9, 16.1, 19.5, 23.1, 26.5, 30.2, 33.8, 35.9, 37.9, 39.9, 41.8, 43.8)
WORTH_DB = tuple(range(6, 66, 2))  # see `best`


def angular_speed(power: Tensor) -> Tensor:
    """ω for a total power over σ²."""
    power = power.clamp(1.0, 10 ** (MOST_DB / 10))
    pitch = PITCH + PITCH_A_DB * 10 * power.log10()
    return 2 * math.pi * (power / 2).sqrt() / pitch


def wind(x: Tensor, power: Tensor) -> Tensor:
    """(…, 3) numbers, over σ, for x (…) of unit variance and the total power (…) over σ²."""
    g, phase = (power / 2).sqrt(), angular_speed(power) * x
    return g[..., None] * torch.stack((x, phase.cos(), phase.sin()), dim=-1)


def unwind(received: Tensor, noise: Tensor, power: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (n,) of x, given what was received.

    Args:
        received: (n, 3), over σ.
        noise: (n, 3) variance of the noise on it, over σ².
        power: (n,), as given to `wind`.
    """
    chunk = CPU_CHUNK if power.device.type == "cpu" else GPU_CHUNK
    parts = [
        _unwind(*part)
        for part in zip(received.split(chunk), noise.split(chunk), power.split(chunk), strict=True)
    ]
    mean, variance = zip(*parts, strict=True)
    return torch.cat(mean), torch.cat(variance)


def _unwind(received: Tensor, noise: Tensor, power: Tensor) -> tuple[Tensor, Tensor]:
    g, omega = (power / 2).sqrt()[:, None], angular_speed(power)[:, None]
    step = WIDTH / POINTS * noise[:, :1].clamp_min(1e-4).sqrt() / g
    # As if there were at least so much noise that some of the points are likely ones.
    heard = torch.maximum(noise, (0.6 * step * g).square() * (1 + omega.square()))
    side = torch.arange(-POINTS, POINTS + 1, dtype=power.dtype, device=power.device)
    x = received[:, :1] / g + step * side
    line, cosine, sine = (received / g)[:, :, None].unbind(1)
    sharp = g.square()[:, :, None] / heard[:, :, None] / 2
    phase = omega * x
    likely = -math.sqrt(2) * (x.square() + 0.05).sqrt()  # the prior
    for value, curve, weight in zip(
        (line, cosine, sine), (x, phase.cos(), phase.sin()), sharp.unbind(1), strict=True
    ):
        likely = likely - weight * (value - curve).square()
    weight = likely.softmax(dim=1)
    mean = (weight * x).sum(1)
    spread = (weight * (x - mean[:, None]).square()).sum(1)
    return mean, (spread * noise.sum(1) / heard.sum(1)).clamp_min(1e-7)


def linear_equal(power: Tensor) -> Tensor:
    """Power over σ² at which a linear coefficient has the error of a helix of this power."""
    return 10 ** (_at(10 * power.log10(), POWER_DB, GAIN_DB) / 10) - 1


def best(worth: Tensor) -> tuple[Tensor, Tensor]:
    """The least worth·error + power that a helix can have, and that power over σ².

    Args:
        worth: what an error of the whole variance costs, in units of power over σ².
    """
    power = 10 ** (_at(10 * worth.log10(), WORTH_DB, _best_db()) / 10)
    return worth / (1 + linear_equal(power)) + power, power


@cache
def _best_db() -> tuple[float, ...]:
    """The best power in dB for each of WORTH_DB."""
    power_db = np.arange(POWER_DB[0], POWER_DB[-1], 0.01)
    error = 10 ** (-np.interp(power_db, POWER_DB, GAIN_DB) / 10)
    costs = 10 ** (np.array(WORTH_DB)[:, None] / 10) * error + 10 ** (power_db / 10)
    return tuple(power_db[costs.argmin(1)].tolist())


def _at(x: Tensor, places: tuple[int, ...], values: tuple[float, ...]) -> Tensor:
    """Linear interpolation between values at equal steps; the outer ones outside."""
    table = _table(values, x.dtype, x.device)
    place = ((x - places[0]) / (places[1] - places[0])).clamp(0, len(values) - 1)
    low = place.floor().long().clamp_max(len(values) - 2)
    return table[low] + (place - low) * (table[low + 1] - table[low])


@cache
@torch.inference_mode(False)  # it may be wanted in training later
def _table(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Kept where it is used: a CUDA graph cannot capture the copy."""
    return torch.tensor(values, dtype=dtype, device=device)
