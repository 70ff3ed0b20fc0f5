"""What `witt receive` does with samples and with sound."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from witt.errors import InputError
from witt.files import ensure_writable_folder
from witt.link.framing import Lost, Weights, all_shipped, find_reception, receive_frame
from witt.pictures.images import to_pixels
from witt.pictures.writing import write_png
from witt.radio.audio import BASE_HZ, find_sound, is_sound, read_wav
from witt.radio.ofdm_frame import RADIO
from witt.radio.reception import Reception, TrueGains
from witt.radio.samples import PIPE, read_samples
from witt.radio.synchronisation import find_frame
from witt.store.weights import resolve
from witt.waiting import waiting

RATE_TOLERANCE = 1e-3


class Told(NamedTuple):
    """What the receiver is told beside the samples.

    ideal: where the frame begins, its gain and the noise.
    csi: file with the true gains, if any.
    snr_db: of the noise; None is what the file of gains says, or what the sender expected.
    sample_rate_hz: that both ends agreed on.
    """

    ideal: bool
    csi: Path | None
    snr_db: float | None
    sample_rate_hz: float


def receive_samples(file: Path, output: Path, weights: str | None, told: Told) -> None:
    """Decode the first frame in a recording and write its picture.

    Args:
        file: SigMF, "-" for standard input.
        output: the picture.
        weights: of the receiver; None tries those that come with the package.
        told: beside the samples.

    Raises:
        InputError: no such file, none of samples, no frame in it, or none that can be decoded.
    """
    if not told.ideal and (told.csi is not None or told.snr_db is not None):
        raise InputError("--csi and --snr tell the truth: give --synchronisation ideal too")
    known = all_shipped() if weights is None else [Weights(resolve(weights), weights)]
    name = "standard input" if str(file) == PIPE else str(file)
    with waiting("Looking for a frame"):
        reception, cut = _sound(file, told) if is_sound(file) else _samples(file, name, told)
    try:
        with waiting("Decoding"):
            received = receive_frame(reception, known)
    except (Lost, InputError) as error:
        why = f"{error}; the file is not whole" if cut else str(error)
        raise InputError(f"{name}: no picture: {why}") from error
    ensure_writable_folder(output.parent)
    write_png(output, to_pixels(received.image), result="received")
    if received.missing:
        warnings.warn(
            f"{name}: ends before the frame: {received.missing:,} of {received.symbols:,} symbols "
            "are missing, and the picture is what the others tell",
            stacklevel=2,
        )
    elif cut:
        warnings.warn(f"{name}: is not whole, or was changed after its hash", stacklevel=2)
    start, rate_hz = reception.start, BASE_HZ if is_sound(file) else told.sample_rate_hz
    height, width = received.header.size
    click.echo(
        f"{click.format_filename(output)}: {width}x{height} pixels by {received.weights.name}; "
        f"frame at sample {start.place:,}, {start.frequency * rate_hz:+.1f} Hz off, "
        f"SNR {received.snr_db:.1f} dB"
    )


def _sound(file: Path, told: Told) -> tuple[Reception, bool]:
    if told.ideal:
        raise InputError(f"{file}: --synchronisation ideal is for samples, not for sound")
    found = find_sound(read_wav(file))
    if found is None:
        raise InputError(f"{file}: no frame of witt send: there is no preamble in the sound")
    return found, False


def _samples(file: Path, name: str, told: Told) -> tuple[Reception, bool]:
    recording = read_samples(file)
    rate = recording.sample_rate_hz
    if rate is not None and abs(rate / told.sample_rate_hz - 1) > RATE_TOLERANCE:
        raise InputError(
            f"{name}: has {rate:,.9g} samples a second, and {told.sample_rate_hz:,.9g} are "
            "expected: resample it, or give --sample-rate"
        )
    return _reception(name, recording.samples, told), recording.cut


def _reception(name: str, samples: NDArray[np.complex64], told: Told) -> Reception:
    if not told.ideal:
        found = find_reception(samples)
        if found is None:
            raise InputError(f"{name}: no frame of witt send: there is no preamble in the samples")
        return found
    if find_frame(samples, RADIO.preamble()) is not None:
        raise InputError(
            f"{name}: a frame of OFDM, whose gains no file has: --synchronisation ideal is for a "
            "single carrier"
        )
    gains, noise_var = None, None if told.snr_db is None else 10 ** (-told.snr_db / 10)
    if told.csi is not None:
        truth = read_samples(told.csi)
        gains = truth.samples
        if noise_var is None:
            noise_var = _noise_variance(told.csi, truth.facts.get("noise_variance"))
    try:
        return TrueGains(samples, gains, noise_var)
    except ValueError as error:
        raise InputError(f"{told.csi}: not the gains of {name}: {error}") from error


def _noise_variance(path: Path, value: object) -> float:
    if not isinstance(value, (int, float)) or not (math.isfinite(value) and value >= 0):
        raise InputError(f"{path}: does not say how much noise there was: give --snr")
    return float(value)
