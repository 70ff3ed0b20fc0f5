"""SoftCast: linear analogue transmission of a picture's DCT, the classic without training.

    picture ─► colour transform, DCT of the whole picture ─► chunks ─► gains λ^(−1/4) ─► symbols
    picture ◄─ inverse ◄──────────── LMMSE estimate ◄─────── MMSE equaliser ◄──── channel ◄──┘

The receiver is told the power λ of each chunk, 8 bits on a logarithmic scale; chunks that do not
fit into the channel uses are dropped, those of least power first. These bits are the scheme's
header. Unitary DFT precoding over blocks of symbols is in the place of
SoftCast's Hadamard transform, so that no coefficient is lost in one fade.

Source: Jakubczak & Katabi, A cross-layer design for scalable mobile video, MobiCom 2011, section
4; the gains are those of Lee & Petersen, IEEE Trans. Commun. 24(11), 1976.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray

import channels
from benchmarks.schemes.scheme import OneByOne, Sent, channel_uses, probe
from witt.link.conditions import Link
from witt.pictures.images import Pixels, to_pixels

SIZE_BITS = 32  # height and width
POWER_BITS = 8
SCALE_BITS = 16  # a float16
_POWER_STEP = 0.25  # octaves: 64 octaves from the smallest level up
_SMALLEST = 2.0**-40
GRID = 16  # chunks of a colour plane each way, SoftCast has 8
PRECODER_LENGTH = 256  # symbols of a DFT

# Orthonormal: luma, and two differences of colour.
_COLOURS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])


class ChunkAllocation(NamedTuple):
    """What both ends know of a picture: the power of each coefficient, and which are sent.

    power: (3, H, W) as the header says it.
    order: indices into the flattened coefficients, in the order of the symbols' I and Q.
    levels: the power of each chunk as the header says it, (3, rows, columns) from 0 to 255.
    """

    power: NDArray[np.float64]
    order: NDArray[np.int64]
    levels: NDArray[np.int64]

    @property
    def header_bits(self) -> int:
        """Size, and the power of each chunk."""
        return SIZE_BITS + POWER_BITS * self.levels.size


class Analogue(NamedTuple):
    """A picture as symbols.

    symbols: (1, N) complex128 of unit mean power.
    known: what the receiver is told.
    scale: that the features were multiplied by.
    """

    symbols: torch.Tensor
    known: ChunkAllocation
    scale: float


def analyse(pixels: Pixels) -> NDArray[np.float64]:
    """Coefficients (3, H, W) of an orthonormal transform of the picture, less mid-grey."""
    planes = np.einsum("kc,hwc->khw", _COLOURS, pixels / 255 - 0.5)
    return scipy.fft.dctn(planes, axes=(1, 2), norm="ortho")


def synthesise(coefficients: NDArray[np.float64]) -> Pixels:
    """Inverse of `analyse`, as an 8-bit picture."""
    planes = scipy.fft.idctn(coefficients, axes=(1, 2), norm="ortho")
    return to_pixels(torch.from_numpy(np.einsum("kc,khw->chw", _COLOURS, planes) + 0.5))


def allocate(coefficients: NDArray[np.float64], most: int) -> ChunkAllocation:
    """Chunk powers, and the coefficients of the chunks that fit.

    Args:
        coefficients: (3, H, W).
        most: how many coefficients may be sent, two for each channel use.
    """
    rows = _edges(coefficients.shape[1])
    columns = _edges(coefficients.shape[2])
    areas = np.diff(rows)[:, None] * np.diff(columns)
    sums = np.add.reduceat(np.add.reduceat(coefficients**2, rows[:-1], 1), columns[:-1], 2)
    level = np.log2(np.maximum(sums / areas, _SMALLEST) / _SMALLEST) / _POWER_STEP
    levels = np.clip(level.round(), 0, 2**POWER_BITS - 1).astype(np.int64)
    return allocation_of(levels, coefficients.shape[1:], most)


def chunks_of(size: tuple[int, ...]) -> tuple[int, int, int]:
    """How many chunks a picture of a size (height, width) has: planes, rows, columns."""
    return 3, len(_edges(size[0])) - 1, len(_edges(size[1])) - 1


def allocation_of(levels: NDArray[np.int64], size: tuple[int, ...], most: int) -> ChunkAllocation:
    """What follows from the header.

    Args:
        levels: of the powers of chunks, (3, rows, columns).
        size: of the picture, (height, width).
        most: as of `allocate`.
    """
    rows, columns = _edges(size[0]), _edges(size[1])
    chunk_power = _SMALLEST * 2 ** (levels * _POWER_STEP)
    power = np.repeat(np.repeat(chunk_power, np.diff(rows), 1), np.diff(columns), 2)
    # Strongest chunks first; the last one is sent in part. All follows from the header.
    ranked = np.argsort(-power, axis=None, kind="stable")[:most]
    order = np.random.default_rng(0).permutation(ranked)  # weak and strong share the symbols
    return ChunkAllocation(power, order, levels)


def _edges(side: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, side, min(GRID, side) + 1).round().astype(np.int64))


def encode(pixels: Pixels, uses: int) -> Analogue:
    """The symbols of a picture.

    Args:
        pixels: (H, W, 3) uint8.
        uses: channel uses, at least 1.
    """
    coefficients = analyse(pixels)
    known = allocate(coefficients, 2 * uses)
    power = known.power.flat[known.order]
    features = np.zeros(2 * uses)
    features[: len(power)] = coefficients.flat[known.order] * power**-0.25
    x = torch.view_as_complex(torch.from_numpy(features).reshape(uses, 2))
    symbols, scale = channels.normalise_power(_blocks(x, torch.fft.fft)[None])
    return Analogue(symbols, known, scale.item())


def decode(y: torch.Tensor, error: torch.Tensor, known: ChunkAllocation, scale: float) -> Pixels:
    """The picture of received symbols.

    Args:
        y: (1, N) complex128, MMSE estimates.
        error: their error variances, broadcastable to them.
        known: of the header.
        scale: of the features.
    """
    power = known.power.flat[known.order]
    received = torch.view_as_real(_blocks(y[0], torch.fft.ifft)).flatten().numpy()
    uses = y.shape[1]
    e = _block_means(error.expand(1, uses)[0]).repeat_interleave(2).numpy()[: len(power)]
    # Two features share the unit power of a symbol, as in `witt.codecs.classified.refiner`.
    p = 2 * np.sqrt(power) * scale**2
    estimate = received[: len(power)] * p / (p * (1 - e) + e) * power**0.25 / scale
    back = np.zeros(known.power.size)
    back[known.order] = estimate
    return synthesise(back.reshape(known.power.shape))


class SoftCast(OneByOne):
    """The scheme; see the module."""

    name = family = "softcast"

    def record(self) -> dict[str, Any]:
        """Plain values for the result file."""
        settings = {"chunks": GRID, "power_bits": POWER_BITS, "spread": PRECODER_LENGTH}
        return {**settings, **probe(self, 1 / 16)}

    def send_one(self, pixels: Pixels, link: Link, snr_db: float, cbr: float, seed: int) -> Sent:
        """See `Scheme.send`."""
        uses = channel_uses(pixels, cbr)
        if not uses:
            reason = "not one channel use at this CBR"
            return Sent(None, 0, {"reason": reason})
        symbols, known, scale = encode(pixels, uses)
        out = link.module()(symbols, snr_db, generator=torch.Generator().manual_seed(seed))
        y, error = channels.mmse(*out)
        info = {
            "header_bits": known.header_bits + SCALE_BITS,
            "papr_db": float(channels.papr_db(symbols)),
        }
        return Sent(decode(y, error, known, scale), symbols.shape[1], info)


def _blocks(x: torch.Tensor, transform: Callable[..., torch.Tensor]) -> torch.Tensor:
    return torch.cat([transform(part, norm="ortho") for part in x.split(PRECODER_LENGTH)])


def _block_means(error: torch.Tensor) -> torch.Tensor:
    return torch.cat([part.mean().expand(len(part)) for part in error.split(PRECODER_LENGTH)])
