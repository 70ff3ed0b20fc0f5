"""Frames as sound, through rooms and between clocks that differ; all of it made here."""

from pathlib import Path

import numpy as np
import pytest

import cli
import witt
from witt.radio.audio import (
    AUDIO,
    RATE_HZ,
    find_sound,
    read_wav,
    resampled,
    to_baseband,
    to_sound,
    wav_bytes,
)
from witt.radio.ofdm_frame import OfdmEstimates
from witt.radio.sequence import qpsk_sequence


def run(*args: object) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(arg) for arg in args])
    return int(stop.value.code or 0)


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
    taps = rng.standard_normal(RATE_HZ // 4)
    taps *= 10 ** (-3 * np.arange(RATE_HZ // 4) / (0.3 * RATE_HZ))
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
    # Echoes from behind the prefix are in the noise that the pilots tell, and twice: they are no
    # channel that could be estimated.
    assert actual - 4 < believed < actual + 0.5


def test_noise_is_no_frame() -> None:
    assert find_sound(np.random.default_rng(2).standard_normal(RATE_HZ)) is None


def room_of(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An echo that falls by 60 dB in 0.2 s, 40 ppm and 30 dB of SNR, after half a second."""
    taps = rng.standard_normal(9600) * 10 ** (-3 * np.arange(9600) / 9600) / 30
    taps[0] = 1
    heard = resampled(np.convolve(sound, taps), 1 + 40e-6)
    heard = np.concatenate([np.zeros(24_000), heard, np.zeros(10_000)])
    return 0.5 * heard / np.abs(heard).max() + 1e-3 * rng.standard_normal(len(heard))


def test_a_picture_over_sound(
    weights: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tx, rx, out = (tmp_path / name for name in ("tx.wav", "rx.wav", "out.png"))
    assert run("send", picture, "-o", tx, "--weights", weights) == 0
    rx.write_bytes(wav_bytes(room_of(read_wav(tx), np.random.default_rng(0))))
    assert run("receive", rx, "-o", out, "--weights", weights) == 0
    assert witt.read_image(out).pixels.shape == (40, 48, 3)
    out.unlink()
    noise = wav_bytes(0.1 * np.random.default_rng(1).standard_normal(48_000))
    bad = ((noise, "no preamble"), (b"RIFF", "not a .wav"), (picture.read_bytes(), "not a .wav"))
    for content, named in (*bad, (noise.replace(b"\x80\xbb", b"\x44\xac", 1), "are wanted")):
        rx.write_bytes(content)
        capsys.readouterr()
        assert run("receive", rx, "-o", out, "--weights", weights) == 2
        err = capsys.readouterr().err
        assert named in err
        assert len(err.splitlines()) == 1
        assert not out.exists()
