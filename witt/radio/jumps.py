"""Where a gain that is piecewise constant jumps, as it does in block fading.

The pieces are those that minimise

    Σ w |h − mean of the piece|² / N0 + β · pieces,   β = 2.5 ln n,

the least of which dynamic programming finds. The penalty is somewhat above that of the Bayesian
information criterion for a complex mean and a place, so that noise alone is rarely cut.

Source: Jackson et al., An algorithm for optimal partitioning of data on an interval, IEEE Signal
Processing Letters 12(2), 2005.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

PENALTY = 2.5
LONGEST = 4096  # of a piece, which bounds the work


def pieces(h: NDArray[np.complex128], weight: NDArray[np.float64], n0: float) -> NDArray[np.int64]:
    """The number of the piece of each value, from 0.

    Args:
        h: (n,) gains with noise.
        weight: N0 over the variance of each.
        n0: noise variance of a value of weight 1.
    """
    count = len(h)
    total, sums = _before(weight), _before(weight * h)
    squares = _before(weight * np.abs(h) ** 2)
    penalty = PENALTY * math.log(max(count, 2)) * n0
    best, start = np.zeros(count + 1), np.zeros(count + 1, np.int64)
    for end in range(1, count + 1):
        first = max(0, end - LONGEST)
        spread = squares[end] - squares[first:end]
        spread -= np.abs(sums[end] - sums[first:end]) ** 2 / (total[end] - total[first:end])
        values = best[first:end] + spread
        least = int(values.argmin())
        best[end], start[end] = values[least] + penalty, first + least
    cuts = np.zeros(count, np.int64)
    end = count
    while start[end] > 0:
        end = int(start[end])
        cuts[end] = 1
    return cuts.cumsum()


def noise_of_differences(h: NDArray[np.complex128], weight: NDArray[np.float64]) -> float:
    """N0 from neighbours whose gain is mostly the same: |h − h'|² is exponential."""
    squares = np.abs(np.diff(h)) ** 2 / (1 / weight[1:] + 1 / weight[:-1])
    return float(np.median(squares)) / math.log(2)


def means(
    h: NDArray[np.complex128], weight: NDArray[np.float64], numbers: NDArray[np.int64]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.float64]]:
    """The mean of each value's piece, that of the others in it, and the weight of the others.

    A value that is alone in its piece has a mean of the others of 0, and their weight is 0.
    """
    total = np.bincount(numbers, weight)[numbers]
    real, imaginary = (np.bincount(numbers, weight * part)[numbers] for part in (h.real, h.imag))
    sums = np.asarray(real + 1j * imaginary, dtype=np.complex128)
    left = total - weight
    alone = left < 0.5
    others = np.where(alone, 0, sums - weight * h) / np.where(alone, 1, left)
    mean = np.asarray(sums / total, dtype=np.complex128)
    return mean, np.asarray(others, dtype=np.complex128), np.where(alone, 0, left)


def _before(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Sums of all values before each place, and of all."""
    return np.concatenate([np.zeros(1, values.dtype), np.cumsum(values)])
