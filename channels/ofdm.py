"""OFDM: symbols on a grid of subcarriers with pilots, and the samples that the grid becomes.

    x (B, N) ─► place ─► grid (B, T, K) ─► modulate ─► samples (B, T (F + C))
                 ▲ pilots
    x (B, N) ◄─ take ◄── grid (B, T, K) ◄─ demodulate ◄─ samples (B, T (F + C))

T OFDM symbols of K subcarriers, F samples and a cyclic prefix of C samples. The transforms are
unitary: noise of variance N0 in a sample has variance N0 on a subcarrier.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from channels.power import papr_db


@dataclass(frozen=True)
class Numerology:
    """Sizes of an OFDM symbol; those of NR at 15 kHz in 10 MHz where nothing is said.

    Args:
        fft_size: samples F of an OFDM symbol without its prefix.
        subcarriers: K that are used, those around DC: numbers -(K // 2) to (K - 1) // 2.
        prefix: samples C of the cyclic prefix.
        spacing_hz: from subcarrier to subcarrier.

    Raises:
        ValueError: more subcarriers than samples, or a prefix longer than the symbol.

    Source: 3GPP TS 38.211, section 5.3.1 (normal prefix, without the 8 samples more that the
    first symbol of each half millisecond has), and TS 38.101-1, table 5.3.2-1 (52 blocks of 12).
    """

    fft_size: int = 1024
    subcarriers: int = 624
    prefix: int = 72
    spacing_hz: float = 15e3

    def __post_init__(self) -> None:
        if not 1 <= self.subcarriers <= self.fft_size:
            raise ValueError(
                f"subcarriers must be from 1 to {self.fft_size}, the size of the FFT, "
                f"got {self.subcarriers}"
            )
        if not 0 <= self.prefix <= self.fft_size:
            raise ValueError(f"prefix must be from 0 to {self.fft_size} samples, got {self.prefix}")
        if not self.spacing_hz > 0:
            raise ValueError(f"spacing_hz must be above 0, got {self.spacing_hz}")

    @property
    def rate_hz(self) -> float:
        """Samples a second."""
        return self.fft_size * self.spacing_hz

    @property
    def length(self) -> int:
        """Samples of an OFDM symbol with its prefix."""
        return self.fft_size + self.prefix

    @property
    def period_s(self) -> float:
        """From OFDM symbol to OFDM symbol."""
        return self.length / self.rate_hz

    def numbers(self, device: torch.device | str | None = None) -> Tensor:
        """Number of each subcarrier, (K,) int64, 0 at DC."""
        return torch.arange(self.subcarriers, device=device) - self.subcarriers // 2

    def bins(self, device: torch.device | str | None = None) -> Tensor:
        """Place of each subcarrier in the FFT, (K,) int64."""
        return self.numbers(device) % self.fft_size


def to_time(grid: Tensor, numerology: Numerology, oversampling: int = 1) -> Tensor:
    """Samples of each OFDM symbol without its prefix: (…, K) to (…, F · oversampling).

    Mean power of the samples: K / F of that of the subcarriers, whatever the oversampling.
    """
    size = numerology.fft_size * oversampling
    full = grid.new_zeros(*grid.shape[:-1], size)
    full[..., numerology.numbers(grid.device) % size] = grid
    return torch.fft.ifft(full, norm="ortho") * oversampling**0.5


def to_frequency(samples: Tensor, numerology: Numerology) -> Tensor:
    """Subcarriers of OFDM symbols without prefixes: (…, F) to (…, K)."""
    return torch.fft.fft(samples, norm="ortho")[..., numerology.bins(samples.device)]


def modulate(grid: Tensor, numerology: Numerology) -> Tensor:
    """Samples of a grid, each OFDM symbol after its cyclic prefix.

    Args:
        grid: (B, T, K) complex.
        numerology: sizes.

    Returns:
        (B, T (F + C)) complex. Subcarriers of unit power give samples of mean power K / F.
    """
    samples = to_time(grid, numerology)
    start = numerology.fft_size - numerology.prefix
    return torch.cat((samples[..., start:], samples), dim=-1).flatten(-2)


def demodulate(samples: Tensor, numerology: Numerology) -> Tensor:
    """The grid in samples that begin with a prefix: what `modulate` had.

    Args:
        samples: (B, T (F + C)) complex; what is left over at the end is not looked at.
        numerology: sizes.

    Returns:
        (B, T, K) complex.

    Raises:
        ValueError: there is not one whole OFDM symbol.
    """
    count = samples.shape[-1] // numerology.length
    if count < 1:
        raise ValueError(
            f"an OFDM symbol has {numerology.length} samples; there are {samples.shape[-1]}"
        )
    symbols = samples[..., : count * numerology.length].unflatten(-1, (count, -1))
    return to_frequency(symbols[..., numerology.prefix :], numerology)


def ofdm_papr_db(x: Tensor, numerology: Numerology | None = None) -> Tensor:
    """PAPR of the OFDM symbols that data symbols make, pilots aside, at 4 samples for each of F.

    Args:
        x: (B, N) complex; the last OFDM symbol is left out where they do not fill it.
        numerology: sizes.

    Returns:
        (B, T) real, dB, of each OFDM symbol without its prefix, which repeats what is there; at
        least one, of fewer subcarriers where N is less.
    """
    numerology = numerology or Numerology()
    k = min(numerology.subcarriers, x.shape[1])
    symbols = x[:, : x.shape[1] // k * k].unflatten(1, (-1, k))
    missing = numerology.subcarriers - k
    grid = torch.nn.functional.pad(symbols, (missing // 2, missing - missing // 2))
    return papr_db(to_time(grid, numerology, oversampling=4))


@dataclass(frozen=True)
class Pilots:
    """Where pilots are in each slot: on a comb of subcarriers of some of its OFDM symbols.

    `every=1` has blocks of pilots, `symbols` of a whole slot a comb of them.

    Args:
        symbols: numbers of the OFDM symbols in the slot that have pilots.
        every: distance from pilot to pilot in subcarriers.
        slot: OFDM symbols of a slot.

    Source: 3GPP TS 38.211, section 7.4.1.1 (DM-RS type 1 with one additional position; the
    other comb carries data).
    """

    symbols: tuple[int, ...] = (2, 11)
    every: int = 2
    slot: int = 14

    def __post_init__(self) -> None:
        if not self.symbols or not set(self.symbols) <= set(range(self.slot)):
            raise ValueError(
                f"pilots must be in OFDM symbols 0 to {self.slot - 1}, got {self.symbols}"
            )
        if self.every < 1:
            raise ValueError(f"every must be at least 1 subcarrier, got {self.every}")


@dataclass(frozen=True)
class Grid:
    """Data symbols and pilots, slot by slot, in each OFDM symbol from low to high frequency.

    Args:
        numerology: sizes of an OFDM symbol.
        pilots: where they are.
    """

    numerology: Numerology = Numerology()
    pilots: Pilots = Pilots()

    @cached_property
    def is_pilot(self) -> Tensor:
        """(slot, K) bool."""
        mask = torch.zeros(self.pilots.slot, self.numerology.subcarriers, dtype=torch.bool)
        mask[list(self.pilots.symbols), :: self.pilots.every] = True
        return mask

    @cached_property
    def _data(self) -> Tensor:
        """Places of the data in a slot, flattened."""
        return (~self.is_pilot).flatten().nonzero().squeeze(1)

    @property
    def data_per_slot(self) -> int:
        """Data symbols of a slot."""
        return len(self._data)

    @property
    def overhead(self) -> float:
        """Channel uses for each data symbol, with pilots and prefix: 1 is nothing more.

        Pilots take the place of data, and the prefix stretches each OFDM symbol by (F + C) / F.
        Subcarriers that are not used are no channel uses: others may have them.
        """
        prefix = self.numerology.length / self.numerology.fft_size
        return prefix * self.is_pilot.numel() / self.data_per_slot

    def slots(self, n: int) -> int:
        """Slots for n data symbols."""
        return -(-n // self.data_per_slot)

    def sequence(self, like: Tensor) -> Tensor:
        """Pilots of a slot, QPSK of unit power, (pilot symbols, pilots of each)."""
        count = -(-self.numerology.subcarriers // self.pilots.every)
        bits = torch.tensor(_gold(2 * count * len(self.pilots.symbols)), device=like.device)
        pairs = 1 - 2 * bits.unflatten(0, (len(self.pilots.symbols), count, 2)).to(like.real.dtype)
        return torch.view_as_complex(pairs * 0.5**0.5).to(like.dtype)

    def place(self, x: Tensor) -> Tensor:
        """Grid (B, T, K) of data (B, N) with pilots; what the last slot has left is empty."""
        slots, k = self.slots(x.shape[1]), self.numerology.subcarriers
        missing = slots * self.data_per_slot - x.shape[1]
        data = torch.nn.functional.pad(x, (0, missing)).unflatten(1, (slots, -1))
        flat = x.new_zeros(len(x), slots, self.pilots.slot * k)
        flat[:, :, self._data.to(x.device)] = data
        grid = flat.unflatten(2, (self.pilots.slot, k))
        grid[:, :, list(self.pilots.symbols), :: self.pilots.every] = self.sequence(x)
        return grid.flatten(1, 2)

    def take(self, grid: Tensor, n: int) -> Tensor:
        """The n data symbols (B, N) of a grid (B, T, K)."""
        slots = grid.unflatten(1, (-1, self.pilots.slot)).flatten(2)
        return slots[:, :, self._data.to(grid.device)].flatten(1)[:, :n]

    def take_pilots(self, grid: Tensor) -> Tensor:
        """What is where pilots are: (B, pilot symbols of all slots, pilots of each)."""
        slots = grid.unflatten(1, (-1, self.pilots.slot))
        return slots[:, :, list(self.pilots.symbols), :: self.pilots.every].flatten(1, 2)


@lru_cache
def _gold(length: int) -> tuple[int, ...]:
    """Bits of the pseudo-random sequence of 3GPP TS 38.211, section 5.2.1, c_init = 1."""
    first, second = [1] + [0] * 30, [1] + [0] * 30
    for n in range(1600 + length):
        first.append(first[n + 3] ^ first[n])
        second.append(second[n + 3] ^ second[n + 2] ^ second[n + 1] ^ second[n])
    return tuple(first[n + 1600] ^ second[n + 1600] for n in range(length))
