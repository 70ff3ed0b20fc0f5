"""Shannon–Kotel'nikov mapping: a strong coefficient on a curve in three or five channel dimensions.

A linear code spends most of its power on a few strong coefficients, while at a low SNR a third of
its channel dimensions stay empty. This is bandwidth expansion without bits: x goes to the point

    g·(x, cos ωx, sin ωx)

of a curve in three dimensions. With noise of variance σ² on each it tells x as well as a linear
coefficient of power g²(1 + ω²), whose curve is stretched as much, as long as noise does not carry
the point to another arm of the curve (an anomalous error); the linear dimension tells the arms
apart. A second (cos, sin) pair, of another frequency, tells x better still, for two more
dimensions. The receiver makes the MMSE estimate, the mean of x given what it received. Repetition
of a linear coefficient gains nothing beyond the power spent.

Sources: nonlinear mappings that expand the bandwidth, Shannon, Proc. IRE 37(1), 1949, figure 4,
and Kotel'nikov, The Theory of Optimum Noise Immunity, 1947; curves of this kind, Vaishampayan &
Costa, IEEE Trans. Inf. Theory 49(7), 2003.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

MAX_PAIRS = 2
# With one pair: the distance of two arms in standard deviations of the noise, at a power of 0 dB
# and for each dB more. It leaves room for 1.5 dB more noise than announced, as on a fading channel.
ARM_DISTANCE, ARM_DISTANCE_PER_DB = 5.8, 0.2
MAX_ARM_DB = 22.0  # from there on the arms keep their relative distance
# With two, for each power of CURVE_DB: the shares of the power that the linear dimension and the
# first pair have, and the frequencies of both pairs; found by search for the same noise and for up
# to 3 dB more of it.
CURVE_DB = (10, 12, 14, 16, 18)
LINEAR_SHARE = (0.52, 0.40, 0.34, 0.305, 0.32)
FIRST_PAIR_SHARE = (0.335, 0.44, 0.46, 0.39, 0.36)
FIRST_FREQUENCY = (1.80, 2.08, 2.01, 2.35, 3.33)
SECOND_FREQUENCY = (2.43, 4.33, 5.91, 6.87, 8.91)
CLIP = 12.0  # x beyond this is clipped
# The receiver's grid has so many points, for each pair, to each side of x as the linear dimension
# tells it, over so many standard deviations of the noise on that.
GRID_POINTS, GRID_SIGMAS = 48, 5.0
# Coefficients at a time: a CPU keeps so few in its cache, a GPU is given more to do.
CPU_CHUNK, GPU_CHUNK = 2**10, 2**14
# Power of all dimensions together over σ², and the signal-to-distortion ratio of an x of Laplace's
# distribution with one pair and with two, in dB. Measured by
# `python -m tests.witt.codecs.classified.test_shannon_kotelnikov`.
POWER_DB = tuple(range(4, 34, 2))
SDR_DB = (
    (5.2, 7.3, 9.9, 12.9, 16.1, 19.5, 23.1, 26.5, 30.2, 33.8, 35.9, 37.9, 39.9, 41.8, 43.8),
    (5.1, 7.3, 10.2, 13.1, 17.7, 22.2, 27.7, 32.6, 34.6, 36.7, 38.7, 40.7, 42.7, 44.7, 46.7),
)
DISTORTION_WEIGHT_DB = tuple(range(6, 66, 2))  # see `least_cost`


def channel_dimensions(pairs: Tensor) -> Tensor:
    """Real channel dimensions that a coefficient with so many (cos, sin) pairs takes."""
    return 1 + 2 * pairs


def curve_parameters(power: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Amplitudes (…, 3) over σ of linear dimension and pairs, and frequencies (…, 2) of the pairs.

    Args:
        power: (…) of all dimensions over σ².
        pairs: (…) 1 or 2; a second one that is not there has the amplitude 0.
    """
    power_db = 10 * power.clamp_min(1.0).log10()
    distance = ARM_DISTANCE + ARM_DISTANCE_PER_DB * power_db.clamp_max(MAX_ARM_DB)
    one = 2 * math.pi * (power.clamp(1.0, 10 ** (MAX_ARM_DB / 10)) / 2).sqrt() / distance
    linear, first, frequency, second_frequency = (
        _interpolated(power_db, CURVE_DB, values)
        for values in (LINEAR_SHARE, FIRST_PAIR_SHARE, FIRST_FREQUENCY, SECOND_FREQUENCY)
    )
    two = pairs > 1
    half = torch.full_like(linear, 0.5)
    linear, first = torch.where(two, linear, half), torch.where(two, first, half)
    shares = torch.stack((linear, first, (1 - linear - first) * two), dim=-1)
    frequencies = torch.stack((torch.where(two, frequency, one), second_frequency), dim=-1)
    return (shares * power[..., None]).sqrt(), frequencies


def modulate(x: Tensor, power: Tensor, pairs: Tensor) -> Tensor:
    """Points (…, 5) of the curve, over σ, of x (…) of unit variance; the last two 0 with one pair.

    Args:
        x: (…).
        power, pairs: (…), as of `curve_parameters`.
    """
    amplitudes, frequencies = curve_parameters(power, pairs)
    phase = frequencies * x[..., None]
    points = torch.stack((phase.cos(), phase.sin()), dim=-1) * amplitudes[..., 1:, None]
    return torch.cat((amplitudes[..., :1] * x[..., None], points.flatten(-2)), dim=-1)


