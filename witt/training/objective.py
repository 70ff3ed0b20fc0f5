"""The conditions that are drawn for each image, and its way through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

import channels
from witt.codecs.features import FeatureCodec
from witt.contract import Codec
from witt.training.masking import Masking


class Conditions(NamedTuple):
    """Of each image of a batch: SNR in dB (B,) and rate (B,), int64.

    k: feature channels sent; of a codec that is not one of features the number of its CBR.
    """

    snr_db: Tensor
    k: Tensor


def draw_conditions(
    batch: int,
    snr_db: Sequence[float] | tuple[float, float],
    is_range: bool,
    k: Sequence[int],
    generator: torch.Generator,
) -> Conditions:
    """A fresh SNR and rate for each image.

    Args:
        batch: images.
        snr_db: choices, or (low, high) of a uniform draw where `is_range`.
        is_range: see there.
        k: choices of the rate; one named twice is drawn twice as often.
        generator: source of randomness.
    """
    if is_range:
        low, high = snr_db[0], snr_db[-1]
        snr = low + (high - low) * torch.rand(batch, generator=generator)
    else:
        snr = torch.tensor(snr_db)[torch.randint(len(snr_db), (batch,), generator=generator)]
    rates = torch.tensor(k)[torch.randint(len(k), (batch,), generator=generator)]
    return Conditions(snr.float(), rates)


class Draws(NamedTuple):
    """All that is drawn for the images of a batch.

    snr_db: (B,) in dB.
    k: (B,) rates, int64; see `Conditions`.
    h: (B, N) gains, or (B, 1) where none of the channels fades; more where a channel has it.
    noise: (B, N) CN(0, 1).
    """

    snr_db: Tensor
    k: Tensor
    h: Tensor
    noise: Tensor


def draw_images(
    numbers: range,
    symbols: int,
    over: Sequence[channels.Channel],
    snr_db: Sequence[float] | tuple[float, float],
    is_range: bool,
    k: Sequence[int],
    seed: int,
    device: torch.device | None = None,
) -> Draws:
    """What images of a run go through: fixed by the seed and the number of each, as its crop is.

    So a batch is the same however many processes share it, and in however many parts.

    Args:
        numbers: of the images among all of the run.
        symbols: N, symbols of an image at the highest rate.
        over: channels; image n crosses number n modulo their number.
        snr_db, is_range, k: as in `draw_conditions`.
        seed: of the run.
        device: where gains and noise are drawn; a GPU draws others than the CPU, and fast.
    """
    generator = torch.Generator()
    draws = generator if device is None or device.type == "cpu" else torch.Generator(device)
    at, gains, noises = [], [], []
    for n in numbers:
        generator.manual_seed(seed * 1_000_003 + n)
        at.append(draw_conditions(1, snr_db, is_range, k, generator))
        if draws is not generator:
            draws.manual_seed(seed * 1_000_003 + n)
        channel = over[n % len(over)]
        gain, noise = channel.draw(
            1, symbols, dtype=torch.complex64, device=device, generator=draws
        )
        gains.append(noise.new_ones(1, 1) if gain is None else gain)
        noises.append(noise)
    snrs, rates = (torch.cat(values) for values in zip(*at, strict=True))
    return Draws(snrs, rates, together(gains), torch.cat(noises))


def together(gains: Sequence[Tensor]) -> Tensor:
    """Gains (1, N), (1, 1) or of other widths in one tensor; zeros where one has no more."""
    width = max(gain.shape[1] for gain in gains)
    return torch.cat(
        [
            gain.expand(1, width)
            if gain.shape[1] == 1
            else torch.nn.functional.pad(gain, (0, width - gain.shape[1]))
            for gain in gains
        ]
    )


def send(
    model: FeatureCodec,
    image: Tensor,
    at: Conditions,
    over: Sequence[channels.Channel],
    generator: torch.Generator | None = None,
    *,
    first: int = 0,
    h: Tensor | None = None,
    noise: Tensor | None = None,
    bf16: bool = False,
    masking: Masking | None = None,
) -> Tensor:
    """Images as received, when each has its own SNR, rate and channel; not clamped.

    As `Codec.forward`, but with one tensor shape for all rates: the symbols that an image does
    not send are zero. The power scale is not rounded as it is in the header.

    Args:
        model: both ends.
        image: (B, 3, H, W) in [0, 1], sides multiples of the stride.
        at: SNR and rate of each image.
        over: channels; image i crosses number (first + i) modulo their number.
        generator: source of the channels' randomness.
        first: number of the first image among all of a run.
        h: (B, N) or (B, 1) gains instead of drawn ones, N = symbols at the highest rate.
        noise: (B, N) CN(0, 1) noise instead of drawn one; then N is its width.
        bf16: matrix products of the two networks in bfloat16; power, channel and equaliser are
            in the precision of `image` always.
        masking: noise on the images at the transmitter, and tokens of them that are not sent.

    Returns:
        (B, 3, H, W).
    """
    stride = model.config.stride
    grid = (image.shape[2] // stride, image.shape[3] // stride)
    # What `noise` has room for: to ask for the highest rate drawn would be to wait for a GPU.
    length = grid[0] * grid[1] * int(at.k.max()) // 2 if noise is None else noise.shape[1]
    networks = torch.autocast(image.device.type, torch.bfloat16, enabled=bf16)
    told_db = planned(over, at.snr_db, first)
    with networks:
        sent = image if masking is None else image + masking.noise.to(image)
        sending = model.transmit(sent, told_db, at.k, length)
    symbols, uses, allocation = sending.symbols, sending.uses, sending.allocation
    if masking is not None:
        symbols = masking.masked(symbols)
    symbols, scale = channels.normalise_power(torch.view_as_complex(symbols.contiguous()), uses)
    equalise = model.uses_error
    received, error = _cross(symbols, at.snr_db, over, generator, first, h, noise, equalise)
    known = scale if model.sends_scale else torch.ones_like(scale)
    pairs = torch.view_as_real(received)
    with networks:
        image = model.receive(pairs, error, known, told_db, at.k, grid, allocation)
    return image.to(scale.dtype)


def send_whole(
    model: Codec,
    image: Tensor,
    drawn: Draws,
    over: Sequence[channels.Channel],
    cbrs: Sequence[float],
    first: int = 0,
) -> Tensor:
    """As `send`, through `Codec.forward`: all images at the CBR that the first one has drawn.

    Args:
        model: any codec.
        image: (B, 3, H, W) in [0, 1].
        drawn: for these images; their rates are numbers of `cbrs`.
        over, first: as of `send`.
        cbrs: that the codec is trained for.
    """
    cbr = cbrs[int(drawn.k[0])]
    received = torch.empty_like(image)
    for i, channel in enumerate(over):
        mine = slice((i - first) % len(over), None, len(over))
        if mine.start >= len(image):
            continue
        encoded = model.encode(image[mine], channel.planned_db(drawn.snr_db[mine]), cbr)
        n = encoded.symbols.shape[1]
        gain, noise = gain_for(channel, drawn.h[mine], n), drawn.noise[mine, :n]
        sent = model.carry(encoded, channel, drawn.snr_db[mine], h=gain, noise=noise)
        received[mine] = sent.image
    return received


def planned(over: Sequence[channels.Channel], snr_db: Tensor, first: int) -> Tensor:
    """The SNR (B,) that each transmitter is told; see `Channel.planned_db`."""
    told_db = snr_db.clone()
    for i, channel in enumerate(over):
        mine = slice((i - first) % len(over), None, len(over))
        told_db[mine] = torch.as_tensor(channel.planned_db(snr_db[mine]))
    return told_db


def gain_for(channel: channels.Channel, h: Tensor, n: int) -> Tensor | None:
    """The gains of n symbols, or the state that they are made from; none where there are none."""
    if not channel.fading:
        return None
    return h if channel.draws_state else h[:, :n]


def _cross(
    symbols: Tensor,
    snr_db: Tensor,
    over: Sequence[channels.Channel],
    generator: torch.Generator | None,
    first: int,
    h: Tensor | None,
    noise: Tensor | None,
    equalise: bool,
) -> tuple[Tensor, Tensor]:
    """Symbols after channel and MMSE equaliser, and the error variance of each."""
    received, error = torch.empty_like(symbols), torch.empty_like(symbols.real)
    for i, channel in enumerate(over):
        mine = slice((i - first) % len(over), None, len(over))
        if mine.start >= len(symbols):
            continue
        out = channel(
            symbols[mine],
            snr_db[mine],
            h=None if h is None else gain_for(channel, h[mine], symbols.shape[1]),
            noise=None if noise is None else noise[mine],
            generator=generator,
        )
        if channel.fading or equalise:
            received[mine], error[mine] = channels.mmse(*out)
        else:
            received[mine], error[mine] = out.y, 0.0
    return received, error
