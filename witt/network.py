"""The Swin encoder and decoder of WITT: pictures to channel features and back.

Source: WITT, arXiv 2211.00937, figure 1. Features are real; `witt.model` pairs them to symbols.
"""

from __future__ import annotations

import torch
from timm.layers import trunc_normal_
from torch import Tensor, nn

from witt.config import ModelConfig
from witt.layers import OUTPUT_SCALE, DecoderStage, EncoderStage, ModNet, init_steady
from witt.linear import LinearEncoder, full_precision


def conditions(config: ModelConfig) -> int:
    """Numbers in `condition_vector`."""
    return 2 if config.rate_adaptive else 1


def smooth_channels(config: ModelConfig) -> int:
    """First features of the linear path that have a gain for each spatial frequency."""
    return min(config.smooth_channels, config.channels)


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


class ConvEmbed(nn.Module):
    """Two strided convolutions from pixels to the first map, ``(B, 3, H, W)`` to ``(B, H/4, …)``.

    They overlap, and have a nonlinearity, where linear patches have neither; DeepJSCC begins so.
    """

    def __init__(self, stem: int, dim: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, stem, 5, 2, 2)
        self.act = nn.PReLU(stem)
        self.second = nn.Conv2d(stem, dim, 5, 2, 2)

    def forward(self, image: Tensor) -> Tensor:
        return self.second(self.act(self.first(image - 0.5))).permute(0, 2, 3, 1)


class ConvUnembed(nn.Module):
    """The mirror of `ConvEmbed`: ``(B, h, w, dim)`` to ``(B, 4·h, 4·w, 3)``."""

    def __init__(self, dim: int, stem: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.first = nn.ConvTranspose2d(dim, stem, 5, 2, 2, output_padding=1)
        self.act = nn.PReLU(stem)
        self.second = nn.ConvTranspose2d(stem, 3, 5, 2, 2, output_padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.norm(x).permute(0, 3, 1, 2))
        return self.second(self.act(x)).permute(0, 2, 3, 1) + 0.5


class PatchEmbed(nn.Module):
    """Strided convolution from pixels to the first map, ``(B, 3, H, W)`` to ``(B, h, w, C)``."""

    def __init__(self, patch: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, stride=patch)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image).permute(0, 2, 3, 1)


class Encoder(nn.Module):
    """Picture to channel features.

    image ─► patches ─► stage 1 … S (merge, Swin blocks) ─► LN ─► ModNet ─► head ─(+)─► features
       └────────────────────── linear path, if any ────────────────────────────┘
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dims = config.dims
        self.modulation = config.modulation
        self.patch_embed: nn.Module = PatchEmbed(config.patch, dims[0])
        self.layers = nn.ModuleList(
            EncoderStage(dims[i - 1] if i else None, dims[i], depth, heads, config.window)
            for i, (depth, heads) in enumerate(zip(config.depths, config.heads, strict=True))
        )
        self.norm = nn.LayerNorm(dims[-1])
        self.modnet = channel_modnet(dims[-1], config)
        self.head = nn.Linear(dims[-1], config.channels)
        self.apply(_init_as_published)
        if config.stem:
            init_steady(self, branches=0.3)
            self.patch_embed = ConvEmbed(config.stem, dims[0])
        self.linear = None
        if config.linear_path:
            init_steady(self, branches=0.3)
            nn.init.zeros_(self.head.weight)
            self.linear = LinearEncoder(
                config.stride, config.channels, conditions(config), smooth_channels(config)
            )

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """`image` (B, 3, H, W) in [0, 1], sides multiples of the stride; to (B, h, w, C)."""
        x = self.patch_embed(image)
        for stage in self.layers:
            x = stage(x)
        x = self.norm(x)
        x = self.head(self.modnet(x, condition) if self.modulation else x)
        if self.linear is not None:
            with full_precision(image.device):
                x = OUTPUT_SCALE * x + self.linear(image - 0.5, condition)
        return x


class Decoder(nn.Module):
    """Channel features to picture.

    features ─► head ─► ModNet ─► stage S … 1 (Swin blocks, un-merge) ─► image
    """

    linear = None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.uses_csi, self.modulation = config.uses_csi, config.modulation
        dims = config.dims[::-1]
        inputs = config.channels * 3 // 2 if config.uses_csi else config.channels
        self.head = nn.Linear(inputs, dims[0])
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
        if config.stem:
            init_steady(self, branches=0.3)
            stages[-1].upsample = ConvUnembed(dims[-1], config.stem)  # type: ignore[assignment]

    def forward(
        self, features: Tensor, error: Tensor, amplitude: Tensor, condition: Tensor
    ) -> Tensor:
        """Picture (B, 3, H, W), not clamped.

        Args:
            features: (B, h, w, C) received, unsent ones 0.
            error: (B, h, w, C/2) error variance of each symbol in [0, 1], unsent ones 1.
            amplitude: (B, 1, 1, 1) by which the power normalisation divided.
            condition: (B, n).
        """
        x = features * amplitude  # as published: the power is undone before the network
        x = torch.cat((x, 1 - error), dim=-1) if self.uses_csi else x
        x = self.head(x)
        x = self.modnet(x, condition) if self.modulation else x
        for stage in self.layers:
            x = stage(x)
        return x.permute(0, 3, 1, 2)
