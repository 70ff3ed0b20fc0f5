"""What codecs share whose tokens send real features: two of them are I and Q of a symbol.

    image ─► pad ─► features (B, h, w, C) ─► the first k ─► symbols ─► power norm ─► …
    … ─► symbols, 0 where nothing was sent ─► features ─► picture ─► crop

I and Q of a symbol are the features 2j and 2j + 1 of one token. For several rates the first k
features are sent, or those of a mask (`witt.codecs.swinjscc`). A codec of this kind has a config
with the entries of `FeatureConfig`, an encoder and a decoder, and the two methods `features` and
`picture`, or `transmit` and `receive` of its own.

Training sends each picture of a batch at its own rate; for that it takes `transmit` and `receive`
of such a codec in the place of `encode` and `decode`.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import channels
from witt.codecs.feature_config import FeatureConfig
from witt.codecs.received import check_received, unbiased
from witt.codecs.sending import Draft, UnscaledSymbols
from witt.contract import (
    BITS,
    SCALE_BITS,
    Codec,
    Encoded,
    Header,
    SideInformation,
    check_images,
    check_size,
    nominal_snr,
    rounded_scale,
)
from witt.errors import InputError
from witt.side_code import Half, SideCode
from witt.side_information import Coding


class FeatureCodec(Codec):
    """Base of the codecs that send the real features of tokens as I and Q."""

    Config: ClassVar[type[FeatureConfig]]
    config: FeatureConfig
    cost_is_fixed = True
    encoder: nn.Module
    decoder: nn.Module

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config, self.name = config, config.name
        self.served_cbr, self.snr_range_db = config.served_cbr, config.snr_range_db

    @classmethod
    def from_config(cls, values: dict[str, Any]) -> FeatureCodec:
        return cls(cls.Config.from_dict(values))

    # The networks

    def features(self, image: Tensor, snr_db: Tensor, k: Tensor) -> Tensor:
        """Features (B, h, w, C) of padded pictures; (B,) SNR and feature channels of each."""
        raise NotImplementedError

    def picture(self, features: Tensor, snr_db: Tensor, k: Tensor) -> Tensor:
        """Padded pictures from features as received, the power undone if the scale is sent."""
        raise NotImplementedError

    # Rates

    @property
    def sends_scale(self) -> bool:
        """Whether the receiver needs the power scale (16 bits in the header)."""
        return self.config.sends_scale

    @property
    def header_bits(self) -> int:
        """Side information for each image: size, rate, SNR and, if sent, the power scale."""
        return sum(BITS.values()) + (SCALE_BITS if self.sends_scale else 0)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights; power, channel and what is sent are in float32 at least."""
        return next(self.encoder.parameters()).dtype

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of tokens of an image of `size` (height, width) after padding."""
        stride = self.config.stride
        return math.ceil(size[0] / stride), math.ceil(size[1] / stride)

    def tokens(self, size: tuple[int, int]) -> int:
        """Tokens that an image of `size` (height, width) takes after padding."""
        return math.prod(self.grid(size))

    def channel_uses(self, size: tuple[int, int], cbr: float | None = None) -> int:
        return self.tokens(size) * self.feature_channels(size, cbr) // 2

    def uses_at_rate(self, size: tuple[int, int], rate: int) -> int:
        return self.tokens(size) * rate

    def check_cbr(self, cbr: float | None, size: tuple[int, int] | None = None) -> None:
        stride = self.config.stride  # a picture without padding, so that only the request is judged
        self.feature_channels(size or (stride, stride), cbr)

    def feature_channels(self, size: tuple[int, int], cbr: float | None = None) -> int:
        """Even number of feature channels that serves a requested CBR.

        The largest whose actual CBR, counted against the true pixels, does not exceed `cbr`;
        where none fits, the smallest there is, with a warning. None asks for the highest CBR
        that the weights serve.

        Raises:
            InputError: the weights do not serve this CBR.
        """
        most = self.config.channels
        if cbr is None and self.config.cbr_range is None:
            return most
        super().check_cbr(cbr)
        least = 2 if self.config.rate_adaptive else most
        pixels = 3 * size[0] * size[1]
        asked = self.config.served_cbr[1] if cbr is None else cbr
        fits = 2 * math.floor(asked * pixels * (1 + 1e-9) / self.tokens(size))
        if fits < least and cbr is not None:
            warnings.warn(
                f"a picture of {size[1]}x{size[0]} pixels cannot be sent at CBR {cbr:.4g}: "
                f"padded to {self.tokens(size)} tokens it takes at least "
                f"{self.tokens(size) * least / (2 * pixels):.4g}, which is used",
                stacklevel=2,
            )
        return min(max(fits, least), most)

    # Batches of which each picture has its own rate

    def transmit(self, image: Tensor, snr_db: Tensor, k: Tensor, length: int) -> UnscaledSymbols:
        """Symbols of padded images, each at its own rate.

        Args:
            image: (B, 3, H, W), sides multiples of the stride.
            snr_db: (B,).
            k: (B,) feature channels sent.
            length: N, symbols of an image at the highest rate.
        """
        x = self.features(image, snr_db, k)
        x = x * (torch.arange(x.shape[-1], device=x.device) < k[:, None])[:, None, None]
        tokens = x.shape[1] * x.shape[2]
        symbols = x[..., : 2 * length // tokens].reshape(len(x), length, 2)
        return UnscaledSymbols(symbols.to(image.dtype), tokens * k // 2)

    def receive(
        self,
        symbols: Tensor,
        error: Tensor,
        scale: Tensor,
        snr_db: Tensor,
        k: Tensor,
        grid: tuple[int, int],
        allocation: Any = None,
    ) -> Tensor:
        """Padded images (B, 3, H, W) from received symbols, each at its own rate.

        Args:
            symbols: (B, N, 2) after the equaliser.
            error: (B, N) error variance of each; only a codec that `uses_error` looks at it.
            scale: (B, 1) that the receiver undoes.
            snr_db, k: as given to `transmit`.
            grid: (h, w) tokens.
            allocation: of `UnscaledSymbols`.
        """
        features = symbols.reshape(len(symbols), *grid, -1)
        features = F.pad(features, (0, self.config.channels - features.shape[-1]))
        sent = torch.arange(self.config.channels, device=features.device) < k[:, None]
        features = (features * (1 / scale[:, :, None, None]) * sent[:, None, None]).to(self.dtype)
        return self.picture(features, snr_db, k).to(symbols.dtype)

    # What a codec with more side information adds

    def side_codes(self) -> dict[str, SideCode]:
        return {"scale": Half()} if self.sends_scale else {}

    def transmit_with_side(
        self, image: Tensor, snr_db: Tensor, k: Tensor, length: int, coding: Coding
    ) -> UnscaledSymbols:
        """As `transmit`, where coded side information may take some of the channel uses."""
        return self.transmit(image, snr_db, k, length)

    def feature_channels_beside(
        self, size: tuple[int, int], cbr: float | None, snr_db: Tensor, coding: Coding
    ) -> int:
        """As `feature_channels`, where coded side information is sent too, of SNRs (B,)."""
        return self.feature_channels(size, cbr)

    def with_side_information(self, sending: UnscaledSymbols, header: Header) -> Header:
        """The header with what this codec tells of these pictures."""
        return header

    def allocate(self, header: Header, snr_db: Tensor, k: Tensor) -> Any:
        """What `UnscaledSymbols.allocation` was at the transmitter, from the header."""
        return None

    def with_side_symbols(self, symbols: Tensor, sending: UnscaledSymbols) -> Tensor:
        """Symbols (B, N, 2) with those of the side information among them."""
        return symbols

    # Ends

    def draft(
        self,
        image: Tensor,
        snr_db: float | Tensor,
        cbr: float | None = None,
        coding: Coding | None = None,
    ) -> Draft:
        """What is sent of pictures, before its power is normalised; arguments of `encode`.

        With `coding` as of `encode_with_side`.
        """
        check_images(image)
        size = (image.shape[2], image.shape[3])
        check_size(size)
        image = image.to(torch.promote_types(image.dtype, torch.float32))
        snr = nominal_snr(snr_db, image)
        if coding is None:
            k = self.feature_channels(size, cbr)
        else:
            k = self.feature_channels_beside(size, cbr, snr, coding)
        rates = torch.full((len(snr),), k, device=snr.device)
        stride = self.config.stride
        padding = (0, -size[1] % stride, 0, -size[0] % stride)
        padded = F.pad(image, padding, mode="replicate")
        length = self.tokens(size) * k // 2
        if coding is None:
            sending = self.transmit(padded, snr, rates, length)
        else:
            sending = self.transmit_with_side(padded, snr, rates, length, coding)
        header = self.with_side_information(sending, Header(size, k // 2, snr))
        return Draft(padded, header, rates, sending)

    def unscaled(self, draft: Draft, symbols: Tensor | None = None) -> Tensor:
        """(B, N) complex before the power is normalised; of `symbols` in the place of its own."""
        sending = draft.sending
        symbols = sending.symbols if symbols is None else symbols
        return torch.view_as_complex(self.with_side_symbols(symbols, sending).contiguous())

    def at_unit_power(self, unscaled: Tensor, header: Header) -> Encoded:
        """What is sent of symbols; if the receiver undoes the power, by just what it is told."""
        symbols, scale = channels.normalise_power(unscaled)
        if not self.sends_scale:
            return Encoded(symbols, header)
        scale = rounded_scale(scale)
        header = header.with_side("scale", SideInformation(scale, SCALE_BITS))
        return Encoded(unscaled * scale, header)

    def encode(self, image: Tensor, snr_db: float | Tensor, cbr: float | None = None) -> Encoded:
        """Channel symbols of a batch of images, and what the receiver is told beside them.

        Args:
            image: (B, 3, H, W) in [0, 1], any size.
            snr_db: SNR that the transmitter knows, a number or (B,). It is rounded to what the
                header holds (1/256 dB) before anything follows from it.
            cbr: requested channel uses over 3·H·W; None is the highest that the weights serve.

        Raises:
            InputError: wrong shape, values outside [0, 1], or an SNR or CBR that is not served.
        """
        draft = self.draft(image, snr_db, cbr)
        return self.at_unit_power(self.unscaled(draft), draft.header)

    def encode_with_side(
        self, image: Tensor, snr_db: float | Tensor, cbr: float | None, coding: Coding
    ) -> Encoded:
        draft = self.draft(image, snr_db, cbr, coding)
        return self.at_unit_power(self.unscaled(draft), draft.header)

    def decode(self, symbols: Tensor, header: Header, noise_var: Tensor | None = None) -> Tensor:
        """Images from received symbols.

        Args:
            symbols: (B, N) complex, as `channels.receive` hands them on: straight from an AWGN
                channel, or after the MMSE equaliser.
            header: from `encode`.
            noise_var: error variance of each symbol after the MMSE equaliser, broadcastable to
                `symbols`; it may come from the receiver's own opinion of the SNR. None: the symbols
                come straight from an AWGN channel at the SNR of the header.

        Returns:
            (B, 3, H, W), not clamped.

        Raises:
            InputError: the symbols do not fit the header, an entry of the header is missing, or
                `noise_var` is not what an MMSE equaliser leaves of these symbols.
        """
        self.check_header(symbols, header)
        snr = nominal_snr(header.snr_db, symbols)
        check_received(symbols, noise_var, snr, uses_error=self.uses_error)
        return self.reconstruct(symbols, header, noise_var)

    def check_header(self, symbols: Tensor, header: Header) -> None:
        """Refuse symbols that do not fit a header, or a header without what this codec needs.

        Raises:
            InputError: so it is.
        """
        size, grid = header.size, self.grid(header.size)
        uses = grid[0] * grid[1] * header.rate
        if symbols.ndim != 2 or symbols.shape[1] != uses or not symbols.is_complex():
            raise InputError(
                f"{uses} complex symbols an image are expected for {size[1]}x{size[0]} "
                f"pixels at this CBR, not {tuple(symbols.shape)} {symbols.dtype}"
            )
        if self.sends_scale and header.get("scale") is None:
            raise InputError(f"{self.name} sends its power scale: the header has none")

    def reconstruct(
        self, symbols: Tensor, header: Header, noise_var: Tensor | None = None
    ) -> Tensor:
        """As `decode`, of symbols and a header that fit, whose pictures may lack unit power."""
        image = self.receive(*self.unpacked(symbols, header, noise_var))
        return image[:, :, : header.size[0], : header.size[1]]

    def unpacked(
        self, symbols: Tensor, header: Header, noise_var: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, tuple[int, int], Any]:
        """The arguments of `receive`, from those of `reconstruct`."""
        k, snr = 2 * header.rate, nominal_snr(header.snr_db, symbols)
        symbols, error = self.equalised(symbols, snr, noise_var)
        scale = header.get("scale")
        if scale is None or not self.sends_scale:
            scale = symbols.real.new_ones(len(symbols), 1)
        rates = torch.full((len(snr),), k, device=snr.device)
        allocation = self.allocate(header, snr, rates)
        pairs = torch.view_as_real(symbols.contiguous())
        error = error.expand(symbols.shape)
        return pairs, error, scale, snr, rates, self.grid(header.size), allocation

    def equalised(
        self, symbols: Tensor, snr_db: Tensor, noise_var: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Symbols as the network has learnt them, and the error variance of each."""
        if noise_var is None:  # the network does not look at it
            return symbols, symbols.real.new_zeros(1)
        return unbiased(symbols, noise_var, self.config.snr_range_db[0]), noise_var

    def pass_through(self, image: Tensor) -> Tensor:
        size = (image.shape[2], image.shape[3])
        snr = image.new_ones(len(image))
        k = torch.full_like(snr, self.feature_channels(size), dtype=torch.int64)
        sent = self.transmit(image, snr, k, self.channel_uses(size))
        error, scale = sent.symbols[..., 0], snr[:, None]
        return self.receive(sent.symbols, error, scale, snr, k, self.grid(size), sent.allocation)

    def latent_power(self, encoded: Encoded) -> Tensor:
        if type(self).transmit is not FeatureCodec.transmit:  # whose order of symbols this is
            return super().latent_power(encoded)
        symbols, header = encoded
        energy = torch.view_as_real(symbols).square()
        features = energy.reshape(len(energy), self.tokens(header.size), -1)
        return features.sum(1) / energy.sum(dim=(1, 2))[:, None]

    def graphs(self, size: tuple[int, int], cbr: float | None = None) -> list[Any]:
        from witt.codecs.graphs import graphs

        return graphs(self, size, cbr)
