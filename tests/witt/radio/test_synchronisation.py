"""Where a frame begins: detection against its closed form, frequency against its bound."""

import numpy as np
import pytest
from numpy.typing import NDArray

from witt.radio.frame import PREAMBLE, assemble, preamble
from witt.radio.sequence import qpsk_sequence
from witt.radio.synchronisation import (
    CHUNK,
    FREQUENCY_LIMIT,
    find_frame,
    statistics,
    threshold,
)

Complex = NDArray[np.complex64]


def noise(count: int, rng: np.random.Generator, n0: float = 1.0) -> Complex:
    both = rng.standard_normal((2, count)) * np.sqrt(n0 / 2)
    return (both[0] + 1j * both[1]).astype(np.complex64)


def recording(
    delay: int, frequency: float, n0: float, rng: np.random.Generator, after: int = 300
) -> Complex:
    """A frame of 200 symbols with any phase in noise."""
    frame = assemble(qpsk_sequence(200, 7))
    turn = np.exp(2j * np.pi * (frequency * np.arange(len(frame)) + rng.uniform()))
    clean = np.concatenate([np.zeros(delay), frame * turn, np.zeros(after)])
    return (clean + noise(len(clean), rng, n0)).astype(np.complex64)


def test_false_alarms_are_as_rare_as_the_closed_form_says() -> None:
    """P(T > t) of one frequency is (1 − t)^511; of 64 that overlap, between 16 and 64 times that.

    The 16 segments make 16 frequencies that are orthogonal. Any level of noise does.
    """
    rng = np.random.default_rng(1)
    one = 1e-4
    limit = 1 - one ** (1 / (PREAMBLE - 1))
    found = np.concatenate(
        [statistics(noise(4096, rng, 10.0**k), preamble()) for k in range(-6, 6)]
    )
    share = float((found > limit).mean())
    assert 16 * one * 0.8 < share < 64 * one
    assert threshold(100, 100 * 64 * one) == pytest.approx(limit)


def test_noise_is_no_frame() -> None:
    rng = np.random.default_rng(2)
    assert find_frame(noise(3 * CHUNK, rng)) is None
    assert find_frame(noise(PREAMBLE - 1, rng)) is None
    assert find_frame(np.zeros(2000, np.complex64)) is None
    assert find_frame(np.ones(2000, np.complex64)) is None
    carrier = np.exp(0.1j * np.arange(2000)).astype(np.complex64)
    assert find_frame(carrier) is None
    assert find_frame(qpsk_sequence(4000, 3)) is None


@pytest.mark.parametrize("frequency", [-FREQUENCY_LIMIT, -0.0031, 0.0, FREQUENCY_LIMIT])
def test_place_and_frequency_at_0_db(frequency: float) -> None:
    """The place is right each time, and the frequency within the Cramér–Rao bound and a tenth.

    var f ≥ 6 N0 / (4π² N (N² − 1)) cycles a sample; Kay, Estimation Theory, section 3.11.
    """
    rng, runs = np.random.default_rng(3), 200
    errors = []
    for _ in range(runs):
        delay = int(rng.integers(0, 600))
        start = find_frame(recording(delay, frequency, 1.0, rng))
        assert start is not None
        assert start.place == delay
        errors.append(start.frequency - frequency)
    bound = 6 / (4 * np.pi**2 * PREAMBLE * (PREAMBLE**2 - 1))
    spread = float(np.mean(np.square(errors))) / bound
    assert 1 - 4 * np.sqrt(2 / runs) < spread < 1.1 + 4 * np.sqrt(2 / runs)


def test_without_noise_the_statistic_is_1() -> None:
    rng = np.random.default_rng(4)
    start = find_frame(recording(10, 0.004, 0.0, rng))
    assert start is not None
    assert start.place == 10
    assert start.frequency == pytest.approx(0.004, abs=1e-6)  # a parabola through a sinc²
    assert start.statistic == pytest.approx(1, abs=2e-3)  # between two points of the transform


@pytest.mark.parametrize("delay", [CHUNK - 1, CHUNK, CHUNK - PREAMBLE, 2 * CHUNK - 700])
def test_a_frame_across_the_parts_that_are_looked_at(delay: int) -> None:
    start = find_frame(recording(delay, 0.002, 0.3, np.random.default_rng(5)))
    assert start is not None
    assert start.place == delay


def test_the_first_of_two_frames_is_taken_also_if_it_is_weaker() -> None:
    rng = np.random.default_rng(6)
    first, second = recording(40, 0, 0.01, rng), recording(0, 0, 0.01, rng)
    start = find_frame(np.concatenate([first, 30 * second]))
    assert start is not None
    assert start.place == 40


def test_no_scale_matters() -> None:
    rng = np.random.default_rng(7)
    heard = recording(123, 0.001, 0.5, rng)
    starts = [find_frame(heard * np.complex64(scale)) for scale in (1e-8, 1.0, 1e8)]
    assert [start and start.place for start in starts] == [123] * 3


def test_samples_of_another_rate_are_no_frame() -> None:
    """Two samples a symbol: there is no preamble in them, and nothing else is taken for one."""
    twice = np.repeat(assemble(qpsk_sequence(2000, 7)), 2)
    assert find_frame(twice) is None
    assert find_frame(twice[: 2 * PREAMBLE]) is None
    assert find_frame(preamble()) is not None
