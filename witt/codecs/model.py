"""The transmitter and the receiver as one model, from pictures to channel symbols and back."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import channels
from witt.codecs.classified.allocation import PictureAllocation
from witt.codecs.classified.bandwidth_expansion import EncoderOutput, linear_equivalent
from witt.codecs.classified.class_map import with_class_map
from witt.codecs.classified.refiner import RefiningDecoder, ShapingEncoder
from witt.codecs.classified.symbol_mapping import from_symbols
from witt.codecs.classified.transform_code import ClassifiedTransformCode, full_precision
from witt.codecs.cnn import CnnDecoder, CnnEncoder
from witt.codecs.config import ModelConfig, preset
from witt.codecs.network import Decoder, Encoder, condition_vector
from witt.codecs.received import check_received, unshrunk
from witt.codecs.signals import Sending
from witt.contract import (
    BITS,
    SCALE_BITS,
    Codec,
    Encoded,
    Header,
    SideInformation,
    Transmission,
    check_images,
    check_size,
    rounded_scale,
    told_snr,
)
from witt.errors import InputError
from witt.link.per_image_optimisation import PerImageOptimisation


class WITT(Codec):
    """Joint source-channel code, with a Swin or a convolutional network at each end.

        image ─► encoder ─► power norm ─► channel ─► (equaliser) ─► decoder ─► image
                    ▲ ModNet                 ▲ snr_db                  ▲ ModNet
                    └──────── snr_db ────────┴───────── snr_db ────────┘

    Source: WITT, arXiv 2211.00937; sending the first k feature channels for several rates
    follows SwinJSCC, arXiv 2308.09361.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config: ModelConfig = config
        self.name = config.name
        self.served_cbr, self.snr_range_db = config.served_cbr, config.snr_range_db
        self.code = None
        if config.classes:
            self.code = ClassifiedTransformCode(
                config.stride, config.classes, config.smooth_channels, config.channels
            )
        ends: tuple[type[nn.Module], type[nn.Module]] = (Encoder, Decoder)
        if config.classes:
            ends = ShapingEncoder, RefiningDecoder
        elif config.network == "cnn":
            ends = CnnEncoder, CnnDecoder
        self.encoder, self.decoder = (end(config) for end in ends)

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
        """Complex symbols sent for an image of `size` (height, width) at a requested CBR."""
        return self.tokens(size) * self.feature_channels(size, cbr) // 2

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
        low, high = self.config.served_cbr
        if cbr is not None and not low * (1 - 1e-6) <= cbr <= high * (1 + 1e-6):
            raise InputError(
                f"CBR {cbr:g} is not served by {self.config.name}: "
                + (f"choose {low:.4g} to {high:.4g}" if high > low else f"it has {high:.4g} only")
            )
        least = 2 if self.config.rate_adaptive else most
        pixels = 3 * size[0] * size[1]
        asked = high if cbr is None else cbr
        fits = 2 * math.floor(asked * pixels * (1 + 1e-9) / self.tokens(size))
        if fits < least and cbr is not None:
            warnings.warn(
                f"a picture of {size[1]}x{size[0]} pixels cannot be sent at CBR {cbr:.4g}: "
                f"padded to {self.tokens(size)} tokens it takes at least "
                f"{self.tokens(size) * least / (2 * pixels):.4g}, which is used",
                stacklevel=2,
            )
        return min(max(fits, least), most)

    # Ends

    def transmit(self, image: Tensor, snr_db: Tensor, k: Tensor, length: int) -> Sending:
        """Symbols of padded images, each at its own rate.

        Args:
            image: (B, 3, H, W), sides multiples of the stride.
            snr_db: (B,).
            k: (B,) feature channels sent, of a model with classes on average; the symbols of its
                class map are left to `with_class_map`.
            length: N, symbols of an image at the highest rate.
        """
        condition = condition_vector(self.config, snr_db, k).to(self.dtype)
        if self.code is None:
            x = self.encoder(image.to(self.dtype), condition)
            x = x * (torch.arange(x.shape[-1], device=x.device) < k[:, None])[:, None, None]
            # I and Q of a symbol are adjacent features of one token.
            tokens = x.shape[1] * x.shape[2]
            symbols = x[..., : 2 * length // tokens].reshape(len(x), length, 2)
            return Sending(symbols.to(image.dtype), tokens * k // 2)
        with full_precision(image.device):
            shared, classes = self.code.tokens(image, snr_db, k)
            allocation = self.code.allocate(
                classes, snr_db, k, most_k=2 * length // classes[0].numel()
            )
            features = self.code.analyse(shared, classes)
        factors, summands = self.encoder(image, features, allocation, snr_db, condition)
        with full_precision(image.device):
            like = features.dtype
            factors = F.pad(factors.to(like), (self.code.smooth, 0), value=1.0)
            summands = F.pad(summands.to(like), (self.code.smooth, 0))
            encoder_output = EncoderOutput(features, factors, summands, allocation, snr_db, length)
            return Sending(encoder_output.symbols(), allocation.uses, encoder_output)

    def receive(
        self,
        symbols: Tensor,
        error: Tensor,
        scale: Tensor,
        snr_db: Tensor,
        k: Tensor,
        grid: tuple[int, int],
        allocation: PictureAllocation | None = None,
    ) -> Tensor:
        """Padded images (B, 3, H, W) from received symbols, each at its own rate.

        Args:
            symbols: (B, N, 2) after the equaliser.
            error: (B, N) error variance of each; only a model with classes looks at it.
            scale: (B, 1) that the receiver undoes.
            snr_db, k: as given to `transmit`.
            grid: (h, w) tokens.
            allocation: of a model with classes.
        """
        condition = condition_vector(self.config, snr_db, k).to(self.dtype)
        amplitude = 1 / scale[:, :, None, None]
        if self.code is not None and allocation is not None:
            with full_precision(symbols.device):
                received = from_symbols(symbols, error, allocation)
                features, error = linear_equivalent(received, allocation, snr_db, amplitude)
            return self.decoder(self.code, allocation, features, error, amplitude, condition)
        features = symbols.reshape(len(symbols), *grid, -1)
        features = F.pad(features, (0, self.config.channels - features.shape[-1]))
        sent = torch.arange(self.config.channels, device=features.device) < k[:, None]
        features = (features * amplitude * sent[:, None, None]).to(self.dtype)
        return self.decoder(features, condition).to(symbols.dtype)

    def unscaled_symbols(
        self,
        image: Tensor,
        snr_db: float | Tensor,
        cbr: float | None = None,
        optimisation: PerImageOptimisation | None = None,
    ) -> Encoded:
        """As `encode`, before the power is normalised; the header is without its scale."""
        check_images(image)
        size = (image.shape[2], image.shape[3])
        check_size(size)
        image = image.to(torch.promote_types(image.dtype, torch.float32))
        k = self.feature_channels(size, cbr)
        header = Header.of(image, snr_db, k // 2)
        snr = header.snr_db
        rates = torch.full((len(snr),), k, device=snr.device)
        stride = self.config.stride
        padding = (0, -size[1] % stride, 0, -size[0] % stride)
        padded = F.pad(image, padding, mode="replicate")
        sending = self.transmit(padded, snr, rates, self.tokens(size) * k // 2)
        symbols, allocation = sending.symbols, sending.allocation
        if optimisation is not None:
            symbols = optimisation.improve(self, padded, size, sending, snr, rates)
        if allocation is not None:
            symbols = with_class_map(symbols, allocation)
            class_map = SideInformation(allocation.classes, symbols=allocation.map_uses)
            header = header.told("class map", class_map)
        return Encoded(torch.view_as_complex(symbols.contiguous()), header)

    def encode(
        self,
        image: Tensor,
        snr_db: float | Tensor,
        cbr: float | None = None,
        optimisation: PerImageOptimisation | None = None,
    ) -> Encoded:
        """Channel symbols of a batch of images, and what the receiver is told beside them.

        The class map of a model with `classes` is among the symbols, at the end, as many as a code
        4 dB short of Shannon's limit needs; the simulation takes the map as received without
        error, as it does the rest of the header.

        Args:
            image: (B, 3, H, W) in [0, 1], any size.
            snr_db: SNR that the transmitter knows, a number or (B,). It is rounded to what the
                header holds (1/256 dB) before anything follows from it.
            cbr: requested channel uses over 3·H·W; None is the highest that the weights serve.
            optimisation: how the transmitter improves what it sends of each picture, if at all.

        Raises:
            InputError: wrong shape, values outside [0, 1], or an SNR or CBR that is not served.
        """
        unscaled, header = self.unscaled_symbols(image, snr_db, cbr, optimisation)
        symbols, scale = channels.normalise_power(unscaled)
        if not self.sends_scale:
            return Encoded(symbols, header)
        scale = rounded_scale(scale)
        if self.code is None:
            symbols = unscaled * scale
        return Encoded(symbols, header.told("scale", SideInformation(scale, SCALE_BITS)))

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
        size, k, snr = header.size, 2 * header.rate, header.snr_db
        scale, classes = header.get("scale"), header.get("class map")
        grid = self.grid(size)
        uses = grid[0] * grid[1] * k // 2
        if symbols.ndim != 2 or symbols.shape[1] != uses or not symbols.is_complex():
            raise InputError(
                f"{uses} complex symbols an image are expected for {size[1]}x{size[0]} "
                f"pixels at this CBR, not {tuple(symbols.shape)} {symbols.dtype}"
            )
        if self.sends_scale and scale is None:
            raise InputError(f"{self.config.name} sends its power scale: the header has none")
        if self.code is not None and (classes is None or classes.shape != (len(symbols), *grid)):
            raise InputError(
                f"{self.config.name} sends a class map: the header has none of "
                f"{grid[0]}x{grid[1]} tokens"
            )
        check_received(symbols, noise_var, told_snr(snr, symbols), uses_error=self.code is not None)
        return self.reconstruct(symbols, header, noise_var)

    def reconstruct(
        self, symbols: Tensor, header: Header, noise_var: Tensor | None = None
    ) -> Tensor:
        """As `decode`, of symbols and a header that fit, whose pictures may lack unit power."""
        size, k, snr = header.size, 2 * header.rate, told_snr(header.snr_db, symbols)
        scale, classes = header.get("scale"), header.get("class map")
        grid = self.grid(size)
        if noise_var is None and self.code is not None:
            n0 = 10 ** (-snr[:, None] / 10)
            symbols, noise_var = channels.mmse(symbols, torch.ones_like(symbols[:, :1]), n0)
        elif noise_var is not None and self.code is None:
            symbols = unshrunk(symbols, noise_var, self.config.snr_range_db[0])
        if noise_var is None:  # the network does not look at it
            noise_var = symbols.real.new_zeros(1)
        if scale is None or not self.sends_scale:
            scale = symbols.real.new_ones(len(symbols), 1)
        rates = torch.full((len(snr),), k, device=snr.device)
        allocation = None
        if self.code is not None and classes is not None:
            allocation = self.code.allocate(classes, snr, rates, most_k=k)
        pairs = torch.view_as_real(symbols.contiguous())
        error = noise_var.expand(symbols.shape)
        image = self.receive(pairs, error, scale, snr, rates, grid, allocation)
        return image[:, :, : size[0], : size[1]]

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
        optimisation: PerImageOptimisation | None = None,
    ) -> Transmission:
        """Encode, channel, equaliser, decode.

        A receiver on a fading channel knows h and equalises with MMSE.

        Args:
            image: (B, 3, H, W) in [0, 1].
            channel: any of `channels`.
            snr_db: Es/N0 at unit average transmit power, a number or (B,).
            cbr: requested CBR.
            h, noise, generator: handed to the channel.
            optimisation: how the transmitter improves what it sends of each picture, if at all.
        """
        encoded = self.encode(image, snr_db, cbr, optimisation)
        return self.carry(encoded, channel, snr_db, h=h, noise=noise, generator=generator)


def create_model(name: str, **overrides: Any) -> WITT:
    """New model of a preset, with random weights.

    Args:
        name: one of `witt.PRESETS`.
        **overrides: entries of `witt.ModelConfig` (``rate_adaptive=False``, …), or ``cbr``,
            which sets the number of feature channels.

    Raises:
        InputError: unknown preset or entry.
    """
    return WITT(preset(name, **overrides))
