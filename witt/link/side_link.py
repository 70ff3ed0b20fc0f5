"""Pictures over a channel together with their side information, which is sent too.

    [picture | blocks | header] ─► channel ─► equaliser ─► header? ─► blocks? ─► decode

The receiver has the symbols, their error variances and the codec; what else it knows it has decoded
from the symbols. A picture whose side information is lost is grey.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

import channels
from witt.contract import Codec, Encoded, Header, SideInformation, Transmission
from witt.errors import InputError
from witt.link.draws import draw_channel, draw_in_turn
from witt.link.per_image_optimisation import PerImageOptimisation
from witt.regions import Regions, evenly
from witt.side_information import Coding, Found, Packed, receive_sides

CODED, IDEAL = WAYS = ("coded", "ideal")
GREY = 128 / 255
GOLDEN = (5**0.5 - 1) / 2  # its multiples are evenly spread over the unit interval
LEAST = 1e-6  # of what the equaliser leaves of a symbol, in a fade
Order = Callable[[int], Tensor]


def check_way(side_information: str) -> None:
    """Refuse another way to treat side information than "coded" and "ideal".

    Raises:
        InputError: so it is.
    """
    if side_information not in WAYS:
        raise InputError(f"side information is {' or '.join(WAYS)}, not {side_information!r}")


def encode_coded(
    model: Codec,
    image: Tensor,
    snr_db: float | Tensor,
    cbr: float | None = None,
    *,
    coding: Coding,
    optimisation: PerImageOptimisation | None = None,
) -> Encoded:
    """As `Codec.encode`, where side information will be sent too.

    Args:
        model: the codec, or what has its `encode` and `decode`.
        image, snr_db, cbr: as of `Codec.encode`.
        coding: how side information is sent.
        optimisation: of what is sent, if any.
    """
    if optimisation is not None:
        return optimisation.encode(model, image, snr_db, cbr, coding)
    return method(model, "encode_with_side")(image, snr_db, cbr, coding)


def carry_coded(
    model: Codec,
    encoded: Encoded,
    channel: channels.Channel,
    snr_db: float | Tensor,
    *,
    coding: Coding,
    seeds: Sequence[int] | None = None,
    generator: torch.Generator | None = None,
    regions: bool = False,
) -> Transmission:
    """As `Codec.carry`, with the side information behind the symbols of each picture.

    Args:
        model: the codec, or what has its `encode` and `decode`.
        encoded: from `encode_coded`.
        channel: that all of it crosses.
        snr_db: of the channel; the transmitter plans with that of the header.
        coding: how side information is sent.
        seeds: of the channel, one for each picture; or else
        generator: what it draws from.
        regions: whether to add the maps of `Codec.regions`; side information on top, and pictures
            that are lost, are spread evenly.

    Raises:
        InputError: an entry of the header has no code.
    """
    symbols, header = encoded
    codes = method(model, "side_codes")()
    packed = [coding.pack(codes, header, picture) for picture in range(len(symbols))]
    frames, lengths = frames_of(symbols, header, packed)
    uses = symbols.shape[1]
    more = on_top = frames.shape[1] - uses
    if coding.spread:
        frames = spread_over(frames, lengths, [each.uses for each in packed])
        uses, more = uses + more, 0
    if seeds is not None:
        h, noise = draw_channel(channel, uses, seeds, more)
    else:
        h, noise = draw_in_turn(channel, len(symbols), uses, more, generator)
    out = channel(frames, snr_db, h=h, noise=noise)
    received, error = channels.receive(channel, out)
    order = priority if coding.spread else natural
    found = receive_frames(received, error, out.noise_var, lengths, codes, order)
    decoded = _pictures(model, received, error, lengths, found, header.size, order, regions)
    return Transmission(
        decoded.image,
        frames,
        received,
        sum(lengths) / len(lengths) / (3 * header.size[0] * header.size[1]),
        len(packed[0].header),
        sum(each.uses for each in packed) / len(packed),
        on_top,
        decoded.lost,
        decoded.regions,
    )


def frames_of(
    symbols: Tensor, header: Header, packed: Sequence[Packed]
) -> tuple[Tensor, list[int]]:
    """All symbols of each picture in a row, zero past its end, and how many there are of each."""
    rows = []
    for picture, (row, side) in enumerate(zip(symbols, packed, strict=True)):
        inside = 0 if header.side_uses is None else int(header.side_uses[picture])
        if inside not in (0, side.uses):
            raise ValueError(f"{inside} channel uses are left for side information of {side.uses}")
        rows.append(torch.cat((row[: len(row) - inside], side.symbols().to(row))))
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), [len(row) for row in rows]


def natural(length: int) -> Tensor:
    """Places of the symbols of a frame as they are."""
    return torch.arange(length)


def priority(length: int) -> Tensor:
    """Places of the symbols of a frame, whose last ones, however many, are spread over all."""
    return (torch.arange(length, dtype=torch.float64) * GOLDEN).frac().argsort().flip(0)


def in_turn(order: Tensor, side: int) -> Tensor:
    """Places of the picture's symbols, as they follow each other, and of the last ones after it."""
    end = len(order) - side
    return torch.cat((order[:end].sort().values, order[end:]))


