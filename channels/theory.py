"""Closed forms that the channels are tested against, and that plots draw as limits.

Capacities in bits per complex channel use, error rates per bit. Every `snr_db` is Es/N0 per complex
symbol at unit average transmit power and E|h|^2 = 1 (g = 10^(snr_db / 10) below), a number or an
array in dB; the result is float64 of the same shape. +inf and -inf dB are served, NaN stays NaN.

Sources: [PS] Proakis & Salehi, Digital Communications, 5th ed.; [TV] Tse & Viswanath, Fundamentals
of Wireless Communication; [GV] Goldsmith & Varaiya, Capacity of fading channels with channel side
information, IEEE Trans. Inf. Theory 43(6), 1997.

SciPy is imported where it is used: `import channels` is on the way of every command.
"""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LN2 = math.log(2.0)


def awgn_capacity(snr_db: ArrayLike) -> NDArray[np.float64]:
    """Capacity of the AWGN channel: C = log2(1 + g).

    Args:
        snr_db: Es/N0, dB.

    Returns:
        Bits per complex channel use.

    Source: [TV] section 5.1.
    """
    return _out(np.log1p(_linear(snr_db)) / _LN2)


def rayleigh_ergodic_capacity(snr_db: ArrayLike) -> NDArray[np.float64]:
    """Ergodic capacity of Rayleigh fading known to the receiver: C = e^(1/g) E1(1/g) / ln 2.

    Args:
        snr_db: Average Es/N0, dB.

    Returns:
        Bits per complex channel use.

    Source: E[log2(1 + |h|^2 g)], |h|^2 ~ Exp(1): [GV] section II (side information at the receiver
    only); [TV] section 5.4.5.
    """
    with np.errstate(divide="ignore"):
        z = 1.0 / _linear(snr_db)
    return _out(_scaled_exp1(z) / _LN2)


def rician_ergodic_capacity(snr_db: ArrayLike, k_factor_db: float) -> NDArray[np.float64]:
    """Ergodic capacity of Rician fading known to the receiver: C = E[log2(1 + |h|^2 g)].

    Integrated numerically over the Rice density of u = sqrt(K + 1) |h|,
    p(u) = 2 u exp(-(u^2 + K)) I0(2 u sqrt(K)), K = 10^(k_factor_db / 10).

    Args:
        snr_db: Average Es/N0, dB.
        k_factor_db: Power of the line of sight over that of the scatter, dB, -100 to 100.

    Returns:
        Bits per complex channel use.

    Raises:
        ValueError: k_factor_db is out of range.

    Source: the Rice density of [PS] section 2.3; the expectation [TV] section 5.4.5.
    """
    if not -100.0 <= k_factor_db <= 100.0:
        raise ValueError(f"k_factor_db must be from -100 to 100 dB, got {k_factor_db!r}")
    from scipy import integrate, special

    k = 10.0 ** (k_factor_db / 10)
    centre = math.sqrt(k)
    # p(u) < exp(-(u - centre)^2) (2 u): nothing is left beyond 9 (e^-81).
    ends = (max(0.0, centre - 9.0), centre, centre + 9.0)

    def capacity(g: float) -> float:
        if not math.isfinite(g):
            return g

        def integrand(u: float) -> float:
            density = 2.0 * u * math.exp(-((u - centre) ** 2)) * special.i0e(2.0 * u * centre)
            return float(density * math.log1p(g * u * u / (1.0 + k)))

        halves = (
            integrate.quad(integrand, low, high, epsabs=0.0, epsrel=1e-10, limit=200)[0]
            for low, high in pairwise(ends)
        )
        return float(sum(halves)) / _LN2

    linear = _linear(snr_db)
    values = [capacity(g) for g in linear.ravel().tolist()]
    return _out(np.array(values, dtype=np.float64).reshape(linear.shape))


