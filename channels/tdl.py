"""Tapped delay lines TDL-A to TDL-E of 3GPP TR 38.901, whose taps fade with Jakes' spectrum.

    g_p(t) = sqrt(P_p / S) sum_s c_s exp(j 2 pi f_d t cos(alpha_s)),  c_s ~ CN(0, 1),

with one alpha_s uniform in each of S equal sectors. So each tap is CN(0, P_p) at any time, and
E g_p(t) g_p*(t - tau) = P_p J0(2 pi f_d tau) whatever S is. A line of sight (D and E) is a first
tap of constant power, random phase and Doppler frequency 0.7 f_d beside the scatter.

Source: 3GPP TR 38.901, tables 7.7.2-1 to 7.7.2-5 and section 7.7.2. The sectors are those of Xiao,
Zheng and Beaulieu, "Novel sum-of-sinusoids simulation models for Rayleigh and Rician fading
channels", IEEE Trans. Wireless Commun. 5(12), 2006; Gaussian c_s make it Rayleigh for any S.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from channels.base import complex_normal

SPEED_OF_LIGHT = 299_792_458.0
LINE_OF_SIGHT = 0.7  # of f_d, its Doppler frequency (section 7.7.2)


class Profile(NamedTuple):
    """A table of TR 38.901.

    delays: over the delay spread.
    powers_db: of the scatter of each tap.
    line_of_sight_db: power of the line of sight of the first tap.
    """

    delays: tuple[float, ...]
    powers_db: tuple[float, ...]
    line_of_sight_db: float = -math.inf


# fmt: off
PROFILES = {
    "A": Profile(
        (0.0000, 0.3819, 0.4025, 0.5868, 0.4610, 0.5375, 0.6708, 0.5750, 0.7618, 1.5375, 1.8978,
         2.2242, 2.1718, 2.4942, 2.5119, 3.0582, 4.0810, 4.4579, 4.5695, 4.7966, 5.0066, 5.3043,
         9.6586),
        (-13.4, 0.0, -2.2, -4.0, -6.0, -8.2, -9.9, -10.5, -7.5, -15.9, -6.6, -16.7, -12.4, -15.2,
         -10.8, -11.3, -12.7, -16.2, -18.3, -18.9, -16.6, -19.9, -29.7),
    ),
    "B": Profile(
        (0.0000, 0.1072, 0.2155, 0.2095, 0.2870, 0.2986, 0.3752, 0.5055, 0.3681, 0.3697, 0.5700,
         0.5283, 1.1021, 1.2756, 1.5474, 1.7842, 2.0169, 2.8294, 3.0219, 3.6187, 4.1067, 4.2790,
         4.7834),
        (0.0, -2.2, -4.0, -3.2, -9.8, -1.2, -3.4, -5.2, -7.6, -3.0, -8.9, -9.0, -4.8, -5.7, -7.5,
         -1.9, -7.6, -12.2, -9.8, -11.4, -14.9, -9.2, -11.3),
    ),
    "C": Profile(
        (0.0000, 0.2099, 0.2219, 0.2329, 0.2176, 0.6366, 0.6448, 0.6560, 0.6584, 0.7935, 0.8213,
         0.9336, 1.2285, 1.3083, 2.1704, 2.7105, 4.2589, 4.6003, 5.4902, 5.6077, 6.3065, 6.6374,
         7.0427, 8.6523),
        (-4.4, -1.2, -3.5, -5.2, -2.5, 0.0, -2.2, -3.9, -7.4, -7.1, -10.7, -11.1, -5.1, -6.8, -8.7,
         -13.2, -13.9, -13.9, -15.8, -17.1, -16.0, -15.7, -21.6, -22.8),
    ),
    "D": Profile(
        (0.0000, 0.0350, 0.6120, 1.3630, 1.4050, 1.8040, 2.5960, 1.7750, 4.0420, 7.9370, 9.4240,
         9.7080, 12.5250),
        (-13.5, -18.8, -21.0, -22.8, -17.9, -20.1, -21.9, -22.9, -27.8, -23.6, -24.8, -30.0,
         -27.7),
        -0.2,
    ),
    "E": Profile(
        (0.0000, 0.5133, 0.5440, 0.5630, 0.5440, 0.7112, 1.9092, 1.9293, 1.9589, 2.6426, 3.7136,
         5.4524, 12.0034, 20.6519),
        (-22.03, -15.8, -18.1, -19.8, -22.9, -22.4, -18.6, -20.8, -22.6, -22.3, -25.6, -20.2,
         -29.8, -29.2),
        -0.03,
    ),
}
# fmt: on


def doppler_hz(speed_kmh: float, carrier_ghz: float) -> float:
    """Largest Doppler frequency f_d = v f_c / c."""
    return speed_kmh / 3.6 * carrier_ghz * 1e9 / SPEED_OF_LIGHT


class Paths:
    """Paths of fixed delays whose gains change with time; E of their whole power is 1.

    What is known of them here is what a receiver's estimator is built for: separate statistics
    of delay and time, exact where all paths have one Doppler spectrum.

    Args:
        delays_s: (P,) float64.
        powers: (P,) float64, a line of sight with them; scaled to a sum of 1.
        line_of_sight: share of the whole power that has the Doppler frequency 0.7 f_d.
        doppler_hz: f_d.
    """

    def __init__(
        self, delays_s: Tensor, powers: Tensor, line_of_sight: float, doppler_hz: float
    ) -> None:
        self.delays_s, self.powers = delays_s, powers / powers.sum()
        self.line_of_sight, self.doppler_hz = line_of_sight, doppler_hz

    def gains(
        self,
        batch: int,
        times: int,
        step_s: float,
        *,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw the gains of all paths at the times 0, step_s, 2 step_s, …

        Args:
            batch: images B, each with paths of its own.
            times: T.
            step_s: from time to time.
            dtype, device, generator: as of `channels.Channel.draw`.

        Returns:
            (B, T, P) complex.
        """
        raise NotImplementedError

    def over_time(self, lag_s: Tensor) -> Tensor:
        """E H(f, t) H*(f, t - lag_s), complex128; J0(2 pi f_d lag) without a line of sight."""
        phase = 2 * math.pi * self.doppler_hz * lag_s.double()
        scatter = (1 - self.line_of_sight) * torch.special.bessel_j0(phase)
        return scatter + self.line_of_sight * torch.exp(1j * LINE_OF_SIGHT * phase)

    def over_frequency(self, lag_hz: Tensor) -> Tensor:
        """E H(f, t) H*(f - lag_hz, t), complex128: the Fourier transform of the powers."""
        phase = lag_hz.double()[..., None] * self.delays_s
        return (self.powers * torch.exp(-2j * math.pi * phase)).sum(-1)


