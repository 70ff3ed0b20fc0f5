"""Where a frame begins, and how far the receiver's frequency is off: from samples alone.

The 512 samples of the preamble are correlated in 16 segments of 32; a Fourier transform over the
segments tries 64 frequencies, up to ±1/64 cycles a sample, and

    T = |Σ y p* e^(−j2πfn)|² / (512 Σ|y|²)

is compared with a threshold. Of white Gaussian noise T is Beta(1, 511) whatever its power, so that
P(T > t) = (1 − t)^511, and the threshold follows from the rate of false alarms: one in a million
recordings, over all starts and frequencies that are tried in it.

Source: Kay, Fundamentals of Statistical Signal Processing II, section 9.4 (unknown level of noise).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from witt.radio.frame import PREAMBLE, preamble

FALSE_ALARMS = 1e-6  # of a recording of noise
SEGMENT = 32
FREQUENCIES = 64
FREQUENCY_LIMIT = 0.01  # cycles a sample; beyond it, segments lose more than 1.5 dB
CHUNK = 2**14  # starts looked at together
FINE = 16 * PREAMBLE
ROUNDING = 1e-12


class Start(NamedTuple):
    """What is known of a frame from its preamble.

    place: of its first sample.
    frequency: offset in cycles a sample.
    statistic: T, 1 without noise.
    """

    place: int
    frequency: float
    statistic: float


def threshold(starts: int, false_alarms: float = FALSE_ALARMS) -> float:
    """T that noise exceeds at one of `starts` places or more with this probability at most."""
    return float(1 - (false_alarms / (starts * FREQUENCIES)) ** (1 / (PREAMBLE - 1)))


def find_frame(
    samples: NDArray[np.complex64], sequence: NDArray[np.complex64] | None = None
) -> Start | None:
    """The first frame in a recording, None where there is no preamble.

    Args:
        samples: (N,) complex.
        sequence: the preamble, (512,); None is that of a frame of one carrier.
    """
    sequence = preamble() if sequence is None else sequence
    starts = len(samples) - PREAMBLE + 1
    if starts < 1:
        return None
    limit = threshold(starts)
    for first in range(0, starts, CHUNK):
        values = statistics(samples[first : first + CHUNK + PREAMBLE - 1], sequence)
        over = np.flatnonzero(values > limit)
        if len(over):
            # The peak may lie behind the end of this chunk.
            crossing = first + int(over[0])
            values = statistics(samples[crossing : crossing + 2 * PREAMBLE - 1], sequence)
            return _refined(samples, crossing + int(values.argmax()), sequence)
    return None


def statistics(
    samples: NDArray[np.complex64], sequence: NDArray[np.complex64]
) -> NDArray[np.float64]:
    """T at each start, the largest of all frequencies, (N − 511,)."""
    starts = len(samples) - PREAMBLE + 1
    size = 2 ** int(np.ceil(np.log2(len(samples))))
    samples = samples.astype(np.complex128)
    transformed = np.fft.fft(samples, size)
    segments = sequence.reshape(-1, SEGMENT)
    parts = np.empty((len(segments), starts), np.complex64)
    for index, segment in enumerate(segments):
        found = np.fft.ifft(transformed * np.fft.fft(segment, size).conj())
        at = index * SEGMENT
        parts[index] = found[at : at + starts]
    peak = np.abs(np.fft.fft(parts, FREQUENCIES, axis=0)).max(0).astype(np.float64) ** 2
    energy = _sums(np.square(np.abs(samples)))
    # Where nothing arrives the transforms leave rounding errors, and there is no preamble.
    heard = energy > ROUNDING * energy.max()
    return np.divide(peak, PREAMBLE * energy, out=np.zeros(starts), where=heard)


def _sums(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of 512 following values; exact also after loud samples."""
    total = np.zeros(len(power) - PREAMBLE + 1)
    blocks = np.lib.stride_tricks.sliding_window_view(power, SEGMENT).sum(1)
    for index in range(PREAMBLE // SEGMENT):
        total += blocks[index * SEGMENT :][: len(total)]
    return total


def _refined(samples: NDArray[np.complex64], place: int, sequence: NDArray[np.complex64]) -> Start:
    """The start with a frequency near the Cramér–Rao bound: the peak of a padded transform."""
    held = samples[place : place + PREAMBLE]
    spectrum = np.abs(np.fft.fft(held * sequence.conj(), FINE)) ** 2
    most = FINE // FREQUENCIES
    around = np.arange(-most, most + 1)
    best = int(around[spectrum[around].argmax()])
    low, top, high = (float(spectrum[best + step]) for step in (-1, 0, 1))
    curve = low - 2 * top + high
    offset = 0.5 * (low - high) / curve if curve < 0 else 0.0
    energy = PREAMBLE * float((np.abs(held).astype(np.float64) ** 2).sum())
    return Start(place, (best + offset) / FINE, top / energy)
