"""The frame: its sequences, and where its parts are."""

import numpy as np
import pytest

from witt.radio.frame import PREAMBLE, SPACING, assemble, layout, pilots, preamble
from witt.radio.sequence import gold_bits, qpsk_sequence


def by_definition(length: int, seed: int) -> list[int]:
    """3GPP TS 38.211 5.2.1, bit by bit."""
    x1 = [1] + [0] * 30
    x2 = [seed >> n & 1 for n in range(31)]
    for n in range(1600 + length):
        x1.append(x1[n + 3] ^ x1[n])
        x2.append(x2[n + 3] ^ x2[n + 2] ^ x2[n + 1] ^ x2[n])
    return [x1[n + 1600] ^ x2[n + 1600] for n in range(length)]


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, 0x57495454])
def test_gold_sequence_is_that_of_the_standard(seed: int) -> None:
    assert gold_bits(1000, seed).tolist() == by_definition(1000, seed)
    symbols = qpsk_sequence(500, seed)
    assert np.allclose(np.abs(symbols), 1)
    assert ((symbols.real < 0) == gold_bits(1000, seed)[0::2]).all()


def test_preamble_is_like_nothing_that_is_shifted() -> None:
    """Off the peak, in time and in frequency, nothing above 5 times the mean 1/512."""
    padded = np.concatenate([preamble(), np.zeros(PREAMBLE)])
    for shift in range(-PREAMBLE + 1, PREAMBLE):
        product = np.roll(padded, shift)[:PREAMBLE] * preamble().conj()
        spectrum = np.abs(np.fft.fft(product)) ** 2 / PREAMBLE**2
        if shift == 0:
            assert spectrum[0] == pytest.approx(1)
            assert spectrum[1:].max() < 1e-9
        else:
            assert spectrum.max() < 15 / PREAMBLE


@pytest.mark.parametrize("count", [1, 31, 32, 33, 1000])
def test_every_sample_is_preamble_pilot_or_symbol(count: int) -> None:
    places = layout(count)
    taken = np.concatenate([np.arange(PREAMBLE), places.pilots, places.symbols])
    assert np.array_equal(np.sort(taken), np.arange(places.length))
    assert len(places.symbols) == count
    # No symbol is further from a pilot than the others, so that interpolation reaches all.
    assert np.diff(places.pilots).max() <= SPACING + 1
    assert places.pilots[0] < places.symbols[0]
    assert places.symbols[-1] < places.pilots[-1]


def test_a_longer_frame_begins_like_a_shorter_one() -> None:
    """The receiver reads the header before it knows how long the frame is."""
    short, long = layout(SPACING * 3), layout(1000)
    assert np.array_equal(short.symbols, long.symbols[: SPACING * 3])
    assert np.array_equal(short.pilots, long.pilots[:4])
    assert np.array_equal(pilots(3), pilots(1000)[:3])


def test_samples_are_what_was_asked_for() -> None:
    symbols = qpsk_sequence(100, 5)
    samples = assemble(symbols)
    assert np.array_equal(samples[layout(100).symbols], symbols)
    assert np.array_equal(samples[:PREAMBLE], preamble())
    assert np.allclose(np.abs(samples), 1)
