"""Frames as sound, through rooms and between clocks that differ; all of it made here."""

import numpy as np
import pytest

from witt.radio.audio import AUDIO, RATE_HZ, find_sound, resampled, to_baseband, to_sound
from witt.radio.ofdm_frame import OfdmEstimates
from witt.radio.sequence import qpsk_sequence

COUNT = AUDIO.grid.data_per_slot + 100
SYMBOLS = qpsk_sequence(COUNT, 3)


def heard_snr_db(found: OfdmEstimates | None) -> tuple[float, float]:
    """SNR that there is, and that the receiver believes in."""
    assert found is not None
    heard = found.hear(COUNT)
    power = float((np.abs(heard.h) ** 2).mean())
    left = float((np.abs(heard.y - heard.h * SYMBOLS) ** 2).mean())
    return (
        10 * float(np.log10(power / left)),
        10 * float(np.log10(power / heard.noise_var.mean())),
    )


def test_there_and_back() -> None:
    """Only what falls outside of ±6 kHz is lost; the band is free below 3 and above 11 kHz."""
    frame = AUDIO.assemble(SYMBOLS)
    sound = to_sound(frame)
    back = to_baseband(sound)[3600 : 3600 + len(frame)]
    scale = np.vdot(frame, back) / np.vdot(frame, frame)
    assert np.allclose(back / scale, frame, atol=1e-3)
    spectrum = np.abs(np.fft.rfft(sound)) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    inside = (hertz > 3000) & (hertz < 11000)
    assert spectrum[inside].sum() > 0.98 * spectrum.sum()
    assert np.abs(sound).max() <= 0.95 + 1e-9


def test_resampling_a_tone() -> None:
    tone = np.sin(2 * np.pi * 9000 / RATE_HZ * np.arange(5000))
    slow = resampled(tone, 1 + 80e-6)
    expected = np.sin(2 * np.pi * 9000 / RATE_HZ * (1 + 80e-6) * np.arange(len(slow)))
    assert np.allclose(slow[50:-50], expected[50:-50], atol=2e-3)


@pytest.mark.parametrize("ppm", [0.0, 40.0, -60.0])
def test_a_room_noise_and_another_clock(ppm: float) -> None:
    """Echoes that fall by 60 dB in 0.3 s, the direct sound as strong as they are, 25 dB of SNR."""
    rng = np.random.default_rng(1)
    sound = to_sound(AUDIO.assemble(SYMBOLS))
    taps = rng.standard_normal(RATE_HZ // 4) * 10 ** (
        -3 * np.arange(RATE_HZ // 4) / (0.3 * RATE_HZ)
    )
    taps /= np.sqrt((taps**2).sum())
    taps[0] += 1
    size = 2 ** int(np.ceil(np.log2(len(sound) + len(taps))))
    room = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(taps, size))[
        : len(sound) + len(taps)
    ]
    room = resampled(room, 1 + ppm * 1e-6) if ppm else room
    noise = rng.standard_normal(len(room)) * np.sqrt((room**2).mean()) * 10 ** (-25 / 20)
    actual, believed = heard_snr_db(find_sound(room + noise))
    assert actual > 13
    assert believed == pytest.approx(actual, abs=1.5)


def test_noise_is_no_frame() -> None:
    assert find_sound(np.random.default_rng(2).standard_normal(RATE_HZ)) is None
