"""What a source-channel codec is: pictures to channel symbols and back, and what goes beside them.

    image ─► encode ─► symbols ─► channel ─► (equaliser) ─► decode ─► image
               │                                              ▲
               └──────────────── header ──────────────────────┘

All that the receiver is told is in the header (`witt.header`), each entry with what it costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

import channels
from witt.encoded import Encoded, Transmission
from witt.errors import InputError
from witt.header import (
    BITS,
    SCALE_BITS,
    Header,
    SideInformation,
    check_images,
    check_size,
    nominal_snr,
    rounded_scale,
    rounded_snr,
)
from witt.regions import Regions, evenly
from witt.side_code import Half, SideCode
from witt.side_information import Coding
from witt.store.hub import HubModel

__all__ = [
    "BITS",
    "SCALE_BITS",
    "Codec",
    "Encoded",
    "Header",
    "Preparation",
    "SideCode",
    "SideInformation",
    "Transmission",
    "check_images",
    "check_size",
    "nominal_snr",
    "rounded_scale",
    "rounded_snr",
]


class Preparation(NamedTuple):
    """What a codec may look at before it is trained.

    pictures: uint8 (H, W, 3), to train on.
    new: whether its weights are new, not those of a run before.
    seed: of the run.
    loss: that is minimised, by its name.
    scales: of MS-SSIM, where that is the loss.
    """

    pictures: Sequence[Any]
    new: bool
    seed: int
    loss: str
    scales: int


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
        encoder_knows_snr: whether the symbols depend on the SNR that `encode` is told.
        uses_error: whether `decode` looks at `noise_var`.
        cost_is_fixed: whether pictures of one size cost the same operations, whatever they show.
        uses_all_parameters: whether each parameter gets a gradient in each step.
        muon_lr: peak learning rate of Muon for a new network; None is the usual one.
    """

    config: Any
    name: str
    served_cbr: tuple[float, float] | None
    snr_range_db: tuple[float, float] | None
    encoder_knows_snr: ClassVar[bool] = True
    uses_error: ClassVar[bool] = False
    cost_is_fixed: ClassVar[bool] = False
    uses_all_parameters: bool = False
    muon_lr: ClassVar[float | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.config = getattr(self, "_hub_mixin_config", None) or {}
        self.name = type(self).__name__
        self.served_cbr = self.snr_range_db = None

    def __repr__(self) -> str:
        parameters = sum(p.numel() for p in self.parameters())
        served = self.served_cbr
        cbr = (
            "" if served is None else ", CBR " + " to ".join(f"{c:.3g}" for c in sorted({*served}))
        )
        return f"{type(self).__name__}({self.name!r}, {parameters / 1e6:.2f} M parameters{cbr})"

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

    @classmethod
    def from_config(cls, values: dict[str, Any]) -> Codec:
        """A codec, with random weights, from plain values that `plain_config` gave."""
        return cls(**values)

    def plain_config(self) -> dict[str, Any]:
        """The config as plain values, from which `from_config` makes the codec again."""
        config = self.config
        return asdict(config) if is_dataclass(config) else dict(config)  # type: ignore[arg-type]

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights; float32 where there are none."""
        return next((p.dtype for p in self.parameters()), torch.float32)

    @property
    def device(self) -> torch.device:
        """Of the weights; the CPU where there are none."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    @property
    def fixed_rate(self) -> bool:
        """Whether there is one CBR only."""
        return self.served_cbr is not None and self.served_cbr[0] == self.served_cbr[1]

    def check_cbr(self, cbr: float | None, size: tuple[int, int] | None = None) -> None:
        """Refuse a CBR that is not served, and warn where pictures of a size need a higher one.

        Raises:
            InputError: it is not served.
        """
        if cbr is None or self.served_cbr is None:
            return
        low, high = self.served_cbr
        if not low * (1 - 1e-6) <= cbr <= high * (1 + 1e-6):
            raise InputError(
                f"CBR {cbr:g} is not served by {self.name}: "
                + (f"choose {low:.4g} to {high:.4g}" if high > low else f"it has {high:.4g} only")
            )

    def channel_uses(self, size: tuple[int, int], cbr: float | None = None) -> int:
        """Complex symbols sent for a picture of `size` (height, width) at a requested CBR."""
        grey = torch.full((1, 3, *size), 0.5, dtype=self.dtype, device=self.device)
        with torch.no_grad():
            return self.encode(grey, 10.0, cbr).symbols.shape[1]

    def uses_at_rate(self, size: tuple[int, int], rate: int) -> int | None:
        """Symbols of a picture of `size` (height, width) at the rate that its header says.

        None where the codec does not say: the end of the transmission does.
        """
        return None

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
        encoded = self.encode(image, channel.planned_db(snr_db), cbr)
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
        regions: bool = False,
    ) -> Transmission:
        """What `forward` does after `encode`; `snr_db` is that of the channel.

        With `regions` the maps of `Codec.regions` come along.
        """
        symbols, header = encoded
        out = channel(symbols, snr_db, h=h, noise=noise, generator=generator)
        received, error = channels.receive(channel, out)
        decoded = self.decode(received, header, error)
        cbr_sent = symbols.shape[1] / (3 * header.size[0] * header.size[1])
        maps = self.regions(received, header, error) if regions else None
        return Transmission(decoded, symbols, received, cbr_sent, header.bits, regions=maps)

    # What one's own codec may add

    def regions(self, symbols: Tensor, header: Header, noise_var: Tensor | None = None) -> Regions:
        """Where the channel uses went, and what error the receiver expects there.

        A codec that does not say has used the channel evenly and expects nothing.

        Args:
            symbols, header, noise_var: as of `decode`.
        """
        count = symbols.real.new_full((len(symbols),), symbols.shape[1])
        return evenly(header.size, count)

    def side_codes(self) -> dict[str, SideCode]:
        """How each entry that `encode` adds to the header becomes bits, in the order of sending.

        Needed where side information is coded: the receiver finds in the header just these. A
        "scale" of shape (B, 1) is told as it is, also where there is none.
        """
        return {"scale": Half()}

    def encode_with_side(
        self, image: Tensor, snr_db: float | Tensor, cbr: float | None, coding: Coding
    ) -> Encoded:
        """As `encode`, where side information will be sent as `coding` does it.

        Its symbols come on top, unless the codec leaves room for them at the end of its own and
        says in the header how much (`Header.side_uses`).
        """
        return self.encode(image, snr_db, cbr)

    def pass_through(self, image: Tensor) -> Tensor:
        """Pictures through both ends without a channel; its operations are what a codec costs."""
        symbols, header = self.encode(image, 10.0)
        return self.decode(symbols, header, symbols.real.new_full((1, 1), 0.1))

    def latent_power(self, encoded: Encoded) -> Tensor:
        """(B, C) what each latent channel takes of the transmit power, summed over the tokens.

        In shares of the power of a picture: what is left to 1 sends no latents.

        Args:
            encoded: as `encode` gave it.

        Raises:
            InputError: the codec does not tell which symbols are whose.
        """
        raise InputError(
            f"{self.name} does not tell which symbols its latent channels are sent by: that takes "
            "a method latent_power"
        )

    def initialise(self) -> None:
        """Set the weights that training begins with, where they are not the constructor's."""

    def prepare(self, job: Preparation, say: Callable[[str], None]) -> None:
        """Take what does not come from gradients from the training pictures."""

    def graphs(self, size: tuple[int, int], cbr: float | None = None) -> list[Any]:
        """What `witt.store.onnx` exports for pictures of a size (height, width)."""
        raise InputError(
            f"{self.name} cannot be exported: it has no graphs of its encoder and decoder, which "
            "Codec.graphs gives"
        )
