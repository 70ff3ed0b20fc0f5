"""A channel estimated from pilots on a grid of times and frequencies, and the error of it.

pilots divided by what was sent ─► along frequency ─► along time ─► h_hat (B, T, K), error
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

# Below this, times the largest, an eigenvalue of the pilots' statistics is noise of the machine.
SMALLEST = 1e-7
# Raised to this, the estimate without noise stays one of finite weights.
MIN_NOISE = 1e-9


class Estimate(NamedTuple):
    """A channel as the receiver has it.

    h: (B, T, K) complex.
    error_var: what the receiver takes E|h_hat - h|² for, (B, T, K) real.
    """

    h: Tensor
    error_var: Tensor


class Estimator(Protocol):
    """How a channel is estimated."""

    def __call__(self, at_pilots: Tensor, noise_var: Tensor) -> Estimate:
        """Estimate the channel everywhere.

        Args:
            at_pilots: least-squares estimates, y / x, (B, times, frequencies) of the pilots.
            noise_var: variance of their error, (B, 1) real.
        """


class LeastSquares:
    """Linear interpolation between pilots, first in frequency and then in time.

    Outside of the outermost pilots the nearest one holds. It takes nothing to be known of the
    channel; its `error_var` is that of the noise, w N0 with w the sum of the squared weights, and
    what interpolation misses is not in it.

    Args:
        times, frequencies: where the pilots are, in any unit, rising.
        all_times, all_frequencies: where the channel is wanted.
    """

    def __init__(
        self, times: Tensor, frequencies: Tensor, all_times: Tensor, all_frequencies: Tensor
    ) -> None:
        self._in_time = _linear(all_times, times)
        self._in_frequency = _linear(all_frequencies, frequencies)
        along = [matrix.square().sum(1) for matrix in (self._in_time, self._in_frequency)]
        self._noise = along[0][:, None] * along[1]

    def __call__(self, at_pilots: Tensor, noise_var: Tensor) -> Estimate:
        """See `Estimator`."""
        time, frequency = (m.to(at_pilots) for m in (self._in_time, self._in_frequency))
        error = self._noise.to(noise_var) * noise_var[:, :, None]
        return Estimate(time @ at_pilots @ frequency.mT, error)


class Basis(NamedTuple):
    """Eigenvectors of the covariance of a channel at its pilots, those that matter.

    values: (R,).
    vectors: (P, R).
    everywhere: the covariance of the channel with that at the pilots, times these, (T, R).
    """

    values: Tensor
    vectors: Tensor
    everywhere: Tensor

    @classmethod
    def of(cls, covariance: Tensor, pilots: Tensor) -> Basis:
        """That of E h h_p^H, (T, P), with the pilots at these P of the T places."""
        values, vectors = torch.linalg.eigh(covariance[pilots])
        kept = values > SMALLEST * values[-1]
        return cls(values[kept], vectors[:, kept], covariance @ vectors[:, kept])


class Lmmse:
    """The linear estimate of least mean squared error, of time and frequency at once.

    With R the covariance of the channel at the pilots, and r that with it elsewhere,

        h_hat = r (R + N0 I)^-1 (y / x),  error = 1 - r (R + N0 I)^-1 r^H.

    R is the Kronecker product of one of time and one of frequency, which it is where all paths
    have one Doppler spectrum. Its eigenvectors are found once, so that each image can have a
    noise of its own. The receiver is taken to know R and N0.

    Args:
        times, tones: bases of time and frequency.
        power: E|h|².

    Source: Edfors et al., "OFDM channel estimation by singular value decomposition", IEEE Trans.
    Commun. 46(7), 1998; Hoeher, Kaiser and Robertson, "Two-dimensional pilot-symbol-aided channel
    estimation by Wiener filtering", ICASSP 1997.
    """

    def __init__(self, times: Basis, tones: Basis, power: float = 1.0) -> None:
        self._times, self._tones, self._power = times, tones, power
        self._values = times.values[:, None] * tones.values

    def __call__(self, at_pilots: Tensor, noise_var: Tensor) -> Estimate:
        """See `Estimator`."""
        noise = noise_var.clamp_min(MIN_NOISE)[:, :, None]
        u, to_u, v, to_v = (
            matrix.to(at_pilots)
            for basis in (self._times, self._tones)
            for matrix in (basis.vectors, basis.everywhere)
        )
        weights = 1 / (self._values.to(noise) + noise)
        h = to_u @ (weights * (u.mH @ at_pilots @ v.conj())) @ to_v.mT
        known = _power(to_u) @ weights @ _power(to_v).mT
        return Estimate(h, (self._power - known).clamp_min(0.0))


def _power(matrix: Tensor) -> Tensor:
    return matrix.real.square() + matrix.imag.square()


def _linear(wanted: Tensor, places: Tensor) -> Tensor:
    """Weights (wanted, places) of linear interpolation, float64."""
    wanted, places = wanted.double(), places.double()
    weights = torch.zeros(len(wanted), len(places), dtype=torch.float64)
    rows = torch.arange(len(wanted))
    if len(places) == 1:
        return weights + 1
    upper = torch.searchsorted(places, wanted).clamp(1, len(places) - 1)
    share = (wanted - places[upper - 1]) / (places[upper] - places[upper - 1])
    share = share.clamp(0, 1)
    weights[rows, upper - 1] = 1 - share
    weights[rows, upper] += share
    return weights
