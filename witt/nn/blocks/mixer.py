"""MLP-Mixer in windows: one MLP over the tokens of a window, one over the features of a token.

Source: Tolstikhin et al., MLP-Mixer, arXiv 2105.01601; the parameters are those of timm's
`MixerBlock` (Apache-2.0). What differs from the paper: its first MLP looks at all tokens of a
picture, which fixes the picture's size; here at those of a window. Every second block has its
windows shifted by half a window, as in Swin.
"""

from __future__ import annotations

import torch
from timm.models.mlp_mixer import MixerBlock
from torch import Tensor, nn

from witt.nn.blocks.stage import StageSize
from witt.nn.blocks.strips import add_by_token, rows_of_strip
from witt.nn.blocks.windows import Grid

TOKEN_RATIO = 0.5  # hidden width of the MLP over tokens, over the feature width, as in the paper


class WindowMixer(MixerBlock):
    """x + MLP over the tokens of each window (LN(x)), then x + MLP(LN(x)).

    Windows that are not full have zeros in the free places, behind the LayerNorm.

    Args:
        dim: feature width.
        window: side of a window in tokens.
        shift: tokens by which the windows begin before the map, up and left.
        mlp_ratio: hidden width of the second MLP over `dim`.
    """

    branch_ends = ("mlp_tokens.fc2", "mlp_channels.fc2")

    def __init__(self, dim: int, window: int, shift: int, mlp_ratio: float) -> None:
        super().__init__(dim, window**2, (TOKEN_RATIO, mlp_ratio))
        self.side, self.shift = window, shift

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` to the same shape."""
        x = self._over_tokens(x)
        return add_by_token(x, lambda part: self.mlp_channels(self.norm2(part)))

    def _over_tokens(self, x: Tensor) -> Tensor:
        grid = Grid((x.shape[1], x.shape[2]), (self.side, self.side), (self.shift, self.shift))
        windows = grid.cut(self.norm1(x))
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return x + grid.join(self._mixed(windows))
        strips = windows.split(rows_of_strip(x, self.side) // self.side, dim=1)
        return x + grid.join(torch.cat([self._mixed(strip) for strip in strips], dim=1))

    def _mixed(self, windows: Tensor) -> Tensor:
        """The MLP over the tokens of windows (B, r, c, side, side, C)."""
        mixed = self.mlp_tokens(windows.flatten(3, 4).transpose(3, 4))
        return mixed.transpose(3, 4).unflatten(3, (self.side, self.side))


def mixer(size: StageSize) -> nn.Sequential:
    """Mixer blocks, every second one with windows shifted by half a window."""
    shifts = [size.window // 2 if i % 2 else 0 for i in range(size.depth)]
    return nn.Sequential(
        *(WindowMixer(size.dim, size.window, shift, size.mlp_ratio) for shift in shifts)
    )
