"""What square QAM with a bit interleaver can carry: more no code of this chain does.

    C = sum over the m bits of a symbol of I(bit; y),   y = x + n

at equally likely points with Gray labels (Caire, Taricco, Biglieri, "Bit-interleaved coded
modulation", IEEE Trans. Inf. Theory 44(3), 1998, equation 15).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Real = npt.NDArray[np.float64]

NOISE_NODES, GAIN_NODES = 24, 40


@lru_cache(maxsize=1024)
def bicm_capacity(bits_per_symbol: int, snr_db: float, fades: bool) -> float:
    """Bits for each channel use over AWGN, or over fast Rayleigh fading that the receiver knows.

    Args:
        bits_per_symbol: 2, 4, 6 or 8.
        snr_db: Es/N0 in dB.
        fades: Rayleigh.
    """
    snr = 10 ** (snr_db / 10)
    if not fades:
        return 2 * _one_axis(bits_per_symbol // 2, snr)
    power, weights = np.polynomial.laguerre.laggauss(GAIN_NODES)  # |h|^2 ~ Exp(1)
    rates = [2 * _one_axis(bits_per_symbol // 2, snr * float(one)) for one in power]
    return float(np.dot(weights, rates))


def _one_axis(bits: int, snr: float) -> float:
    """The capacity of the 2^bits levels of one of the two axes, of unit mean power together."""
    count = 2**bits
    levels = np.arange(count) * 2.0 - (count - 1)
    levels /= math.sqrt(float((levels**2).mean()))
    labels = np.arange(count) ^ (np.arange(count) >> 1)
    nodes, weights = np.polynomial.hermite.hermgauss(NOISE_NODES)
    noise = nodes * math.sqrt(2 / snr)
    # Log-likelihood of each level at what is received, less that of the one sent.
    received = levels[:, None] + noise
    distances = (received[..., None] - levels) ** 2 - (noise**2)[None, :, None]
    likely: Real = np.exp(-snr / 2 * distances)
    total = likely.sum(axis=2)
    rate = 0.0
    for bit in range(bits):
        same = (labels >> bit & 1)[:, None] == (labels >> bit & 1)
        own = (likely * same[:, None, :]).sum(axis=2)
        rate += 1 - float((np.log2(total / own) @ weights).mean()) / math.sqrt(math.pi)
    return rate
