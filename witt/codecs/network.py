"""The Swin encoder and decoder of WITT: pictures to channel features and back.

Source: WITT, arXiv 2211.00937, figure 1. Features are real; the model pairs them to symbols.
"""

from __future__ import annotations

import torch
from timm.layers import trunc_normal_
from torch import Tensor, nn

from witt.codecs.config import ModelConfig
from witt.nn.layers import DecoderStage, EncoderStage, ModNet


def conditions(config: ModelConfig) -> int:
    """Numbers in `condition_vector`."""
    return 2 if config.rate_adaptive else 1


def channel_modnet(dim: int, config: ModelConfig) -> ModNet:
    """The Channel ModNet of one end."""
    return ModNet(dim, config.modnet_layers, config.modnet_ratio, conditions(config))


def condition_vector(config: ModelConfig, snr_db: Tensor, channels: Tensor) -> Tensor:
    """What the ModNet is told: (B, 1) SNR in dB as published, or (B, 2) scaled SNR and rate."""
    if not config.rate_adaptive:
        return snr_db[:, None]
    rate = torch.log2(channels / (config.channels / 2))
    return torch.stack((snr_db / 10, rate), dim=1)


def _init_as_published(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class PatchEmbed(nn.Module):
    """Strided convolution from pixels to the first map, ``(B, 3, H, W)`` to ``(B, h, w, C)``."""

    def __init__(self, patch: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, stride=patch)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image).permute(0, 2, 3, 1)


class Encoder(nn.Module):
    """Picture to channel features.

    image ─► patches ─► stage 1 … S (merge, Swin blocks) ─► LN ─► ModNet ─► head ─► features
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dims = config.dims
        self.modulation = config.modulation
        self.patch_embed = PatchEmbed(config.patch, dims[0])
        self.layers = nn.ModuleList(
            EncoderStage(dims[i - 1] if i else None, dims[i], depth, heads, config.window)
            for i, (depth, heads) in enumerate(zip(config.depths, config.heads, strict=True))
        )
        self.norm = nn.LayerNorm(dims[-1])
        self.modnet = channel_modnet(dims[-1], config)
        self.head = nn.Linear(dims[-1], config.channels)
        self.apply(_init_as_published)

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """Features (B, h, w, C) of pictures.

        Args:
            image: (B, 3, H, W) in [0, 1], sides multiples of the stride.
            condition: (B, n).
        """
        x = self.patch_embed(image).to(image.dtype)
        for stage in self.layers:
            x = stage(x)
        x = self.norm(x)
        return self.head(self.modnet(x, condition) if self.modulation else x)


class Decoder(nn.Module):
    """Channel features to picture.

    features ─► head ─► ModNet ─► stage S … 1 (Swin blocks, un-merge) ─► image
    """

    def __init__(self, config: ModelConfig) -> None:
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
            )
            for i, (dim, depth, heads) in enumerate(
                zip(dims, config.depths[::-1], config.heads[::-1], strict=True)
            )
        ]
        self.layers = nn.ModuleList(stages)
        self.apply(_init_as_published)

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
