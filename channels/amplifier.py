"""What an amplifier that saturates does to the subcarriers of OFDM."""

from __future__ import annotations

from typing import NamedTuple

import torch

from channels.base import complex_normal
from channels.impairments import FrontEnd, clip
from channels.ofdm import Numerology, to_frequency, to_time

CALIBRATION = 1000  # OFDM symbols from which it is found


class Amplifier(NamedTuple):
    """What an amplifier does on the subcarriers that are used; the others are filtered out.

    scale: that brings the mean power back to 1.
    gain: of what was sent, after it.
    distortion: mean power of the rest, after it.
    """

    scale: float
    gain: float
    distortion: float

    @classmethod
    def of(cls, numerology: Numerology, front_end: FrontEnd) -> Amplifier:
        """That of a front end, found with data that are CN(0, 1), always the same."""
        if front_end.clip_db is None:
            return cls(1.0, 1.0, 0.0)
        shape = (CALIBRATION, numerology.subcarriers)
        generator = torch.Generator().manual_seed(0)
        sent = complex_normal(shape, dtype=torch.complex128, generator=generator)
        power = numerology.subcarriers / numerology.fft_size
        samples = clip(to_time(sent, numerology), front_end.clip_db, front_end.amplifier, power)
        received = to_frequency(samples, numerology)
        gain = float((received * sent.conj()).real.mean() / sent.abs().square().mean())
        distortion = float((received - gain * sent).abs().square().mean())
        scale = (gain**2 + distortion) ** -0.5
        return cls(scale, scale * gain, scale**2 * distortion)
