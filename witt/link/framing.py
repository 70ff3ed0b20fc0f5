"""One picture as a frame of samples, and back: everything that the receiver is told is in it.

header | blocks of side information (class map, mask) | picture  ─► frame ─► channel ─► …
… ─► reception ─► header? ─► which codec, how many symbols ─► blocks? ─► decode ─► picture
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import channels
from witt.contract import Codec, Encoded, Header
from witt.header_bits import header_length, weights_number
from witt.radio.blocks import LEVELS, decode_short
from witt.radio.frame import assemble
from witt.radio.ofdm_frame import RADIO
from witt.radio.reception import Heard, OwnEstimates, Reception
from witt.report import file_sha256
from witt.side_information import Coding, Told, read_blocks, read_header
from witt.store.weights import load_weights, shipped

FIRST = ("witt_light", "witt_base")  # that senders use most
WAVEFORMS = {"single-carrier": assemble, "ofdm": RADIO.assemble}  # from symbols to samples
LEAST = 1e-6  # of what the equaliser leaves of a symbol, in a fade


class Lost(Exception):
    """A frame is there, and there is no picture in it that this receiver can show."""


@dataclass(frozen=True)
class Weights:
    """Weights that a receiver has.

    path: of the file.
    name: in messages.
    """

    path: Path
    name: str

    @cached_property
    def number(self) -> int:
        """By which a header names them."""
        return weights_number(file_sha256(self.path))

    @cached_property
    def model(self) -> Codec:
        """The codec."""
        model: Codec = load_weights(self.path)[0]
        return model


class Received(NamedTuple):
    """A picture from a frame.

    image: (1, 3, H, W), not clamped.
    header: what the frame said.
    weights: of the codec.
    symbols: of the frame, and how many of them the recording does not have.
    snr_db: mean power of the symbols over that of noise and errors of estimation.
    """

    image: Tensor
    header: Header
    weights: Weights
    symbols: int
    missing: int
    snr_db: float


def all_shipped() -> list[Weights]:
    """The weights that come with the package, those that are used most first."""
    files = shipped()
    names = [*(name for name in FIRST if name in files), *(n for n in files if n not in FIRST)]
    return [Weights(files[name], name) for name in names]


def frame_symbols(model: Codec, encoded: Encoded, coding: Coding) -> NDArray[np.complex64]:
    """Header, blocks and picture: the symbols of a frame of one picture.

    Args:
        model: the codec.
        encoded: from its `encode_with_side` with the same coding.
        coding: of side information.
    """
    symbols, header = encoded
    packed = coding.pack(model.side_codes(), header)
    inside = 0 if header.side_uses is None else int(header.side_uses[0])
    side = packed.symbols()
    blocks = packed.uses - packed.header_uses
    row = symbols[0, : symbols.shape[1] - inside].cpu()
    return torch.cat([side[blocks:], side[:blocks], row]).to(torch.complex64).numpy()


def find_reception(samples: NDArray[np.complex64]) -> Reception | None:
    """The first frame of a recording, of whatever waveform; None where there is none."""
    found: tuple[Reception | None, ...] = (OwnEstimates.find(samples), RADIO.find(samples))
    there = [reception for reception in found if reception is not None]
    return min(there, key=lambda reception: reception.start.place, default=None)


def receive_frame(reception: Reception, known: Iterable[Weights]) -> Received:
    """The picture of a frame.

    Args:
        reception: the frame in a recording.
        known: weights that it may be of.

    Raises:
        Lost: no header, one of other weights, or no class map or mask.
    """
    weights, told = _header(reception, known)
    model = weights.model
    size, rate = told.fields.size, told.fields.rate
    uses = model.uses_at_rate(size, rate)
    if uses is None:
        raise Lost(f"{model.name} does not say how many symbols a picture takes")
    count = max(uses, told.uses) if told.fields.inside else uses + told.uses
    reception.plan(told.fields.snr_db)
    heard = reception.hear(count)
    x_hat, error = equalised(heard)
    there = x_hat.shape[1]
    if there < told.uses:
        raise Lost(f"the samples end after {there:,} of {count:,} symbols, before the picture")
    missing = count - there
    if missing:  # erased: nothing is known of them but their power
        x_hat = torch.nn.functional.pad(x_hat, (0, missing))
        full = error.expand(1, there)
        error = torch.nn.functional.pad(full, (0, missing), value=1.0)
    order = _picture_first(told, count)
    x_hat, error = x_hat[:, order], error if error.shape[1] == 1 else error[:, order]
    blocks = read_blocks(*_unbiased(x_hat, error), told)
    if blocks is None:
        names = " and ".join(name for name, *_ in told.blocks)
        raise Lost(f"its {names} was lost to the noise")
    try:
        header = told.header(model.side_codes(), blocks)
    except ValueError as error_found:
        raise Lost(f"its header says what no picture has ({error_found})") from error_found
    row = count if told.fields.inside else uses
    noise_var = error if error.shape[1] == 1 else error[:, :row]
    with torch.inference_mode():
        image = model.decode(x_hat[:, :row], header, noise_var)
    return Received(image, header, weights, count, missing, _snr_db(heard))


def equalised(heard: Heard) -> tuple[Tensor, Tensor]:
    """MMSE estimates of the symbols (1, N), and their error variances, (1, 1) where all are alike.

    Args:
        heard: from a reception.
    """
    y, h = torch.from_numpy(heard.y)[None], torch.from_numpy(heard.h)[None]
    noise_var = torch.from_numpy(heard.noise_var.astype(np.float32))[None]
    x_hat, error = channels.mmse(y, h, noise_var)
    return x_hat, error[:, :1] if h.shape[1] == noise_var.shape[1] == 1 else error


def _unbiased(x_hat: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
    left = (1 - error).clamp_min(LEAST)
    return (x_hat / left)[0], (error / left).expand(x_hat.shape)[0]


def _header(reception: Reception, known: Iterable[Weights]) -> tuple[Weights, Told]:
    """The header, and which of the weights it names.

    Raises:
        Lost: no header, or one of other weights.
    """
    parts = [_unbiased(*equalised(reception.hear(uses, whole=False))) for uses in LEVELS]
    named: dict[int, int | None] = {}  # by the length of the header, which codecs share
    for weights in known:
        codes = weights.model.side_codes()
        length = header_length(codes)
        if length in named and named[length] != weights.number:
            continue
        for bits, uses in _read(parts, length):
            try:
                told = read_header(bits, codes, uses)
            except ValueError:  # a CRC that was right by chance
                continue
            named[length] = told.fields.weights
            if told.fields.weights == weights.number:
                return weights, told
    others = [number for number in named.values() if number is not None]
    if others:
        raise Lost(
            f"it is of other weights than those tried, whose SHA-256 begins with {others[0]:06x}"
        )
    raise Lost("its header was lost to the noise, or is of weights unlike those tried")


def _read(parts: list[tuple[Tensor, Tensor]], length: int) -> Iterator[tuple[Any, int]]:
    """Headers of so many bits whose CRC is right, and the symbols of each."""
    for (symbols, noise_var), uses in zip(parts, LEVELS, strict=True):
        if len(symbols) == uses:
            bits = decode_short(symbols, noise_var, length)
            if bits is not None:
                yield bits, uses


def _picture_first(told: Told, count: int) -> Tensor:
    """The places in a frame of the symbols in the codec's order: picture, blocks, header."""
    places = torch.arange(count)
    return torch.cat(
        [places[told.uses :], places[told.header_uses : told.uses], places[: told.header_uses]]
    )


def _snr_db(heard: Heard) -> float:
    power = float((np.abs(heard.h).astype(np.float64) ** 2).mean())
    return 10 * math.log10(max(power, 1e-300) / float(heard.noise_var.mean()))
