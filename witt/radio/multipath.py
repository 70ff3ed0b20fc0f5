"""Samples over paths of different delays, whose gains change with time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from channels.tdl import Paths

STEP = 32  # samples between which gains are interpolated linearly
RINGING = 32  # samples that a delay between two samples goes on for


def through_paths(x: Tensor, paths: Paths, rate_hz: float, generator: torch.Generator) -> Tensor:
    """Samples after the paths, with what the last one adds behind the end.

    A path delays by any part of a sample, as a filter of the whole band does.

    Args:
        x: (N,) complex64.
        paths: of the channel.
        rate_hz: samples a second.
        generator: of the gains.
    """
    delays = paths.delays_s * rate_hz
    count = len(x) + math.ceil(float(delays.max()))
    times = count // STEP + 2
    gains = paths.gains(1, times, STEP / rate_hz, generator=generator)[0]
    place = torch.arange(count) / STEP
    before, share = place.long(), place.frac()[:, None]
    size = 2 ** math.ceil(math.log2(count + RINGING))
    spectrum = torch.fft.fft(x.to(torch.complex128), size)
    cycles = torch.fft.fftfreq(size, dtype=torch.float64)
    received = torch.zeros(count, dtype=torch.complex128)
    for path, delay in enumerate(delays):
        late = torch.fft.ifft(spectrum * torch.exp(-2j * math.pi * cycles * delay))[:count]
        own = gains[:, path : path + 1]
        gain = (own[before] * (1 - share) + own[before + 1] * share)[:, 0]
        received += gain * late
    return received.to(x.dtype)
