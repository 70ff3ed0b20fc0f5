"""What a radio does to samples: amplifier, oscillator and clock. All of it is differentiable.

transmitter ─► clip ─► channel ─► (×) exp(j phase) ─► receiver
                                   ▲
               frequency offset and phase noise
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

AMPLIFIERS = ("hard", "soft")
SMOOTHNESS = 3.0  # Rapp's p of a soft amplifier
POINTS = 20_000  # of the integrals over the amplitude


@dataclass(frozen=True)
class FrontEnd:
    """What is not ideal in the radios at both ends.

    Args:
        offset: of the carrier, in subcarriers.
        sampling_ppm: by which the receiver's clock is slow, in parts per million.
        linewidth_hz: of the oscillator, from half power to half power.
        clip_db: amplitude at which the amplifier saturates, in dB over the root of the mean power;
            None is one that does not.
        amplifier: "hard", linear up to there, or "soft", a solid-state amplifier as Rapp has it.
        tracking: whether the receiver undoes the mean phase of each OFDM symbol, as it does with
            the help of phase-tracking pilots; here it is told. What is left of an offset is the
            interference between subcarriers.

    Raises:
        ValueError: a value out of range.
    """

    offset: float = 0.0
    sampling_ppm: float = 0.0
    linewidth_hz: float = 0.0
    clip_db: float | None = None
    amplifier: str = "hard"
    tracking: bool = True

    def __post_init__(self) -> None:
        if self.amplifier not in AMPLIFIERS:
            raise ValueError(f"amplifier must be {' or '.join(AMPLIFIERS)}, got {self.amplifier!r}")
        if not abs(self.offset) <= 0.5:
            raise ValueError(f"offset must be from -0.5 to 0.5 subcarriers, got {self.offset!r}")
        if not abs(self.sampling_ppm) <= 100:
            raise ValueError(f"sampling_ppm must be from -100 to 100, got {self.sampling_ppm!r}")
        if not 0 <= self.linewidth_hz < math.inf:
            raise ValueError(f"linewidth_hz must be 0 or more, got {self.linewidth_hz!r}")
        if self.clip_db is not None and not -20 <= self.clip_db <= 40:
            raise ValueError(f"clip_db must be from -20 to 40 dB, got {self.clip_db!r}")

    @property
    def turns(self) -> bool:
        """Whether the carrier's phase changes."""
        return bool(self.offset or self.linewidth_hz)


def clip(x: Tensor, level_db: float, amplifier: str = "hard", power: float = 1.0) -> Tensor:
    """Samples after an amplifier that saturates; their phase stays.

    With A = sqrt(power) 10^(level_db / 20): |x| becomes min(|x|, A) of a hard one, and
    |x| / (1 + (|x| / A)^2p)^(1 / 2p), p = 3, of a soft one.

    Args:
        x: samples, complex, of any shape.
        level_db: saturation over the mean power, dB.
        amplifier: "hard" or "soft".
        power: mean power of the samples.

    Source: C. Rapp, "Effects of HPA-nonlinearity on a 4-DPSK/OFDM-signal for a digital sound
    broadcasting system", 2nd European Conf. Satellite Commun., 1991.
    """
    level = math.sqrt(power) * 10 ** (level_db / 20)
    return x * _factor(x.real.square() + x.imag.square(), level, amplifier)


def _factor(energy: Tensor, level: float, amplifier: str) -> Tensor:
    """What a sample of |x|² = energy is multiplied by."""
    relative = energy / level**2
    if amplifier == "hard":
        return relative.clamp_min(1.0).rsqrt()
    return (1 + relative**SMOOTHNESS) ** (-1 / (2 * SMOOTHNESS))


class Bussgang(NamedTuple):
    """clip(x) = gain x + d with d uncorrelated with x ~ CN(0, 1).

    gain: real.
    distortion: E|d|².
    """

    gain: float
    distortion: float


def bussgang(level_db: float, amplifier: str = "hard") -> Bussgang:
    """What an amplifier does to samples that are CN(0, 1), as those of OFDM nearly are.

    Source: J. J. Bussgang, "Crosscorrelation functions of amplitude-distorted Gaussian signals",
    MIT RLE report 216, 1952.
    """
    step = 1 / POINTS
    quantile = (torch.arange(POINTS, dtype=torch.float64) + 0.5) * step
    energy = -torch.log(quantile)  # of CN(0, 1) samples, equally likely
    factor = _factor(energy, 10 ** (level_db / 20), amplifier)
    gain = float((energy * factor).mean())
    return Bussgang(gain, float((energy * factor.square()).mean()) - gain**2)


def phase_steps(linewidth_hz: float, rate_hz: float) -> float:
    """Standard deviation of the step from sample to sample of a free oscillator's phase.

    It is a Wiener process: E(phase(t + tau) - phase(t))² = 2 pi linewidth tau.
    """
    return math.sqrt(2 * math.pi * linewidth_hz / rate_hz)


def kept_power(correlation: Tensor, size: int) -> float:
    """Share of the power that stays on its subcarrier when the channel changes within a symbol.

    With a(n) the gain at sample n of F, and r(d) = E a(n + d) a*(n) of power 1,

        E|1/F sum_n a(n)|² = sum_d (F - |d|) / F² r(d);

    the rest is interference from subcarrier to subcarrier.

    Args:
        correlation: r(0) … r(F - 1), complex.
        size: F.

    Source: Robertson and Kaiser, "The effects of Doppler spreads in OFDM(A) mobile radio systems",
    VTC Fall 1999.
    """
    lags = torch.arange(size, dtype=torch.float64, device=correlation.device)
    weights = (size - lags) / size**2
    weights[1:] *= 2
    return float((weights * correlation.real).sum())
