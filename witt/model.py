"""The transmitter and the receiver as one model, from pictures to channel symbols and back."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

import channels
from witt.cnn import CnnDecoder, CnnEncoder
from witt.config import ModelConfig, preset
from witt.errors import InputError
from witt.hub import HubModel
from witt.network import Decoder, Encoder, condition_vector
from witt.refiner import RefiningDecoder
from witt.spreading import despread, despread_error, spread

# What the receiver must know beside the symbols, in bits for an image.
HEADER_BITS = {"height": 16, "width": 16, "feature channels": 8, "snr": 16}
SCALE_BITS = 16  # the power scale as a float16, for models that say `sends_scale`


class Encoded(NamedTuple):
    """Channel symbols and the power scale that the header carries.

    symbols: (B, N) complex, unit mean power for each image; within 0.1 % (0.004 dB) where the
        power is undone before the network, since the transmitter then scales by what the header
        holds, so that the receiver undoes exactly that.
    scale: (B, 1) real, what the features were multiplied by to get unit power, as a float16.
    """

    symbols: Tensor
    scale: Tensor


class Transmission(NamedTuple):
    """What `WITT.forward` returns.

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


class WITT(HubModel):
    """Joint source-channel code, with a Swin or a convolutional network at each end.

        image ─► encoder ─► power norm ─► channel ─► (equaliser) ─► decoder ─► image
                    ▲ ModNet                 ▲ snr_db                  ▲ ModNet
                    └──────── snr_db ────────┴───────── snr_db ────────┘

    Source: WITT, arXiv 2211.00937; sending the first k feature channels for several rates
    follows SwinJSCC, arXiv 2308.09361.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        cnn = config.network == "cnn"
        swin_decoder = RefiningDecoder if config.linear_path else Decoder
        self.encoder = CnnEncoder(config) if cnn else Encoder(config)
        self.decoder = CnnDecoder(config) if cnn else swin_decoder(config)

    # Rates

    @property
    def sends_scale(self) -> bool:
        """Whether the receiver needs the power scale (16 bits in the header)."""
        return self.config.sends_scale

    @property
    def header_bits(self) -> int:
        """Side information for each image: size, rate, SNR and, if sent, the power scale."""
        return sum(HEADER_BITS.values()) + (SCALE_BITS if self.sends_scale else 0)

    def tokens(self, size: tuple[int, int]) -> int:
        """Tokens that an image of `size` (height, width) takes after padding."""
        stride = self.config.stride
        return math.ceil(size[0] / stride) * math.ceil(size[1] / stride)

    def channel_uses(self, size: tuple[int, int], cbr: float | None = None) -> int:
        """Complex symbols sent for an image of `size` (height, width) at a requested CBR."""
        return self.tokens(size) * self.feature_channels(size, cbr) // 2

    def feature_channels(self, size: tuple[int, int], cbr: float | None = None) -> int:
        """Even number of feature channels that serves a requested CBR.

        The largest whose actual CBR, counted against the true pixels, does not exceed `cbr`;
        where none fits, the smallest there is, with a warning. None asks for all of them.

        Raises:
            InputError: the weights do not serve this CBR.
        """
        most = self.config.channels
        if cbr is None:
            return most
        low, high = self.config.served_cbr
        if not low * (1 - 1e-6) <= cbr <= high * (1 + 1e-6):
            raise InputError(
                f"CBR {cbr:g} is not served by {self.config.name}: "
                + (f"choose {low:.4g} to {high:.4g}" if high > low else f"it has {high:.4g} only")
            )
        least = 2 if self.config.rate_adaptive else most
        pixels = 3 * size[0] * size[1]
        fits = 2 * math.floor(cbr * pixels * (1 + 1e-9) / self.tokens(size))
        if fits < least:
            warnings.warn(
                f"a picture of {size[1]}x{size[0]} pixels cannot be sent at CBR {cbr:.4g}: "
                f"padded to {self.tokens(size)} tokens it takes at least "
                f"{self.tokens(size) * least / (2 * pixels):.4g}, which is used",
                stacklevel=2,
            )
        return min(max(fits, least), most)

    # Ends

    def _snr(self, snr_db: float | Tensor, image_or_symbols: Tensor) -> Tensor:
        """(B,) tensor of SNRs, validated."""
        real = image_or_symbols.real
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
        return snr.expand(len(real))

    def features(self, image: Tensor, snr_db: Tensor, k: Tensor) -> Tensor:
        """Features (B, h, w, C) of padded images, those past the first k[b] zero.

        `image` (B, 3, H, W) with sides a multiple of the stride, `snr_db` (B,), `k` (B,).
        """
        x = self.encoder(image, condition_vector(self.config, snr_db, k))
        return x * (torch.arange(x.shape[-1], device=x.device) < k[:, None])[:, None, None]

    def reconstruct(
        self, features: Tensor, error: Tensor, scale: Tensor, snr_db: Tensor, k: Tensor
    ) -> Tensor:
        """Padded images (B, 3, H, W) from received features.

        `features` (B, h, w, C) after the MMSE equaliser, `error` (B, h, w, C/2), `scale` (B, 1).
        """
        amplitude = 1 / scale[:, :, None, None]
        return self.decoder(features, error, amplitude, condition_vector(self.config, snr_db, k))

    def unscaled_symbols(
        self, image: Tensor, snr_db: float | Tensor, cbr: float | None = None
    ) -> Tensor:
        """As `encode`, before the power is normalised."""
        if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape:
            raise InputError(f"images must be (B, 3, H, W), not {tuple(image.shape)}")
        if not image.is_floating_point():
            raise InputError(f"images must be floating point in [0, 1], not {image.dtype}")
        size = (image.shape[2], image.shape[3])
        k = self.feature_channels(size, cbr)
        snr = self._snr(snr_db, image)
        stride = self.config.stride
        padding = (0, -size[1] % stride, 0, -size[0] % stride)
        padded = F.pad(image, padding, mode="replicate")
        features = self.features(padded, snr, snr.new_full((len(snr),), k))[..., :k]
        # I and Q of a symbol are adjacent features of one token.
        pairs = torch.view_as_complex(features.reshape(len(image), -1, k // 2, 2).contiguous())
        pairs = spread(pairs) if self.config.spreads else pairs
        return pairs.flatten(1)

    def encode_with_scale(
        self, image: Tensor, snr_db: float | Tensor, cbr: float | None = None
    ) -> Encoded:
        """As `encode`, with the power scale that a model that `sends_scale` puts in its header."""
        unscaled = self.unscaled_symbols(image, snr_db, cbr)
        symbols, scale = channels.normalise_power(unscaled)
        scale = scale.clamp(max=65504.0).half().to(scale.dtype)  # as the header
        if self.sends_scale and self.decoder.linear is None:
            symbols = unscaled * scale
        return Encoded(symbols, scale)

    def encode(self, image: Tensor, snr_db: float | Tensor, cbr: float | None = None) -> Tensor:
        """Channel symbols of a batch of images.

        Args:
            image: (B, 3, H, W) in [0, 1], any size.
            snr_db: SNR that the transmitter knows, a number or (B,).
            cbr: requested channel uses over 3·H·W; None sends all feature channels.

        Returns:
            (B, N) complex symbols, mean power 1 for each image.

        Raises:
            InputError: wrong shape, SNR or CBR.
        """
        return self.encode_with_scale(image, snr_db, cbr).symbols

    def decode(
        self,
        symbols: Tensor,
        snr_db: float | Tensor,
        size: tuple[int, int],
        cbr: float | None = None,
        noise_var: Tensor | None = None,
        *,
        scale: Tensor | None = None,
    ) -> Tensor:
        """Images from received symbols.

        Args:
            symbols: (B, N) complex.
            snr_db: nominal SNR, a number or (B,).
            size: (height, width) of the original image.
            cbr: as given to `encode`.
            noise_var: error variance of each symbol after the MMSE equaliser, broadcastable to
                `symbols`. None: the symbols come straight from an AWGN channel at `snr_db`.
            scale: (B, 1) from `encode_with_scale`, for a model that `sends_scale`. None: guessed
                from the average picture, with a warning, which costs contrast.

        Returns:
            (B, 3, H, W), not clamped.

        Raises:
            InputError: the number of symbols does not fit size and CBR.
        """
        k, tokens = self.feature_channels(size, cbr), self.tokens(size)
        if symbols.ndim != 2 or symbols.shape[1] != tokens * k // 2 or not symbols.is_complex():
            raise InputError(
                f"{tokens * k // 2} complex symbols an image are expected for {size[1]}x{size[0]} "
                f"pixels at this CBR, not {tuple(symbols.shape)} {symbols.dtype}"
            )
        snr = self._snr(snr_db, symbols)
        if scale is None:
            scale = self._typical_scale(symbols, size, k)
        if noise_var is None and (self.config.uses_csi or self.config.linear_path):
            n0 = 10 ** (-snr[:, None] / 10)
            symbols, noise_var = channels.mmse(symbols, torch.ones_like(symbols[:, :1]), n0)
        if noise_var is None:  # the network does not look at it
            noise_var = symbols.real.new_zeros(1)
        stride = self.config.stride
        grid = (len(symbols), math.ceil(size[0] / stride), math.ceil(size[1] / stride))
        unsent = self.config.channels - k
        symbols = symbols.reshape(len(symbols), tokens, k // 2)
        error = noise_var.expand(len(symbols), tokens * k // 2).reshape(symbols.shape)
        if self.config.spreads:
            symbols, error = despread(symbols), despread_error(error)
        features = torch.view_as_real(symbols.contiguous()).reshape(*grid, k)
        error = error.reshape(*grid, k // 2)
        image = self.reconstruct(
            F.pad(features, (0, unsent)),
            F.pad(error, (0, unsent // 2), value=1.0),
            scale,
            snr,
            snr.new_full((len(snr),), k),
        )
        return image[:, :, : size[0], : size[1]]

    def _typical_scale(self, symbols: Tensor, size: tuple[int, int], k: int) -> Tensor:
        scale = symbols.real.new_ones(len(symbols), 1)
        if not self.sends_scale:
            return scale
        warnings.warn(
            f"{self.config.name} sends its power scale in the header: decode(…, scale=…) with "
            "the one from encode_with_scale; without it the contrast is a guess",
            stacklevel=3,
        )
        if self.decoder.linear is None:
            return scale
        height, width = (math.ceil(side / self.config.stride) for side in size)
        return scale / (2 * self.decoder.linear.mean_power(height, width, k)).sqrt()

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
        symbols, scale = self.encode_with_scale(image, snr_db, cbr)
        size = (image.shape[2], image.shape[3])
        out = channel(symbols, snr_db, h=h, noise=noise, generator=generator)
        received, error = out.y, None
        if channel.fading:
            received, error = channels.mmse(out.y, out.h, out.noise_var)
        known = scale if self.sends_scale else torch.ones_like(scale)
        decoded = self.decode(received, snr_db, size, cbr, error, scale=known)
        cbr_sent = symbols.shape[1] / (3 * size[0] * size[1])
        return Transmission(decoded, symbols, received, cbr_sent, self.header_bits)


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
