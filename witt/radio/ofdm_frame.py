"""A frame of OFDM: for channels of several paths, which blur a single carrier.

    preamble 512 | OFDM symbol 0: prefix 72, 1024 | OFDM symbol 1 | …  in whole slots of 14

The preamble is another one than that of a single carrier, so that a receiver knows which it is.
Symbols 2 and 11 of each slot have pilots on every other of 624 subcarriers (`channels.Grid`).

    offset: preamble ─► prefixes ─► pilots, each more exact than the one before

The gains are estimated with no more known of the channel than that its paths lie within the
prefix: the linear estimate of least mean squared error for a uniform profile of delays, and for a
uniform Doppler spectrum of that width under which the pilots are most likely. What of the pilots no
channel within the prefix can be is noise, and says how much there is.

Source: Li, Cimini & Sollenberger, Robust channel estimation for OFDM systems with rapid dispersive
fading channels, IEEE Trans. Commun. 46(7), 1998; van de Beek, Sandell & Börjesson, ML estimation
of time and frequency offset in OFDM systems, IEEE Trans. Signal Processing 45(7), 1997.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from channels.estimation import Basis, Estimate, Lmmse
from channels.ofdm import Grid, demodulate, modulate
from witt.radio.frame import PREAMBLE
from witt.radio.reception import LEAST, Heard, turned
from witt.radio.sequence import qpsk_sequence
from witt.radio.synchronisation import Start, find_frame

GRID = Grid()
SIZE, PREFIX, LENGTH = (getattr(GRID.numerology, n) for n in ("fft_size", "prefix", "length"))
SLOT = GRID.pilots.slot
PREAMBLE_SEED = 0x4F46444D
EARLY = 24  # samples before the strongest path, in the prefix, at which a symbol is taken to begin
QUIET = PREFIX // 2  # samples of the prefix that paths reach from the symbol before
DOPPLERS = (
    1e-4,
    1e-3,
    4e-3,
    1.2e-2,
    3e-2,
    7e-2,
)  # half-widths that are tried, cycles an OFDM symbol


def ofdm_preamble() -> NDArray[np.complex64]:
    """The samples by which a receiver finds a frame of OFDM, (512,)."""
    return qpsk_sequence(PREAMBLE, PREAMBLE_SEED)


def assemble_ofdm(symbols: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """The samples of a frame; those of OFDM have a mean power of 624 / 1024.

    So the noise of a sample is that of a subcarrier, and a symbol has the SNR of a single carrier.

    Args:
        symbols: (N,) of unit mean power.
    """
    grid = GRID.place(torch.tensor(symbols)[None])
    return np.concatenate([ofdm_preamble(), modulate(grid, GRID.numerology)[0].numpy()])


class OfdmEstimates:
    """A frame of OFDM whose channel is estimated from its pilots; a `Reception`.

    Args:
        samples: (N,) of the recording.
        start: of the frame in it.
    """

    def __init__(self, samples: NDArray[np.complex64], start: Start) -> None:
        self.start = self._found = start
        first = start.place + PREAMBLE - EARLY
        self._frame = turned(samples[first:], start.frequency)

    @classmethod
    def find(cls, samples: NDArray[np.complex64]) -> OfdmEstimates | None:
        """The first frame of a recording, None where there is none."""
        start = find_frame(samples, ofdm_preamble())
        return None if start is None else cls(samples, start)

    def plan(self, snr_db: float) -> None:
        """The noise is measured, so this changes nothing."""

    def hear(self, count: int, whole: bool = True) -> Heard:
        """As of `Reception`; only whole slots are heard."""
        slots = min(-(-count // GRID.data_per_slot), len(self._frame) // (SLOT * LENGTH))
        if slots == 0:
            nothing = np.zeros(0, np.complex64)
            return Heard(nothing, nothing, np.zeros(0))
        frame = self._frame[: slots * SLOT * LENGTH]
        rough = _from_prefixes(frame)
        # Where the channel moves fast, pilots are no better than prefixes.
        tried = [rough, rough + _from_pilots(turned(frame, rough))]
        grids = [_grid(turned(frame, offset)) for offset in tried]
        widths = [_doppler(_at_pilots(grid), slots) for grid in grids]
        (_, width), grid, left = min(zip(widths, grids, tried, strict=True), key=lambda w: w[0][0])
        self.start = self._found._replace(frequency=self._found.frequency + left)
        estimate, noise_var = _estimated(grid, width)
        data = (grid, estimate.h, estimate.error_var + noise_var)
        y, h, noise = (GRID.take(part, count)[0].numpy() for part in data)
        return Heard(y, h, np.maximum(noise.astype(np.float64), LEAST))


def _grid(frame: NDArray[np.complex64]) -> Tensor:
    return demodulate(torch.from_numpy(frame)[None], GRID.numerology)


def _from_prefixes(frame: NDArray[np.complex64]) -> float:
    """Offset in cycles a sample: prefixes are like the ends of their symbols, 1,024 later."""
    symbols = frame.reshape(-1, LENGTH)
    product = symbols[:, QUIET:PREFIX].conj() * symbols[:, QUIET + SIZE : PREFIX + SIZE]
    return float(np.angle(product.sum(dtype=np.complex128))) / (2 * math.pi * SIZE)


def _from_pilots(frame: NDArray[np.complex64]) -> float:
    """Offset in cycles a sample: how far the pilots of a slot turn from the first to the last."""
    pilots = _at_pilots(_grid(frame)).unflatten(1, (-1, len(GRID.pilots.symbols)))
    turn = (pilots[:, :, 0].conj() * pilots[:, :, -1]).sum().item()
    apart = (GRID.pilots.symbols[-1] - GRID.pilots.symbols[0]) * LENGTH
    return float(np.angle(turn)) / (2 * math.pi * apart)


def _at_pilots(grid: Tensor) -> Tensor:
    """Gains at the pilots with noise, (1, pilot symbols, pilots of each)."""
    pilots = GRID.take_pilots(grid)
    slots = grid.shape[1] // SLOT
    return pilots / GRID.sequence(grid).repeat(slots, 1)


def _noise(pilots: Tensor) -> tuple[float, float]:
    """The noise at pilots, from what of them no channel within the prefix can be; and E|h|²."""
    vectors = _tones().vectors.to(pilots)
    within = pilots @ vectors.conj() @ vectors.mT
    free = pilots.shape[1] * (pilots.shape[2] - vectors.shape[1])
    noise_var = max(float((pilots - within).abs().square().sum()) / free, LEAST)
    return noise_var, max(float(pilots.abs().square().mean()) - noise_var, 1e-3 * noise_var)


def _estimated(grid: Tensor, width: float) -> tuple[Estimate, float]:
    """The gain of each place in the grid (1, T, K), and the noise."""
    pilots = _at_pilots(grid)
    noise_var, power = _noise(pilots)
    times = _times(grid.shape[1] // SLOT, width)
    relative = torch.tensor([[noise_var / power]])
    found = Lmmse(times, _tones())(pilots / math.sqrt(power), relative)
    return Estimate(found.h * math.sqrt(power), found.error_var * power), noise_var


def _doppler(pilots: Tensor, slots: int) -> tuple[float, float]:
    """The Doppler width under which the pilots are most likely, and before it −ln of how likely."""
    noise_var, power = _noise(pilots)
    tones, times = _tones(), _pilot_times(slots)
    over_tones = pilots[0] @ tones.vectors.to(pilots).conj() / math.sqrt(power)
    found = []
    for width in DOPPLERS:
        values, vectors = torch.linalg.eigh(_uniform(times[:, None] - times, width))
        energy = (vectors.mH.to(pilots) @ over_tones).abs().square().double()
        expected = values.clamp_min(0)[:, None] * tones.values + noise_var / power
        found.append(float((expected.log() + energy / expected).sum()))
    best = int(np.argmin(found))
    return found[best], DOPPLERS[best]


def _uniform(lag: Tensor, width: float) -> Tensor:
    """Correlation over time of a Doppler spectrum that is uniform up to ±width."""
    return torch.special.sinc(2 * width * lag.double()).to(torch.complex128)


def _pilot_times(slots: int) -> Tensor:
    return (
        torch.arange(slots * SLOT).unflatten(0, (slots, -1))[:, list(GRID.pilots.symbols)].flatten()
    )


@lru_cache(maxsize=32)
def _times(slots: int, width: float) -> Basis:
    times = _pilot_times(slots)
    return Basis.of(_uniform(torch.arange(slots * SLOT)[:, None] - times, width), times)


@lru_cache
def _tones() -> Basis:
    """Of a uniform profile of delays from 0 to the end of the prefix."""
    numbers, every = GRID.numerology.numbers(), GRID.pilots.every
    return Basis.of(_over_frequency(numbers[:, None] - numbers[::every]), _comb(len(numbers)))


def _comb(count: int) -> Tensor:
    return torch.arange(0, count, GRID.pilots.every)


def _over_frequency(lag: Tensor) -> Tensor:
    cycles = lag.double() * (PREFIX / SIZE)
    return torch.special.sinc(cycles) * torch.exp(-1j * math.pi * cycles)
