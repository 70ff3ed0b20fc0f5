"""A strong coefficient on a helix: three or five real numbers of the channel for one.

A linear code spends most of its power on a few strong coefficients, while at a low SNR a third of
its places stay empty. With noise of variance σ² on each, the three numbers

    g·(x, cos ωx, sin ωx)

tell x as well as a linear one of power g²(1 + ω²), as long as noise does not carry the point to
another turn of the helix; x itself tells the turns apart. A second circle, of another speed, tells
x better still, for two more numbers. The receiver takes the mean of x given what it received. A
linear code has no use of this kind for more places: repetition gains nothing.

Source: nonlinear mappings that expand the bandwidth, Shannon, Proc. IRE 37(1), 1949, figure 4;
curves of this kind, Vaishampayan & Costa, IEEE Trans. Inf. Theory 49(7), 2003.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

MOST_CIRCLES = 2
# Of one circle: the distance of two turns in standard deviations of the noise, at a power of 0 dB
# and for each dB more. It leaves room for 1.5 dB more noise than announced, as on a fading channel.
PITCH, PITCH_A_DB = 5.8, 0.2
MOST_DB = 22.0  # from there on the turns stay as they are
# Of two, for each of SHAPE_DB: the shares of the power that line and first circle have, and the
# speeds of both circles; found by search for the same noise and for up to 3 dB more of it.
SHAPE_DB = (10, 12, 14, 16, 18)
LINE = (0.52, 0.40, 0.34, 0.305, 0.32)
FIRST = (0.335, 0.44, 0.46, 0.39, 0.36)
FIRST_SPEED = (1.80, 2.08, 2.01, 2.35, 3.33)
SECOND_SPEED = (2.43, 4.33, 5.91, 6.87, 8.91)
REACH = 12.0  # x that are further out are sent as this
# The receiver looks at so many points, for each circle, to each side of x as its first number tells
# it, over so many standard deviations of the noise on that.
POINTS, WIDTH = 48, 5.0
# Coefficients at a time: a CPU keeps so few in its cache, a GPU is given more to do.
CPU_CHUNK, GPU_CHUNK = 2**10, 2**14
# Power of all numbers together over σ², and 1/error of an x of unit variance (Laplace's
# distribution) with one circle and with two, in dB. Measured by
# `python -m tests.witt.codecs.classified.test_helix`.
POWER_DB = tuple(range(4, 34, 2))
GAIN_DB = (
    (5.2, 7.3, 9.9, 12.9, 16.1, 19.5, 23.1, 26.5, 30.2, 33.8, 35.9, 37.9, 39.9, 41.8, 43.8),
    (5.1, 7.3, 10.2, 13.1, 17.7, 22.2, 27.7, 32.6, 34.6, 36.7, 38.7, 40.7, 42.7, 44.7, 46.7),
)
WORTH_DB = tuple(range(6, 66, 2))  # see `best`


def places(circles: Tensor) -> Tensor:
    """Real numbers of the channel that a coefficient with so many circles takes."""
    return 1 + 2 * circles


def shape(power: Tensor, circles: Tensor) -> tuple[Tensor, Tensor]:
    """Amplitudes (…, 3) over σ of the line and of both circles, and the speeds (…, 2) of these.

    Args:
        power: (…) of all numbers over σ².
        circles: (…) 1 or 2; a second one that is not there has the amplitude 0.
    """
    power_db = 10 * power.clamp_min(1.0).log10()
    pitch = PITCH + PITCH_A_DB * power_db.clamp_max(MOST_DB)
    one = 2 * math.pi * (power.clamp(1.0, 10 ** (MOST_DB / 10)) / 2).sqrt() / pitch
    line, first, speed, second_speed = (
        _at(power_db, SHAPE_DB, values) for values in (LINE, FIRST, FIRST_SPEED, SECOND_SPEED)
    )
    two = circles > 1
    half = torch.full_like(line, 0.5)
    line, first = torch.where(two, line, half), torch.where(two, first, half)
    shares = torch.stack((line, first, (1 - line - first) * two), dim=-1)
    speeds = torch.stack((torch.where(two, speed, one), second_speed), dim=-1)
    return (shares * power[..., None]).sqrt(), speeds


def wind(x: Tensor, power: Tensor, circles: Tensor) -> Tensor:
    """(…, 5) numbers, over σ, for x (…) of unit variance; the last two 0 with one circle.

    Args:
        x: (…).
        power, circles: (…), as of `shape`.
    """
    amplitudes, speeds = shape(power, circles)
    phase = speeds * x[..., None]
    points = torch.stack((phase.cos(), phase.sin()), dim=-1) * amplitudes[..., 1:, None]
    return torch.cat((amplitudes[..., :1] * x[..., None], points.flatten(-2)), dim=-1)


def unwind(
    received: Tensor, noise: Tensor, power: Tensor, circles: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and variance (n,) of x, given what was received.

    Args:
        received: (n, 5), over σ.
        noise: (n, 5) variance of the noise on it, over σ².
        power, circles: (n,), as given to `wind`.
    """
    if torch.compiler.is_exporting() or power.device.type != "cpu":
        return _in_chunks(received, noise, power, circles, GPU_CHUNK)
    # On a CPU each with no more numbers and points than it needs.
    mean, variance = torch.zeros_like(power), torch.ones_like(power)  # of those that are none
    for number in range(1, MOST_CIRCLES + 1):
        mine, width = (circles == number).nonzero()[:, 0], 1 + 2 * number
        heard = received[mine, :width], noise[mine, :width]
        its_mean, its_variance = _in_chunks(*heard, power[mine], circles[mine], CPU_CHUNK)
        mean = mean.index_put((mine,), its_mean)
        variance = variance.index_put((mine,), its_variance)
    return mean, variance