def mmse_estimate(
    received: Tensor, noise: Tensor, power: Tensor, pairs: Tensor
) -> tuple[Tensor, Tensor]:
    """Posterior mean and variance (n,) of x, given what was received.

    Args:
        received: (n, 5), over σ.
        noise: (n, 5) variance of the noise on it, over σ².
        power, pairs: (n,), as given to `modulate`.
    """
    if torch.compiler.is_exporting() or power.device.type != "cpu":
        return _in_chunks(received, noise, power, pairs, GPU_CHUNK)
    # On a CPU each with no more dimensions and grid points than it needs.
    mean, variance = torch.zeros_like(power), torch.ones_like(power)  # of those that are none
    for number in range(1, MAX_PAIRS + 1):
        mine, width = (pairs == number).nonzero()[:, 0], 1 + 2 * number
        given = received[mine, :width], noise[mine, :width]
        its_mean, its_variance = _in_chunks(*given, power[mine], pairs[mine], CPU_CHUNK)
        mean = mean.index_put((mine,), its_mean)
        variance = variance.index_put((mine,), its_variance)
    return mean, variance


def _in_chunks(
    received: Tensor, noise: Tensor, power: Tensor, pairs: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    parts = zip(*(x.split(chunk) for x in (received, noise, power, pairs)), strict=True)
    mean, variance = zip(*(_mmse_estimate(*part) for part in parts), strict=True)
    return torch.cat(mean), torch.cat(variance)


def _mmse_estimate(
    received: Tensor, noise: Tensor, power: Tensor, pairs: Tensor
) -> tuple[Tensor, Tensor]:
    """As `mmse_estimate`, on a grid around x; of (n, 3) received where all have one pair."""
    dimensions = received.shape[1]
    amplitudes, frequencies = curve_parameters(power, pairs)
    linear = amplitudes[:, :1]
    points = GRID_POINTS * (dimensions // 2)
    step = GRID_SIGMAS / points * noise[:, :1].clamp_min(1e-4).sqrt() / linear
    # |curve'(x)|², and as much noise at least as makes some of the points likely ones.
    stretch = (amplitudes[:, 1:] * frequencies).square().sum(1, keepdim=True) + linear.square()
    widened = torch.maximum(noise, (0.6 * step).square() * stretch)
    side = torch.arange(-points, points + 1, dtype=power.dtype, device=power.device)
    x = received[:, :1] / linear + step * side
    log_posterior = -math.sqrt(2) * (x.square() + 0.05).sqrt()  # the prior
    log_posterior = log_posterior - (received[:, :1] - linear * x).square() / (2 * widened[:, :1])
    for pair in range(dimensions // 2):
        amplitude, phase = amplitudes[:, 1 + pair, None], frequencies[:, pair, None] * x
        for dimension, curve in enumerate((phase.cos(), phase.sin()), start=1 + 2 * pair):
            residual = received[:, dimension, None] - amplitude * curve
            log_posterior = log_posterior - residual.square() / (2 * widened[:, dimension, None])
    weight = log_posterior.softmax(dim=1)
    mean = (weight * x).sum(1)
    spread = (weight * (x - mean[:, None]).square()).sum(1)
    there = amplitudes.repeat_interleave(2, 1)[:, 1 : 1 + dimensions] > 0
    floor = (noise * there).sum(1) / (widened * there).sum(1)
    return mean, (spread * floor).clamp_min(1e-7)


def equivalent_linear_power(power: Tensor, pairs: Tensor) -> Tensor:
    """Power over σ² at which a linear coefficient has the error of a mapping of this power."""
    power_db = 10 * power.log10()
    one, two = (_interpolated(power_db, POWER_DB, values) for values in SDR_DB)
    return 10 ** (torch.where(pairs > 1, two, one) / 10) - 1


def least_cost(distortion_weight: Tensor, pairs: int) -> tuple[Tensor, Tensor]:
    """The least Lagrangian cost, distortion_weight·error + power, and the power that has it.

    Args:
        distortion_weight: of an error of the whole variance, in units of power over σ².
        pairs: 1 or 2.
    """
    power = 10 ** (
        _interpolated(10 * distortion_weight.log10(), DISTORTION_WEIGHT_DB, _best_power_db(pairs))
        / 10
    )
    number = torch.full_like(power, pairs)
    return distortion_weight / (1 + equivalent_linear_power(power, number)) + power, power


@cache
def _best_power_db(pairs: int) -> tuple[float, ...]:
    """The best power in dB for each of WORTH_DB."""
    power_db = np.arange(POWER_DB[0], POWER_DB[-1], 0.01)
    error = 10 ** (-np.interp(power_db, POWER_DB, SDR_DB[pairs - 1]) / 10)
    costs = 10 ** (np.array(DISTORTION_WEIGHT_DB)[:, None] / 10) * error + 10 ** (power_db / 10)
    return tuple(power_db[costs.argmin(1)].tolist())


def _interpolated(x: Tensor, nodes: tuple[int, ...], values: tuple[float, ...]) -> Tensor:
    """Linear interpolation between values at equal steps; the outer ones outside."""
    table = _table(values, x.dtype, x.device)
    place = ((x - nodes[0]) / (nodes[1] - nodes[0])).clamp(0, len(values) - 1)
    low = place.floor().long().clamp_max(len(values) - 2)
    return table[low] + (place - low) * (table[low + 1] - table[low])


@cache
@torch.inference_mode(False)  # it may be wanted in training later
def _table(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Kept where it is used: a CUDA graph cannot capture the copy."""
    return torch.tensor(values, dtype=dtype, device=device)