class Flat(Paths):
    """One path without delay whose gain is 1."""

    def __init__(self) -> None:
        one = torch.ones(1, dtype=torch.float64)
        super().__init__(0 * one, one, 1.0, 0.0)

    def gains(
        self,
        batch: int,
        times: int,
        step_s: float,
        *,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Ones, (B, T, 1)."""
        return torch.ones((batch, times, 1), dtype=dtype, device=device)


class Tdl(Paths):
    """A tapped delay line of TR 38.901.

    Args:
        model: "A" to "E".
        delay_spread_ns: by which the delays of the table are multiplied.
        speed_kmh: of the receiver.
        carrier_ghz: carrier frequency.
        sinusoids: S of each tap.

    Raises:
        ValueError: unknown model, a negative delay spread or speed, or no sinusoid.
    """

    def __init__(
        self,
        model: str,
        delay_spread_ns: float = 300.0,
        speed_kmh: float = 3.0,
        carrier_ghz: float = 3.5,
        sinusoids: int = 20,
    ) -> None:
        check_settings(model, delay_spread_ns, speed_kmh, carrier_ghz)
        if sinusoids < 1:
            raise ValueError(f"sinusoids must be at least 1, got {sinusoids}")
        delays, self._scatter, sight = scaled(PROFILES[model])
        powers = self._scatter.clone()
        powers[0] += sight
        f_d = doppler_hz(speed_kmh, carrier_ghz)
        super().__init__(delays * delay_spread_ns * 1e-9, powers, sight, f_d)
        self._sinusoids = sinusoids

    def gains(
        self,
        batch: int,
        times: int,
        step_s: float,
        *,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """See `Paths.gains`."""
        source = generator.device if generator is not None else device
        shape = (batch, len(self._scatter), self._sinusoids)
        weights = complex_normal(shape, dtype=torch.complex128, device=source, generator=generator)
        within = torch.rand(shape, generator=generator, dtype=torch.float64, device=source)
        first = torch.rand((batch, 1), generator=generator, dtype=torch.float64, device=source)
        sector = torch.arange(self._sinusoids, dtype=torch.float64, device=source)
        angle = 2 * math.pi * (sector + within) / self._sinusoids
        seconds = torch.arange(times, dtype=torch.float64, device=source) * step_s
        omega = 2 * math.pi * self.doppler_hz
        waves = _turning(omega * step_s * torch.cos(angle), times)  # (B, P, S, T)
        taps = torch.einsum("bps,bpst->btp", weights, waves)
        taps = taps * (self._scatter.to(source) / self._sinusoids).sqrt()
        if self.line_of_sight:
            phase = LINE_OF_SIGHT * omega * seconds + 2 * math.pi * first
            taps[:, :, 0] += math.sqrt(self.line_of_sight) * torch.exp(1j * phase)
        return taps.to(device=device, dtype=dtype) if device is not None else taps.to(dtype)


def check_settings(
    model: str, delay_spread_ns: float, speed_kmh: float, carrier_ghz: float
) -> None:
    """Raise ValueError where a model is unknown, or a number is negative or none."""
    if model not in PROFILES:
        raise ValueError(f"model must be one of {', '.join(PROFILES)}, got {model!r}")
    given = (("delay_spread_ns", delay_spread_ns), ("speed_kmh", speed_kmh))
    for name, value in (*given, ("carrier_ghz", carrier_ghz)):
        if not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise ValueError(f"{name} must be 0 or more, got {value!r}")


def scaled(profile: Profile) -> tuple[Tensor, Tensor, float]:
    """Delays over the delay spread, powers of the scatter, and of the line of sight; sum 1."""
    delays = torch.tensor(profile.delays, dtype=torch.float64)
    scatter = 10 ** (torch.tensor(profile.powers_db, dtype=torch.float64) / 10)
    sight = 10 ** (profile.line_of_sight_db / 10)
    whole = float(scatter.sum()) + sight
    return delays, scatter / whole, sight / whole


def _turning(step: Tensor, times: int) -> Tensor:
    """exp(j step t) for t = 0 … times - 1, as the products of coarse and fine turns."""
    fine = max(1, math.isqrt(times))
    coarse = -(-times // fine)
    count = torch.arange(max(fine, coarse), dtype=step.dtype, device=step.device)
    within = torch.exp(1j * step[..., None] * count[:fine])
    begun = torch.exp(1j * step[..., None] * count[:coarse] * fine)
    return (begun[..., :, None] * within[..., None, :]).flatten(-2)[..., :times]
