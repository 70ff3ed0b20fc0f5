"""WITT, the network of the paper: stages of blocks, a Channel ModNet and a head at each end.

    image ─► patches ─► stage 1 … S (merge, blocks)      ─► LN ─► ModNet ─► head ─► symbols ─┐
                                                                    ▲ SNR               channel
    image ◄───────── stage S … 1 (blocks, un-merge)      ◄───── ModNet ◄─── head ◄───────────┘
                                                                    ▲ SNR

Source: Yang et al., WITT: A Wireless Image Transmission Transformer for Semantic Communications,
arXiv 2211.00937, figure 1. With `rate_adaptive` the ModNets are told the rate too, and the first k
features are sent; SwinJSCC chooses them by a mask (`witt.codecs.swinjscc`). The blocks are Swin's
in the paper; others in their place are in `witt.nn.blocks`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from timm.layers import trunc_normal_
from torch import Tensor, nn

from witt.codecs.feature_config import FeatureConfig, check_heads, check_modnet
from witt.codecs.features import FeatureCodec
from witt.errors import InputError
from witt.nn.layers import DecoderStage, EncoderStage, ModNet, PatchEmbed, init_steady
from witt.registry import BLOCKS

# Where training begins: with the published start, weights of 0.02 throughout, the networks are
# 1.2 to 2.5 dB behind at equal steps.
BRANCHES = 0.3
OPEN_GATES = 2.0  # before the sigmoid


@dataclass(frozen=True)
class WITTConfig(FeatureConfig):
    """Sizes of the paper's network.

    Args:
        heads: attention heads of each stage.
        window: side of the attention window, in tokens.
        modnet_layers: factors in the Channel ModNet (7 in the paper).
        modnet_ratio: hidden width of the ModNet over the feature width (1.5 in the paper).
        modulation: use the Channel ModNets; without, their weights are there and unused.
        block: what the stages are made of, one of `witt.registry.BLOCKS`; Swin in the paper.
        mlp_ratio: hidden width of a block's layers over each token, over its feature width.
    """

    EARLIER: ClassVar[dict[str, Any]] = {
        "network": "swin",
        "classes": 0,
        "smooth_channels": 0,
        "refiner_blocks": None,
    }

    heads: tuple[int, ...]
    window: int = 8
    modnet_layers: int = 7
    modnet_ratio: float = 1.5
    modulation: bool = True
    block: str = "swin"
    mlp_ratio: float = 4.0

    def _check(self) -> None:
        super()._check()
        check_heads(self.dims, self.heads)
        check_modnet(self.modnet_layers, self.modnet_ratio, min(self.dims))
        self._check_least("window")
        if not 1 <= min(self.dims) * self.mlp_ratio < math.inf:
            raise InputError(f"mlp_ratio {self.mlp_ratio} gives the blocks no hidden width")
        BLOCKS.find(self.block)


class Encoder(nn.Module):
    """Picture to channel features."""

    def __init__(self, config: WITTConfig) -> None:
        super().__init__()
        dims = config.dims
        self.modulation = config.modulation
        self.patch_embed = PatchEmbed(config.patch, dims[0])
        self.layers = nn.ModuleList(
            EncoderStage(
                dims[i - 1] if i else None,
                dims[i],
                depth,
                heads,
                config.window,
                config.block,
                config.mlp_ratio,
                halvings=len(dims) - 1 - i,
            )
            for i, (depth, heads) in enumerate(zip(config.depths, config.heads, strict=True))
        )
        self.norm = nn.LayerNorm(dims[-1])
        self.modnet = channel_modnet(dims[-1], config)
        self.head = nn.Linear(dims[-1], config.channels)
        self.apply(init_as_published)

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """Features (B, h, w, C) of pictures.

        Args:
            image: (B, 3, H, W) in [0, 1], sides multiples of the stride.
            condition: (B, n).
        """
        return self.to_features(self.tokens(image), condition)

    def tokens(self, image: Tensor) -> Tensor:
        """What the last stage makes of pictures, (B, h, w, D), after its LayerNorm."""
        x = self.patch_embed(image).to(image.dtype)
        for stage in self.layers:
            x = stage(x)
        return self.norm(x)

    def to_features(self, x: Tensor, condition: Tensor) -> Tensor:
        """Features of tokens, for a channel."""
        return self.head(self.modnet(x, condition) if self.modulation else x)


class Decoder(nn.Module):
    """Channel features to picture."""

    def __init__(self, config: WITTConfig) -> None:
        super().__init__()
        self.modulation = config.modulation
        dims = config.dims[::-1]
        self.head = nn.Linear(config.channels, dims[0])
        self.modnet = channel_modnet(dims[0], config)
        last = len(dims) - 1
        stages = [
            DecoderStage(
                dim,
                3 if i == last else dims[i + 1],
                config.patch if i == last else 2,
                depth,
                heads,
                config.window,
                config.block,
                config.mlp_ratio,
                halvings=i,
            )
            for i, (dim, depth, heads) in enumerate(
                zip(dims, config.depths[::-1], config.heads[::-1], strict=True)
            )
        ]
        self.layers = nn.ModuleList(stages)
        self.apply(init_as_published)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Picture (B, 3, H, W), not clamped.

        Args:
            features: (B, h, w, C) received, the power undone where the model sends its scale;
                unsent ones 0.
            condition: (B, n).
        """
        x = self.head(features).to(features.dtype)
        x = self.modnet(x, condition) if self.modulation else x
        for stage in self.layers:
            x = stage(x)
        return x.permute(0, 3, 1, 2)