def spread_over(frames: Tensor, lengths: Sequence[int], side: Sequence[int]) -> Tensor:
    """Frames whose last symbols, of the side information, are spread over those of the picture."""
    spread = torch.zeros_like(frames)
    for row, (length, uses) in enumerate(zip(lengths, side, strict=True)):
        spread[row, in_turn(priority(length), uses).to(frames.device)] = frames[row, :length]
    return spread


def receive_frames(
    received: Tensor,
    error: Tensor | None,
    noise_var: Tensor,
    lengths: Sequence[int],
    codes: Any,
    order: Order,
) -> list[Found | None]:
    """The side information of each picture, from what `channels.receive` hands on.

    Args:
        received: (B, N) symbols.
        error: (B, N) their error variance after the MMSE equaliser; None straight from AWGN.
        noise_var: of the channel, which the receiver knows.
        lengths: of the frames.
        codes: of the codec.
        order: places of the symbols of a frame, the header's last.
    """
    if error is None:
        unbiased, variance = received, noise_var.expand(received.shape)
    else:
        left = (1 - error).clamp_min(LEAST).expand(received.shape)
        unbiased, variance = received / left, error / left
    unbiased, variance = unbiased.detach().cpu(), variance.detach().cpu()
    frames = zip(unbiased, variance, map(order, lengths), strict=True)
    return receive_sides([(row[place], of_each[place]) for row, of_each, place in frames], codes)


class Decoded(NamedTuple):
    """Of each picture: (B, 3, H, W), whether it is lost, and the maps that were asked for."""

    image: Tensor
    lost: tuple[bool, ...]
    regions: Regions | None


def _pictures(
    model: Codec,
    received: Tensor,
    error: Tensor | None,
    lengths: Sequence[int],
    found: Sequence[Found | None],
    size: tuple[int, int],
    order: Order,
    with_regions: bool,
) -> Decoded:
    """The pictures, those of one kind decoded together, and grey ones in place of the lost."""
    groups: dict[Any, list[tuple[int, Header]]] = {}
    lost, places = [True] * len(found), {}
    for picture, (one, length) in enumerate(zip(found, lengths, strict=True)):
        if one is None:
            continue
        header = one.header
        inside = header.side_uses is not None and bool(header.side_uses.any())
        uses = length if inside else length - one.uses
        places[picture] = in_turn(order(length), one.uses)[:uses].to(received.device)
        expected = method(model, "uses_at_rate")(header.size, header.rate)
        # A wrong header with a right CRC, once in 10 million lost ones.
        if header.size == size and expected in (None, uses):
            key = (header.rate, uses, tuple(header.side))
            groups.setdefault(key, []).append((picture, header))
            lost[picture] = False
    image = received.real.new_full((len(found), 3, *size), GREY)
    sent = received.real.new_tensor(lengths)
    maps = evenly(size, sent) if with_regions else None
    for members in groups.values():
        which = [picture for picture, _ in members]
        header = _together([header for _, header in members], received.real)
        rows, columns = torch.tensor(which)[:, None], torch.stack([places[one] for one in which])
        noise = None if error is None else error.expand(received.shape)[rows, columns]
        decoded = model.decode(received[rows, columns], header, noise)
        image = image.to(decoded.dtype)
        image[which] = decoded
        if maps is not None:
            mine = method(model, "regions")(received[rows, columns], header, noise)
            mine = mine.with_more(sent[which] - columns.shape[1])
            maps.uses[which], maps.mse[which] = mine.uses.to(maps.uses), mine.mse.to(maps.mse)
            maps = maps._replace(side=mine.side)
    return Decoded(image, tuple(lost), maps)


def _together(headers: Sequence[Header], like: Tensor) -> Header:
    """The header of a batch from those of its pictures, as exact as what it is for."""
    first, side = headers[0], {}
    for name in first.side:
        value = torch.cat([each.side[name].value for each in headers])
        kind = like.dtype if value.is_floating_point() else value.dtype
        side[name] = SideInformation(value.to(like.device, kind))
    snr_db = torch.cat([header.snr_db for header in headers]).to(like)
    uses = [header.side_uses for header in headers if header.side_uses is not None]
    return Header(first.size, first.rate, snr_db, side, torch.cat(uses).to(like.device))


def method(model: Any, name: str) -> Any:
    """A method of a codec; that of `Codec` where it is none and has `encode` and `decode` only."""
    own = getattr(model, name, None)
    return partial(getattr(Codec, name), model) if own is None else own
