"""The transmitter and the receiver as one model, from pictures to channel symbols and back."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import channels
from witt.adaptation import Adaptation
from witt.classified import ClassifiedCode, Plan, full_precision
from witt.cnn import CnnDecoder, CnnEncoder
from witt.config import ModelConfig, preset
from witt.errors import InputError
from witt.framing import from_symbols, with_map
from witt.hub import HubModel
from witt.network import Decoder, Encoder, condition_vector
from witt.refiner import RefiningDecoder, ShapingEncoder
from witt.signals import Encoded, Sending, Transmission
from witt.winding import Shaped, unwind

# What the receiver must know beside the symbols, in bits for an image.
HEADER_BITS = {"height": 16, "width": 16, "feature channels": 8, "snr": 16}
SCALE_BITS = 16  # the power scale as a float16, for models that say `sends_scale`


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
        self.code = None
        if config.classes:
            self.code = ClassifiedCode(
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

    def transmit(self, image: Tensor, snr_db: Tensor, k: Tensor, length: int) -> Sending:
        """Symbols of padded images, each at its own rate.

        Args:
            image: (B, 3, H, W), sides multiples of the stride.
            snr_db: (B,).
            k: (B,) feature channels sent, of a model with classes on average; the symbols of its
                class map are left to `with_map`.
            length: N, symbols of an image at the highest rate.
        """
        condition = condition_vector(self.config, snr_db, k)
        if self.code is None:
            x = self.encoder(image, condition)
            x = x * (torch.arange(x.shape[-1], device=x.device) < k[:, None])[:, None, None]
            # I and Q of a symbol are adjacent features of one token.
            tokens = x.shape[1] * x.shape[2]
            symbols = x[..., : 2 * length // tokens].reshape(len(x), length, 2)
            return Sending(symbols.to(image.dtype), tokens * k // 2)
        with full_precision(image.device):
            shared, classes = self.code.tokens(image, snr_db, k)
            plan = self.code.plan(classes, snr_db, k, most_k=2 * length // classes[0].numel())
            features = self.code.analyse(shared, classes)
        factors, summands = self.encoder(image, features, plan, snr_db, condition)
        with full_precision(image.device):
            like = features.dtype
            factors = F.pad(factors.to(like), (self.code.smooth, 0), value=1.0)
            summands = F.pad(summands.to(like), (self.code.smooth, 0))
            shaped = Shaped(features, factors, summands, plan, snr_db, length)
            return Sending(shaped.symbols(), plan.uses, shaped)

    def receive(
        self,
        symbols: Tensor,
        error: Tensor,
        scale: Tensor,
        snr_db: Tensor,
        k: Tensor,
        grid: tuple[int, int],
        plan: Plan | None = None,
    ) -> Tensor:
        """Padded images (B, 3, H, W) from received symbols, each at its own rate.

        Args:
            symbols: (B, N, 2) after the equaliser.
            error: (B, N) error variance of each; only a model with classes looks at it.
            scale: (B, 1) that the receiver undoes.
            snr_db, k: as given to `transmit`.
            grid: (h, w) tokens.
            plan: of a model with classes.
        """
        condition, amplitude = condition_vector(self.config, snr_db, k), 1 / scale[:, :, None, None]
        if self.code is not None and plan is not None:
            with full_precision(symbols.device):
                received = from_symbols(symbols, error, plan)
                features, error = unwind(received, plan, snr_db, amplitude)
            return self.decoder(self.code, plan, features, error, amplitude, condition)
        features = symbols.reshape(len(symbols), *grid, -1)
        features = F.pad(features, (0, self.config.channels - features.shape[-1]))
        sent = torch.arange(self.config.channels, device=features.device) < k[:, None]
        return self.decoder(features * sent[:, None, None], amplitude, condition)

    def unscaled_symbols(
        self,
        image: Tensor,
        snr_db: float | Tensor,
        cbr: float | None = None,
        adaptation: Adaptation | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """As `encode`, before the power is normalised; and the classes of the tokens, if any."""
        if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape:
            raise InputError(f"images must be (B, 3, H, W), not {tuple(image.shape)}")
        if not image.is_floating_point():
            raise InputError(f"images must be floating point in [0, 1], not {image.dtype}")
        size = (image.shape[2], image.shape[3])
        k = self.feature_channels(size, cbr)
        snr = self._snr(snr_db, image)
        rates = torch.full((len(snr),), k, device=snr.device)
        stride = self.config.stride
        padding = (0, -size[1] % stride, 0, -size[0] % stride)
        padded = F.pad(image, padding, mode="replicate")
        sending = self.transmit(padded, snr, rates, self.channel_uses(size, cbr))
        symbols, plan = sending.symbols, sending.plan
        if adaptation is not None:
            symbols = adaptation.improve(self, padded, size, sending, snr, rates)
        symbols = symbols if plan is None else with_map(symbols, plan)
        classes = None if plan is None else plan.classes
        return torch.view_as_complex(symbols.contiguous()), classes

    def encode_with_scale(
        self,
        image: Tensor,
        snr_db: float | Tensor,
        cbr: float | None = None,
        adaptation: Adaptation | None = None,
    ) -> Encoded:
        """As `encode`, with the power scale that a model that `sends_scale` puts in its header.

        A model with `classes` also gives the class map. Its symbols are among those sent, at the
        end, as many as a code 4 dB short of Shannon's limit needs; the simulation takes the map
        as received without error, as it does the header.
        """
        unscaled, classes = self.unscaled_symbols(image, snr_db, cbr, adaptation)
        symbols, scale = channels.normalise_power(unscaled)
        scale = scale.clamp(max=65504.0).half().to(scale.dtype)  # as the header
        if self.sends_scale and self.code is None:
            symbols = unscaled * scale
        return Encoded(symbols, scale, classes)

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
        classes: Tensor | None = None,
    ) -> Tensor:
        """Images from received symbols.

        Args:
            symbols: (B, N) complex.
            snr_db: nominal SNR, a number or (B,).
            size: (height, width) of the original image.
            cbr: as given to `encode`.
            noise_var: error variance of each symbol after the MMSE equaliser, broadcastable to
                `symbols`. None: the symbols come straight from an AWGN channel at `snr_db`.
            scale: (B, 1) from `encode_with_scale`, for a model that `sends_scale`. None: 1,
                with a warning, which costs contrast.
            classes: (B, h, w) from `encode_with_scale`, for a model that has `classes`.

        Returns:
            (B, 3, H, W), not clamped.

        Raises:
            InputError: the number of symbols does not fit size and CBR, or there is no class map.
        """
        k, tokens = self.feature_channels(size, cbr), self.tokens(size)
        if symbols.ndim != 2 or symbols.shape[1] != tokens * k // 2 or not symbols.is_complex():
            raise InputError(
                f"{tokens * k // 2} complex symbols an image are expected for {size[1]}x{size[0]} "
                f"pixels at this CBR, not {tuple(symbols.shape)} {symbols.dtype}"
            )
        snr = self._snr(snr_db, symbols)
        if scale is None:
            scale = self._typical_scale(symbols)
        if noise_var is None and self.code is not None:
            n0 = 10 ** (-snr[:, None] / 10)
            symbols, noise_var = channels.mmse(symbols, torch.ones_like(symbols[:, :1]), n0)
        if noise_var is None:  # the network does not look at it
            noise_var = symbols.real.new_zeros(1)
        grid = (math.ceil(size[0] / self.config.stride), math.ceil(size[1] / self.config.stride))
        rates = torch.full((len(snr),), k, device=snr.device)
        plan = None
        if self.code is not None:
            if classes is None or classes.shape != (len(symbols), *grid):
                raise InputError(
                    f"{self.config.name} sends a class map: decode(…, classes=…) with the one of "
                    f"{grid[0]}x{grid[1]} tokens from encode_with_scale"
                )
            plan = self.code.plan(classes, snr, rates, most_k=k)
        pairs = torch.view_as_real(symbols.contiguous())
        error = noise_var.expand(symbols.shape)
        image = self.receive(pairs, error, scale, snr, rates, grid, plan)
        return image[:, :, : size[0], : size[1]]

    def _typical_scale(self, symbols: Tensor) -> Tensor:
        if self.sends_scale:
            warnings.warn(
                f"{self.config.name} sends its power scale in the header: decode(…, scale=…) with "
                "the one from encode_with_scale; without it the contrast is a guess",
                stacklevel=3,
            )
        return symbols.real.new_ones(len(symbols), 1)

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
        adaptation: Adaptation | None = None,
    ) -> Transmission:
        """Encode, channel, equaliser, decode.

        A receiver on a fading channel knows h and equalises with MMSE.

        Args:
            image: (B, 3, H, W) in [0, 1].
            channel: any of `channels`.
            snr_db: Es/N0 at unit average transmit power, a number or (B,).
            cbr: requested CBR.
            h, noise, generator: handed to the channel.
            adaptation: how the transmitter improves what it sends of each picture, if at all.
        """
        encoded = self.encode_with_scale(image, snr_db, cbr, adaptation)
        size = (image.shape[2], image.shape[3])
        return self.carry(
            encoded, size, channel, snr_db, cbr, h=h, noise=noise, generator=generator
        )

    def carry(
        self,
        encoded: Encoded,
        size: tuple[int, int],
        channel: channels.Channel,
        snr_db: float | Tensor,
        cbr: float | None = None,
        *,
        h: Tensor | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Transmission:
        """What `forward` does after `encode_with_scale`, of images of `size` (height, width)."""
        symbols, scale, classes = encoded
        out = channel(symbols, snr_db, h=h, noise=noise, generator=generator)
        received, error = out.y, None
        if channel.fading:
            received, error = channels.mmse(out.y, out.h, out.noise_var)
        known = scale if self.sends_scale else torch.ones_like(scale)
        decoded = self.decode(received, snr_db, size, cbr, error, scale=known, classes=classes)
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