def _in_chunks(
    received: Tensor, noise: Tensor, power: Tensor, circles: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    parts = zip(*(x.split(chunk) for x in (received, noise, power, circles)), strict=True)
    mean, variance = zip(*(_unwind(*part) for part in parts), strict=True)
    return torch.cat(mean), torch.cat(variance)


def _unwind(
    received: Tensor, noise: Tensor, power: Tensor, circles: Tensor
) -> tuple[Tensor, Tensor]:
    """The same, of (n, 3) numbers where all have one circle."""
    numbers = received.shape[1]
    amplitudes, speeds = shape(power, circles)
    line = amplitudes[:, :1]
    points = POINTS * (numbers // 2)
    step = WIDTH / points * noise[:, :1].clamp_min(1e-4).sqrt() / line
    # As if there were at least so much noise that some of the points are likely ones.
    slope = (amplitudes[:, 1:] * speeds).square().sum(1, keepdim=True) + line.square()
    heard = torch.maximum(noise, (0.6 * step).square() * slope)
    side = torch.arange(-points, points + 1, dtype=power.dtype, device=power.device)
    x = received[:, :1] / line + step * side
    likely = -math.sqrt(2) * (x.square() + 0.05).sqrt()  # the prior
    likely = likely - (received[:, :1] - line * x).square() / (2 * heard[:, :1])
    for circle in range(numbers // 2):
        amplitude, phase = amplitudes[:, 1 + circle, None], speeds[:, circle, None] * x
        for place, curve in enumerate((phase.cos(), phase.sin()), start=1 + 2 * circle):
            off = received[:, place, None] - amplitude * curve
            likely = likely - off.square() / (2 * heard[:, place, None])
    weight = likely.softmax(dim=1)
    mean = (weight * x).sum(1)
    spread = (weight * (x - mean[:, None]).square()).sum(1)
    there = amplitudes.repeat_interleave(2, 1)[:, 1 : 1 + numbers] > 0
    floor = (noise * there).sum(1) / (heard * there).sum(1)
    return mean, (spread * floor).clamp_min(1e-7)


def linear_equal(power: Tensor, circles: Tensor) -> Tensor:
    """Power over σ² at which a linear coefficient has the error of a helix of this power."""
    power_db = 10 * power.log10()
    one, two = (_at(power_db, POWER_DB, gains) for gains in GAIN_DB)
    return 10 ** (torch.where(circles > 1, two, one) / 10) - 1


def best(worth: Tensor, circles: int) -> tuple[Tensor, Tensor]:
    """The least worth·error + power that so many circles can have, and that power over σ².

    Args:
        worth: what an error of the whole variance costs, in units of power over σ².
        circles: 1 or 2.
    """
    power = 10 ** (_at(10 * worth.log10(), WORTH_DB, _best_db(circles)) / 10)
    number = torch.full_like(power, circles)
    return worth / (1 + linear_equal(power, number)) + power, power


@cache
def _best_db(circles: int) -> tuple[float, ...]:
    """The best power in dB for each of WORTH_DB."""
    power_db = np.arange(POWER_DB[0], POWER_DB[-1], 0.01)
    error = 10 ** (-np.interp(power_db, POWER_DB, GAIN_DB[circles - 1]) / 10)
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
