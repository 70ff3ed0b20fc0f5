"""The decoder beside a linear path: Swin blocks that improve the picture of the linear receiver.

Source: the blocks and the ModNet are those of WITT, arXiv 2211.00937. Where they sit was found by
trials (docs/trials.md): a mirror of the encoder learnt nothing beside the linear path in an hour
that was not there after ten minutes, while blocks that see the received picture through an
overlapping convolution gain more in four minutes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from witt.config import ModelConfig
from witt.layers import OUTPUT_SCALE, init_steady, swin_blocks
from witt.linear import LinearDecoder, full_precision
from witt.network import channel_modnet, conditions, smooth_channels


class RefiningDecoder(nn.Module):
    """Channel features to picture.

    features ─► LMMSE linear path ─┬─► conv ─(+)─► ModNet ─► Swin blocks ─► conv ─(+)─► image
        └─────► head ──────────────┼─────────┘                                     │
                                   └───────────────────────────────────────────────┘

    The map has the stride of the first patch and the width of the first stage. Both convolutions
    overlap: what a token loses is alike in its neighbours.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim, self.patch = config.dims[0], config.patch
        self.uses_csi, self.modulation = config.uses_csi, config.modulation
        self.patches_a_token = config.stride // config.patch
        inputs = config.channels * 3 // 2 if config.uses_csi else config.channels
        self.head = nn.Linear(inputs, dim)
        self.modnet = channel_modnet(dim, config)
        self.blocks = swin_blocks(dim, config.refiner_blocks, config.heads[0], config.window)
        for part in (self.modnet, self.blocks):
            init_steady(part, branches=0.3)
        self.sketch = nn.Conv2d(3 * config.patch**2, dim, 3, padding=1)
        self.out = nn.Conv2d(dim, 3 * config.patch**2, 3, padding=1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)
        self.linear = LinearDecoder(
            config.stride, config.channels, conditions(config), smooth_channels(config)
        )

    def forward(
        self, features: Tensor, error: Tensor, amplitude: Tensor, condition: Tensor
    ) -> Tensor:
        """Picture (B, 3, H, W), not clamped.

        Args:
            features: (B, h, w, C) received, unsent ones 0.
            error: (B, h, w, C/2) error variance of each symbol in [0, 1], unsent ones 1.
            amplitude: (B, 1, 1, 1) by which the power normalisation divided; contrast is put
                back at the end, on both paths alike.
            condition: (B, n).
        """
        each = error.repeat_interleave(2, dim=-1)  # I and Q of a symbol are channels 2j, 2j+1
        with full_precision(features.device):
            base = self.linear(features, each, amplitude, condition)
        known = torch.cat((features, 1 - error), dim=-1) if self.uses_csi else features
        tokens = self.head(known).permute(0, 3, 1, 2)
        sketch = self.sketch(F.pixel_unshuffle(base / amplitude, self.patch))
        x = sketch + F.interpolate(tokens, scale_factor=self.patches_a_token)
        x = x.permute(0, 2, 3, 1)
        x = self.blocks(self.modnet(x, condition) if self.modulation else x)
        detail = F.pixel_shuffle(self.out(x.permute(0, 3, 1, 2)), self.patch)
        return base + (OUTPUT_SCALE * amplitude) * detail + 0.5
