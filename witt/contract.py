"""What a source-channel codec is: pictures to channel symbols and back, and what goes beside them.

    image ─► encode ─► symbols ─► channel ─► (equaliser) ─► decode ─► image
               │                                              ▲
               └──────────────── header ──────────────────────┘

All that the receiver is told is in the header, each entry with what it costs:

| entry | held as | bits |
|---|---|---|
| height, width | whole numbers | 16 each |
| rate | whole number from 1, the codec's own (ours: half of the feature channels) | 8 |
| SNR | dB, fixed point, steps of 1/256 dB from -128 | 16 |
| what a codec adds (`SideInformation`), by name | | it says so: bits here or channel uses |
| · "scale": the power scale, where the receiver undoes it | float16 | 16 |
| · "class map": class of each token, of classified codes | among the symbols | 0 |

The transmitter rounds to what these hold before it works anything out from them, so that both ends
work from the same values. The header is taken as received without error.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

import channels
from witt.errors import InputError
from witt.store.hub import HubModel

LONGEST_SIDE = 2**16 - 1
MOST_RATES = 2**8
SNR_STEPS = 256  # in a dB
SNR_LOWEST_DB, SNR_HIGHEST_DB = -128.0, 128.0 - 1 / SNR_STEPS
BITS = {"height": 16, "width": 16, "rate": 8, "snr": 16}
SCALE_BITS = 16
RANGE_TOLERANCE = 1e-3  # of pictures in [0, 1], which resampling in floats may leave a little


class SideInformation(NamedTuple):
    """Something else that the receiver is told of each picture.

    value: (B, …).
    bits: that it takes in the header of one picture.
    symbols: channel uses that it takes among those sent, a number or (B,).
    """

    value: Tensor
    bits: int = 0
    symbols: Tensor | int = 0


@dataclass(frozen=True, eq=False)
class Header:
    """All that a receiver knows of a batch of pictures before it looks at the symbols.

    size: (height, width) of the pictures.
    rate: the codec's own number for how much it sends.
    snr_db: (B,) nominal SNR, by which both ends plan; see `rounded_snr`.
    side: what else the codec tells, by name.
    """

    size: tuple[int, int]
    rate: int
    snr_db: Tensor
    side: dict[str, SideInformation] = field(default_factory=dict)

    @classmethod
    def of(
        cls, image: Tensor, snr_db: float | Tensor, rate: int = 1, **side: SideInformation
    ) -> Header:
        """The header of pictures (B, 3, H, W), with the SNR as it is held.

        Raises:
            InputError: these are no pictures, or the header does not hold their size, rate or SNR.
        """
        check_images(image)
        size = (image.shape[2], image.shape[3])
        check_size(size)
        if not 1 <= rate <= MOST_RATES:
            raise InputError(f"the rate in a header is from 1 to {MOST_RATES}, not {rate}")
        return cls(size, rate, told_snr(snr_db, image), side)

    @property
    def bits(self) -> int:
        """Of one picture, without what is among the symbols."""
        return sum(BITS.values()) + sum(entry.bits for entry in self.side.values())

    def get(self, name: str) -> Tensor | None:
        """The value of an entry that the codec added, None where it has none of this name."""
        entry = self.side.get(name)
        return None if entry is None else entry.value

    def told(self, name: str, entry: SideInformation) -> Header:
        """With one entry more, or another in its place."""
        return replace(self, side={**self.side, name: entry})


@dataclass(frozen=True, eq=False)
class Encoded:
    """What is sent of pictures, `symbols, header = encoded`.

    symbols: (B, N) complex, unit mean power for each image; within 0.1 % (0.004 dB) where the
        power is undone before the network, since the transmitter then scales by what the header
        holds, so that the receiver undoes exactly that.
    header: what the receiver is told beside them.
    """

    symbols: Tensor
    header: Header

    def __iter__(self) -> Iterator[Any]:
        yield self.symbols
        yield self.header


class Transmission(NamedTuple):
    """Pictures that went over a channel.

    image: (B, 3, H, W) reconstruction, not clamped.
    symbols: (B, N) sent.
    received: (B, N) after the equaliser, or straight from the channel where there is none.
    cbr: channel uses over 3·H·W of the original image, counted from what was sent.
    header_bits: side information for each image, in bits, not among the channel uses.
    """

    image: Tensor
    symbols: Tensor
    received: Tensor
    cbr: float
    header_bits: int

    def metrics(self, image: Any, metrics: Any = ("psnr", "ms-ssim")) -> dict[str, Any]:
        """What metrics say of the pictures beside their originals; see `witt.link.look`."""
        return dict(_looked().metrics(self, image, metrics))

    def show(self, image: Any, picture: int = 0) -> Any:
        """The comparison of `witt transmit`, which a notebook shows; see `witt.link.look`."""
        return _looked().show(self, image, picture)

    def __repr__(self) -> str:
        count, _, height, width = self.image.shape
        pictures = f"{count} picture{'' if count == 1 else 's'} of {width}x{height}"
        uses = f"{self.symbols.shape[1]:,} symbols"
        return f"Transmission({pictures}, {uses}, CBR {self.cbr:.4g}, {self.header_bits} bits)"


class Codec(HubModel):
    """A source-channel codec. One's own needs `encode` and `decode`; the rest is here.

        class Mine(witt.Codec):
            def encode(self, image, snr_db, cbr=None):
                header = witt.Header.of(image, snr_db)
                symbols = self.network(image)                       # (B, N) complex
                return witt.Encoded(channels.normalise_power(symbols).x, header)

            def decode(self, symbols, header, noise_var=None):
                return self.other_network(symbols, header.size)     # (B, 3, H, W)

    Attributes:
        config: what the codec is made from: a dataclass, or a dict of the arguments of its
            constructor (which it is of itself, where they are plain values).
        name: in messages and results.
        served_cbr: (lowest, highest) CBR that may be asked for; None is any.
        snr_range_db: (lowest, highest) SNR it was trained for; None is not known.
        uses_error: whether `decode` looks at `noise_var`.
    """

    config: Any
    name: str
    served_cbr: tuple[float, float] | None
    snr_range_db: tuple[float, float] | None
    uses_error: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.config = getattr(self, "_hub_mixin_config", None) or {}
        self.name = type(self).__name__
        self.served_cbr = self.snr_range_db = None

    def encode(self, image: Tensor, snr_db: float | Tensor, cbr: float | None = None) -> Encoded:
        """Channel symbols of pictures, and what the receiver is told beside them.

        Args:
            image: (B, 3, H, W) in [0, 1], any size.
            snr_db: SNR that the transmitter knows, a number or (B,).
            cbr: requested channel uses over 3·H·W; None is the highest served.
        """
        raise NotImplementedError

    def decode(self, symbols: Tensor, header: Header, noise_var: Tensor | None = None) -> Tensor:
        """Pictures (B, 3, H, W), not clamped, from received symbols.

        Args:
            symbols: (B, N) complex, as `channels.receive` hands them on: straight from an AWGN
                channel, or after the MMSE equaliser.
            header: from `encode`.
            noise_var: error variance of each symbol after the MMSE equaliser, broadcastable to
                `symbols`. None: they come straight from an AWGN channel at the SNR of the header.
        """
        raise NotImplementedError

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights; float32 where there are none."""
        return next((p.dtype for p in self.parameters()), torch.float32)

    @property
    def device(self) -> torch.device:
        """Of the weights; the CPU where there are none."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def channel_uses(self, size: tuple[int, int], cbr: float | None = None) -> int:
        """Complex symbols sent for a picture of `size` (height, width) at a requested CBR."""
        grey = torch.full((1, 3, *size), 0.5, dtype=self.dtype, device=self.device)
        with torch.no_grad():
            return self.encode(grey, 10.0, cbr).symbols.shape[1]

    def forward(
        self,
        image: Tensor,
        channel: channels.Channel,
        snr_db: float | Tensor,
        cbr: float | None = None,
        *,
        h: Tensor | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Transmission:
        """Encode, channel, equaliser, decode.

        A receiver on a fading channel knows h and equalises with MMSE.

        Args:
            image: (B, 3, H, W) in [0, 1].
            channel: any of `channels`.
            snr_db: Es/N0 at unit average transmit power, a number or (B,).
            cbr: requested CBR.
            h, noise, generator: handed to the channel.
        """
        encoded = self.encode(image, snr_db, cbr)
        return self.carry(encoded, channel, snr_db, h=h, noise=noise, generator=generator)

    def carry(
        self,
        encoded: Encoded,
        channel: channels.Channel,
        snr_db: float | Tensor,
        *,
        h: Tensor | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Transmission:
        """What `forward` does after `encode`; `snr_db` is that of the channel."""
        symbols, header = encoded
        out = channel(symbols, snr_db, h=h, noise=noise, generator=generator)
        received, error = channels.receive(channel, out)
        decoded = self.decode(received, header, error)
        cbr_sent = symbols.shape[1] / (3 * header.size[0] * header.size[1])
        return Transmission(decoded, symbols, received, cbr_sent, header.bits)


def _looked() -> ModuleType:
    # By name: this file is below everything, and imports nothing of it.
    return importlib.import_module("witt.link.look")


def check_images(image: Tensor) -> None:
    """Refuse what is no batch of pictures in [0, 1].

    Raises:
        InputError: another shape or type, or values outside [0, 1].
    """
    if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape:
        raise InputError(f"images must be (B, 3, H, W), not {tuple(image.shape)}")
    if not image.is_floating_point():
        raise InputError(f"images must be floating point in [0, 1], not {image.dtype}")
    low, high = (float(bound) for bound in image.detach().aminmax())
    if not -RANGE_TOLERANCE <= low <= high <= 1 + RANGE_TOLERANCE:  # NaN too
        raise InputError(
            f"images must lie in [0, 1], not from {low:g} to {high:g}: divide levels of 0 to 255 "
            "by 255"
        )


def rounded_snr(snr_db: Tensor) -> Tensor:
    """The SNR (dB) as the header holds it, rounded to 1/256 dB."""
    return torch.round(snr_db * SNR_STEPS) / SNR_STEPS


def told_snr(snr_db: float | Tensor, like: Tensor) -> Tensor:
    """The SNRs of a batch as the header holds them, (B,) dB.

    Args:
        snr_db: a number or one for each image.
        like: (B, …) the batch, real or complex.

    Raises:
        InputError: not finite, of another shape, or more than the header holds.
    """
    real = like.real
    try:
        snr = torch.as_tensor(snr_db, dtype=real.dtype, device=real.device)
    except (TypeError, ValueError) as error:
        raise InputError(f"SNR must be a finite number of dB, not {snr_db!r}") from error
    if snr.shape not in ((), (len(real),)):
        raise InputError(
            f"snr_db must be a number or one for each of the {len(real)} images, "
            f"not of shape {tuple(snr.shape)}"
        )
    if not torch.isfinite(snr).all():
        raise InputError(f"SNR must be a finite number of dB, not {snr_db}")
    if not ((snr >= SNR_LOWEST_DB) & (snr <= SNR_HIGHEST_DB)).all():
        raise InputError(
            f"SNR must be from {SNR_LOWEST_DB:g} to {SNR_HIGHEST_DB:.4g} dB, which the header "
            f"holds, not {snr_db}"
        )
    return rounded_snr(snr).expand(len(real))


def rounded_scale(scale: Tensor) -> Tensor:
    """The power scale as the header holds it."""
    return scale.clamp(max=torch.finfo(torch.float16).max).half().to(scale.dtype)


def check_size(size: tuple[int, int]) -> None:
    """Refuse a (height, width) that the header cannot hold.

    Raises:
        InputError: a side is too long.
    """
    if max(size) > LONGEST_SIDE:
        raise InputError(
            f"a picture of {size[1]}x{size[0]} pixels is too large: the header holds sides of up "
            f"to {LONGEST_SIDE} pixels"
        )
