"""A frame as sound: OFDM between 3.3 and 10.7 kHz, for a loudspeaker and a microphone.

    frame at 12 kHz ─► 48 kHz ─► carrier of 7 kHz ─► real samples ─► room ─► …
    … ─► 7 kHz down ─► 12 kHz ─► frame ─► offset of the carrier ─► clock ─► resampled ─► again

An OFDM symbol lasts 0.43 s, of which 85 ms are its prefix, for the echoes of a room. Carrier and
samples come from one clock at either end, so what the carrier is off, the samples are too: the
recording is resampled by that, and received once more.
"""

from __future__ import annotations

import wave
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from channels.ofdm import Grid, Numerology
from witt.errors import InputError, one_line
from witt.radio.ofdm_frame import OfdmEstimates, Waveform

RATE_HZ, CARRIER_HZ, DECIMATION = 48_000, 7_000, 4
BASE_HZ = RATE_HZ / DECIMATION
AUDIO = Waveform(0x534F554E, Grid(Numerology(4096, 2496, 1024, BASE_HZ / 4096)))
QUIET_S = 0.3  # before and after the frame
PEAK = 0.95  # of full scale
TAPS = 32  # of the interpolation, to either side
CHUNK = 2**14
STEADY_SLOTS = 1  # from which the clock is taken
MOST_BYTES = 2**31

Real = NDArray[np.float64]


def is_sound(path: str | Path) -> bool:
    """Whether a name is that of a .wav file."""
    return Path(path).suffix.lower() == ".wav"


def to_sound(samples: NDArray[np.complex64]) -> Real:
    """A frame at 12 kHz as real samples at 48 kHz, their peak below 1."""
    quiet = np.zeros(round(QUIET_S * BASE_HZ), np.complex64)
    padded = np.concatenate([quiet, samples, quiet])
    count = len(padded)
    spectrum = np.fft.fft(padded)
    wide = np.zeros(DECIMATION * count, np.complex128)
    half = (count + 1) // 2
    wide[:half], wide[half - count :] = spectrum[:half], spectrum[half:]
    sound = (np.fft.ifft(wide) * _carrier(len(wide))).real
    return np.asarray(sound * (PEAK / np.abs(sound).max()))


def to_baseband(sound: Real) -> NDArray[np.complex64]:
    """Real samples at 48 kHz as complex ones at 12 kHz, what is within 6 kHz of the carrier."""
    sound = np.append(sound, np.zeros(-len(sound) % DECIMATION))
    count = len(sound) // DECIMATION
    spectrum = np.fft.fft(sound * _carrier(len(sound)).conj())
    half = (count + 1) // 2
    kept = np.concatenate([spectrum[:half], spectrum[half - count :]])
    return np.asarray(np.fft.ifft(kept) * 2, dtype=np.complex64)


def find_sound(sound: Real) -> OfdmEstimates | None:
    """The frame in a recording, its clock set right by the frame's; None where there is none."""
    found = AUDIO.find(to_baseband(sound))
    if found is None:
        return None
    found.hear(STEADY_SLOTS * AUDIO.grid.data_per_slot)
    fast = found.start.frequency * BASE_HZ / CARRIER_HZ
    return AUDIO.find(to_baseband(resampled(sound, 1 / (1 + fast)))) or found


def resampled(sound: Real, step: float) -> Real:
    """The values at 0, step, 2 step, … by sinc interpolation under a Hann window."""
    padded = np.concatenate([np.zeros(TAPS), sound, np.zeros(TAPS + 1)])
    count = int((len(sound) - 1) / step) + 1
    reach, parts = np.arange(-TAPS + 1, TAPS + 1), []
    for first in range(0, count, CHUNK):
        places = np.arange(first, min(first + CHUNK, count)) * step
        before = np.floor(places).astype(np.int64)
        distance = reach - (places - before)[:, None]
        weights = np.sinc(distance) * np.cos(0.5 * np.pi * distance / (TAPS + 1)) ** 2
        parts.append((padded[before[:, None] + reach + TAPS] * weights).sum(1))
    return np.concatenate(parts)


def wav_bytes(sound: Real) -> bytes:
    """A .wav file of 16 bits, one channel."""
    buffer = BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, RATE_HZ, len(sound), "NONE", ""))
        file.writeframes(np.round(sound * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def read_wav(path: Path) -> Real:
    """The samples of a .wav file of 16 bits at 48 kHz, the mean of its channels.

    Raises:
        InputError: there is no such file, or it is of another kind.
    """
    try:
        content = path.read_bytes()
        with wave.open(BytesIO(content), "rb") as file:
            kind, rate = (file.getnchannels(), file.getsampwidth()), file.getframerate()
            data = file.readframes(min(file.getnframes(), MOST_BYTES))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file of sound") from error
    except (OSError, wave.Error, EOFError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: not a .wav file of PCM, or damaged: {one_line(error)}"
        ) from error
    channels, width = kind
    if rate != RATE_HZ or width != 2 or channels < 1:
        raise InputError(
            f"{path}: {rate:,} samples a second of {8 * width} bits; {RATE_HZ:,} of 16 are wanted"
        )
    values = np.frombuffer(data[: len(data) // (2 * channels) * 2 * channels], "<i2")
    return np.asarray(values.reshape(-1, channels).mean(1) / 32768)


def _carrier(count: int) -> NDArray[np.complex128]:
    return np.asarray(np.exp(2j * np.pi * (np.arange(count) * CARRIER_HZ % RATE_HZ) / RATE_HZ))
