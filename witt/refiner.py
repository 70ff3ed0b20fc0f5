"""The decoder beside a code of classes: Swin blocks that improve the picture of its receiver.

Source: the blocks and the ModNet are those of WITT, arXiv 2211.00937. Where they sit was found by
trials (docs/trials.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from witt.classified import ClassifiedCode, Plan, full_precision
from witt.config import ModelConfig
from witt.layers import init_steady, swin_blocks
from witt.network import channel_modnet

GROUPS = 12  # of features whose errors the network is told together
SKETCH_SCALE = 4.0  # brings pixels less 0.5 to about unit power
DETAIL_SCALE = 0.3  # of the last layer, in units of the error that the receiver expects


class RefiningDecoder(nn.Module):
    """Received features to picture.

    features ─► LMMSE, classes ─┬─► conv ─(+)─► ModNet ─► Swin blocks ─► conv ─(×)──(+)─► image
                     expected error ─► head ─┘                    expected error   │
                                └──────────────────────────────────────────────────┘

    The map has the stride of the first patch and the width of the first stage. Both convolutions
    overlap: what a token loses is alike in its neighbours. The error that the linear receiver
    expects of each token is the unit of what the network adds.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim, self.patch = config.dims[0], config.patch
        self.modulation = config.modulation
        self.patches_a_token = config.stride // config.patch
        self.label = nn.Embedding(config.classes, dim)
        self.groups = min(GROUPS, config.channels)
        self.head = nn.Linear(self.groups + 1, dim)
        self.modnet = channel_modnet(dim, config)
        self.blocks = swin_blocks(dim, config.refiner_blocks, config.heads[0], config.window)
        for part in (self.modnet, self.blocks):
            init_steady(part, branches=0.3)
        self.sketch = nn.Conv2d(3 * config.patch**2, dim, 3, padding=1)
        self.out = nn.Conv2d(dim, 3 * config.patch**2, 3, padding=1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        code: ClassifiedCode,
        plan: Plan,
        features: Tensor,
        error: Tensor,
        amplitude: Tensor,
        condition: Tensor,
    ) -> Tensor:
        """Picture (B, 3, H, W), not clamped.

        Args:
            code: of both ends.
            plan: of these pictures.
            features: (B, h, w, C) received, unsent ones 0.
            error: (B, h, w, C) error variance in [0, 1] of the symbol of each, unsent ones 1.
            amplitude: (B, 1, 1, 1) by which the power normalisation divided.
            condition: (B, n).
        """
        with full_precision(features.device):
            estimate, left = lmmse(plan, features, error, amplitude)
            base = code.synthesise(estimate, plan.classes)
            doubt = torch.cat((left[..., code.smooth :], left[..., : code.smooth]), -1)
            groups = [part.mean(-1) for part in doubt.tensor_split(self.groups, -1)]
            total = left.sum(-1) + code.log_rest.exp()[plan.classes]
            unit = (total / code.mean.numel()).sqrt()[:, None]  # (B, 1, h, w), of a pixel
            known = torch.stack((*groups, total), -1).clamp_min(1e-9).log()
        tokens = self.head(known / 4 + 1) + self.label(plan.classes)
        sketch = self.sketch(F.pixel_unshuffle((base - 0.5) * SKETCH_SCALE, self.patch))
        x = sketch + F.interpolate(tokens.permute(0, 3, 1, 2), scale_factor=self.patches_a_token)
        x = x.permute(0, 2, 3, 1)
        x = self.blocks(self.modnet(x, condition) if self.modulation else x)
        detail = F.pixel_shuffle(self.out(x.permute(0, 3, 1, 2)), self.patch)
        scale = DETAIL_SCALE * F.interpolate(unit, scale_factor=code.block)
        return base + scale * detail


def lmmse(plan: Plan, features: Tensor, error: Tensor, amplitude: Tensor) -> tuple[Tensor, Tensor]:
    """Estimates of the features before their gains, and their error variances.

    A symbol after the MMSE equaliser is (1−e)·x + noise of variance (1−e)·e, for unit power.

    Args:
        plan: variances and gains.
        features, error: (B, h, w, C) received.
        amplitude: (B, 1, 1, 1).
    """
    error = error.clamp_min(1e-12)  # of a channel without noise, 0/0 where there is no power
    gain = plan.gain / amplitude
    power = 2 * gain.square() * plan.variance  # two features share the unit power of a symbol
    certain = power * (1 - error) + error
    return 2 * gain * plan.variance * features / certain, plan.variance * error / certain
