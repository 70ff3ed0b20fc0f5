"""The two networks beside a code of classes: Swin blocks that add to what its ends do.

Source: the blocks and the ModNet are those of WITT, arXiv 2211.00937; a decoder that goes down to
the tokens and up again is Swin-Unet's, arXiv 2105.05537. Where the blocks sit was found by trials
(docs/trials.md).
"""

from __future__ import annotations

from typing import cast

import torch
from timm.models.swin_transformer import PatchMerging
from torch import Tensor, nn
from torch.nn import functional as F

from witt.codecs.classified.allocation import PictureAllocation
from witt.codecs.classified.config import ClassifiedConfig
from witt.codecs.classified.transform_code import ClassifiedTransformCode, full_precision
from witt.codecs.witt import channel_modnet
from witt.nn.layers import (
    OUTPUT_SCALE,
    DecoderStage,
    EncoderStage,
    PatchEmbed,
    init_steady,
)
from witt.nn.swin import swin_blocks

GROUPS = 12  # of features whose mean error or power is an input of a network
SKETCH_SCALE = 4.0  # brings pixels less 0.5 to about unit power
DETAIL_SCALE = 0.3  # of the last layer, in units of the error that the receiver expects


def group_means(features: Tensor, groups: int) -> Tensor:
    """(B, h, w, groups) means of neighbours among (B, h, w, C)."""
    return torch.stack([part.mean(-1) for part in features.tensor_split(groups, -1)], -1)


