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
from dataclasses import dataclass, field
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

DOPPLERS = (1e-4, 1e-3, 4e-3, 1.2e-2, 3e-2, 7e-2)  # half-widths tried, cycles an OFDM symbol


@dataclass(frozen=True)
class Waveform:
    """OFDM of some sizes, with a preamble that no other has.

    seed: of the preamble.
    grid: of an OFDM symbol, its prefix, and the pilots.
    """

    seed: int = 0x4F46444D
    grid: Grid = field(default_factory=Grid)

    @property
    def size(self) -> int:
        """Samples of an OFDM symbol without its prefix."""
        return self.grid.numerology.fft_size

    @property
    def prefix(self) -> int:
        """Samples of the prefix."""
        return self.grid.numerology.prefix

    @property
    def early(self) -> int:
        """Samples before the strongest path at which a symbol is taken to begin."""
        return self.prefix // 3

    @property
    def length(self) -> int:
        """Samples of an OFDM symbol with its prefix."""
        return self.grid.numerology.length

    @property
    def slot(self) -> int:
        """OFDM symbols of a slot."""
        return self.grid.pilots.slot

    def preamble(self) -> NDArray[np.complex64]:
        """The samples by which a receiver finds a frame, (512,)."""
        return qpsk_sequence(PREAMBLE, self.seed)

    def assemble(self, symbols: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """The samples of a frame; those of OFDM have a mean power of K / F of the grid.

        So the noise of a sample is that of a subcarrier, and a symbol has the SNR of a single
        carrier.

        Args:
            symbols: (N,) of unit mean power.
        """
        grid = self.grid.place(torch.tensor(symbols)[None])
        samples = modulate(grid, self.grid.numerology)[0].numpy()
        return np.concatenate([self.preamble(), samples])

    def find(self, samples: NDArray[np.complex64]) -> OfdmEstimates | None:
        """The first frame of a recording, None where there is none."""
        start = find_frame(samples, self.preamble())
        return None if start is None else OfdmEstimates(samples, start, self)


RADIO = Waveform()


class OfdmEstimates:
    """A frame of OFDM whose channel is estimated from its pilots; a `Reception`.

    Args:
        samples: (N,) of the recording.
        start: of the frame in it.
        waveform: of the frame.
    """

    def __init__(
        self, samples: NDArray[np.complex64], start: Start, waveform: Waveform = RADIO
    ) -> None:
        self.start = self._found = start
        self._kind = waveform
        first = start.place + PREAMBLE - waveform.early
        early = np.zeros(max(-first, 0), np.complex64)
        self._frame = turned(np.concatenate([early, samples[max(first, 0) :]]), start.frequency)

    def plan(self, snr_db: float) -> None:
        """The noise is measured, so this changes nothing."""

    def hear(self, count: int, whole: bool = True) -> Heard:
        """As of `Reception`; only whole slots are heard."""
        kind = self._kind
        each = kind.slot * kind.length
        slots = min(-(-count // kind.grid.data_per_slot), len(self._frame) // each)
        if slots == 0:
            nothing = np.zeros(0, np.complex64)
            return Heard(nothing, nothing, np.zeros(0))
        frame = self._frame[: slots * each]
        rough = _from_prefixes(frame, kind)
        # Where the channel moves fast, pilots are no better than prefixes.
        tried = [rough, rough + _from_pilots(turned(frame, rough), kind)]
        grids = [_grid(turned(frame, offset), kind) for offset in tried]
        widths = [_doppler(_at_pilots(grid, kind), slots, kind) for grid in grids]
        (_, width), grid, left = min(zip(widths, grids, tried, strict=True), key=lambda w: w[0][0])
        self.start = self._found._replace(frequency=self._found.frequency + left)
        estimate, noise_var = _estimated(grid, width, kind)
        data = (grid, estimate.h, estimate.error_var + noise_var)
        y, h, noise = (kind.grid.take(part, count)[0].numpy() for part in data)
        return Heard(y, h, np.maximum(noise.astype(np.float64), LEAST))


def _grid(frame: NDArray[np.complex64], kind: Waveform) -> Tensor:
    return demodulate(torch.from_numpy(frame)[None], kind.grid.numerology)


def _from_prefixes(frame: NDArray[np.complex64], kind: Waveform) -> float:
    """Offset in cycles a sample: prefixes are like the ends of their symbols, 1,024 later."""
    quiet = kind.prefix // 2  # samples that paths reach from the symbol before
    symbols = frame.reshape(-1, kind.length)
    product = (
        symbols[:, quiet : kind.prefix].conj()
        * symbols[:, quiet + kind.size : kind.prefix + kind.size]
    )
    return float(np.angle(product.sum(dtype=np.complex128))) / (2 * math.pi * kind.size)


def _from_pilots(frame: NDArray[np.complex64], kind: Waveform) -> float:
    """Offset in cycles a sample: how far the pilots of a slot turn from the first to the last."""
    pilots = _at_pilots(_grid(frame, kind), kind).unflatten(1, (-1, len(kind.grid.pilots.symbols)))
    turn = (pilots[:, :, 0].conj() * pilots[:, :, -1]).sum().item()
    apart = (kind.grid.pilots.symbols[-1] - kind.grid.pilots.symbols[0]) * kind.length
    return float(np.angle(turn)) / (2 * math.pi * apart)


def _at_pilots(grid: Tensor, kind: Waveform) -> Tensor:
    """Gains at the pilots with noise, (1, pilot symbols, pilots of each)."""
    pilots = kind.grid.take_pilots(grid)
    slots = grid.shape[1] // kind.slot
    return pilots / kind.grid.sequence(grid).repeat(slots, 1)


def _noise(pilots: Tensor, kind: Waveform) -> tuple[float, float]:
    """The noise at pilots, from what of them no channel within the prefix can be; and E|h|²."""
    vectors = _tones(kind).vectors.to(pilots)
    within = pilots @ vectors.conj() @ vectors.mT
    free = pilots.shape[1] * (pilots.shape[2] - vectors.shape[1])
    noise_var = max(float((pilots - within).abs().square().sum()) / free, LEAST)
    return noise_var, max(float(pilots.abs().square().mean()) - noise_var, 1e-3 * noise_var)


def _estimated(grid: Tensor, width: float, kind: Waveform) -> tuple[Estimate, float]:
    """The gain of each place in the grid (1, T, K), and the noise."""
    pilots = _at_pilots(grid, kind)
    noise_var, power = _noise(pilots, kind)
    times = _times(grid.shape[1] // kind.slot, width, kind)
    relative = torch.tensor([[noise_var / power]])
    found = Lmmse(times, _tones(kind))(pilots / math.sqrt(power), relative)
    return Estimate(found.h * math.sqrt(power), found.error_var * power), noise_var


def _doppler(pilots: Tensor, slots: int, kind: Waveform) -> tuple[float, float]:
    """The Doppler width under which the pilots are most likely, and before it −ln of how likely."""
    noise_var, power = _noise(pilots, kind)
    tones, times = _tones(kind), _pilot_times(slots, kind)
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


def _pilot_times(slots: int, kind: Waveform) -> Tensor:
    return (
        torch.arange(slots * kind.slot)
        .unflatten(0, (slots, -1))[:, list(kind.grid.pilots.symbols)]
        .flatten()
    )


@lru_cache(maxsize=32)
def _times(slots: int, width: float, kind: Waveform) -> Basis:
    times = _pilot_times(slots, kind)
    return Basis.of(_uniform(torch.arange(slots * kind.slot)[:, None] - times, width), times)


@lru_cache
def _tones(kind: Waveform) -> Basis:
    """Of a uniform profile of delays from 0 to the end of the prefix."""
    numbers, every = kind.grid.numerology.numbers(), kind.grid.pilots.every
    covariance = _over_frequency(numbers[:, None] - numbers[::every], kind)
    return Basis.of(covariance, torch.arange(0, len(numbers), every))


def _over_frequency(lag: Tensor, kind: Waveform) -> Tensor:
    cycles = lag.double() * (kind.prefix / kind.size)
    return torch.special.sinc(cycles) * torch.exp(-1j * math.pi * cycles)