def rayleigh_outage_capacity(snr_db: ArrayLike, outage: ArrayLike) -> NDArray[np.float64]:
    """Rate that block Rayleigh fading supports but for a fraction of blocks.

    C = log2(1 - g ln(1 - outage)), from P(|h|^2 < t) = 1 - e^(-t).

    Args:
        snr_db: Average Es/N0, dB.
        outage: Probability that a block does not support the rate, 0 <= outage < 1; broadcast
            against snr_db.

    Returns:
        Bits per complex channel use.

    Raises:
        ValueError: outage is not in [0, 1).

    Source: [TV] eq. (5.57), section 5.4.1.
    """
    probability = np.asarray(outage, dtype=np.float64)
    if not np.all((probability >= 0.0) & (probability < 1.0)):
        raise ValueError(f"outage must be a probability in [0, 1), got {outage!r}")
    return _out(np.log1p(-np.log1p(-probability) * _linear(snr_db)) / _LN2)


def bpsk_ber_awgn(snr_db: ArrayLike) -> NDArray[np.float64]:
    """Bit error rate of coherent BPSK over AWGN: Q(sqrt(2 g)); here Eb = Es.

    Args:
        snr_db: Es/N0, dB.

    Returns:
        Bit error rate.

    Source: [PS] section 4.3-2.
    """
    from scipy import special

    return _out(0.5 * special.erfc(np.sqrt(_linear(snr_db))))


def qpsk_ber_awgn(snr_db: ArrayLike) -> NDArray[np.float64]:
    """Bit error rate of coherent Gray-mapped QPSK over AWGN: Q(sqrt(g)); here Eb = Es / 2.

    Args:
        snr_db: Es/N0, dB (not Eb/N0, which is 3 dB lower).

    Returns:
        Bit error rate.

    Source: two BPSK in quadrature, [PS] section 4.3-2.
    """
    from scipy import special

    return _out(0.5 * special.erfc(np.sqrt(_linear(snr_db) / 2.0)))


def bpsk_ber_rayleigh(snr_db: ArrayLike) -> NDArray[np.float64]:
    """Bit error rate of coherent BPSK over Rayleigh fading: (1 - sqrt(g / (1 + g))) / 2.

    Args:
        snr_db: Average Es/N0, dB.

    Returns:
        Bit error rate.

    Source: [PS] eq. (13.3-7); [TV] eq. (3.19).
    """
    return _out(_rayleigh_ber(_linear(snr_db)))


def qpsk_ber_rayleigh(snr_db: ArrayLike) -> NDArray[np.float64]:
    """Bit error rate of coherent Gray-mapped QPSK over Rayleigh fading: BPSK's at g / 2.

    Args:
        snr_db: Average Es/N0, dB (not Eb/N0, which is 3 dB lower).

    Returns:
        Bit error rate.

    Source: two BPSK in quadrature under one h, [PS] eq. (13.3-7).
    """
    return _out(_rayleigh_ber(_linear(snr_db) / 2.0))


def _rayleigh_ber(g: NDArray[np.float64]) -> NDArray[np.float64]:
    # (1 - sqrt(g / (1 + g))) / 2 without the cancellation at high SNR.
    return np.asarray(0.5 / (1.0 + g + np.sqrt(g) * np.sqrt(1.0 + g)))


def _scaled_exp1(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """e^z E1(z) for z >= 0; the factors alone leave float64 beyond z = 700 (SNR below -28 dB)."""
    from scipy import special

    # Seven terms of the asymptotic series: the first left out is 5040 / 500^7 of the sum.
    near = np.minimum(z, 500.0)
    far = 1.0 / np.maximum(z, 500.0)
    series = np.zeros_like(far)
    for n in range(6, 0, -1):
        series = -n * far * (1.0 + series)
    exact = np.exp(near) * special.exp1(near)
    return np.asarray(np.where(z > 500.0, far * (1.0 + series), exact))


def _linear(snr_db: ArrayLike) -> NDArray[np.float64]:
    decibels = np.asarray(snr_db, dtype=np.float64)
    return np.asarray(np.power(10.0, decibels / 10.0))


def _out(value: ArrayLike) -> NDArray[np.float64]:
    # A number for a number: an array without axes would print as one.
    result: NDArray[np.float64] = np.asarray(value, dtype=np.float64)[()]
    return result