class ShapingEncoder(nn.Module):
    """Changes the features of the linear code before they are sent.

    image ─► patches ─► stage 1 … S−1 (Swin blocks, merge) ─(+)─► Swin blocks ─► ModNet ─► head
    features, class, powers of the token ────────────────────┘                              │
    features ──────────────────────────────────────────────────────(×)──(+)─► sent  ◄───────┘

    At the start nothing is changed. What it adds may also go where the linear code puts no power.
    """

    def __init__(self, config: ClassifiedConfig) -> None:
        super().__init__()
        dims, self.own = config.dims, config.channels - config.smooth_channels
        self.modulation = config.modulation
        self.patch_embed = PatchEmbed(config.patch, dims[0])
        self.layers = nn.ModuleList(
            EncoderStage(dims[i - 1] if i else None, dims[i], depth, heads, config.window)
            for i, (depth, heads) in enumerate(zip(config.depths, config.heads, strict=True))
        )
        self.groups = min(GROUPS, self.own)
        self.label = nn.Linear(config.classes, dims[-1], bias=False)
        self.token = nn.Linear(self.own, dims[-1])
        self.powers = nn.Linear(2 * self.groups, dims[-1])
        self.norm = nn.LayerNorm(dims[-1])
        self.modnet = channel_modnet(dims[-1], config)
        init_steady(self, branches=0.3)
        self.head = nn.Linear(dims[-1], 2 * self.own)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self,
        image: Tensor,
        features: Tensor,
        allocation: PictureAllocation,
        snr_db: Tensor,
        condition: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Factors and summands (B, h, w, own) of the features that are not smooth.

        Args:
            image: (B, 3, H, W) in [0, 1], sides multiples of the stride.
            features: (B, h, w, C) of the code, before their gains.
            allocation: of these pictures.
            snr_db: (B,).
            condition: (B, n).
        """
        with full_precision(image.device):
            power = allocation.gain.square() * allocation.variance
            bits = torch.log2(1 + 2 * power * 10 ** (snr_db / 10)[:, None, None, None])
            powers = torch.stack((bits, allocation.sent.to(bits.dtype)))[..., -self.own :]
            powers = torch.cat([group_means(each, self.groups) for each in powers], -1)
            unit = (features / allocation.variance.sqrt())[..., -self.own :]
            label = F.one_hot(allocation.classes, self.label.in_features).to(bits.dtype)
        dtype = self.token.weight.dtype
        image, unit, powers, label = (each.to(dtype) for each in (image, unit, powers, label))
        x = self.patch_embed(image).to(image.dtype)  # autocast: the sums stay in full
        *stages, last = cast("list[EncoderStage]", list(self.layers))
        for stage in stages:
            x = stage(x)
        x = (
            last.downsample(x).to(x.dtype)
            + self.token(unit)
            + self.powers(powers)
            + self.label(label)
        )
        x = self.norm(last.blocks(x))
        x = self.head(self.modnet(x, condition) if self.modulation else x)
        factors, summands = (OUTPUT_SCALE * x).chunk(2, -1)
        return 2 * torch.sigmoid(factors), summands


class RefiningDecoder(nn.Module):
    """Received features to picture.

    features ─► LMMSE ─► conv ─┬──────────────(+)─► Swin blocks ─► conv ─(×)──(+)─► image
                    │          ▼ merge         ▲ un-merge                 │    │
                    │          ├───────(+)─► Swin blocks           expected    │
                    │          ▼ merge  ▲ un-merge                   error     │
    features, class, ────────►(+)─► ModNet, Swin blocks                        │
    expected error  │                                                          │
                    └──────────────────────────────────────────────────────────┘

    The widest map has the stride of the first patch, the smallest one that of the tokens. Both
    convolutions overlap: what a token loses is alike in its neighbours. The error that the linear
    receiver expects of each token is the unit of what the network adds.
    """

    def __init__(self, config: ClassifiedConfig) -> None:
        super().__init__()
        dims, self.patch = config.dims, config.patch
        self.own = config.channels - config.smooth_channels
        self.modulation = config.modulation
        self.groups = min(GROUPS, config.channels)
        self.label = nn.Linear(config.classes, dims[-1], bias=False)
        self.token = nn.Linear(self.own, dims[-1])
        self.head = nn.Linear(self.groups + 1, dims[-1])
        self.downsample = nn.ModuleList(map(PatchMerging, dims[:-1], dims[1:]))
        self.modnet = channel_modnet(dims[-1], config)
        self.stages = nn.ModuleList(
            DecoderStage(dims[i], dims[i - 1], 2, config.depths[i], config.heads[i], config.window)
            for i in range(len(dims) - 1, 0, -1)
        )
        self.blocks = swin_blocks(dims[0], config.refiner_blocks, config.heads[0], config.window)
        init_steady(self, branches=0.3)
        self.sketch = nn.Conv2d(3 * config.patch**2, dims[0], 3, padding=1)
        self.out = nn.Conv2d(dims[0], 3 * config.patch**2, 3, padding=1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        code: ClassifiedTransformCode,
        allocation: PictureAllocation,
        features: Tensor,
        error: Tensor,
        amplitude: Tensor,
        condition: Tensor,
    ) -> Tensor:
        """Picture (B, 3, H, W), not clamped.

        Args:
            code: of both ends.
            allocation: of these pictures.
            features: (B, h, w, C) received, unsent ones 0.
            error: (B, h, w, C) error variance in [0, 1] of the symbol of each, unsent ones 1.
            amplitude: (B, 1, 1, 1) by which the power normalisation divided.
            condition: (B, n).
        """
        with full_precision(features.device):
            estimate, left = lmmse(allocation, features, error, amplitude)
            base = code.synthesise(estimate, allocation.classes)
            error_variance = torch.cat((left[..., code.smooth :], left[..., : code.smooth]), -1)
            total = left.sum(-1) + code.log_rest.exp()[allocation.classes]
            unit = (total / code.mean.numel()).sqrt()[:, None]  # (B, 1, h, w), of a pixel
            errors = torch.cat((group_means(error_variance, self.groups), total[..., None]), -1)
            errors = errors.clamp_min(1e-9).log() / 4 + 1
            observed = whitened(allocation, features, error, amplitude)[..., -self.own :]
            label = F.one_hot(allocation.classes, self.label.in_features)
        dtype = self.token.weight.dtype
        observed, errors, label = (each.to(dtype) for each in (observed, errors, label))
        sketch = ((base - 0.5) * SKETCH_SCALE).to(dtype)
        x = self.sketch(F.pixel_unshuffle(sketch, self.patch))
        maps = [x.permute(0, 2, 3, 1).to(dtype)]
        for merge in self.downsample:
            maps.append(merge(maps[-1]).to(dtype))
        x = maps.pop() + self.token(observed) + self.head(errors) + self.label(label)
        x = self.modnet(x, condition) if self.modulation else x
        for stage in self.stages:
            x = maps.pop() + stage(x)
        detail = F.pixel_shuffle(self.out(self.blocks(x).permute(0, 3, 1, 2)), self.patch)
        scale = DETAIL_SCALE * F.interpolate(unit, scale_factor=code.block)
        return base + scale * detail


def lmmse(
    allocation: PictureAllocation, features: Tensor, error: Tensor, amplitude: Tensor
) -> tuple[Tensor, Tensor]:
    """Estimates of the features before their gains, and their error variances.

    A symbol after the MMSE equaliser is (1−e)·x + noise of variance (1−e)·e, for unit power.

    Args:
        allocation: variances and gains.
        features, error: (B, h, w, C) received.
        amplitude: (B, 1, 1, 1).
    """
    error = error.clamp_min(1e-12)  # of a channel without noise, 0/0 where there is no power
    gain = allocation.gain / amplitude
    certain = received_power(allocation, error, gain)
    return (
        2 * gain * allocation.variance * features / certain,
        allocation.variance * error / certain,
    )


def received_power(allocation: PictureAllocation, error: Tensor, gain: Tensor) -> Tensor:
    """Of symbols after the equaliser and divided by 1−e, where those sent have these gains."""
    power = 2 * gain.square() * allocation.variance  # two features share the unit power of a symbol
    return power * (1 - error) + error


def whitened(
    allocation: PictureAllocation, features: Tensor, error: Tensor, amplitude: Tensor
) -> Tensor:
    """Received features of power about 1−e, whatever they were sent with; arguments of `lmmse`."""
    error = error.clamp_min(1e-12)
    return features * (2 / received_power(allocation, error, allocation.gain / amplitude)).sqrt()
