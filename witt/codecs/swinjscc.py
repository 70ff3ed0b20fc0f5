"""SwinJSCC where it adapts the rate: WITT's stages and Channel ModNets, a Rate ModNet and a mask.

    image ─► patches ─► stage 1 … S ─► LN ─► Channel ModNet ─► Rate ModNet ─► mask ─► symbols ─┐
                                                ▲ SNR             ▲ C       │               channel
                                                                            ▼ side information │
    image ◄─────────────── stage S … 1 ◄─── Channel ModNet ◄─────────────  mask  ◄─────────────┘
                                                ▲ SNR

There is no head: the features have the width D of the last stage, and C of these D channels are
sent, the same ones of every token. Which ones differs from picture to picture, so the receiver has
to be told: up to D bits, which are counted.

Source: Yang et al., SwinJSCC: Taming Swin Transformer for Deep Joint Source-Channel Coding, arXiv
2308.09361, section III. Of its four variants these are "with RA" (`modulation` off) and "with SA
and RA"; "with SA" and "without both" are `witt.codecs.witt.WITT`.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from witt.codecs.features import FeatureCodec
from witt.codecs.mask_code import MaskCode, mask_bits
from witt.codecs.sending import UnscaledSymbols
from witt.codecs.witt import (
    BRANCHES,
    Decoder,
    Encoder,
    WITTConfig,
    init_as_published,
    open_gates,
)
from witt.contract import Encoded, Header, SideInformation
from witt.errors import InputError
from witt.nn.layers import ModNet, init_steady
from witt.side_code import SideCode
from witt.side_information import Coding

MASK = "mask"
# The ModNets are told the SNR in dB, some tens, and C, some hundreds: their first weights by that.
SNR_WEIGHT, RATE_WEIGHT = 0.1, 0.01


@dataclass(frozen=True)
class SwinJSCCConfig(WITTConfig):
    """Sizes of a SwinJSCC network that adapts its rate.

    Args:
        channels: most feature channels that are sent, of the dims[-1] that there are.
        rate_adaptive: always; `WITT` is the network of one rate.
        modulation: use the Channel ModNets ("with SA and RA"); without ("with RA") their weights
            are there and unused.
    """

    channels_follow_cbr: ClassVar[bool] = False
    published_rates: ClassVar[bool] = True

    _: KW_ONLY
    channels: int = 320
    rate_adaptive: bool = True
    sends_scale: bool = True

    def _check(self) -> None:
        super()._check()
        if not self.rate_adaptive:
            raise InputError(
                f"{self.name} is the SwinJSCC that adapts its rate: for one rate take witt_base or "
                "its kin, which are SwinJSCC without a Rate ModNet"
            )
        if self.channels > self.dims[-1]:
            raise InputError(
                f"channels must be at most the width of the last stage, {self.dims[-1]}, not "
                f"{self.channels}"
            )


@dataclass(frozen=True)
class MaskedSymbols(UnscaledSymbols):
    """`UnscaledSymbols` of the feature channels that are kept.

    kept: (B, D) bool.
    """

    kept: Tensor

    @property
    def allocation(self) -> Tensor:
        return self.kept

    def detached(self) -> MaskedSymbols:
        return MaskedSymbols(self.symbols.detach().clone(), self.uses.clone(), self.kept.clone())


class SwinJSCC(FeatureCodec):
    """The source-channel codec of SwinJSCC's variants that adapt the rate.

    Where side information is coded, fewer feature channels are sent, so that mask and header fit
    into the CBR that was asked for.
    """

    Config = SwinJSCCConfig
    config: SwinJSCCConfig
    muon_lr = 0.005

    def __init__(self, config: SwinJSCCConfig) -> None:
        super().__init__(config)
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        for end in (self.encoder, self.decoder):  # without heads; each ModNet is told one number
            end.add_module("head", nn.Identity())
            end.add_module("modnet", _modnet(config))
        self.rate_modnet = _modnet(config)
        self.uses_all_parameters = config.modulation

    # The mask

    def transmit(self, image: Tensor, snr_db: Tensor, k: Tensor, length: int) -> MaskedSymbols:
        x = self.encoder(image.to(self.dtype), snr_db[:, None].to(self.dtype))
        gates = self.rate_modnet.gates(x.detach(), k[:, None].to(self.dtype))
        kept = kept_channels(gates, k)
        tokens = x.shape[1] * x.shape[2]
        place = torch.arange(kept.shape[1], device=kept.device)
        # The kept channels in their order, then the others.
        order = (place + kept.shape[1] * ~kept).argsort(dim=1)[:, : 2 * length // tokens]
        x = _chosen(x * gates, order) * (place[: order.shape[1]] < k[:, None])[:, None, None]
        symbols = x.reshape(len(x), length, 2).to(image.dtype)
        return MaskedSymbols(symbols, tokens * k // 2, kept)

    def receive(
        self,
        symbols: Tensor,
        error: Tensor,
        scale: Tensor,
        snr_db: Tensor,
        k: Tensor,
        grid: tuple[int, int],
        allocation: Tensor | None = None,
    ) -> Tensor:
        if allocation is None:
            raise InputError(f"{self.name} needs the mask")
        x = symbols.reshape(len(symbols), *grid, -1)
        # Of the channels that are not kept any place will do.
        place = (allocation.cumsum(1) - 1).clamp(0, x.shape[3] - 1)
        x = _chosen(x, place) * (1 / scale[:, :, None, None]) * allocation[:, None, None]
        return self.decoder(x.to(self.dtype), snr_db[:, None].to(self.dtype)).to(symbols.dtype)

    # Side information

    def side_codes(self) -> dict[str, SideCode]:
        return {**super().side_codes(), MASK: MaskCode(self.config.dims[-1])}

    def with_side_information(self, sending: UnscaledSymbols, header: Header) -> Header:
        bits = mask_bits(self.config.dims[-1], 2 * header.rate)
        return header.with_side(MASK, SideInformation(sending.allocation, bits))

    def allocate(self, header: Header, snr_db: Tensor, k: Tensor) -> Tensor | None:
        return header.get(MASK)

    def check_header(self, symbols: Tensor, header: Header) -> None:
        super().check_header(symbols, header)
        kept, width, k = header.get(MASK), self.config.dims[-1], 2 * header.rate
        if kept is None or kept.shape != (len(symbols), width) or bool((kept.sum(1) != k).any()):
            raise InputError(
                f"{self.name} sends a mask: the header has none that keeps {k} of {width} channels"
            )

    def feature_channels_beside(
        self, size: tuple[int, int], cbr: float | None, snr_db: Tensor, coding: Coding
    ) -> int:
        """The most with which mask and header fit into the CBR; all have the rate of the worst."""
        k, tokens = self.feature_channels(size, cbr), self.tokens(size)
        asked = self.config.served_cbr[1] if cbr is None else cbr
        most = math.floor(asked * 3 * size[0] * size[1] * (1 + 1e-9))
        codes, width, worst_db = self.side_codes(), self.config.dims[-1], float(snr_db.min())
        header_uses = coding.header_uses(codes, worst_db)
        for fewer in range(k, 0, -2):
            mask_uses = coding.block_uses(mask_bits(width, fewer), worst_db)
            if tokens * fewer // 2 + header_uses + mask_uses <= most:
                return fewer
        warnings.warn(
            f"a picture of {size[1]}x{size[0]} pixels cannot be sent at CBR {asked:.4g}: its "
            "header and mask would take most of it, and come on top",
            stacklevel=4,
        )
        return k

    def latent_power(self, encoded: Encoded) -> Tensor:
        """As of `Codec`, of all channels of which the mask keeps some."""
        symbols, header = encoded
        energy = torch.view_as_real(symbols).square()
        kept = header.side[MASK].value
        sent = energy.reshape(len(kept), self.tokens(header.size), -1).sum(1)
        share = sent / energy.sum(dim=(1, 2))[:, None]
        return share.new_zeros(kept.shape).masked_scatter(kept, share)

    # Training

    def initialise(self) -> None:
        """As `WITT.initialise`."""
        for end in (self.encoder, self.decoder):
            init_steady(end, BRANCHES)
            open_gates(cast(ModNet, end.modnet), SNR_WEIGHT)
        init_steady(self.rate_modnet, BRANCHES)
        open_gates(self.rate_modnet, RATE_WEIGHT)


def kept_channels(gates: Tensor, k: Tensor) -> Tensor:
    """The channels whose gates are the most open over all tokens of a picture, (B, D) bool.

    In float64 sums of float32 gates are exact but for the smallest ones, so that they are the same
    in any order of summing, on any processor. Of equal sums the first channels are taken.

    Args:
        gates: (B, h, w, D) from 0 to 1.
        k: (B,) channels that are kept.
    """
    sums = gates.detach().sum(dim=(1, 2), dtype=torch.float64)
    place = torch.arange(sums.shape[1], device=sums.device)
    own, other = sums[:, :, None], sums[:, None]
    # No sort: a stable one is not in ONNX.
    before = (other > own) | ((other == own) & (place < place[:, None]))
    return before.sum(dim=2) < k[:, None]


def _chosen(x: Tensor, places: Tensor) -> Tensor:
    """The features (B, h, w, n) at `places` (B, n) of each token of x."""
    return x.gather(3, places[:, None, None].expand(*x.shape[:3], -1))


def _modnet(config: SwinJSCCConfig) -> ModNet:
    """A ModNet that is told one number: the SNR in dB, or C, as it is."""
    modnet = ModNet(config.dims[-1], config.modnet_layers, config.modnet_ratio, 1)
    return modnet.apply(init_as_published)
