"""The gain of each symbol from preamble and pilots, and how large the errors that remain are.

The gain at a pilot is y / p. Neighbours are averaged with a triangle of some width, and between
pilots the gain is interpolated linearly. How wide, the samples say: each pilot is predicted from
the others, and the width with the smallest squared error is taken (cross-validation). A channel
that stands still gets a wide window, one that moves a narrow one. The same is tried with an
amplitude that is the same throughout and a phase that moves, as oscillators leave it, and with a
gain that jumps and stays (`jumps`), as in block fading.

The squared error of these predictions is the noise and the error of the estimate together,

    y = ĥ x + (n + (h − ĥ) x),   E|y − ĥ x|² = N0 + E|h − ĥ|²   for |x|² = 1,

which is the noise that a decoder has to reckon with.

Source: Hastie, Tibshirani & Friedman, The Elements of Statistical Learning, sections 6.1 and 7.10.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from witt.radio.frame import PREAMBLE, SPACING, Layout, pilots, preamble
from witt.radio.jumps import means, noise_of_differences, pieces

STEADY = 1.001  # errors of a steady amplitude that count as no larger
JUMPING = 1.02  # errors of a gain that jumps count as larger: the jumps were chosen to fit
ENOUGH = 32  # pilots for the noise from them alone
ROUNDING = 1e-12


class Gains(NamedTuple):
    """What the receiver believes of the channel.

    h: complex gain of each symbol, (N,) complex128.
    noise_var: N0 with the error of the gain, (1,), or (N,) where it differs.
    steady: whether the amplitude is the same throughout.
    """

    h: NDArray[np.complex128]
    noise_var: NDArray[np.float64]
    steady: bool


class _Known(NamedTuple):
    """Gains where samples are known: means of the preamble's parts, and pilots.

    places: of each in the frame.
    h: what was found there.
    weight: samples that it is the mean of.
    """

    places: NDArray[np.float64]
    h: NDArray[np.complex128]
    weight: NDArray[np.float64]


def residual_frequency(frame: NDArray[np.complex64], places: Layout) -> float:
    """Offset in cycles a sample that is left, from the pilots: the peak of their spectrum.

    Args:
        frame: samples from the first of the preamble on, the offset that is known taken away.
        places: of the symbols and pilots that are there.
    """
    known = _known(frame, places)
    # The last pilot may follow at another distance.
    h = np.concatenate([known.h[:-1], np.zeros(1)])
    size = 8 * 2 ** int(np.ceil(np.log2(len(h))))
    spectrum = np.abs(np.fft.fft(known.weight * h, size)) ** 2
    best = int(spectrum.argmax())
    low, top, high = (float(spectrum[(best + step) % size]) for step in (-1, 0, 1))
    curve = low - 2 * top + high
    shift = best + (0.5 * (low - high) / curve if curve < 0 else 0.0)
    cycles = shift / size
    # The preamble's parts are 32 apart and the pilots 33: the mean of their distances counts.
    distance = (known.places[-2] - known.places[0]) / (len(h) - 2)
    return float((cycles - round(cycles)) / distance)


def estimate(frame: NDArray[np.complex64], places: Layout) -> Gains:
    """The gains of the symbols, and the noise.

    Args:
        frame, places: as of `residual_frequency`.
    """
    known = _known(frame, places)
    power = float((np.abs(known.h) ** 2).mean())
    n0 = max(noise_of_differences(known.h, known.weight), ROUNDING * power)
    candidates = [
        _candidate(known, places, smoothed, steady, n0)
        for smoothed in map(partial(_smoothed, known), _widths(len(known.h)))
        for steady in (True, False)
    ]
    candidates.append(_jumping(known, places, n0))
    return min(candidates, key=lambda candidate: candidate[0])[1]


def _known(frame: NDArray[np.complex64], places: Layout) -> _Known:
    parts = PREAMBLE // SPACING
    before = frame[:PREAMBLE] * preamble().conj()
    after = frame[places.pilots] * pilots(len(places.pilots)).conj()
    middles = (np.arange(parts) + 0.5) * SPACING - 0.5
    return _Known(
        np.concatenate([middles, places.pilots]),
        np.concatenate([before.reshape(parts, SPACING).mean(1), after]).astype(np.complex128),
        np.repeat([float(SPACING), 1.0], [parts, len(after)]),
    )


def _widths(count: int) -> list[int]:
    """Half-widths of the triangle in pilots: 1 is interpolation alone, the last takes in all."""
    return [2**power for power in range(math.ceil(math.log2(count)) + 2)]


class _Smoothed(NamedTuple):
    """Averages over a triangle.

    h: at each place.
    others: the same without what was found at the place itself.
    variance: of `others`, in units of N0.
    """

    h: NDArray[np.complex128]
    others: NDArray[np.complex128]
    variance: NDArray[np.float64]


def _smoothed(known: _Known, width: int) -> _Smoothed:
    reach = np.arange(-width, width + 1)
    triangle = 1 - np.abs(reach) / width
    h = known.h if width == 1 else _averaged(known, triangle)[0]
    without = 1 - np.abs(reach) / max(width, 2)
    without[width] = 0
    return _Smoothed(h, *_averaged(known, without))


def _averaged(
    known: _Known, kernel: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Weighted means around each place, and the variance of each in units of N0."""
    size = 2 ** math.ceil(math.log2(len(known.h) + len(kernel)))
    middle = slice(len(kernel) // 2, len(kernel) // 2 + len(known.h))

    def around(values: NDArray[Any], weights: NDArray[np.float64]) -> NDArray[np.complex128]:
        product = np.fft.fft(values, size) * np.fft.fft(weights, size)
        return np.asarray(np.fft.ifft(product)[middle])

    total = around(known.weight, kernel).real
    h = around(known.weight * known.h, kernel) / total
    return h, around(known.weight, kernel**2).real / total**2


def _candidate(
    known: _Known, places: Layout, smoothed: _Smoothed, steady: bool, n0: float
) -> tuple[float, Gains]:
    """The squared error by which a way is chosen, and the gains that it gives."""
    predicted, h, variance = smoothed.others, smoothed.h, smoothed.variance
    if steady:
        turn = _direction(predicted)
        level = float((known.weight * (known.h * turn.conj()).real).sum() / known.weight.sum())
        predicted, h, variance = level * turn, _direction(h), variance / 2
    squares = np.abs(known.h - predicted) ** 2
    error = _error(known, squares, variance, n0, len(places.pilots)) / (STEADY if steady else 1)
    noise_var = _noise(known, squares, variance, len(places.pilots))
    between = _interpolated(known.places, h, places.symbols)
    gains = level * _direction(between) if steady else between
    return error, Gains(gains, np.array([noise_var]), steady)


def _error(
    known: _Known,
    squares: NDArray[np.float64],
    variance: NDArray[np.float64],
    n0: float,
    count: int,
) -> float:
    """The mean squared error of predictions of a pilot.

    In the preamble predictions are better than between pilots, by so much noise as averages tell.
    What is left of their errors there is what the channel has moved.
    """
    total = known.weight.sum()
    of_noise = n0 * (len(squares) + (known.weight * variance).sum()) / total
    moved = (known.weight * squares).sum() / total - of_noise
    return float(moved + n0 * (1 + variance[-count:].mean()))


def _noise(
    known: _Known, squares: NDArray[np.float64], variance: NDArray[np.float64], count: int
) -> float:
    """N0 with the error of the gain, from the errors of predictions of known variance."""
    if count >= ENOUGH:
        return float(squares[-count:].mean())
    noise_var = float((squares / (1 / known.weight + variance)).mean())
    return noise_var * (1 + float(variance[-count:].mean()))


def _jumping(known: _Known, places: Layout, n0: float) -> tuple[float, Gains]:
    """As `_candidate`, of a gain that is piecewise constant."""
    numbers = pieces(known.h, known.weight, n0)
    h, others, left = means(known.h, known.weight, numbers)
    squares = np.abs(known.h - others) ** 2
    kept = left > 0
    everywhere = 1 / np.where(kept, left, 1)
    error = _error(known, squares, everywhere, n0, len(places.pilots)) * JUMPING
    few = _Known(known.places[kept], known.h[kept], known.weight[kept])
    variance = 1 / left[kept]
    count = int(kept[len(kept) - len(places.pilots) :].sum())
    noise_var = _noise(few, squares[kept], variance, count) if count else n0
    # Between the last pilot of a piece and the first of the next the jump may be anywhere.
    after = np.searchsorted(known.places, places.symbols).clip(1, len(known.places) - 1)
    low, high = known.places[after - 1], known.places[after]
    share = ((places.symbols - low) / (high - low)).clip(0, 1)
    gains = np.where(share < 0.5, h[after - 1], h[after])
    doubt = np.minimum(share, 1 - share) * np.abs(h[after] - h[after - 1]) ** 2
    return error, Gains(gains, noise_var + doubt, False)


def _direction(h: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """The same of modulus 1; 0 has the direction of 1."""
    size = np.abs(h)
    return np.asarray(np.where(size > 0, h, 1) / np.where(size > 0, size, 1))


def _interpolated(
    places: NDArray[np.float64], h: NDArray[np.complex128], at: NDArray[np.int64]
) -> NDArray[np.complex128]:
    return np.interp(at, places, h.real) + 1j * np.interp(at, places, h.imag)
