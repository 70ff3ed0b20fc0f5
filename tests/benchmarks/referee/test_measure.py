"""Power, peaks and bandwidth against closed forms."""

import numpy as np
import pytest

from benchmarks.referee.measure import occupied_bandwidth, used


def white(count: int, seed: int = 0) -> np.ndarray:
    iq = np.random.default_rng(seed).normal(scale=0.5**0.5, size=(count, 2))
    return (iq[:, 0] + 1j * iq[:, 1]).astype(np.complex64)


def test_constant_modulus() -> None:
    tone = 2 * np.exp(2j * np.pi * 0.1 * np.arange(4096)).astype(np.complex64)
    found = used(tone)
    assert found.samples == 4096
    assert found.mean_power == pytest.approx(4, rel=1e-6)
    assert found.mean_power_error == pytest.approx(0, abs=1e-6)
    assert found.papr_db == pytest.approx(0, abs=1e-5)
    # A Hann window spreads a line over four bins.
    assert found.occupied_bandwidth <= 4 / 1024


def test_two_tones_have_three_db() -> None:
    n = np.arange(4096)
    both = np.exp(2j * np.pi * n * 64 / 4096) + np.exp(2j * np.pi * n * 128 / 4096)
    assert used(both.astype(np.complex64)).papr_db == pytest.approx(10 * np.log10(2), abs=1e-5)


def test_white_noise_fills_the_band_and_has_the_peak_of_extreme_values() -> None:
    count = 2**16
    found = used(white(count))
    # Its power is exponential with mean and spread of 1.
    assert abs(found.mean_power - 1) < 4 / count**0.5
    assert found.mean_power_error == pytest.approx(count**-0.5, rel=0.05)
    assert found.occupied_bandwidth == pytest.approx(0.99, abs=0.005)
    # P(peak < t) = (1 - e^-t)^N: between its 0.1 and 99.9 % points.
    low, high = (-np.log(1 - p ** (1 / count)) for p in (0.001, 0.999))
    assert low < found.peak_power < high


def test_between_the_samples_peaks_are_found() -> None:
    """A sinusoid at a quarter of the sample rate, sampled at 45 degrees: real, peak twice."""
    n = np.arange(4096)
    found = used(np.cos(np.pi / 2 * n + np.pi / 4).astype(np.complex64))
    assert found.papr_db == pytest.approx(0, abs=1e-5)
    assert found.papr_between_db == pytest.approx(10 * np.log10(2), abs=1e-4)


@pytest.mark.parametrize("centre", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("width", [0.25, 0.5])
def test_a_band_wherever_it_lies(centre: float, width: float) -> None:
    """Also across half the sample rate, where a spectrum is drawn with two ends."""
    count = 2**16
    spectrum = np.zeros(count, np.complex64)
    band = (np.arange(-int(width * count) // 2, int(width * count) // 2) + int(centre * count)) % (
        count
    )
    spectrum[band] = white(len(band))
    samples = np.fft.ifft(spectrum).astype(np.complex64)
    assert occupied_bandwidth(samples) == pytest.approx(0.99 * width, abs=0.005)


def test_silence() -> None:
    with pytest.raises(ValueError, match="no power"):
        used(np.zeros(8, np.complex64))
