"""What samples use: power, peaks and bandwidth. Nothing is normalised here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.signal
import torch
from numpy.typing import NDArray

import channels

SHARE = 0.99  # of the power, for the occupied bandwidth
SEGMENT = 1024
OVERSAMPLING = 4


class Used(NamedTuple):
    """What the samples of a transmission use.

    samples: how many there are, from the first to the last of the file.
    mean_power: in units of the convention of `channels`, in which 1 is allowed.
    mean_power_error: standard error of that mean, were the samples independent.
    peak_power: of the loudest sample.
    papr_db: peak over mean power of the samples.
    papr_between_db: the same of the band-limited signal through them, four points a sample: what
        an amplifier sees of an ideal pulse.
    occupied_bandwidth: band that holds 99 % of the power, as a share of the sample rate.
    """

    samples: int
    mean_power: float
    mean_power_error: float
    peak_power: float
    papr_db: float
    papr_between_db: float
    occupied_bandwidth: float


def used(samples: NDArray[np.complex64]) -> Used:
    """Measure samples.

    Args:
        samples: (N,) complex, at least one that is not 0.

    Raises:
        ValueError: there is no power.
    """
    x = samples.astype(np.complex128)
    power = np.abs(x) ** 2
    mean, peak = float(power.mean()) if len(x) else 0.0, float(power.max(initial=0.0))
    if not mean > 0:
        raise ValueError("the samples have no power")
    return Used(
        len(x),
        mean,
        float(power.std() / np.sqrt(len(x))),
        peak,
        float(channels.papr_db(torch.from_numpy(x))),
        float(channels.papr_db(torch.from_numpy(_between(x)))),
        occupied_bandwidth(samples),
    )


def occupied_bandwidth(samples: NDArray[np.complex64], share: float = SHARE) -> float:
    """Width of the band with a share of the power, what is left in equal parts on both sides.

    The power density is Welch's mean of periodograms (Hann windows of 1024 samples that overlap by
    half), the definition of the bandwidth that of ITU-R SM.328.

    Args:
        samples: (N,) complex.
        share: of the power.

    Returns:
        Between 0 and 1, in units of the sample rate.
    """
    size = min(SEGMENT, len(samples))
    _, density = scipy.signal.welch(
        samples.astype(np.complex128),
        nperseg=size,
        return_onesided=False,
        detrend=False,
    )
    # From the quietest gap between its edges on, since a band may lie across half the sample rate.
    order = np.roll(density, -int(np.argmin(_around(density))))
    total = np.concatenate([[0.0], np.cumsum(order)]) / density.sum()
    places = np.arange(size + 1) / size
    low, high = np.interp([(1 - share) / 2, (1 + share) / 2], total, places)
    return float(high - low)


def _around(density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over a sixteenth of the band around each frequency."""
    width = max(1, len(density) // 16)
    kernel = np.zeros(len(density))
    kernel[:width] = 1 / width
    centred = np.roll(kernel, -(width // 2))
    return np.asarray(np.fft.ifft(np.fft.fft(density) * np.fft.fft(centred)).real)


def _between(x: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """The samples and the band-limited signal between them."""
    size = len(x)
    spectrum = scipy.fft.fft(x)
    wide = np.zeros(OVERSAMPLING * size, np.complex128)
    upper = (size + 1) // 2
    wide[:upper] = spectrum[:upper]
    wide[len(wide) - (size - upper) :] = spectrum[upper:]
    return np.asarray(OVERSAMPLING * scipy.fft.ifft(wide))
