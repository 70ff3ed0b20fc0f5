"""What real hardware does to samples: oscillators that are off and drift, amplifiers that clip."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def clip(samples: Tensor, level_db: float) -> Tensor:
    """Limit the amplitude, and keep the phase, as an amplifier at its end does.

    Args:
        samples: (N,) complex.
        level_db: largest power over the mean power, dB.
    """
    power = samples.abs().square()
    most = float(power.mean()) * 10 ** (level_db / 10)
    return samples * (most / power.clamp_min(most)).sqrt()


def oscillator(
    count: int, frequency: float, linewidth: float, generator: torch.Generator
) -> Tensor:
    """What the receiver's oscillator turns samples by, (N,) complex128 of modulus 1.

    The phase is 2π f n and a random walk whose steps have variance 2π Δf: a Lorentzian line of
    full width Δf at half its maximum.

    Args:
        count: samples N.
        frequency: f, cycles a sample.
        linewidth: Δf, cycles a sample.
        generator: of the walk.

    Source: Demir, Mehrotra & Roychowdhury, Phase noise in oscillators, IEEE Trans. Circuits and
    Systems I 47(5), 2000, section VIII.
    """
    # In turns, so that a long recording loses no precision.
    turns = (torch.arange(count, dtype=torch.float64) * frequency).frac()
    steps = torch.randn(count, dtype=torch.float64, generator=generator)
    walk = (steps * math.sqrt(2 * math.pi * linewidth)).cumsum(0)
    return torch.polar(torch.ones_like(walk), 2 * math.pi * turns + walk)
