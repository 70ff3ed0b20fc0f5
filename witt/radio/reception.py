"""What a receiver has of a frame: symbols, the gain of each and the noise.

Either from the samples alone, or with the truth about the channel, which only a simulation has.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from witt.radio.estimation import estimate, residual_frequency
from witt.radio.frame import PREAMBLE, layout, preamble
from witt.radio.synchronisation import Start, find_frame

LEAST = 1e-10  # noise of samples that have none


class Heard(NamedTuple):
    """The first symbols of a frame, as many as there are samples for.

    y: (N,) complex64.
    h: gain of each, (N,) complex64, or (1,) where it is the same throughout.
    noise_var: N0 with what is wrong about h, (N,) or (1,).
    """

    y: NDArray[np.complex64]
    h: NDArray[np.complex64]
    noise_var: NDArray[np.float64]


class Reception(Protocol):
    """A frame that begins somewhere in a recording.

    start: of the frame.
    """

    start: Start

    def plan(self, snr_db: float) -> None:
        """Take note of the SNR that the sender expected, as the header says."""

    def hear(self, count: int, whole: bool = True) -> Heard:
        """The first `count` symbols, or fewer where the recording ends.

        Args:
            count: how many.
            whole: whether the frame ends with them.
        """


class OwnEstimates:
    """A frame whose channel is estimated from its preamble and pilots.

    Args:
        samples: (N,) of the recording.
        start: of the frame in it.
    """

    def __init__(self, samples: NDArray[np.complex64], start: Start) -> None:
        self.start = self._found = start
        self._frame = turned(samples[start.place :], start.frequency)

    @classmethod
    def find(cls, samples: NDArray[np.complex64]) -> OwnEstimates | None:
        """The first frame of a recording, None where there is none."""
        start = find_frame(samples)
        return None if start is None else cls(samples, start)

    def plan(self, snr_db: float) -> None:
        """The noise is measured, so this changes nothing."""

    def hear(self, count: int, whole: bool = True) -> Heard:
        """As of `Reception`."""
        places = layout(count, whole).within(len(self._frame))
        frame = self._frame[: places.length]
        left = residual_frequency(frame, places)
        self.start = self._found._replace(frequency=self._found.frequency + left)
        frame = turned(frame, left)
        gains = estimate(frame, places)
        y = frame[places.symbols]
        if not gains.steady:
            return Heard(y, gains.h.astype(np.complex64), np.maximum(gains.noise_var, LEAST))
        # The amplitude as one number, so that all symbols have the same error.
        level = np.abs(gains.h).max(initial=0)
        straight = y * (gains.h.conj() / max(level, 1e-300))
        one = np.array([level], np.complex64)
        return Heard(straight.astype(np.complex64), one, np.maximum(gains.noise_var, LEAST))


class TrueGains:
    """A frame whose channel the receiver is told.

    Args:
        samples: (N,) of the recording.
        h: (N,) true gain of each, 0 before the frame; None is 1 throughout, from the first on.
        noise_var: N0; None is that which the sender expected, and for the header what the preamble
            says.

    Raises:
        ValueError: there are not as many gains as samples, or all are 0.
    """

    def __init__(
        self,
        samples: NDArray[np.complex64],
        h: NDArray[np.complex64] | None = None,
        noise_var: float | None = None,
    ) -> None:
        gains = np.ones(len(samples), np.complex64) if h is None else h
        if len(gains) != len(samples):
            raise ValueError(f"{len(gains):,} gains for {len(samples):,} samples")
        if not gains.any():
            raise ValueError("all of them are 0")
        place = int(np.flatnonzero(gains)[0])
        self.start = Start(place, 0.0, 1.0)
        self._frame, self._h, self._noise_var = samples[place:], gains[place:], noise_var

    def plan(self, snr_db: float) -> None:
        """Take this for the noise where nothing else is known."""
        if self._noise_var is None:
            self._noise_var = 10 ** (-snr_db / 10)

    def hear(self, count: int, whole: bool = True) -> Heard:
        """As of `Reception`."""
        at = layout(count, whole).within(len(self._frame)).symbols
        h = self._h[at]
        noise_var = self._noise_var
        if noise_var is None:
            length = min(len(self._frame), PREAMBLE)
            noise = self._frame[:length] - self._h[:length] * preamble()[:length]
            noise_var = float((np.abs(noise) ** 2).mean())
        same = len(h) > 0 and bool((h == h[0]).all())
        return Heard(self._frame[at], h[:1] if same else h, np.array([max(noise_var, LEAST)]))


def turned(frame: NDArray[np.complex64], frequency: float) -> NDArray[np.complex64]:
    """Samples with an offset of so many cycles a sample taken away."""
    turns = np.arange(len(frame)) * -frequency % 1.0
    return np.asarray(frame * np.exp(2j * np.pi * turns), dtype=np.complex64)