class WITT(FeatureCodec):
    """The source-channel codec of the paper.

    Features become symbols, and symbols features, in `witt.codecs.features.FeatureCodec`.
    """

    Config = WITTConfig
    config: WITTConfig
    muon_lr = 0.005

    def __init__(self, config: WITTConfig) -> None:
        super().__init__(config)
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.uses_all_parameters = config.modulation

    def features(self, image: Tensor, snr_db: Tensor, k: Tensor) -> Tensor:
        return self.encoder(image.to(self.dtype), self._condition(snr_db, k))

    def picture(self, features: Tensor, snr_db: Tensor, k: Tensor) -> Tensor:
        return self.decoder(features, self._condition(snr_db, k))

    def _condition(self, snr_db: Tensor, k: Tensor) -> Tensor:
        return condition_vector(self.config, snr_db, k).to(self.dtype)

    def initialise(self) -> None:
        """Weights from which the network learns: features keep their size, gates are open."""
        for end in (self.encoder, self.decoder):
            init_steady(end, BRANCHES)
            # Where the rate is fixed they are told the SNR in dB, not in tens of dB.
            open_gates(cast(ModNet, end.modnet), 1.0 if self.config.rate_adaptive else 0.1)


def channel_modnet(dim: int, config: Any) -> ModNet:
    """The Channel ModNet of one end."""
    return ModNet(dim, config.modnet_layers, config.modnet_ratio, told(config))


def told(config: Any) -> int:
    """How many numbers `condition_vector` has."""
    return 2 if config.rate_adaptive else 1


def condition_vector(config: Any, snr_db: Tensor, channels: Tensor) -> Tensor:
    """What the ModNet is told: (B, 1) SNR in dB as published, or (B, 2) scaled SNR and rate."""
    if not config.rate_adaptive:
        return snr_db[:, None]
    rate = torch.log2(channels / (config.channels / 2))
    return torch.stack((snr_db / 10, rate), dim=1)


def open_gates(modnet: ModNet, unit: float) -> None:
    """Let a ModNet begin with its gates open; `unit` is what one of its numbers counts."""
    for factor in modnet.bm_list:
        first, *_, last, _ = cast("Sequence[nn.Linear]", list(cast(nn.Sequential, factor)))
        nn.init.constant_(last.bias, OPEN_GATES)
        if unit != 1:
            with torch.no_grad():
                first.weight.mul_(unit)


def init_as_published(module: nn.Module) -> None:
    """The weights that a layer of the published network starts from."""
    if isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
