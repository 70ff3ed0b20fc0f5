"""Gains from pilots, and that the error is as large as the receiver believes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from witt.radio.estimation import Gains, estimate, residual_frequency
from witt.radio.frame import assemble, layout
from witt.radio.sequence import qpsk_sequence

COUNT = 20_000
PLACES = layout(COUNT)


def complex_noise(count: int, rng: np.random.Generator) -> NDArray[np.complex128]:
    both = rng.standard_normal((2, count)) / np.sqrt(2)
    return np.asarray(both[0] + 1j * both[1])


def received(
    gain: NDArray[np.complex128], n0: float, rng: np.random.Generator
) -> NDArray[np.complex64]:
    frame = assemble(qpsk_sequence(COUNT, 9))
    return (gain * frame + np.sqrt(n0) * complex_noise(len(frame), rng)).astype(np.complex64)


def standing(rng: np.random.Generator) -> NDArray[np.complex128]:
    return np.full(PLACES.length, 0.5 - 1.2j)


def drifting_phase(rng: np.random.Generator) -> NDArray[np.complex128]:
    walk = np.cumsum(rng.standard_normal(PLACES.length)) * 0.01
    return np.asarray(0.8 * np.exp(1j * walk))


def slow_fading(rng: np.random.Generator) -> NDArray[np.complex128]:
    """Rayleigh, of Gaussian spectrum: some 20 fades in the frame."""
    taps = np.exp(-0.5 * (np.arange(-2500, 2501) / 800) ** 2)
    wide = complex_noise(PLACES.length + len(taps) - 1, rng)
    size = 2**15
    fading = np.fft.ifft(np.fft.fft(wide, size) * np.fft.fft(taps, size))[len(taps) - 1 :]
    return np.asarray(fading[: PLACES.length] / np.sqrt((taps**2).sum()))


def block_fading(rng: np.random.Generator) -> NDArray[np.complex128]:
    return np.repeat(complex_noise(PLACES.length // 3000 + 1, rng), 3000)[: PLACES.length]


@pytest.mark.parametrize("n0", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("kind", [standing, drifting_phase, slow_fading, block_fading])
def test_the_noise_is_that_which_is_there(kind: object, n0: float) -> None:
    """noise_var is N0 + E|h − ĥ|² on average, from 600 pilots."""
    rng = np.random.default_rng(8)
    gain = kind(rng)  # type: ignore[operator]
    found = estimate(received(gain, n0, rng), PLACES)
    error = float((np.abs(found.h - gain[PLACES.symbols]) ** 2).mean())
    chance = 4 / np.sqrt(len(PLACES.pilots))
    # Jumps are few, and where one is between two pilots is chance.
    chance = 0.5 if kind is block_fading else chance
    noise_var = float(found.noise_var.mean())
    assert (1 - chance) * (n0 + error) < noise_var < (1 + chance) * (n0 + error)
    if kind is not block_fading and n0 > 0.01:
        assert error < 0.25 * n0


def test_a_gain_that_stands_still_costs_next_to_nothing() -> None:
    """All pilots are averaged: the error is N0 over their number and the preamble's 512."""
    rng = np.random.default_rng(9)
    found = estimate(received(standing(rng), 1.0, rng), PLACES)
    error = float((np.abs(found.h - (0.5 - 1.2j)) ** 2).mean())
    assert found.steady
    assert np.ptp(np.abs(found.h)) < 1e-12
    # Its phase may still be followed by a wide window: 4 times the least there can be.
    assert error < 4 * 4 / (len(PLACES.pilots) + 512)


def test_without_noise_nothing_is_lost() -> None:
    rng = np.random.default_rng(10)
    found = estimate(received(standing(rng), 0.0, rng), PLACES)
    assert np.allclose(found.h, 0.5 - 1.2j, atol=1e-6)
    assert float(found.noise_var[0]) < 1e-12


def test_an_amplitude_that_moves_is_not_steady() -> None:
    rng = np.random.default_rng(11)
    assert not estimate(received(slow_fading(rng), 0.01, rng), PLACES).steady
    assert estimate(received(drifting_phase(rng), 0.01, rng), PLACES).steady


@pytest.mark.parametrize("frequency", [0.0, 1e-6, -3e-4, 0.004])
def test_what_is_left_of_an_offset_is_found_by_the_pilots(frequency: float) -> None:
    """To a hundredth of a turn over the whole frame."""
    rng = np.random.default_rng(12)
    turn = np.exp(2j * np.pi * frequency * np.arange(PLACES.length))
    left = residual_frequency(received(turn, 1.0, rng), PLACES)
    assert abs(left - frequency) * PLACES.length < 0.04


@pytest.mark.parametrize("count", [1, 32, 33, 108])
def test_short_frames(count: int) -> None:
    places = layout(count)
    frame = assemble(qpsk_sequence(count, 9)) * np.complex64(2j)
    found: Gains = estimate(frame, places)
    assert np.allclose(found.h, 2j, atol=1e-5)
    assert len(found.h) == count
    assert abs(residual_frequency(frame, places)) < 1e-6
